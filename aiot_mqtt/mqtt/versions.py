"""Which MQTT version the next CONNECT speaks: told of what happens and of time, never asks for it."""

from __future__ import annotations

from twisted.logger import Logger

from ..telemetry import log_lines
from .errors import ConnectionRefused, MqttError, Unanswered

UNANSWERED_BEFORE_A_GUESS = 2  # in a row; one may be a restart
FIRST_DOUBT = 45.0  # s
MAX_DOUBT = 3600.0  # s


class ProtocolChoice:
    """Version 5, and 3.1.1 only after the broker refused 5, or, where it never accepted 5, did not answer it twice.

    The second is a guess: a restart behind a proxy looks the same. So it is doubted while the connection is still good,
    and each time that it turns out right it is doubted later.
    """

    def __init__(self, protocol: str) -> None:
        """:param protocol: ``auto``, ``5`` or ``3.1.1``."""
        self._auto = protocol == "auto"
        self.mqtt5 = protocol != "3.1.1"
        self._unanswered = 0
        self._accepted_5 = False
        self._is_guess = False
        self._is_311_told = False
        self._doubt = FIRST_DOUBT

    @property
    def doubt_after(self) -> float | None:
        """Seconds into an accepted connection after which another version should be tried; None for never."""
        return self._doubt if self._is_guess and not self.mqtt5 else None

    def failed(self, error: MqttError) -> bool:
        """A connection did not get as far as an accepting CONNACK. Returns whether to try another version at once."""
        is_refused = isinstance(error, ConnectionRefused) and error.is_about_protocol
        if isinstance(error, Unanswered):
            self._unanswered += 1
        is_guess = self._unanswered >= UNANSWERED_BEFORE_A_GUESS and not (self.mqtt5 and self._accepted_5)
        if not (self._auto and (is_refused or is_guess)):
            return False
        self._unanswered = 0
        self.mqtt5 = not self.mqtt5
        self._is_guess = not is_refused
        return not self.mqtt5

    def accepted(self) -> None:
        """The broker accepted a connection in this version."""
        self._unanswered = 0
        if self.mqtt5:
            self._accepted_5, self._is_guess, self._doubt = True, False, FIRST_DOUBT

    def tell(self, log: Logger) -> None:
        """Tell of an accepted connection in version 3.1.1: what that means once, that it is a guess each time."""
        if (doubt := self.doubt_after) is not None:
            log.warn(log_lines.MQTT_311_GUESSED, seconds=round(doubt))
        if not self.mqtt5 and not self._is_311_told:
            self._is_311_told = True
            log.warn(log_lines.MQTT_311)

    def doubted(self) -> None:
        """The connection was given up to try version 5; if that is not answered, once is enough."""
        self._doubt = min(MAX_DOUBT, 2 * self._doubt)
        self._unanswered = UNANSWERED_BEFORE_A_GUESS - 1
        self.mqtt5 = True

    def connection_ended(self) -> None:
        """An accepted connection is gone: the broker that comes next may be another one."""
        self._unanswered = 0
        self._is_guess = False
        self._doubt = FIRST_DOUBT
        if self._auto:
            self.mqtt5 = True
