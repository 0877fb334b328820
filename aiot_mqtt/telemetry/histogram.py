"""A histogram that costs a bisection and two additions an observation."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts observations by the first bound that they do not exceed."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """:param bounds: ascending."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """By bound; the last one is for what exceeds all."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """There was one of this value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def total(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """How many did not exceed each bound, as Prometheus wants it."""
        total = 0
        buckets = []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets
