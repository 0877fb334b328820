"""How long to wait before the broker is dialled again, and what is told where its sessions keep being short."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.backoff import backoff
from ..telemetry.printable import shorten
from .reason_codes import SESSION_TAKEN_OVER

# A session that ends sooner than this was no success: without counting it as a failure, two instances with one client
# identifier would take the session from each other at full speed.
SHORT_SESSION = 30.0  # s
# s before somebody is disturbed again who has the session, and so may have the right to it; each time twice as long.
RIVAL_DELAY, MAX_RIVAL_DELAY = 60.0, 600.0
SHORT_SESSIONS_UNTOLD = 2  # in a row; a broker that restarts gives one


def may_be_taken_over(disconnect_code: int | None) -> bool:
    """Whether the end of a connection looks as it does when another one under the same client id takes its place.

    MQTT 3.1.1 has no word for that, and Mosquitto 2.0 says none on MQTT 5 either.
    """
    return disconnect_code in (None, SESSION_TAKEN_OVER)


class ReconnectDelay:
    """Grows with failures in a row, and says so where sessions keep being short."""

    def __init__(self, log: Logger, jitter: Callable[[], float]) -> None:
        """:param jitter: seconds added to each delay."""
        self._log = log
        self.backoff = backoff(jitter)
        """Seconds, by how many attempts were made before."""
        self._failures = 0  # in a row
        self._short_sessions = 0  # in a row
        self._rivals = 0  # sessions that somebody else has taken, in a row

    def after_failure(self) -> float:
        """Seconds to wait after a fault of ours."""
        self._failures += 1
        return self.backoff(self._failures - 1)

    def after_refusal(self) -> float:
        """Seconds to wait after an attempt that brought no session."""
        self._short_sessions = 0
        return self.after_failure()

    def after_rival(self) -> float:
        """Seconds to wait after a session that somebody else has taken who had it before."""
        self._rivals += 1
        return min(MAX_RIVAL_DELAY, RIVAL_DELAY * 2.0 ** min(self._rivals - 1, 10)) + self.backoff(0)

    def after_session(self, seconds: float) -> float:
        """Seconds to wait after a session that lasted so long."""
        if seconds < SHORT_SESSION:
            self._short_sessions += 1
            return self.after_failure()
        self._rivals = 0
        self._short_sessions = self._failures = 0
        return self.backoff(0)

    def tell(self, client_id: str, is_at_subscribe: bool, disconnect_code: int | None, delay: float) -> None:
        """Tell of sessions that were short, where so many in a row were that somebody should know.

        :param is_at_subscribe: whether the last one ended before the broker had granted every topic.
        :param disconnect_code: the reason code of the broker's DISCONNECT, where that ended it.
        :param delay: seconds until the next attempt.
        """
        if self._short_sessions <= SHORT_SESSIONS_UNTOLD:
            return
        if is_at_subscribe and disconnect_code is None:
            line = log_lines.MQTT_CLOSED_AT_SUBSCRIBE
        elif may_be_taken_over(disconnect_code):
            line = log_lines.MQTT_SHORT_SESSIONS
        else:
            return  # it has said why
        self._log.warn(
            line,
            count=self._short_sessions,
            short=round(SHORT_SESSION),
            client_id=shorten(client_id),
            seconds=round(delay),
        )
