"""A broker and the network to it, in memory: sessions that are kept or lost, connections that break anywhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused  # not the builtin one
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from aiot_mqtt.mqtt import packet_types
from aiot_mqtt.mqtt.encoding import encode_packet

from . import wire
from .messages import Message, Violation

if TYPE_CHECKING:
    from .process import Process
    from .world import World

MAX_PAYLOAD = 200  # bytes that the service takes
MAX_PACKET_ID = 9  # so that identifiers come round, as they do after 65,535 messages
WINDOW_OF_311 = 5
SERVER_UNAVAILABLE, SERVER_UNAVAILABLE_311 = 0x88, 3
UNSUPPORTED_VERSION = 0x84
TAKEN_OVER, SHUTTING_DOWN, NOT_AUTHORIZED = 0x8E, 0x8B, 0x87


@dataclass(slots=True)
class Waiting:
    """A message on its way to a subscriber."""

    message: Message
    packet_id: int = 0
    """What it was sent with before; 0: it was not."""


@dataclass(slots=True)
class Session:
    """What a broker keeps for one client identifier."""

    filters: dict[str, int] = field(default_factory=dict)
    queue: deque[Waiting] = field(default_factory=deque)
    in_flight: dict[int, Message] = field(default_factory=dict)
    next_id: int = 1
    link: Link | None = None
    window: int = WINDOW_OF_311

    def free_id(self) -> int:
        """A packet identifier that nothing else has."""
        taken = {*self.in_flight, *(waiting.packet_id for waiting in self.queue)}
        while self.next_id in taken:
            self.next_id = self.next_id % max(MAX_PACKET_ID, len(taken) + 1) + 1
        return self.next_id


class Broker:
    """Keeps sessions, and hands over what is published."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.random = random
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Message] = {}
        self.is_up = True
        self.is_frozen = False
        self.speaks_5 = True
        self.keeps_retained_back = True
        """It does not send retained messages to who asks for none."""
        self.rates = {"refused": 0.0, "no_answer": 0.0, "closed": 0.0, "denied": 0.0, "unreachable": 0.0}
        self.links: list[Link] = []

    def draws(self, fault: str) -> bool:
        """Whether a fault happens now."""
        rate = self.rates[fault]
        return rate > 0 and self.random.random() < rate

    def latency(self) -> float:
        """Seconds that something takes on the way."""
        return self.random.choice((0.0, 0.0, 0.001, 0.02, 0.2)) * self.world.slowness

    def publish(self, message: Message) -> bool:
        """A device publishes; returns whether the broker took it."""
        if not self.is_up:
            return False
        if message.retain:
            self.retained[message.topic] = message
            return True
        taken = False
        for session in self.sessions.values():
            if not any(wire.matches(name, message.topic) for name in session.filters):
                continue
            if message.qos:
                session.queue.append(Waiting(message))
                self.pump(session)
                taken = True
            elif session.link is not None:
                session.link.send_message(message, 0, is_dup=False)
                taken = True
        return taken

    def pump(self, session: Session) -> None:
        """Send what waits, as far as the window goes."""
        link = session.link
        while link is not None and session.queue:
            if len(session.in_flight) >= session.window:
                self.world.effects["window used up"] += 1
                return
            waiting = session.queue.popleft()
            packet_id = waiting.packet_id or session.free_id()
            session.in_flight[packet_id] = waiting.message
            link.send_message(waiting.message, packet_id, is_dup=waiting.packet_id != 0)

    def subscribed(self, link: Link, session: Session, names: list[tuple[str, int]], *, is_new: bool) -> list[int]:
        """The reason codes for a SUBSCRIBE."""
        codes = []
        for name, options in names:
            if self.draws("denied"):
                self.world.effects["subscription denied"] += 1
                codes.append(NOT_AUTHORIZED if link.mqtt5 else 0x80)
                continue
            session.filters[name] = options & 3
            codes.append(min(1, options & 3))
            wants_none = link.mqtt5 and options >> 4 & 3 == 2
            if link.mqtt5 and not wants_none:
                raise Violation("retained messages are asked for")
            if not (wants_none and self.keeps_retained_back):
                for topic, message in self.retained.items():
                    if wire.matches(name, topic):
                        session.queue.append(Waiting(message))
        return codes

    def restart(self, *, keeps_sessions: bool) -> None:
        """Go down, with or without having kept everything on disk."""
        self.is_up = False
        for link in list(self.links):
            link.cut(ConnectionDone() if self.random.random() < 0.5 else ConnectionLost())
        for session in self.sessions.values():
            session.link = None
        if not keeps_sessions:
            if any(session.queue or session.in_flight for session in self.sessions.values()):
                self.world.effects["session lost with messages"] += 1
            self.sessions.clear()
        else:
            self.world.effects["broker restarted with sessions"] += 1

    @property
    def holds(self) -> int:
        """Messages that wait for somebody or are not acknowledged."""
        return sum(len(session.queue) + len(session.in_flight) for session in self.sessions.values())


