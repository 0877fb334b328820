"""A table in memory that keeps the ``Store`` contract: for tests, here and in programs built on this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, execute

from .contract import DeviceUpdate, Silence, SilentDevice, StoreError, StoreRefused, TableDescription


@dataclass(frozen=True, slots=True)
class Row:
    """The columns this service writes, with the defaults of the real table."""

    last_report_data: str | None = None
    device_status: str = "pending"
    last_seen: str | None = None
    last_heartbeat: str | None = None
    is_online: bool = False


class MemoryTable:
    """Rows by ``uuid``, which compares without regard to case as the real table's collation does."""

    def __init__(self, uuids: Sequence[str] = (), *, status_length: int = 20) -> None:
        self.rows = {uuid.lower(): Row() for uuid in uuids}
        self.status_length = status_length
        self.failures: list[StoreError] = []
        """Raised by the next calls, one each, first come first."""
        self.writes: list[list[str]] = []
        """The devices of each committed write."""

    def describe(self) -> Deferred[TableDescription]:
        """See ``Store``."""
        return execute(self._describe)

    def write(self, updates: Sequence[DeviceUpdate]) -> Deferred[frozenset[str]]:
        """See ``Store``."""
        return execute(self._write, updates)

    def find_silent(self, silence: Silence, after_id: int, most: int) -> Deferred[list[SilentDevice]]:
        """See ``PresenceStore``; the id of a row is its place."""
        return execute(self._find_silent, silence, after_id, most)

    def set_offline(self, ids: Sequence[int], silence: Silence) -> Deferred[frozenset[int]]:
        """See ``PresenceStore``."""
        return execute(self._set_offline, ids, silence)

    def _find_silent(self, silence: Silence, after_id: int, most: int) -> list[SilentDevice]:
        self._fail()
        found = [
            SilentDevice(place, uuid, row.last_seen)
            for place, (uuid, row) in enumerate(self.rows.items(), 1)
            if place > after_id and _is_silent(row, silence)
        ]
        return found[:most]

    def _set_offline(self, ids: Sequence[int], silence: Silence) -> frozenset[int]:
        self._fail()
        places = dict(enumerate(self.rows, 1))
        silent = frozenset(place for place in ids if _is_silent(self.rows[places[place]], silence))
        for place in silent:
            self.rows[places[place]] = replace(self.rows[places[place]], is_online=False)
        return silent

    def _describe(self) -> TableDescription:
        self._fail()
        return TableDescription(self.status_length)

    def _write(self, updates: Sequence[DeviceUpdate]) -> frozenset[str]:
        self._fail()
        changed: dict[str, Row] = {}
        unknown = set()
        for update in updates:
            row = self.rows.get(update.uuid.lower())
            if row is None:
                unknown.add(update.uuid)
                continue
            if update.status is not None and len(update.status) > self.status_length:
                raise StoreRefused("data too long for column device_status")
            changed[update.uuid.lower()] = replace(
                row,
                last_report_data=row.last_report_data if update.document is None else update.document.decode(),
                device_status=row.device_status if update.status is None else update.status,
                last_seen=update.last_seen,
                last_heartbeat=update.last_heartbeat or row.last_heartbeat,
                is_online=update.is_online,
            )
        self.rows.update(changed)
        self.writes.append([update.uuid for update in updates])
        return frozenset(unknown)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def _is_silent(row: Row, silence: Silence) -> bool:
    last_seen = row.last_seen
    return row.is_online and (last_seen is None or last_seen < silence.cutoff or last_seen > silence.future)
