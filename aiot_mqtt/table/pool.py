"""adbapi's pool over PyMySQL, made to replace connections before they fail and to end without blocking the reactor.

A connection belongs to no thread: whoever has work takes the one that was used last. So a quiet service uses one, and a
server that allows fewer than the pool may have is served with those.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pymysql
from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred

from ..telemetry.reasons import database as reasons
from .connection_limit import ConnectionLimit
from .contract import StoreError, StoreUnavailable
from .errors import Behind, Busy, ReadOnly
from .opening import Opening
from .threads import Threads

# An idle connection is replaced before the server may have dropped it.
MAX_IDLE = 45  # s
# One that was idle for longer than this is looked at before it is used: a server or a proxy may have closed it.
LITTLE_IDLE = 1  # s


class ConnectionPool(adbapi.ConnectionPool):
    """A pool that replaces connections which are old, long idle, or from before the server was lost."""

    def __init__(
        self,
        recycle: float,
        opening: Opening,
        meaning: Callable[[Exception, Any], StoreError],
        limited: Callable[[int, int, str], None],
        max_idle: float = MAX_IDLE,
        **arguments: Any,
    ) -> None:
        """
        :param recycle: seconds after which a connection is replaced.
        :param opening: opens them, to one of several servers at a time.
        :param meaning: puts what the driver raised into the words of the contract; called with that and with the
            connection, None where it is lost.
        :param limited: called in the reactor's thread when the server opens no more connections: with how many it does,
            how many the pool may have, and the server's words.
        :param max_idle: seconds that a connection may be idle.
        """
        super().__init__("pymysql", **arguments)
        self._threads = Threads(self._reactor, self.max, "database", _closing)
        self._recycle, self._max_idle = recycle, max_idle
        self._opening, self._nodes = opening, opening.nodes
        self._meaning = meaning
        self._limit = ConnectionLimit(self.max, lambda *told: self._reactor.callFromThread(limited, *told))
        # Open or opening, by id.
        self.connections: dict[int, Any] = {}
        self._opened: dict[int, float] = {}  # those that are open, with since when
        self._idle: deque[tuple[Any, float]] = deque()  # with when they were used, which is their order
        self._changed = threading.Condition()
        self._waiting = 0
        self._distrusted_before = 0.0
        self._aborted = False

    def start(self) -> None:
        """See adbapi, whose own pool of threads is left alone."""
        if not self.running:
            self.shutdownID = self._reactor.addSystemEventTrigger("during", "shutdown", self.finalClose)
            self.running = True

    def finalClose(self) -> None:  # noqa: N802 adbapi's name
        """See adbapi: close everything once the threads have ended, and wait for that."""
        self.shutdownID = None
        self._threads.stop()
        self.running = False
        for connection in self.connections.values():
            self._close(connection)
        self.connections.clear()

    def runWithConnection(self, func: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:  # noqa: N802 adbapi's
        """See ``adbapi.ConnectionPool.runWithConnection``; ``func`` gets PyMySQL's own connection."""
        return self._threads.call(self._runWithConnection, func, *args, **kw)

    def runInteraction(self, interaction: Callable[..., Any], *args: Any, **kw: Any) -> Deferred[Any]:  # noqa: N802
        """See ``adbapi.ConnectionPool.runInteraction``."""

        def interact(connection: Any) -> Any:
            transaction = self.transactionFactory(self, connection)
            result = interaction(transaction, *args, **kw)
            transaction.close()
            return result

        return self.runWithConnection(interact)

    def fill(self, count: int) -> Deferred[None]:
        """Open connections until there are so many, or as many as the server allows."""
        return self._threads.call(self._fill, count)

    def close_idle(self) -> Deferred[None]:
        """Close those that were idle for too long."""
        return self._threads.call(self._close_idle)

    def distrust(self) -> None:
        """A connection was lost: those opened before now are likely dead too, so spare each a failed attempt."""
        self._distrusted_before = time.monotonic()

    def abort(self) -> None:
        """Shut sockets down that threads wait in, so that they return at once. Runs in the reactor's thread."""
        self._aborted = True
        idle = {id(connection) for connection, _ in list(self._idle)}
        for name, connection in list(self.connections.items()):
            if name in idle:
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

    # What follows runs in the pool's threads.

    def _runWithConnection(self, func: Callable[..., Any], *args: Any, **kw: Any) -> Any:  # noqa: N802 adbapi's name
        try:
            return self._attempt(func, *args, **kw)
        except ReadOnly:
            return self._attempt(func, *args, **kw)  # at once: behind this address another server may answer by now

    def _attempt(self, func: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        connection = self.connect()
        try:
            result = func(connection, *args, **kw)
            connection.commit()
        except BaseException as error:
            answers = connection.rolls_back()
            meaning: StoreError
            if isinstance(error, Behind):
                meaning = error
            elif isinstance(error, pymysql.err.Error | OSError):
                meaning = self._meaning(error, connection if answers else None)
            else:
                raise
            if isinstance(meaning, StoreUnavailable) and not isinstance(meaning, Busy):
                meaning = self._nodes.leave(connection.node, meaning)
                self.distrust()
            raise meaning from error
        finally:
            self.release(connection)
        return result

    def connect(self) -> Any:
        """A connection to use until ``release``: an idle one, or a new one, or the next that somebody releases.

        :raises StoreError: there is none, and none can be opened.
        """
        failed: list[StoreError] = []
        while not self._aborted:
            try:
                connection, used = self._idle.pop()
            except IndexError:
                try:
                    connection = self._open_another()
                except StoreError as error:
                    failed.append(error)
                    if (meaning := self._nodes.none_answers(failed)) is not None:
                        raise meaning from error.__cause__
                    continue
                if connection is None:
                    continue
                return connection
            if self._can_be_used(connection, used):
                return connection
            self.disconnect(connection)
        raise _closing()

    def _can_be_used(self, connection: Any, used: float) -> bool:
        now = time.monotonic()
        opened = self._opened[id(connection)]
        if opened <= self._distrusted_before or now - opened > self._recycle or now - used > self._max_idle:
            return False
        return now - used <= LITTLE_IDLE or bool(connection.is_quiet())

    def release(self, connection: Any) -> None:
        """Let others use it, if it is still open."""
        if self._aborted or not connection.open:
            self.disconnect(connection)
            return
        self._idle.append((connection, time.monotonic()))
        self._close_idle()
        if self._waiting:
            self._tell_waiting()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):  # others take some meanwhile
            while self._idle[0][1] < time.monotonic() - self._max_idle:
                self.disconnect(self._idle.popleft()[0])

    def disconnect(self, connection: Any) -> None:
        """Close a connection that is not idle."""
        self._close(connection)
        self._opened.pop(id(connection), None)
        self.connections.pop(id(connection), None)
        self._tell_waiting()

    def _close(self, connection: Any) -> None:
        if connection.open:
            super()._close(connection)

    def _tell_waiting(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _open_another(self) -> Any:
        """A new connection; None: an idle one may be there now, or in a moment."""
        with self._changed:
            self._waiting += 1
            try:
                while not self._idle and not self._aborted and len(self.connections) >= self._limit.now():
                    self._changed.wait(1)
            finally:
                self._waiting -= 1
            if self._idle or self._aborted:
                return None
            connection = self._begin_connection()
        return self._finish_connection(connection)

    def _begin_connection(self) -> Any:
        connection = self._opening.begin(self.connkw)
        self.connections[id(connection)] = connection  # before it connects, so that abort can reach its socket
        return connection

    def _finish_connection(self, connection: Any) -> Any:
        """Connect; None: it cannot be, but others can be waited for.

        :raises StoreError: it cannot be, and there is no other.
        """
        try:
            self._opening.log_in(connection, is_first=not self._opened)
        except BaseException as error:
            self.disconnect(connection)
            if not isinstance(error, pymysql.err.Error | OSError | StoreError):
                raise
            meaning = error if isinstance(error, StoreError) else self._meaning(error, None)
            if not self._has_another():
                named = self._nodes.leave(connection.node, meaning)
                raise named from (None if meaning is error else error)
            self._limit.met(len(self.connections), str(meaning) if isinstance(meaning, Busy) else "")
            connection = None
        else:
            self._opened[id(connection)] = time.monotonic()
            if not self._nodes.reached(connection.node):  # so it was left meanwhile
                self.disconnect(connection)
                connection = None
        self._limit.settled(len(self.connections) - len(self._opened), len(self._opened))
        return connection

    def _has_another(self) -> bool:
        """Whether there is a connection that leads where the next one would; of a lost server it says nothing."""
        if not self._nodes.are_several:
            return bool(self._opened)
        return any(opened > self._distrusted_before for opened in list(self._opened.values()))

    def _fill(self, count: int) -> None:
        with contextlib.suppress(StoreError):  # one more or less does not matter
            while len(self.connections) < count and not self._aborted:
                connection = self._finish_connection(self._begin_connection())
                if connection is None:
                    return
                self.release(connection)


def _closing() -> StoreUnavailable:
    return StoreUnavailable(reasons.POOL_CLOSING)