@implementer(IStreamClientEndpoint)
class BrokerEndpoint:
    """The way to the broker, for one process."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self.process = process

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See ``IStreamClientEndpoint``."""
        broker, process = self._broker, self.process
        if not broker.is_up:
            return fail(Refused())
        connected: Deferred[Any] = Deferred(lambda _connected: None)
        if broker.draws("unreachable"):
            broker.world.effects["broker unreachable"] += 1
            return connected

        def arrived() -> None:
            if connected.called or process.is_dead:
                return
            if not broker.is_up:
                connected.errback(Refused())
                return
            protocol = protocolFactory.buildProtocol(None)
            link = Link(broker, process, protocol)
            protocol.makeConnection(link)
            connected.callback(protocol)

        process.clock.callLater(broker.latency(), arrived)
        return connected


class Link:
    """One connection: to the process it is a TCP transport, and on its other end is the broker."""

    def __init__(self, broker: Broker, process: Process, protocol: Any) -> None:
        self._broker = broker
        self._world = broker.world
        self.process = process
        self._protocol = protocol
        self.mqtt5 = True
        self._session: Session | None = None
        self._client_id = ""
        self._to_broker = bytearray()
        self._to_client = bytearray()
        self._unparsed = bytearray()
        self._sent: deque[tuple[int, Message, int]] = deque()  # where each ends in the stream, the message and its id
        self._bytes_sent = self._bytes_read = 0
        self._owed: deque[tuple[int, Message]] = deque()  # PUBLISH packets read, and not acknowledged
        self._is_moving = {"to_broker": False, "to_client": False}
        self._is_paused = False
        self.is_silent = False
        """Nothing gets through any more, and nobody is told."""
        self._client_closed = False  # by the process: it writes and reads no more
        self._client_told = False  # that the connection is lost
        self._broker_closed = False
        broker.links.append(self)

    # To the process, a transport.

    def write(self, data: bytes) -> None:
        """See ``ITransport``."""
        if self._client_closed or self._client_told or self.process.is_dead:
            return
        for first, body, _ in wire.packets(data):
            if first >> 4 == packet_types.PUBACK:
                self._note_puback(int.from_bytes(body[:2], "big"))
        self._to_broker += data
        self._move("to_broker", self._reach_broker)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ``ITCPTransport``."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """As a transport has it; here all that is written finds room."""

    def unregisterProducer(self) -> None:
        """See ``IConsumer``."""

    def pauseProducing(self) -> None:
        """See ``IPushProducer``."""
        self._is_paused = True

    def resumeProducing(self) -> None:
        """See ``IPushProducer``."""
        self._is_paused = False
        self._move("to_client", self._reach_client)

    def loseConnection(self) -> None:
        """See ``ITransport``."""
        self._client_closed = True
        self._move("to_broker", self._reach_broker)

    def abortConnection(self) -> None:
        """See ``ITCPTransport``."""
        if not self._client_closed:
            self._client_closed = True
            self._lose_some_of("to_broker")
            self._move("to_broker", self._reach_broker)
        self.process.clock.callLater(0, self._tell_client, ConnectionAborted())

    # What moves.

    def _move(self, way: str, reach: Callable[[], None]) -> None:
        if not self._is_moving[way]:
            self._is_moving[way] = True
            self._world.clock.callLater(self._broker.latency(), reach)

    def _part(self, data: bytearray) -> bytes:
        """What of some bytes arrives now: all, or a part that ends anywhere."""
        size = len(data)
        if size and self._broker.random.random() < 0.2:
            size = self._broker.random.randrange(1, size + 1)
        part = bytes(data[:size])
        del data[:size]
        return part

    def _reach_broker(self) -> None:
        self._is_moving["to_broker"] = False
        if self.is_silent or self._broker_closed:
            return
        if self._broker.is_frozen:
            self._is_moving["to_broker"] = True
            self._world.clock.callLater(1.0, self._reach_broker)
            return
        self._unparsed += self._part(self._to_broker)
        end = 0
        for first, body, end in wire.packets(bytes(self._unparsed)):  # noqa: B007 the last one's end counts
            self._packet(first, body)
            if self._broker_closed:
                return
        del self._unparsed[:end]
        if self._to_broker:
            self._move("to_broker", self._reach_broker)
        elif self._client_closed or self.process.is_dead:
            self._close_broker()
            self._world.clock.callLater(self._broker.latency(), self._tell_client, ConnectionDone())

    def _reach_client(self) -> None:
        self._is_moving["to_client"] = False
        if self.is_silent or self._client_told or self.process.is_dead:
            return
        if self._is_paused:
            return
        if self._client_closed:
            self._to_client.clear()
            return
        data = self._part(self._to_client)
        if data:
            self._bytes_read += len(data)
            if self._sent and self._sent[0][0] > self._bytes_read:
                self._world.effects["packet cut in two"] += 1
            while self._sent and self._sent[0][0] <= self._bytes_read:
                _, message, packet_id = self._sent.popleft()
                if packet_id:
                    self._owed.append((packet_id, message))
                self.process.handed(message)
            self._protocol.dataReceived(data)
        if self._to_client:
            self._move("to_client", self._reach_client)
        elif self._broker_closed:
            self._tell_client(ConnectionDone())

    def _lose_some_of(self, way: str) -> None:
        """Of what is on the way a beginning arrives, or all, or nothing."""
        data = self._to_broker if way == "to_broker" else self._to_client
        if data:
            del data[self._broker.random.choice((0, self._broker.random.randrange(len(data) + 1), len(data))) :]

    # Ends.

    def cut(self, reason: Exception) -> None:
        """The connection breaks, with what is on the way."""
        self._lose_some_of("to_broker")
        if self._to_broker and not self._broker_closed and not self.is_silent and self._broker.is_up:
            self._unparsed += self._to_broker
            for first, body, _ in wire.packets(bytes(self._unparsed)):
                self._packet(first, body)
        self._to_broker.clear()
        self._to_client.clear()
        self._close_broker()
        if not self.process.is_dead:
            self.process.clock.callLater(0, self._tell_client, reason)

    def process_died(self) -> None:
        """The process is gone; what it wrote may still arrive."""
        self._lose_some_of("to_broker")
        self._to_client.clear()
        self._move("to_broker", self._reach_broker)

    def _tell_client(self, reason: Exception) -> None:
        if not self._client_told and not self.process.is_dead:
            self._client_told = True
            self._protocol.connectionLost(Failure(reason))

    def _close_broker(self) -> None:
        if not self._broker_closed:
            self._broker_closed = True
            self._broker.links.remove(self)
            if self._session is not None and self._session.link is self:
                self._session.link = None

    def _close_after(self, data: bytes) -> None:
        """The broker says its last."""
        self._send(data)
        self._close_broker()
        self._move("to_client", self._reach_client)

    # The broker's side.

    def _send(self, data: bytes) -> None:
        if self._broker_closed:
            return
        self._to_client += data
        self._bytes_sent += len(data)
        self._move("to_client", self._reach_client)

    def send_message(self, message: Message, packet_id: int, *, is_dup: bool) -> None:
        """Send a PUBLISH."""
        begin = self._bytes_sent
        self._send(
            wire.publish(
                message.topic, message.payload, packet_id, is_dup=is_dup, retain=message.retain, mqtt5=self.mqtt5
            )
        )
        is_oversized = len(message.payload) > MAX_PAYLOAD  # it counts as soon as its head is there
        end = begin + 3 + 2 + len(message.topic.encode()) + 6 if is_oversized else self._bytes_sent
        self._sent.append((end, message, packet_id))
        if is_dup:
            self._world.effects["redelivery"] += 1

    def _note_puback(self, packet_id: int) -> None:
        """The process acknowledges: in the order in which it read the messages (MQTT-4.6.0-2), and each once."""
        if not self._owed or self._owed[0][0] != packet_id:
            raise Violation(f"PUBACK {packet_id}, but it owes {[owed for owed, _ in self._owed]}")
        _, message = self._owed.popleft()
        self._world.acknowledged(message, self.process)

    def _packet(self, first: int, body: bytes) -> None:
        kind = first >> 4
        session = self._session
        if kind == packet_types.CONNECT:
            self._connect(wire.connect(body))
        elif session is None or session.link is not self:
            return
        elif kind == packet_types.PUBACK:
            if session.in_flight.pop(int.from_bytes(body[:2], "big"), None) is None:
                raise Violation("a PUBACK for what is not in flight")
            self._broker.pump(session)
        elif kind == packet_types.SUBSCRIBE:
            packet_id, names = wire.filters(body, mqtt5=self.mqtt5, has_options=True)
            codes = self._broker.subscribed(self, session, names, is_new=True)
            self._send(wire.answer(packet_types.SUBACK, packet_id, codes, mqtt5=self.mqtt5))
            self._broker.pump(session)
        elif kind == packet_types.UNSUBSCRIBE:
            packet_id, names = wire.filters(body, mqtt5=self.mqtt5, has_options=False)
            for name, _ in names:
                session.filters.pop(name, None)
            self._send(wire.answer(packet_types.UNSUBACK, packet_id, [0] * len(names), mqtt5=self.mqtt5))
        elif kind == packet_types.PINGREQ:
            self._send(encode_packet(packet_types.PINGRESP << 4, b""))
        elif kind == packet_types.DISCONNECT:
            self._close_broker()
        else:
            raise Violation(f"the service sent a packet of kind {kind}")

    def _connect(self, asked: wire.Connect) -> None:
        broker, effects = self._broker, self._world.effects
        self.mqtt5 = asked.mqtt5
        if asked.clean_start:
            raise Violation("a clean session is asked for")
        if asked.mqtt5 and not broker.speaks_5:
            effects["MQTT 5 refused"] += 1
            self._close_after(wire.connack(UNSUPPORTED_VERSION, session_present=False, mqtt5=True))
        elif broker.draws("refused"):
            effects["connection refused"] += 1
            code = SERVER_UNAVAILABLE if asked.mqtt5 else SERVER_UNAVAILABLE_311
            self._close_after(wire.connack(code, session_present=False, mqtt5=asked.mqtt5))
        elif broker.draws("closed"):
            effects["closed instead of CONNACK"] += 1
            self._close_after(b"")
        elif broker.draws("no_answer"):
            effects["no CONNACK"] += 1
        else:
            self._accept(asked)

    def _accept(self, asked: wire.Connect) -> None:
        broker, effects = self._broker, self._world.effects
        known = broker.sessions.get(asked.client_id)
        session = self._session = broker.sessions.setdefault(asked.client_id, Session())
        if session.link is not None:
            effects["session taken over"] += 1
            session.link._close_after(wire.disconnect(TAKEN_OVER) if session.link.mqtt5 else b"")
        session.link = self
        session.window = (asked.receive_maximum or 65535) if asked.mqtt5 else WINDOW_OF_311
        self._send(wire.connack(0, session_present=known is not None, mqtt5=asked.mqtt5))
        effects["session resumed" if known is not None else "session new"] += 1
        if not asked.mqtt5:
            effects["MQTT 3.1.1"] += 1
        again = [Waiting(message, packet_id) for packet_id, message in session.in_flight.items()]
        session.in_flight.clear()
        session.queue.extendleft(reversed(again))
        for waiting in session.queue:
            if waiting.packet_id:  # not only of this connection: a PUBACK may have got lost on one taken over long ago
                self._world.comes_again(waiting.message)
        broker.pump(session)
