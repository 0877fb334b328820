"""How many PUBLISH packets may be unacknowledged, as the writer sees it: the broker sends more when some are."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

MAX_UNACKNOWLEDGED = 65535  # PUBLISH packets on one connection: there are no more packet identifiers
MAX_FILL_TIME = 0.002  # s that a broker gets to use up a small window again
SMALL_WINDOW = 1000  # PUBLISH packets: a window that is used up by less is filled again before it is written


class FlowControl(Protocol):
    """Who knows how much the broker sends, and can have it send no more."""

    @property
    def window(self) -> int:
        """PUBLISH packets that may be unacknowledged at one time."""
        ...

    def pause_reading(self) -> None:
        """Read nothing more until something is acknowledged."""
        ...


class WindowUse:
    """What follows from how much of the window is used up."""

    def __init__(self, flow_control: FlowControl, clock: IReactorTime) -> None:
        self._flow_control = flow_control
        self._clock = clock
        self._filled: Deferred[None] | None = None

    def check(self, unacknowledged: int, pending: int) -> None:
        """Something may have come.

        :param pending: how many of the unacknowledged are pending, and so of the connection that there is.
        """
        # With none of this connection pending, nothing would have it read again.
        if unacknowledged > MAX_UNACKNOWLEDGED and pending:
            self._flow_control.pause_reading()
        if self._filled is not None and self.is_full(unacknowledged):
            self._filled.callback(None)

    def is_full(self, unacknowledged: int) -> bool:
        """Whether the broker sends nothing more before some are acknowledged."""
        return unacknowledged >= self._flow_control.window

    def is_worth_filling(self, unacknowledged: int) -> bool:
        """Whether the broker has room to send more, and so little that one batch takes all of it."""
        return unacknowledged < self._flow_control.window < SMALL_WINDOW

    async def filled(self) -> None:
        """Wait until the broker has used its window up again, or for a moment.

        Without it a small window splits into two halves that take turns, and each commit writes half of what it could.
        """
        filled = self._filled = Deferred()
        timeout = self._clock.callLater(MAX_FILL_TIME, filled.callback, None)
        try:
            await filled
        finally:
            self._filled = None
            if timeout.active():
                timeout.cancel()
