"""How an outage is told: one ERROR when it starts, reminders while it lasts, ever fewer, one INFO when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .durations import duration

REMINDERS = (60.0, 120.0, 300.0)  # s after the beginning
REMINDER_INTERVAL = 600.0  # s between those that come later, the first of them after as long


@dataclass(frozen=True, slots=True)
class Trouble:
    """An outage that lasts."""

    reason: str
    """In words; often the server's own."""
    seconds: float
    """Since it began."""
    next_in: float | None = None
    """Seconds until the next attempt; None: one is under way, or nobody said."""


class Outage:
    """Tells the operator about a dependency that is away, in few lines."""

    def __init__(self, log: Logger, clock: IReactorTime, still_down: str, back: str) -> None:
        """
        :param still_down: format of the reminder; gets ``lasts``, how long in words, and whatever ``failed`` was given.
        :param back: format of the line that ends it; gets ``lasts``.
        """
        self._log = log
        self._clock = clock
        self._still_down = still_down
        self._back = back
        self._since: float | None = None
        self._reminder_due = 0.0
        self._line = self._reason = ""
        self.next_at: float | None = None
        """When the next attempt is made, as whoever makes it says; None: it does not, or one is under way."""
        self.failures = 0
        """Attempts that failed since the process started."""

    @property
    def trouble(self) -> Trouble | None:
        """What lasts now, for the reason that was given last."""
        if self._since is None:
            return None
        now = self._clock.seconds()
        return Trouble(self._reason, now - self._since, None if self.next_at is None else max(0.0, self.next_at - now))

    @property
    def is_on(self) -> bool:
        """Whether the last attempt failed."""
        return self._since is not None

    def failed(self, line: str, reason: str, *, still_down: str | None = None, **fields: Any) -> None:
        """Another attempt failed.

        :param line: format of the ERROR that starts the outage. Another one is news and told at once; another reason
            on the same line waits for the reminder, because a server that dies gives two or three in a second.
        :param still_down: the reminder for this line, in place of the usual one.
        """
        now = self._clock.seconds()
        self.failures += 1
        is_new = self._since is None or line != self._line
        self._reason = reason
        if self._since is None:
            self._since = self._reminder_due = now
        if is_new:
            self._log.error(line, reason=reason, **fields)
        elif now >= self._reminder_due:
            self._log.error(still_down or self._still_down, **{**fields, "reason": reason, **self._lasts(now)})
        else:
            return
        self._line = line
        self._reminder_due = self._since + next_reminder(now - self._since)

    def ended(self) -> None:
        """It works, whether it did before or not."""
        if self._since is not None:
            self._log.info(self._back, **self._lasts(self._clock.seconds()))
            self._since = None
            self._line = ""

    def _lasts(self, now: float) -> dict[str, Any]:
        seconds = now - (now if self._since is None else self._since)
        return {"lasts": duration(seconds), "seconds": round(seconds)}


def next_reminder(seconds: float) -> float:
    """When an outage that lasts for so many seconds is told of the next time, in seconds since it began."""
    later = (int(seconds / REMINDER_INTERVAL) + 1) * REMINDER_INTERVAL
    return next((moment for moment in REMINDERS if moment > seconds), later)
