"""Whether the service makes progress: what a restart would mend, and nothing that it would not.

A broker, a database or a disk that is away or frozen is answered with attempts, each of which has a deadline, and that
is progress. What is none is a reactor that does not turn, a loop that has died, and a call that never comes back. Those
have no line and no state of their own, so they are known by what follows: there is something to do, and neither an
outcome nor an attempt that failed for far longer than any attempt may take.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

MAX_TURN = 10.0  # s that the reactor may be busy with one thing
# s in which an attempt must have ended, well or not. The longest delay between two is 30 s, and the longest that has a
# deadline takes 40 s; a look at a large spool on a slow disk has none.
MAX_ATTEMPT = 300.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the service at one moment."""

    name: str
    has_work: bool
    """Whether an attempt must be under way, or its time be set."""
    sign: Hashable
    """Another one after each attempt, whatever came of it."""
    max_time: float = MAX_ATTEMPT
    """Seconds in which the sign must change while there is work."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """A part that makes no progress."""

    name: str
    seconds: float
    """Since it last made some."""


class Progress:
    """Remembers when each part last made progress."""

    def __init__(self, now: float) -> None:
        self._turned_at = self._noted_at = now
        self._idle: dict[str, tuple[Hashable, float, float]] = {}

    def turned(self, now: float) -> None:
        """The reactor has turned."""
        self._turned_at = now

    def note(self, parts: Iterable[Part], now: float) -> None:
        """Look at the parts; to be called every few seconds.

        Time in which nobody could look, as in a process that was frozen, says nothing about them: between two looks,
        ``MAX_TURN`` at most is counted.
        """
        passed = min(now - self._noted_at, MAX_TURN)
        self._noted_at = now
        for part in parts:
            sign, seconds, _ = self._idle.get(part.name, (None, 0.0, 0.0))
            is_idle = part.has_work and part.sign == sign
            self._idle[part.name] = (part.sign, seconds + passed if is_idle else 0.0, part.max_time)

    def stalled(self, now: float) -> tuple[Stalled, ...]:
        """What makes none, the parts as they were seen last; empty where all do."""
        idle = {"reactor": (now - self._turned_at, MAX_TURN)}
        idle |= {name: (seconds, max_time) for name, (_, seconds, max_time) in self._idle.items()}
        return tuple(Stalled(name, seconds) for name, (seconds, limit) in idle.items() if seconds > limit)
