"""A file that holds what was acknowledged while the database was away: the newest state of each device.

It is there only while it holds something. All calls block and belong to one thread; each is one transaction, on disk
when it returns.

Rows leave the spool in the order of their versions, and a device that is saved again gets a new version. So one number,
up to which version all is written, says what the spool still holds, and removing what was written overwrites two pages
in place, which works on a full disk too. When nothing is left the file is deleted, which needs no room either.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from ..devices.update import DeviceUpdate

A = TypeVar("A")
T = TypeVar("T")

FORMAT = 1
"""Of the file, as SQLite's ``user_version``; raise it when the columns change their meaning."""
APPLICATION_ID = 0x61696F74
MOST_BYTES = 1024 * 1024 * 1024
"""Of the file. A fleet's states take far less; who invents device names must not fill the disk."""
LOCK_TIMEOUT = 5.0  # s to wait for another process that has the file open
PAGE = 4096  # bytes
SYNCHRONOUS = "FULL"

_SCHEMA = """
CREATE TABLE device_update (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL UNIQUE,
    uuid TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    document BLOB,
    status TEXT,
    last_seen TEXT NOT NULL,
    last_heartbeat TEXT,
    is_online INTEGER NOT NULL,
    checksum INTEGER NOT NULL
)"""
_COLUMNS = "uuid, kinds, document, status, last_seen, last_heartbeat, is_online"
_INSERT = f"INSERT OR REPLACE INTO device_update (device, {_COLUMNS}, checksum) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608
_SELECT = f"SELECT version, checksum, {_COLUMNS} FROM device_update WHERE"  # noqa: S608

Values = tuple[str, int, bytes | None, str | None, str, str | None, int]


class SpoolError(Exception):
    """The disk did not take or give something; the text says why, fit to be logged. Nothing of the call is done."""


class SpoolDamaged(SpoolError):
    """The file is not what was written to it; the next call begins with ``open``."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of some updates."""

    versions: list[int]
    """Of each update's row, in their order."""
    superseded: int
    """Deliveries of older rows that newer ones took the place of."""
    devices: int
    """How many more are held now."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found on disk."""

    devices: int
    deliveries: int
    set_aside: Path | None
    """Where a damaged file is now."""


