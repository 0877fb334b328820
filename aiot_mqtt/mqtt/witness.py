"""A second connection for a while, that tells whether the broker is there although it has closed the first one."""

from __future__ import annotations

import secrets
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.survive import start
from .connection import MqttConnection
from .dial import answered_in_time, dial
from .errors import MqttError
from .keep_alive import HEARD_LATELY
from .options import ConnectOptions
from .sys_topics import SysTopics

TIMEOUT = 5.0  # s for each of: name look-up with TCP and TLS, CONNACK


class Witness:
    """Connects under a name of its own and asks for nothing. Whatever keeps it from that, it just sees nothing."""

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        options: ConnectOptions,
        clock: IReactorTime,
    ) -> None:
        """:param options: as the service's own, but for client id and session."""
        self._endpoint = endpoint
        self._options = replace(options, session_expiry=0, receive_maximum=10)
        self._clock = clock
        self._connection: MqttConnection | None = None
        self._work: Deferred[None] | None = None
        self._leaving: IDelayedCall | None = None
        self._waiting: list[Deferred[bool]] = []

    @property
    def sees_broker(self) -> bool:
        """Whether there is a connection, and the broker was heard on it lately."""
        return self._connection is not None and self._connection.silent_for < HEARD_LATELY

    def watch(self, seconds: float) -> Deferred[bool]:
        """Be there for so long from now on; fires with whether the broker accepts that."""
        if self._leaving is not None and self._leaving.active():
            self._leaving.reset(seconds)
        else:
            self._leaving = self._clock.callLater(seconds, self.stop)
        if self._connection is not None:
            return succeed(self.sees_broker)
        seen: Deferred[bool] = Deferred()
        self._waiting.append(seen)
        if self._work is None:
            self._work = start(self._look(), self._log, log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY)
            self._work.addCallback(self._ended)
        return seen

    def stop(self) -> None:
        """Leave."""
        if self._leaving is not None and self._leaving.active():
            self._leaving.cancel()
        connection, work = self._connection, self._work
        if connection is not None:
            connection.disconnect()
        elif work is not None:
            work.cancel()

    def _ended(self, _result: object) -> None:
        self._work = None
        self._tell(False)

    def _tell(self, does_see: bool) -> None:
        waiting, self._waiting = self._waiting, []
        for seen in waiting:
            seen.callback(does_see)

    async def _look(self) -> None:
        options = replace(self._options, client_id=f"aiot-witness-{secrets.token_hex(4)}")
        connection = MqttConnection(options, SysTopics(lambda: None, []), self._clock)
        try:
            await dial(self._endpoint, connection, self._clock, TIMEOUT)
            await answered_in_time(connection, connection.accepted, self._clock, TIMEOUT)
            self._connection = connection
            self._tell(True)
            await connection.closed
        except MqttError as error:
            self._log.debug("no witness: {error}", error=error)
        finally:
            self._connection = None
            connection.disconnect()
