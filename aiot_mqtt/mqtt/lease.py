"""Whether what came on the session's connection is ours to keep, at this moment and not only when it was received.

A process that was frozen finds in its socket what the broker has given to somebody else since, and it may have been
about to write. So where this process has not looked after the connection for ``UNATTENDED`` seconds, it asks the broker
before it commits anything. Where nothing came for as long, although this process has looked, a network may have gone
mute on the way, and whoever has another way the session: then nothing is committed until the broker is heard, or the
connection ends. Somebody else waits for longer than that before the first write.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from .connection import MqttConnection
from .keep_alive import UNATTENDED

# s that the answer may take, which comes behind all else. Where something comes, the connection's end would have been
# read by then.
PATIENCE = 2.0


class Lease:
    """Of the connection that there is, and of none that was before."""

    def __init__(self, reactor: Any) -> None:
        """:param reactor: an ``IReactorTime`` and ``IReactorFromThreads``."""
        self._reactor = reactor
        self._connection: MqttConnection | None = None
        self._asked: MqttConnection | None = None

    def began(self, connection: MqttConnection) -> None:
        """The broker has accepted a connection."""
        self._connection = connection

    def ended(self) -> None:
        """There is none any more."""
        self._connection = None

    def is_held(self) -> bool:
        """Whether what was received may be kept now. Where that is not known the broker is asked: look again."""
        connection = self._connection
        if connection is None or self._is_attended(connection):
            return True
        if self._asked is not connection:
            self._asked = connection
            asked = connection.ask().addTimeout(PATIENCE, self._reactor, lambda *_: self._trust(connection))
            asked.addCallback(self._answered)
        return False

    def prover(self) -> Callable[[], bool] | None:
        """Says, in any thread, whether what was received up to now may be kept still; waits up to ``PATIENCE``.

        None: it may not, for now.
        """
        connection = self._connection
        if connection is not None and connection.is_silent:
            return None
        return partial(self._prove, connection)

    def _answered(self, _is_ours: object) -> None:
        self._asked = None

    @staticmethod
    def _trust(connection: MqttConnection) -> None:
        if not connection.is_silent:
            connection.trust()

    def _is_attended(self, connection: MqttConnection) -> bool:
        return float(self._reactor.seconds()) - connection.ours_at < UNATTENDED

    def _prove(self, connection: MqttConnection | None) -> bool:
        if connection is not self._connection:
            return False  # the broker sends it again
        if connection is None or self._is_attended(connection):
            return True
        answers: SimpleQueue[bool] = SimpleQueue()
        self._reactor.callFromThread(lambda: connection.ask().addCallback(answers.put))
        try:
            return answers.get(timeout=PATIENCE)
        except Empty:
            self._reactor.callFromThread(lambda: self._trust(connection))
            return connection is self._connection and not connection.is_silent
