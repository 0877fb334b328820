"""Stays subscribed: connects, subscribes, and begins again when the connection goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from math import inf
from random import random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..telemetry import log_lines, reasons
from ..telemetry.outage import Outage
from ..telemetry.survive import start
from .connack import Connack
from .connection import MqttConnection
from .dial import answered_in_time, dial
from .errors import ConnectionRefused, MqttError
from .foreign_topics import ForeignTopics
from .grants import tell_grants
from .keep_alive import HEARD_LATELY
from .kept_session import KeptSession
from .options import ConnectOptions
from .receiver import Receiver, SessionListener
from .reconnect_delay import ReconnectDelay
from .rivals import Rivals
from .subscribing import subscribe
from .tally import ConnectionTally
from .versions import ProtocolChoice
from .window import WINDOW_OF_311

CONNECT_TIMEOUT = 10.0  # s, for each of: name look-up with TCP and TLS, CONNACK


class State(Enum):
    """What the subscriber is at."""

    STOPPED = auto()
    WAITING = auto()
    """Until it dials again."""
    CONNECTING = auto()
    """Dialling, or CONNECT is not answered yet."""
    SUBSCRIBING = auto()
    """Connected; the broker has not granted every topic yet."""
    SUBSCRIBED = auto()


class Subscriber(Service):
    """Hands every PUBLISH on some topics to a ``Receiver``, for as long as it runs."""

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        options: ConnectOptions,
        topics: Sequence[str],
        clock: IReactorTime,
        *,
        host: str,
        port: int,
        protocol: str = "auto",
        kept_session: KeptSession | None = None,
        rivals: Rivals | None = None,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param topics: filters.
        :param host: with ``port``, what log lines call the broker. :param protocol: ``auto``, ``5`` or ``3.1.1``.
        :param kept_session: told of connections; None where no session is kept.
        :param rivals: the same, of who else may have the session; None where nobody can, or it is shared on purpose.
        :param jitter: seconds added to each delay between attempts.
        """
        self._endpoint = endpoint
        self._options = options
        self.topics = topics
        self._clock = clock
        self._where: dict[str, Any] = {"host": host, "port": port}
        self._choice = ProtocolChoice(protocol)
        self._kept_session = kept_session
        self._rivals = rivals
        self._delay = ReconnectDelay(self._log, jitter)
        self._foreign_topics = ForeignTopics(self._log)
        self._receiver: Receiver | None = None
        self._may_begin: Callable[[], Awaitable[None]] | None = None
        self._listeners: list[SessionListener] = []
        self.outage = Outage(self._log, clock, log_lines.MQTT_STILL_DOWN, log_lines.MQTT_BACK)
        self.tally = ConnectionTally()
        self.state = State.STOPPED
        self._connection: MqttConnection | None = None
        self._work: Deferred[None] | None = None
        self._complete_subscriptions, self._is_doubted = 0, False

    def deliver_to(self, receiver: Receiver, *, may_begin: Callable[[], Awaitable[None]] | None = None) -> None:
        """Hand PUBLISH packets to this one; to be said before the service starts.

        :param may_begin: waited for, once, before the first connection.
        """
        self._receiver = receiver
        self._may_begin = may_begin

    def add_listener(self, listener: SessionListener) -> None:
        """Tell somebody what became of the session."""
        self._listeners.append(listener)

    @property
    def is_listening(self) -> bool:
        """Whether what a device publishes now comes at once: the broker has granted every topic on the connection that
        there is, is heard on it, and holds nothing back.
        """
        is_heard = self.state is State.SUBSCRIBED and self.silent_for < HEARD_LATELY
        return is_heard and self._connection is not None and not self._connection.is_holding_back

    @property
    def silent_for(self) -> float:
        """Seconds since the broker sent something, if only the answer to a ping; inf: there is no connection."""
        return inf if self._connection is None else self._connection.silent_for

    @property
    def window(self) -> int:
        """PUBLISH packets that the broker sends before it waits for an acknowledgement, as far as we know."""
        if self._connection is not None:
            return self._connection.window.size
        return self._options.receive_maximum if self._choice.mqtt5 else WINDOW_OF_311

    def pause_reading(self) -> None:
        """See ``MqttConnection.pause_reading``."""
        if self._connection is not None:
            self._connection.pause_reading()

    def startService(self) -> None:
        """Begin to connect; a broker that is down is waited for."""
        super().startService()

        def ended(_result: object) -> None:
            self._work = None
            self.state = State.STOPPED
            if self._rivals:
                self._rivals.stop()

        self._work = start(self._stay_subscribed(), self._log, log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY)
        self._work.addBoth(ended)

    def stopService(self) -> Deferred[None]:
        """DISCONNECT, so that the broker keeps session and messages; fires once that is sent.

        Cancelling the Deferred closes the connection at once.
        """
        super().stopService()
        connection, work = self._connection, self._work
        if work is None:
            return succeed(None)
        if connection is None:
            work.cancel()
            return succeed(None)
        finished: Deferred[None] = Deferred(lambda _finished: connection.abort(reasons.NOT_CLOSED_IN_TIME))
        work.addBoth(lambda _result: None if finished.called else finished.callback(None))
        connection.disconnect()
        return finished

    async def _stay_subscribed(self) -> None:
        may_begin = self._may_begin
        while self.running:
            try:
                if may_begin is not None:
                    await may_begin()
                    may_begin = None
                delay = await self._stay_connected()
            except Exception as error:
                if not self.running and isinstance(error, CancelledError):
                    raise
                # A fault of ours, and what has led to it may be over the next time.
                self._log.failure(log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY)
                connection, self._connection = self._connection, None
                if connection is not None:
                    connection.abort(reasons.GIVEN_UP)
                delay = self._delay.after_failure()
            if delay and self.running:
                self.state = State.WAITING
                await deferLater(self._clock, delay)

    async def _stay_connected(self) -> float:
        """Connect and subscribe, until the end of the connection; returns how many seconds to wait then."""
        self.state = State.CONNECTING
        try:
            connection, connack = await self._connect()
        except MqttError as error:
            if not self.running or self._choice.failed(error):
                return 0.0
            self.tally.failed(error)
            code = error.v311_code if isinstance(error, ConnectionRefused) else None
            line = log_lines.MQTT_FAILED if code is None else log_lines.MQTT_REFUSED
            self.outage.failed(line, str(error), code=code, advice=error.advice, **self._where)
            return self._delay.after_refusal()
        accepted_at = self._clock.seconds()
        self._tell_accepted(connack)
        if self._rivals:
            is_known = self._kept_session is None or self._kept_session.is_known
            self._rivals.began(connection, is_present=connack.session_present, is_known=is_known)
        reason = await self._serve(connection)
        if not self.running:
            return 0.0
        was_subscribed = self.state is State.SUBSCRIBED
        by_rival = bool(self._rivals and await self._rivals.ended(connection, was_subscribed=was_subscribed))
        if self._is_doubted:
            self._choice.doubted()
            return 0.0
        self._choice.connection_ended()
        self.tally.ended(connection.disconnect_code, by_rival=by_rival)
        if self._rivals and by_rival:
            if self._kept_session is not None:
                self._kept_session.taken()
            return self._rivals.delay(self._delay, self.outage, self._options.client_id, self._where)
        self.outage.failed(log_lines.MQTT_LOST, reason, **self._where)
        delay = self._delay.after_session(self._clock.seconds() - accepted_at)
        self._delay.tell(self._options.client_id, not was_subscribed, connection.disconnect_code, delay)
        return delay

    async def _connect(self) -> tuple[MqttConnection, Connack]:
        """Dial, and wait until the broker accepts. :raises MqttError: it does not."""
        assert self._receiver is not None, "deliver_to comes first"
        connection = MqttConnection(replace(self._options, mqtt5=self._choice.mqtt5), self._receiver, self._clock)
        await dial(self._endpoint, connection, self._clock, CONNECT_TIMEOUT)
        self._connection = connection
        silence = reasons.CONNECT_UNANSWERED.fill(seconds=round(CONNECT_TIMEOUT))
        try:
            connack = await answered_in_time(connection, connection.accepted, self._clock, CONNECT_TIMEOUT, silence)
        except MqttError:
            self._connection = None
            raise
        self._choice.accepted()
        return connection, connack

    def _tell_accepted(self, connack: Connack) -> None:
        """Tell what the broker accepted, and of what it grants less than was asked."""
        self._choice.tell(self._log)
        self._log.info(log_lines.MQTT_CONNECTED, **self._where)
        is_lost = self.tally.accepted.total() > 0 and not connack.session_present
        was_lost = self._kept_session is not None and self._kept_session.connected(connack.session_present)
        tell_grants(self._log, connack, self._options, self.topics[0])
        self.tally.began(mqtt5=self._choice.mqtt5, is_session_lost=is_lost or was_lost)
        if is_lost:
            self._log.error(log_lines.SESSION_NEW)
            for listener in self._listeners:
                listener.session_lost()

    async def _serve(self, connection: MqttConnection) -> str:
        """Subscribe, and wait for the connection's end; returns its reason."""
        self._foreign_topics.connection_started()
        self._is_doubted, self.state = False, State.SUBSCRIBING
        doubt = self._choice.doubt_after
        doubting = None if doubt is None else self._clock.callLater(doubt, self._doubt, connection)
        subscribing = start(self._subscribe(connection), self._log, log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY)
        try:
            return await connection.closed
        finally:
            if self._kept_session is not None:
                self._kept_session.disconnected()
            self._connection = None
            subscribing.cancel()
            if doubting is not None and doubting.active():
                doubting.cancel()

    def _doubt(self, connection: MqttConnection) -> None:
        """Give up a connection whose version was a guess; the session keeps what comes until the next is there."""
        self._is_doubted = True
        connection.disconnect()

    async def _subscribe(self, connection: MqttConnection) -> None:
        """Subscribe, and be subscribed; a fault of ours in that ends the connection."""
        backoff = self._delay.backoff
        try:
            await subscribe(
                connection, self.topics, self._clock, self._log, outage=self.outage, tally=self.tally, backoff=backoff
            )
            self.state = State.SUBSCRIBED
            if self._kept_session is not None:
                self._kept_session.subscribed()
            self.outage.ended()
            self._complete_subscriptions += 1
            if self._complete_subscriptions == 1:
                self._log.info(log_lines.STARTED)
        except MqttError:
            return  # the connection is gone, which is told where its end is waited for
        except CancelledError:
            raise
        except Exception:
            connection.abort(reasons.SUBSCRIBING_FAILED)
            raise

    def foreign_topic_received(self, topic: str) -> None:
        """Unsubscribe from a topic that is none of ours: an old subscription lives on in a kept session."""
        if self._connection is not None and (filters := self._foreign_topics.filters_to_undo(topic)):
            self._connection.unsubscribe(filters)
