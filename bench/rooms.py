"""Where the service's time goes: a sampling profile, added up by the rooms of the house and by a message's steps."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from rig import servers

from .stage import RunFailed
from .steps import STEPS, step_of

RATE = 250  # samples a second
# Which part of a file's path says whose it is; the innermost frame that is anybody's counts.
OWNERS = (
    (re.compile(r"aiot_mqtt/(?:\w+/)?(\w+)\.py"), None),
    (re.compile(r"pymysql/"), "PyMySQL"),
    (re.compile(r"paho/"), "paho"),
    (re.compile(r"twisted/"), "Twisted"),
)
REACTOR_THREAD = ": MainThread"
# Innermost frames that wait: for work, for the network, for the database. Not every kernel tells a sampler so.
WAITS = re.compile(r"^(\w+\.)?(wait \(.*/threading\.py|doPoll \(|readinto \()")


def sample(pid: int, seconds: int) -> str:
    """What a process was found doing, as py-spy writes it ``raw``: a stack a line, outermost frame first, and how often
    it was seen.

    :raises RunFailed: it cannot be sampled here.
    """
    found = Path(sys.executable).with_name("py-spy")
    program = str(found) if found.exists() else shutil.which("py-spy")
    if program is None:
        raise RunFailed("py-spy is not installed")
    folder = servers.private_folder()
    try:
        path = folder / "stacks"
        argv = [program, "record", "--pid", str(pid), "--duration", str(seconds)]
        argv += ["--rate", str(RATE), "--format", "raw", "--full-filenames", "--threads", "--output", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            raise RunFailed(f"py-spy: {(done.stdout + done.stderr).strip()[-500:]}")
        return path.read_text()
    finally:
        servers.remove_folder(folder)


def by_room(stacks: str) -> dict[str, float]:
    """The share of the busy samples, 0 to 1, in each room."""
    return _shares(stacks, _room)


def by_step(stacks: str) -> dict[str, float]:
    """Of the reactor's thread, outside of steps that are timed: the share of the busy samples, 0 to 1, in each step,
    and, in brackets, in rooms outside of all steps.
    """
    lines = (line for line in stacks.splitlines() if REACTOR_THREAD in line.partition(";")[0])
    shares = _shares("\n".join(lines), lambda frames: step_of(frames) or f"({_room(frames)})")
    sampled = {name: share for name, share in shares.items() if name not in STEPS or not STEPS[name].timed}
    return {name: share / sum(sampled.values()) for name, share in sampled.items()}


def micros_by_step(
    stacks: str, timed: Mapping[str, float], reactor_seconds: float, cpu_seconds: float, messages: int
) -> dict[str, float]:
    """CPU a message, of each step, and, in brackets, of what belongs to none: it all adds up to the process's.

    What a batch does is timed. Samples only divide what is left of the reactor's thread: where more wants to run than
    there are cores, a thread that waits for one looks as busy as one that has it, so samples do not compare threads.

    :param timed: seconds in steps that are timed; ``reactor_seconds``, ``cpu_seconds``: of that thread, of the process.
    """
    seconds = dict(timed)
    rest = reactor_seconds - sum(used for name, used in timed.items() if not STEPS[name].in_thread)
    seconds |= {name: share * rest for name, share in by_step(stacks).items()}
    seconds["(other threads)"] = cpu_seconds - sum(seconds.values())
    return {name: used / messages * 1e6 for name, used in seconds.items()}


def _shares(stacks: str, owner: Callable[[list[str]], str]) -> dict[str, float]:
    counted: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        stack = frames.split(";")
        if not WAITS.match(stack[-1]):
            counted[owner(stack)] += int(count)
    total = counted.total()
    return {name: count / total for name, count in counted.items()}


def _room(frames: list[str]) -> str:
    for frame in reversed(frames):
        for pattern, name in OWNERS:
            if found := pattern.search(frame):
                return name or found[1]
    return "other"
