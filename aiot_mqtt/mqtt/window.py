"""How many PUBLISH packets the broker sends before it waits for an acknowledgement, as far as that can be told.

MQTT 5 lets us ask (Receive Maximum), and a broker may do with less without a word, as RabbitMQ does; MQTT 3.1.1 knows
no such number. So the broker is watched as well: one that has room and does not use it has nothing more for us.
"""

from __future__ import annotations

from collections import deque

from twisted.logger import Logger

from ..telemetry import log_lines

WINDOW_OF_311 = 20  # Mosquitto's max_inflight_messages
# s beyond a round trip after which a broker that has room, and does not use it, has nothing to send.
PROMPT = 0.005
PATIENCE = 1.0  # s in which the broker never had nothing to send before it counts as holding back
# Times that the broker must have stopped at one number, and gone on at once, before that is its window; each time that
# it was otherwise counts as two fewer. By chance, as in a load that is steady, that is never reached.
TIMES = 30


class Window:
    """The window of one connection. Packet identifiers of an older one use up none of it."""

    def __init__(self, wanted: int | None) -> None:
        """:param wanted: what the broker was asked for; None where that cannot be."""
        self._wanted = wanted
        self.unacknowledged = 0
        """PUBLISH packets of this connection that were not acknowledged yet."""
        self._widest = 0
        self._learned: int | None = None
        self._times = 0
        self._was_widest = False
        self._full_since: float | None = None
        self._changed_at = 0.0
        self._unanswered = 0
        self._asked_at: float | None = None
        self._round_trips: deque[float] = deque(maxlen=3)
        self._is_told = False

    @property
    def size(self) -> int:
        """PUBLISH packets that the broker sends before it waits, as far as we know."""
        if self._learned is not None:
            return self._learned
        return max(WINDOW_OF_311, self._widest) if self._wanted is None else self._wanted

    @property
    def is_learned(self) -> bool:
        """Whether the broker was seen to send no more than ``size``, which is less than it was asked for."""
        return self._learned is not None

    def tell(self, log: Logger, asked: int) -> None:
        """Tell, once, of a window that is less than what was asked for."""
        if self.is_learned and not self._is_told:
            self._is_told = True
            log.warn(log_lines.WINDOW_LESS, asked=asked, granted=self.size)

    def received(self, count: int, now: float) -> None:
        """The broker sent this many PUBLISH packets that it wants acknowledged."""
        if self._has_answered(now) and self.unacknowledged < self.size:
            self._full_since = None
        if self._was_widest:
            self._times = (
                max(0, self._times - 2) if self._has_answered(now) or not self._round_trips else self._times + 1
            )
            self._was_widest = False
            if self._times >= TIMES and self._widest < self.size:
                self._learned = self._widest
        self.unacknowledged += count
        self._changed_at = now
        if self.unacknowledged > self._widest:
            self._widest, self._times = self.unacknowledged, 0
            if self._learned is not None and self._learned < self._widest:
                self._learned = None
        if self.unacknowledged >= self.size and self._full_since is None:
            self._full_since = now

    def acknowledged(self, count: int, now: float) -> None:
        """This many PUBLISH packets were acknowledged."""
        if not self._was_widest:
            self._was_widest = self.unacknowledged == self._widest
            if not self._was_widest:
                self._times = max(0, self._times - 2)
        self.unacknowledged -= count
        self._changed_at = now

    def is_holding_back(self, now: float) -> bool:
        """Whether the broker has, or may have, messages for us that it keeps until some are acknowledged, and has had
        for a while: the window was full, and there was no moment since in which nothing came though there was room.
        """
        if self._full_since is None or now - self._full_since < PATIENCE:
            return False
        return self.unacknowledged >= self.size or not self._has_answered(now)

    def _has_answered(self, now: float) -> bool:
        """Whether all that the broker had to say to the last acknowledgement must be here."""
        return bool(self._round_trips) and now - self._changed_at > max(self._round_trips) + PROMPT

    def asked(self, now: float) -> None:
        """Something was sent that the broker answers, PINGREQ or SUBSCRIBE."""
        self._asked_at = None if self._unanswered else now  # of two, nobody can tell whose answer comes
        self._unanswered += 1

    def answered(self, now: float) -> None:
        """The broker answered what was ``asked``, which tells how long that takes."""
        self._unanswered = max(0, self._unanswered - 1)
        if self._asked_at is not None:
            self._round_trips.append(now - self._asked_at)
            self._asked_at = None
