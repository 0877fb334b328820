"""The newest state of each device that is not yet in the table, and the acknowledgements that ride on it.

Pure: no clock, no I/O. Memory: an update and its payload per device, two bytes or so per unacknowledged PUBLISH.
"""

from __future__ import annotations

from ..devices.report import HEARTBEAT, DeviceReport
from ..devices.update import DeviceUpdate, UuidKey
from ..mqtt.receiver import Acknowledger

UPDATE_BYTES = 400
"""What an update costs in memory beside its document, rounded up (measured with tracemalloc: 340)."""

DEFAULT_BOUND = 64 * 1024 * 1024  # bytes


class Batch:
    """What is written together, and what is acknowledged once it is."""

    __slots__ = ("_preceding", "acknowledged", "acknowledger", "packet_ids", "size", "updates")

    def __init__(
        self,
        updates: list[DeviceUpdate],
        acknowledger: Acknowledger | None = None,
        packet_ids: list[int] | None = None,
        preceding: list[int] | None = None,
        size: int = 0,
    ) -> None:
        """
        :param preceding: for each update, how many of the packet identifiers came before its first report; ascending.
        :param size: bytes held, an estimate.
        """
        self.updates = updates
        self.acknowledger = acknowledger
        self.packet_ids = packet_ids or []
        self.size = size
        self._preceding = preceding or []
        self.acknowledged = 0
        """How many PUBLISH packets of it were acknowledged already."""

    @property
    def deliveries(self) -> int:
        """Deliveries that are counted nowhere yet: neither as stored nor as anything else."""
        return sum(update.deliveries for update in self.updates)

    def remove_first(self, count: int) -> None:
        """The first ``count`` updates are done with: acknowledge every PUBLISH that came before what is left.

        With acknowledgements at the end of the batch only, a message would wait for twice as long under load: for the
        batch that is in flight when it comes, and for the whole of its own.
        """
        done = self.updates[:count]
        documents = sum([len(update.document) for update in done if update.document is not None])
        self.size = max(0, self.size - UPDATE_BYTES * len(done) - documents)
        del self.updates[:count], self._preceding[:count]
        if self._preceding:
            self._acknowledge(self._preceding[0] - self.acknowledged)

    def acknowledge(self) -> None:
        """Acknowledge every PUBLISH of the batch, once, in the order they arrived (MQTT-4.6.0-2)."""
        self._acknowledge(len(self.packet_ids))

    def _acknowledge(self, count: int) -> None:
        packet_ids = self.packet_ids[:count]
        del self.packet_ids[:count]
        self.acknowledged += len(packet_ids)
        if self.acknowledger is not None and packet_ids:
            self.acknowledger.acknowledge(packet_ids)


