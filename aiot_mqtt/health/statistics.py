"""The figures in the log: each ``STATS_INTERVAL``, and once more when the service stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..telemetry import log_lines, reasons
from ..telemetry.bilingual import Bilingual, listed
from ..telemetry.counters import SECONDS, Counters
from ..telemetry.durations import duration
from ..writing.writer import Writer

MAX_REASONS = 3  # for which messages were refused, the most frequent ones

_log = Logger()


@dataclass(frozen=True, slots=True)
class Before:
    """What was counted at an earlier moment; nothing: at the start of the service."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """As ``Counters.as_dict`` gives them."""
    commits: Sequence[int] = (0,) * (len(SECONDS) + 1)
    """As ``Histogram.counts`` has them."""

    @classmethod
    def of(cls, counters: Counters) -> Before:
        """This moment."""
        return cls(counters.as_dict(), tuple(counters.commit_durations.counts))


def log_figures(
    counters: Counters, writer: Writer, seconds: float, before: Before | None = None, online: int | None = None
) -> None:
    """Write the line of this moment: a sentence about the time since another one, and behind it all that is counted
    since the start.

    :param before: that moment; None: when the service started. :param online: devices; None: not known.
    """
    before = before or Before()
    counts = counters.as_dict()
    figures = {**counts, "pending": writer.deliveries}
    since = {name: count - before.counts.get(name, 0) for name, count in counts.items()}
    commits = [now - then for now, then in zip(counters.commit_durations.counts, before.commits, strict=True)]
    text = sentence(
        since, seconds=seconds, pending=writer.deliveries, oldest=writer.oldest_age, commits=commits, online=online
    )
    _log.info(
        log_lines.STATISTICS, sentence=text, figures=" ".join(f"{name}={value}" for name, value in figures.items())
    )


def sentence(
    since: Mapping[str, int],
    *,
    seconds: float,
    pending: int,
    oldest: float,
    commits: Sequence[int] = (),
    online: int | None = None,
) -> Bilingual:
    """What came in so many seconds, what became of it, and what waits.

    :param since: by how much each counter grew. :param oldest: seconds that the oldest of what waits has waited.
    :param commits: how many took so long, by the bounds of ``SECONDS``. :param online: devices; None: not known.
    """
    refused = {name.removeprefix("refused_"): count for name, count in since.items() if name.startswith("refused_")}
    most = sorted(((count, name) for name, count in refused.items() if count), reverse=True)[:MAX_REASONS]
    named = [reasons.COUNTED.fill(name=reasons.REFUSED_FOR.get(name, name), count=f"{count:,}") for count, name in most]
    total = f"{sum(refused.values()):,}"
    parts = [
        reasons.STATISTICS.fill(
            lasts=duration(seconds),
            received=f"{since['received']:,}",
            rate=f"{since['received'] / max(seconds, 1.0):,.0f}",
            stored=f"{since['stored']:,}",
            refused=reasons.COUNT_OF.fill(count=total, names=listed(named)) if named else total,
            pending=f"{pending:,}",
            oldest=f"{oldest:.1f}",
        )
    ]
    if online is not None:
        parts.append(reasons.ONLINE.fill(count=f"{online:,}"))
    if any(commits):
        parts.append(_commits(commits))
    return listed(parts, between_chinese="，")


def _commits(counts: Sequence[int]) -> Bilingual:
    """What 99 of 100 commits did not exceed, as the histogram can tell it."""
    left = sum(counts) * 0.99
    for bound, count in zip(SECONDS, counts, strict=False):
        left -= count
        if left <= 0:
            return reasons.COMMITS_WITHIN.fill(bound=f"{bound * 1000:,.0f}")
    return reasons.COMMITS_OVER.fill(bound=f"{SECONDS[-1]:.0f}")


class Statistics(TimerService):
    """Writes the line, whether anything came or not: a line that is missing must mean that nobody writes it."""

    def __init__(
        self,
        counters: Counters,
        writer: Writer,
        interval: float,
        clock: IReactorTime,
        *,
        online: Callable[[], int | None] = lambda: None,
    ) -> None:
        """
        :param interval: seconds between two lines.
        :param online: how many devices are, as lately counted; None: not known.
        """
        super().__init__(interval, self._tell)
        self.clock = clock
        self._clock = clock
        self._counters = counters
        self._writer = writer
        self._online = online
        self._before = Before()
        self._told_at: float | None = None

    def _tell(self) -> None:
        now = self._clock.seconds()
        if self._told_at is not None:  # at the start there is nothing to tell
            log_figures(self._counters, self._writer, now - self._told_at, self._before, self._online())
        self._before, self._told_at = Before.of(self._counters), now
