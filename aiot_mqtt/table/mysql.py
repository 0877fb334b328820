"""The owner's table as the writer and the offline sweep need it.

A batch is one explicit transaction: the UPDATE is sent, answered, and only then the COMMIT. Never autocommit, never
both at once: a statement left in a frozen server's socket would run after newer ones and move rows back. With the row
locks held, a late COMMIT makes the newer batch wait instead.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from ..devices.update import DeviceUpdate
from .contract import (
    Silence,
    SilentDevice,
    StoreConflict,
    StoreMisconfigured,
    StoreUnavailable,
    TableDescription,
    Written,
)
from .errors import classify, error_number, error_words
from .pool import ConnectionPool
from .statements import TableShape, update_statements

T = TypeVar("T")

CONNECT_TIMEOUT = 10  # s
# A server that says nothing for this long is given up. Above innodb_lock_wait_timeout, and with WAIT_TIMEOUT still
# under 90 s: so long a batch is delayed when a connection was cut between UPDATE and COMMIT.
READ_TIMEOUT = 20  # s
# After this the server drops a connection that vanished without a FIN, and the row locks with it (default: 8 hours).
WAIT_TIMEOUT = 60  # s
LOCK_WAIT_TIMEOUT = 5  # s
SWEEP_LOCK_WAIT_TIMEOUT = 1  # s
PACKET_RESERVE = 1024  # bytes of max_allowed_packet left for the statement around its rows

_SESSION = (
    f"SET SESSION wait_timeout={WAIT_TIMEOUT}, innodb_lock_wait_timeout={LOCK_WAIT_TIMEOUT},"
    f" lock_wait_timeout={LOCK_WAIT_TIMEOUT},"  # of the whole table: LOCK TABLES, or an ALTER under way
    # Without a strict mode both servers cut a long status silently. No other mode: ours is the only SQL here, and
    # its escaping relies on NO_BACKSLASH_ESCAPES being off.
    " sql_mode='STRICT_ALL_TABLES'"
)
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
_COLUMNS = ("id", "uuid", "last_report_data", "device_status", "last_seen", "last_heartbeat", "is_online")

_IS_SILENT = "(last_seen < %s OR last_seen IS NULL OR last_seen > %s)"


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the table is and how to reach it."""

    host: str
    port: int
    database: str
    user: str
    table: str
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