class PendingUpdates:
    """Merges reports until the writer takes them."""

    def __init__(self, bound: int = DEFAULT_BOUND) -> None:
        """:param bound: bytes above which messages at QoS 0 are dropped."""
        self.bound = bound
        self._key: UuidKey = str
        self._order = 0  # of the newest delivery
        self._updates: dict[str, DeviceUpdate] = {}
        self._acknowledger: Acknowledger | None = None
        self._packet_ids: list[int] = []
        self._preceding: list[int] = []
        self.size = 0
        """Bytes of memory that all of it takes, an estimate."""

    def __bool__(self) -> bool:
        """Whether there is anything to write or to acknowledge."""
        return bool(self._updates or self._packet_ids)

    def __len__(self) -> int:
        """How many devices have an update."""
        return len(self._updates)

    def __contains__(self, key: object) -> bool:
        """Whether there is an update of a device, by its ``DeviceUpdate.key``."""
        return key in self._updates

    def find(self, key: str) -> DeviceUpdate | None:
        """The update of a device, by its ``DeviceUpdate.key``."""
        return self._updates.get(key)

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets that are owed an acknowledgement."""
        return len(self._packet_ids)

    @property
    def deliveries(self) -> int:
        """Deliveries neither stored nor superseded yet."""
        return sum(update.deliveries for update in self._updates.values())

    def start_connection(self, acknowledger: Acknowledger) -> None:
        """Bind later acknowledgements to a new connection; those of an older one are thrown away.

        Their packet identifiers mean nothing on it: where the session was lost they name other messages, and where it
        was kept the broker sends the messages again.
        """
        self._acknowledger = acknowledger
        self._packet_ids = []
        self._preceding = [0] * len(self._updates)

    def owe_acknowledgement(self, packet_id: int) -> None:
        """Acknowledge this PUBLISH with the next batch."""
        self._packet_ids.append(packet_id)

    def keys_are(self, key: UuidKey) -> int:
        """The table has said which spellings are one device: what is pending already is merged by that.

        Returns how many deliveries that supersedes.
        """
        superseded = 0
        self._key = key
        updates, self._updates = self._updates, {}
        preceding, self._preceding = self._preceding, []
        for update, before in zip(updates.values(), preceding, strict=True):
            update.key = key(update.uuid)
            first = self._updates.setdefault(update.key, update)
            if first is update:
                self._preceding.append(before)
            else:
                self.size -= UPDATE_BYTES
                superseded += first.merge(update)
        return superseded

    def key(self, device: str) -> str:
        """The same for two spellings of one device, as far as the table has said which are."""
        return self._key(device)

    def merge(self, report: DeviceReport, now: str) -> bool:
        """Put a report over what is pending for its device. Returns whether it superseded an older one of its kind.

        :param now: the time of receipt as the table's columns hold it.
        """
        device, kind, document, status, is_online, _ = report
        key = self._key(device)
        self._order = order = self._order + 1
        update = self._updates.get(key)
        if update is None:  # as _add, without a call a message
            update = self._updates[key] = DeviceUpdate(device, key)
            self.size += UPDATE_BYTES
            self._preceding.append(max(0, len(self._packet_ids) - 1))
        superseded = update.kinds & kind != 0
        update.uuid = device
        update.kinds |= kind
        update.last_seen = now
        update.is_online = is_online
        update.seen_order = order
        if kind == HEARTBEAT:
            update.last_heartbeat = now
            update.heartbeat_order = order
        else:
            if document is not None:
                if update.document is not None:
                    self.size -= len(update.document)
                self.size += len(document)
                update.document = document
                update.document_order = order
            if status is not None:
                update.status = status
                update.status_order = order
        return superseded

    def heard(self, device: str, kind: int, now: str) -> None:
        """A device sent something that is refused: what it said does not count, that it spoke does.

        :param kind: of the topic that it used.
        """
        key = self._key(device)
        update = self._updates.get(key) or self._add(device, key)
        self._order = order = self._order + 1
        update.last_seen, update.is_online, update.seen_order = now, True, order
        if kind == HEARTBEAT:
            update.last_heartbeat, update.heartbeat_order = now, order

    def _add(self, device: str, key: str) -> DeviceUpdate:
        update = self._updates[key] = DeviceUpdate(device, key)
        self.size += UPDATE_BYTES
        self._preceding.append(max(0, len(self._packet_ids) - 1))  # all but its own
        return update

    def take(self) -> Batch:
        """Hand over everything pending, the updates in the order in which their devices were heard first."""
        updates = list(self._updates.values())
        batch = Batch(updates, self._acknowledger, self._packet_ids, self._preceding, self.size)
        self._updates = {}
        self._packet_ids = []
        self._preceding = []
        self.size = 0
        return batch

    def restore(self, batch: Batch) -> int:
        """Put back what could not be kept anywhere, below what has come since.

        Returns how many of its deliveries were superseded meanwhile.
        """
        superseded = 0
        newer_updates, self._updates = self._updates, {}
        self.size = 0
        # In the old order, so that what could not be written comes first again, and by and by alone.
        for update in (*batch.updates, *newer_updates.values()):
            update.key = self._key(update.uuid)  # it may be from before the table said
            first = self._updates.setdefault(update.key, update)
            if first is not update:
                superseded += first.merge(update)
        for update in self._updates.values():
            self.size += UPDATE_BYTES + len(update.document or b"")
        if batch.acknowledger is self._acknowledger:
            self._packet_ids = [*batch.packet_ids, *self._packet_ids]
        self._preceding = [0] * len(self._updates)
        return superseded
