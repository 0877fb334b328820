"""The spool beside the writer: one call at a time in a thread, what is in it, and what the operator is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..devices.update import DeviceUpdate
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.outage import Outage
from .file import Spool, SpoolDamaged, SpoolError

T = TypeVar("T")

RETRY_DELAY = 1.0  # s
PROGRESS_INTERVAL = 10.0  # s

RunInThread = Callable[..., Deferred[Any]]
"""Calls a function with arguments in a thread, one call after the other; fires with what it returns or raises."""


class Spooler:
    """What the writer does with the spool. Its rows count as pending until they are in the table."""

    _log = Logger()

    def __init__(self, spool: Spool, run_in_thread: RunInThread, counters: Counters, clock: IReactorTime) -> None:
        self._spool = spool
        self._run_in_thread = run_in_thread
        self._counters = counters
        self._clock = clock
        self._where = {"path": str(spool.path)}
        self._outage = Outage(self._log, clock, log_lines.SPOOL_STILL_FAILING, log_lines.SPOOL_WORKS_AGAIN)
        self.lock = DeferredLock()
        """Held from a save until what was saved is marked so, and from a look at those marks until they are counted."""
        self.is_open = False
        self.devices = 0
        """Whose states are held and not written yet."""
        self.deliveries = 0
        """That ride on these."""
        self._is_unforgotten = False
        self._emptied = 0
        self._emptied_told = 0
        self._progress_told = 0.0
        self._failed_at: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it, and on disk neither."""
        return self.is_open and not (self.devices or self._is_unforgotten)

    @property
    def may_try(self) -> bool:
        """Whether it is worth a try to save: the last one did not fail a moment ago."""
        return self._failed_at is None or self._clock.seconds() - self._failed_at >= RETRY_DELAY

    async def open(self) -> None:
        """Find what a former process left; returns once that is known.

        A file that cannot be opened is waited for, like a database: it may hold what was acknowledged, and writing it
        after what comes now would move rows back.
        """
        while not self.is_open:
            try:
                await self._open()
            except SpoolError as error:
                if not await self._run_in_thread(self._spool.path.exists):
                    self._failed(error)
                    self.is_open = True  # there is nothing older, and saving will try again
                    return
                self._failed(error, log_lines.SPOOL_AWAITED)
                await deferLater(self._clock, RETRY_DELAY)

    async def close(self) -> None:
        """Close the file; what it holds is found by the next ``open``."""
        self.is_open = False
        await self._run_in_thread(self._spool.close)

    async def save(self, updates: Sequence[DeviceUpdate]) -> int:
        """Put updates on disk, and mark them with their versions; for who holds the lock.

        :return: how many deliveries that supersedes.
        :raises SpoolError: none is on disk.
        """
        was_empty = not self.devices
        try:
            try:
                saved = await self._run_in_thread(self._spool.save, updates)
            except SpoolDamaged:
                await self._open()
                saved = await self._run_in_thread(self._spool.save, updates)
        except SpoolError as error:
            self._failed(error)
            raise
        self._worked()
        for update, version in zip(updates, saved.versions, strict=True):
            update.spool_version = version
            self.deliveries += update.deliveries
        self.deliveries -= saved.superseded
        self.devices += saved.devices
        if was_empty and self.devices:
            self._log.warn(log_lines.SPOOLING, **self._where)
        return int(saved.superseded)

    async def read(self, most: int, most_bytes: int) -> list[DeviceUpdate]:
        """The next updates to be written, oldest first; none when all are written."""
        if not self.devices:
            return []
        updates: list[DeviceUpdate] = await self._insist(self._spool.read, [], most, most_bytes)
        if not updates:
            self.devices = self.deliveries = 0
        return updates

    async def written(self, updates: Sequence[DeviceUpdate]) -> None:
        """These are in the table, or refused by it; for who holds the lock.

        What was saved anew meanwhile has its deliveries counted with the newer state, so here it has none any more.
        """
        everything = frozenset(update.spool_version for update in updates)
        self._is_unforgotten = True
        current = await self._insist(self._spool.written, everything, updates)
        for update in updates:
            if update.spool_version in current:
                self.devices -= 1
                self.deliveries -= update.deliveries
                self._emptied += 1
            else:
                update.kinds = 0
            update.spool_version = 0

    async def forget_written(self) -> None:
        """Make it hold over a restart that updates were written.

        With rows left, a disk that does not take it is left alone for now: a restart would write the same states
        again, and no older ones. With none left it is insisted on, because what comes next is newer.
        """
        if not self._is_unforgotten:  # as after an attempt that failed
            return
        try:
            await self._run_in_thread(self._spool.forget_written)
        except SpoolError as error:
            if self.devices:
                self._failed(error)
            else:
                self._failed(error, log_lines.SPOOL_STUCK)
                await deferLater(self._clock, RETRY_DELAY)
                await self._insist(self._spool.forget_written, None, line=log_lines.SPOOL_STUCK)
                self._is_unforgotten = False
        else:
            self._worked()
            self._is_unforgotten = False
        self._tell_progress()

    async def _open(self) -> None:
        opened = await self._run_in_thread(self._spool.open)
        self._worked()
        self.is_open = True
        if opened.set_aside is not None:
            self._log.error(log_lines.SPOOL_DAMAGED, aside=str(opened.set_aside), **self._where)
            # Of what this process has put there it knows how much it was.
            self._counters.refused["spool_damaged"] += self.deliveries
            self.deliveries = self.devices = 0
        elif opened.devices:
            self._log.warn(log_lines.SPOOL_FOUND, devices=opened.devices, **self._where)
        self._counters.recovered += opened.deliveries - self.deliveries
        self.deliveries, self.devices = opened.deliveries, opened.devices

    async def _insist(
        self, call: Callable[..., T], when_damaged: T, *arguments: object, line: str = log_lines.SPOOL_FAILED
    ) -> T:
        """Try until the disk does it."""
        while True:
            try:
                result: T = await self._run_in_thread(call, *arguments)
            except SpoolDamaged:
                self.is_open = False
                await self.open()
                return when_damaged
            except SpoolError as error:
                self._failed(error, line)
                await deferLater(self._clock, RETRY_DELAY)
            else:
                self._worked()
                return result

    def _worked(self) -> None:
        self._failed_at = None
        self._outage.ended()

    def _failed(self, error: SpoolError, line: str = log_lines.SPOOL_FAILED) -> None:
        self._failed_at = self._clock.seconds()
        self._counters.retries["spool"] += 1
        self._outage.failed(line, str(error))

    def _tell_progress(self) -> None:
        now = self._clock.seconds()
        if not self.devices:
            self._log.info(log_lines.SPOOL_EMPTIED, devices=self._emptied, **self._where)
            self._emptied = self._emptied_told = 0
        elif self._emptied > self._emptied_told and now - self._progress_told >= PROGRESS_INTERVAL:
            self._progress_told, self._emptied_told = now, self._emptied
            self._log.info(log_lines.SPOOL_PROGRESS, written=self._emptied, left=self.devices)
