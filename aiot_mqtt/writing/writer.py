"""Moves what is pending into the table: one batch in flight, the next starts when it ends.

There is no flush timer. An idle writer starts at once, so a quiet system has low latency; a busy one collects while
the last batch commits, so a loaded system gets large batches. The order of writes comes from there being one writer.

What waits too long, because the database is away, or takes too much memory goes to the spool and is acknowledged. The
spool is emptied before anything later is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from random import random
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..devices.update import DeviceUpdate
from ..ingest.pending import Batch, PendingUpdates
from ..spool.spooler import Spooler
from ..table.contract import Store, StoreError, TableDescription
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.refusals import Refusals
from .backlog import Backlog
from .bad_rows import Refusal, write_around_refusals
from .overflow import CHUNK, Overflow
from .retry import Attempts, Pointless

T = TypeVar("T")

CHUNK_BYTES = 4 * 1024 * 1024  # of documents that are read from the spool at one time
RETRY_DELAY = 1.0  # s after a fault of ours
MOST_UNACKNOWLEDGED = 65535  # PUBLISH packets on one connection: there are no more packet identifiers
MOST_FILL_TIME = 0.002  # s that a broker gets to use up a small window again


class Writer(Service):
    """Writes pending updates to a store, and acknowledges what they came from once they are committed."""

    _log = Logger()

    def __init__(
        self,
        store: Store,
        pending: PendingUpdates,
        counters: Counters,
        refusals: Refusals,
        clock: IReactorTime,
        *,
        spooler: Spooler | None = None,
        window: Callable[[], int] = lambda: MOST_UNACKNOWLEDGED,
        database: str = "",
        table_described: Callable[[TableDescription], None] = lambda _description: None,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param spooler: takes what the database does not; None: it stays unacknowledged.
        :param window: PUBLISH packets that may be unacknowledged at one time.
        :param database: where the table is, as log lines name it.
        :param table_described: told what the table says about itself, once it was seen.
        :param jitter: seconds added to each delay between attempts, so that instances do not retry in step.
        """
        self._store = store
        self._pending = pending
        self._counters = counters
        self._refusals = refusals
        self._clock = clock
        self._spooler = spooler
        self._window = window
        self._filled: Deferred[None] | None = None
        self._backlog = Backlog(pending)
        self._overflow: Overflow | None = None
        if spooler is not None:
            self._overflow = Overflow(self._backlog, spooler, counters, clock, window=window)
            self._overflow.all_saved = self._all_saved
        self._database = database
        self._table_described = table_described
        self._attempts = Attempts(counters, clock, database=database, deliveries=lambda: self.deliveries, jitter=jitter)
        self._described = False
        self._peak = 0
        self._jobs: list[tuple[Callable[[], Deferred[Any]], Deferred[Any]]] = []
        self._work: Deferred[None] | None = None
        self.window_exceeded: Callable[[], None] = lambda: None
        """Called when the broker has more unacknowledged than it may."""
        self.devices_heard: Callable[[Sequence[DeviceUpdate]], None] = lambda _updates: None
        """Called with updates that were committed."""
        self.rows_committed: Callable[[Sequence[DeviceUpdate]], None] = lambda _updates: None
        """The same, before anybody else; an update without kinds is older than what the spool has of its device."""

    @property
    def spooled(self) -> int:
        """Deliveries that are acknowledged and on disk, and not in the table yet."""
        return 0 if self._spooler is None else self._spooler.deliveries

    @property
    def deliveries(self) -> int:
        """Deliveries neither stored nor superseded: those pending, those in flight, and those in the spool."""
        return self._backlog.deliveries + self.spooled

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets that wait for their acknowledgement."""
        return self._backlog.unacknowledged

    def take_peak(self) -> int:
        """The most PUBLISH packets that were unacknowledged at one time since the last call."""
        peak, self._peak = self._peak, 0
        return peak

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest of what is pending or in flight has waited."""
        return self._backlog.oldest_age(self._clock.seconds())

    @property
    def is_accepted(self) -> bool:
        """Whether the table holds all that was received but the last moments: its last write was taken, or there was
        none to take yet, and nothing older waits in the spool.
        """
        return self._described and not self._attempts.is_failing and self._is_spool_empty

    @property
    def _is_spool_empty(self) -> bool:
        return self._spooler is None or self._spooler.is_empty

    def startService(self) -> None:
        """Begin, with a look at the table: an operator wants to know at start whether it can be served."""
        super().startService()
        self._described = False
        self._attempts.begin()
        self._counters.superseded += self._backlog.put_back()
        if self._overflow is not None:
            self._overflow.start()
        self._start_work()

    def stopService(self) -> Deferred[None]:
        """Write what is pending, with one attempt each, or put it in the spool; fires when that is done or has failed.

        Cancelling the Deferred gives up.
        """
        super().stopService()
        self._attempts.make_last()
        if self._overflow is not None:
            self._overflow.hurry()
        for _, done in self._jobs:
            done.cancel()
        self._jobs.clear()
        if self._work is None and self._pending:
            self._start_work()
        stopping = Deferred.fromCoroutine(self._stop())
        if stopping.called:
            return succeed(None)
        finished: Deferred[None] = Deferred(lambda _finished: stopping.cancel())
        stopping.addErrback(lambda failure: failure.trap(CancelledError) and None)
        stopping.addBoth(lambda _result: None if finished.called else finished.callback(None))
        return finished

    async def _stop(self) -> None:
        """Wait until the last attempts were made, or the spool has what they are about."""
        try:
            if self._work is not None:
                await self._work
        finally:
            if self._overflow is not None:
                await self._overflow.stop()

    def _all_saved(self) -> None:
        if not self.running and self._work is not None:
            self._work.cancel()  # the spool has it all, and the database may take long

    def wake(self) -> None:
        """There may be something to write."""
        self._backlog.came(self._clock.seconds())
        unacknowledged = self.unacknowledged
        self._peak = max(self._peak, unacknowledged)
        # With none of this connection pending, nothing would have it read again.
        if unacknowledged > MOST_UNACKNOWLEDGED and self._pending.unacknowledged:
            self.window_exceeded()
        if self._filled is not None and unacknowledged >= self._window():
            self._filled.callback(None)
        if self._work is None and self.running and (self._pending or self._jobs):
            self._start_work()
        if self._overflow is not None:
            self._overflow.look()

    def between_batches(self, job: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Run a job as the batch after everything that is pending now; nothing else is written meanwhile.

        A job that fails is not run again; its failure is the Deferred's. Stopping cancels jobs that did not begin.
        """
        done: Deferred[T] = Deferred()
        self._jobs.append((job, done))
        self.wake()
        return done

    # Writing.

    def _start_work(self) -> None:
        def ended(_result: object) -> None:
            self._work = None

        work = Deferred.fromCoroutine(self._work_on())
        if not work.called:
            self._work = work
        work.addErrback(lambda failure: failure.trap(CancelledError) and None)
        work.addBoth(ended)

    async def _work_on(self) -> None:
        """Write all there is, whatever fails unexpectedly."""
        while True:
            try:
                await self._write_all()
            except CancelledError:
                raise
            except Exception as error:
                if not self.running and isinstance(error, StoreError):
                    return  # the last attempt
                self._log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY)
                await deferLater(self._clock, RETRY_DELAY)
                self._counters.superseded += self._backlog.put_back()
            else:
                return

    async def _write_all(self) -> None:
        spooler = self._spooler
        if spooler is not None:
            await spooler.open()
        if not self._described:
            self._table_seen(await self._attempts.make(self._store.describe, lambda: False))
        while True:
            if spooler is not None and spooler.lock.locked:
                # What is being saved is older than what is pending.
                await spooler.lock.run(lambda: None)
            if spooler is not None and not spooler.is_empty:
                await self._write_spooled(spooler)
            elif self._pending or self._jobs:
                await self._write_pending()
            else:
                return

    def _table_seen(self, description: TableDescription) -> None:
        self._described = True
        self._database_answered()
        self._log.info(log_lines.DATABASE_CONNECTED, database=self._database)
        self._table_described(description)

    async def _write_pending(self) -> None:
        jobs, self._jobs = self._jobs, []
        batch = self._backlog.take_off()
        await self._write(batch)
        was_window_full = self.unacknowledged + len(batch.packet_ids) >= self._window()
        batch.acknowledge()
        if was_window_full and self.unacknowledged < self._window() < CHUNK and self.running:
            await self._fill_window()
        if not self._is_spool_empty:
            self._jobs = jobs + self._jobs  # they come after what went there meanwhile
            return
        for job, done in jobs:
            await _run_job(job, done)

    async def _fill_window(self) -> None:
        """Wait until the broker has used its window up again, or for a moment.

        Without it a window splits into two halves that take turns, and each commit writes half of what it could.
        """
        filled = self._filled = Deferred()
        timeout = self._clock.callLater(MOST_FILL_TIME, filled.callback, None)
        try:
            await filled
        finally:
            self._filled = None
            if timeout.active():
                timeout.cancel()

    async def _write_spooled(self, spooler: Spooler) -> None:
        updates = await spooler.read(CHUNK, CHUNK_BYTES)
        self._backlog.in_flight = batch = Batch(updates)
        await self._write(batch)
        await spooler.forget_written()

    async def _write(self, batch: Batch) -> None:
        """Write a batch until all of it is in the table, or, after a failed attempt, all that is left in the spool."""
        try:
            while batch.updates:
                # Sorted, because transactions that lock rows in one order cannot deadlock.
                chunk = sorted(batch.updates[:CHUNK], key=attrgetter("uuid"))
                await write_around_refusals(chunk, self._write_part, self._settle)
                batch.remove_first(CHUNK)
        except Pointless:
            batch.updates.clear()
        self._backlog.land()

    async def _write_part(self, updates: Sequence[DeviceUpdate]) -> frozenset[str]:
        batch = self._backlog.in_flight
        assert batch is not None
        written = await self._attempts.make(lambda: self._store.write(updates), lambda: not batch.deliveries)
        return written.unknown

    async def _settle(
        self, updates: Sequence[DeviceUpdate], unknown: frozenset[str], refusal: Refusal | None = None
    ) -> None:
        """These updates are in the table, or refused."""
        self._database_answered()
        spooler = self._spooler
        # A save takes all that is unsettled in flight, so what is settled together is there as a whole or not at all.
        if spooler is None or not (spooler.lock.locked or updates[0].spool_version):
            self._count(updates, unknown, refusal)
            return
        await spooler.lock.acquire()
        try:
            if updates[0].spool_version:
                await spooler.written(updates)
            self._count(updates, unknown, refusal)
        finally:
            spooler.lock.release()

    def _database_answered(self) -> None:
        if self._overflow is not None:
            self._overflow.database_answered()

    def _count(self, updates: Sequence[DeviceUpdate], unknown: frozenset[str], refusal: Refusal | None) -> None:
        """Count what became of deliveries; whatever fails in that, what is committed must be acknowledged."""
        try:
            refused = 0
            if refusal is not None:
                (update,) = updates
                # None where the spool has a newer state of the device, which they are counted with.
                refused = min(refusal.deliveries, update.deliveries)
                self._refusals.refused_by_table(update.uuid, refusal.column, refusal.reason, refused)
                if refusal.column is None:
                    return
            stored = 0
            for update in updates:
                if update.uuid in unknown:
                    self._refusals.unknown_device(update.uuid, update.deliveries - refused)
                else:
                    stored += update.kinds.bit_count() - refused  # as its deliveries, without a call
            self._counters.stored += stored
            committed = [update for update in updates if update.uuid not in unknown]
            self.rows_committed(committed)
            self.devices_heard(committed)
        except Exception:
            self._log.failure(log_lines.LISTENER_FAILED_UNEXPECTEDLY)
        finally:
            for update in updates:
                update.kinds = 0


async def _run_job(job: Callable[[], Deferred[T]], done: Deferred[T]) -> None:
    """Run a job and hand on how it ended; whatever that is, it does not end the writer."""
    if done.called:  # cancelled by whoever asked for it
        return
    try:
        result = await job()
    except CancelledError:
        done.cancel()
        raise
    except Exception:
        done.errback()
    else:
        done.callback(result)
