"""The greatest of what was seen lately."""

from __future__ import annotations

from collections import deque

PARTS = 10  # of the time: what is older than that goes in steps of this size


class Peak:
    """Keeps a few numbers, however many were seen."""

    def __init__(self, seconds: float) -> None:
        """:param seconds: how long something counts."""
        self._step = seconds / PARTS
        self._greatest: deque[tuple[int, float]] = deque()  # with the number of its step

    def note(self, value: float, now: float) -> None:
        """This was seen."""
        step = int(now / self._step)
        if self._greatest and self._greatest[-1][0] == step:
            value = max(value, self._greatest.pop()[1])
        self._greatest.append((step, value))
        self._forget(step)

    def value(self, now: float) -> float:
        """The greatest; 0 where nothing was seen."""
        self._forget(int(now / self._step))
        return max((value for _, value in self._greatest), default=0.0)

    def _forget(self, step: int) -> None:
        while self._greatest and self._greatest[0][0] <= step - PARTS:
            self._greatest.popleft()
