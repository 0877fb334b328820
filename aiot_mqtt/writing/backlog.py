"""What was received and is in memory: pending, in flight to the table, or on its way to disk.

Pure: a clock's reading is an argument. Each delivery is in exactly one of the three, so they can be added up.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..devices.update import DeviceUpdate
from ..ingest.pending import Batch, PendingUpdates

ARRIVAL_INTERVAL = 0.1  # s by which an age may be told too high

Arrivals = list[tuple[int, float]]
"""Of those that wait together, how many PUBLISH packets had come within ``ARRIVAL_INTERVAL`` after which time."""


class Backlog:
    """Everything that is not in the table yet, as long as it is not in the spool either."""

    def __init__(self, pending: PendingUpdates) -> None:
        self.pending = pending
        self.in_flight: Batch | None = None
        """What is being written."""
        self.is_in_flight_saved = False
        """The spool has what is in flight, too, and counts it."""
        self._being_saved: Batch | None = None
        self._aside: list[Batch] = []
        self._is_save_abandoned = False  # if it fails, nobody wants back what it was about
        self._pending_arrivals: Arrivals = []
        self._in_flight_arrivals: Arrivals = []
        self._being_saved_arrivals: Arrivals = []

    @property
    def deliveries(self) -> int:
        """Deliveries neither stored nor superseded."""
        return self.pending.deliveries + sum(batch.deliveries for batch in self._counted_batches + self._aside)

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets that are owed an acknowledgement."""
        batches = (self.in_flight, self._being_saved)
        return self.pending.unacknowledged + sum([len(batch.packet_ids) for batch in batches if batch is not None])

    @property
    def size(self) -> int:
        """Bytes that could be in the spool instead, an estimate."""
        return self.pending.size + (0 if self._unsaved_in_flight is None else self._unsaved_in_flight.size)

    @property
    def needs_saving(self) -> bool:
        """Whether there is anything that neither the table nor the spool has."""
        return bool(self.pending) or self._unsaved_in_flight is not None

    @property
    def is_being_saved(self) -> bool:
        """Whether something is on its way to disk."""
        return self._being_saved is not None

    @property
    def _unsaved_in_flight(self) -> Batch | None:
        return None if self.is_in_flight_saved else self.in_flight

    @property
    def _counted_batches(self) -> list[Batch]:
        return [batch for batch in (self._unsaved_in_flight, self._being_saved) if batch is not None]

    def find(self, key: str) -> DeviceUpdate | None:
        """The newest of what waits of one device, by its key. Goes through all that is in flight."""
        batches = [batch for batch in (self._being_saved, self.in_flight, *self._aside) if batch is not None]
        in_batches = (update for batch in batches for update in batch.updates if update.key == key)
        return self.pending.find(key) or next(in_batches, None)

    def oldest_age(self, now: float) -> float:
        """Seconds that the oldest of what is pending or in flight has waited."""
        arrivals = self._pending_arrivals
        if self.in_flight is not None and self._in_flight_arrivals:
            arrivals = self._in_flight_arrivals
            while len(arrivals) > 1 and arrivals[0][0] <= self.in_flight.acknowledged:
                del arrivals[0]
        return now - arrivals[0][1] if arrivals else 0.0

    def note_arrivals(self, now: float) -> None:
        """Something may have become pending."""
        arrivals, count = self._pending_arrivals, self.pending.unacknowledged
        # Not where nothing new is owed an acknowledgement, or it would grow for as long as the database is away.
        if self.pending and (not arrivals or arrivals[-1][0] != count):
            since = arrivals.pop()[1] if arrivals and now - arrivals[-1][1] < ARRIVAL_INTERVAL else now
            arrivals.append((count, since))

    def begin_batch(self) -> Batch:
        """Everything pending, to be written; ``end_batch`` or ``put_back`` follows."""
        self.in_flight = self.pending.take()
        self.is_in_flight_saved = False
        self._in_flight_arrivals, self._pending_arrivals = self._pending_arrivals, []
        return self.in_flight

    def end_batch(self) -> None:
        """Nothing is in flight any more."""
        self.in_flight = None
        self.is_in_flight_saved = False
        self._in_flight_arrivals = []

    def put_back(self) -> int:
        """Have what was in flight written again, unless the spool has it.

        Returns how many of its deliveries were superseded meanwhile.
        """
        batch, arrivals = self._unsaved_in_flight, self._in_flight_arrivals
        self.end_batch()
        return 0 if batch is None else self._restore(batch, arrivals)

    def set_aside(self) -> None:
        """Let what is pending, and what was in flight, wait until it is known whether the broker sends it again.

        Nothing of that is being written any more. ``take_back`` or ``abandon`` follows.

        What is on its way to disk is kept if it gets there, and forgotten with what is in flight if it does not.
        """
        self._is_save_abandoned = self._being_saved is not None
        self._pending_arrivals = []
        if not self._is_save_abandoned:
            self._aside += self._take_unsaved_in_flight()
        self._aside.append(self.pending.take())

    def take_back(self) -> int:
        """Have what was set aside written; returns how many of its deliveries were superseded meanwhile."""
        aside, self._aside = self._aside, []
        return sum(self.pending.restore(batch) for batch in reversed(aside))

    def abandon(self) -> int:
        """Forget what was set aside; returns how many deliveries that were counted nowhere yet."""
        aside, self._aside = self._aside, []
        return _forget(aside)

    def _take_unsaved_in_flight(self) -> list[Batch]:
        batch = self._unsaved_in_flight
        self.end_batch()
        return [] if batch is None else [batch]

    def begin_to_save(self) -> list[DeviceUpdate]:
        """Everything in flight and pending, to be put in the spool; ``saved`` or ``not_saved`` follows."""
        in_flight = [] if self._unsaved_in_flight is None else self._unsaved_in_flight.updates
        self._being_saved = self.pending.take()
        self._being_saved_arrivals, self._pending_arrivals = self._pending_arrivals, []
        return in_flight + self._being_saved.updates

    def saved(self) -> None:
        """Disk has what was in flight and what was pending: acknowledge it, in this order."""
        taken, self._being_saved = self._being_saved, None
        if self.in_flight is not None:
            self.in_flight.acknowledge()
            self.is_in_flight_saved = True
        self._in_flight_arrivals = []
        assert taken is not None
        taken.acknowledge()
        if self._is_save_abandoned:
            self._is_save_abandoned = False
            self.end_batch()

    def not_saved(self) -> int:
        """Disk has nothing of it; returns how many deliveries were superseded meanwhile."""
        taken, self._being_saved = self._being_saved, None
        assert taken is not None
        if self._is_save_abandoned:
            self._is_save_abandoned = False
            return _forget([taken, *self._take_unsaved_in_flight()])
        return self._restore(taken, self._being_saved_arrivals)

    def _restore(self, batch: Batch, arrivals: Arrivals) -> int:
        superseded = self.pending.restore(batch)
        if arrivals:
            self._pending_arrivals = [(self.pending.unacknowledged, arrivals[0][1])]
        return superseded


def _forget(batches: Sequence[Batch]) -> int:
    """Returns how many deliveries that were. A write of them may be committed all the same, and must not count."""
    count = sum(batch.deliveries for batch in batches)
    for batch in batches:
        for update in batch.updates:
            update.kinds = 0
    return count
