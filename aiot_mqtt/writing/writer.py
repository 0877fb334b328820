"""Moves what is pending into the table: one batch in flight, the next starts when it ends.

There is no flush timer. An idle writer starts at once, so a quiet system has low latency; a busy one collects while
the last batch commits, so a loaded system gets large batches. The order of writes comes from there being one writer.
What is on disk goes before anything later (``data_path``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from random import random
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..devices.update import DeviceUpdate, UuidKey, uuid_key
from ..ingest.pending import Batch, PendingUpdates
from ..spool.disk import SpoolError
from ..spool.spooler import Spooler
from ..table.contract import Store, StoreConflict, StoreError, StoreUnavailable, TableDescription
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.refusals import Refusals
from ..telemetry.survive import go_on, start
from .backlog import Backlog
from .bad_rows import write_around_refusals
from .chunk_size import MAX_BYTES, ChunkSize
from .data_path import DataPath, DataPathEvents, State
from .retry import Retry
from .saver import Saver
from .settlement import CommitListener, Settlement

T = TypeVar("T")

MAX_UNACKNOWLEDGED = 65535  # PUBLISH packets on one connection: there are no more packet identifiers
MAX_FILL_TIME = 0.002  # s that a broker gets to use up a small window again
SMALL_WINDOW = 1000  # PUBLISH packets: a window that is used up by less is filled again before it is written


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
        now: Callable[[], str],
        spooler: Spooler | None = None,
        window: Callable[[], int] = lambda: MAX_UNACKNOWLEDGED,
        window_exceeded: Callable[[], None] = lambda: None,
        database: str = "",
        table_described: Callable[[TableDescription], None] = lambda _description: None,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param now: the time as the table's columns hold it.
        :param spooler: takes what the database does not; None: it stays unacknowledged.
        :param window: PUBLISH packets that may be unacknowledged at one time.
        :param window_exceeded: called when the broker has more unacknowledged than it may.
        :param database: where the table is, as log lines name it.
        :param table_described: told what the table says about itself, whenever it was looked at.
        :param jitter: seconds added to each delay between attempts, so that instances do not retry in step.
        """
        self._store = store
        self._pending = pending
        self._counters = counters
        self._clock = clock
        self._now = now
        self._spooler = spooler
        self._window = window
        self._window_exceeded = window_exceeded
        self._database = database
        self._table_described = table_described
        self._path = DataPath()
        self._backlog = Backlog(pending)
        self._saver: Saver | None = None
        if spooler is not None:
            self._saver = Saver(
                self._path, self._backlog, spooler, counters, clock, window=window, wake=self._start_if_needed
            )
        self._settlement = Settlement(
            store,
            self._path,
            self._backlog,
            counters=counters,
            refusals=refusals,
            database_answered=self._database_answered,
        )
        self._retry = Retry(counters, clock, database=database, deliveries=lambda: self.deliveries, jitter=jitter)
        self._chunk_size = ChunkSize()
        self._filled: Deferred[None] | None = None
        self._key: UuidKey = str
        self._is_described = self._was_described = False
        self._is_there = False
        self._jobs: list[tuple[Callable[[], Deferred[Any]], Deferred[Any]]] = []
        self._work: Deferred[None] | None = None

    def add_listener(self, listener: CommitListener) -> None:
        """Tell somebody of updates that were committed; those that were added first are told first."""
        self._settlement.listeners.append(listener)

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

    @property
    def state(self) -> State:
        """What the data path does now."""
        return self._path.state

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest of what is pending or in flight has waited."""
        return self._backlog.oldest_age(self._clock.seconds())

    @property
    def is_accepted(self) -> bool:
        """Whether the table holds all that was received but the last moments: its last write was taken, or there was
        none to take yet, and nothing older waits on disk.
        """
        return self._is_described and not self._retry.is_failing and self._path.state is State.DIRECT

    async def until_known(self) -> None:
        """Wait until it is known what is on disk, so that what is received can go somewhere."""
        await self._path.until_known()

    def startService(self) -> None:
        """Begin, with a look at the disk and at the table: an operator wants to know whether it can be served."""
        super().startService()
        self._is_described = False
        self._retry.begin()
        if self._saver is not None:
            self._saver.start()
        else:
            self._path.happens(DataPathEvents.started)
            self._path.happens(DataPathEvents.found_nothing)
        self._counters.superseded += self._backlog.put_back()
        self._start_work()

    def stopService(self) -> Deferred[None]:
        """Write what is pending, with one attempt each, or put it in the spool; fires when that is done or has failed.

        Cancelling the Deferred gives up.
        """
        super().stopService()
        self._retry.make_last()
        if self._saver is not None:
            self._saver.hurry()
        for _, done in self._jobs:
            done.cancel()
        self._jobs.clear()
        if self._work is None and self._pending:
            self._start_work()
        return start(self._stop(), self._log, log_lines.WRITE_FAILED_UNEXPECTEDLY)

    async def _stop(self) -> None:
        """Wait until the last attempts were made, or the spool has what they are about."""
        try:
            while self._work is not None and self._backlog.needs_saving:
                # Cancelling this cancels both, and nobody else looks at how the second one ends.
                await DeferredList([self._work, self._path.changed()], fireOnOneCallback=True, consumeErrors=True)
        finally:
            if self._work is not None:
                self._work.cancel()  # the database may take long
            try:
                if self._saver is not None:
                    await self._saver.stop()
            finally:
                if self._path.state is not State.STOPPED:
                    self._path.happens(DataPathEvents.stopped)

    def wake(self) -> None:
        """There may be something to write."""
        self._backlog.came(self._clock.seconds())
        unacknowledged = self._backlog.unacknowledged
        # With none of this connection pending, nothing would have it read again.
        if unacknowledged > MAX_UNACKNOWLEDGED and self._pending.unacknowledged:
            self._window_exceeded()
        if self._filled is not None and unacknowledged >= self._window():
            self._filled.callback(None)
        self._start_if_needed()
        if self._saver is not None:
            self._saver.check()

    def between_batches(self, job: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Run a job as the batch after everything that is pending now; nothing else is written meanwhile.

        A job that fails is not run again; its failure is the Deferred's. Stopping cancels jobs that did not begin.
        """
        done: Deferred[T] = Deferred()
        self._jobs.append((job, done))
        self.wake()
        return done

    # Writing.

    def _start_if_needed(self) -> None:
        has_work = self._pending or self._jobs or self._path.state is State.EMPTYING
        if has_work and self._work is None and self.running:
            self._start_work()

    def _start_work(self) -> None:
        def ended(_result: object) -> None:
            self._work = None

        line = log_lines.WRITE_FAILED_UNEXPECTEDLY
        work = start(go_on(self._write_all, self._clock, self._log, line), self._log, line)
        if not work.called:
            self._work = work.addCallback(ended)

    async def _write_all(self) -> None:
        """Write until nothing is left, or, while stopping, an attempt has failed."""
        path = self._path
        while True:
            if self._is_described and not path.is_known:
                await path.until_known()
            if path.state is State.STOPPED:
                return
            if not self._is_described:
                step = self._describe
            elif path.state is State.EMPTYING:
                if self._retry.is_last:
                    return  # the next start goes on with it
                step = self._write_spooled
            elif path.state is State.DIRECT and (self._pending or self._jobs):
                step = self._write_pending
            else:
                return
            try:
                await step()
            except StoreError as error:
                delay = self._retry.failed(error, is_there=self._is_there)
                if self._retry.is_last:
                    return
                await self._retry.wait(delay)
            except CancelledError:
                raise
            except Exception:
                if not self._retry.is_last:
                    raise
                self._log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY)
                return

    async def _describe(self) -> None:
        self._is_there = False
        description = await self._store.describe()
        self._is_described = True
        self._key = uuid_key(description.same_characters)
        self._table_described(description)
        self._is_there = self._was_described
        if not self._was_described:
            self._was_described = True
            self._database_answered()
            self._log.info(log_lines.DATABASE_CONNECTED, database=self._database)

    async def _write_pending(self) -> None:
        jobs = len(self._jobs)
        batch = self._backlog.take_off()
        try:
            await self._write(batch)
        except CancelledError:
            raise
        except Exception:
            if not self._path.is_known:
                await self._path.until_known()  # whether it is saved
            batch.updates = self._settlement.unsettled(batch.updates)
            self._counters.superseded += self._backlog.put_back()
            raise
        was_window_full = self.unacknowledged >= self._window()
        batch.acknowledge()
        self._backlog.landed()
        if was_window_full and self.unacknowledged < self._window() < SMALL_WINDOW and self.running:
            await self._fill_window()
        while jobs and self._jobs and self._path.state is State.DIRECT:  # else they come after what is on disk
            jobs -= 1
            await _run_job(*self._jobs.pop(0))

    async def _write(self, batch: Batch) -> None:
        """Write a batch until all of it is in the table, or the spool has it."""
        self._settlement.begin(is_spooled=False)
        while batch.updates and not self._backlog.is_in_flight_saved:
            rows = self._chunk_size.rows
            await self._write_chunk(batch.updates[:rows])
            if not self._backlog.is_in_flight_saved:
                batch.remove_first(rows)

    async def _fill_window(self) -> None:
        """Wait until the broker has used its window up again, or for a moment.

        Without it a window splits into two halves that take turns, and each commit writes half of what it could.
        """
        filled = self._filled = Deferred()
        timeout = self._clock.callLater(MAX_FILL_TIME, filled.callback, None)
        try:
            await filled
        finally:
            self._filled = None
            if timeout.active():
                timeout.cancel()

    async def _write_spooled(self) -> None:
        """Write what is on disk, a chunk of it."""
        assert self._spooler is not None
        try:
            chunk = await self._spooler.read(self._chunk_size.rows, MAX_BYTES, self._key)
            if chunk is not None:
                until = self._now() if chunk.file.is_late else None
                self._settlement.begin(is_spooled=True, unless_heard_until=until)
                if chunk.updates:
                    await self._write_chunk(chunk.updates)
                await self._spooler.written(chunk, self._settlement.count_spooled)
            if self._spooler.is_empty and self._path.state is State.EMPTYING:
                self._path.happens(DataPathEvents.emptied)
        except SpoolError:
            assert self._saver is not None
            self._saver.disk_failed()

    async def _write_chunk(self, updates: Sequence[DeviceUpdate]) -> None:
        began = self._clock.seconds()
        try:
            # Sorted, because transactions that lock rows in one order cannot deadlock.
            await write_around_refusals(sorted(updates, key=attrgetter("uuid")), self._settlement)
        except (StoreConflict, StoreUnavailable) as error:
            self._chunk_size.failed(len(updates))
            if isinstance(error, StoreUnavailable):
                # Asked before the next attempt, so that what ends every connection is told from a server that is away.
                self._is_described = False
            raise
        self._chunk_size.written(len(updates), self._clock.seconds() - began)

    def _database_answered(self) -> None:
        """The table took something, or refused a value in it."""
        self._retry.worked()
        self._is_there = False
        if self._saver is not None:
            self._saver.database_answered()


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
