"""MQTT packets as a broker reads and writes them (3.1.1 and 5), as far as a subscriber sees any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aiot_mqtt.mqtt.encoding import encode_packet, encode_publish
from aiot_mqtt.mqtt.packet_types import CONNACK, DISCONNECT, SUBACK
from aiot_mqtt.mqtt.packets import variable_byte_integer

_FIXED = {0x01: 1, 0x11: 4, 0x17: 1, 0x19: 1, 0x21: 2, 0x22: 2, 0x24: 1, 0x27: 4}  # bytes of a property's value


@dataclass(frozen=True, slots=True)
class Connect:
    """What a CONNECT asks for."""

    client_id: str
    mqtt5: bool
    clean_start: bool
    receive_maximum: int | None
    session_expiry: int | None


def packets(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The whole packets at the beginning of a stream: first byte, what follows the length, and where each ends."""
    at = 0
    while len(data) - at >= 2:
        length, body = variable_byte_integer(data, at + 1)
        if not body or body + length > len(data):
            return
        yield data[at], data[body : body + length], body + length
        at = body + length


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : end].decode(), end


def _properties(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """The numbers among the properties at a place, and where they end."""
    length, at = variable_byte_integer(data, at)
    end, found = at + length, {}
    while at < end:
        size = _FIXED[data[at]]
        found[data[at]] = int.from_bytes(data[at + 1 : at + 1 + size], "big")
        at += 1 + size
    return found, end


def connect(body: bytes) -> Connect:
    """Read a CONNECT."""
    name, at = _text(body, 0)
    assert name == "MQTT"
    mqtt5 = {4: False, 5: True}[body[at]]
    flags = body[at + 1]
    at += 4  # and the keep-alive
    properties, at = _properties(body, at) if mqtt5 else ({}, at)
    client_id, _ = _text(body, at)
    return Connect(client_id, mqtt5, bool(flags & 2), properties.get(0x21), properties.get(0x11))


def filters(body: bytes, *, mqtt5: bool, has_options: bool) -> tuple[int, list[tuple[str, int]]]:
    """Read a SUBSCRIBE or an UNSUBSCRIBE: packet identifier, and the filters with their options."""
    at = 2
    if mqtt5:
        _, at = _properties(body, at)
    found = []
    while at < len(body):
        name, at = _text(body, at)
        found.append((name, body[at] if has_options else 0))
        at += has_options
    return int.from_bytes(body[:2], "big"), found


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic filter matches a topic name (section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in ("+", levels[place]):
            return False
    return len(wanted) == len(levels)


def connack(code: int, *, session_present: bool, mqtt5: bool) -> bytes:
    """CONNACK."""
    return encode_packet(CONNACK << 4, bytes((session_present, code)) + (b"\0" if mqtt5 else b""))


def publish(topic: str, payload: bytes, packet_id: int, *, is_dup: bool, retain: bool, mqtt5: bool) -> bytes:
    """PUBLISH. :param packet_id: 0 at QoS 0."""
    return encode_publish(topic.encode(), payload, packet_id, retain=retain, dup=is_dup, mqtt5=mqtt5)


def answer(kind: int, packet_id: int, codes: list[int], *, mqtt5: bool) -> bytes:
    """SUBACK or UNSUBACK."""
    has_codes = mqtt5 or kind == SUBACK
    return encode_packet(
        kind << 4, packet_id.to_bytes(2, "big") + (b"\0" if mqtt5 else b"") + (bytes(codes) if has_codes else b"")
    )


def disconnect(code: int) -> bytes:
    """DISCONNECT of MQTT 5."""
    return encode_packet(DISCONNECT << 4, bytes((code, 0)))
