"""The figures that come out of a benchmark, as values with what is wanted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .runs import Run


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, measured a few times."""

    number: str
    """The row of the table in docs/performance.md that tells what it means."""
    name: str
    values: tuple[float, ...]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    of_medians: float | None = None
    """Stands for the median, where that of a ratio's two sides are compared rather than the ratios of the rounds."""

    @property
    def median(self) -> float | None:
        """None where nothing could be measured."""
        return self.of_medians or (median(self.values) if self.values else None)

    @property
    def is_met(self) -> bool | None:
        """Whether the median is what was wanted; None where nothing was."""
        middle = self.median
        if self.at_least is None and self.at_most is None:
            return None
        if middle is None:
            return False
        return (self.at_least is None or middle >= self.at_least) and (self.at_most is None or middle <= self.at_most)


@dataclass(slots=True)
class Outcome:
    """What one item of the benchmark found."""

    figures: list[Figure] = field(default_factory=list)
    rounds: list[dict[str, Run]] = field(default_factory=list)
    """What was run in each round; a run that failed is missing."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Whatever else is worth keeping, fit for JSON."""
    failures: list[str] = field(default_factory=list)
    """Runs that have no figure, and why."""


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all is not above.

    :raises ValueError: there are none.
    """
    if not values:
        raise ValueError("no values")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def ratios(outcome: Outcome, numerator: str, denominator: str, name: str) -> tuple[float, ...]:
    """Of a property of two runs of one round, for each round that has both."""
    both = [done for done in outcome.rounds if numerator in done and denominator in done]
    return tuple(getattr(done[numerator], name) / getattr(done[denominator], name) for done in both)


def ratio_of_medians(outcome: Outcome, numerator: str, denominator: str, name: str) -> float | None:
    """Of a property of all runs of one and all of the other; None where there are none."""
    above, below = (
        [getattr(done[subject], name) for done in outcome.rounds if subject in done]
        for subject in (numerator, denominator)
    )
    return median(above) / median(below) if above and below else None


def by_name(rounds: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each name in all rounds; 0 in one that has none."""
    names = sorted({name for each in rounds for name in each})
    return {name: [each.get(name, 0.0) for each in rounds] for name in names}
