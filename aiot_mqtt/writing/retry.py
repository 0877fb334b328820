"""How long to wait after a failed attempt at the database, and what the operator is told of it."""

from __future__ import annotations

from collections.abc import Callable
from random import random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ..table.contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreNotOurs,
    StoreOvertaken,
    StoreUnavailable,
)
from ..telemetry import log_lines, reasons
from ..telemetry.backoff import backoff
from ..telemetry.bilingual import Bilingual
from ..telemetry.counters import Counters
from ..telemetry.outage import Outage

CONFLICT_DELAY = 0.05  # s
MAX_CONFLICT_DELAY = 1.0  # s
MISCONFIGURED_DELAY = 30.0  # s
# s after which an attempt that has failed was given up; one that failed sooner was refused, or its connection closed.
GIVEN_UP = 10.0
MAX_DELAY_OF_REFUSED = 5.0  # s: to ask costs neither side anything, and a proxy has another server at any moment
MAX_DELAY_OF_SEVERAL = 2.0  # s: one of those that answered already may be the next to take writes
CONFLICTS_UNTOLD = 3  # in a row; deadlocks are ordinary, rows that stay locked are not
OVERTAKEN_UNTOLD = 10  # in a row: as often a chunk of a thousand rows is halved until it is one


class Retry:
    """Attempts of one kind of work, one at a time."""

    _log = Logger()

    def __init__(
        self,
        counters: Counters,
        clock: IReactorTime,
        *,
        database: str,
        where: Callable[[], Bilingual] = lambda: reasons.IN_BROKER,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param where: says where what waits to be written is kept.
        :param database: where the table is, as log lines name it.
        :param jitter: seconds added to each delay between attempts, so that instances do not retry in step.
        """
        self._counters = counters
        self._clock = clock
        self._database = database
        self._where = where
        self._backoff = backoff(jitter)
        self.outage = Outage(self._log, clock, log_lines.DATABASE_STILL_DOWN, log_lines.DATABASE_BACK)
        self._failures = 0  # in a row, of the database
        self._not_ours = 0  # the same, of the broker
        self._began_at: float | None = None  # an attempt, after a wait
        self._next: IDelayedCall | None = None
        self.is_last = False
        """No attempt is made after one that fails."""

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        return self.outage.is_on

    def begin(self) -> None:
        """Try until it works, from now on."""
        self.is_last = False
        self._failures = 0

    def make_last(self) -> None:
        """Do not wait for the next attempt, and make none after it."""
        self.is_last = True
        if self._next is not None:
            self._next.reset(0)

    def worked(self) -> None:
        """The table took something, or refused a value in it."""
        self._not_ours = 0
        self._is_there()

    def failed(self, error: StoreError, deliveries: int, *, is_there: bool = False) -> float:
        """An attempt failed; returns the seconds to wait before the next one.

        :param deliveries: how many wait to be written.
        :param is_there: the server answered just before.
        """
        if isinstance(error, StoreNotOurs):
            return self._not_ours_yet(deliveries, is_there=is_there)
        self._failures += 1
        was_given_up = self._began_at is not None and self._clock.seconds() - self._began_at >= GIVEN_UP
        if isinstance(error, StoreConflict):
            self._counters.retries["conflict"] += 1
            if self._failures > (OVERTAKEN_UNTOLD if isinstance(error, StoreOvertaken) else CONFLICTS_UNTOLD):
                self._tell(log_lines.ROWS_LOCKED, error, deliveries)
            return min(MAX_CONFLICT_DELAY, CONFLICT_DELAY * self._failures)
        if isinstance(error, StoreMisconfigured):
            self._counters.retries["misconfigured"] += 1
            is_login = isinstance(error, StoreLoginRefused)
            self._tell(log_lines.DATABASE_FAILED if is_login else log_lines.DATABASE_MISCONFIGURED, error, deliveries)
            return MISCONFIGURED_DELAY
        self._counters.retries["unavailable"] += 1
        self._tell(log_lines.DATABASE_FAILED, error, deliveries)
        if is_there:
            return CONFLICT_DELAY
        failures, most = self._failures, MAX_DELAY_OF_REFUSED
        if isinstance(error, StoreUnavailable) and error.has_others:
            if failures == 1:
                return CONFLICT_DELAY  # they have not been tried yet
            failures, most = failures - 1, MAX_DELAY_OF_SEVERAL
        delay = self._backoff(failures - 1)
        return delay if was_given_up else min(delay, most)

    async def wait(self, seconds: float) -> None:
        """Wait; ``make_last`` ends the wait early."""
        waited: Deferred[None] = Deferred(lambda _waited: call.cancel())
        call = self._next = self._clock.callLater(seconds, waited.callback, None)
        self.outage.next_at = call.getTime()
        try:
            await waited
            self._began_at = self._clock.seconds()
        finally:
            self._next = self.outage.next_at = None

    def _not_ours_yet(self, deliveries: int, *, is_there: bool) -> float:
        """Nothing was tried, for the broker's sake: that says nothing of the database, unless it was looked at."""
        self._counters.retries["conflict"] += 1
        self._not_ours += 1
        if is_there:
            self._is_there()
        if self._not_ours == CONFLICTS_UNTOLD + 1:
            self._log.warn(log_lines.NOT_WRITTEN_YET, deliveries=deliveries, where=self._where())
        return min(MAX_CONFLICT_DELAY, CONFLICT_DELAY * self._not_ours)

    def _is_there(self) -> None:
        if self._failures or self.outage.is_on:
            self._failures = 0
            self.outage.ended()

    def _tell(self, line: str, error: StoreError, deliveries: int) -> None:
        self.outage.failed(line, str(error), database=self._database, deliveries=deliveries, where=self._where())
