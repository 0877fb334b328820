"""Why a connection to the broker cannot be used, or not go on."""

from __future__ import annotations

from ..telemetry import reasons
from ..telemetry.bilingual import Bilingual

# The reason codes of MQTT 5 that say what a return code of MQTT 3.1.1 does.
_V311_CODES = {0x84: 1, 0x85: 2, 0x86: 4, 0x87: 5, 0x88: 3}


class ProtocolViolation(Exception):
    """The peer sent what MQTT does not allow; the text says what."""


class MqttError(Exception):
    """The connection cannot be used; the text says why, fit to be logged."""

    def __init__(self, reason: str, advice: Bilingual = reasons.ADVICE_LOG) -> None:
        """:param advice: what whoever runs the service may do."""
        super().__init__(reason)
        self.advice = advice


class ConnectionRefused(MqttError):
    """The broker answered CONNECT with a refusal."""

    def __init__(self, code: int, reason: str) -> None:
        """:param code: the CONNACK's own code, of MQTT 3.1.1 or of MQTT 5 (from 0x80)."""
        super().__init__(reason)
        self.code = code
        self.advice = reasons.ADVICE_LOGINS.get(self.v311_code or 0, self.advice)

    @property
    def v311_code(self) -> int | None:
        """The code as MQTT 3.1.1 numbers it; None where it has none."""
        return self.code if 1 <= self.code <= 5 else _V311_CODES.get(self.code)

    @property
    def is_about_protocol(self) -> bool:
        """Whether the broker does not speak the MQTT version that was asked for."""
        return self.v311_code == 1


class Unanswered(MqttError):
    """CONNECT had no answer in its own MQTT version: the broker closed, said nothing, or said something else.

    So does one that does not know the version; and one that restarts, with a proxy in front of it.
    """
