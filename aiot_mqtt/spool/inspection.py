"""What is in the spool's files, as an operator wants to know it: each is read, and none is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..devices.update import DeviceUpdate
from ..telemetry.reasons import spool as reasons
from .damage import SpoolDamaged
from .disk import Disk
from .file import SpoolFile
from .found import SpoolForeign, SpoolOwner, judge_outside, open_found
from .names import ASIDE, JOURNAL_SUFFIX, files_of, is_set_aside
from .salvage import salvage

AT_ONCE = 4 * 1024 * 1024  # bytes of documents that are in memory at one time

Take = Callable[[Path, DeviceUpdate], object]


@dataclass(slots=True)
class Inspected:
    """One file, as an operator wants to know it."""

    path: Path
    size: int
    modified: float
    """Seconds since the epoch."""
    user: int
    verdict: str = ""
    """What is wrong with it, or different; empty: the service would write it to its table."""
    owner: str = ""
    """Whose it says it is, in words."""
    is_adoptable: bool = False
    """It differs in nothing but the settings."""
    devices: int = 0
    deliveries: int = 0
    earliest: str = ""
    """Of the times at which its devices were last heard."""
    latest: str = ""

    def note(self, update: DeviceUpdate) -> None:
        """Count one of the states that the file holds."""
        self.devices += 1
        self.deliveries += update.deliveries
        self.earliest = min(self.earliest or update.last_seen, update.last_seen)
        self.latest = max(self.latest, update.last_seen)


def candidates(path: Path) -> list[Path]:
    """Every file of the spool that is there, and what was set aside as damaged."""
    names = files_of(path)
    beside = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
    for name in names[:]:
        aside = [each for each in beside if each.startswith(name.name + ASIDE) and not each.endswith(JOURNAL_SUFFIX)]
        names += [path.with_name(each) for each in aside]
    return [each for each in names if Disk().find(each) is not None]


def inspect_all(path: Path, owner: SpoolOwner, take: Take) -> list[Inspected]:
    """Look at every file of the spool.

    :param path: ``SPOOL_FILE``. :param owner: whose states the service looks for.
    :param take: gets each state that can be read, with the file that it is in.
    :raises OSError: the disk does not give a file; so do ``sqlite3.Error`` and ``SpoolError``.
    """
    return [_inspect(each, owner, take) for each in candidates(path)]


def _inspect(path: Path, owner: SpoolOwner, take: Take) -> Inspected:
    """Look at one file. :param take: gets all that can be read."""
    found = os.lstat(path)
    inspected = Inspected(path, found.st_size, found.st_mtime, found.st_uid)
    updates: Iterator[DeviceUpdate] = iter(())
    try:
        if (reason := judge_outside(path, Disk())) is not None:
            raise SpoolForeign(reason)
        if is_set_aside(path):
            raise SpoolDamaged(reasons.SET_ASIDE)
        if (file := open_found(path, Disk(), None)) is None:
            inspected.verdict = "nothing is in it"
        else:
            updates = _updates_of(file, inspected, owner)
    except SpoolForeign as error:
        inspected.verdict = f"not a spool of this service: {error}"
    except SpoolDamaged as error:
        inspected.verdict = f"damaged ({error}); what can still be read is not for the table, which may be newer"
        updates = salvage(path)
    for update in updates:
        inspected.note(update)
        take(path, update)
    return inspected


def _updates_of(file: SpoolFile, inspected: Inspected, owner: SpoolOwner) -> Iterator[DeviceUpdate]:
    try:
        if file.owner:
            inspected.owner = SpoolOwner.in_words(file.owner)
            if (difference := owner.differs_from(file.owner)) is not None:
                inspected.verdict = f"saved under other settings: {difference}"
                inspected.is_adoptable = True
        while (chunk := file.read(1000, AT_ONCE)).updates:
            yield from chunk.updates
            file.written(chunk)  # which only this object remembers
    finally:
        file.close()
