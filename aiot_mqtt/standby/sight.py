"""What an instance has seen on the status topic, and whether it may take the session. Pure: time is an argument.

Silence of the other one proves nothing as long as nobody knows whether the broker would have passed on what it says. So
each instance says something itself, on the connection that it looks on by, and silence counts up to the moment in which
the last of that was sent which came back: a broker passes messages of one topic on in the order in which it took them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .beat import Beat, Kind

BEAT_INTERVAL = 0.5  # s between two messages of an instance
PATIENCE = 3.0  # s without a word of the active one after which another one takes over
# s after its own connection broke in which an instance leaves the session to one that waits: the broker has told that
# one of it, and two that dial at once take the session from each other.
COURTESY = 1.5
FRESH = 2.0  # s that the sending of what came back last may be ago
STANDBY_SEEN = 5.0  # s without a word after which one that waits is not told of any more


class Why(Enum):
    """Why an instance takes the session."""

    NOBODY = "nobody"
    """Nobody is heard, nor was."""
    SILENT = "silent"
    """The active one is not heard any more."""
    GONE = "gone"
    """The broker says that the active one's connection broke."""
    RELEASED = "released"
    """The active one has ended in order."""
    OWN = "own"
    """It had it itself, and nobody else has taken it."""


@dataclass(slots=True)
class Other:
    """Another instance that has the session, or had it last."""

    name: str
    run: str
    at: float
    """When it was heard last."""
    left: Kind | None = None
    """How it has left, where it has."""


class Sight:
    """What one instance sees."""

    def __init__(self, run: str, jitter: float = 0.0) -> None:
        """
        :param run: its own.
        :param jitter: seconds of patience more where nobody is heard, so that of two that start at once one is first.
        """
        self._run = run
        self._jitter = jitter
        self.other: Other | None = None
        """Who else has the session, or had it after us."""
        self._since: float | None = None  # when we began to look on, on the connection that there is
        self._sent: dict[int, float] = {}  # when which of our own messages was sent, those that are under way
        self._confirmed: float | None = None
        self._had_until: float | None = None
        self._is_ours = False
        self._standbys: dict[str, tuple[str, float]] = {}
        self._standby_at = float("-inf")

    def looks(self, now: float) -> None:
        """We look on from now on, on a new connection; what was under way is lost."""
        self._since, self._confirmed = now, None
        self._sent.clear()
        if self.other is not None and self.other.left is None:
            self.other.at = now  # it was not to be heard

    def blind(self) -> None:
        """The connection is gone."""
        self._since = self._confirmed = None
        self._sent.clear()

    def sent(self, number: int, now: float) -> None:
        """One of our own messages is under way."""
        self._sent[number] = now
        while len(self._sent) > 100:
            del self._sent[next(iter(self._sent))]

    def held(self, now: float) -> None:
        """We have the session: whoever had it before has it no more."""
        self.other, self._had_until, self._is_ours = None, now, True

    def lost(self, now: float) -> None:
        """Our connection to the session is gone."""
        self._had_until, self._is_ours = now, False

    def seen(self, beat: Beat, now: float, *, retained: bool) -> None:
        """Something came. :param retained: it may have been said long ago."""
        if beat.run == self._run:
            if beat.kind is Kind.STANDBY and not retained and (at := self._sent.pop(beat.number, None)) is not None:
                self._confirmed = at
                for number in [number for number in self._sent if number < beat.number]:
                    del self._sent[number]
        elif beat.kind is Kind.STANDBY:
            if not retained and len(self._standbys) < 100:
                self._standbys[beat.run] = (beat.name, now)
                self._standby_at = now
        elif beat.kind is Kind.ACTIVE:
            self.other = Other(beat.name, beat.run, now)
        elif not self._is_ours and (self.other is None or self.other.run == beat.run):
            # The will of one whose session was taken may come behind the first word of who has taken it, us or another.
            self.other = Other(beat.name, beat.run, now, beat.kind)

    @property
    def is_confirmed(self) -> bool:
        """Whether anything that we said has come back on the connection that there is."""
        return self._confirmed is not None

    def had_within(self, seconds: float, now: float) -> bool:
        """Whether we had the session in these last seconds, and nobody else did."""
        return self.other is None and self._had_until is not None and now - self._had_until < seconds

    def standbys(self, now: float) -> list[str]:
        """Names of the others that wait."""
        self._standbys = {run: seen for run, seen in self._standbys.items() if now - seen[1] < STANDBY_SEEN}
        return sorted(name for name, _ in self._standbys.values())

    def alone_for(self, now: float, since: float) -> float:
        """Seconds in which no other one that waits was heard, but none before ``since``."""
        return now - max(since, self._standby_at)

    def may_claim(self, now: float) -> Why | None:
        """Why we may take the session now; None: we may not."""
        if self._since is None or self._confirmed is None or now - self._confirmed > FRESH:
            return None
        other = self.other
        if other is not None and other.left is not None:
            return Why.RELEASED if other.left is Kind.RELEASED else Why.GONE
        if other is not None:
            return Why.SILENT if self._confirmed - other.at >= PATIENCE else None
        if self._had_until is not None:
            return Why.OWN if self._confirmed - max(self._had_until, self._since) >= COURTESY else None
        return Why.NOBODY if self._confirmed - self._since >= PATIENCE + self._jitter else None
