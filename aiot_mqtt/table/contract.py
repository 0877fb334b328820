"""What the writer needs of a table, and the words the two share: the seam between the data path and SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred


class DeviceUpdate:
    """The columns to assign in one device's row: the newest state of each, merged from its reports."""

    __slots__ = ("document", "is_online", "kinds", "last_heartbeat", "last_seen", "spool_version", "status", "uuid")

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        """The device as it last spelled itself; the table's collation decides what equals it."""
        self.kinds = 0
        """The kinds of report merged here, as a set of the bits of ``report``."""
        self.document: bytes | None = None
        """``last_report_data`` as JSON text in UTF-8; None leaves the column alone."""
        self.status: str | None = None
        """``device_status``; None leaves the column alone."""
        self.last_seen = ""
        """``YYYY-MM-DD HH:MM:SS`` in the table's time zone; always assigned."""
        self.last_heartbeat: str | None = None
        """The same form; None leaves the column alone."""
        self.is_online = True
        """Always assigned."""
        self.spool_version = 0
        """The version of its row in the spool, which then counts its deliveries; 0: it is not there."""

    @property
    def key(self) -> str:
        """What is the same for two spellings of one device.

        Lower-cased, so that a batch never holds two rows for one device: of two rows MariaDB would apply the last,
        MySQL the first.
        """
        return self.uuid.lower()

    @property
    def deliveries(self) -> int:
        """How many deliveries ride on this update: one for each kind."""
        return self.kinds.bit_count()

    def lay_over(self, older: DeviceUpdate) -> int:
        """Take over what an older update of the same device assigns and this one does not.

        :return: how many of the older one's deliveries that supersedes.
        """
        superseded = (self.kinds & older.kinds).bit_count()
        self.kinds |= older.kinds
        if self.document is None:
            self.document = older.document
        if self.status is None:
            self.status = older.status
        if self.last_heartbeat is None:
            self.last_heartbeat = older.last_heartbeat
        return superseded

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"DeviceUpdate({columns})"


@dataclass(frozen=True, slots=True)
class TableDescription:
    """What a table says about itself that the rules for reports depend on."""

    status_length: int
    """Characters that fit ``device_status``."""


def table_time(seconds: float, zone: tzinfo) -> str:
    """A time as the table's columns hold it: ``YYYY-MM-DD HH:MM:SS``, naive, in the table's zone.

    Whole seconds, truncated: MySQL would round half ones up. :param seconds: since the epoch.
    """
    return datetime.fromtimestamp(int(seconds), zone).strftime("%Y-%m-%d %H:%M:%S")


class SilentDevice(NamedTuple):
    """A row that says online, of a device that was not heard lately."""

    id: int
    uuid: str
    last_seen: str | None
    """As in ``DeviceUpdate``; None: never."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Which ``last_seen`` mean silence; times as in ``DeviceUpdate``."""

    cutoff: str
    """Earlier ones, and none at all."""
    future: str
    """Later ones: written by a wrong clock, or in another zone."""


class Store(Protocol):
    """A table of devices. It is only ever updated: no row is added or removed, no other column changes."""

    def describe(self) -> Deferred[TableDescription]:
        """Connect and check that the table can be served.

        :raises StoreError: it cannot, now.
        """
        ...

    def write(self, updates: Sequence[DeviceUpdate]) -> Deferred[frozenset[str]]:
        """Assign the columns of each update in its device's row, all in one transaction, and commit it.

        No two updates may be for one device. The Deferred fires with the ``uuid`` of those that have no row.

        :raises StoreError: nothing of it is stored, or, where the answer to the COMMIT was lost, perhaps all of it:
            writing the same again is always right.
        """
        ...


class PresenceStore(Protocol):
    """The same table, as the offline sweep sees it."""

    def find_silent(self, silence: Silence, after_id: int, most: int) -> Deferred[list[SilentDevice]]:
        """Rows that say online and are silent, in the order of their ids, from the one behind ``after_id`` on.

        Takes no locks. :raises StoreError: it cannot be told, now.
        """
        ...

    def set_offline(self, ids: Sequence[int], silence: Silence) -> Deferred[frozenset[int]]:
        """Set those of the rows offline that still say online and are still silent; no other column changes.

        The Deferred fires with the ids of those that were set. :raises StoreError: none was.
        """
        ...


class StoreService(Store, PresenceStore, Protocol):
    """The table as a Twisted ``Service``, so that it starts and stops with the others."""

    def setServiceParent(self, parent: Any) -> Any:
        """See ``IService``."""
        ...

    def stopService(self) -> Any:
        """See ``IService``."""
        ...


class StoreError(Exception):
    """The table did not take a write. The text is the driver's own words, fit to be logged."""


class StoreConflict(StoreError):
    """Another transaction was in the way (a deadlock, a lock wait): trying again soon is likely to work."""


class StoreUnavailable(StoreError):
    """The server cannot be reached, or cannot write at the moment."""


class StoreMisconfigured(StoreError):
    """The server answers, but rights or schema do not allow the write: somebody must mend it."""


class StoreLoginRefused(StoreMisconfigured):
    """The server does not let this user in, or not into this database."""


class StoreRefused(StoreError):
    """The server refuses what one of the updates holds; the same update will be refused again."""
