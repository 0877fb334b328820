"""Where the service's time goes: a sampling profile, added up by the rooms of the house."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from rig import servers

from .stage import RunFailed

RATE = 250  # samples a second
# Which part of a file's path says whose it is; the innermost frame that is anybody's counts.
OWNERS = (
    (re.compile(r"aiot_mqtt/(?:\w+/)?(\w+)\.py"), None),
    (re.compile(r"pymysql/"), "PyMySQL"),
    (re.compile(r"paho/"), "paho"),
    (re.compile(r"twisted/"), "Twisted"),
)
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
    counted: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        stack = frames.split(";")
        if not WAITS.match(stack[-1]):
            counted[_room(stack)] += int(count)
    total = counted.total()
    return {name: count / total for name, count in counted.items()}


def _room(frames: list[str]) -> str:
    for frame in reversed(frames):
        for pattern, name in OWNERS:
            if found := pattern.search(frame):
                return name or found[1]
    return "other"
