"""What is published. Pure: the same plan gives the same messages, and says what the table must hold afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

# Half data, a tenth status, two fifths heartbeats.
KINDS = ("data",) * 5 + ("status",) + ("heartbeat",) * 4
LAST_UUID = "zzzz-last"
"""The device of the last message. It sorts behind all others, so its row is the last one that a batch writes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream of messages, and how it is published."""

    count: int
    """Messages, the one of ``LAST_UUID`` included."""
    devices: int
    first: int = 0
    """The first sequence number; each run has numbers of its own, so that no row can hold the report of another run."""
    payload_bytes: int = 0
    """Length that payloads are filled up to; 0 leaves them at about 40 bytes."""
    rate: float = 0.0
    """Messages a second; 0 for as fast as the broker takes them."""
    window: int = 20_000
    """PUBLISH packets that may wait for the broker's acknowledgement."""
    only_heartbeats: bool = False
    """Save the last message."""
    prefixes: tuple[str, ...] = ("devices",)
    """Of topics; each device stays with one of them."""
    is_scattered: bool = False
    """Whether the devices' turns have another order than their rows in the table."""
    at_qos_1: int = 2**62
    """How many messages are published at QoS 1; those behind them go at QoS 0."""

    @property
    def last(self) -> int:
        """The sequence number of the last message."""
        return self.first + self.count - 1


def uuids(devices: int) -> list[str]:
    """Names as live devices have them; their order says nothing about the order in the table's index."""
    random = Random(1)
    return [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(devices)]


def turns(plan: Plan) -> list[str]:
    """The devices, in the order of their turns."""
    names = uuids(plan.devices)
    if plan.is_scattered:
        Random(2).shuffle(names)
    return names


def messages(plan: Plan) -> Iterator[tuple[bytes, bytes]]:
    """Topic and payload of each message. The devices take turns, and each sends every kind in its turn."""
    names = turns(plan)
    for index in range(plan.count - 1):
        kind, sequence = _kind(plan, index), plan.first + index
        device = index % plan.devices
        topic = f"{plan.prefixes[device % len(plan.prefixes)]}/{names[device]}/{kind}"
        yield topic.encode(), _payload(kind, sequence, plan.payload_bytes)
    yield f"{plan.prefixes[0]}/{LAST_UUID}/data".encode(), _payload("data", plan.last, plan.payload_bytes)


def last_reports(plan: Plan) -> dict[str, int]:
    """The sequence number of the last report of each device that sent one; a heartbeat is no report."""
    names = turns(plan)
    last = {LAST_UUID: plan.last}
    for index in range(plan.count - 2, -1, -1):
        if _kind(plan, index) != "heartbeat":
            last.setdefault(names[index % plan.devices], plan.first + index)
        if len(last) == plan.devices + 1:
            break
    return last


def next_report(plan: Plan, place: int, sequence: int) -> int | None:
    """Which message, counted from 0, is the first report of a device behind one; None: there is none.

    :param place: of the device among ``turns``. :param sequence: of the report that is known; lower than all: none is.
    """
    index = place if sequence < plan.first else sequence - plan.first + plan.devices
    while index < plan.count - 1:
        if _kind(plan, index) != "heartbeat":
            return index
        index += plan.devices
    return None


def _kind(plan: Plan, index: int) -> str:
    if plan.only_heartbeats:
        return "heartbeat"
    return KINDS[(index + index // plan.devices * 3) % len(KINDS)]


def _payload(kind: str, sequence: int, size: int) -> bytes:
    if kind == "data":
        text = f'{{"temperature": {18 + sequence % 90 / 10}, "humidity": {40 + sequence % 50}, "seq": {sequence}'
    elif kind == "status":
        text = f'{{"status": "active", "battery": {sequence % 100}, "seq": {sequence}'
    else:
        text = f'{{"seq": {sequence}'
    filling = size - len(text) - len(', "text": ""}')
    return f'{text}, "text": "{"x" * filling}"}}'.encode() if filling > 0 else f"{text}}}".encode()
