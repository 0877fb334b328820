"""One file of the spool: the newest state of each device that was saved to it, in the order in which they were saved.

All methods block and raise ``OSError``, ``sqlite3.Error`` or ``SpoolError``; each write is one transaction, on disk
when it returns. A file is filled first and emptied then, never both: while it is emptied, what comes goes to another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from ..devices.update import DeviceUpdate, UuidKey
from ..telemetry.reasons import spool as reasons
from . import rows
from .chunk import Chunk
from .contents import Held
from .damage import SpoolDamaged, damage
from .disk import Disk, SpoolError
from .format import APPLICATION_ID, FORMAT, MAX_NUMBER, STATE, transaction
from .merging import merge_into
from .reading import Reading


class SpoolFile:
    """A file that is open."""

    def __init__(self, path: Path, disk: Disk, connection: sqlite3.Connection, *, is_found: bool) -> None:
        self.path = path
        self.is_found = is_found
        """Not made by this process, so nothing in it is trusted."""
        self.is_late = False
        """The table may hold newer states: it turned up while this process ran without it, was left alone for a
        while, or has topics that were given away.
        """
        self.is_synced = is_found
        """Whether its name is on disk, too."""
        self.generation = 0
        self.reading = Reading(is_found=is_found)
        self.saves = 0
        """How many saves it has had."""
        self.total = Held()
        """What was saved, written or not."""
        self.done = Held()
        """What of it is in the table."""
        self.owner = ""
        """Whose states it holds, as a text of ``SpoolOwner``; empty: it does not say."""
        self._disk = disk
        self.identity = disk.identity(path)
        self._connection: sqlite3.Connection | None = connection
        self.order_offset = 0
        """What its newest order is, where another process made it: ours come behind."""

    @classmethod
    def create(cls, path: Path, disk: Disk, owner: str, generation: int) -> SpoolFile:
        """A new, empty file.

        :param owner: whose states it will hold.
        """
        disk.create(path)
        connection = disk.connect(path)
        try:
            file = cls(path, disk, connection, is_found=False)
            file.generation = generation
            file.owner = owner
            with transaction(disk, connection):
                connection.execute(rows.SCHEMA)
                connection.execute(STATE)
                connection.execute("INSERT INTO spool VALUES (?, ?, 0, 0, 0)", (generation, owner))
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={FORMAT}")
        except BaseException:
            connection.close()
            raise
        return file

    @property
    def is_old(self) -> bool:
        """Of the format before this one: it is read only."""
        return self.reading.is_old

    @property
    def held(self) -> Held:
        """What is not in the table yet."""
        return self.total - self.done

    @property
    def is_there(self) -> bool:
        """Whether its name still leads to it, and not to another file."""
        return self.identity is not None and self._disk.identity(self.path) == self.identity

    @property
    def is_open(self) -> bool:
        """Whether it was not closed, as it is when it is deleted, gone or damaged."""
        return self._connection is not None

    @property
    def can_be_filled(self) -> bool:
        """Whether what comes now fits behind what is there."""
        return not self.is_old and self.saves < MAX_NUMBER - 1 and self.order_offset < rows.MAX_ORDER // 2

    def close(self) -> None:
        """Close the file; it stays, with what it holds."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def reopen(self, *, is_suspect: bool) -> tuple[int, Held]:
        """Look again after an error: what of the last write took effect.

        Returns saves and total as the file tells them, for ``accept``.

        :param is_suspect: look at every page and row.
        """
        told = self.saves, self.total
        self.close()
        with damage():
            self._connection = connection = self._disk.connect(self.path)
            if is_suspect:
                self.check_pages()
                self.count(self.reading.read_to)
            if self.is_old:
                return told
            (generation, saves, *total) = connection.execute(
                "SELECT generation, saves, devices, deliveries FROM spool"
            ).fetchone()
            if generation != self.generation:
                raise SpoolDamaged(reasons.NOT_THE_SAME)
            told = saves, Held(*total)
        if not self.is_synced:
            self._disk.sync_folder(self.path.parent)
            self.is_synced = True
        return told

    def accept(self, saves: int, total: Held) -> None:
        """What the file tells is on disk for good."""
        self.saves, self.total = saves, total

    def save(self, updates: Sequence[DeviceUpdate], *, are_older: bool = False) -> int:
        """Add updates, each merged with what is held of its device. Returns how many deliveries that supersedes.

        :param are_older: than all that is held here, and not newer.
        """
        connection = self._open
        with damage(), transaction(self._disk, connection):
            added, superseded = merge_into(
                connection, self.reading, updates, order_offset=self.order_offset, are_older=are_older
            )
            connection.execute(
                "UPDATE spool SET saves = ?, devices = devices + ?, deliveries = deliveries + ?",
                (self.saves + 1, added.devices, added.deliveries),
            )
        if not self.is_synced:
            self._disk.sync_folder(self.path.parent)
            self.is_synced = True
        self.saves += 1
        self.total += added
        return superseded

    def save_again(self, keys: Sequence[str]) -> None:
        """Write once more what a save left behind whose sync failed: after such a failure the kernel takes pages for
        written that are not, and would not write them again by itself.
        """
        connection = self._open
        with damage(), transaction(self._disk, connection):
            connection.execute("UPDATE spool SET saves = saves")
            for key in keys:
                connection.execute("UPDATE device_update SET checksum = checksum WHERE device = ?", (key,))

    def give_to(self, owner: str) -> None:
        """Have it hold another owner's states from now on."""
        connection = self._open
        with damage(), transaction(self._disk, connection):
            connection.execute("UPDATE spool SET owner = ?", (owner,))
        self.owner = owner

    def tell_spellings_apart(self, key: UuidKey) -> None:
        """Before the first ``read``: the table has said which spellings are one device.

        What was saved before that, under keys that tell more apart, is merged as it is read. Where it was saved under
        that very key there is nothing to merge, so that only the others take memory.
        """
        with damage():
            self.reading.tell_spellings_apart(self._open, key)

    def last_to_arrange(self, least: int, most: int) -> int | None:
        """The version up to which rows may be arranged now; None: they are, or there are fewer than ``least``.

        :param most: how many at one time; what is more is shared out evenly.
        """
        if self.is_old or self.held.devices < least or not self.reading.may_be_arranged:
            return None
        left = self.held.devices
        with damage():
            return self.reading.last_of_next(self._open, ceil(left / ceil(left / most)))

    def devices_to(self, last: int, after: str, most: int) -> list[tuple[str, int]]:
        """Devices behind ``after`` by their names, each with its version, of rows that are not written, up to ``last``.

        :param most: how many.
        """
        with damage():
            return self.reading.devices_to(self._open, last, after, most)

    def arrange(self, last: int, versions: Sequence[int]) -> None:
        """Have the rows up to the version ``last`` read in this order; without any, as they were saved.

        Each row is another device's, so any order is right.
        """
        self.reading.arrange(last, versions)

    def read(self, max_devices: int, max_bytes: int, behind: Chunk | None = None) -> Chunk:
        """The next updates, in the order in which they were saved, or that was arranged.

        :param max_bytes: of documents; one update is read in any case.
        :param behind: what was read, and is not written yet; nothing is behind the last one that was arranged.
        """
        reading = self.reading
        place = reading.place if behind is None else reading.place_behind(behind.last_version, len(behind.updates))
        updates: list[DeviceUpdate] = []
        devices = deliveries = size = 0
        last = reading.read_to
        with damage():
            for version, update, others in () if place is None else reading.rows_from(self._open, place):
                size += len(update.document or b"")
                if updates and (size > max_bytes or len(updates) == max_devices):
                    break
                last = version
                devices += 1
                deliveries += update.deliveries
                for other in others:
                    devices += 1
                    deliveries += other.deliveries
                    update.merge(other)
                updates.append(update)
        return Chunk(self, updates, last, Held(devices, deliveries), place)

    def written(self, chunk: Chunk) -> None:
        """A chunk is in the table, or refused by it. That is remembered until this process ends; the next one writes it
        again, which changes nothing, because nothing newer is written before this file is gone.
        """
        self.reading.written(chunk.last_version, len(chunk.updates))
        self.done += chunk.held

    def find(self, key: str) -> tuple[str, int] | None:
        """``last_seen`` and the kinds of what waits of one device."""
        if self.is_old:
            return None
        select = "SELECT version, last_seen, kinds FROM device_update WHERE device = ?"
        row = self._open.execute(select, (key,)).fetchone()
        return None if row is None or self.reading.is_written(row[0]) else (str(row[1]), int(row[2]))

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise SpoolError(reasons.FILE_CLOSED)
        return self._connection

    def check_pages(self) -> None:
        """Look at every page.

        :raises SpoolDamaged: one is not what it should be, or the disk does not give it.
        """
        (found,) = self._open.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise SpoolDamaged(str(found)[:200])

    def count(self, after: int) -> Held:
        """What there is behind a version, after a look at every row of it."""
        devices = deliveries = 0
        for _, update, _ in self.reading.rows_after(self._open, after):
            devices += 1
            deliveries += update.deliveries
        return Held(devices, deliveries)


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A save of which nobody knows whether it took effect."""

    file: SpoolFile
    saves: int
    total: Held
    updates: Sequence[DeviceUpdate]
    passed_over: Chunk | None = None
    """The chunk of another file that they are from."""