class Spool:
    """Device updates on disk. A call that fails leaves what the spool held as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._written_to = 0
        self._written: set[int] = set()
        self._newest = 0

    @property
    def _journal(self) -> Path:
        return self.path.with_name(self.path.name + "-journal")

    def open(self) -> Opened:
        """Check the file, should there be one, and that the disk can take one.

        :raises SpoolError: the disk can not, or another process has the file open.
        """
        set_aside = None
        self._written.clear()
        try:
            held = self._try(self._check)
        except SpoolDamaged:
            set_aside = self._set_aside()
            held = self._try(self._check)
        if not held[0]:
            self._try(self._delete)
        return Opened(*held, set_aside)

    def close(self) -> None:
        """Close the file; it stays, with what it holds."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def save(self, updates: Sequence[DeviceUpdate]) -> Saved:
        """Add updates, each over what is held of its device.

        :raises SpoolError: none was added.
        """
        return self._try(lambda: self._in_transaction(self._save, updates))

    def read(self, most: int, most_bytes: int) -> list[DeviceUpdate]:
        """The first updates that are not written yet, in the order of their versions.

        :param most_bytes: of documents; one update is read in any case.
        :raises SpoolError: they cannot be read.
        """
        return self._try(lambda: self._read(most, most_bytes)) if self._exists() else []

    def written(self, updates: Sequence[DeviceUpdate]) -> frozenset[int]:
        """These are in the table now: ``read`` gives them no more, in this process.

        :return: the versions of those that were not saved anew meanwhile.
        :raises SpoolError: it cannot be told which.
        """
        versions = self._try(lambda: self._current(updates))
        self._written.update(update.spool_version for update in updates)
        return versions

    def forget_written(self) -> None:
        """Make ``written`` hold for the next process too.

        :raises SpoolError: the disk does not take it.
        """
        if self._exists():
            self._try(self._forget_written)

    # What follows raises sqlite3.Error and OSError.

    def _try(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except SpoolDamaged:
            self.close()
            raise
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:  # "malformed", "not a database"; the others are of subclasses
                self.close()
                raise SpoolDamaged(f"{self.path}: {error}") from error
            # SQLite's "database is locked" would be taken for the database.
            reason = "another process has it open" if "locked" in str(error) else error
            raise SpoolError(f"{self.path}: {reason}") from error
        except OSError as error:
            raise SpoolError(f"{self.path}: {error.strerror or error}") from error

    def _exists(self) -> bool:
        return self._connection is not None or self.path.exists()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        is_new = not self.path.exists()
        # SQLite would make it readable by others; the journal takes after it.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
        connection = sqlite3.connect(self.path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # a second instance must not empty it as well
            # Keeps the journal's blocks, so that overwriting a few pages needs no room; and unlike a journal that is
            # deleted, one that is zeroed and synced cannot come back after a power cut and undo a commit.
            connection.execute("PRAGMA journal_mode=PERSIST")
            connection.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
            connection.execute("BEGIN EXCLUSIVE")
            if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                self._create(connection)
            connection.execute("COMMIT")
            connection.execute(f"PRAGMA max_page_count={MOST_BYTES // PAGE}")
            found = connection.execute("PRAGMA application_id").fetchone()[0], self._format(connection)
            if found != (APPLICATION_ID, FORMAT):
                raise SpoolDamaged(f"{self.path}: not a spool of this version")
            self._written_to = connection.execute("SELECT version FROM written_to").fetchone()[0]
            if is_new:
                self._sync_folder()
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute(_SCHEMA)
        # Not from 1 again: somebody may still hold an update with a version of the file before.
        connection.execute("INSERT INTO sqlite_sequence VALUES ('device_update', ?)", (self._newest,))
        connection.execute("CREATE TABLE written_to (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO written_to VALUES (0)")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT}")

    @staticmethod
    def _format(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def _check(self) -> tuple[int, int]:
        """How many devices and deliveries there are, after a look at every page and every row."""
        connection = self._connected()
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise SpoolDamaged(f"{self.path}: {found}")
        devices = deliveries = 0
        for row in self._rows(self._written_to):
            devices += 1
            deliveries += row.deliveries
        return devices, deliveries

    def _set_aside(self) -> Path:
        """:raises SpoolError: it cannot be renamed."""
        stem = f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
        names = (self.path.with_name(stem + suffix) for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
        aside = next(name for name in names if not name.exists())

        def rename() -> Path:
            self.path.rename(aside)
            with contextlib.suppress(FileNotFoundError):
                self._journal.rename(aside.with_name(aside.name + "-journal"))
            self._sync_folder()
            return aside

        return self._try(rename)

    def _delete(self) -> None:
        self.close()
        self._written.clear()
        self._written_to = 0
        for path in (self.path, self._journal):
            path.unlink(missing_ok=True)
        self._sync_folder()

    def _sync_folder(self) -> None:
        """So that a name that came or went does so after a power cut, too."""
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _in_transaction(self, work: Callable[[sqlite3.Connection, A], T], argument: A) -> T:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection, argument)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _save(self, connection: sqlite3.Connection, updates: Sequence[DeviceUpdate]) -> Saved:
        versions: list[int] = []
        superseded = devices = 0
        for update in updates:
            merged = _update(_values(update))
            devices += 1
            for version, checksum, *values in connection.execute(f"{_SELECT} device = ?", (update.key,)):
                if not self._is_written(version):
                    superseded += merged.lay_over(self._checked(version, checksum, values))
                    devices -= 1
            row = (update.key, *_values(merged))
            cursor = connection.execute(_INSERT, (*row, _checksum(row[1:])))
            assert cursor.lastrowid is not None
            self._newest = cursor.lastrowid
            versions.append(cursor.lastrowid)
        return Saved(versions, superseded, devices)

    def _is_written(self, version: int) -> bool:
        return version <= self._written_to or version in self._written

    def _rows(self, after: int) -> Iterator[DeviceUpdate]:
        rows = self._connected().execute(f"{_SELECT} version > ? ORDER BY version", (after,))
        for version, checksum, *values in rows:
            yield self._checked(version, checksum, values)

    def _checked(self, version: int, checksum: int, values: Sequence[object]) -> DeviceUpdate:
        if _checksum(values) != checksum:
            raise SpoolDamaged(f"{self.path}: row {version} is not what was written")
        update = _update(values)
        update.spool_version = version
        return update

    def _read(self, most: int, most_bytes: int) -> list[DeviceUpdate]:
        updates: list[DeviceUpdate] = []
        size = 0
        for update in self._rows(self._written_to):
            if self._is_written(update.spool_version):
                continue
            size += len(update.document or b"")
            if updates and (size > most_bytes or len(updates) == most):
                break
            updates.append(update)
        return updates

    def _current(self, updates: Sequence[DeviceUpdate]) -> frozenset[int]:
        connection = self._connected()
        return frozenset(
            update.spool_version
            for update in updates
            if connection.execute("SELECT 1 FROM device_update WHERE version = ?", (update.spool_version,)).fetchone()
        )

    def _forget_written(self) -> None:
        connection = self._connected()
        newest = self._written_to
        for (version,) in connection.execute(
            "SELECT version FROM device_update WHERE version > ? ORDER BY version", (self._written_to,)
        ):
            if version not in self._written:
                break
            newest = version
        else:
            self._delete()
            return
        if newest > self._written_to:
            self._in_transaction(self._move_written_to, newest)
            self._written_to = newest
            self._written = {version for version in self._written if version > newest}

    def _move_written_to(self, connection: sqlite3.Connection, version: int) -> None:
        connection.execute("UPDATE written_to SET version = ?", (version,))


def _values(update: DeviceUpdate) -> Values:
    return (
        update.uuid,
        update.kinds,
        update.document,
        update.status,
        update.last_seen,
        update.last_heartbeat,
        int(update.is_online),
    )


def _update(values: Sequence[Any]) -> DeviceUpdate:
    update = DeviceUpdate(values[0], values[0].lower())
    update.kinds, update.document, update.status, update.last_seen, update.last_heartbeat = values[1:6]
    update.is_online = bool(values[6])
    return update


def _checksum(values: Sequence[object]) -> int:
    """SQLite notices a broken page, but not a changed value."""
    return crc32(repr(tuple(values)).encode())
