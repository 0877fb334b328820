"""The owner's table as the writer and the offline sweep need it.

A batch is one explicit transaction: the UPDATE is sent, answered, and only then the COMMIT. Never autocommit, never
both at once: a statement left in a frozen server's socket would run after newer ones and move rows back. With the row
locks held, a late COMMIT makes the newer batch wait instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..devices.update import DeviceUpdate
from ..telemetry import log_lines
from ..tls.client import TlsClient
from .address import DatabaseAddress, database_name
from .contract import (
    PieceRead,
    Place,
    RowKey,
    Silence,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    TableDescription,
    Written,
)
from .errors import ABOUT_THE_SHAPE, error_number, meaning
from .fence import Fence
from .matching import find_locked, same_characters
from .nodes import Nodes
from .opening import Opening
from .places import find_places
from .pool import MAX_IDLE, ConnectionPool
from .questions import Questions
from .session import open_session, try_harmless
from .shape import character_as_sql, read_definition, read_shape
from .statements import TableShape
from .sweep import SweepStatements
from .transaction import write_updates
from .trial import LastWritten, does_any_row_take, why_no_times

T = TypeVar("T")

# A server that says nothing for this long is given up. Above innodb_lock_wait_timeout, and with WAIT_TIMEOUT still
# under 90 s: so long a batch is delayed when a connection was cut between UPDATE and COMMIT.
READ_TIMEOUT = 20  # s
# Not more often is the table looked at because of one number: a trigger may say it of each row of some device.
LOOK_APART = 1  # s
LOOK_AGAIN = 60  # s


class DeviceTable(Service, Questions):
    """The owner's table as a ``Store``."""

    _log = Logger()
    _pool: ConnectionPool

    def __init__(
        self,
        address: DatabaseAddress,
        password: str,
        reactor: Any,
        *,
        others: Sequence[DatabaseAddress] = (),
        pool_size: int = 5,
        max_overflow: int = 10,
        pool_recycle: float = 3600,
        read_timeout: float = READ_TIMEOUT,
        fence: Fence | None = None,
    ) -> None:
        """
        :param reactor: an ``IReactorCore`` and ``IReactorFromThreads``.
        :param others: further addresses of the same table, which are tried where the first cannot be written to.
        :param pool_size: connections opened at start.
        :param max_overflow: how many more there may be.
        :param pool_recycle: seconds after which a connection is replaced.
        :param read_timeout: seconds after which a silent server is given up.
        :param fence: asked before each COMMIT of what may not be written any more once somebody else writes.
        """
        self._address = address
        self._reactor = reactor
        self._fence = fence
        self._nodes = Nodes((address, *others), self._in_use_changed)
        opening = Opening(self._nodes, self._open_session)
        self._name = database_name((address, *others))
        self._pool_size = pool_size
        self._is_filled = False
        self._sweep = SweepStatements(address.database, address.table)
        self._max_bytes = 1024 * 1024
        self._shape: TableShape | None = None
        self._sent = 0  # updates, with the last write
        self._is_doubtful = False  # the shape: something was refused that need not be about a value
        self._looked = 0.0  # at the table, in seconds of the monotonic clock
        self._looked_for = (0, 0.0)  # an error's number, and when that was
        self._refusal = ""  # the last one's words
        self._last = LastWritten()
        self._pool_arguments: dict[str, Any] = dict(
            recycle=pool_recycle,
            max_idle=MAX_IDLE if fence is None else fence.max_idle,
            opening=opening,
            meaning=self._meaning,
            limited=self._connections_limited,
            cp_min=pool_size,
            cp_max=pool_size + max_overflow,
            cp_reactor=reactor,
            user=address.user,
            password=password.encode(),  # a str would be sent as Latin-1
            database=address.database,
            charset="utf8mb4",
            # Matched rows, not changed ones: else a row that already holds the values looks like an unknown device.
            client_flag=CLIENT.FOUND_ROWS,
            # PyMySQL's connect_timeout does not cover a server that accepts and then says nothing; these do.
            **opening.timeouts(read_timeout),
        )

    @property
    def tls(self) -> TlsClient | None:
        """What TLS connections to the database are made by; None: they are without."""
        return self._nodes.address.tls

    @property
    def server_in_use(self) -> str | None:
        """Host and port of the one of several servers that is in use, or is tried next; None: there is but one."""
        return self._nodes.address.server if self._nodes.are_several else None

    def startService(self) -> None:
        """Make the pool. Its connections are opened by the first ``describe``."""
        super().startService()
        self._pool = ConnectionPool(**self._pool_arguments)
        self._is_filled = False

    def stopService(self) -> Deferred[None]:
        """Close the connections; fires when the pool's threads have ended, without holding up the reactor.

        A statement under way is cut off: its transaction is rolled back by the server.
        """
        super().stopService()
        return self._pool.end()

    def describe(self) -> Deferred[TableDescription]:
        """Read from the server what the table is like, and, the first time, have the pool's connections opened."""
        return self._run(self._describe).addCallbacks(self._fill_pool, _must_be_mended)

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        """See ``Store.write``."""
        # Guarded, they are right whenever they are written: rows are locked before they are looked at.
        return self._run(self._write, updates, unless_heard_until, is_fenced=unless_heard_until is None)

    def why_no_times(self, update: DeviceUpdate) -> Deferred[str | None]:
        """See ``Store.why_no_times``."""
        return self._run(self._why_no_times, update)

    def find_places(self, uuids: Sequence[str]) -> Deferred[list[Place | None] | None]:
        """See ``KnowsPlaces``."""
        return self._run(lambda each: find_places(each, self._present_shape(each), uuids, self._max_bytes))

    def find_locked(self, uuids: Sequence[str]) -> Deferred[frozenset[str]]:
        """See ``KnowsLocks``."""
        return self._run(lambda each: find_locked(each, self._present_shape(each), uuids, self._max_bytes))

    def find_silent(
        self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
    ) -> Deferred[PieceRead]:
        """See ``PresenceStore``."""
        return self._run(self._sweep.find_silent, silence, after, last, most)

    def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Deferred[frozenset[RowKey]]:
        """See ``PresenceStore``."""
        return self._run(self._sweep.set_offline, keys, silence, is_fenced=True)

    def close_idle(self) -> Deferred[None]:
        """Close connections that were idle for longer than they may be, before the next use of one does."""
        return self._pool.close_idle()

    def _run(self, work: Callable[..., T], *arguments: object, is_fenced: bool = False) -> Deferred[T]:
        if is_fenced and self._fence is not None:
            work = self._fence.around(work)
        return self._pool.runWithConnection(work, *arguments)

    def _fill_pool(self, description: TableDescription) -> TableDescription:
        if not self._is_filled and self.running:
            self._is_filled = True
            self._pool.fill(self._pool_size)
        return description

    def _connections_limited(self, allowed: int, most: int, reason: str) -> None:
        self._log.warn(log_lines.CONNECTIONS_LIMITED, database=self._name, allowed=allowed, most=most, reason=reason)

    def _tell_in_use(self, address: DatabaseAddress, passed: str) -> None:
        if passed:
            self._log.warn(log_lines.DATABASE_CHANGED, server=address.server, reason=passed)
        else:
            self._log.info(log_lines.DATABASE_IN_USE, server=address.server)

    # What follows runs in the pool's threads.

    def _in_use_changed(self, address: DatabaseAddress, passed: str) -> None:
        self._reactor.callFromThread(self._tell_in_use, address, passed)

    def _open_session(self, connection: Any) -> None:
        self._max_bytes = open_session(connection, self._address.table, must_write=self._nodes.are_several)
        if self._fence is not None:
            self._fence.set_up(connection)
        # Some changes make no statement fail, such as another collation. So look again from time to time.
        self._is_doubtful = self._is_doubtful or time.monotonic() - self._looked > LOOK_AGAIN

    def _describe(self, connection: Any) -> TableDescription:
        with connection.opening(), connection.cursor() as cursor:
            shape = self._read_shape(cursor)
            same = same_characters(cursor, character_as_sql(shape))
        return TableDescription(shape.status_length, same, shape.status_words)

    def _read_shape(self, cursor: Any) -> TableShape:
        """Look at the table.

        :raises StoreMisconfigured: it cannot be served.
        """
        address = self._address
        self._shape = shape = read_shape(cursor, address.database, address.table, address.user)
        self._is_doubtful, self._looked = False, time.monotonic()
        return shape

    def _present_shape(self, connection: Any) -> TableShape:
        """What is known of the table, read anew where it may have changed."""
        shape = self._shape
        if shape is not None and not self._is_doubtful:
            return shape
        with connection.cursor() as cursor:
            if shape is not None:
                self._is_doubtful, self._looked = False, time.monotonic()
                if read_definition(cursor, self._address.database, self._address.table) == shape.definition:
                    return shape
            return self._read_shape(cursor)

    def _may_be_the_shape(self, number: int) -> bool:
        """Whether an error may be about what is known of the table, and was not looked into just now."""
        before, looked = self._looked_for
        if number not in ABOUT_THE_SHAPE or (number == before and time.monotonic() - looked < LOOK_APART):
            return False
        self._looked_for = (number, time.monotonic())
        return True

    def _write(self, connection: Any, updates: Sequence[DeviceUpdate], heard_until: str | None) -> Written:
        if not updates:
            return Written()
        self._sent = len(updates)
        shape = self._present_shape(connection)
        try:
            written = write_updates(connection, shape, updates, self._max_bytes, heard_until)
        except pymysql.err.Error as error:
            if not connection.open or not self._may_be_the_shape(error_number(error)):
                raise
            connection.rollback()
            with connection.cursor() as cursor:
                shape = self._read_shape(cursor)  # the table was altered, perhaps
            written = write_updates(connection, shape, updates, self._max_bytes, heard_until)
        self._last.remember(updates, written)
        return written

    def _why_no_times(self, connection: Any, update: DeviceUpdate) -> str | None:
        shape = self._present_shape(connection)
        return why_no_times(connection, shape, update, self._last.devices, self._refusal)

    def _meaning(self, error: Exception, connection: Any) -> StoreError:
        """Put an error into the words of the contract, and note what has to be looked at again."""

        def is_harmless_refused() -> Exception | None:
            try:
                with connection.cursor() as cursor:
                    return try_harmless(cursor, self._address.table)
            except pymysql.err.Error as lost:
                return lost

        def is_any_taken() -> bool:
            return does_any_row_take(connection, self._shape, self._last.devices)

        refused = None if connection is None else is_harmless_refused
        meant = meaning(error, refused, is_any_taken, is_single=self._sent == 1)
        if isinstance(meant, StoreMisconfigured | StoreUnavailable):
            self._shape = None
        elif isinstance(meant, StoreRefused):
            self._refusal = str(meant)
            self._is_doubtful = self._is_doubtful or not meant.is_certain
        return meant


def _must_be_mended(failure: Any) -> Any:
    """A refusal of the look at the table is about no value that anybody sent."""
    if isinstance(failure.value, StoreRefused):
        raise StoreMisconfigured(str(failure.value)) from failure.value
    return failure
