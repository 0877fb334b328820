"""One file of the spool: the newest state of each device that was saved to it, in the order in which they were saved.

All methods block and raise ``OSError``, ``sqlite3.Error`` or ``SpoolError``; each write is one transaction, on disk
when it returns. A file is filled first and emptied then, never both: while it is emptied, what comes goes to another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..devices.update import DeviceUpdate, UuidKey
from ..telemetry.reasons import spool as reasons
from . import rows
from .contents import Held
from .damage import SpoolDamaged, damage
from .disk import Disk, SpoolError
from .format import APPLICATION_ID, FORMAT, INSERT, MAX_NUMBER, SELECT, SELECT_1, STATE


class SpoolFile:
    """A file that is open."""

    def __init__(self, path: Path, disk: Disk, connection: sqlite3.Connection, *, is_found: bool) -> None:
        self.path = path
        self.is_found = is_found
        """Not made by this process, so nothing in it is trusted."""
        self.is_late = False
        """The table may hold newer states: it turned up while this process ran without it, or has topics given away."""
        self.is_synced = is_found
        """Whether its name is on disk, too."""
        self.generation = 0
        self.read_to = 0
        """The version up to which all is in the table."""
        self.saves = 0
        """How many saves it has had."""
        self.total = Held()
        """What was saved, written or not."""
        self.done = Held()
        """What of it is in the table."""
        self.is_old = False
        """Of the format before this one: it is read only."""
        self.owner = ""
        """Whose states it holds, as a text of ``SpoolOwner``; empty: it does not say."""
        self._disk = disk
        self.identity = disk.identity(path)
        self._connection: sqlite3.Connection | None = connection
        self.order_offset = 0
        """What its newest order is, where another process made it: ours come behind."""
        self._others: dict[int, list[int]] = {}  # of rows that are one device, the other versions by the first
        self._merged: set[int] = set()

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
            with _transaction(disk, connection):
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
                self.count(self.read_to)
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

    def save(self, updates: Sequence[DeviceUpdate]) -> int:
        """Add updates, each merged with what is held of its device. Returns how many deliveries that supersedes."""
        connection = self._open
        superseded = devices = deliveries = 0
        with damage(), _transaction(self._disk, connection):
            for update in updates:
                merged = rows.later(update, self.order_offset)
                devices += 1
                deliveries += update.deliveries
                for version, checksum, *row in connection.execute(f"{SELECT} device = ?", (update.key,)).fetchall():
                    superseded += merged.merge(rows.checked(version, checksum, row, is_found=self.is_found))
                    devices -= 1
                values = rows.values(merged)
                connection.execute(INSERT, (*values, rows.checksum(values)))
            deliveries -= superseded
            connection.execute(
                "UPDATE spool SET saves = ?, devices = devices + ?, deliveries = deliveries + ?",
                (self.saves + 1, devices, deliveries),
            )
        if not self.is_synced:
            self._disk.sync_folder(self.path.parent)
            self.is_synced = True
        self.saves += 1
        self.total += Held(devices, deliveries)
        return superseded

    def save_again(self, keys: Sequence[str]) -> None:
        """Write once more what a save left behind whose sync failed: after such a failure the kernel takes pages for
        written that are not, and would not write them again by itself.
        """
        connection = self._open
        with damage(), _transaction(self._disk, connection):
            connection.execute("UPDATE spool SET saves = saves")
            for key in keys:
                connection.execute("UPDATE device_update SET checksum = checksum WHERE device = ?", (key,))

    def give_to(self, owner: str) -> None:
        """Have it hold another owner's states from now on."""
        connection = self._open
        with damage(), _transaction(self._disk, connection):
            connection.execute("UPDATE spool SET owner = ?", (owner,))
        self.owner = owner

    def tell_spellings_apart(self, key: UuidKey) -> None:
        """Before the first ``read``: the table has said which spellings are one device.

        What was saved before that, under keys that tell more apart, is merged as it is read. Where it was saved under
        that very key there is nothing to merge, so that only the others take memory.
        """
        connection = self._open
        versions: dict[str, list[int]] = {}
        with damage():
            for version, device, uuid in connection.execute(
                "SELECT version, device, uuid FROM device_update WHERE version > ?", (self.read_to,)
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

    def read(self, max_devices: int, max_bytes: int) -> Chunk:
        """The next updates, in the order in which they were saved.

        :param max_bytes: of documents; one update is read in any case.
        """
        updates: list[DeviceUpdate] = []
        devices = deliveries = size = 0
        last = self.read_to
        with damage():
            for version, update, others in self._rows(self.read_to):
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
        return Chunk(self, updates, last, Held(devices, deliveries))

    def written(self, chunk: Chunk) -> None:
        """A chunk is in the table, or refused by it. That is remembered until this process ends; the next one writes it
        again, which changes nothing, because nothing newer is written before this file is gone.
        """
        self.read_to = chunk.last_version
        self.done += chunk.held

    def find(self, key: str) -> tuple[str, int] | None:
        """``last_seen`` and the kinds of what waits of one device."""
        select = "SELECT last_seen, kinds FROM device_update WHERE device = ? AND version > ?"
        row = None if self.is_old else self._open.execute(select, (key, self.read_to)).fetchone()
        return None if row is None else (str(row[0]), int(row[1]))

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise SpoolError(reasons.FILE_CLOSED)
        return self._connection

    def _rows(self, after: int) -> Iterator[tuple[int, DeviceUpdate, list[DeviceUpdate]]]:
        """Versions and updates, and what else is saved of the same device under other spellings."""
        connection = self._open
        select = SELECT_1 if self.is_old else SELECT
        checked = rows.checked_1 if self.is_old else partial(rows.checked, is_found=self.is_found)
        for version, checksum, *row in connection.execute(f"{select} version > ? ORDER BY version", (after,)):
            if version in self._merged:
                continue
            others = []
            for other in self._others.get(version, ()):
                found = connection.execute(f"{select} version = ?", (other,)).fetchone()
                others.append(checked(found[0], found[1], found[2:]))
            yield version, checked(version, checksum, row), others

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
        for _, update, _ in self._rows(after):
            devices += 1
            deliveries += update.deliveries
        return Held(devices, deliveries)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Updates of a file that are to be written next."""

    file: SpoolFile
    updates: list[DeviceUpdate]
    last_version: int
    held: Held
    """What it is of what the file holds; more than ``updates`` where spellings of one device were merged."""


@contextmanager
def _transaction(disk: Disk, connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        disk.commit(connection)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
