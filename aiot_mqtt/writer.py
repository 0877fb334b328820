"""Moves what is pending into the table: one batch in flight, the next starts when it ends.

There is no flush timer. An idle writer starts at once, so a quiet system has low latency; a busy one collects while
the last batch commits, so a loaded system gets large batches. The order of writes comes from there being one writer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import random
from typing import Any, TypeVar

from twisted.application.internet import backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from . import log_lines
from .counters import Counters
from .isolation import write_around_refusals
from .outage import Outage
from .pending import PendingUpdates
from .refusals import Refusals
from .store import (
    DeviceUpdate,
    Store,
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    TableDescription,
)

T = TypeVar("T")

CHUNK = 1000  # updates in one transaction: larger ones are no faster, and hold more row locks for longer
CONFLICT_DELAY = 0.05  # s
MISCONFIGURED_DELAY = 30.0  # s
CONFLICTS_UNTOLD = 3  # in a row; deadlocks are ordinary, rows that stay locked are not


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
        database: str = "",
        table_described: Callable[[TableDescription], None] = lambda _description: None,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param database: where the table is, as log lines name it.
        :param table_described: told what the table says about itself, once it was seen.
        :param jitter: seconds added to each delay between attempts, so that instances do not retry in step.
        """
        self._store = store
        self._pending = pending
        self._counters = counters
        self._refusals = refusals
        self._clock = clock
        self._database = database
        self._table_described = table_described
        # 29, because the jitter comes on top and no wait should exceed 30 s.
        self._backoff = backoffPolicy(1.0, 29.0, 2.0, jitter)
        self._outage = Outage(self._log, clock, log_lines.DATABASE_STILL_DOWN, log_lines.DATABASE_BACK)
        self._described = False
        self._in_flight: list[DeviceUpdate] = []
        self._unacknowledged_in_flight = self._peak = 0
        self._in_flight_since: float | None = None
        self._pending_since: float | None = None
        self._jobs: list[tuple[Callable[[], Deferred[Any]], Deferred[Any]]] = []
        self._work: Deferred[None] | None = None
        self._next_attempt: IDelayedCall | None = None
        self._stopping = False
        self.devices_heard: Callable[[Sequence[DeviceUpdate]], None] = lambda _updates: None
        """Called with updates that were committed."""

    @property
    def deliveries(self) -> int:
        """Deliveries neither stored nor superseded: those pending and those in flight."""
        return self._pending.deliveries + sum(update.deliveries for update in self._in_flight)

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets that wait for their acknowledgement."""
        return self._pending.unacknowledged + self._unacknowledged_in_flight

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
        """Whether the table took the last write, or was seen and had none to take yet."""
        return self._described and not self._outage.is_on

    def startService(self) -> None:
        """Begin, with a look at the table: an operator wants to know at start whether it can be served."""
        super().startService()
        self._stopping = self._described = False
        self._start_work()

    def stopService(self) -> Deferred[None]:
        """Write what is pending, with one attempt each; fires when that is done or has failed.

        Cancelling the Deferred gives up.
        """
        super().stopService()
        self._stopping = True
        if self._next_attempt is not None:
            self._next_attempt.reset(0)
        for _, done in self._jobs:
            done.cancel()
        self._jobs.clear()
        if self._work is None and self._pending:
            self._start_work()
        work = self._work
        if work is None:
            return succeed(None)
        finished: Deferred[None] = Deferred(lambda _finished: work.cancel())
        work.addBoth(lambda _result: None if finished.called else finished.callback(None))
        return finished

    def wake(self) -> None:
        """There may be something to write."""
        if self._pending and self._pending_since is None:
            self._pending_since = self._clock.seconds()
        self._peak = max(self._peak, self.unacknowledged)
        if self._work is None and self.running and (self._pending or self._jobs):
            self._start_work()

    def between_batches(self, job: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Run a job as the batch after everything that is pending now; nothing else is written meanwhile.

        A job that fails is not run again; its failure is the Deferred's. Stopping cancels jobs that did not begin.
        """
        done: Deferred[T] = Deferred()
        self._jobs.append((job, done))
        self.wake()
        return done

    def _start_work(self) -> None:
        def ended(_result: object) -> None:
            self._work = None

        work = Deferred.fromCoroutine(self._write_all())
        if not work.called:
            self._work = work
        work.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        work.addBoth(ended)

    async def _write_all(self) -> None:
        try:
            if not self._described:
                await self._persist(self._store.describe, self._table_seen)
            while self._pending or self._jobs:
                jobs, self._jobs = self._jobs, []
                await self._write_pending()
                for job, done in jobs:
                    await _run_job(job, done)
        except StoreError:
            if not self._stopping:  # otherwise _persist goes on
                raise

    async def _write_pending(self) -> None:
        batch = self._pending.take()
        self._in_flight = batch.updates
        self._unacknowledged_in_flight = len(batch.packet_ids)
        self._in_flight_since, self._pending_since = self._pending_since, None
        while self._in_flight:
            await write_around_refusals(self._in_flight[:CHUNK], self._write, self._value_refused)
            self._in_flight = self._in_flight[CHUNK:]
        self._unacknowledged_in_flight = 0
        self._in_flight_since = None
        batch.acknowledge()

    def _table_seen(self, description: TableDescription) -> None:
        self._described = True
        self._log.info(log_lines.DATABASE_CONNECTED, database=self._database)
        self._table_described(description)

    async def _write(self, updates: Sequence[DeviceUpdate]) -> None:
        """Write until it is committed, and count.

        :raises StoreRefused: the table does not take one of them.
        """

        def written(unknown: frozenset[str]) -> None:
            for update in updates:
                if update.uuid in unknown:
                    self._refusals.unknown_device(update.uuid, update.deliveries)
                else:
                    self._counters.stored += update.deliveries
                update.kinds = 0  # counted
            try:
                self.devices_heard([update for update in updates if update.uuid not in unknown])
            except Exception:  # what is committed must be acknowledged, whatever its listeners do
                self._log.failure(log_lines.LISTENER_FAILED_UNEXPECTEDLY)

        await self._persist(lambda: self._store.write(updates), written)

    def _value_refused(self, update: DeviceUpdate, column: str | None, reason: str, deliveries: int) -> None:
        self._refusals.refused_by_table(update.uuid, column, reason, deliveries)
        update.kinds = 0  # counted

    async def _persist(self, attempt: Callable[[], Awaitable[T]], succeeded: Callable[[T], None]) -> None:
        """Make attempts until one works.

        :raises StoreRefused: at once.
        :raises StoreError: only while stopping, after one failed attempt.
        """
        failures = 0
        while True:
            try:
                result = await attempt()
            except StoreRefused:
                self._outage.ended()
                raise
            except StoreConflict as conflict:
                self._counters.retries["conflict"] += 1
                if failures >= CONFLICTS_UNTOLD:
                    self._tell(log_lines.ROWS_LOCKED, conflict)
                delay = CONFLICT_DELAY * (1 + failures)
            except StoreError as error:
                delay = self._outage_delay(error, failures)
                if self._stopping:
                    raise
            except CancelledError:
                raise
            except Exception as error:
                # A fault of ours: whose, nobody knows, so nothing may be refused for it.
                self._log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY)
                if self._stopping:
                    raise StoreUnavailable(repr(error)) from error
                delay = self._backoff(failures)
            else:
                self._outage.ended()
                succeeded(result)
                return
            failures += 1
            await self._sleep(delay)

    def _outage_delay(self, error: StoreError, failures: int) -> float:
        if isinstance(error, StoreMisconfigured):
            self._counters.retries["misconfigured"] += 1
            is_login = isinstance(error, StoreLoginRefused)
            self._tell(log_lines.DATABASE_FAILED if is_login else log_lines.DATABASE_MISCONFIGURED, error)
            return MISCONFIGURED_DELAY
        self._counters.retries["unavailable"] += 1
        self._tell(log_lines.DATABASE_FAILED, error)
        return self._backoff(failures)

    def _tell(self, line: str, error: StoreError) -> None:
        self._outage.failed(line, str(error), database=self._database, deliveries=self.deliveries)

    async def _sleep(self, seconds: float) -> None:
        """Wait; being stopped ends the wait early."""
        waited: Deferred[None] = Deferred(lambda _waited: call.cancel())
        call = self._next_attempt = self._clock.callLater(seconds, waited.callback, None)
        try:
            await waited
        finally:
            self._next_attempt = None


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
