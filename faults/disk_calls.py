"""System calls of the spool that fail, each once: below SQLite and below everything of ours.

Debian's strace does it to a child, without privileges: ``inject=CALL:error=ERROR:when=N``, for the spool's files only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aiot_mqtt.spool.names import JOURNAL_SUFFIX, SUFFIXES
from rig import servers
from rig.strace import strace_argv

from .disk_driver import EVENTS, SPOOL

CALLS = (
    *("openat", "newfstatat", "pread64", "read", "pwrite64", "write", "ftruncate"),
    *("fsync", "fdatasync", "fcntl", "flock", "rename", "unlink"),
)
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS")
STORIES = ("outage", "after-damage")
MEMORY = "/dev/shm"
MAX_RUNS = 3  # of one fault
WAYS = ("goes-on", "dies")
"""What a process does after the error: what the service does, or end at once."""


@dataclass(frozen=True, slots=True)
class DiskFault:
    """One call that fails, or several in a row."""

    story: str
    way: str
    call: str
    error: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.story}:{self.way} {self.call}:{self.error}:{self.first}..{self.last}"


def spool_paths(spool: Path) -> list[str]:
    """What strace is to look at: every file of the spool, and its folder."""
    names = [
        f"{spool.name}.lock",
        *(spool.name + suffix + beside for suffix in SUFFIXES for beside in ("", JOURNAL_SUFFIX)),
    ]
    return [option for name in ("", *names) for option in ("-P", str(spool.parent / name))]


class DiskCalls:
    """Plays stories with faults, one after the other."""

    def __init__(self) -> None:
        self._strace = strace_argv()
        # In memory where that can be, because nothing here depends on how long a sync takes.
        memory = MEMORY if os.access(MEMORY, os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="aiot-disk-", dir=memory)).resolve()
        self._driver = subprocess.Popen(
            [sys.executable, "-m", "faults.disk_driver"],
            cwd=servers.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.played = 0
        self.took_effect: Counter[str] = Counter()
        """How many faults of each call happened."""

    def close(self) -> None:
        """End the driver, and remove its files."""
        assert self._driver.stdin is not None
        self._driver.stdin.close()
        self._driver.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def count(self, story: str) -> Counter[str]:
        """How often a story makes each call."""
        log = self._folder / "log"
        self._prepare(story)
        self._tell(f"{story}:goes-on", ["-e", f"trace={','.join(CALLS)}", "-o", str(log)])
        return Counter(re.findall(r"(?m)^(?:\d+ +)?(\w+)\(", log.read_text(errors="replace")))

    def every(self, *, all_errors: bool) -> Iterator[DiskFault]:
        """A fault for each call that the stories make.

        :param all_errors: with every error, both ways, and several in a row; else one of these in turn, and only some
            of the look-ups, which change nothing.
        """
        turn = 0
        for story in STORIES:
            for call, calls in sorted(self.count(story).items()):
                for number in range(1, calls + 1, 1 if all_errors or call != "newfstatat" else 3):
                    if all_errors:
                        for error in ERRORS:
                            for way in WAYS:
                                yield DiskFault(story, way, call, error, number, number)
                            yield DiskFault(story, WAYS[0], call, error, number, number + 7)
                    else:
                        error, way = ERRORS[turn % len(ERRORS)], WAYS[turn // len(ERRORS) % len(WAYS)]
                        yield DiskFault(story, way, call, error, number, number)
                    turn += 1

    def play(self, fault: DiskFault) -> list[str]:
        """What is wrong after a fault and a restart; nothing, if all is well.

        A run in which it did not happen is played again: on a busy machine one in some thousands makes a call less than
        the run that was counted.
        """
        happened = self.took_effect[fault.call]
        for _ in range(MAX_RUNS):
            wrong = self._play_once(fault)
            if wrong or self.took_effect[fault.call] > happened:
                break
        return wrong

    def _play_once(self, fault: DiskFault) -> list[str]:
        self._prepare(fault.story)
        log = self._folder / "log"
        inject = f"inject={fault.call}:error={fault.error}:when={fault.first}..{fault.last}"
        ended = self._tell(f"{fault.story}:{fault.way}", ["-e", f"trace={fault.call}", "-e", inject, "-o", str(log)])
        self.played += 1
        self.took_effect[fault.call] += "(INJECTED)" in log.read_text(errors="replace")
        wrong = [] if ended else ["the process did not end as it should"]
        if not self._tell("restart", []):
            wrong.append("nor did the one after it")
        wrong += wrong_events((self._folder / "run" / EVENTS).read_text().splitlines())
        left = [path.name for path in (self._folder / "run").iterdir() if path.name in (SPOOL, f"{SPOOL}.2")]
        return [f"{fault}: {text}" for text in (*wrong, *(f"{name} is still there" for name in left))]

    def _prepare(self, story: str) -> None:
        run = self._folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        if story == "after-damage":
            self._tell("prepare-damage", [])

    def _tell(self, story: str, options: list[str]) -> bool:
        """Have the driver play a story, under strace where there are options; whether it ended as it should."""
        run = self._folder / "run"
        stdin, stdout = self._driver.stdin, self._driver.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{story} {run}\n")
        stdin.flush()
        pid = stdout.readline().strip()
        if options:
            argv = [*self._strace, "-f", "-qqq", "-a1", *options, *spool_paths(run / SPOOL), "-p", pid]
            subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return stdout.readline().strip() == "as it should"


def wrong_events(lines: list[str]) -> list[str]:
    """What a broker and a database that saw this would complain of."""
    wrong = []
    acknowledged: dict[str, int] = {}
    table: dict[str, int] = {}
    for line in lines:
        what, device, number_text = line.split()
        number = int(number_text)
        if what == "acknowledged":
            acknowledged[device] = max(number, acknowledged.get(device, 0))
        elif what == "stored":
            if number < table.get(device, 0):
                wrong.append(f"{device} moved back from {table[device]} to {number}")
            table[device] = number
    acknowledged.pop("lost", None)  # it was in the file that is damaged
    for device, number in acknowledged.items():
        if table.get(device, 0) < number:
            wrong.append(f"{device}: {number} was acknowledged, the table has {table.get(device)}")
    return wrong


def play_all(workers: int, *, all_errors: bool) -> tuple[Counter[str], list[str]]:
    """Play every fault, several at a time. Blocks. Returns how many of each call took effect, and what was wrong."""
    players = [DiskCalls() for _ in range(workers)]
    try:
        faults = list(players[0].every(all_errors=all_errors))

        def play(number: int) -> list[str]:
            return [text for fault in faults[number::workers] for text in players[number].play(fault)]

        with ThreadPoolExecutor(workers) as threads:
            wrong = [text for texts in threads.map(play, range(workers)) for text in texts]
    finally:
        for player in players:
            player.close()
    took_effect = sum((player.took_effect for player in players), Counter[str]())
    # A burst may begin behind the last call of a run that went another way; a single fault may not.
    for call, number in Counter(fault.call for fault in faults if fault.first == fault.last).items():
        if took_effect[call] < number:
            wrong.append(f"{call}: {number} should have failed, {took_effect[call]} did")
    return took_effect, wrong
