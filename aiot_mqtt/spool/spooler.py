"""The spool as the reactor sees it: its calls run in a thread, one at a time; what is in it is counted, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..devices.update import DeviceUpdate, UuidKey
from ..telemetry import log_lines, reasons
from ..telemetry.counters import Counters
from ..telemetry.outage import Outage, Trouble
from ..telemetry.refusals import Refusals
from .chunk import Chunk
from .contents import Held, Looked
from .disk import SpoolError, SpoolInUse
from .file import SpoolFile
from .space import Space, space
from .spool import Spool

T = TypeVar("T")

PROGRESS_INTERVAL = 10.0  # s
MAX_ANSWER_TIME = 10.0  # s that the disk may take for one call before that is told

RunInThread = Callable[..., Deferred[Any]]
"""Calls a function with arguments in a thread, one call after the other; fires with what it returns or raises."""


class Spooler:
    """What the writer does with the spool; what is on disk counts as pending until it is in the table.

    Every method raises ``SpoolError`` where the disk fails it, full or gone, which was told then; ``look`` comes next.
    What was to be saved stays in memory meanwhile, unacknowledged (``writing.saver``).
    """

    _log = Logger()

    def __init__(
        self, spool: Spool, run_in_thread: RunInThread, counters: Counters, refusals: Refusals, clock: IReactorTime
    ) -> None:
        self._spool = spool
        self._run_in_thread = run_in_thread
        self._counters = counters
        self._refusals = refusals
        self._clock = clock
        self._turn = DeferredLock()
        self._where = {"path": str(spool.path)}
        # A full disk can be looked at, and one that cannot be looked at takes nothing: two outages, or they would end
        # each other.
        self._keeping, self._looking = (
            Outage(self._log, clock, log_lines.SPOOL_STILL_FAILING, log_lines.SPOOL_WORKS_AGAIN) for _ in range(2)
        )
        self._cannot_keep: str | None = None
        self._told_foreign: list[tuple[str, str]] = []
        self._written = 0  # devices since it was last empty
        self._written_told = 0
        self._progress_told = 0.0
        self._passing_over: Callable[[], None] | None = None  # counts it
        self._held = Held()
        self.is_empty = True
        """Whether there is no file, as far as this process knows."""

    @property
    def devices(self) -> int:
        """Devices whose state is on disk and not in the table."""
        return self._held.devices

    @property
    def trouble(self) -> Trouble | None:
        """Why the disk takes nothing now, or cannot be looked at."""
        return self._keeping.trouble or self._looking.trouble

    @property
    def deliveries(self) -> int:
        """Deliveries on disk that are not in the table."""
        return self._held.deliveries

    async def look(self, *, is_late: bool) -> Looked:
        """Find out what is on disk, and count what was found there or is gone.

        :param is_late: see ``Spool.look``.
        :raises SpoolInUse: another process has it.
        """
        looked: Looked = await self._call(partial(self._spool.look, is_late=is_late), line=log_lines.SPOOL_AWAITED)
        self._counters.recovered += looked.found.deliveries
        self._counters.superseded += looked.superseded
        if looked.passed_over is not None and self._passing_over is not None:
            self._passing_over()
        self._passing_over = None
        self._tell(looked)
        return looked

    async def has_changed(self) -> bool:
        """Whether files came or went behind our back."""
        return bool(await self._call(self._spool.is_changed))

    async def save(self, updates: Sequence[DeviceUpdate]) -> None:
        """Put updates on disk; when this returns, they are.

        :raises SpoolError: nobody knows whether they are; ``Looked.is_saved`` will tell.
        """
        was_empty = self.is_empty
        superseded: int = await self._call(self._spool.save, updates, outage=self._keeping)
        self._counters.superseded += superseded  # not in one line: what stands left of an await is read before it
        if was_empty:
            self._log.info(log_lines.SPOOLING, **self._where)

    async def read(self, max_devices: int, max_bytes: int, key: UuidKey) -> Chunk | None:
        """The next updates to be written, the oldest first; see ``Spool.read``."""
        chunk: Chunk | None = await self._call(self._spool.read, max_devices, max_bytes, key)
        return chunk

    async def with_emptied(self, work: Callable[[SpoolFile], T], key: UuidKey) -> T | None:
        """Do something in the thread with the file that is emptied; see ``Spool.with_emptied``."""
        result: T | None = await self._call(self._spool.with_emptied, work, key)
        return result

    async def written(self, chunk: Chunk, count: Callable[[], None]) -> None:
        """A chunk is in the table, or refused by it; a file that was written whole is deleted.

        :param count: counts what became of its deliveries, in the moment in which they are no longer the spool's. Not
            called where they were lost from disk meanwhile, and so counted already.
        """
        if not chunk.file.is_open:
            return

        counted = partial(self._let_go, chunk, chunk.held.devices, count)
        await self._call(self._spool.written, chunk, line=log_lines.SPOOL_STUCK, then=counted)
        self._tell_progress()

    async def pass_over(self, chunk: Chunk, updates: Sequence[DeviceUpdate], count: Callable[[], None]) -> None:
        """A chunk is written but for these updates of it: keep them behind what came since. :param count: as above.

        :raises SpoolError: nobody knows whether they are kept there, too.
        """
        if not chunk.file.is_open:
            return

        counted = partial(self._let_go, chunk, chunk.held.devices - len(updates), count)

        def counted_if_let_go() -> None:
            if not chunk.is_next:
                self._passing_over = None
                counted()

        self._passing_over = counted
        superseded: int = await self._call(
            self._spool.save, updates, chunk, outage=self._keeping, then=counted_if_let_go
        )
        self._counters.superseded += superseded
        self._tell_progress()

    def _let_go(self, chunk: Chunk, written: int, count: Callable[[], None]) -> None:
        """A chunk is no longer on disk. :param written: how many devices of it are in the table."""
        self._counters.superseded += chunk.held.deliveries - sum(update.deliveries for update in chunk.updates)
        self._written += written
        count()

    def space(self) -> Deferred[Space]:
        """How much room there is, behind whatever the thread is at."""

        def looked() -> Space:
            files = self._spool.files
            return space(self._spool.path, files[-1].path if files else None)

        return self._run_in_thread(looked)

    def find(self, key: str) -> Deferred[tuple[str, int] | None]:
        """``last_seen`` and the kinds of what waits on disk of one device, behind whatever the thread is at.

        :raises Exception: the disk does not say.
        """

        def found() -> tuple[str, int] | None:
            waiting = [file.find(key) for file in self._spool.files]
            return max((each for each in waiting if each is not None), default=None)

        return self._run_in_thread(found)

    def close(self) -> Deferred[None]:
        """Close the files, behind whatever the thread is at; what they hold is found by the next ``look``."""
        return self._run_in_thread(self._spool.close)

    async def _call(
        self,
        call: Callable[..., Any],
        *arguments: object,
        line: str = log_lines.SPOOL_FAILED,
        outage: Outage | None = None,
        then: Callable[[], None] | None = None,
    ) -> Any:
        outage = outage or self._looking
        await self._turn.acquire()
        slow = self._clock.callLater(MAX_ANSWER_TIME, self._tell_slow)
        try:
            result, error, cannot_keep = await self._answer(self._run_in_thread(self._run, call, arguments), then)
        finally:
            if slow.active():
                slow.cancel()
            self._turn.release()
        if error is not None:
            self._counters.retries["spool"] += 1
            in_use = isinstance(error, SpoolInUse)
            outage.failed(log_lines.SPOOL_IN_USE if in_use else line, str(error))
            raise error
        outage.ended()
        if cannot_keep is not None:
            self._keeping.failed(log_lines.SPOOL_FAILED, cannot_keep)
        elif self._cannot_keep is not None:
            self._keeping.ended()
        self._cannot_keep = cannot_keep
        return result

    def _answer(
        self, running: Deferred[Any], then: Callable[[], None] | None
    ) -> Deferred[tuple[Any, SpoolError | None, str | None]]:
        """What a call in the thread came to. What is to be done ``then`` is done even if nobody waits any more."""

        def answered(
            answer: tuple[Any, SpoolError | None, str | None, Held, bool],
        ) -> tuple[Any, SpoolError | None, str | None]:
            result, error, cannot_keep, self._held, self.is_empty = answer
            if then is not None:
                then()
            return result, error, cannot_keep

        running.addCallback(answered)
        if then is None:
            return running
        waiting: Deferred[tuple[Any, SpoolError | None, str | None]] = Deferred()
        running.addBoth(lambda answer: None if waiting.called else waiting.callback(answer))
        return waiting

    def _run(
        self, call: Callable[..., Any], arguments: Sequence[object]
    ) -> tuple[Any, SpoolError | None, str | None, Held, bool]:
        """In the thread: a call, and how the spool is after it, whether it failed or not."""
        result = error = None
        try:
            result = call(*arguments)
        except SpoolError as raised:
            error = raised
        return result, error, self._spool.cannot_keep, self._spool.held, self._spool.is_empty

    def _tell(self, looked: Looked) -> None:
        for path, aside, reason in looked.set_aside:
            self._log.error(log_lines.SPOOL_DAMAGED, path=str(path), aside=str(aside), reason=reason)
        foreign = [(str(path), reason) for path, reason in looked.foreign]
        for path_text, reason in foreign:
            if (path_text, reason) not in self._told_foreign:
                self._log.error(log_lines.SPOOL_FOREIGN, path=path_text, reason=reason)
        self._told_foreign = foreign
        self._refusals.lost_from_spool(self._where["path"], looked.lost.devices, looked.lost.deliveries)
        if looked.found.devices:
            self._log.info(log_lines.SPOOL_FOUND, devices=looked.found.devices, **self._where)

    def _tell_slow(self) -> None:
        self._looking.failed(
            log_lines.SPOOL_SLOW, reasons.NO_ANSWER_OF_DISK.fill(path=self._spool.path, seconds=round(MAX_ANSWER_TIME))
        )

    def _tell_progress(self) -> None:
        now = self._clock.seconds()
        if self.is_empty:
            self._log.info(log_lines.SPOOL_EMPTIED, devices=self._written, **self._where)
            self._written = self._written_told = 0
        elif self._written > self._written_told and now - self._progress_told >= PROGRESS_INTERVAL:
            self._progress_told, self._written_told = now, self._written
            self._log.info(log_lines.SPOOL_PROGRESS, written=self._written, left=self._held.devices)
