"""What the writer and the sweep need of a store, and the words they share: the seam between data path and SQL.

A store is whatever keeps the table of devices: ``DeviceTable`` in MySQL or MariaDB, ``MemoryTable`` for tests, the
demonstration's in SQLite. What is said of a table here holds for each of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from ..devices.update import DeviceUpdate


@dataclass(frozen=True, slots=True)
class TableDescription:
    """What a table says about itself that the rules for reports, and who is who, depend on."""

    status_length: int
    """Characters that fit ``device_status``."""
    same_characters: Mapping[str, str] = field(default_factory=dict)
    """For each character of a topic level that the ``uuid`` column holds equal to another one, the one that stands for
    both; the server was asked. Empty: it tells them all apart."""
    status_words: frozenset[str] | None = None
    """What ``device_status`` may hold where it is an ENUM or a SET, which would take a text of digits for the place of
    a value; None: any text."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed write found out about the rows; of each update its ``uuid``, spelled as it was written."""

    unknown: frozenset[str] = frozenset()
    """Those that have no row."""
    newer: frozenset[str] = frozenset()
    """Their rows were heard later than these updates, so nothing was assigned (only where that was asked for)."""
    shared: frozenset[str] = frozenset()
    """Two or more of them are one row to the server; it has what was heard last."""
    doubled: frozenset[str] = frozenset()
    """They have more than one row; each of the rows was assigned."""


RowKey = Hashable
"""What tells the rows of a table apart and orders them; only the table knows how."""


class SilentDevice(NamedTuple):
    """A row that says online, of a device that was not heard lately."""

    key: RowKey
    uuid: str
    """As the row has it, or, where no topic level is written so, as a device spells it that equals it."""
    last_seen: str | None
    """As in ``DeviceUpdate``; None: never."""


class PieceRead(NamedTuple):
    """What a sweep has to know about some rows that stand one behind the other."""

    silent: list[SilentDevice]
    """In the order of their keys."""
    earliest: str | None
    """The earliest ``last_seen`` of the others that say online; None: there are none."""
    reached: RowKey | None
    """The last row that was looked at, where there may be more behind it; None: there are none."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Which ``last_seen`` mean silence; times as in ``DeviceUpdate``."""

    cutoff: str
    """A ``last_seen`` before this means silence, as does none at all."""
    future: str
    """So does one after this: it was written by a wrong clock, or in another zone."""


class Store(Protocol):
    """A table of devices. It is only ever updated: no row is added or removed, no other column changes."""

    def describe(self) -> Deferred[TableDescription]:
        """Connect and check that the table can be served.

        :raises StoreError: it cannot, now.
        """
        ...

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        """Assign the columns of each update in its device's row, all in one transaction, and commit it.

        Which row is a device's, and which two updates are for one row, the server decides by the collation of its
        column. Updates of one row are assigned in their order (``DeviceUpdate.merge``).

        :param unless_heard_until: a time as in ``DeviceUpdate``. Given for updates that somebody else may have left
            behind: a row whose ``last_seen`` is later than its update's, and not later than this, keeps what it holds.
        :raises StoreError: nothing of it is stored, or, where the answer to the COMMIT was lost, perhaps all of it:
            writing the same again is always right.
        """
        ...

    def why_no_times(self, update: DeviceUpdate) -> Deferred[str | None]:
        """Why no other device's row takes the times of this update either; None: at least one does.

        Tells a row that takes no update at all from a table that takes none: tried on a few other rows, those that
        were written last first, in a transaction that is rolled back. Where there is no other row, the table's fault
        is assumed. Returns the column, where it can be told, and the server's words.

        :raises StoreError: it cannot be tried, now.
        """
        ...


Place = Any
"""Where a table keeps a row, as something that sorts as the rows lie; only the table knows how."""


@runtime_checkable
class KnowsPlaces(Protocol):
    """A table in which rows lie in some order, so that it costs less to write neighbours together."""

    def find_places(self, uuids: Sequence[str]) -> Deferred[Sequence[Place | None] | None]:
        """Where the rows of these are, or were just now: a hint, to sort by; no row may be written by it.

        Fires with one for each, None for those that have no row; with None where the table does not tell.

        :raises StoreError: it is away.
        """
        ...


@runtime_checkable
class KnowsLocks(Protocol):
    """A table that tells which of its rows cannot be written now, without waiting for them."""

    def find_locked(self, uuids: Sequence[str]) -> Deferred[frozenset[str]]:
        """Which of these have a row that somebody else's transaction holds locked; none where the table does not tell.

        :raises StoreError: it is away.
        """
        ...


class PresenceStore(Protocol):
    """The same table, as the offline sweep sees it."""

    def find_silent(
        self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
    ) -> Deferred[PieceRead]:
        """Look at rows in the order of their keys, from the one behind ``after`` on and up to ``last``.

        Takes no locks, and examines a few times ``most`` rows in a statement, so that nothing else waits long for it.
        Rows may come and go meanwhile.

        :param after: None: from the first row on.
        :param last: None: up to the last one.
        :param most: rows that are looked at, about.
        :raises StoreError: it cannot be told, now.
        """
        ...

    def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Deferred[frozenset[RowKey]]:
        """Set those of the rows offline that still say online and are still silent; no other column changes.

        The Deferred fires with the keys of those that were set; a row that somebody holds locked may be left alone.

        :raises StoreError: none was.
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


class StoreOvertaken(StoreConflict):
    """Another transaction won, and this one was rolled back: less likely the smaller it is."""


class StoreNotOurs(StoreError):
    """Somebody else may be writing the same rows by now, so nothing was committed: ``standby.proof``."""


class StoreUnavailable(StoreError):
    """The server cannot be reached, or cannot write at the moment."""

    has_others: bool = False
    """Whether another server may answer meanwhile, so that it is worth trying again soon."""


class StoreMisconfigured(StoreError):
    """The server answers, but rights or schema do not allow the write: somebody must mend it."""


class StoreLoginRefused(StoreMisconfigured):
    """The server does not let this user in, or not into this database."""


class StoreRefused(StoreError):
    """The server lives, and says no to what was sent. What of it is at fault, is found by sending less."""

    def __init__(self, reason: str, *, is_certain: bool = True) -> None:
        """:param is_certain: the error is known to be about a value; else the same may well work the next time."""
        super().__init__(reason)
        self.is_certain = is_certain
