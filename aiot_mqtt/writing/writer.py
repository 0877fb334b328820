"""Moves what is pending into the table: one batch in flight, the next starts when it ends.

There is no flush timer. An idle writer starts at once, so a quiet system has low latency; a busy one collects while
the last batch commits, so a loaded system gets large batches. The order of writes comes from there being one writer.
What is on disk goes before anything later (``data_path``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from random import random
from typing import TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..ingest.pending import Batch, PendingUpdates
from ..spool.spooler import Spooler
from ..table.contract import Store, StoreError, StoreUnavailable
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.refusals import Refusals
from ..telemetry.survive import go_on, start
from .backlog import Backlog
from .chunks import Chunks
from .data_path import DataPath, DataPathEvents, State
from .emptying import Emptying
from .figures import WriterFigures
from .flow_control import FlowControl, WindowUse
from .jobs import Jobs
from .listeners import CommitListener, TableListener
from .retry import Retry
from .saver import Saver
from .settlement import Settlement
from .table_look import TableLook
from .where_kept import where_kept

T = TypeVar("T")


class Writer(WriterFigures, Service):
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
        latest: Callable[[], str],
        flow_control: FlowControl,
        spooler: Spooler | None = None,
        database: str = "",
        may_write: Callable[[], bool] = lambda: True,
        may_save: Callable[[], bool] = lambda: True,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param latest: the latest time that a row may say by now, as clocks differ and statements take time to arrive.
        :param spooler: takes what the database does not; None: it stays unacknowledged.
        :param database: where the table is, as log lines name it.
        :param may_write: whether what is pending is ours to write; ``wake`` follows when it is.
        :param may_save: the same, of the disk.
        :param jitter: seconds added to each delay between attempts, so that instances do not retry in step.
        """
        self._may_write = may_write
        self._pending = pending
        self._counters = counters
        self._clock = clock
        self._spooler = spooler
        self._window = WindowUse(flow_control, clock)
        self._database = database
        self._path = DataPath()
        self.backlog = Backlog(pending)
        self._jobs = Jobs()
        self._table = TableLook(store)
        self._retry = Retry(counters, clock, database=database, where=where_kept(spooler), jitter=jitter)
        self.outage = self._retry.outage
        """That of the database."""
        self._settlement = Settlement(
            store, self._path, self.backlog, counters, refusals, clock=clock, database_answered=self._database_answered
        )
        self.chunks = chunks = Chunks(self._settlement, counters, clock)
        self._saver: Saver | None = None
        self._emptying: Emptying | None = None
        if spooler is not None:
            self._saver = Saver(
                self._path,
                self.backlog,
                spooler,
                counters,
                clock,
                flow_control=flow_control,
                wake=self._start_if_needed,
                may_save=may_save,
            )
            self._emptying = Emptying(
                self._path, spooler, self._saver, self._settlement, chunks, store=store, latest=latest
            )
        self._is_there = False
        self._work: Deferred[None] | None = None

    def add_listener(self, listener: CommitListener) -> None:
        """Tell somebody of updates that were committed; those that were added first are told first."""
        self._settlement.add_listener(listener)

    def add_table_listener(self, listener: TableListener) -> None:
        """Tell somebody what the table says about itself, whenever it was looked at."""
        self._table.add_listener(listener)

    async def until_known(self) -> None:
        """Wait until it is known what is on disk, so that what is received can go somewhere."""
        await self._path.until_known()

    def startService(self) -> None:
        """Begin, with a look at the disk and at the table: an operator wants to know whether it can be served."""
        super().startService()
        self._table.lost()
        self._retry.begin()
        if self._saver is not None:
            self._saver.start()
        else:
            self._path.happens(DataPathEvents.started)
            self._path.happens(DataPathEvents.found_nothing)
        self._counters.superseded += self.backlog.put_back()
        self._start_work()

    def stopService(self) -> Deferred[None]:
        """Write what is pending, with one attempt each, or put it in the spool; fires when that is done or has failed.

        Cancelling the Deferred gives up.
        """
        super().stopService()
        self._retry.make_last()
        if self._saver is not None:
            self._saver.hurry()
        self._jobs.cancel()
        if self._work is None and self._pending:
            self._start_work()
        return start(self._stop(), self._log, log_lines.WRITE_FAILED_UNEXPECTEDLY)

    async def _stop(self) -> None:
        """Wait until the last attempts were made, or the spool has what they are about."""
        try:
            while self._work is not None and self.backlog.needs_saving:
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
        self.backlog.note_arrivals(self._clock.seconds())
        self._window.check(self.backlog.unacknowledged, self._pending.unacknowledged)
        self._start_if_needed()
        if self._saver is not None:
            self._saver.check()

    def set_aside(self) -> None:
        """Write nothing of what is not acknowledged until it is known whose it is; the table may be newer than disk."""
        if self._emptying is not None:
            self._emptying.distrust()
        if self.backlog.in_flight is not None and self._work is not None:
            self._work.cancel()  # it would be written by and by, in parts, also when the session is ours again
        self.backlog.set_aside()
        self._start_if_needed()

    def release(self, *, is_ours: bool) -> None:
        """Write what was set aside, or forget it: the broker sends it again, to whom it gives the session."""
        self._counters.superseded += self.backlog.take_back() if is_ours else self.backlog.abandon()

    def abandon(self) -> None:
        """Somebody else is given what is not acknowledged. What is on disk is ours still."""
        self.set_aside()
        self.release(is_ours=False)

    def between_batches(self, job: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Run a job as the batch after everything that is pending now; nothing else is written meanwhile.

        A job that fails is not run again; its failure is the Deferred's. Stopping cancels jobs that did not begin.
        """
        done = self._jobs.add(job)
        self.wake()
        return done

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
            if self._table.is_current and not path.is_known:
                await path.until_known()
            if path.state is State.STOPPED:
                return
            step: Callable[[], Awaitable[None]]
            if not self._table.is_current:
                step = self._look_at_table
            elif path.state is State.EMPTYING:
                if self._retry.is_last:
                    return  # the next start goes on with it
                assert self._emptying is not None
                step = partial(self._emptying.write_chunk, self._table.key)
            elif self._may_write() and path.state is State.DIRECT and (self._pending or self._jobs):
                step = self._write_pending
            else:
                return
            try:
                await step()
            except StoreError as error:
                if isinstance(error, StoreUnavailable):
                    # Looked at before the next attempt, so that what ends every connection is told from a server that
                    # is away.
                    self._table.lost()
                delay = self._retry.failed(error, self.deliveries, is_there=self._is_there)
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

    async def _look_at_table(self) -> None:
        was_seen, self._is_there = self._table.was_seen, False
        await self._table.look()
        self._is_there = was_seen
        if not was_seen:
            self._database_answered()
            self._log.info(log_lines.DATABASE_CONNECTED, database=self._database)

    async def _write_pending(self) -> None:
        if self._emptying is not None:
            self._emptying.trust()
        jobs = len(self._jobs)
        batch = self.backlog.begin_batch()
        try:
            await self._write(batch)
        except CancelledError:
            raise
        except Exception:
            if not self._path.is_known:
                await self._path.until_known()  # whether it is saved
            batch.updates = self._settlement.unsettled(batch.updates)
            self._counters.superseded += self.backlog.put_back()
            raise
        was_window_full = self._window.is_full(self.unacknowledged)
        batch.acknowledge()
        self.backlog.end_batch()
        if was_window_full and self.running and self._window.is_worth_filling(self.unacknowledged):
            await self._window.filled()
        while jobs and self._jobs and self._path.state is State.DIRECT:  # else they come after what is on disk
            jobs -= 1
            await self._jobs.run_next()

    async def _write(self, batch: Batch) -> None:
        """Write a batch until all of it is in the table, or the spool has it."""
        self._settlement.begin(is_spooled=False)
        while batch.updates and not self.backlog.is_in_flight_saved:
            rows = self.chunks.size.rows
            await self.chunks.write(batch.updates[:rows])
            self._counters.acknowledge_delays.observe(self.oldest_age)
            if not self.backlog.is_in_flight_saved:
                batch.remove_first(rows)

    def _database_answered(self) -> None:
        """The table took something, or refused a value in it."""
        self._retry.worked()
        self._is_there = False
        if self._saver is not None:
            self._saver.database_answered()
