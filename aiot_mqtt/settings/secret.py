"""A password among the settings."""

from __future__ import annotations

from pathlib import Path

from ..telemetry.reasons import settings as reasons
from .bounded import read_bounded

MAX_SECRET = 65535  # bytes, of a password in MQTT (section 1.5.6 of MQTT 5); no other is as long


class Secret:
    """A password that shows itself only when asked to."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        """:raises ValueError: it is longer than a password can be."""
        if len(value.encode("utf-8", "surrogatepass")) > MAX_SECRET:
            raise ValueError(reasons.TOO_LONG.fill(most=MAX_SECRET))
        self._value = value

    def reveal(self) -> str:
        """The password itself, for whoever logs in with it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"

    __str__ = __repr__


def read_secret(path: Path) -> str:
    """What a file holds, without the line break that editors put at its end.

    :raises OSError: it cannot be read, or is too long.
    :raises UnicodeDecodeError: it is not UTF-8.
    """
    return read_bounded(path, MAX_SECRET + len("\r\n")).decode().rstrip("\r\n")
