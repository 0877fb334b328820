"""Time that a seed moves: which of the calls that are due comes first, and how late."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import Random
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer


class SimulatedClock(Clock):
    """Makes one call at a time, any of those that are due."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.pauses = 0.0
        """How likely it is, before a call, that for a while nothing ran at all: a busy machine, SIGSTOP."""
        self.paused_at = -inf
        """When that was the last time."""

    def _sortCalls(self) -> None:
        """Nothing here needs an order."""

    def step(self) -> bool:
        """Make one call, after time has passed as it must; returns whether there was one."""
        calls: list[Any] = self.calls
        if not calls:
            return False
        times = [call.time + call.delayed_time for call in calls]
        earliest = min(times)
        if earliest > self.rightNow:
            self.rightNow = earliest
            if self.pauses and self._random.random() < self.pauses:
                self.rightNow += self._random.choice([0.01, 0.3, 3.0, 20.0])
                self.paused_at = self.rightNow
        now = self.rightNow
        due = [place for place, time in enumerate(times) if time <= now]
        call = calls.pop(due[int(self._random.random() * len(due))] if len(due) > 1 else due[0])
        call.called = 1
        call.func(*call.args, **call.kw)
        return True


@implementer(IReactorTime)
class ProcessClock:
    """The clock as one process sees it: when it is killed, nothing of it is called any more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[IDelayedCall] = []
        self._grave: Clock | None = None

    def seconds(self) -> float:
        """Seconds of a clock that is never set."""
        return self._clock.seconds()

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 the interface's name
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        """See ``IReactorTime``."""
        if self._grave is not None:
            return self._grave.callLater(delay, callable, *args, **kw)
        call = self._clock.callLater(delay, callable, *args, **kw)
        self._calls.append(call)
        if len(self._calls) > 40:
            self._calls = [call for call in self._calls if call.active()]
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """Those that are still to come."""
        return [call for call in self._calls if call.active()]

    def kill(self) -> None:
        """Make none of the calls that are still to come, and none that is asked for later.

        They are kept: a coroutine that is collected runs its finally clauses, which one that is killed does not.
        """
        self._grave = Clock()
        for call in self.getDelayedCalls():
            self._clock.calls.remove(call)  # type: ignore[arg-type]
