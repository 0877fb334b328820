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
MAX_DELAY_OF_SEVERAL = 5.0  # s, where another server may answer
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
        self._failures = 0  # in a row
        self._has_others = False
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
        if self._failures or self.outage.is_on:
            self._failures = 0
            self._has_others = False
            self.outage.ended()

    def failed(self, error: StoreError, deliveries: int, *, is_there: bool = False) -> float:
        """An attempt failed; returns the seconds to wait before the next one.

        :param deliveries: how many wait to be written.
        :param is_there: the server answered just before.
        """
        self._failures += 1
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
        # A proxy that leads to one that may not write, then to none, leads to another one soon.
        self._has_others |= isinstance(error, StoreUnavailable) and error.has_others
        if is_there:
            return CONFLICT_DELAY
        if not self._has_others:
            return self._backoff(self._failures - 1)
        # The others have not been tried yet after the first; what is waited for then is that one of them takes over.
        return CONFLICT_DELAY if self._failures == 1 else min(self._backoff(self._failures - 2), MAX_DELAY_OF_SEVERAL)

    async def wait(self, seconds: float) -> None:
        """Wait; ``make_last`` ends the wait early."""
        waited: Deferred[None] = Deferred(lambda _waited: call.cancel())
        call = self._next = self._clock.callLater(seconds, waited.callback, None)
        self.outage.next_at = call.getTime()
        try:
            await waited
        finally:
            self._next = self.outage.next_at = None

    def _tell(self, line: str, error: StoreError, deliveries: int) -> None:
        self.outage.failed(line, str(error), database=self._database, deliveries=deliveries, where=self._where())
