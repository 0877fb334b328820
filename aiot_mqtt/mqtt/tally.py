"""How connections to the broker began and ended, counted."""

from __future__ import annotations

from collections import Counter

from twisted.internet.error import ConnectError, DNSLookupError

from ..tls.refusal import TlsRefused
from .errors import ConnectionRefused, MqttError, Unanswered
from .reason_codes import SESSION_TAKEN_OVER
from .reconnect_delay import may_be_taken_over

FAILED_FOR = ("resolve", "connect", "tls", "refused", "unanswered", "closed", "taken_over")
"""Why there is no connection, or not any more. ``unanswered``: no answer to CONNECT; ``closed``: for whatever reason
that an open one ended, other than that another client took the session."""


class ConnectionTally:
    """Counts since the process started."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        """By the version of MQTT."""
        self.failures: Counter[str] = Counter()
        """By one of ``FAILED_FOR``."""
        self.taken_over = 0
        """Connections that ended as if somebody else had connected under our client id, with or without a word."""
        self.rivals = 0
        """Of these the ones where that is certain."""
        self.subscriptions_denied = 0
        """Topics that a SUBACK denied; one that is asked for again and again counts each time."""
        self.sessions_lost = 0
        """How often the broker had no session for us although there had been one."""

    def began(self, *, mqtt5: bool, is_session_lost: bool = False) -> None:
        """The broker has accepted a connection."""
        self.accepted["5" if mqtt5 else "3.1.1"] += 1
        self.sessions_lost += is_session_lost

    def failed(self, error: MqttError) -> None:
        """There was none."""
        self.failures[_reason(error)] += 1

    def ended(self, disconnect_code: int | None, *, by_rival: bool = False) -> None:
        """One has ended.

        :param disconnect_code: that of the broker's DISCONNECT. :param by_rival: somebody else has taken the session.
        """
        self.rivals += by_rival
        self.taken_over += may_be_taken_over(disconnect_code)
        self.failures["taken_over" if by_rival or disconnect_code == SESSION_TAKEN_OVER else "closed"] += 1


def _reason(error: MqttError) -> str:
    if isinstance(error, ConnectionRefused):
        return "refused"
    if isinstance(error, Unanswered):
        return "unanswered"
    cause = error.__cause__
    if isinstance(cause, TlsRefused):
        return "tls"
    if isinstance(cause, DNSLookupError):
        return "resolve"
    # What was not done in time has no cause.
    return "connect" if cause is None or isinstance(cause, ConnectError | OSError) else "closed"
