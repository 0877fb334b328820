"""A table in memory that keeps the ``Store`` contract: for tests, here and in programs built on this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, execute

from .store import DeviceUpdate, StoreError, StoreRefused, TableDescription


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
