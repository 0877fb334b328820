"""The properties of MQTT 5 packets (section 2.2.2.2). Pure.

Read as they arrive, because there is no bound to them but that of a packet, 256 MB; the texts that anybody could put in
are cut, and user properties skipped.
"""

from __future__ import annotations

from collections.abc import Generator

from .errors import ProtocolViolation

SESSION_EXPIRY, SERVER_KEEP_ALIVE, SERVER_REFERENCE, REASON = 0x11, 0x13, 0x1C, 0x1F
RECEIVE_MAXIMUM, TOPIC_ALIAS, MAXIMUM_QOS, RETAIN_AVAILABLE, USER = 0x21, 0x23, 0x24, 0x25, 0x26
MAXIMUM_PACKET_SIZE, WILDCARDS, SUBSCRIPTION_IDENTIFIERS, SHARED_SUBSCRIPTIONS = 0x27, 0x28, 0x29, 0x2A

# By how their values are written; a variable byte integer is given no size here.
_SIZES = {
    **dict.fromkeys((0x01, 0x17, 0x19, MAXIMUM_QOS, RETAIN_AVAILABLE), 1),
    **dict.fromkeys((WILDCARDS, SUBSCRIPTION_IDENTIFIERS, SHARED_SUBSCRIPTIONS), 1),
    **dict.fromkeys((SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, 0x22, TOPIC_ALIAS), 2),
    **dict.fromkeys((0x02, SESSION_EXPIRY, 0x18, MAXIMUM_PACKET_SIZE), 4),
}
_TEXTS = frozenset((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, SERVER_REFERENCE, REASON))
SUBSCRIPTION_IDENTIFIER = 0x0B
MAX_TEXT = 256  # bytes of a text that are kept

Properties = dict[int, "int | bytes"]
"""Numbers, and texts as their first bytes."""

Reading = Generator[int, bytes, Properties]
"""Yields how many bytes it wants to be sent next; below zero, how many are to be skipped, with anything sent then."""


def read_variable_byte_integer() -> Generator[int, bytes, tuple[int, int]]:
    """A variable byte integer (section 1.5.5), and how many bytes it took.

    :raises ProtocolViolation: it has more than four.
    """
    value = 0
    for position in range(4):
        (byte,) = yield 1
        value |= (byte & 0x7F) << 7 * position
        if not byte & 0x80:
            return value, position + 1
    raise ProtocolViolation("a length of more than four bytes")


def read_properties(length: int) -> Reading:
    """Properties that are together ``length`` bytes long.

    :raises ProtocolViolation: that is not what they are, or there is one that MQTT does not have, or one twice.
    """
    found: Properties = {}
    left = length
    while left > 0:
        (identifier,) = yield 1
        left -= 1
        value: int | bytes
        if size := _SIZES.get(identifier):
            value = int.from_bytes((yield size), "big")
            left -= size
        elif identifier == SUBSCRIPTION_IDENTIFIER:
            value, size = yield from read_variable_byte_integer()
            left -= size
        elif identifier in _TEXTS or identifier == USER:
            value, size = yield from _read_text(left)
            left -= size
            if identifier == USER:
                _, size = yield from _read_text(left)
                left -= size
                continue
        else:
            raise ProtocolViolation(f"a property 0x{identifier:02x}, which MQTT does not have")
        if identifier in found and identifier != SUBSCRIPTION_IDENTIFIER:
            raise ProtocolViolation(f"a property 0x{identifier:02x} twice")
        found[identifier] = value
    if left:
        raise ProtocolViolation("properties that are longer than they say")
    return found


def _read_text(left: int) -> Generator[int, bytes, tuple[bytes, int]]:
    """The beginning of a text, and how many bytes all of it took."""
    length = int.from_bytes((yield 2), "big")
    if 2 + length > left:
        raise ProtocolViolation("properties that are longer than they say")
    kept = b""
    if shown := min(length, MAX_TEXT):
        kept = yield shown
    if length > shown:
        yield shown - length
    return kept, 2 + length


def properties_at(data: bytes, at: int) -> tuple[Properties, int]:
    """The properties whose length stands at ``at`` of a whole packet, and where they end.

    :raises ProtocolViolation: they do not end within it, or are none.
    """
    reading = _length_and_properties()
    wanted = next(reading)
    while True:
        part = data[at : at + abs(wanted)]
        if len(part) < abs(wanted):
            raise ProtocolViolation("properties that are longer than their packet")
        at += len(part)
        try:
            wanted = reading.send(part)
        except StopIteration as done:
            found: Properties = done.value
            return found, at


def _length_and_properties() -> Reading:
    length, _ = yield from read_variable_byte_integer()
    return (yield from read_properties(length))
