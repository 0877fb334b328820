"""What the kernel tells of a process, in ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
KIB = 1024


class Memory(NamedTuple):
    """What a process has of it, in bytes."""

    resident: int
    peak: int
    """The most that was resident at one time."""


def memory(pid: int) -> Memory:
    """What a process has now.

    :raises ProcessLookupError: it has ended.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error
    sizes = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
    if "VmHWM" not in sizes:  # it has ended and was not waited for
        raise ProcessLookupError(f"process {pid} has ended")
    return Memory(*(int(sizes[name][0]) * KIB for name in ("VmRSS", "VmHWM")))


def cpu_seconds(pid: int, thread: int | None = None) -> float:
    """What a process has used, its threads included, or one of its threads; also of one that has ended and was not
    waited for.
    """
    folder = f"/proc/{pid}" if thread is None else f"/proc/{pid}/task/{thread}"
    fields = Path(folder, "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
