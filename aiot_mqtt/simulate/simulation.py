"""Lets a simulated fleet publish to a broker at its pace, and sums up how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ..mqtt.dial import dial
from ..mqtt.errors import MqttError
from .fleet import Fleet, Message
from .publisher import Publisher, PublisherOptions

TICK = 0.01  # s between looks at what is due
CONNECT_TIMEOUT = 10.0  # s
ACKNOWLEDGE_TIMEOUT = 10.0  # s without any progress, before messages count as unacknowledged


@dataclass(slots=True, kw_only=True)
class Summary:
    """What was published and what became of it."""

    devices: int
    seed: int
    seconds: float = 0.0
    """From the first message due to the last answer."""
    published: int = 0
    acknowledged: int = 0
    """At QoS 1; at QoS 0 nobody ever knows."""
    unacknowledged: int = 0
    no_subscriber: int = 0
    """Acknowledged ones that the broker had no subscriber for, where it speaks MQTT 5 and says so."""
    refused: Counter[str] = field(default_factory=Counter)
    """How many the broker refused, by its reason."""
    kinds: Counter[str] = field(default_factory=Counter)
    sorts: Counter[str] = field(default_factory=Counter)
    lost: str = ""
    """Why a connection ended before its time."""

    @property
    def is_complete(self) -> bool:
        """Whether the broker took everything."""
        return not (self.lost or self.unacknowledged or self.refused)

    def as_dict(self) -> dict[str, Any]:
        """Every figure, as ``--json`` shows it."""
        rate = round(self.published / self.seconds, 1) if self.seconds else 0.0
        return {
            "devices": self.devices,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "rate": rate,
            "published": self.published,
            "acknowledged": self.acknowledged,
            "unacknowledged": self.unacknowledged,
            "no_subscriber": self.no_subscriber,
            "refused": dict(self.refused),
            "kinds": dict(sorted(self.kinds.items())),
            "sorts": dict(sorted(self.sorts.items())),
            "lost": self.lost,
            "complete": self.is_complete,
        }

    def lines(self) -> list[str]:
        """What ``as_dict`` gives, in words."""
        figures = self.as_dict()
        lines = [
            f"published {self.published}, acknowledged {self.acknowledged}, unacknowledged {self.unacknowledged},"
            f" refused {self.refused.total()}: {figures['seconds']} s, {figures['rate']:.0f} messages/s",
            f"{self.devices} devices, seed {self.seed}: {_listed(self.kinds)}",
        ]
        if set(self.sorts) - {"ordinary"}:
            lines.append(f"of these {_listed(self.sorts)}")
        lines += [f"the broker refused {count}: {reason}" for reason, count in sorted(self.refused.items())]
        if self.no_subscriber:
            lines.append(f"the broker had no subscriber for {self.no_subscriber}: is the service connected?")
        if self.lost:
            lines.append(f"a connection ended early: {self.lost}")
        return lines


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing"


class Simulation:
    """One run of a fleet over a few connections that its devices share.

    A device always publishes over the same connection, so its messages stay in order.
    """

    def __init__(
        self,
        fleet: Fleet,
        endpoint: IStreamClientEndpoint,
        options: PublisherOptions,
        reactor: Any,
        *,
        connections: int = 8,
        most: int | None = None,
        seconds: float | None = None,
        sent: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        """
        :param options: for each connection; its number is put behind the client identifier.
        :param reactor: an ``IReactorTime``.
        :param most: end by itself after so many messages.
        :param seconds: end by itself after so long; what is due before is published, as far as the broker keeps up.
        :param sent: told of each message as it is published.
        """
        self._fleet = fleet
        self._endpoint = endpoint
        self._options = options
        self._reactor = reactor
        self._most = most
        self._seconds = seconds
        self._sent = sent
        self._publishers = [
            Publisher(replace(options, client_id=f"{options.client_id}-{number}"), reactor, self._pump)
            for number in range(connections)
        ]
        self._messages: Iterator[Message] = iter(())
        self._next: Message | None = None
        self._is_running = False
        self._began = 0.0
        self._last_progress = 0.0
        self._answered = -1
        self._stopping = False
        self._ended: Deferred[None] = Deferred()
        self._summary = Summary(devices=len(fleet.plan.uuids), seed=fleet.plan.seed)

    async def connect(self) -> None:
        """Open every connection. Cancelling is a failure like any other.

        :raises MqttError: the broker cannot be reached, or refuses.
        """
        results = await DeferredList(
            [Deferred.fromCoroutine(self._connect(publisher)) for publisher in self._publishers], consumeErrors=True
        )
        for _, failure in results:
            if isinstance(failure, Failure):
                await self._disconnect()
                failure.raiseException()

    async def run(self) -> Summary:
        """Publish until ``stop`` is called, a connection is lost, or the wanted number is reached."""
        self._messages = self._fleet.messages()
        self._began = self._last_progress = self._reactor.seconds()
        self._is_running = True
        ticking = LoopingCall(self._tick)
        ticking.clock = self._reactor
        ticking.start(TICK)
        ending = self._reactor.callLater(self._seconds, self._end_of_time) if self._seconds else None
        await self._ended
        ticking.stop()
        if ending is not None and ending.active():
            ending.cancel()
        summary = self.summary()
        await self._disconnect()
        return summary

    def stop(self) -> None:
        """Publish no more, and end once the broker has answered what was published."""
        if not self._stopping:
            self._stopping = True
            self._messages = self._fleet.clearing()
            self._next = None
            self._last_progress = self._reactor.seconds()
        self._pump()

    def summary(self) -> Summary:
        """What was published until now, and what became of it."""
        summary, publishers = self._summary, self._publishers
        summary.seconds = self._reactor.seconds() - self._began
        summary.published = sum(publisher.published for publisher in publishers)
        summary.acknowledged = sum(publisher.acknowledged for publisher in publishers)
        summary.unacknowledged = sum(publisher.in_flight for publisher in publishers)
        summary.no_subscriber = sum(publisher.no_subscriber for publisher in publishers)
        summary.refused = sum((publisher.refused for publisher in publishers), Counter())
        return summary

    async def _connect(self, publisher: Publisher) -> None:
        try:
            await dial(self._endpoint, publisher, self._reactor, CONNECT_TIMEOUT)
        except CancelledError:
            raise MqttError("interrupted") from None
        timeout = self._reactor.callLater(CONNECT_TIMEOUT, publisher.abort, "the broker did not answer CONNECT")
        try:
            await publisher.accepted
        except CancelledError:
            publisher.abort("interrupted")
            raise MqttError("interrupted") from None
        finally:
            if timeout.active():
                timeout.cancel()
        publisher.closed.addCallback(self._connection_closed)

    async def _disconnect(self) -> None:
        """Close every connection that was made; one that does not close in order is cut."""
        for publisher in self._publishers:
            if publisher.transport is not None:
                timeout = self._reactor.callLater(CONNECT_TIMEOUT, publisher.abort, "not closed in time")
                await publisher.disconnect()
                timeout.cancel()

    def _connection_closed(self, reason: str) -> str:
        if self._is_running:
            self._summary.lost = self._summary.lost or reason
            self.stop()
        return reason

    def _end_of_time(self) -> None:
        self._pump()
        self.stop()

    def _tick(self) -> None:
        answered = sum(publisher.published - publisher.in_flight for publisher in self._publishers)
        if answered != self._answered or not self._stopping:
            self._answered = answered
            self._last_progress = self._reactor.seconds()
        self._pump()

    def _pump(self) -> None:
        """Publish what is due as far as there is room, and end when there is nothing left to wait for."""
        if not self._is_running:
            return
        self._publish_due()
        if not self._is_running:
            return  # publishing reached the wanted number, and that ended it
        publishers = self._publishers
        is_done = self._stopping and self._next is None
        is_silent = self._reactor.seconds() - self._last_progress > ACKNOWLEDGE_TIMEOUT
        is_answered = not any(publisher.in_flight for publisher in publishers)
        if self._stopping and (is_silent or self._summary.lost or (is_done and is_answered)):
            self._is_running = False
            self._ended.callback(None)

    def _publish_due(self) -> None:
        due = self._reactor.seconds() - self._began
        publishers, summary = self._publishers, self._summary
        rooms = [publisher.room for publisher in publishers]
        batches: list[list[Message]] = [[] for _ in publishers]
        published = sum(publisher.published for publisher in publishers)
        while True:
            message = self._next = self._next or next(self._messages, None)
            if message is None or message.due > due or (self._seconds and message.due >= self._seconds):
                break
            number = message.device % len(publishers)
            if not rooms[number]:
                break
            rooms[number] -= 1
            batches[number].append(message)
            self._next = None
            summary.kinds[message.kind] += 1
            summary.sorts[message.sort] += 1
            published += 1
            if published == self._most:
                break
        for publisher, batch in zip(publishers, batches, strict=True):
            if batch:
                publisher.send(batch)
                for message in batch:
                    self._sent(message)
        if published == self._most and not self._stopping:
            self.stop()
