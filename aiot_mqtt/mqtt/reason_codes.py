"""MQTT's reason codes in words."""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

# What a return code of MQTT 3.1.1 (section 3.2.2.3) is called, and which reason codes of MQTT 5 say the same.
_V311_REASONS = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
_V311_CODES = {0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}


def v311_code(code: int) -> int | None:
    """A CONNACK's code, of MQTT 3.1.1 or of MQTT 5, as MQTT 3.1.1 numbers it; None where it has none."""
    return code if code in _V311_REASONS else _V311_CODES.get(code)


def connack_reason(code: int, mqtt5: bool) -> str:
    """Why a CONNECT was refused, in words."""
    if code in _V311_REASONS:
        return _V311_REASONS[code]
    return reason_name(PacketTypes.CONNACK, code) if mqtt5 else f"return code {code}"


def suback_reason(code: int) -> str:
    """Why a subscription was denied, in words."""
    return reason_name(PacketTypes.SUBACK, code)


def reason_name(packet_type: int, code: int) -> str:
    """An MQTT 5 reason code (section 2.4) in words."""
    try:
        return f"{ReasonCode(packet_type, identifier=code)!s} ({code})"
    except Exception:  # paho knows the codes of the specification only
        return f"reason code {code}"
