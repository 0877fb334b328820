"""Whether what is kept somewhere outlasts what it has to: a container that is replaced, a host that is restarted."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.logger import Logger

from ..telemetry import log_lines, reasons
from ..telemetry.bilingual import Bilingual

MOUNTS = Path("/proc/self/mountinfo")
# Docker and podman each put theirs into every container; a machine that was made of an image may have one, too.
MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
LAYERS = frozenset({"overlay", "aufs"})  # what a container's root is put together with; so is a live system's
IN_MEMORY = frozenset({"tmpfs", "ramfs"})

_log = Logger()


def warn_if_short_lived(spool: Path) -> None:
    """Say so where ``why_short_lived`` has a reason. Blocks, as looking at a disk may.

    :param spool: ``SPOOL_FILE``.
    """
    if (reason := why_short_lived(spool)) is not None:
        _log.warn(log_lines.SPOOL_SHORT_LIVED, path=str(spool), reason=reason)


def why_short_lived(spool: Path) -> Bilingual | None:
    """Why a spool is lost with its container, or with a restart of the host; None: nothing of that kind can be seen."""
    try:
        mounts = MOUNTS.read_text("utf-8", "surrogateescape")
        folder = spool.parent.resolve()
    except OSError:
        return None  # whether the folder is there is found out elsewhere
    return reason_of(folder, mounts, is_marked=any(mark.exists() for mark in MARKS))


def reason_of(folder: Path, mounts: str, *, is_marked: bool) -> Bilingual | None:
    """The same, of what was found.

    :param folder: without links.
    :param mounts: as proc(5) has them in ``/proc/PID/mountinfo``.
    :param is_marked: whether this is a container by what its engine has put there.
    """
    on = kind = of_disk = ""
    for mount in mounts.splitlines():
        fields, _, more = mount.partition(" - ")
        part, escaped_point = fields.split(" ")[3:5]
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), escaped_point)
        # The last one of a point hides those before it.
        if len(point) >= len(on) and folder.is_relative_to(point):
            on, kind, of_disk = point, more.split(" ")[0], part
    if kind in IN_MEMORY:
        return reasons.IN_MEMORY
    # Where layers are folders of the host's disk, the root is one of them; a machine's own is the whole disk.
    if on == "/" and (kind in LAYERS or (is_marked and of_disk != "/")):
        return reasons.IN_THE_CONTAINER
    return None
