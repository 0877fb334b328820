"""What of a file was read and written, and what of it comes next: as it was saved, or as somebody arranged it."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from ..devices.report import DEVICE_CHARACTERS
from ..devices.update import DeviceUpdate, UuidKey
from ..telemetry.reasons import spool as reasons
from . import rows
from .format import SELECT, SELECT_1

Place = tuple[int, int, int]
"""How far a file was written, in words of ``Reading`` alone."""

# Rows in one statement: at most so many documents are in memory, and SQLite before 3.32 takes 999 values.
AT_ONCE = 64


class Reading:
    """Of one file, which is not filled any more. Raises ``sqlite3.Error``.

    Each row is another device's, so they may be written in any order.
    """

    def __init__(self, *, is_found: bool) -> None:
        self.read_to = 0
        """The version up to which all is in the table."""
        self.is_old = False
        """Of the format before this one."""
        self._is_found = is_found
        self._others: dict[int, list[int]] = {}  # of rows that are one device, the other versions by the first
        self._merged: set[int] = set()
        self._arranged: array[int] = array("q")  # versions behind ``read_to``, as they are to be read
        self._arranged_done = 0
        self._arranged_to = 0  # a version; where any were arranged, they are all of those up to it

    @property
    def may_be_arranged(self) -> bool:
        """Whether all is written that somebody has arranged, or has left as it is."""
        return self.read_to >= self._arranged_to

    def tell_spellings_apart(self, connection: sqlite3.Connection, key: UuidKey) -> None:
        """See ``SpoolFile.tell_spellings_apart``."""
        changed = "".join(character for character in DEVICE_CHARACTERS if key(character) != character)
        may_differ = f"device <> uuid OR uuid GLOB '*[{changed}]*'" if changed else "device <> uuid"
        versions: dict[str, list[int]] = {}
        for version, device, uuid in connection.execute(
            f"SELECT version, device, uuid FROM device_update WHERE version > ? AND ({may_differ})",  # noqa: S608
            (self.read_to,),
        ):
            if (folded := key(uuid)) != device:
                versions.setdefault(folded, []).append(version)
        for folded, found in versions.items():
            for version, uuid in connection.execute(
                "SELECT version, uuid FROM device_update WHERE device = ? AND version > ?", (folded, self.read_to)
            ):
                if key(uuid) == folded:
                    found.append(version)
        for first, *others in map(sorted, versions.values()):
            if others:
                self._others[first] = others
                self._merged.update(others)

    def last_of_next(self, connection: sqlite3.Connection, most: int) -> int:
        """The version up to which the next rows go. :param most: how many they may be."""
        found = connection.execute(
            "SELECT version FROM device_update WHERE version > ? ORDER BY version LIMIT 1 OFFSET ?",
            (self.read_to, most - 1),
        ).fetchone()
        found = found or connection.execute("SELECT MAX(version) FROM device_update").fetchone()
        return int(found[0] or 0)

    def devices_to(self, connection: sqlite3.Connection, last: int, after: str, most: int) -> list[tuple[str, int]]:
        """Devices behind one, in the order of their names, each with its version, of rows up to the version ``last``.

        The index has all of it, so that no row is read.
        """
        found = connection.execute(
            "SELECT device, version FROM device_update WHERE device > ? AND version > ? AND version <= ?"
            " ORDER BY device LIMIT ?",
            (after, self.read_to, last, most),
        )
        return [(str(device), int(version)) for device, version in found]

    def arrange(self, last: int, versions: Iterable[int]) -> None:
        """Read the rows up to the version ``last`` next, in this order."""
        self._arranged = array("q", [version for version in versions if version not in self._merged])
        self._arranged_done, self._arranged_to = 0, last

    @property
    def place(self) -> Place:
        """Where it is; another one whenever something was written."""
        return self.read_to, self._arranged_done, self._arranged_to

    def place_behind(self, last: int, rows: int) -> Place | None:
        """Where it will be once so much more is written; see ``written``. None: what comes then is not arranged yet."""
        if not self._arranged:
            return last, 0, self._arranged_to
        done = self._arranged_done + rows
        return (self.read_to, done, self._arranged_to) if done < len(self._arranged) else None

    def rows_from(
        self, connection: sqlite3.Connection, place: Place
    ) -> Iterator[tuple[int, DeviceUpdate, Sequence[DeviceUpdate]]]:
        """Versions and updates, and what else is saved of the same device under other spellings."""
        after, done, _ = place
        if not self._arranged:
            yield from self.rows_after(connection, after)
            return
        for at in range(done, len(self._arranged), AT_ONCE):
            versions = self._arranged[at : at + AT_ONCE]
            found = {each[0]: each for each in self._select(connection, f"version IN ({','.join(map(str, versions))})")}
            for version in versions:
                if version not in found:
                    raise ValueError(reasons.NOT_THE_SAME)
                yield version, found[version][1], self._others_of(connection, version)

    def rows_of(self, connection: sqlite3.Connection, devices: Sequence[str]) -> dict[str, DeviceUpdate]:
        """What is saved of some devices, by their keys."""
        which = f"device IN ({','.join('?' * len(devices))})"
        return {update.key: update for _, update in self._select(connection, which, *devices)}

    def rows_after(
        self, connection: sqlite3.Connection, after: int
    ) -> Iterator[tuple[int, DeviceUpdate, Sequence[DeviceUpdate]]]:
        """The same behind a version, as they were saved."""
        for version, update in self._select(connection, "version > ? ORDER BY version", after):
            if version not in self._merged:
                yield version, update, self._others_of(connection, version)

    def written(self, last: int, rows: int) -> None:
        """Rows are in the table. :param last: the version of the last of them. :param rows: how many."""
        if not self._arranged:
            self.read_to = last
            return
        self._arranged_done += rows
        if self._arranged_done >= len(self._arranged):
            self.read_to, self._arranged, self._arranged_done = self._arranged_to, array("q"), 0

    def is_written(self, version: int) -> bool:
        """Whether this row is in the table. Goes through all that was arranged."""
        return version <= self.read_to or version in self._arranged[: self._arranged_done]

    def _others_of(self, connection: sqlite3.Connection, version: int) -> list[DeviceUpdate]:
        found = []
        for other in self._others.get(version, ()):
            found += [update for _, update in self._select(connection, "version = ?", other)]
        return found

    def _select(
        self, connection: sqlite3.Connection, which: str, *values: object
    ) -> Iterator[tuple[int, DeviceUpdate]]:
        select = SELECT_1 if self.is_old else SELECT
        checked = rows.checked_1 if self.is_old else partial(rows.checked, is_found=self._is_found)
        for version, checksum, *row in connection.execute(f"{select} {which}", values):
            yield version, checked(version, checksum, row)
