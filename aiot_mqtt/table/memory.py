"""A table in memory that keeps the ``Store`` contract: for tests, here and in programs built on this package."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase

from twisted.internet.defer import Deferred, execute

from ..devices.update import COLUMNS, DeviceUpdate, uuid_key
from .contract import (
    PieceRead,
    Place,
    RowKey,
    Silence,
    SilentDevice,
    StoreConflict,
    StoreError,
    StoreRefused,
    TableDescription,
    Written,
)


@dataclass(frozen=True, slots=True)
class Row:
    """The columns this service writes, with the defaults of the real table."""

    last_report_data: str | None = None
    device_status: str = "pending"
    last_seen: str | None = None
    last_heartbeat: str | None = None
    is_online: bool = False


class MemoryTable:
    """Rows by ``uuid``, which compares without regard to case as the real table's collation does, or exactly."""

    def __init__(self, uuids: Sequence[str] = (), *, status_length: int = 20, tells_case: bool = False) -> None:
        """:param tells_case: whether two spellings of a ``uuid`` are two devices."""
        self._same_characters = {} if tells_case else dict(zip(ascii_uppercase, ascii_lowercase, strict=True))
        self.key = uuid_key(self._same_characters)
        self.rows = {self.key(uuid): Row() for uuid in uuids}
        self.status_length = status_length
        self.failures: list[StoreError] = []
        """Raised by the next calls, one each, first come first."""
        self.writes: list[list[str]] = []
        """The devices of each committed write."""
        self.locked: set[str] = set()
        """Keys of rows that somebody else holds."""

    def describe(self) -> Deferred[TableDescription]:
        """See ``Store``."""
        return execute(self._describe)

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        """See ``Store``."""
        return execute(self._write, updates, unless_heard_until)

    def why_no_times(self, update: DeviceUpdate) -> Deferred[str | None]:
        """See ``Store``; the rows of this table take all times."""
        return execute(self._why_no_times, update)

    def find_places(self, uuids: Sequence[str]) -> Deferred[list[Place | None] | None]:
        """See ``KnowsPlaces``; rows lie as they were added."""
        return execute(self._find_places, uuids)

    def find_locked(self, uuids: Sequence[str]) -> Deferred[frozenset[str]]:
        """See ``KnowsLocks``."""
        return execute(lambda: frozenset(uuid for uuid in uuids if self.key(uuid) in self.locked))

    def find_silent(
        self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
    ) -> Deferred[PieceRead]:
        """See ``PresenceStore``; rows are ordered by their keys."""
        return execute(self._find_silent, silence, after, last, most)

    def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Deferred[frozenset[RowKey]]:
        """See ``PresenceStore``."""
        return execute(self._set_offline, keys, silence)

    def _find_places(self, uuids: Sequence[str]) -> list[Place | None]:
        self._fail()
        places = {key: place for place, key in enumerate(self.rows)}
        return [places.get(self.key(uuid)) for uuid in uuids]

    def _find_silent(self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int) -> PieceRead:
        self._fail()
        keys = sorted(self.rows)
        begin = 0 if after is None else bisect_right(keys, str(after))
        keys = keys[begin : None if last is None else bisect_right(keys, str(last))]
        rows = {key: self.rows[key] for key in keys[:most]}
        silent = [SilentDevice(key, key, row.last_seen) for key, row in rows.items() if _is_silent(row, silence)]
        others = [row.last_seen or "" for row in rows.values() if row.is_online and not _is_silent(row, silence)]
        reached = keys[most - 1] if len(keys) >= most else None
        return PieceRead(silent, min(others, default=None), reached)

    def _set_offline(self, keys: Sequence[RowKey], silence: Silence) -> frozenset[RowKey]:
        self._fail()
        chosen = set(keys)
        silent: set[RowKey] = {key for key, row in self.rows.items() if key in chosen and _is_silent(row, silence)}
        for key in silent:
            self.rows[str(key)] = replace(self.rows[str(key)], is_online=False)
        return frozenset(silent)

    def _describe(self) -> TableDescription:
        self._fail()
        return TableDescription(self.status_length, self._same_characters)

    def _why_no_times(self, update: DeviceUpdate) -> str | None:
        self._fail()
        return "there is no other row" if set(self.rows) <= {self.key(update.uuid)} else None

    def _write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None) -> Written:
        self._fail()
        changed: dict[str, Row] = {}
        unknown, newer = set(), set()
        spellings: dict[str, list[DeviceUpdate]] = {}
        if self.locked.intersection(self.key(update.uuid) for update in updates):
            raise StoreConflict("Lock wait timeout exceeded (1205)")
        for update in updates:
            spellings.setdefault(self.key(update.uuid), []).append(update)
        for key, same in spellings.items():
            names = {update.uuid for update in same}
            row = self.rows.get(key)
            merged = same[0].copy()
            for update in same[1:]:
                merged.merge(update)
            if row is None:
                unknown |= names
            elif unless_heard_until and row.last_seen and merged.last_seen < row.last_seen <= unless_heard_until:
                newer |= names
            elif merged.status is not None and len(merged.status) > self.status_length:
                raise StoreRefused("data too long for column device_status")
            else:
                changed[key] = _assigned(row, merged)
        self.rows.update(changed)
        self.writes.append([update.uuid for update in updates])
        shared = {update.uuid for same in spellings.values() if len(same) > 1 for update in same}
        return Written(frozenset(unknown), frozenset(newer), frozenset(shared - unknown))

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def _is_silent(row: Row, silence: Silence) -> bool:
    last_seen = row.last_seen
    return row.is_online and (last_seen is None or last_seen < silence.cutoff or last_seen > silence.future)


def _assigned(row: Row, update: DeviceUpdate) -> Row:
    values = {name: value for name in COLUMNS if (value := getattr(update, name)) is not None}
    if update.document is not None:
        values["document"] = update.document.decode()
    return replace(row, **{COLUMNS[name]: value for name, value in values.items()})
