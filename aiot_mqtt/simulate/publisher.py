"""One connection that only publishes, for load: packets are encoded here, and acknowledgements counted many at a time.

paho would keep a record of every message and look it up again; here 20,000 messages a second must leave most of a
core to what is being loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from zope.interface import implementer

from ..mqtt.encoding import encode_packet, encode_publish, encode_text
from ..mqtt.errors import ConnectionRefused, MqttError, ProtocolViolation
from ..mqtt.packet_types import CONNACK, CONNECT, DISCONNECT, PINGREQ, PUBACK
from ..mqtt.packets import variable_byte_integer
from ..mqtt.reason_codes import FAILURE, connack_reason, disconnect_reason, reason_name
from ..telemetry import reasons
from .fleet import Message

NO_SUBSCRIBER = 0x10  # the reason code of a PUBACK that is nevertheless an acknowledgement
KEEPALIVE = 60  # s
UNLIMITED = 1_000_000  # what may be sent at once where nothing limits it


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """How to connect and publish."""

    client_id: str
    mqtt5: bool = True
    username: str = ""
    password: str = ""
    qos: int = 1
    """0 or 1, for all messages."""
    window: int = 1000
    """PUBLISH packets that may be unacknowledged at one time; an MQTT 5 broker may allow fewer."""

    def __repr__(self) -> str:
        return f"PublisherOptions(client_id={self.client_id!r}, mqtt5={self.mqtt5}, qos={self.qos})"


def encode_connect(options: PublisherOptions) -> bytes:
    """CONNECT (section 3.1) with a clean session."""
    flags = 0x02 | (0x80 if options.username else 0) | (0x40 if options.password else 0)
    body = encode_text(b"MQTT") + bytes([5 if options.mqtt5 else 4, flags]) + KEEPALIVE.to_bytes(2, "big")
    body += (b"\0" if options.mqtt5 else b"") + encode_text(options.client_id.encode())
    for text in (options.username, options.password):
        body += encode_text(text.encode()) if text else b""
    return encode_packet(CONNECT << 4, body)


@implementer(IPushProducer)
class Publisher(Protocol):
    """A connection from CONNECT to its end. Never used twice.

    :ivar accepted: fires once the broker has accepted; fails with ``MqttError``.
    :ivar closed: fires with the reason, in words, once the connection is gone. Never fails.
    """

    def __init__(self, options: PublisherOptions, clock: IReactorTime, progressed: Callable[[], None]) -> None:
        """:param progressed: called when there may be room for more, and when the connection has ended."""
        self._options = options
        self._progressed = progressed
        self.accepted: Deferred[None] = Deferred()
        self.closed: Deferred[str] = Deferred()
        self.window = options.window
        self.published = 0
        self.acknowledged = 0
        self.no_subscriber = 0
        """How many of the acknowledged ones the broker had no subscriber for, as far as it says."""
        self.refused: Counter[str] = Counter()
        """By the broker's reason."""
        self._packet_id = 0
        self._unread = b""
        self._paused = False
        self._reason: str | None = None
        self._ping = LoopingCall(self._send_ping)
        self._ping.clock = clock

    @property
    def in_flight(self) -> int:
        """Published at QoS 1 and not answered yet."""
        return self.published - self.acknowledged - self.refused.total() if self._options.qos else 0

    @property
    def room(self) -> int:
        """How many messages may be sent now."""
        if self._paused or self._reason is not None or not self.accepted.called:
            return 0
        return self.window - self.in_flight if self._options.qos else UNLIMITED

    def send(self, messages: Iterable[Message]) -> None:
        """Publish, no more than there is ``room`` for, in one write."""
        mqtt5, qos, packet_id = self._options.mqtt5, self._options.qos, self._packet_id
        packets = []
        for message in messages:
            if qos:
                packet_id = packet_id % 65535 + 1
            packets.append(
                encode_publish(message.topic, message.payload, packet_id, retain=message.retain, mqtt5=mqtt5)
            )
        self._packet_id = packet_id
        self.published += len(packets)
        self._transport().write(b"".join(packets))

    def disconnect(self) -> Deferred[str]:
        """DISCONNECT in order; fires as ``closed`` does."""
        if self._reason is None and self.transport is not None:
            self._reason = "disconnected by us"
            self._transport().write(encode_packet(DISCONNECT << 4, b""))
            self._transport().unregisterProducer()
            self._transport().loseConnection()
        return self.closed

    def abort(self, reason: str) -> None:
        """Close at once, without a word to the broker."""
        self._reason = self._reason or reason
        if self.transport is not None:
            self._transport().abortConnection()

    # Called by Twisted.

    def connectionMade(self) -> None:
        """The transport is there: send CONNECT."""
        transport = self._transport()
        transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        transport.write(encode_connect(self._options))
        self._ping.start(KEEPALIVE / 2, now=False)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._ping.stop()
        self._reason = self._reason or f"the broker closed the connection ({reason.getErrorMessage()})"
        if not self.accepted.called:
            self.accepted.errback(MqttError(self._reason))
        self.closed.callback(self._reason)
        self._progressed()

    def pauseProducing(self) -> None:
        """See ``IPushProducer``: the network takes no more for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See ``IPushProducer``: the network takes more again."""
        self._paused = False
        self._progressed()

    def stopProducing(self) -> None:
        """The connection is going; ``connectionLost`` follows."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the broker, cut anywhere."""
        data = self._unread + data
        count = len(data) // 4
        if len(data) % 4 == 0 and data[0::4].count(b"\x40") == count == data[1::4].count(b"\x02"):
            self.acknowledged += count  # PUBACKs without a reason, which almost all of the time is all there is
            self._unread = b""
        else:
            try:
                self._unread = data[self._read_packets(data) :]
            except (ProtocolViolation, IndexError) as error:
                self.abort(f"the broker broke the MQTT protocol: {error}")
        self._progressed()

    def _read_packets(self, data: bytes) -> int:
        """Handle every complete packet; returns where the first incomplete one starts."""
        at = 0
        while len(data) - at >= 2:
            length, body = variable_byte_integer(data, at + 1)
            if not body or body + length > len(data):
                break
            self._packet_received(data[at] >> 4, data[body : body + length])
            at = body + length
        return at

    def _packet_received(self, kind: int, body: bytes) -> None:
        if kind == PUBACK:
            reason = body[2] if len(body) > 2 else 0
            if reason >= FAILURE:
                self.refused[reason_name(reason)] += 1
            else:
                self.acknowledged += 1
                self.no_subscriber += reason == NO_SUBSCRIBER
        elif kind == CONNACK and not self.accepted.called:
            self._connack_received(body)
        elif kind == DISCONNECT:
            self.abort(reasons.BROKER_DISCONNECTED.fill(reason=disconnect_reason(body)))

    def _connack_received(self, body: bytes) -> None:
        if body[1]:
            reason = connack_reason(body[1], self._options.mqtt5)
            self.accepted.errback(ConnectionRefused(body[1], reason))
            self.abort(f"the broker refused the connection: {reason}")
            return
        if self._options.mqtt5:
            properties = Properties(PacketTypes.CONNACK)
            properties.unpack(body[2:])
            self.window = min(self.window, getattr(properties, "ReceiveMaximum", 65535))
        self.accepted.callback(None)

    def _send_ping(self) -> None:
        self._transport().write(encode_packet(PINGREQ << 4, b""))

    def _transport(self) -> Any:
        return self.transport  # an ITCPTransport and an IConsumer
