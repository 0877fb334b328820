"""Devices that publish at QoS 1 without rest, and what the broker acknowledged to each: the truth a row is held to."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from aiot_mqtt.simulate.fleet import ORDINARY, Message
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions
from aiot_mqtt.telemetry.survive import start

TICK = 0.01  # s between looks at what is due
MAX_DUE = 0.2  # s of messages that a pause of this process makes up for
CONNECTIONS = 8
WINDOW = 2000  # PUBLISH packets of one connection that may be unacknowledged
MIN_REPORTING = 25  # of so many devices one goes on reporting to the end
HALF_TIME = 2.0  # s after which half of the devices have reported for the last time
RETRY_DELAY = 0.1  # s between two attempts to connect
CONNECT_TIMEOUT = 5.0  # s
STRANGER = -1  # the index of a device that is none of the fleet
WORDS = ("active", "idle", "charging", "fault", "offline", "待机", "low-battery", "2")


class Acknowledged:
    """What the broker acknowledged to one device: its last report, status and heartbeat."""

    __slots__ = ("heard_at", "heartbeat_at", "is_silent", "last", "report", "status", "uuid")

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.report: bytes | None = None
        """The payload of the last data or status."""
        self.status: bytes | None = None
        """The payload of the last status."""
        self.last: Message | None = None
        self.heard_at = 0.0
        """When that was first published, in seconds since the epoch."""
        self.heartbeat_at: float | None = None
        """The same of the last heartbeat."""
        self.is_silent = False
        """Whether it publishes nothing more, so that it should be offline in the end."""

    def note(self, message: Message) -> None:
        """The broker has it."""
        self.last = message
        self.heard_at = message.due
        if message.kind == "heartbeat":
            self.heartbeat_at = message.due
            return
        self.report = message.payload
        if message.kind == "status":
            self.status = message.payload


class _Lane:
    """What the devices that share a connection have published and not had acknowledged, over all its connections."""

    def __init__(self) -> None:
        self.queue: deque[Message] = deque()
        self.sent = 0
        """How many of them, from the oldest on, were sent on the present connection."""
        self.publisher: Publisher | None = None
        self.settled = 0
        """PUBACKs of that connection which are taken into account."""

    @property
    def room(self) -> int:
        """How many new messages may be put in the queue."""
        return 0 if self.publisher is None else self.publisher.room - (len(self.queue) - self.sent)


class Fleet:
    """Devices with a steady rate. A device whose connection is lost first publishes again what was not acknowledged.

    A report that is lost would soon be made up for by the next one. So as time goes by more and more devices have
    reported for the last time and send heartbeats only: whatever a fault costs, it costs the last report of some.
    Mosquitto acknowledges the messages of one connection in their order, so a PUBACK is always for the oldest.
    """

    def __init__(self, uuids: Sequence[str], port: int, reactor: Any, *, rate: float, seed: int) -> None:
        """:param rate: messages a second; may be changed at any time."""
        self.rate = rate
        self.devices = [Acknowledged(uuid) for uuid in uuids]
        self.published = 0
        self.acknowledged = 0
        self.refused = 0
        """By the broker."""
        self.without_subscriber = 0
        """Of the acknowledged ones, as far as the broker says: it had no session to keep them for."""
        self.sequence = 0
        """The number in the last report."""
        self.padding = 0
        """Bytes that are added to each report of data."""
        self.words: Sequence[str] = WORDS
        """The statuses that devices report; may be changed at any time."""
        self._random = Random(seed)
        self._reactor = reactor
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=CONNECT_TIMEOUT)
        self._topics = {
            kind: [f"devices/{uuid}/{kind}".encode() for uuid in uuids] for kind in ("data", "status", "heartbeat")
        }
        self._lanes = [_Lane() for _ in range(CONNECTIONS)]
        self._turn = 0
        self._reporting: list[int] = []
        self._fewest_reporting = max(1, len(uuids) // MIN_REPORTING)
        self._began = 0.0
        self._owed = 0.0
        self._last_tick = 0.0
        self._ticking = LoopingCall(self._publish_due)
        self._ticking.clock = reactor
        self._connecting: list[Deferred[None]] = []
        self._all_acknowledged: Deferred[None] | None = None
        self._last_words: deque[tuple[int, str]] = deque()

    def start(self) -> None:
        """Connect, and publish from then on."""
        self.report_anew()
        self._last_tick = self._reactor.seconds()
        self._connecting = [
            start(self._stay_connected(number), Logger(), "a connection of the fleet failed")
            for number in range(CONNECTIONS)
        ]
        self._ticking.start(TICK)

    def report_anew(self) -> None:
        """Let all devices report again, from now on fewer and fewer of them."""
        self._reporting = list(range(len(self.devices)))
        self._began = self._reactor.seconds()

    def pause(self) -> Deferred[None]:
        """Publish nothing new; fires once everything is acknowledged."""
        if self._ticking.running:
            self._ticking.stop()
        acknowledged: Deferred[None] = Deferred()
        self._all_acknowledged = acknowledged
        self._tell_when_empty()
        return acknowledged

    def resume(self) -> None:
        """Publish again, after ``pause``."""
        self._last_tick = self._reactor.seconds()
        self._ticking.start(TICK)

    def publish_last_words(self) -> Deferred[None]:
        """One message of each kind for every device, at the usual rate; fires once all are acknowledged. While paused.

        The kinds come in any order, and a device that is silent stays so.
        """
        for device, acknowledged in enumerate(self.devices):
            if not acknowledged.is_silent:
                kinds = self._random.sample(("data", "status", "heartbeat"), 3)
                self._last_words.extend((device, kind) for kind in kinds)
        acknowledged_all: Deferred[None] = Deferred()
        self._all_acknowledged = acknowledged_all
        self.resume()
        return acknowledged_all

    def speak(self, uuid: str, kind: str, payload: bytes) -> None:
        """Publish one message for a device that is none of the fleet; nothing is noted of it."""
        lane = self._lanes[0]
        topic = f"devices/{uuid}/{kind}".encode()
        lane.queue.append(Message(time.time(), STRANGER, kind, topic, payload, False, ORDINARY))
        self.published += 1
        self._send(lane)

    def close(self) -> None:
        """Cut every connection."""
        if self._ticking.running:
            self._ticking.stop()
        for connecting in self._connecting:
            connecting.cancel()
        for lane in self._lanes:
            if lane.publisher is not None:
                lane.publisher.abort("the fleet ends")

    async def _stay_connected(self, number: int) -> None:
        lane = self._lanes[number]
        while True:
            publisher = Publisher(
                PublisherOptions(f"fleet-{number}", window=WINDOW), self._reactor, lambda: self._progressed(lane)
            )
            factory = Factory.forProtocol(lambda publisher=publisher: publisher)  # type: ignore[misc]
            factory.noisy = False
            try:
                await self._endpoint.connect(factory)
                await publisher.accepted.addTimeout(CONNECT_TIMEOUT, self._reactor)
            except CancelledError:
                publisher.abort("the fleet ends")
                raise
            except Exception:  # the broker is away, which is what this is about
                publisher.abort("not accepted")
            else:
                lane.publisher, lane.sent, lane.settled = publisher, 0, 0
                self._send(lane)
                await publisher.closed
                lane.publisher = None
            await deferLater(self._reactor, RETRY_DELAY)

    def _publish_due(self) -> None:
        now = self._reactor.seconds()
        self._owed = min(self._owed + (now - self._last_tick) * self.rate, MAX_DUE * self.rate)
        self._last_tick = now
        self._report_no_more(now - self._began)
        rooms = [lane.room for lane in self._lanes]
        is_ending = bool(self._last_words)
        for _ in range(int(self._owed)):
            self._owed -= 1
            if is_ending:
                if not self._last_words or rooms[self._last_words[0][0] % CONNECTIONS] <= 0:
                    break
                device, kind = self._last_words.popleft()
            else:
                device, kind = self._next()
                if rooms[device % CONNECTIONS] <= 0 or self.devices[device].is_silent:
                    continue
            rooms[device % CONNECTIONS] -= 1
            self._lanes[device % CONNECTIONS].queue.append(self._message(device, kind))
        if is_ending and not self._last_words:
            self._ticking.stop()
        for lane in self._lanes:
            self._send(lane)

    def _report_no_more(self, elapsed: float) -> None:
        """Let devices have reported for the last time; in twice the time half of the others, on any scale of time."""
        left = max(self._fewest_reporting, int(len(self.devices) / (1 + elapsed / HALF_TIME)))
        while len(self._reporting) > left:
            at = self._random.randrange(len(self._reporting))
            self._reporting[at] = self._reporting[-1]
            self._reporting.pop()

    def _next(self) -> tuple[int, str]:
        """Whose turn it is to publish what: half of it data, a tenth status, the rest heartbeats."""
        number = self._random.random()
        if number < 0.6:
            return self._random.choice(self._reporting), "data" if number < 0.5 else "status"
        self._turn = (self._turn + 1) % len(self.devices)
        return self._turn, "heartbeat"

    def _message(self, device: int, kind: str) -> Message:
        self.published += 1
        payload = b""
        if kind != "heartbeat":
            self.sequence += 1
        if kind == "data":
            padding = b', "padding": "%s"' % (b"x" * self.padding) if self.padding else b""
            temperature = 15 + 10 * self._random.random()
            payload = b'{"seq": %d, "temperature": %.1f%s}' % (self.sequence, temperature, padding)
        elif kind == "status":
            payload = b'{"status": "%s", "seq": %d}' % (self._random.choice(self.words).encode(), self.sequence)
        return Message(time.time(), device, kind, self._topics[kind][device], payload, False, ORDINARY)

    def _send(self, lane: _Lane) -> None:
        publisher = lane.publisher
        if publisher is None or lane.sent == len(lane.queue) or (room := publisher.room) <= 0:
            return
        messages = list(islice(lane.queue, lane.sent, lane.sent + room))
        lane.sent += len(messages)
        publisher.send(messages)

    def _progressed(self, lane: _Lane) -> None:
        if (publisher := lane.publisher) is None:
            return
        for _ in range(publisher.acknowledged - lane.settled):
            message = lane.queue.popleft()
            if message.device != STRANGER:
                self.devices[message.device].note(message)
        new = publisher.acknowledged - lane.settled
        lane.settled += new
        lane.sent -= new
        self.acknowledged += new
        self.refused += publisher.refused.total()
        self.without_subscriber += publisher.no_subscriber
        publisher.no_subscriber = 0
        # Not only with the next tick: Mosquitto lets a connection have only 20 messages unacknowledged.
        if self._ticking.running:
            self._publish_due()
        else:
            self._send(lane)
        self._tell_when_empty()

    def _tell_when_empty(self) -> None:
        waiting = self._all_acknowledged
        if waiting is not None and not self._last_words and not any(lane.queue for lane in self._lanes):
            self._all_acknowledged = None
            waiting.callback(None)


def numbered(count: int) -> Iterator[str]:
    """Names of devices, with a number in each."""
    return (f"device-{number:05}" for number in range(count))
