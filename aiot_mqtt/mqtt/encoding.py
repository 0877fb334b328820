"""MQTT packets as bytes: what ``packets`` and ``properties`` read, written. Pure."""

from __future__ import annotations

from .packet_types import PUBLISH


def encode_length(value: int, least: int = 1) -> bytes:
    """A length, which is a variable byte integer (MQTT 5 section 1.5.5).

    :param least: bytes that it takes at least; more than it needs is malformed, and for those who try that.
    """
    if value < 128 and least == 1:
        return bytes((value,))
    encoded = bytearray()
    while value >= 128 or len(encoded) < least - 1:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_text(data: bytes) -> bytes:
    """A text in UTF-8, or binary data (section 1.5.4): two bytes of length, and what they count.

    :raises OverflowError: it has more than 65,535 bytes.
    """
    return len(data).to_bytes(2, "big") + data


def encode_packet(first: int, body: bytes) -> bytes:
    """A control packet (section 2.1): its first byte, the length, and what follows."""
    return bytes((first,)) + encode_length(len(body)) + body


def encode_publish(
    topic: bytes,
    payload: bytes,
    packet_id: int,
    *,
    retain: bool = False,
    dup: bool = False,
    mqtt5: bool,
    properties: bytes = b"",
) -> bytes:
    """PUBLISH (section 3.3): at QoS 0 when ``packet_id`` is 0, else at QoS 1.

    :param properties: encoded; MQTT 3.1.1 has none.
    """
    identifier = packet_id.to_bytes(2, "big") if packet_id else b""
    if mqtt5:
        properties = encode_length(len(properties)) + properties if properties else b"\0"
    length = encode_length(2 + len(topic) + len(identifier) + len(properties) + len(payload))
    first = PUBLISH << 4 | (0x08 if dup else 0) | (0x02 if packet_id else 0) | (0x01 if retain else 0)
    return b"".join((bytes((first,)), length, len(topic).to_bytes(2, "big"), topic, identifier, properties, payload))