class DeviceTable(Service):
    """The owner's table as a ``Store``."""

    _pool: ConnectionPool

    def __init__(
        self,
        address: DatabaseAddress,
        password: str,
        reactor: Any,
        *,
        pool_size: int = 5,
        max_overflow: int = 10,
        pool_recycle: float = 3600,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """
        :param reactor: an ``IReactorCore`` and ``IReactorFromThreads``.
        :param pool_size: connections opened at start.
        :param max_overflow: how many more there may be.
        :param pool_recycle: seconds after which a connection is replaced.
        :param read_timeout: seconds after which a silent server is given up.
        """
        self._address = address
        self._reactor = reactor
        self._pool_size = pool_size
        self._shape: TableShape | None = None
        self._most_bytes = 1024 * 1024
        self._warm_up_meeting: threading.Barrier | None = None
        tls: dict[str, Any] = {"ssl": address.tls} if address.tls else {"ssl_disabled": True}
        self._pool_arguments = dict(
            recycle=pool_recycle,
            open_session=self._open_session,
            cp_min=pool_size,
            cp_max=pool_size + max_overflow,
            cp_reactor=reactor,
            host=address.host,
            port=address.port,
            user=address.user,
            password=password.encode(),  # a str would be sent as Latin-1
            database=address.database,
            charset="utf8mb4",
            # Matched rows, not changed ones: else a row that already holds the values looks like an unknown device.
            client_flag=CLIENT.FOUND_ROWS,
            # PyMySQL's connect_timeout does not cover a server that accepts and then says nothing; these do.
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            write_timeout=read_timeout,
            **tls,
        )

    def startService(self) -> None:
        """Make the pool. Its connections are opened by the first ``describe``."""
        super().startService()
        self._pool = ConnectionPool(**self._pool_arguments)
        self._warm_up_meeting = None

    def stopService(self) -> Deferred[None]:
        """Close the connections; fires when the pool's threads have ended, without holding up the reactor.

        A statement under way is cut off: its transaction is rolled back by the server.
        """
        super().stopService()
        if self._warm_up_meeting is not None:
            self._warm_up_meeting.abort()
        return self._pool.end()

    def describe(self) -> Deferred[TableDescription]:
        """Open the pool's first connections, and read from the server what the table is like."""
        described = self._run(self._open_pool if self._warm_up_meeting is None else self._read_shape)
        return described.addCallback(
            lambda shape: TableDescription(
                shape.status_length, dict(zip(ascii_uppercase, ascii_lowercase, strict=True))
            )
        )

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        """See ``Store.write``."""
        del unless_heard_until
        return self._run(self._write, updates)

    def why_no_times(self, update: DeviceUpdate) -> Deferred[str | None]:
        """See ``Store.why_no_times``."""
        del update
        return self._run(lambda _connection: None)

    def find_silent(self, silence: Silence, after_id: int, most: int) -> Deferred[list[SilentDevice]]:
        """See ``PresenceStore``."""
        return self._run(self._find_silent, silence, after_id, most)

    def set_offline(self, ids: Sequence[int], silence: Silence) -> Deferred[frozenset[int]]:
        """See ``PresenceStore``."""
        return self._run(self._set_offline, ids, silence)

    def _run(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        running: Deferred[T] = self._pool.runWithConnection(work, *arguments)
        return running.addErrback(self._translate)

    # What follows runs in the pool's threads.

    def _open_pool(self, connection: Any) -> TableShape:
        """Read the shape, and keep this thread busy until as many others as the pool needs have a connection too."""
        shape = self._read_shape(connection)
        meeting = self._warm_up_meeting = threading.Barrier(self._pool_size)

        def open_others() -> None:
            for _ in range(self._pool_size - 1):
                self._pool.runWithConnection(meet).addErrback(lambda _failure: meeting.abort())

        def meet(_connection: object) -> None:
            # A connection more or less does not matter now, so a meeting that fails is none.
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(CONNECT_TIMEOUT)

        if not self.running:  # stopped meanwhile: nobody else will come
            meeting.abort()
        self._reactor.callFromThread(open_others)
        meet(connection)
        return shape

    def _open_session(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SESSION)
            cursor.execute(_ISOLATION)
            cursor.execute("SELECT @@max_allowed_packet")
            self._most_bytes = cursor.fetchone()[0] - PACKET_RESERVE

    def _read_shape(self, connection: Any) -> TableShape:
        """:raises StoreMisconfigured: a column is missing, or may not be seen."""
        address = self._address
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT LOWER(column_name), LOWER(data_type), character_set_name, collation_name,"
                " character_maximum_length FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
                (address.database, address.table),
            )
            columns = {row[0]: row[1:] for row in cursor.fetchall()}
            cursor.execute(
                "SELECT index_name FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s"
                " AND LOWER(column_name) = 'uuid' AND seq_in_index = 1 ORDER BY non_unique, index_name LIMIT 1",
                (address.database, address.table),
            )
            index = cursor.fetchone()
            values = _values(cursor)
        if missing := [name for name in _COLUMNS if name not in columns]:
            raise StoreMisconfigured(
                f"table {address.table} has no column {', '.join(missing)} that user {address.user} may see"
            )
        for name, wanted in (("uuid", columns["uuid"][1]), ("device_status", columns["device_status"][3])):
            if wanted is None:
                raise StoreMisconfigured(f"column {name} of table {address.table} holds no text")
        shape = TableShape(
            uuid_charset=columns["uuid"][1],
            uuid_collation=columns["uuid"][2],
            has_json_type=columns["last_report_data"][0] == "json",
            status_length=columns["device_status"][3],
            uuid_index=index and index[0],
            values=values,
        )
        self._shape = shape
        return shape

    def _write(self, connection: Any, updates: Sequence[DeviceUpdate]) -> Written:
        shape = self._shape or self._read_shape(connection)
        unknown: set[str] = set()
        with connection.cursor() as cursor:
            for part, statement in update_statements(self._address.table, shape, updates, self._most_bytes):
                matched = cursor.execute(statement)
                if matched < len(part):
                    missing = self._without_row(cursor, part)
                    if matched + len(missing) != len(part):  # rows came or went between the two statements
                        raise StoreConflict("the table's rows changed during a write")
                    unknown |= missing
        return Written(frozenset(unknown))

    def _find_silent(self, connection: Any, silence: Silence, after_id: int, most: int) -> list[SilentDevice]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, uuid, CAST(last_seen AS CHAR) FROM `{self._address.table}`"  # noqa: S608
                f" WHERE is_online = 1 AND id > %s AND {_IS_SILENT} ORDER BY id LIMIT %s",
                (after_id, silence.cutoff, silence.future, most),
            )
            return [SilentDevice(*row) for row in cursor.fetchall()]

    def _set_offline(self, connection: Any, ids: Sequence[int], silence: Silence) -> frozenset[int]:
        still_silent = f"id IN ({', '.join(map(str, ids))}) AND is_online = 1 AND {_IS_SILENT}"
        times = (silence.cutoff, silence.future)
        with connection.cursor() as cursor:
            # A row that somebody holds locked must not hold up the writes that come behind this for long.
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout={SWEEP_LOCK_WAIT_TIMEOUT}")
            try:
                # The same transaction locks the rows and then sets them, so that what is told is what was done.
                cursor.execute(
                    f"SELECT id FROM `{self._address.table}` WHERE {still_silent} FOR UPDATE",  # noqa: S608
                    times,
                )
                silent = frozenset(row[0] for row in cursor.fetchall())
                if silent:
                    cursor.execute(
                        f"UPDATE `{self._address.table}` SET is_online = 0 WHERE {still_silent}",  # noqa: S608
                        times,
                    )
            finally:
                with contextlib.suppress(pymysql.err.Error):  # of a connection that is lost
                    cursor.execute(f"SET SESSION innodb_lock_wait_timeout={LOCK_WAIT_TIMEOUT}")
        return silent

    def _without_row(self, cursor: Any, updates: Sequence[DeviceUpdate]) -> set[str]:
        uuids = ", ".join(f"'{update.uuid}'" for update in updates)
        cursor.execute(f"SELECT uuid FROM `{self._address.table}` WHERE uuid IN ({uuids})")  # noqa: S608
        known = {uuid.lower() for (uuid,) in cursor.fetchall()}
        return {update.uuid for update in updates if update.uuid.lower() not in known}

    def _translate(self, failure: Any) -> Any:
        """Say what a failure means, in the words the writer understands."""
        error = failure.value
        if not isinstance(error, pymysql.err.Error | OSError):
            return failure  # already one of ours, or a fault in this program
        kind = classify(error)
        number = error_number(error)
        if kind is StoreUnavailable or number == 0:
            self._pool.distrust()
        if issubclass(kind, StoreMisconfigured | StoreUnavailable):
            self._shape = None
        raise kind(error_words(error)) from error


def _values(cursor: Any) -> str | None:
    """``TableShape.values``: ROW from MySQL 8.0.19 on, nothing from MariaDB 10.3 on.

    By trial, because a proxy tells a version of its own. Any answer but rows is a no, whatever a server or a proxy has
    against it: there is another way.
    """
    for before_a_row in ("ROW", ""):
        try:
            cursor.execute(f"SELECT 1 FROM (SELECT 1 UNION ALL VALUES {before_a_row}(1)) v")  # noqa: S608
        except pymysql.err.MySQLError:
            if not cursor.connection.open:  # nobody answered
                raise
        else:
            cursor.fetchall()
            return before_a_row
    return None
