"""Whether what came on the session's connection is ours to keep, at this moment and not only when it was received.

A process that was frozen finds in its socket what the broker has given to somebody else since, and it may have been
about to write. So it commits only within ``LEASE`` of a moment at which the broker certainly took the connection for
its client's, and else asks first. Somebody else waits for longer than that before the first write.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from .connection import MqttConnection

# s since the PINGREQ that the broker answered last was sent; one is sent each second.
LEASE = 2.0
# s that the answer to another one may take. A broker that is silent for as long gives the session to nobody, either.
PATIENCE = 2.0


class Lease:
    """Of the connection that there is, and of none that was before."""

    def __init__(self, reactor: Any) -> None:
        """:param reactor: an ``IReactorTime`` and ``IReactorFromThreads``."""
        self._reactor = reactor
        self._connection: MqttConnection | None = None
        self._asked: MqttConnection | None = None
        self._silent: MqttConnection | None = None

    def began(self, connection: MqttConnection) -> None:
        """The broker has accepted a connection."""
        self._connection = connection

    def ended(self) -> None:
        """There is none any more."""
        self._connection = None

    def is_held(self) -> bool:
        """Whether what was received may be kept now. Where that is not known the broker is asked: look again."""
        connection = self._connection
        if connection is None:
            return True
        if self._is_fresh(connection):
            self._silent = None
        elif connection is not self._silent:
            self._ask(connection)
            return False
        return True

    def prover(self) -> Callable[[], bool]:
        """Says, in any thread, whether what was received up to now may be kept still; waits up to ``PATIENCE``."""
        return partial(self._prove, self._connection)

    def _is_fresh(self, connection: MqttConnection) -> bool:
        return float(self._reactor.seconds()) - connection.ours_at < LEASE

    def _ask(self, connection: MqttConnection) -> None:
        if self._asked is connection:
            return
        self._asked = connection

        def answered(does: bool | None) -> None:
            self._asked = None
            if does is None:
                self._silent = connection

        connection.ask().addTimeout(PATIENCE, self._reactor, lambda *_: None).addCallback(answered)

    def _prove(self, connection: MqttConnection | None) -> bool:
        if connection is not self._connection:
            return False  # the broker sends it again
        if connection is None or self._is_fresh(connection):
            return True
        answers: SimpleQueue[bool] = SimpleQueue()
        self._reactor.callFromThread(lambda: connection.ask().addCallback(answers.put))
        try:
            return answers.get(timeout=PATIENCE)
        except Empty:
            return True
