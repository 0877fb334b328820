"""One MQTT network connection: paho's engine on a Twisted transport."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from math import inf
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..telemetry import reasons
from ..telemetry.network import failure_reason
from .acknowledgements import send_acknowledgements
from .connack import Connack, ConnackReader
from .encoding import encode_packet, encode_publish
from .errors import ConnectionRefused, MqttError, ProtocolViolation, Unanswered
from .keep_alive import KeepAlive
from .options import ConnectOptions
from .packet_types import CONNACK, DISCONNECT, PINGREQ, PINGRESP, SUBACK
from .packets import PacketReader
from .paho_client import PahoClient
from .properties import REASON, SERVER_KEEP_ALIVE
from .reason_codes import connack_reason, disconnect_reason
from .receiver import Receiver
from .sending import Sending, acknowledge_at_once
from .window import Window

PINGREQ_PACKET = encode_packet(PINGREQ << 4, b"")


class _State(Enum):
    """How far a connection is."""

    DIALLING = auto()
    """There is no transport yet."""
    CONNECTING = auto()
    """CONNECT is sent, CONNACK is not here."""
    OPEN = auto()
    CLOSED = auto()
    """Nothing is taken or sent any more; the transport may still be there."""


class MqttConnection(Protocol):
    """One connection to a broker, from CONNECT to its end. Never used twice.

    :ivar accepted: fires with what the broker grants, once CONNACK accepts; fails with ``MqttError``.
    :ivar closed: fires with the reason, in words, once the connection is gone. Never fails.
    """

    _log = Logger()
    _sending: Sending

    def __init__(self, options: ConnectOptions, receiver: Receiver, clock: IReactorTime) -> None:
        self._options = options
        self._receiver = receiver
        self._clock = clock
        self.accepted: Deferred[Connack] = Deferred()
        self.closed: Deferred[str] = Deferred()
        self.disconnect_code: int | None = None
        """The reason code of the broker's DISCONNECT, when that ended the connection."""
        self.window = Window(options.receive_maximum if options.mqtt5 else None)
        self._state = _State.DIALLING
        self._end_error: MqttError | None = None
        self.is_closed_by_peer = False  # and not by us
        self._client: PahoClient | None = None
        self._connack: Connack | None = None
        self._connack_reader = ConnackReader(mqtt5=options.mqtt5)
        self._reader = PacketReader(
            receiver, self._control_packet, mqtt5=options.mqtt5, max_payload=options.max_payload
        )
        self._keep_alive = KeepAlive(float(options.keepalive), clock, ping=self._ping, give_up=self.abort)
        self._is_paused = False
        self._subscribing: dict[int, Deferred[list[int]]] = {}
        self._subscribed: list[tuple[int, list[int]]] = []

    @property
    def silent_for(self) -> float:
        """Seconds since the broker proved that it is there; inf: the connection is gone."""
        return self._keep_alive.silent_for if self._is_alive else inf

    @property
    def is_silent(self) -> bool:
        """See ``KeepAlive.is_silent``."""
        return self._keep_alive.is_silent

    @property
    def ours_at(self) -> float:
        """See ``KeepAlive.ours_at``."""
        return self._keep_alive.ours_at

    @property
    def is_holding_back(self) -> bool:
        """Whether the broker may have messages that it keeps until some are acknowledged."""
        return self.window.is_holding_back(self._clock.seconds())

    def subscribe(self, topics: Sequence[str]) -> Deferred[list[int]]:
        """SUBSCRIBE at QoS 1, without retained messages; fires with a reason code a topic, from 0x80 a denial."""
        if self._client is None or not self._is_alive:
            raise MqttError(reasons.NOT_CONNECTED)
        packet_id = self._client.send_subscribe(topics)
        self.window.asked(self._clock.seconds())
        answered = self._subscribing[packet_id] = Deferred()
        return answered

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """UNSUBSCRIBE; the answer is not waited for, because there is nothing to do about it."""
        if self._client is not None and self._is_alive:
            self._client.send_unsubscribe(topics)

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Answer PUBLISH packets in this order, in one write; nothing once the connection is gone.

        With PUBACK, or with PUBREC where it came at QoS 2, as it does when somebody had subscribed to that in this
        session before. Then the broker sends PUBREL and not the message again; until then it does, and that is stored
        again, which changes nothing.
        """
        if not self._is_alive:
            return
        now = self._clock.seconds()
        self.window.acknowledged(len(packet_ids), now)
        if self._is_paused:
            self._is_paused = False
            self._keep_alive.listen(True)
            cast(IPushProducer, self.transport).resumeProducing()
        send_acknowledgements(self._sending, packet_ids, self._reader.at_qos_2)

    def ask(self) -> Deferred[bool]:
        """PINGREQ; fires with whether it was answered before the connection's end."""
        return self._keep_alive.ask_now() if self._state is _State.OPEN else succeed(False)

    def trust(self) -> None:
        """See ``KeepAlive.trust``."""
        self._keep_alive.trust()

    def publish(self, topic: bytes, payload: bytes, *, retain: bool) -> None:
        """PUBLISH at QoS 0; nothing before CONNACK, or once the connection is gone."""
        if self._state is _State.OPEN:
            self._sending.write(encode_publish(topic, payload, 0, retain=retain, mqtt5=self._options.mqtt5))

    def pause_reading(self) -> None:
        """Read nothing more until something is acknowledged: the broker has more unacknowledged than it may.

        Mosquitto 2.0.11 loses count when its queue is long (seen: 72,000 beyond a Receive Maximum of 65,535). A
        disconnection, as section 4.9 asks for, would not help: all of it would come again, and be too much again.
        """
        if self._is_alive and not self._is_paused:
            self._is_paused = True
            self._keep_alive.listen(False)
            cast(IPushProducer, self.transport).pauseProducing()

    def disconnect(self) -> Deferred[str]:
        """DISCONNECT in order, the session stays; fires as ``closed`` does, once what was written is sent."""
        if self._client is not None and self._is_alive:
            self._stop(MqttError(reasons.DISCONNECTED_BY_US))
            self._client.send_disconnect()
            self._sending.close()
            self._transport().loseConnection()
        return self.closed

    def abort(self, reason: str) -> None:
        """Close at once, without a word to the broker."""
        self._abort(MqttError(reason))

    def abort_unanswered(self, reason: str) -> None:
        """The same, because CONNECT is not answered as it should be."""
        self._abort(Unanswered(reason))

    def connectionMade(self) -> None:
        """The transport is there: send CONNECT."""
        self._state = _State.CONNECTING
        # Before anything can arrive: a resumed session's PUBLISH packets may follow CONNACK in the same read.
        self._receiver.connection_started(self)
        self._keep_alive.heard(self._clock.seconds())
        self._sending = Sending(self._transport())
        self._sending.open()
        self._client = PahoClient(self._options, self._sending.write)
        self._client.send_connect()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        words = failure_reason(reason.value)
        self.is_closed_by_peer = self._end_error is None
        if self._state is _State.CONNECTING and reason.check(ConnectionDone, ConnectionLost) is not None:
            self._stop(Unanswered(reasons.CLOSED_AT_CONNECT.fill(words=words)))
        self._stop(MqttError(words))
        self._keep_alive.stop()
        error = self._end_error
        assert error is not None
        waiting: list[Deferred[Any]] = [*self._subscribing.values(), *([] if self.accepted.called else [self.accepted])]
        self._subscribing.clear()
        for deferred in waiting:
            deferred.errback(error)
        self.closed.callback(str(error))

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the broker, cut anywhere."""
        if not self._is_alive:
            return
        now = self._clock.seconds()
        self._keep_alive.heard(now)
        acknowledge_at_once(self.transport)
        try:
            if self._state is _State.CONNECTING:
                data = self._read_connack(data)
            if data:
                self._reader.feed(data)
        except ProtocolViolation as violation:
            words = reasons.PROTOCOL_BROKEN.fill(violation=violation)
            self._abort(Unanswered(words) if self._connack is None else MqttError(words))
        if self._sending.is_stuck:
            self.abort(reasons.BROKER_READS_NOTHING)
        if came := self._reader.take_count():
            self.window.received(came, now)
        self._receiver.read_finished()
        self._tell()

    # Ours.

    @property
    def _is_alive(self) -> bool:
        return self._state in (_State.CONNECTING, _State.OPEN)

    def _read_connack(self, data: bytes) -> bytes:
        """Read CONNACK; returns what came behind it."""
        read = self._connack_reader.feed(data)
        if read is None:
            return b""
        connack, rest = read
        if connack.code:
            reason = connack_reason(connack.code, self._options.mqtt5, connack.text(REASON), self._options.password)
            refused = ConnectionRefused(connack.code, reason)
            self._abort(refused)
            if not self.accepted.called:
                self.accepted.errback(refused)
            return b""
        assert self._client is not None
        self._client.accepted(connack.session_present)
        self._connack = connack
        self._state = _State.OPEN
        return rest

    def _control_packet(self, packet: bytes, body: bytes) -> None:
        """Anything but a PUBLISH: paho's, save for what it would not tell us."""
        kind = packet[0] >> 4
        if kind == CONNACK:
            raise ProtocolViolation("a second CONNACK")
        if kind == PINGREQ:
            raise ProtocolViolation("a PINGREQ, which only a client sends")
        if kind == DISCONNECT:
            # paho 2.1 reports every DISCONNECT without properties as a normal one (its issue 860).
            self.disconnect_code = body[0] if body else 0
            self.abort(reasons.BROKER_DISCONNECTED.fill(reason=disconnect_reason(body, self._options.password)))
            return
        assert self._client is not None
        body = self._client.take(packet[0], body)
        if kind in (SUBACK, PINGRESP):
            self.window.answered(self._clock.seconds())
        if kind == PINGRESP:
            self._keep_alive.answered()
        if kind == SUBACK:
            codes = body[3:] if self._options.mqtt5 else body[2:]
            self._subscribed.append((int.from_bytes(body[:2], "big"), list(codes)))

    def _tell(self) -> None:
        """Tell of what came, now that all of the read was handled."""
        if self._connack is not None and not self.accepted.called and self._is_alive:
            self._keep_alive.start(float(self._connack.number(SERVER_KEEP_ALIVE) or 0))
            self.accepted.callback(self._connack)
        while self._subscribed:
            packet_id, codes = self._subscribed.pop(0)
            if (answered := self._subscribing.pop(packet_id, None)) is not None:
                answered.callback(codes)

    def _ping(self, now: float) -> None:
        if self._is_alive:
            self.window.asked(now)
            self._sending.write(PINGREQ_PACKET)
        if self._options.mqtt5:
            self.window.tell(self._log, self._options.receive_maximum)

    def _stop(self, error: MqttError) -> None:
        """Take nothing more; the first reason for that is the true one."""
        if self._end_error is None:
            self._end_error = error
        self._state = _State.CLOSED
        self._reader.stop()

    def _abort(self, error: MqttError) -> None:
        self._stop(error)
        if self.transport is not None:
            self._transport().abortConnection()

    def _transport(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)
