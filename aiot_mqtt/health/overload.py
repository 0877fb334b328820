"""Whether the database takes less than what comes, for minutes and not because it was away; and why, most likely."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..spool.spooler import Spooler
from ..table.server_look import ServerLook
from ..telemetry import log_lines
from ..telemetry.bilingual import Bilingual
from ..telemetry.counters import Counters
from ..telemetry.durations import duration
from ..telemetry.reasons import database as reasons
from ..writing.saver import PATIENCE
from ..writing.writer import Writer

HALF = 60.0  # s; what waits in the mean is compared between one such time and the next
LESS = 0.97  # of what waited, from which on the database does catch up
FAR = 0.005  # s for an answer
SLOW_COMMIT = 0.05  # s, without the way there and back
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Overload:
    """The database takes less than what comes."""

    came: float
    """Messages a second, over the last minute."""
    taken: float
    """Rows a second, over the same."""
    cause: Bilingual
    """The likely one, as a part of a sentence."""


class _Look(NamedTuple):
    at: float
    received: int
    rows: float
    waiting: int


class OverloadWatch:
    """To be told each second that it may look."""

    _log = Logger()

    def __init__(
        self,
        writer: Writer,
        spooler: Spooler | None,
        counters: Counters,
        clock: IReactorTime,
        ask: Callable[[], Deferred[ServerLook]] | None,
    ) -> None:
        """:param ask: asks the server; None: there is none that could be asked."""
        self._writer = writer
        self._spooler = spooler
        self._counters = counters
        self._clock = clock
        self._ask = ask
        self._looks: deque[_Look] = deque()
        self._since = 0.0
        self._behind_at = 0.0
        self.current: Overload | None = None
        """None: the database takes what comes, as far as that can be told."""

    def look(self) -> None:
        """See the class."""
        now, looks = self._clock.seconds(), self._looks
        if self._writer.outage.trouble is not None:
            looks.clear()  # what waits says nothing now
            self._behind_at = now
            return
        waiting = 0 if self._spooler is None else self._spooler.devices
        if not waiting and self._writer.oldest_age < PATIENCE:
            looks.clear()
            if self.current is not None and now - self._behind_at >= HALF:
                self.current = None
                self._log.info(log_lines.DATABASE_KEEPS_UP, lasts=duration(self._behind_at - self._since))
            return
        self._behind_at = now
        waiting += self._writer.backlog.deliveries
        looks.append(_Look(now, self._counters.received, self._counters.batch_rows.sum, waiting))
        while looks[0].at < now - 2 * HALF:
            looks.popleft()
        if looks[0].at > now - 2 * HALF + 1:
            return
        before, after = ([each.waiting for each in looks if (each.at > now - HALF) is late] for late in (False, True))
        if self.current is not None or mean(after) >= LESS * mean(before):
            self._note(now)

    def _note(self, now: float) -> None:
        last = self._looks[-1]
        first = next(each for each in self._looks if each.at > now - HALF)
        passed = max(last.at - first.at, 1.0)
        came, taken = (last.received - first.received) / passed, (last.rows - first.rows) / passed
        if self.current is not None:
            self.current = replace(self.current, came=came, taken=taken)
            return
        self._since = self._looks[0].at
        self.current = Overload(came, taken, reasons.NOT_ASKED)
        if self._ask is None:
            self._tell(None)
        else:
            self._ask().addCallbacks(self._tell, lambda _failure: self._tell(None))

    def _tell(self, look: ServerLook | None) -> None:
        if self.current is not None:
            cause = likely_cause(look, self._writer.chunks.size.quickest)
            self.current = current = replace(self.current, cause=cause)
            figures = {"came": f"{current.came:,.0f}", "taken": f"{current.taken:,.0f}"}
            self._log.warn(log_lines.DATABASE_BEHIND, cause=cause, **figures)


def in_words(overload: Overload | None) -> Bilingual:
    """What is seen, as a part of a sentence."""
    if overload is None:
        return Bilingual("the database takes what comes", "数据库跟得上来量")
    came, taken = f"{overload.came:,.0f}", f"{overload.taken:,.0f}"
    return Bilingual(
        f"{came} messages/s come and the database takes {taken} rows/s: {overload.cause}",
        f"每秒收到 {came} 条消息，数据库只写入 {taken} 行：{overload.cause.chinese}",
    )


def likely_cause(look: ServerLook | None, commit: float | None) -> Bilingual:
    """Why a server is slow, by what it says. Pure.

    :param commit: seconds that a transaction takes by itself; None: not known.
    """
    if look is None:
        return reasons.NOT_ASKED
    if look.pool is not None and look.table is not None and look.table > look.pool:
        return reasons.POOL_SMALL.fill(pool=_megabytes(look.pool), table=_megabytes(look.table))
    if commit is not None and commit - 2 * look.round_trip > SLOW_COMMIT:
        return reasons.COMMITS_SLOW.fill(milliseconds=round(commit * 1000))
    if look.round_trip > FAR:
        return reasons.FAR_AWAY.fill(milliseconds=round(look.round_trip * 1000))
    return reasons.NOT_SEEN


def _megabytes(count: int) -> Any:
    return f"{count / MEGABYTE:,.0f}"
