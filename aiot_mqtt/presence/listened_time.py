"""A clock that runs only while this service listens, so that its own absence is never held against a device."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

CLOCK_STEP = 2.0  # s that the wall clock may move against the monotonic one between two observations
# s between two observations that may count as listened. In a longer time the process itself stood still, as under
# SIGSTOP or on a paused machine, and nobody listened.
MAX_PASSED = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks, in seconds: the one that is never set, and the one that the table's times are from."""

    monotonic: float
    wall: float


@dataclass(slots=True)
class _Stretch:
    """Uninterrupted listening."""

    end: Moment
    length: float = 0.0


class ListenedTime:
    """Remembers when the last seconds of listening were.

    Pure: told of time, never asks for it. Memory: a few floats for each interruption within the history.
    """

    def __init__(self, history: float) -> None:
        """:param history: seconds of listened time to remember."""
        self._history = history
        self._stretches: deque[_Stretch] = deque()  # oldest first
        self._total = 0.0
        self._last: tuple[Moment, bool] | None = None
        self.beginnings = 0
        """How often the history began anew."""

    def observe(self, monotonic: float, wall: float, listening: bool, doubtful: float = 0.0) -> None:
        """Note the state at one moment.

        The time since the last observation counts as listened where it was so both then and now: rather too little
        than too much.

        :param monotonic: seconds of a clock that is never set.
        :param wall: seconds since the epoch.
        :param doubtful: seconds before the end of listening that do not count after all.
        """
        now = Moment(monotonic, wall)
        last, self._last = self._last, (now, listening)
        if last is None:
            return
        before, was_listening = last
        passed = monotonic - before.monotonic
        if self._is_step(before, now):
            self.forget()  # times in the table from before a step cannot be compared with times after it
        elif listening and was_listening and passed <= MAX_PASSED:
            self._extend(passed, now)
        elif self._stretches and self._stretches[-1].length:
            if was_listening and doubtful:
                self._take_back(before.monotonic - (monotonic - doubtful))
            self._stretches.append(_Stretch(now))  # the next stretch does not touch the last one

    def is_stepped(self, monotonic: float, wall: float) -> bool:
        """Whether the wall clock was set since the last observation."""
        return self._last is not None and self._is_step(self._last[0], Moment(monotonic, wall))

    def forget(self) -> None:
        """Start the history anew: nothing before now counts."""
        self.beginnings += 1
        self._stretches.clear()
        self._total = 0.0

    def cutoff(self, timeout: float) -> Moment | None:
        """The moment at which ``timeout`` seconds of listened time were still to come until now.

        A device last heard before it was silent all that time. None while the history is shorter.
        """
        if self._total < timeout:
            return None
        for stretch in reversed(self._stretches):
            if timeout <= stretch.length:
                return Moment(stretch.end.monotonic - timeout, stretch.end.wall - timeout)
            timeout -= stretch.length
        return None

    def listened_since(self, monotonic: float) -> float:
        """Seconds of listened time since a moment, as far as they are remembered."""
        ends = [(stretch.end.monotonic, stretch.length) for stretch in self._stretches]
        return sum(max(0.0, end - max(end - length, monotonic)) for end, length in ends)

    @staticmethod
    def _is_step(before: Moment, now: Moment) -> bool:
        return abs((now.wall - before.wall) - (now.monotonic - before.monotonic)) > CLOCK_STEP

    def _take_back(self, seconds: float) -> None:
        newest = self._stretches[-1]
        taken = min(max(0.0, seconds), newest.length)
        newest.end = Moment(newest.end.monotonic - taken, newest.end.wall - taken)
        newest.length -= taken
        self._total -= taken

    def _extend(self, passed: float, now: Moment) -> None:
        if not self._stretches:
            self._stretches.append(_Stretch(now))
        newest = self._stretches[-1]
        newest.end = now
        newest.length += passed
        self._total += passed
        while self._stretches and self._total - self._stretches[0].length >= self._history:
            self._total -= self._stretches.popleft().length
