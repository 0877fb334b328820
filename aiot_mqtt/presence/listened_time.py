"""A clock that runs only while this service listens, so that its own absence is never held against a device."""

from __future__ import annotations

from collections import deque

CLOCK_STEP = 2.0  # s that the wall clock may move against the monotonic one between two observations
# s between two observations that may count as listened. In a longer time the process itself stood still, as under
# SIGSTOP or on a paused machine, and nobody listened.
MOST_PASSED = 5.0


class ListenedTime:
    """Remembers when, by the wall clock, the last seconds of listening were.

    Pure: told of time, never asks for it. Memory: a few floats for each interruption within the history.
    """

    def __init__(self, history: float) -> None:
        """:param history: seconds of listened time to remember."""
        self._history = history
        # Stretches of uninterrupted listening, oldest first: wall time of the end, and length in seconds.
        self._stretches: deque[list[float]] = deque()
        self._total = 0.0
        self._last: tuple[float, float, bool] | None = None

    @property
    def seconds(self) -> float:
        """Listened time that is remembered."""
        return self._total

    def observe(self, monotonic: float, wall: float, listening: bool) -> None:
        """Note the state at one moment.

        The time since the last observation counts as listened where it was so both then and now: rather too little
        than too much.

        :param monotonic: seconds of a clock that is never set.
        :param wall: seconds since the epoch.
        """
        last, self._last = self._last, (monotonic, wall, listening)
        if last is None:
            return
        last_monotonic, last_wall, was_listening = last
        passed = monotonic - last_monotonic
        if abs(wall - last_wall - passed) > CLOCK_STEP:
            self.forget()  # times in the table from before a step cannot be compared with times after it
        elif listening and was_listening and passed <= MOST_PASSED:
            self._extend(passed, wall)
        elif self._stretches and self._stretches[-1][1]:
            self._stretches.append([wall, 0.0])  # the next stretch does not touch the last one

    def forget(self) -> None:
        """Start the history anew."""
        self._stretches.clear()
        self._total = 0.0

    def cutoff(self, timeout: float) -> float | None:
        """The wall time at which ``timeout`` seconds of listened time were still to come until now.

        A device last heard before it was silent all that time. None while the history is shorter.
        """
        if self._total < timeout:
            return None
        for end, length in reversed(self._stretches):
            if timeout <= length:
                return end - timeout
            timeout -= length
        return None

    def _extend(self, passed: float, wall: float) -> None:
        if not self._stretches:
            self._stretches.append([wall, 0.0])
        newest = self._stretches[-1]
        newest[0] = wall
        newest[1] += passed
        self._total += passed
        while self._stretches and self._total - self._stretches[0][1] >= self._history:
            self._total -= self._stretches.popleft()[1]
