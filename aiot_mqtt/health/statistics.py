"""The figures in the log: each ``STATS_INTERVAL``, and once more when the service stops."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..telemetry import log_lines, reasons
from ..telemetry.bilingual import Bilingual, listed
from ..telemetry.counters import Counters
from ..telemetry.durations import duration
from ..writing.writer import Writer

MAX_REASONS = 3  # for which messages were refused, the most frequent ones

_log = Logger()


def log_figures(counters: Counters, writer: Writer, before: Mapping[str, int], seconds: float) -> None:
    """Write the line of this moment: a sentence about the time since another one, and behind it all that is counted
    since the start.

    :param before: the counters at that moment, as ``Counters.as_dict`` gives them; empty: when the service started.
    """
    counts = counters.as_dict()
    figures = {**counts, "pending": writer.deliveries}
    since = {name: count - before.get(name, 0) for name, count in counts.items()}
    text = sentence(since, seconds=seconds, pending=writer.deliveries, oldest=writer.oldest_age)
    _log.info(
        log_lines.STATISTICS, sentence=text, figures=" ".join(f"{name}={value}" for name, value in figures.items())
    )


def sentence(since: Mapping[str, int], *, seconds: float, pending: int, oldest: float) -> Bilingual:
    """What came in so many seconds, what became of it, and what waits.

    :param since: by how much each counter grew. :param oldest: seconds that the oldest of what waits has waited.
    """
    refused = {name.removeprefix("refused_"): count for name, count in since.items() if name.startswith("refused_")}
    most = sorted(((count, name) for name, count in refused.items() if count), reverse=True)[:MAX_REASONS]
    named = [reasons.COUNTED.fill(name=reasons.REFUSED_FOR.get(name, name), count=f"{count:,}") for count, name in most]
    total = f"{sum(refused.values()):,}"
    return reasons.STATISTICS.fill(
        lasts=duration(seconds),
        received=f"{since['received']:,}",
        rate=f"{since['received'] / max(seconds, 1.0):,.0f}",
        stored=f"{since['stored']:,}",
        refused=reasons.COUNT_OF.fill(count=total, names=listed(named)) if named else total,
        pending=f"{pending:,}",
        oldest=f"{oldest:.1f}",
    )


class Statistics(TimerService):
    """Writes the line, whether anything came or not: a line that is missing must mean that nobody writes it."""

    def __init__(self, counters: Counters, writer: Writer, interval: float, clock: IReactorTime) -> None:
        """
        :param interval: seconds between two lines.
        """
        super().__init__(interval, self._tell)
        self.clock = clock
        self._clock = clock
        self._counters = counters
        self._writer = writer
        self._before: Mapping[str, int] = {}
        self._told_at: float | None = None

    def _tell(self) -> None:
        now = self._clock.seconds()
        if self._told_at is not None:  # at the start there is nothing to tell
            log_figures(self._counters, self._writer, self._before, now - self._told_at)
        self._before, self._told_at = self._counters.as_dict(), now
