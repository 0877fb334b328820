"""How long the disk takes what comes while the database is away: one rule, and one sentence for it.

Pure. The spool keeps one state a device, and a newer one takes the place of the one before. So it does not grow with
time: once every device has reported it is as large as the fleet, however long the outage lasts. What is left to tell is
whether the whole fleet fits, for how many more devices there is room where it does not or nobody knows how many there
are, and whether something else fills the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..telemetry.bilingual import Bilingual
from ..telemetry.durations import duration

RESERVE = 64 * 1024 * 1024
"""Bytes of the disk that are not counted on: a save's journal, and what else there is."""
LIKELY_BYTES = 500
"""Of a device, as long as few are there: a file with hardly anything in it says little about the rest."""
FEW = 100
MARGIN = 2.0
"""Times what those that are still to come should need, because documents grow."""
LEAST_SECONDS = 300.0
"""For which a pace must have been seen before it is told."""
SOON = 7 * 86400.0  # s; what would be full later than that, by a pace of minutes, is not told


class Look(NamedTuple):
    """How the disk was at one moment."""

    at: float
    """Seconds, by a clock that is never set."""
    free: int
    """Bytes that the file system has left."""
    used: int
    """Bytes of the spool's files."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there is room for."""

    more_devices: int
    """About, beside those that are kept already; 0: the next save may fail."""
    devices: int | None = None
    """All that the table has, as last counted; None: not known."""
    suffices: bool = False
    """There is room for each of them that is not kept yet, however long the database is away."""
    full_in: float | None = None
    """Seconds, at the pace at which the disk fills, where there is room for all devices by what others write to it;
    None: it does not, not soon, or it was not seen for long enough."""


def outlook(looks: Sequence[Look], *, room: int, kept: int, devices: int | None) -> Outlook | None:
    """What there is room for; None: there is nothing to go by.

    :param looks: at the disk, the oldest first, the last one of now.
    :param room: bytes by which the spool's file may still grow before it has the most that it may.
    :param kept: devices in it. :param devices: rows of the table; None: not known.
    """
    if not looks or not kept:
        return None
    each = looks[-1].used / kept
    if kept < FEW:
        each = max(each, LIKELY_BYTES)
    more = int(max(0, min(looks[-1].free - RESERVE, room)) / max(each, 1.0))
    # More than the table has are names that somebody invents: of those there is no end.
    suffices = devices is not None and kept <= devices and more > 0 and (devices - kept) * MARGIN <= more
    return Outlook(more, devices, suffices, _full_in(looks, only_by_others=suffices))


def _full_in(looks: Sequence[Look], *, only_by_others: bool) -> float | None:
    first, last = looks[0], looks[-1]
    passed, shrunk = last.at - first.at, first.free - last.free
    if only_by_others:
        shrunk -= last.used - first.used
    if passed < LEAST_SECONDS or shrunk <= 0:
        return None
    seconds = max(0, last.free - RESERVE) * passed / shrunk
    return seconds if seconds < SOON else None


def in_words(outlook: Outlook) -> Bilingual:
    """Part of a sentence about what is kept on this host, without a full stop."""
    more, devices = f"{outlook.more_devices:,}", f"{outlook.devices or 0:,}"
    if outlook.more_devices == 0:
        english, chinese = "the disk has no room for more devices", "磁盘没有空间再存更多设备"
    elif outlook.suffices:
        english = f"the disk suffices for all {devices} devices, however long it lasts"
        chinese = f"磁盘够存全部 {devices} 台设备，中断多久都够"
    else:
        english, chinese = f"the disk has room for about {more} more devices", f"磁盘还可再存约 {more} 台设备"
    if outlook.full_in is None:
        return Bilingual(english, chinese)
    lasts = duration(outlook.full_in)
    return Bilingual(
        f"{english}; at the pace of the last minutes it is full in {lasts}",
        f"{chinese}；按最近几分钟的速度，{lasts.chinese}后写满",
    )
