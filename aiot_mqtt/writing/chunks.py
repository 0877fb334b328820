"""A chunk to the table: as many updates as one transaction gets, sorted, timed, taken apart where they are refused."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from twisted.internet.interfaces import IReactorTime

from ..devices.update import DeviceUpdate
from ..table.contract import StoreConflict, StoreOvertaken, StoreUnavailable
from ..telemetry.counters import Counters
from .bad_rows import write_around_refusals
from .chunk_size import ChunkSize
from .settlement import Settlement


class Chunks:
    """Writes one after the other, each as large as the ones before it say."""

    def __init__(self, settlement: Settlement, counters: Counters, clock: IReactorTime) -> None:
        self._settlement = settlement
        self._counters = counters
        self.clock = clock
        self.size = ChunkSize()

    @property
    def unanswered_for(self) -> float:
        """Seconds since the table got what it has not answered yet; 0: nothing."""
        return self._settlement.unanswered_for

    async def write(self, updates: Sequence[DeviceUpdate]) -> None:
        """Write updates, and have what became of them settled.

        :raises StoreError: not all of them are written.
        """
        began = self.clock.seconds()
        try:
            # Sorted, because transactions that lock rows in one order cannot deadlock.
            await write_around_refusals(sorted(updates, key=attrgetter("uuid")), self._settlement)
        except StoreOvertaken:
            self.size.overtaken(len(updates))
            raise
        except (StoreConflict, StoreUnavailable):
            self.size.failed(len(updates))
            raise
        duration = self.clock.seconds() - began
        self.size.written(len(updates), duration)
        self._counters.commit_durations.observe(duration)
        self._counters.batch_rows.observe(len(updates))
