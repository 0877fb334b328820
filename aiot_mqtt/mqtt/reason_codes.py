"""MQTT's reason codes in words."""

from __future__ import annotations

import contextlib

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from ..telemetry.printable import shorten
from .errors import ProtocolViolation
from .properties import REASON, properties_at

# What a return code of MQTT 3.1.1 (section 3.2.2.3) is called.
_V311_REASONS = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
FAILURE = 0x80
"""This reason code, "Unspecified error", and all above it are failures (section 2.4)."""
NOT_AUTHORIZED, SESSION_TAKEN_OVER = 0x87, 0x8E
TOPIC_FILTER_INVALID, QUOTA_EXCEEDED, WILDCARDS_NOT_SUPPORTED = 0x8F, 0x97, 0xA2


def connack_reason(code: int, mqtt5: bool, said: bytes = b"") -> str:
    """Why a CONNECT was refused, in words.

    :param said: the Reason String that the broker gave.
    """
    if code in _V311_REASONS:
        return _V311_REASONS[code]
    return reason_name(PacketTypes.CONNACK, code, said) if mqtt5 else f"return code {code}"


def suback_reason(code: int) -> str:
    """Why a subscription was denied, in words."""
    return reason_name(PacketTypes.SUBACK, code)


def disconnect_reason(body: bytes) -> str:
    """Why the broker disconnected, in words, from what is behind the length of its DISCONNECT."""
    said: object = None
    if len(body) > 1:
        with contextlib.suppress(ProtocolViolation):  # it goes anyway
            said = properties_at(body, 1)[0].get(REASON)
    return reason_name(PacketTypes.DISCONNECT, body[0] if body else 0, said if isinstance(said, bytes) else b"")


def reason_name(packet_type: int, code: int, said: bytes = b"") -> str:
    """An MQTT 5 reason code (section 2.4) in words, with those of the broker behind it.

    One that the specification has for other packets only is called as it is there: brokers do mix them up.
    """
    words = f": {shorten(said)}" if said else ""
    for each in (packet_type, PacketTypes.SUBACK, PacketTypes.DISCONNECT, PacketTypes.CONNACK):
        # paho knows the codes of the specification only, and says so with whatever error its version has.
        with contextlib.suppress(Exception):
            return f"{ReasonCode(each, identifier=code)!s} ({code}){words}"
    return f"reason code {code}{words}"
