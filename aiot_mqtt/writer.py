"""Moves what is pending into the table: one batch in flight, the next starts when it ends.

There is no flush timer. An idle writer starts at once, so a quiet system has low latency; a busy one collects while
the last batch commits, so a loaded system gets large batches. The order of writes comes from there being one writer.

What waits too long, because the database is away, or takes too much memory goes to the spool and is acknowledged. The
spool is emptied before anything later is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import random
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from . import log_lines
from .attempts import Attempts, Pointless
from .counters import Counters
from .isolation import Refusal, write_around_refusals
from .pending import Batch, PendingUpdates
from .refusals import Refusals
from .spool import SpoolError
from .spooler import Spooler
from .store import DeviceUpdate, Store, StoreError, TableDescription

T = TypeVar("T")

CHUNK = 1000  # updates in one transaction: larger ones are no faster, and hold more row locks for longer
CHUNK_BYTES = 16 * 1024 * 1024  # of documents that are read from the spool at one time
PATIENCE = 5.0  # s that the oldest may wait for the database before the spool takes what there is
LAST_PATIENCE = 2.0  # s, while stopping
LOOK_INTERVAL = 0.5  # s
RETRY_DELAY = 1.0  # s after a fault of ours
MOST_IN_MEMORY = 32 * 1024 * 1024  # bytes, pending and in flight, before the spool takes it


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
        database: str = "",
        table_described: Callable[[TableDescription], None] = lambda _description: None,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param spooler: takes what the database does not; None: it stays unacknowledged.
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
        self._database = database
        self._table_described = table_described
        self._attempts = Attempts(counters, clock, database=database, deliveries=lambda: self.deliveries, jitter=jitter)
        self._described = False
        self._in_flight: Batch | None = None
        self._in_flight_since: float | None = None
        self._pending_since: float | None = None
        self._peak = 0
        self._jobs: list[tuple[Callable[[], Deferred[Any]], Deferred[Any]]] = []
        self._work: Deferred[None] | None = None
        self._saving: Deferred[None] | None = None
        self._being_saved: Batch | None = None
        self._is_database_away = False
        self._patience = PATIENCE
        self._spool_loop = LoopingCall(self._spool_if_due)
        self._spool_loop.clock = clock
        self.devices_heard: Callable[[Sequence[DeviceUpdate]], None] = lambda _updates: None
        """Called with updates that were committed."""

    @property
    def spooled(self) -> int:
        """Deliveries that are acknowledged and on disk, and not in the table yet."""
        return 0 if self._spooler is None else self._spooler.deliveries

    @property
    def deliveries(self) -> int:
        """Deliveries neither stored nor superseded: those pending, those in flight, and those in the spool."""
        batches = (self._in_flight, self._being_saved)
        return self._pending.deliveries + sum(batch.deliveries for batch in batches if batch) + self.spooled

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets that wait for their acknowledgement."""
        batches = (self._in_flight, self._being_saved)
        return self._pending.unacknowledged + sum(len(batch.packet_ids) for batch in batches if batch)

    def take_peak(self) -> int:
        """The most PUBLISH packets that were unacknowledged at one time since the last call."""
        peak, self._peak = self._peak, 0
        return peak

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest of what is pending or in flight has waited."""
        since = self._in_flight_since if self._in_flight_since is not None else self._pending_since
        return 0.0 if since is None else self._clock.seconds() - since

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
        self._described = self._is_database_away = False
        self._patience = PATIENCE
        self._attempts.begin()
        self._put_back()
        if self._spooler is not None:
            self._spool_loop.start(LOOK_INTERVAL, now=False)
        self._start_work()

    def stopService(self) -> Deferred[None]:
        """Write what is pending, with one attempt each, or put it in the spool; fires when that is done or has failed.

        Cancelling the Deferred gives up.
        """
        super().stopService()
        self._patience = LAST_PATIENCE
        self._attempts.make_last()
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
            if self._saving is not None:
                await self._saving
            if self._spooler is not None and self._spooler.is_open and self._is_anything_unsaved:
                await self._save_all(self._spooler)
        finally:
            if self._spool_loop.running:
                self._spool_loop.stop()
            if self._work is not None:
                self._work.cancel()

    def wake(self) -> None:
        """There may be something to write."""
        if self._pending and self._pending_since is None:
            self._pending_since = self._clock.seconds()
        self._peak = max(self._peak, self.unacknowledged)
        if self._work is None and self.running and (self._pending or self._jobs):
            self._start_work()
        self._spool_if_due()

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
                self._put_back()
            else:
                return

    def _put_back(self) -> None:
        """Have what was in flight written again."""
        batch, self._in_flight = self._in_flight, None
        if batch is None:
            return
        batch.updates = [update for update in batch.updates if update.kinds and not update.spool_version]
        self._counters.superseded += self._pending.restore(batch)
        self._pending_since, self._in_flight_since = self._in_flight_since, None

    async def _write_all(self) -> None:
        spooler = self._spooler
        if spooler is not None:
            await spooler.open()
        if not self._described:
            self._table_seen(await self._attempts.make(self._store.describe, lambda: False))
        while True:
            if spooler is not None:
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
        self._is_database_away = False
        self._log.info(log_lines.DATABASE_CONNECTED, database=self._database)
        self._table_described(description)

    async def _write_pending(self) -> None:
        jobs, self._jobs = self._jobs, []
        batch = self._pending.take()
        self._in_flight_since, self._pending_since = self._pending_since, None
        await self._write(batch)
        batch.acknowledge()
        if not self._is_spool_empty:
            self._jobs = jobs + self._jobs  # they come after what went there meanwhile
            return
        for job, done in jobs:
            await _run_job(job, done)

    async def _write_spooled(self, spooler: Spooler) -> None:
        updates = await spooler.read(CHUNK, CHUNK_BYTES)
        await self._write(Batch(sorted(updates, key=lambda update: update.key)))
        await spooler.forget_written()

    async def _write(self, batch: Batch) -> None:
        """Write a batch until all of it is in the table, or, after a failed attempt, all that is left in the spool."""
        self._in_flight = batch
        try:
            while batch.updates:
                await write_around_refusals(batch.updates[:CHUNK], self._write_part, self._settle)
                del batch.updates[:CHUNK]
        except Pointless:
            batch.updates.clear()
        self._in_flight = self._in_flight_since = None

    async def _write_part(self, updates: Sequence[DeviceUpdate]) -> frozenset[str]:
        batch = self._in_flight
        assert batch is not None
        return await self._attempts.make(lambda: self._store.write(updates), lambda: not batch.deliveries)

    async def _settle(
        self, updates: Sequence[DeviceUpdate], unknown: frozenset[str], refusal: Refusal | None = None
    ) -> None:
        """These updates are in the table, or refused."""
        self._is_database_away = False
        spooler = self._spooler
        if spooler is None or not (spooler.lock.locked or any(update.spool_version for update in updates)):
            self._count(updates, unknown, refusal)
            return
        await spooler.lock.acquire()
        try:
            if spooled := [update for update in updates if update.spool_version]:
                await spooler.written(spooled)
            self._count(updates, unknown, refusal)
        finally:
            spooler.lock.release()

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
            for update in updates:
                if update.uuid in unknown:
                    self._refusals.unknown_device(update.uuid, update.deliveries - refused)
                else:
                    self._counters.stored += update.deliveries - refused
            self.devices_heard([update for update in updates if update.uuid not in unknown])
        except Exception:
            self._log.failure(log_lines.LISTENER_FAILED_UNEXPECTEDLY)
        finally:
            for update in updates:
                update.kinds = 0

    # Saving.

    @property
    def _is_anything_unsaved(self) -> bool:
        return bool(self._pending) or (self._in_flight is not None and self._in_flight.deliveries > 0)

    def _spool_if_due(self) -> None:
        """Put what is pending and in flight in the spool when the database takes too long, or it takes too much room.

        Once the database is known to be away, as soon as there is something: a broker that speaks MQTT 3.1.1 sends no
        more than 20 messages before it waits.
        """
        spooler = self._spooler
        if spooler is None or not spooler.is_open or self._saving is not None or not self._is_anything_unsaved:
            return
        if self.oldest_age >= self._patience:
            self._is_database_away = True
        in_flight = 0 if self._in_flight is None else self._in_flight.size
        if not self._is_database_away and self._pending.size + in_flight <= MOST_IN_MEMORY:
            return
        if spooler.may_try:
            self._save(spooler)

    def _save(self, spooler: Spooler) -> None:
        def ended(_result: object) -> None:
            self._saving = None
            if not self.running and self._work is not None and not self._is_anything_unsaved:
                self._work.cancel()  # the spool has it all, and the database may take long
            elif self._is_database_away:
                self._spool_if_due()

        saving = Deferred.fromCoroutine(self._save_all(spooler))
        if not saving.called:
            self._saving = saving
        saving.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        saving.addErrback(lambda failure: self._log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY, failure))
        saving.addBoth(ended)

    async def _save_all(self, spooler: Spooler) -> None:
        await spooler.lock.acquire()
        try:
            batch, taken = self._in_flight, self._pending.take()
            in_flight = (
                [] if batch is None else [each for each in batch.updates if each.kinds and not each.spool_version]
            )
            since, self._pending_since = self._pending_since, None
            self._being_saved = taken
            try:
                updates = in_flight + taken.updates
                superseded = await spooler.save(updates) if updates else 0
            except BaseException as error:
                self._counters.superseded += self._pending.restore(taken)
                self._pending_since = since
                if not isinstance(error, SpoolError):
                    raise
            else:
                self._counters.superseded += superseded
                if batch is not None:
                    batch.acknowledge()
                    del batch.updates[CHUNK:]  # the spool gives them back
                    batch.size = 0
                self._in_flight_since = None
                taken.acknowledge()
            finally:
                self._being_saved = None
        finally:
            spooler.lock.release()


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
