"""MQTT's reason codes in words."""

from __future__ import annotations

import contextlib

from ..telemetry import reasons
from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import masked, shorten
from .errors import ProtocolViolation
from .properties import REASON, properties_at

FAILURE = 0x80
"""This reason code, "Unspecified error", and all above it are failures (section 2.4)."""
NOT_AUTHORIZED, SESSION_TAKEN_OVER = 0x87, 0x8E
TOPIC_FILTER_INVALID, QUOTA_EXCEEDED, WILDCARDS_NOT_SUPPORTED = 0x8F, 0x97, 0xA2


def connack_reason(code: int, mqtt5: bool, said: bytes = b"", password: str = "") -> Bilingual:
    """Why a CONNECT was refused, in words.

    :param said: the Reason String that the broker gave. :param password: not shown, should it be in that.
    """
    if code in reasons.V311_REASONS:
        return reasons.V311_REASONS[code]
    return reason_name(code, said, password) if mqtt5 else reasons.RETURN_CODE.fill(code=code)


def suback_reason(code: int) -> Bilingual:
    """Why a subscription was denied, in words."""
    return reason_name(code)


def disconnect_reason(body: bytes, password: str = "") -> Bilingual:
    """Why the broker disconnected, in words, from what is behind the length of its DISCONNECT.

    :param password: as above.
    """
    said: object = None
    if len(body) > 1:
        with contextlib.suppress(ProtocolViolation):  # it goes anyway
            said = properties_at(body, 1)[0].get(REASON)
    return reason_name(body[0] if body else 0, said if isinstance(said, bytes) else b"", password)


def reason_name(code: int, said: bytes = b"", password: str = "") -> Bilingual:
    """A reason code (section 2.4) in words, with those of the broker behind it.

    One that the specification has for other packets only is called as it is there: brokers do mix them up.
    """
    known = reasons.NORMAL_DISCONNECTION if code == 0 else reasons.REASON_CODES.get(code)
    name = reasons.REASON_CODE.fill(code=code) if known is None else reasons.NUMBERED.fill(words=known, number=code)
    if not said:
        return name
    words = masked(said.decode("utf-8", "backslashreplace"), password)
    return reasons.AT_PATH.fill(path=name, reason=shorten(words))
