"""All that the page shows of one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..health.figures import Figures
from ..health.history import History, Rate
from ..health.metrics import Beside
from ..health.state import Verdict, judge
from ..presence.flips import Flip, Flips
from ..telemetry.remembered import Knocks, Newest, Remembered

SHOWN_STRANGERS = 20


@dataclass(frozen=True)
class Moment:
    """Taken in one turn of the reactor."""

    figures: Figures
    verdict: Verdict
    beside: Beside
    short: Sequence[Rate]
    long: Sequence[Rate]
    clock: float
    """By the clock that is never set, which rates, knocks and refusals are told by."""
    strangers: Sequence[tuple[str, Knocks]] = ()
    flips: Sequence[Flip] = ()
    flips_noted: int = 0
    """How many there were; as long as it is the same, so are they."""
    refusals: Mapping[str, Newest] = field(default_factory=dict)

    @property
    def started_at(self) -> float:
        """Seconds since the epoch; the same at each moment."""
        return self.beside.past.started_at

    def time(self, at: float) -> float:
        """Seconds since the epoch of a time of the clock that is never set."""
        return self.figures.time - (self.clock - at)


def take(
    figures: Figures,
    beside: Beside,
    history: History,
    flips: Flips,
    remembered: Remembered,
    *,
    now: float,
) -> Moment:
    """All of this moment, copied where it would change. :param now: by the clock that is never set."""
    return Moment(
        figures,
        judge(figures),
        beside,
        tuple(history.short),
        tuple(history.long),
        now,
        remembered.newest_knocks(SHOWN_STRANGERS, now),
        tuple(flips.newest),
        flips.noted,
        dict(remembered.newest),
    )
