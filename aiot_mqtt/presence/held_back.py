"""Whether the broker holds messages back, as far as can be told from what was received and acknowledged."""

from __future__ import annotations

from collections.abc import Callable

from ..telemetry.counters import Counters
from ..writing.writer import Writer

LOOK_INTERVAL = 0.25  # s; a broker that has room in the window and more to send does so sooner


class HeldBack:
    """Watches the window of unacknowledged messages.

    One that was full is evidence of a backlog in the broker, unless there was a while since in which it had room and
    nothing came. So with a window of one message, which each message fills, silence can still be told from a backlog.
    """

    def __init__(self, writer: Writer, counters: Counters, window: Callable[[], int]) -> None:
        """:param window: how many messages may be unacknowledged at one time."""
        self._writer = writer
        self._counters = counters
        self._window = window
        self._widest = 0
        self._had_room = False
        self._last_look = (False, 0)

    def look(self) -> None:
        """Whether there is room, and nothing comes; to be called each ``LOOK_INTERVAL``."""
        look = (self._writer.unacknowledged < self._window(), self._counters.received)
        if look == self._last_look and look[0]:
            self._had_room = True
        self._last_look = look

    def is_likely(self) -> bool:
        """Whether the broker may have held messages back since this was last asked.

        MQTT 3.1.1 does not tell how wide its window is; the widest that was seen is the least that it can be.
        """
        peak, had_room = self._writer.take_peak(), self._had_room
        was_full = peak >= max(self._window(), self._widest)
        self._widest, self._had_room = max(self._widest, peak), False
        return was_full and not had_room
