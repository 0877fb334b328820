"""adbapi's pool over PyMySQL, made to replace connections before they fail and to end without blocking the reactor."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pymysql
from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred

from .contract import StoreUnavailable

# An idle connection is replaced before the server may have dropped it.
MOST_IDLE = 45  # s


class _PooledConnection(adbapi.Connection):
    """Discards a connection that cannot roll back, without the two tracebacks adbapi logs for it."""

    def rollback(self) -> None:
        try:
            assert self._connection is not None
            self._connection.rollback()
        except Exception:
            self._pool.disconnect(self._connection)


class ConnectionPool(adbapi.ConnectionPool):
    """A pool that replaces connections which are old, long idle, or from before the server was lost."""

    connectionFactory = _PooledConnection  # noqa: N815 adbapi's name

    def __init__(self, recycle: float, open_session: Callable[[Any], None], **arguments: Any) -> None:
        """
        :param recycle: seconds after which a connection is replaced.
        :param open_session: called with each new connection.
        """
        super().__init__("pymysql", **arguments)
        self._open_session = open_session
        self._recycle = recycle
        self._opened: dict[int, float] = {}
        self._used: dict[int, float] = {}
        self._distrusted_before = 0.0
        self._aborted = False
        self._busy: set[int] = set()

    def connect(self) -> Any:
        """This thread's connection, a new one where the old one must be replaced. Runs in the pool's threads."""
        if self._aborted:
            raise StoreUnavailable("the connection pool is closing")
        thread = self.threadID()
        now = time.monotonic()
        connection = self.connections.get(thread)
        if connection is not None and self._must_be_replaced(thread, now):
            self.disconnect(connection)
            connection = None
        if connection is None:
            connection = pymysql.Connection(defer_connect=True, **self.connkw)
            self.connections[thread] = connection  # before it connects, so that abort can reach its socket
            try:
                connection.connect()
                self._open_session(connection)
            except BaseException:
                self.disconnect(connection)
                raise
            self._opened[thread] = now
        self._used[thread] = now
        return connection

    def _must_be_replaced(self, thread: int, now: float) -> bool:
        opened = self._opened[thread]
        return opened <= self._distrusted_before or now - opened > self._recycle or now - self._used[thread] > MOST_IDLE

    def _runWithConnection(self, func: Callable[..., Any], *args: Any, **kw: Any) -> Any:  # noqa: N802 adbapi's name
        thread = self.threadID()
        self._busy.add(thread)
        try:
            return super()._runWithConnection(func, *args, **kw)
        finally:
            self._busy.discard(thread)

    def _close(self, connection: Any) -> None:
        if connection.open:
            super()._close(connection)

    def distrust(self) -> None:
        """A connection was lost: those opened before now are likely dead too, so spare each a failed attempt."""
        self._distrusted_before = time.monotonic()

    def abort(self) -> None:
        """Shut sockets down that threads wait in, so that they return at once. Runs in the reactor's thread."""
        self._aborted = True
        for thread, connection in list(self.connections.items()):
            if thread not in self._busy:
                continue  # it is closed in order, which spares the server's log a warning
            with contextlib.suppress(OSError, AttributeError):  # already closed, or not open yet
                connection._sock.shutdown(socket.SHUT_RDWR)

    def end(self) -> Deferred[None]:
        """Close like ``close``, without holding up the reactor while the threads end."""
        self.abort()
        for trigger in (self.startID, self.shutdownID):
            if trigger is not None:
                self._reactor.removeSystemEventTrigger(trigger)
        self.startID = self.shutdownID = None
        ended: Deferred[None] = Deferred()

        # adbapi joins its threads in the calling one, which must not be the reactor's: a thread may be in a name
        # look-up that takes its time. A daemon thread, so that this one does not hold up the process either.
        def join() -> None:
            self.finalClose()
            self._reactor.callFromThread(ended.callback, None)

        threading.Thread(target=join, name="close database pool", daemon=True).start()
        return ended
