"""Stays subscribed: connects, subscribes, and begins again when the connection goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import random
from typing import cast

from twisted.application.internet import backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..devices.report import KINDS
from ..ingest.ingest import Ingest
from ..telemetry import log_lines
from ..telemetry.outage import Outage
from ..telemetry.refusals import shorten
from .connection import (
    ClosedBeforeConnack,
    ConnectionRefused,
    ConnectOptions,
    MqttConnection,
    MqttError,
)
from .kept_session import KeptSession
from .reason_codes import suback_reason

CONNECT_TIMEOUT = 10.0  # s, for each of: name look-up with TCP and TLS, CONNACK, SUBACK
# A session that ends sooner than this was no success: without counting it as a failure, two instances with one client
# identifier would take the session from each other at full speed.
SHORT_SESSION = 30.0  # s
SHORT_SESSIONS_UNTOLD = 2  # in a row; a broker that restarts gives one
MOST_FOREIGN_FILTERS = 100  # a connection
LONGEST_FILTER = 65_535  # bytes
WINDOW_OF_311 = 20  # Mosquitto's max_inflight_messages, which MQTT 3.1.1 gives a client no way to ask for
DENIED = 0x80  # reason codes from here on


class ProtocolChoice:
    """Which MQTT version the next CONNECT speaks: 5, and 3.1.1 only after the broker showed that it cannot."""

    def __init__(self, protocol: str) -> None:
        """:param protocol: ``auto``, ``5`` or ``3.1.1``."""
        self._auto = protocol == "auto"
        self.mqtt5 = protocol != "3.1.1"
        self._closes = 0

    def failed(self, error: MqttError) -> bool:
        """A connection did not get as far as an accepting CONNACK. Returns whether to try another version at once."""
        if isinstance(error, ClosedBeforeConnack):
            self._closes += 1  # as some old brokers do on a version they do not know; but one may be a restart
            is_about_protocol = self._closes >= 2
        else:
            is_about_protocol = isinstance(error, ConnectionRefused) and error.is_about_protocol
        if not (self._auto and is_about_protocol):
            return False
        self._closes = 0
        self.mqtt5 = not self.mqtt5
        return not self.mqtt5

    def connection_ended(self) -> None:
        """An accepted connection is gone: the broker that comes next may be another one."""
        self._closes = 0
        if self._auto:
            self.mqtt5 = True


class Subscriber(Service):
    """Hands every PUBLISH on the three topics to an ``Ingest``, for as long as it runs."""

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        options: ConnectOptions,
        ingest: Ingest,
        clock: IReactorTime,
        *,
        host: str,
        port: int,
        topic_prefix: str = "devices",
        protocol: str = "auto",
        kept_session: KeptSession | None = None,
        may_begin: Callable[[], Awaitable[None]] | None = None,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param host: with ``port``, what log lines call the broker.
        :param protocol: ``auto``, ``5`` or ``3.1.1``.
        :param kept_session: told of connections; None where no session is kept.
        :param may_begin: waited for, once, before the first connection.
        :param jitter: seconds added to each delay between attempts.
        """
        self._endpoint = endpoint
        self._options = options
        self._ingest = ingest
        self._clock = clock
        self._where = {"host": host, "port": port}
        self.topics = [f"{topic_prefix}/+/{kind}" for kind in KINDS]
        self._choice = ProtocolChoice(protocol)
        self._kept_session = kept_session
        # 29, because the jitter comes on top and no wait should exceed 30 s.
        self._backoff = backoffPolicy(1.0, 29.0, 2.0, jitter)
        self._may_begin = may_begin
        self._outage = Outage(self._log, clock, log_lines.MQTT_STILL_DOWN, log_lines.MQTT_BACK)
        self._connection: MqttConnection | None = None
        self._work: Deferred[None] | None = None
        self._said_started = False
        self._had_session = False
        self._all_granted = False
        self._foreign_filters: set[str] = set()
        self.session_lost: Callable[[], None] = lambda: None
        """Called when what was published while we were away is known to be lost."""
        ingest.foreign_topic_received = self._foreign_topic_received

    @property
    def is_listening(self) -> bool:
        """Whether the broker has granted every topic on the connection that there is, and is heard on it."""
        return self._connection is not None and self._all_granted and self._connection.is_heard_lately

    @property
    def window(self) -> int:
        """PUBLISH packets that the broker may send before it waits for an acknowledgement."""
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

        work = self._work = Deferred.fromCoroutine(self._stay_subscribed())
        work.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        work.addErrback(lambda failure: self._log.failure(log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY, failure))
        work.addBoth(ended)

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
        finished: Deferred[None] = Deferred(lambda _finished: connection.abort("not closed in time"))
        work.addBoth(lambda _result: None if finished.called else finished.callback(None))
        connection.disconnect()
        return finished

    async def _stay_subscribed(self) -> None:
        if self._may_begin is not None:
            await self._may_begin()
        failures = short_sessions = 0  # in a row
        while self.running:
            try:
                connection = await self._connect()
            except MqttError as error:
                if not self.running:
                    return
                if self._choice.failed(error):
                    continue
                failures, short_sessions = failures + 1, 0
                self._tell(error)
            else:
                accepted_at = self._clock.seconds()
                reason = await self._serve(connection)
                if not self.running:
                    return
                self._choice.connection_ended()
                is_short = self._clock.seconds() - accepted_at < SHORT_SESSION
                failures, short_sessions = (failures + 1, short_sessions + 1) if is_short else (0, 0)
                self._outage.failed(log_lines.MQTT_LOST, reason)
            delay = self._backoff(max(0, failures - 1))
            if short_sessions > SHORT_SESSIONS_UNTOLD:
                self._tell_short_sessions(short_sessions, delay)
            await deferLater(self._clock, delay)

    async def _connect(self) -> MqttConnection:
        """Dial, and wait until the broker accepts.

        :raises MqttError: it does not.
        """
        connection = MqttConnection(replace(self._options, mqtt5=self._choice.mqtt5), self._ingest, self._clock)
        factory = Factory.forProtocol(lambda: connection)
        factory.noisy = False
        dialling = self._endpoint.connect(factory)
        try:
            await dialling.addTimeout(CONNECT_TIMEOUT, self._clock)
        except CancelledError:
            raise
        except NotInTime:
            raise MqttError(f"no connection within {CONNECT_TIMEOUT:.0f} s") from None
        except Exception as error:
            raise MqttError(str(error) or repr(error)) from error
        # A PUBACK must not wait for the TCP acknowledgement of the one before (Nagle's algorithm).
        cast(ITCPTransport, connection.transport).setTcpNoDelay(True)
        self._connection = connection
        timeout = self._clock.callLater(
            CONNECT_TIMEOUT, connection.abort, f"the broker did not answer CONNECT within {CONNECT_TIMEOUT:.0f} s"
        )
        try:
            session_present = await connection.accepted
        except MqttError:
            self._connection = None
            raise
        finally:
            if timeout.active():
                timeout.cancel()
        if not self._choice.mqtt5:
            self._log.warn(log_lines.MQTT_311)
        self._log.info(log_lines.MQTT_CONNECTED, **self._where)
        if self._kept_session is not None:
            self._kept_session.connected(session_present)
        if self._had_session and not session_present:
            self._log.warn(log_lines.SESSION_NEW)
            self.session_lost()
        self._had_session = True
        return connection

    async def _serve(self, connection: MqttConnection) -> str:
        """Subscribe, and wait for the connection's end; returns its reason."""
        self._foreign_filters.clear()
        self._all_granted = False
        subscribing = Deferred.fromCoroutine(self._subscribe(connection))
        subscribing.addErrback(lambda failure: failure.trap(CancelledError, MqttError) and None)
        subscribing.addErrback(lambda failure: self._log.failure(log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY, failure))
        try:
            return await connection.closed
        finally:
            if self._kept_session is not None:
                self._kept_session.disconnected()
            self._connection = None
            self._all_granted = False
            subscribing.cancel()

    async def _subscribe(self, connection: MqttConnection) -> None:
        """Ask until the broker has granted every topic.

        :raises MqttError: the connection is gone.
        """
        wanted, attempt = self.topics, 0
        while wanted:
            timeout = self._clock.callLater(
                CONNECT_TIMEOUT, connection.abort, f"the broker did not answer SUBSCRIBE within {CONNECT_TIMEOUT:.0f} s"
            )
            try:
                codes = await connection.subscribe(wanted)
            finally:
                if timeout.active():
                    timeout.cancel()
            delay = self._backoff(attempt)
            denied = []
            missing = [DENIED] * (len(wanted) - len(codes))
            for topic, code in zip(wanted, codes + missing, strict=False):
                if code >= DENIED:
                    denied.append(topic)
                    reason = suback_reason(code)
                    self._log.error(log_lines.SUBSCRIPTION_DENIED, topic=topic, reason=reason, seconds=round(delay))
                    continue
                self._log.info(log_lines.SUBSCRIBED, topic=topic)
                if code == 0:
                    self._log.warn(log_lines.GRANTED_QOS_0, topic=topic)
            wanted, attempt = denied, attempt + 1
            if denied:
                await deferLater(self._clock, delay)
        self._all_granted = True
        if self._kept_session is not None:
            self._kept_session.subscribed()
        self._outage.ended()
        if not self._said_started:
            self._said_started = True
            self._log.info(log_lines.STARTED)

    def _tell_short_sessions(self, count: int, delay: float) -> None:
        self._log.warn(
            log_lines.MQTT_SHORT_SESSIONS,
            count=count,
            short=round(SHORT_SESSION),
            client_id=shorten(self._options.client_id),
            seconds=round(delay),
        )

    def _tell(self, error: MqttError) -> None:
        code = error.v311_code if isinstance(error, ConnectionRefused) else None
        if code is None:
            self._outage.failed(log_lines.MQTT_FAILED, str(error))
        else:
            self._outage.failed(log_lines.MQTT_REFUSED, str(error), code=code)

    def _foreign_topic_received(self, topic: str) -> None:
        """Unsubscribe from a topic that is none of ours: an old subscription lives on in a kept session.

        Nobody tells which filter it was, so all that is likely is tried: the topic, one of our form under another
        prefix, and the wildcards above it.
        """
        before, _, kind = topic.rpartition("/")
        prefix = before.rpartition("/")[0]
        levels = before.split("/")
        above = ["#", *("/".join([*levels[:depth], "#"]) for depth in range(1, min(len(levels), 8) + 1))]
        # Not every topic name makes a filter: that has 1 to 65,535 bytes (section 4.7.3), and some of these are longer
        # than the topic.
        likely = (topic, f"{prefix}/+/{kind}", *above)
        filters = {name for name in likely if 0 < len(name.encode()) <= LONGEST_FILTER} - self._foreign_filters
        if self._connection is None or not filters or len(self._foreign_filters) >= MOST_FOREIGN_FILTERS:
            return
        if not self._foreign_filters:
            self._log.warn(log_lines.FOREIGN_TOPIC, topic=shorten(topic), filters=shorten(" ".join(sorted(filters))))
        self._foreign_filters |= filters
        self._connection.unsubscribe(sorted(filters))
