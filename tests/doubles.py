"""What stands in for others in more than one test: connection, receiver, transport, a broker that reads, a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.mqtt.packets import PacketReader
from aiot_mqtt.mqtt.receiver import Acknowledger
from aiot_mqtt.table.contract import RowKey, Silence, Written
from aiot_mqtt.table.memory import MemoryTable


class RecordingConnection:
    """An ``Acknowledger`` that keeps what it is to acknowledge."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    @property
    def acknowledged(self) -> list[int]:
        """All packet identifiers, in their order."""
        return [packet_id for call in self.calls for packet_id in call]

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        self.calls.append(list(packet_ids))


class OrderedConnection(RecordingConnection):
    """Checks that every PUBACK is sent once, and in the order of the PUBLISH packets (MQTT-4.6.0-2)."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[int] = []

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        super().acknowledge(packet_ids)
        assert self.acknowledged == self.received[: len(self.acknowledged)], (packet_ids, self.received)


class RecordingReceiver:
    """Keeps what a connection or a ``PacketReader`` hands over."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def connection_started(self, connection: Acknowledger) -> None:
        self.calls.append(("started", connection))

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        self.calls.append(("publish", topic, payload, packet_id, retain))

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        self.calls.append(("oversized", topic, size, packet_id, most))

    def control_packet(self, packet: bytes, body: bytes) -> None:
        self.calls.append(("control", packet, body))

    def read_finished(self) -> None:
        self.calls.append(("finished",))


class Transport(StringTransport):
    """One of TCP, in memory."""

    no_delay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled


class Received:
    """What a broker would read."""

    def __init__(self, *, mqtt5: bool) -> None:
        self.publishes: list[tuple[bytes, bytes, int, bool]] = []
        self.controls: list[bytes] = []
        self._reader = PacketReader(
            self, lambda packet, _body: self.controls.append(packet), mqtt5=mqtt5, max_payload=1_000_000
        )
        self.feed = self._reader.feed

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        self.publishes.append((topic, payload, packet_id, retain))

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        raise AssertionError("too large")


class HeldTable(MemoryTable):
    """Does what it is told to hold only when it is let."""

    def __init__(self, uuids: Sequence[str] = (), *, holds_writes: bool = True) -> None:
        super().__init__(uuids)
        self.holds_writes = holds_writes
        self.holds_sweeps = False
        self.held: list[tuple[Deferred[None], Sequence[Any]]] = []
        """What fires to let it happen, and the updates or keys it is about."""

    def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Deferred[frozenset[RowKey]]:
        released = self._let(self.holds_sweeps, keys)
        return released.addCallback(lambda _: MemoryTable.set_offline(self, keys, silence))

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        released = self._let(self.holds_writes, updates)
        return released.addCallback(lambda _: MemoryTable.write(self, updates, unless_heard_until))

    def _let(self, holds: bool, what: Sequence[Any]) -> Deferred[None]:
        released: Deferred[None] = Deferred()
        self.held.append((released, what))
        if not holds:
            self.held.pop()[0].callback(None)
        return released

    def release(self) -> None:
        """Let the first one happen."""
        self.held.pop(0)[0].callback(None)
