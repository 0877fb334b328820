"""Whose fault it is that a row takes no update at all: its own, or the table's? Other rows tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pymysql

from ..devices.update import DeviceUpdate
from ..telemetry.reasons import database as reasons
from .contract import StoreConflict, StoreError, StoreRefused, StoreUnavailable, Written
from .errors import error_words, known_meaning
from .session import short_lock_waits
from .statements import TableShape, quote

MAX_OTHERS = 10


class LastWritten:
    """Devices that have a row and were written last."""

    def __init__(self) -> None:
        self._devices: dict[str, None] = {}

    @property
    def devices(self) -> list[str]:
        """The last one first."""
        return [*reversed(list(self._devices))]

    def remember(self, updates: Sequence[DeviceUpdate], written: Written) -> None:
        """These were written last."""
        for update in updates[-MAX_OTHERS:]:
            if update.uuid not in written.unknown:
                self._devices.pop(update.uuid, None)
                self._devices[update.uuid] = None
        while len(self._devices) > MAX_OTHERS + 1:  # one may be the device itself
            del self._devices[next(iter(self._devices))]


def why_no_times(
    connection: Any, shape: TableShape, update: DeviceUpdate, written: Iterable[str], refusal: str
) -> str | None:
    """See ``Store.why_no_times``.

    :param written: the devices that were written last, the last one first.
    :param refusal: the server's words about the device's own row.
    :raises StoreConflict: every other row is locked.
    :raises pymysql.err.Error: the server takes nothing now.
    """
    if not shape.can_roll_back:
        return None  # another row would keep what is tried on it
    columns = {"last_seen": quote(update.last_seen), "is_online": str(int(update.is_online))}
    if update.last_heartbeat is not None:
        columns["last_heartbeat"] = quote(update.last_heartbeat)
    refused = None
    locked = ""
    unable: pymysql.err.Error | None = None
    with connection.cursor() as cursor, short_lock_waits(cursor):
        try:
            own = f"COALESCE(d.uuid = {_uuid(shape, update.uuid)}, FALSE)"
            for other in islice(_others(cursor, shape, own, written), MAX_OTHERS):
                row = f"d.uuid = {_uuid(shape, other)} AND NOT {own}"
                try:
                    matched = _assign(connection, shape, row, columns)
                except pymysql.err.Error as error:
                    about = _about(error)
                    if not connection.open:
                        raise
                    if about is StoreConflict:
                        locked = error_words(error)
                    elif about is StoreRefused:
                        refused = refused or (row, error_words(error))
                    else:
                        unable = error  # if no other row takes anything, either
                else:
                    if matched:
                        return None
            if unable is not None:
                raise unable
            if refused is not None:
                return _at_fault(connection, shape, *refused, columns)
        finally:
            if connection.open:
                connection.rollback()
    if locked:
        raise StoreConflict(locked)
    return refusal or reasons.NO_OTHER_ROW


def does_any_row_take(connection: Any, shape: TableShape | None, written: Iterable[str]) -> bool:
    """Whether some row is seen to take an update now, of what it holds: so nothing changes, whatever rolls back.

    :param written: the devices that were written last.
    """
    if shape is None:
        return False
    columns = {"last_seen": "d.last_seen", "is_online": "d.is_online"}
    with contextlib.suppress(pymysql.err.Error), connection.cursor() as cursor, short_lock_waits(cursor):
        try:
            for other in islice(_others(cursor, shape, "FALSE", written), MAX_OTHERS):
                with contextlib.suppress(pymysql.err.Error):
                    if _assign(connection, shape, f"d.uuid = {_uuid(shape, other)}", columns):
                        return True
        finally:
            if connection.open:
                connection.rollback()
    return False


def _others(cursor: Any, shape: TableShape, own: str, written: Iterable[str]) -> Iterator[object]:
    yield from written
    cursor.execute(f"SELECT d.uuid FROM {shape.target} WHERE NOT {own} LIMIT {MAX_OTHERS}")  # noqa: S608
    for (uuid,) in cursor.fetchall():
        yield uuid


def _at_fault(connection: Any, shape: TableShape, row: str, words: str, columns: dict[str, str]) -> str:
    """The column that is refused when it is assigned alone, with the server's words."""
    for column, value in columns.items():
        try:
            _assign(connection, shape, row, {column: value})
        except pymysql.err.Error as error:
            about = _about(error)
            if not connection.open or about is StoreUnavailable:
                raise
            if about is StoreRefused:
                return reasons.AT_COLUMN.fill(column=column, reason=error_words(error))
    return words


def _assign(connection: Any, shape: TableShape, row: str, columns: dict[str, str]) -> int:
    assignments = ", ".join(f"d.{column} = {value}" for column, value in columns.items())
    matched: int = connection.query(f"UPDATE {shape.target} SET {assignments} WHERE {row}{shape.most}")  # noqa: S608
    return matched


def _about(error: pymysql.err.Error) -> type[StoreError]:
    """``StoreRefused``: the row; ``StoreConflict``: its lock, which says nothing of what it takes; else all rows."""
    known = known_meaning(error)
    if known is None or issubclass(known, StoreRefused | StoreConflict):
        return StoreConflict if known is StoreConflict else StoreRefused
    return StoreUnavailable


def _uuid(shape: TableShape, uuid: object) -> str:
    return shape.uuid_in_list.format(f"X'{uuid.hex()}'" if isinstance(uuid, bytes) else quote(str(uuid)))
