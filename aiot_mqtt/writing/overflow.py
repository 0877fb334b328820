"""Decides when the spool takes what waits in memory, and has it acknowledged once it is on disk."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..spool.file import SpoolError
from ..spool.spooler import Spooler
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from .backlog import Backlog

PATIENCE = 5.0  # s that the oldest may wait for the database before the spool takes what there is
# With this share of the window used up, half of that, unless the database answers: beyond the window a broker with its
# defaults keeps 1000 messages.
PRESSING = 0.75
LAST_PATIENCE = 2.0  # s, while stopping
LOOK_INTERVAL = 0.5  # s
MOST_IN_MEMORY = 32 * 1024 * 1024  # bytes, pending and in flight, before the spool takes it
CHUNK = 1000  # updates in one transaction: larger ones are no faster, and hold more row locks for longer


class Overflow:
    """What does not get into the table in time, or takes too much memory, goes to the spool."""

    _log = Logger()

    def __init__(
        self,
        backlog: Backlog,
        spooler: Spooler,
        counters: Counters,
        clock: IReactorTime,
        *,
        window: Callable[[], int],
    ) -> None:
        """:param window: PUBLISH packets that may be unacknowledged at one time."""
        self._backlog = backlog
        self._spooler = spooler
        self._counters = counters
        self._clock = clock
        self._window = window
        self._patience = PATIENCE
        self._saving: Deferred[None] | None = None
        self._is_database_away = False
        self._answered_at = clock.seconds()
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock
        self.all_saved: Callable[[], None] = lambda: None
        """Called after a save that left nothing unsaved."""

    def start(self) -> None:
        """Look from now on."""
        self._patience = PATIENCE
        self._is_database_away = False
        self._loop.start(LOOK_INTERVAL, now=False)

    def hurry(self) -> None:
        """The process wants to end."""
        self._patience = LAST_PATIENCE

    async def stop(self) -> None:
        """Save what is left, and look no more."""
        try:
            if self._saving is not None:
                await self._saving
            if self._spooler.is_open and self._backlog.needs_saving:
                await self._save()
        finally:
            if self._loop.running:
                self._loop.stop()

    def database_answered(self) -> None:
        """The database took something, or refused a value in it: it is there."""
        self._is_database_away = False
        self._answered_at = self._clock.seconds()

    def look(self) -> None:
        """Save what is pending and in flight when the database takes too long, or when it takes too much room.

        Once the database is known to be away, as soon as there is something: a broker that speaks MQTT 3.1.1 sends no
        more than 20 messages before it waits.
        """
        backlog = self._backlog
        if self._saving is not None or not self._spooler.is_open:
            return
        now = self._clock.seconds()
        age = backlog.oldest_age(now)
        if backlog.unacknowledged > PRESSING * self._window():
            age = max(age, 2 * min(age, now - self._answered_at))
        if age >= self._patience:
            self._is_database_away = True
        is_due = self._is_database_away or backlog.size > MOST_IN_MEMORY
        if is_due and backlog.needs_saving and self._spooler.may_try:
            self._begin_to_save()

    def _begin_to_save(self) -> None:
        def ended(_result: object) -> None:
            self._saving = None
            if not self._backlog.needs_saving:
                self.all_saved()
            elif self._is_database_away:
                self.look()

        saving = Deferred.fromCoroutine(self._save())
        if not saving.called:
            self._saving = saving
        saving.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        saving.addErrback(lambda failure: self._log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY, failure))
        saving.addBoth(ended)

    async def _save(self) -> None:
        backlog, spooler = self._backlog, self._spooler
        await spooler.lock.acquire()
        try:
            in_flight = [] if backlog.in_flight is None else backlog.in_flight.unsaved
            updates = in_flight + backlog.begin_to_save().updates
            try:
                superseded = await spooler.save(updates) if updates else 0
            except BaseException as error:
                superseded = backlog.not_saved()
                if not isinstance(error, SpoolError):
                    raise
            else:
                backlog.saved(CHUNK)
            self._counters.superseded += superseded
        finally:
            spooler.lock.release()
