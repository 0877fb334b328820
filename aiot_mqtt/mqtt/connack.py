"""CONNACK, which may be of any length and come in any pieces. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from .errors import ProtocolViolation
from .packet_types import CONNACK
from .properties import Properties, read_properties, read_variable_byte_integer

V311_LENGTH = 2  # bytes


@dataclass(frozen=True, slots=True)
class Connack:
    """What the broker answered to CONNECT."""

    session_present: bool
    """Whether it kept a session for us."""
    code: int = 0
    """0, or why it refuses."""
    properties: Properties = field(default_factory=dict)
    """What it grants; there is none on MQTT 3.1.1."""

    def number(self, identifier: int) -> int | None:
        """A property that is a number; None where the broker does not say."""
        value = self.properties.get(identifier)
        return value if isinstance(value, int) else None

    def text(self, identifier: int) -> bytes:
        """The beginning of a property that is a text, empty where the broker does not say."""
        value = self.properties.get(identifier, b"")
        return value if isinstance(value, bytes) else b""


class ConnackReader:
    """Reads the first packet of a connection, and holds little of it however long it is."""

    def __init__(self, *, mqtt5: bool) -> None:
        self._reading = _read_connack(mqtt5)
        self._wanted = next(self._reading)
        self.held = bytearray()
        """What has come and is not understood yet."""

    def feed(self, data: bytes) -> tuple[Connack, bytes] | None:
        """CONNACK and what came behind it, once all of it is here; not to be called again then.

        :raises ProtocolViolation: it is none, or none of this version.
        """
        self.held += data
        data = bytes(self.held)
        self.held.clear()
        at = 0
        while True:
            here = min(abs(self._wanted), len(data) - at)
            if self._wanted < 0:
                at += here
                self._wanted += here
                if self._wanted:
                    return None
                part = b""
            elif here < self._wanted:
                self.held += data[at:]
                return None
            else:
                part = data[at : at + here]
                at += here
            try:
                self._wanted = self._reading.send(part)
            except StopIteration as done:
                connack: Connack = done.value
                return connack, data[at:]


def _read_connack(mqtt5: bool) -> Generator[int, bytes, Connack]:
    if (yield 1)[0] != CONNACK << 4:
        raise ProtocolViolation("a packet before CONNACK")
    length, _ = yield from read_variable_byte_integer()
    if length < V311_LENGTH:
        raise ProtocolViolation(f"a CONNACK of {length} bytes")
    flags, code = yield 2
    left = length - V311_LENGTH
    # A refusal may come in the form of another version, because this one is what is refused.
    if not code and mqtt5 and not left:
        raise ProtocolViolation("a CONNACK of MQTT 3.1.1 for a CONNECT of MQTT 5")
    if not code and not mqtt5 and left:
        raise ProtocolViolation(f"a CONNACK of {length} bytes for a CONNECT of MQTT 3.1.1")
    if flags > 1:
        raise ProtocolViolation("a CONNACK with reserved flags")
    properties: Properties = {}
    if left:
        try:
            properties_length, size = yield from read_variable_byte_integer()
            if size + properties_length != left:
                raise ProtocolViolation("a CONNACK whose properties are not as long as it says")
            properties = yield from read_properties(properties_length)
        except ProtocolViolation:
            if not code:  # a refusal is one whatever else is said
                raise
    return Connack(bool(flags), code, properties)
