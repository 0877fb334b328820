"""Makes attempts at the database until one works: how long to wait between them, and what the operator is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import random
from typing import TypeVar

from twisted.application.internet import backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..table.contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
)
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.outage import Outage

T = TypeVar("T")

CONFLICT_DELAY = 0.05  # s
MOST_CONFLICT_DELAY = 1.0  # s
MISCONFIGURED_DELAY = 30.0  # s
CONFLICTS_UNTOLD = 3  # in a row; deadlocks are ordinary, rows that stay locked are not


class Pointless(Exception):
    """After a failed attempt: what it would write is safe elsewhere, so the same need not be tried again."""


class Attempts:
    """Attempts of one kind of work, one at a time."""

    _log = Logger()

    def __init__(
        self,
        counters: Counters,
        clock: IReactorTime,
        *,
        database: str,
        deliveries: Callable[[], int],
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param database: where the table is, as log lines name it.
        :param deliveries: how many wait to be written.
        :param jitter: seconds added to each delay between attempts, so that instances do not retry in step.
        """
        self._counters = counters
        self._clock = clock
        self._database = database
        self._deliveries = deliveries
        # 29, because the jitter comes on top and no wait should exceed 30 s.
        self._backoff = backoffPolicy(1.0, 29.0, 2.0, jitter)
        self._outage = Outage(self._log, clock, log_lines.DATABASE_STILL_DOWN, log_lines.DATABASE_BACK)
        self._failures = 0  # in a row
        self._next: IDelayedCall | None = None
        self._is_last = False

    @property
    def is_failing(self) -> bool:
        """Whether the last one failed."""
        return self._outage.is_on

    def begin(self) -> None:
        """Try until it works, from now on."""
        self._is_last = False
        self._failures = 0

    def make_last(self) -> None:
        """Do not wait for the next attempt, and make none after it."""
        self._is_last = True
        if self._next is not None:
            self._next.reset(0)

    async def make(self, attempt: Callable[[], Awaitable[T]], is_pointless: Callable[[], bool]) -> T:
        """Make attempts until one works.

        :param is_pointless: asked before another attempt.
        :raises StoreRefused: at once.
        :raises StoreError: only after ``make_last``.
        :raises Pointless: an attempt failed, and another one is not needed.
        """
        while True:
            try:
                result = await attempt()
            except StoreRefused:
                self._worked()
                raise
            except StoreConflict as conflict:
                self._counters.retries["conflict"] += 1
                if self._failures >= CONFLICTS_UNTOLD:
                    self._tell(log_lines.ROWS_LOCKED, conflict)
                delay = min(MOST_CONFLICT_DELAY, CONFLICT_DELAY * (1 + self._failures))
            except StoreError as error:
                delay = self._outage_delay(error)
                if self._is_last:
                    raise
            except CancelledError:
                raise
            except Exception as error:
                # A fault of ours: whose, nobody knows, so nothing may be refused for it.
                self._log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY)
                if self._is_last:
                    raise StoreUnavailable(repr(error)) from error
                delay = self._backoff(self._failures)
            else:
                self._worked()
                return result
            self._failures += 1
            await self._sleep(delay)
            if is_pointless():
                raise Pointless

    def _worked(self) -> None:
        self._failures = 0
        self._outage.ended()

    def _outage_delay(self, error: StoreError) -> float:
        if isinstance(error, StoreMisconfigured):
            self._counters.retries["misconfigured"] += 1
            is_login = isinstance(error, StoreLoginRefused)
            self._tell(log_lines.DATABASE_FAILED if is_login else log_lines.DATABASE_MISCONFIGURED, error)
            return MISCONFIGURED_DELAY
        self._counters.retries["unavailable"] += 1
        self._tell(log_lines.DATABASE_FAILED, error)
        return self._backoff(self._failures)

    def _tell(self, line: str, error: StoreError) -> None:
        self._outage.failed(line, str(error), database=self._database, deliveries=self._deliveries())

    async def _sleep(self, seconds: float) -> None:
        """Wait; ``make_last`` ends the wait early."""
        waited: Deferred[None] = Deferred(lambda _waited: call.cancel())
        call = self._next = self._clock.callLater(seconds, waited.callback, None)
        try:
            await waited
        finally:
            self._next = None
