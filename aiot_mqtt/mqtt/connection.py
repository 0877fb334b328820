"""One MQTT network connection: paho's engine on a Twisted transport. The only place that knows paho's insides.

Twisted owns names, TCP, TLS and time; paho owns the handshake, subscriptions and disconnecting, through a substitute
for its socket. PUBLISH and PUBACK, which are all of the load, do not pass through paho: ``packets`` says why. Nor does
keep-alive: paho's closes twice when it fails (its issue 870), and in 2.1 ignores the broker's Server Keep Alive.
"""

from __future__ import annotations

import contextlib
import socket
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from sys import byteorder
from typing import Any, cast
from typing import Protocol as Interface

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ..ingest.pending import Acknowledger
from .packets import PUBLISH, PacketReader, ProtocolViolation, PublishReceiver
from .reason_codes import connack_reason, reason_name, v311_code

CONNACK, PINGREQ, DISCONNECT = 2, 12, 14
PINGREQ_PACKET = b"\xc0\x00"
# s. Far more often than keep-alive asks for: who counts silence against devices must know within seconds whether the
# broker is there, and a PINGREQ costs two bytes.
PING_INTERVAL = 1.0
HEARD_LATELY = 3.0  # s


class MqttError(Exception):
    """The connection cannot be used; the text says why, fit to be logged."""


class ConnectionRefused(MqttError):
    """The broker answered CONNECT with a refusal."""

    def __init__(self, code: int, reason: str) -> None:
        """:param code: the CONNACK's own code, of MQTT 3.1.1 or of MQTT 5 (from 0x80)."""
        super().__init__(reason)
        self.code = code

    @property
    def v311_code(self) -> int | None:
        """The code as MQTT 3.1.1 numbers it; None where it has none."""
        return v311_code(self.code)

    @property
    def is_about_protocol(self) -> bool:
        """Whether the broker does not speak the MQTT version that was asked for."""
        return self.v311_code == 1


class ClosedBeforeConnack(MqttError):
    """The broker closed the connection instead of answering CONNECT."""


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """What CONNECT says."""

    client_id: str
    mqtt5: bool = True
    username: str = ""
    password: str = ""
    keepalive: int = 60
    """Seconds."""
    session_expiry: int = 604800
    """Seconds the broker keeps the session after we are gone; MQTT 5 only. 0: no session is kept, nor one taken up."""
    receive_maximum: int = 65535
    """PUBLISH packets the broker may have unacknowledged at one time; MQTT 5 only."""
    max_payload: int = 65536
    """Bytes; a longer one is skipped as it arrives."""

    def __repr__(self) -> str:
        return f"ConnectOptions(client_id={self.client_id!r}, mqtt5={self.mqtt5})"


class Receiver(PublishReceiver, Interface):
    """Who PUBLISH packets are handed to. None of these may raise."""

    def connection_started(self, connection: Acknowledger) -> None:
        """The PUBLISH packets that follow come on this connection."""
        ...

    def read_finished(self) -> None:
        """Every PUBLISH of one read was handed over."""
        ...


class _SocketSubstitute:
    """What paho takes for its socket: reads from what is fed to it, writes to a transport."""

    def __init__(self, transport: ITCPTransport) -> None:
        self._transport = transport
        self._unread = b""

    def feed(self, packet: bytes) -> None:
        self._unread += packet

    def recv(self, buffer_size: int) -> bytes:
        if not self._unread:
            raise BlockingIOError
        data, self._unread = self._unread[:buffer_size], self._unread[buffer_size:]
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        self._transport.write(bytes(buffer))
        return len(buffer)

    def close(self) -> None:
        self._unread = b""

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        """Never blocks anyway."""


class _Client(paho.Client):
    """paho without a network of its own."""

    def __init__(self, options: ConnectOptions, transport: ITCPTransport) -> None:
        self.substitute = _SocketSubstitute(transport)
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            # Without a kept session the broker forgets what was not acknowledged as soon as the connection goes.
            clean_session=None if options.mqtt5 else not options.session_expiry,
            protocol=paho.MQTTv5 if options.mqtt5 else paho.MQTTv311,
            reconnect_on_failure=False,  # else a CONNACK could make paho dial, blocking, inside loop_read
            manual_ack=True,
        )
        # With nobody told, paho would write from inside the call that queues a packet, holding its locks.
        self.on_socket_register_write = lambda *_arguments: None
        if options.username or options.password:
            self.username_pw_set(options.username, options.password or None)

    def _create_socket(self) -> _SocketSubstitute:
        """The hook that ``connect`` calls for a socket; private to paho, the same in 2.0, 2.1 and 2.2."""
        return self.substitute


