"""How an outage is told: one ERROR when it starts, one line a minute while it lasts, one INFO when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

REMINDER_INTERVAL = 60.0  # s


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
        :param still_down: format of the reminder; gets ``seconds`` and whatever ``failed`` was given.
        :param back: format of the line that ends it; gets ``seconds``.
        """
        self._log = log
        self._clock = clock
        self._still_down = still_down
        self._back = back
        self._since: float | None = None
        self._told = 0.0
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

    def failed(self, line: str, reason: str, **fields: Any) -> None:
        """Another attempt failed.

        :param line: format of the ERROR that starts the outage. Another one is news and told at once; another reason
            on the same line waits for the reminder, because a server that dies gives two or three in a second.
        """
        now = self._clock.seconds()
        self.failures += 1
        is_new = self._since is None or line != self._line
        self._reason = reason
        if self._since is None:
            self._since = now
        if is_new:
            self._log.error(line, reason=reason, **fields)
        elif now - self._told >= REMINDER_INTERVAL:
            self._log.error(self._still_down, reason=reason, seconds=round(now - self._since), **fields)
        else:
            return
        self._line = line
        self._told = now

    def ended(self) -> None:
        """It works, whether it did before or not."""
        if self._since is not None:
            self._log.info(self._back, seconds=round(self._clock.seconds() - self._since))
            self._since = None
            self._line = ""
