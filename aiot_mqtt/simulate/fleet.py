"""A simulated fleet: what each of its devices publishes, and when. Pure: the same plan gives the same bytes again."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import NamedTuple

from ..devices.report import KINDS, split_prefixes

# What a message is meant to try. The service takes the first four, and refuses the others.
ORDINARY = "ordinary"
LAST_WILL = "last_will"
RETAINED = "retained"
DUPLICATE = "duplicate"
BAD_PAYLOAD = "bad_payload"
UNKNOWN_DEVICE = "unknown_device"
CLEARING = "clearing"
SORTS = (ORDINARY, LAST_WILL, RETAINED, DUPLICATE, BAD_PAYLOAD, UNKNOWN_DEVICE, CLEARING)
REFUSED = frozenset({BAD_PAYLOAD, UNKNOWN_DEVICE, CLEARING})
CHAOS = (BAD_PAYLOAD, UNKNOWN_DEVICE, RETAINED, DUPLICATE)

OFFLINE = b"offline"
# Each of them is no report on data and status alike.
BAD_PAYLOADS = (
    b"",
    b'{"temperature": 21.5',
    b'{"temperature": NaN}',
    b'{"temperature": 1e400}',
    b'{"text": "\\ud800"}',
    b'{"text": "\xff\xfe"}',
    b"[21.5, 48]",
    b"[" * 40 + b"]" * 40,
)
UNKNOWN_NAMES = ("not-in-the-table-1", "not-in-the-table-2", "not in the table: 3", "x" * 37)


class Message(NamedTuple):
    """One PUBLISH of one device."""

    due: float
    """Seconds after the fleet began."""
    device: int
    """Index into the plan's ``uuids``; beyond them for devices that no table knows."""
    kind: str
    """One of ``report.KINDS``."""
    topic: bytes
    payload: bytes
    retain: bool
    sort: str
    """One of ``SORTS``: whether, and how, it is out of the ordinary."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """All that decides what a fleet publishes."""

    uuids: tuple[str, ...]
    rate: float = 10.0
    """Messages a second, of the whole fleet: when devices are silent, the others take their turns."""
    mix: tuple[int, int, int] = (6, 1, 3)
    """How the kinds are shared out: data, status, heartbeat."""
    silence: float = 0.0
    """The share of its time, 0 to 0.9, that each device is silent."""
    silence_seconds: float = 20.0
    """How long a device is silent at a time."""
    chaos: float = 0.0
    """The share of messages, 0 to 1, that are not what a well-behaved device sends."""
    seed: int = 1
    topic_prefix: str = "devices"
    """One, or several between commas, which the devices share out; each device stays with its own."""


def numbered_uuids(count: int, prefix: str = "sim") -> tuple[str, ...]:
    """Names such as ``sim-0001``, all of one length."""
    digits = max(4, len(str(count)))
    return tuple(f"{prefix}-{number:0{digits}}" for number in range(1, count + 1))


class Fleet:
    """Devices that take turns to publish; each reports under a number of its own that counts up (``seq``)."""

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self._random = Random(plan.seed)  # noqa: S311 that it can be repeated is the point
        prefixes = cycle(prefix.encode() for prefix in split_prefixes(plan.topic_prefix))
        names = [b"%s/%s" % (next(prefixes), uuid.encode()) for uuid in (*plan.uuids, *UNKNOWN_NAMES)]
        self._topics = {kind: [b"%s/%s" % (name, kind.encode()) for name in names] for kind in KINDS}
        self._sequence = [0] * len(names)
        self._silent: set[int] = set()
        self._retained: set[tuple[int, str]] = set()
        # When whose silence begins or ends next: (seconds, device). Nobody is silent at first.
        self._turns_of_silence: list[tuple[float, int]] = []
        if plan.silence > 0:
            period = plan.silence_seconds / plan.silence
            self._turns_of_silence = [(self._random.random() * period, device) for device in range(len(plan.uuids))]
            heapq.heapify(self._turns_of_silence)

    @property
    def silent(self) -> frozenset[str]:
        """The devices that are silent at the moment the last message was due."""
        return frozenset(self.plan.uuids[device] for device in self._silent)

    def messages(self) -> Iterator[Message]:
        """Every message in the order it is due, without end. Iterate once."""
        plan, random = self.plan, self._random.random
        count = len(plan.uuids)
        order = list(range(count))
        self._random.shuffle(order)
        until_data = plan.mix[0] / sum(plan.mix)
        until_status = until_data + plan.mix[1] / sum(plan.mix)
        slot = turn = 0
        while True:
            due = slot / plan.rate
            while self._turns_of_silence and self._turns_of_silence[0][0] <= due:
                yield from self._turn_of_silence()
            if len(self._silent) == count:
                slot = int(self._turns_of_silence[0][0] * plan.rate) + 1
                continue
            slot += 1
            while (device := order[turn % count]) in self._silent:
                turn += 1
            turn += 1
            number = random()
            kind = "data" if number < until_data else "status" if number < until_status else "heartbeat"
            if plan.chaos and random() < plan.chaos:
                yield from self._chaos(due, device, kind)
            else:
                yield Message(
                    due, device, kind, self._topics[kind][device], self._payload(device, kind), False, ORDINARY
                )

    def clearing(self) -> Iterator[Message]:
        """What takes back from the broker the messages that it was told to retain."""
        for device, kind in sorted(self._retained):
            yield Message(0.0, device, kind, self._topics[kind][device], b"", True, CLEARING)
        self._retained.clear()

    def _payload(self, device: int, kind: str) -> bytes:
        sequence = self._sequence[device] = self._sequence[device] + 1
        if kind == "data":
            temperature = 18 + device * 7 % 90 / 10 + self._random.random()
            humidity = 40 + (device * 11 + sequence) % 30
            return b'{"temperature": %.1f, "humidity": %d, "seq": %d}' % (temperature, humidity, sequence)
        if kind == "status":
            return b'{"status": "active", "battery": %d, "seq": %d}' % (100 - sequence // 20 % 80, sequence)
        return b'{"seq": %d}' % sequence

    def _turn_of_silence(self) -> Iterator[Message]:
        """A device falls silent, or comes back and says its status, as on connecting.

        Half of those that go were cut off, so that the broker sends their will; the others just say no more.
        """
        at, device = heapq.heappop(self._turns_of_silence)
        plan = self.plan
        if device in self._silent:
            self._silent.remove(device)
            heapq.heappush(self._turns_of_silence, (at + plan.silence_seconds * (1 / plan.silence - 1), device))
            topic, payload = self._topics["status"][device], self._payload(device, "status")
            yield Message(at, device, "status", topic, payload, False, ORDINARY)
            return
        self._silent.add(device)
        heapq.heappush(self._turns_of_silence, (at + plan.silence_seconds, device))
        if self._random.random() < 0.5:
            yield Message(at, device, "status", self._topics["status"][device], OFFLINE, False, LAST_WILL)

    def _chaos(self, due: float, device: int, kind: str) -> Iterator[Message]:
        sort = self._random.choice(CHAOS)
        if sort == UNKNOWN_DEVICE:
            device = len(self.plan.uuids) + self._random.randrange(len(UNKNOWN_NAMES))
        elif kind == "heartbeat" and sort in (BAD_PAYLOAD, RETAINED):
            kind = "data"  # any heartbeat is a good one, also the empty one that takes back a retained one
        payload = self._random.choice(BAD_PAYLOADS) if sort == BAD_PAYLOAD else self._payload(device, kind)
        message = Message(due, device, kind, self._topics[kind][device], payload, sort == RETAINED, sort)
        if sort == RETAINED:
            self._retained.add((device, kind))
        if sort == DUPLICATE:
            yield message._replace(sort=ORDINARY)
        yield message
