"""When the spool takes what waits in memory, and how it is found out what is on disk.

What waits too long, because the database is away or slow, or takes too much memory goes to disk and is acknowledged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from ..spool.disk import SpoolError, SpoolInUse
from ..spool.spooler import Spooler
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.survive import go_on, start
from .backlog import Backlog
from .data_path import DataPath, DataPathEvents, State
from .flow_control import FlowControl

PATIENCE = 5.0  # s that the oldest may wait for the database before the spool takes what there is
# With this share of the window used up, half of that, unless the database answers: beyond the window a broker with its
# defaults keeps 1000 messages.
PRESSING = 0.75
LAST_PATIENCE = 2.0  # s, while stopping
CHECK_INTERVAL = 0.5  # s
WATCH_INTERVAL = 10.0  # s between two looks at whether files came or went
RETRY_DELAY = 1.0  # s after a failure of the disk
# s at start after which a disk that cannot be looked at does not hold up the table any longer. Should it come back,
# what it holds is not written over what a row was told meanwhile.
START_PATIENCE = 10.0
MAX_IN_MEMORY = 32 * 1024 * 1024  # bytes, pending and in flight, before the spool takes it


class Saver:
    """Moves the data path between its states, as far as the disk is concerned."""

    _log = Logger()

    def __init__(
        self,
        path: DataPath,
        backlog: Backlog,
        spooler: Spooler,
        counters: Counters,
        clock: IReactorTime,
        *,
        flow_control: FlowControl,
        wake: Callable[[], None],
        may_save: Callable[[], bool],
    ) -> None:
        """
        :param wake: called when something on disk may have to go to the table.
        :param may_save: whether what is pending is ours to keep; where it is not, it is asked again.
        """
        self._path = path
        self._backlog = backlog
        self._spooler = spooler
        self._counters = counters
        self._clock = clock
        self._flow_control = flow_control
        self._wake = wake
        self._may_save = may_save
        self._patience = PATIENCE
        self._is_database_away = False
        self._answered_at = clock.seconds()
        self._failed_at: float | None = None
        self._is_blind = False
        self._was_known = False
        self._work: Deferred[None] | None = None
        self._giving_up: IDelayedCall | None = None
        self._loops: list[tuple[LoopingCall, float]] = [
            (LoopingCall(self.check), CHECK_INTERVAL),
            (LoopingCall(self._watch), WATCH_INTERVAL),
        ]

    def start(self) -> None:
        """Find out what is on disk, and look after it from now on."""
        self._patience = PATIENCE
        self._is_database_away = self._is_blind = self._was_known = False
        self._path.happens(DataPathEvents.started)
        self._begin(self._look_until_known)
        for loop, interval in self._loops:
            loop.clock = self._clock
            loop.start(interval, now=False)

    def hurry(self) -> None:
        """The process wants to end: wait neither for the database for long, nor for the disk."""

        def give_up() -> None:
            if self._path.state is State.LOOKING:
                self._path.happens(DataPathEvents.stopped)

        self._patience = LAST_PATIENCE
        self._giving_up = self._clock.callLater(LAST_PATIENCE, give_up)

    async def stop(self) -> None:
        """Save what is left, and look after it no more."""
        try:
            # A save that has just begun is told of by the state before it is known here as work.
            while self._work is not None or self._path.state is State.SAVING:
                if self._path.state is State.STOPPED:
                    break
                # Or the state, because a disk that hangs would never let the work end. Cancelling this cancels both.
                waited_for = [self._path.changed(), *([] if self._work is None else [self._work])]
                await DeferredList(waited_for, fireOnOneCallback=True, consumeErrors=True)
            if self._can_save and self._backlog.needs_saving:
                await self._save()
        finally:
            for loop, _ in self._loops:
                if loop.running:
                    loop.stop()
            if self._giving_up is not None and self._giving_up.active():
                self._giving_up.cancel()
            if self._work is not None:
                self._work.cancel()

    def database_answered(self) -> None:
        """The database took something, or refused a value in it: it is there."""
        self._is_database_away = False
        self._answered_at = self._clock.seconds()

    def disk_failed(self) -> None:
        """The disk failed somebody else, who was told why: look again."""
        self._failed_at = self._clock.seconds()
        if self._path.is_known:
            self._path.happens(DataPathEvents.disk_failed)
        if self._work is None:
            self._begin(self._look_until_known)

    def check(self) -> None:
        """Save what is pending and in flight when the database takes too long, or when it takes too much room.

        Once the database is known to be away, as soon as there is something: a broker that speaks MQTT 3.1.1 sends no
        more than 20 messages before it waits.
        """
        backlog = self._backlog
        if not self._can_save:
            return
        now = self._clock.seconds()
        age = backlog.oldest_age(now)
        if backlog.unacknowledged > PRESSING * self._flow_control.window:
            age = max(age, 2 * min(age, now - self._answered_at))
        if age >= self._patience:
            self._is_database_away = True
        is_due = self._is_database_away or backlog.size > MAX_IN_MEMORY
        may_try = self._failed_at is None or now - self._failed_at >= RETRY_DELAY
        if is_due and may_try and backlog.needs_saving:
            self._begin(self._save)

    @property
    def _can_save(self) -> bool:
        return self._path.is_known and not self._is_blind and self._work is None and self._may_save()

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        def ended(_result: object) -> None:
            self._work = None
            if self._path.state is State.LOOKING:
                self._begin(self._look_until_known)
            elif self._is_database_away:
                self.check()
            self._wake()

        surviving = go_on(work, self._clock, self._log, log_lines.SPOOL_FAILED_UNEXPECTEDLY)
        self._work = work_begun = start(surviving, self._log, log_lines.SPOOL_FAILED_UNEXPECTEDLY)
        work_begun.addCallback(ended)

    async def _save(self) -> None:
        """Save all that waits, and acknowledge it; where nobody knows whether that worked, a look follows."""
        updates = self._backlog.begin_to_save()
        if not updates:
            self._backlog.saved()  # nothing but acknowledgements, which no disk is needed for
            return
        self._path.happens(DataPathEvents.save_began)
        try:
            await self._spooler.save(updates)
        except CancelledError:
            raise
        except Exception as error:
            if not isinstance(error, SpoolError):
                self._log.failure(log_lines.SPOOL_FAILED_UNEXPECTEDLY)
            self._failed_at = self._clock.seconds()
            self._path.happens(DataPathEvents.disk_failed)
        else:
            self._failed_at = None
            self._backlog.saved()
            self._path.happens(DataPathEvents.saved)

    async def _look_until_known(self) -> None:
        """Look at the disk until it tells what is there, and what became of a save that failed."""
        began = self._clock.seconds()
        while self._path.state is State.LOOKING:
            # In the loop, because a disk that can be looked at may fail again before this is left.
            if self._failed_at is not None and (wait := self._failed_at + RETRY_DELAY - self._clock.seconds()) > 0:
                await deferLater(self._clock, wait)
                continue
            try:
                looked = await self._spooler.look(is_late=self._was_known or self._is_blind)
            except SpoolError as error:
                if self._path.state is not State.LOOKING:
                    return  # the process ends
                waited = self._clock.seconds() - began
                if not self._was_known and not isinstance(error, SpoolInUse) and waited >= START_PATIENCE:
                    self._is_blind = True
                    self._log.error(log_lines.SPOOL_BLIND, reason=str(error))
                    self._path.happens(DataPathEvents.found_nothing)
                    return
                await deferLater(self._clock, RETRY_DELAY)
                continue
            self._was_known, self._is_blind = True, False
            if self._backlog.is_being_saved:
                if looked.is_saved:
                    self._backlog.saved()
                else:
                    self._counters.superseded += self._backlog.not_saved()
            if self._path.state is not State.LOOKING:
                return  # the process ends without having waited for this
            if looked.is_empty:
                self._path.happens(DataPathEvents.found_nothing)
            else:
                self._path.happens(DataPathEvents.found_files)

    def _watch(self) -> None:
        """Look again where files came or went behind our back, or can be looked at now."""
        if self._path.is_known and self._work is None:
            self._begin(self._look_if_changed)

    async def _look_if_changed(self) -> None:
        try:
            has_changed = await self._spooler.has_changed()
        except SpoolInUse:
            has_changed = True  # what that process has is older than what would go to the table next
        except SpoolError:
            return  # which was told; as long as nothing is known to be there, nothing depends on it
        if (has_changed or self._is_blind) and self._path.is_known:
            self._path.happens(DataPathEvents.disk_failed)
