"""Whom the hostile broker does it to: the MQTT half of the service on one connection, and what must hold of it.

Real are ``MqttConnection`` with paho's engine in it, the ``Subscriber`` that owns it, ``Ingest`` and what is pending;
only the transport is in memory, and the clock is moved by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from aiot_mqtt.devices.report import ReportRules
from aiot_mqtt.ingest.ingest import Ingest
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.errors import MqttError
from aiot_mqtt.mqtt.keep_alive import HEARD_LATELY
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.packets import MAX_CONTROL_PACKET, MAX_PROPERTIES, variable_byte_integer
from aiot_mqtt.mqtt.subscriber import Subscriber
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals

from .decoding import sum_is_wrong
from .packet_streams import Step

# Beside a payload: the longest topic, the longest properties, and what says how long they are.
MAX_BESIDE_PAYLOAD = 65_535 + MAX_PROPERTIES + 16
MAX_LINE = 1000  # characters of a log line or of a reason
# CONNECT, PUBACK, PUBREC, PUBCOMP, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT: all that we ever have to say.
OURS = frozenset((1, 4, 5, 7, 8, 10, 12, 14))


class Wrong(Exception):
    """A connection did what it must not; the text says what."""


class _Transport(StringTransport):
    @property
    def is_closed(self) -> bool:
        """Whether we are done with it, in order or not."""
        return self.disconnecting or self.disconnected

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As TCP has it."""


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Connects once, at once; a second time never."""

    def __init__(self, transport: _Transport) -> None:
        self._transport = transport
        self.connection: MqttConnection | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self.connection is not None:
            return Deferred()
        self.connection = cast(MqttConnection, protocolFactory.buildProtocol(None))  # type: ignore[arg-type]
        self.connection.makeConnection(self._transport)
        return succeed(self.connection)


class _WatchedIngest(Ingest):
    """Knows whether anything is handed over that must not be."""

    is_over: Callable[[], bool]
    late = 0
    at_qos_1 = 0
    handed_over = 0
    """Bytes."""

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        self.late += self.is_over()
        self.at_qos_1 += bool(packet_id)
        self.handed_over += len(topic) + len(payload)
        super().publish_received(topic, payload, packet_id, retain)

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        self.late += self.is_over()
        self.at_qos_1 += bool(packet_id)
        super().oversized_publish_received(topic, size, packet_id, most)


class Victim:
    """The MQTT half of the service on one connection, and what must hold of it whatever the broker does."""

    def __init__(self, *, mqtt5: bool = True, max_payload: int = 65_536) -> None:
        self._max_payload = max_payload
        self.clock = Clock()
        self.transport = _Transport()
        self.counters, self.pending = Counters(), PendingUpdates()
        endpoint = _Endpoint(self.transport)
        self._subscriber = Subscriber(
            endpoint,
            ConnectOptions("victim", max_payload=max_payload),
            ReportRules().topic_filters,
            self.clock,
            host="broker",
            port=1883,
            protocol="5" if mqtt5 else "3.1.1",
            jitter=lambda: 0.0,
        )
        self.ingest = _WatchedIngest(
            ReportRules(),
            self.pending,
            self.counters,
            Refusals(self.counters, self.clock),
            table_zone=timezone.utc,
            writer=self,
            foreign_topics=self._subscriber,
            wall_clock=self.clock.seconds,
        )
        self.ingest.is_over = lambda: self.transport.is_closed
        self._subscriber.deliver_to(self.ingest)
        self._subscriber.startService()
        assert endpoint.connection is not None
        self.connection = endpoint.connection
        self.reason = ""
        self.connection.closed.addCallback(self._closed)
        self._is_lost = False
        self._fed = 0
        self._answers: list[Deferred[Any]] = []
        self.max_held = 0

    def wake(self) -> None:
        """Called where a writer would begin; nothing is written here."""

    def _closed(self, reason: str) -> str:
        self.reason = reason
        return reason

    def read(self, data: bytes) -> None:
        """Bytes arrive from the broker."""
        if data and not self._is_lost:
            self._fed += len(data)
            self.connection.dataReceived(data)

    def lose(self, reason: Exception) -> None:
        """The transport reports its end, once."""
        if not self._is_lost:
            self._is_lost = True
            self.connection.connectionLost(Failure(reason))

    def do(self, step: Step) -> None:
        """Take a step of a stream."""
        match step.action:
            case "read":
                self.read(step.data)
            case "advance":
                self.clock.advance(step.seconds)
            case "write":  # as the writer does once a batch is committed
                batch = self.pending.take()
                self.counters.stored += sum(update.deliveries for update in batch.updates)
                batch.acknowledge()
            case "subscribe":
                try:
                    answer = self.connection.subscribe(["devices/+/data"])
                except MqttError:
                    return  # not connected
                self._answers.append(answer.addErrback(lambda failure: failure.trap(MqttError)))
            case "unsubscribe":
                self.connection.unsubscribe(["other/#"])
            case "pause":
                self.ingest.stop()
            case "resume":
                self.ingest.start()
            case "disconnect":
                self._subscriber.stopService()
            case "abort":
                self.connection.abort("aborted by the stream")
            case _:
                raise AssertionError(step.action)

    def check(self) -> None:
        """See that all holds that must hold between any two calls.

        :raises Wrong: it does not.
        """
        connection = self.connection
        held = len(connection._reader._incomplete) + len(connection._connack_reader.held)
        self.max_held = max(self.max_held, held)
        most = max(self._max_payload + MAX_BESIDE_PAYLOAD, MAX_CONTROL_PACKET)
        if held > min(self._fed - self.ingest.handed_over, most):
            raise Wrong(f"holds: {held} bytes, of {self._fed} fed and {self.ingest.handed_over} handed over")
        client = connection._client
        assert client is not None
        if client.substitute.unread or client._out_packet or connection._subscribed:
            raise Wrong(f"left over: {client.substitute.unread!r} {client._out_packet} {connection._subscribed}")
        if self.pending.unacknowledged > self.ingest.at_qos_1:
            raise Wrong(f"owes: {self.pending.unacknowledged} acknowledgements")
        if self.ingest.late:
            raise Wrong("late: a PUBLISH was handed over after the end")
        if problem := sum_is_wrong(self.counters, self.pending):
            raise Wrong(f"sum: {problem}")
        said = self.transport.value()
        self.transport.clear()
        _check_said(said)

    def end(self) -> None:
        """See that the connection ends as it must, once its transport is gone and a day has passed.

        :raises Wrong: it does not.
        """
        received = self.counters.received
        for late in (Step("write"), Step("advance", seconds=86_400.0), *map(Step, ("unsubscribe", "subscribe"))):
            self.do(late)
        if not self.connection.closed.called or not self.reason.isprintable() or not 0 < len(self.reason) < MAX_LINE:
            raise Wrong(f"end: closed has not fired with a reason, but with {self.reason[:100]!r}")
        if not self.connection.accepted.called:
            raise Wrong("end: accepted has not fired")
        if not all(answer.called for answer in self._answers):
            raise Wrong("end: who subscribed waits for an answer")
        if self.connection.silent_for < HEARD_LATELY or self._subscriber.is_listening:
            raise Wrong("end: counts as listening")
        stopped = self._subscriber.stopService()
        self.connection.abort("long gone")
        if not stopped.called:
            raise Wrong("end: the service does not stop")
        if self.clock.getDelayedCalls():
            raise Wrong(f"end: left running: {self.clock.getDelayedCalls()}")
        if self.counters.received != received or self.transport.value():
            raise Wrong(f"end: went on: {self.transport.value()!r}")
        self.check()


def _check_said(said: bytes) -> None:
    """See that what we said to the broker is whole packets of sorts that a client has.

    :raises Wrong: it is not.
    """
    at = 0
    while at < len(said):
        size, body = variable_byte_integer(said, at + 1)
        if said[at] >> 4 not in OURS or not body or body + size > len(said):
            raise Wrong(f"said: {said[at : at + 64]!r}")
        at = body + size
