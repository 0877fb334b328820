"""How many messages came and were stored, second by second: ten minutes of that, and an hour in steps of ten seconds.

Looked at from the counters once a second, so nothing is added to the way of a message. Pure, and bounded: some 170 KB.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..telemetry.counters import Counters

STEP = 10  # s of one point of the long one
SHORT = 600  # points of one second
LONG = 360  # points of STEP seconds
GAP = 10.0  # s between two looks beyond which nobody knows what came when


class Rate(NamedTuple):
    """Messages a second, in one step of time."""

    at: int
    """The end of the step, in seconds of a clock that is never set."""
    received: float
    stored: float
    peak: float
    """The most that were received in one second of the step."""


class History:
    """The last hour of two counters."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._last: tuple[float, int, int] | None = None
        self.short: deque[Rate] = deque(maxlen=SHORT)
        """Each second; those in which nobody looked are not there."""
        self.long: deque[Rate] = deque(maxlen=LONG)
        """Each ten seconds, but for the one that has not ended."""
        self._step: list[Rate] = []

    def look(self, now: float) -> None:
        """To be called each second, and less often where the reactor was busy. :param now: monotonic."""
        received, stored = self._counters.received, self._counters.stored
        last, self._last = self._last, (now, received, stored)
        if last is None or not 0 < now - last[0] <= GAP:
            self._end_step()
            return
        seconds = now - last[0]
        came, kept = max(0.0, (received - last[1]) / seconds), max(0.0, (stored - last[2]) / seconds)
        for at in range(int(last[0]) + 1, int(now) + 1):
            self._note(Rate(at, came, kept, came))

    def _note(self, rate: Rate) -> None:
        if self._step and self._step[-1].at // STEP != rate.at // STEP:
            self._end_step()
        self.short.append(rate)
        self._step.append(rate)

    def _end_step(self) -> None:
        step, self._step = self._step, []
        if step:
            received, stored = (sum(each[column] for each in step) / len(step) for column in (1, 2))
            self.long.append(Rate(step[-1].at // STEP * STEP + STEP, received, stored, max(each.peak for each in step)))
