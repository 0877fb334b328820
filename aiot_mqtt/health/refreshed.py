"""The last known value of what takes a while to find out: asked for when somebody wants it, and not too often."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

SHARE = 0.01  # of the time that may be spent on asking
QUICK_SHARE = 0.001  # of the time, below which it may be asked more often than usual
MOST_DOUBLINGS = 20  # of the pause after what failed; SHARE limits it long before


class Refreshed(Generic[T]):
    """Never waits: who wants the value gets the last one, and the next one will be newer."""

    _log = Logger()

    def __init__(
        self,
        ask: Callable[[], Deferred[T]],
        first: T,
        interval: float,
        clock: IReactorTime,
        *,
        quick_interval: float = inf,
    ) -> None:
        """
        :param first: the value as long as there is none.
        :param interval: seconds between two questions; where one takes long there are fewer.
        :param quick_interval: seconds where one takes no time to speak of.
        """
        self._ask = ask
        self._value = first
        self._interval = interval
        self._quick_interval = min(quick_interval, interval)
        self._clock = clock
        self._is_asking = False
        self._failures = 0  # in a row
        self._due_at = 0.0
        self._known_at = float("-inf")

    @property
    def last(self) -> T:
        """The last one that was found out; nothing is asked because of it."""
        return self._value

    @property
    def age(self) -> float:
        """Seconds since it was found out; infinite before that."""
        return self._clock.seconds() - self._known_at

    def value(self) -> T:
        """The last one that was found out."""
        now = self._clock.seconds()
        if not self._is_asking and now >= self._due_at:
            self._is_asking = True
            asked = self._ask()
            asked.addCallbacks(self._answered, self._not_found_out)
            asked.addBoth(self._ended, now)
        return self._value

    def _answered(self, value: T) -> None:
        self._value, self._known_at = value, self._clock.seconds()
        self._failures = 0

    def _not_found_out(self, failure: Failure) -> None:
        self._log.debug("not found out: {why}", why=failure.getErrorMessage())
        self._failures += 1

    def _ended(self, _result: object, began: float) -> None:
        now = self._clock.seconds()
        self._is_asking = False
        took = now - began
        interval = min(self._interval, max(self._quick_interval, took / QUICK_SHARE))
        pause = max(interval, took / SHARE)
        if self._failures:  # one bad moment says little of what it takes usually
            pause = min(pause, self._interval * 2 ** min(self._failures - 1, MOST_DOUBLINGS))
        self._due_at = now + pause