class MqttConnection(Protocol):
    """One connection to a broker, from CONNECT to its end. Never used twice.

    :ivar accepted: fires with whether the broker kept a session, once CONNACK accepts; fails with ``MqttError``.
    :ivar closed: fires with the reason, in words, once the connection is gone. Never fails.
    """

    def __init__(self, options: ConnectOptions, receiver: Receiver, clock: IReactorTime) -> None:
        self._options = options
        self._receiver = receiver
        self._clock = clock
        self.accepted: Deferred[bool] = Deferred()
        self.closed: Deferred[str] = Deferred()
        self.protocol_violation: str | None = None
        """What the broker did that MQTT does not allow, when that ended the connection."""
        self._reason: str | None = None
        self._alive = False
        self._client: _Client | None = None
        self._session_present: bool | None = None
        self._keepalive = float(options.keepalive)
        self._keepalive_call = LoopingCall(self._keep_alive)
        self._keepalive_call.clock = clock
        self._has_received = False
        self._last_received = 0.0
        self._is_paused = False
        self._reader = PacketReader(
            receiver, self._control_packet, mqtt5=options.mqtt5, max_payload=options.max_payload
        )
        self._subscribing: dict[int, Deferred[list[int]]] = {}
        self._subscribed: list[tuple[int, list[int]]] = []

    # Called by whoever owns the connection.

    @property
    def is_heard_lately(self) -> bool:
        """Whether the broker has proved within the last seconds that it is there."""
        return self._alive and self._clock.seconds() - self._last_received < HEARD_LATELY

    def subscribe(self, topics: Sequence[str]) -> Deferred[list[int]]:
        """SUBSCRIBE at QoS 1, without retained messages; fires with a reason code a topic, from 0x80 a denial."""
        if self._client is None or not self._alive:
            raise MqttError("not connected")
        if self._options.mqtt5:
            wanted = [(topic, SubscribeOptions(qos=1, retainHandling=2)) for topic in topics]
            result, packet_id = self._client.subscribe(wanted)
        else:
            result, packet_id = self._client.subscribe([(topic, 1) for topic in topics])
        if result != paho.MQTT_ERR_SUCCESS or packet_id is None:
            raise MqttError(paho.error_string(result))
        answered: Deferred[list[int]] = Deferred()
        self._subscribing[packet_id] = answered
        self._client.loop_write()
        return answered

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """UNSUBSCRIBE; the answer is not waited for, because there is nothing to do about it."""
        if self._client is not None and self._alive:
            self._client.unsubscribe(list(topics))
            self._client.loop_write()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send PUBACKs in this order, in one write; nothing once the connection is gone."""
        if not self._alive:
            return
        if self._is_paused:
            self._is_paused = False
            self._last_received = self._clock.seconds()
            cast(IPushProducer, self.transport).resumeProducing()
        identifiers = array("H", packet_ids)
        if byteorder == "little":
            identifiers.byteswap()
        raw = identifiers.tobytes()
        packets = bytearray(b"\x40\x02\x00\x00" * len(identifiers))
        packets[2::4] = raw[0::2]
        packets[3::4] = raw[1::2]
        self._transport().write(bytes(packets))

    def pause_reading(self) -> None:
        """Read nothing more until something is acknowledged: the broker has more unacknowledged than it may.

        Mosquitto 2.0.11 loses count when its queue is long (seen: 72,000 beyond a Receive Maximum of 65,535). A
        disconnection, as section 4.9 asks for, would not help: all of it would come again, and be too much again.
        """
        if self._alive and not self._is_paused:
            self._is_paused = True
            cast(IPushProducer, self.transport).pauseProducing()

    def disconnect(self) -> Deferred[str]:
        """DISCONNECT in order, the session stays; fires as ``closed`` does, once what was written is sent."""
        if self._client is not None and self._alive:
            self._alive = False
            self._reader.stop()
            self._end("disconnected by us")
            self._client.disconnect()
            self._client.loop_write()
            self._transport().loseConnection()
        return self.closed

    def abort(self, reason: str) -> None:
        """Close at once, without a word to the broker."""
        self._end(reason)
        self._alive = False
        self._reader.stop()
        if self.transport is not None:
            self._transport().abortConnection()

    # Called by Twisted.

    def connectionMade(self) -> None:
        """The transport is there: send CONNECT."""
        transport = self._transport()
        self._alive = True
        # Before anything can arrive: a resumed session's PUBLISH packets may follow CONNACK in the same read.
        self._receiver.connection_started(self)
        self._last_received = self._clock.seconds()
        options = self._options
        client = self._client = _Client(options, transport)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        properties = None
        if options.mqtt5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = options.session_expiry
            # Without an explicit one Mosquitto allows 20 unacknowledged messages.
            properties.ReceiveMaximum = options.receive_maximum
        # The host only has to be some text: the transport is there already.
        if options.mqtt5:
            client.connect(
                "broker",
                keepalive=options.keepalive,
                clean_start=not options.session_expiry,
                properties=properties,
            )
        else:
            client.connect("broker", keepalive=options.keepalive)
        client.loop_write()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._alive = False
        if self._keepalive_call.running:
            self._keepalive_call.stop()
        was_closed_by_peer = self._reason is None and reason.check(ConnectionDone, ConnectionLost) is not None
        error = ClosedBeforeConnack if was_closed_by_peer and not self.accepted.called else MqttError
        self._end(reason.getErrorMessage())
        assert self._reason is not None
        waiting: list[Deferred[Any]] = [*self._subscribing.values()]
        self._subscribing.clear()
        if not self.accepted.called:
            waiting.append(self.accepted)
        for deferred in waiting:
            deferred.errback(error(self._reason))
        self.closed.callback(self._reason)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the broker, cut anywhere."""
        if not self._alive:
            return
        self._last_received = self._clock.seconds()
        _acknowledge_at_once(self.transport)
        try:
            if not self._has_received and data[0] >> 4 == PUBLISH:
                raise ProtocolViolation("a packet before CONNACK")
            self._has_received = True
            self._reader.feed(data)
        except ProtocolViolation as error:
            self.protocol_violation = str(error)
            self.abort(f"the broker broke the MQTT protocol: {error}")
        self._receiver.read_finished()
        self._tell()

    def _control_packet(self, packet: bytes, body: bytes) -> None:
        """Anything but a PUBLISH: paho's, save for what it would not tell us."""
        kind = packet[0] >> 4
        if (kind == CONNACK) != (self._session_present is None):
            raise ProtocolViolation("a second CONNACK" if kind == CONNACK else "a packet before CONNACK")
        if kind == PINGREQ:  # paho would answer each, and the answers pile up where the broker reads nothing
            raise ProtocolViolation("a PINGREQ, which only a client sends")
        if kind == CONNACK and len(body) >= 2 and body[1]:
            refused = ConnectionRefused(body[1], connack_reason(body[1], self._options.mqtt5))
            self.accepted.errback(refused)
            self.abort(str(refused))
            return
        if kind == DISCONNECT:
            # paho 2.1 reports every DISCONNECT without properties as a normal one (its issue 860).
            reason = reason_name(PacketTypes.DISCONNECT, body[0] if body else 0)
            self.abort(f"the broker disconnected: {reason}")
            return
        assert self._client is not None
        self._client.substitute.feed(packet)
        try:
            result = self._client.loop_read()
        except Exception as error:  # paho 2.1 raises struct.error on a malformed packet
            # No more of it: some hold the whole packet, and some a number that is too long to be shown.
            raise ProtocolViolation(f"malformed packet ({type(error).__name__})") from error
        if result != paho.MQTT_ERR_SUCCESS:
            raise ProtocolViolation(paho.error_string(result))
        self._client.loop_write()

    # Called by paho, inside loop_read, with its locks held: they only take note.

    def _on_connect(
        self, _client: object, _userdata: object, flags: paho.ConnectFlags, _code: object, properties: object
    ) -> None:
        self._session_present = flags.session_present
        # 0 would mean none; ours does no harm then.
        self._keepalive = float(getattr(properties, "ServerKeepAlive", 0) or self._options.keepalive)

    def _on_subscribe(
        self, _client: object, _userdata: object, packet_id: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        self._subscribed.append((packet_id, [code.value for code in codes]))

    # Ours.

    def _tell(self) -> None:
        """Tell of what paho noted, now that its locks are free."""
        if self._session_present is not None and not self.accepted.called and self._alive:
            self._keepalive_call.start(min(PING_INTERVAL, self._keepalive / 2), now=False)
            self.accepted.callback(self._session_present)
        while self._subscribed:
            packet_id, codes = self._subscribed.pop(0)
            if (answered := self._subscribing.pop(packet_id, None)) is not None:
                answered.callback(codes)

    def _keep_alive(self) -> None:
        """Send a PINGREQ, and give a broker up that was silent for one and a half keep-alive periods."""
        silent = 0.0 if self._is_paused else self._clock.seconds() - self._last_received
        if silent >= 1.5 * self._keepalive:
            self.abort(f"the broker has said nothing for {silent:.0f} s")
        elif self._alive:
            self._transport().write(PINGREQ_PACKET)

    def _end(self, reason: str) -> None:
        """Note why the connection ends; the first reason is the true one."""
        if self._reason is None:
            self._reason = reason

    def _transport(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)


def _acknowledge_at_once(transport: Any) -> None:
    """Have the kernel send its TCP acknowledgement now, and not with our next PUBACK; it forgets, so after each read.

    Mosquitto leaves Nagle's algorithm on (its ``set_tcp_nodelay``): while a small packet is not acknowledged it sends
    no other. So of a window of 20 messages one would come, and the others after its commit.
    """
    tcp = getattr(transport, "transport", transport)  # TLS has TCP beneath it
    with contextlib.suppress(AttributeError, OSError):  # no socket in a test, no such option, or closed
        tcp.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
