"""A table in SQLite that keeps the ``Store`` contract: for a first look and fast tests, where there is no MySQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from aiot_mqtt.devices.update import COLUMNS, DeviceUpdate
from aiot_mqtt.table.contract import (
    PieceRead,
    RowKey,
    Silence,
    SilentDevice,
    StoreConflict,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    TableDescription,
    Written,
)
from aiot_mqtt.table.matching import sort_out

T = TypeVar("T")

STATUS_LENGTH = 20
_CREATE = f"""
CREATE TABLE device_main (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE COLLATE NOCASE,
    device_status TEXT NOT NULL DEFAULT 'pending' CHECK (length(device_status) <= {STATUS_LENGTH}),
    is_online INTEGER NOT NULL DEFAULT 0,
    last_seen TEXT,
    last_heartbeat TEXT,
    last_report_data TEXT CHECK (last_report_data IS NULL OR json_valid(last_report_data))
)"""
_ASSIGNMENTS = ", ".join(f"{column} = COALESCE(:{name}, {column})" for name, column in COLUMNS.items())
_UPDATE = f"UPDATE device_main SET {_ASSIGNMENTS} WHERE uuid = :uuid"  # noqa: S608
_IS_SILENT = "is_online = 1 AND (last_seen IS NULL OR last_seen < ? OR last_seen > ?)"
_ROW = "SELECT id, last_seen > ? AND last_seen <= ? FROM device_main WHERE uuid = ?"


def create_device_table(path: Path, uuids: Iterable[str]) -> None:
    """Make a new file with a row for each device, as the owner of the table would: the service only updates."""
    connection = sqlite3.connect(path)
    with connection:
        # So that a reader of the table never holds up the writer.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(_CREATE)
        connection.executemany("INSERT INTO device_main (uuid) VALUES (?)", [(uuid,) for uuid in uuids])
    connection.close()


class SqliteTable(Service):
    """The table in a file. One thread holds the one connection, so that the reactor never waits for the disk."""

    _pool: adbapi.ConnectionPool | None = None

    def __init__(self, path: Path, reactor: Any) -> None:
        """:param path: a file that ``create_device_table`` made."""
        self._path = path
        self._reactor = reactor

    def __str__(self) -> str:
        return str(self._path)

    def startService(self) -> None:
        """Make the pool; its connection is opened by the first use."""
        super().startService()
        self._pool = adbapi.ConnectionPool(
            "sqlite3",
            # Never makes the file: a path that is wrong is told, not filled.
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            check_same_thread=False,  # the pool closes it from another one
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=1,
            cp_openfun=lambda connection: connection.execute("PRAGMA synchronous = FULL"),
        )

    def stopService(self) -> Deferred[None]:
        """Close the connection."""
        super().stopService()
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        return succeed(None)

    def describe(self) -> Deferred[TableDescription]:
        """See ``Store``."""
        described = self._run(lambda cursor: cursor.execute("SELECT uuid FROM device_main LIMIT 1"))
        return described.addCallback(
            lambda _cursor: TableDescription(STATUS_LENGTH, dict(zip(ascii_uppercase, ascii_lowercase, strict=True)))
        )

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        """See ``Store``."""
        return self._run(_write, updates, unless_heard_until)

    def why_no_times(self, update: DeviceUpdate) -> Deferred[str | None]:
        """See ``Store``; a column of SQLite takes every time, so another row always does."""
        return self._run(_why_no_times, update)

    def find_silent(
        self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
    ) -> Deferred[PieceRead]:
        """See ``PresenceStore``."""
        return self._run(_find_silent, silence, after, last, most)

    def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Deferred[frozenset[RowKey]]:
        """See ``PresenceStore``."""
        return self._run(_set_offline, keys, silence)

    def _run(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        assert self._pool is not None, "not started"
        running: Deferred[T] = self._pool.runInteraction(work, *arguments)
        return running.addErrback(_translate)


def _write(cursor: sqlite3.Cursor, updates: Sequence[DeviceUpdate], unless_heard_until: str | None) -> Written:
    rows: dict[int, list[object]] = {}
    heard_later: set[int] = set()
    cursor.execute("BEGIN IMMEDIATE")
    for number, update in enumerate(updates):
        cursor.execute(_ROW, (update.last_seen, unless_heard_until, update.uuid))
        for identity, is_later in cursor.fetchall():
            rows[number] = [identity]
            if is_later:
                heard_later.add(number)
    rest, written = sort_out(updates, rows, heard_later)
    for update in rest:
        values = {name: getattr(update, name) for name in ("uuid", *COLUMNS)}
        if update.document is not None:
            values["document"] = update.document.decode()
        cursor.execute(_UPDATE, values)
    return written


def _why_no_times(cursor: sqlite3.Cursor, update: DeviceUpdate) -> str | None:
    cursor.execute("SELECT 1 FROM device_main WHERE uuid <> ? LIMIT 1", (update.uuid,))
    return None if cursor.fetchone() else "there is no other row to try it on"


def _find_silent(
    cursor: sqlite3.Cursor, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
) -> PieceRead:
    rows = cursor.execute(
        "SELECT id, uuid, last_seen, is_online FROM device_main"
        " WHERE (id > :after OR :after IS NULL) AND (id <= :last OR :last IS NULL) ORDER BY id LIMIT :most",
        {"after": after, "last": last, "most": most},
    ).fetchall()
    online = [SilentDevice(key, uuid, last_seen) for key, uuid, last_seen, is_online in rows if is_online]
    heard = [row.last_seen for row in online if row.last_seen and silence.cutoff <= row.last_seen <= silence.future]
    silent = [row for row in online if not row.last_seen or not silence.cutoff <= row.last_seen <= silence.future]
    return PieceRead(silent, min(heard, default=None), rows[-1][0] if len(rows) == most else None)


def _set_offline(cursor: sqlite3.Cursor, keys: Sequence[RowKey], silence: Silence) -> frozenset[RowKey]:
    chosen = f"id IN ({', '.join(map(str, keys))})"
    cursor.execute(
        f"UPDATE device_main SET is_online = 0 WHERE {chosen} AND {_IS_SILENT} RETURNING id",  # noqa: S608
        (silence.cutoff, silence.future),
    )
    return frozenset(row[0] for row in cursor.fetchall())


def _translate(failure: Failure) -> Failure:
    """Say what a failure means, in the words the writer understands."""
    error = failure.value
    if not isinstance(error, sqlite3.Error):
        return failure
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        raise StoreRefused(text) from error
    if "locked" in text:
        raise StoreConflict(text) from error
    if text.startswith("no such"):
        raise StoreMisconfigured(text) from error
    raise StoreUnavailable(text) from error
