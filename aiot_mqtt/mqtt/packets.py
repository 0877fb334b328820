"""Cuts a byte stream into MQTT control packets, and decodes the one kind that is all of the load: PUBLISH.

Pure: bytes in, calls out. A PUBLISH does not pass through paho, which would make four ``recv`` calls and, on MQTT 5, a
``Properties`` object for each (34 µs a message against 2 µs here), and would hold one of up to 256 MB in memory before
anybody could refuse it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from .errors import ProtocolViolation
from .packet_types import PUBLISH
from .properties import TOPIC_ALIAS, properties_at

# bytes of a packet that is no PUBLISH. What is longer is nearly all of it user properties, and a broker with that much
# to say about a subscription is broken.
MAX_CONTROL_PACKET = 256 * 1024
MAX_PROPERTIES = 64 * 1024  # bytes of properties in front of a payload
DUP = 0x08  # a bit of the first byte of a PUBLISH
QOS_2 = 0x04  # the bit of the first byte of a PUBLISH; with the one of QoS 1 it is malformed


class PublishReceiver(Protocol):
    """Who PUBLISH packets are handed to. None of these may raise."""

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """:param packet_id: 0 at QoS 0."""
        ...

    def redelivery_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """The same of a PUBLISH with the DUP flag: the broker may have sent it before (section 3.3.1.1)."""
        ...

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        """A PUBLISH whose payload of ``size`` bytes is over ``most`` is being skipped."""
        ...


class PacketReader:
    """Reads one connection's packets, however the network cuts them."""

    def __init__(
        self,
        receiver: PublishReceiver,
        control_packet: Callable[[bytes, bytes], None],
        *,
        mqtt5: bool,
        max_payload: int,
    ) -> None:
        """
        :param control_packet: called with each packet that is no PUBLISH, whole, and with its part behind the length.
        :param max_payload: bytes; a longer one is skipped as it arrives.
        """
        self._receiver = receiver
        self._control_packet = control_packet
        self._mqtt5 = mqtt5
        self._max_payload = max_payload
        # What has come of an incomplete packet. No list of parts: in reads of two bytes each part would cost fifty.
        self._incomplete = bytearray()
        self._missing = 0
        self._skip = 0
        self._stopped = False
        self.at_qos_2: Counter[int] = Counter()
        """How many PUBLISH packets came at QoS 2, by their packet identifiers. Whoever answers one takes it out."""
        self._with_identifier = 0

    def take_count(self) -> int:
        """How many PUBLISH packets that want an answer were handed over since the last call."""
        count, self._with_identifier = self._with_identifier, 0
        return count

    def stop(self) -> None:
        """Hand over nothing more, and hold nothing."""
        self._stopped = True
        self._incomplete.clear()

    def feed(self, data: bytes) -> None:
        """Handle what has arrived.

        :raises ProtocolViolation: it is not MQTT; the connection cannot go on.
        """
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._incomplete:
            self._incomplete += data
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = bytes(self._incomplete)
            self._incomplete.clear()
        try:
            parsed = self._parse(data)
        except IndexError:
            raise ProtocolViolation("a packet that is shorter than it says") from None
        if parsed < len(data) and not self._stopped:
            self._incomplete += data[parsed:]

    def _parse(self, data: bytes) -> int:
        """Handle every complete packet; returns where the first incomplete one starts.

        This loop is most of what a message costs here, so a PUBLISH is taken apart with as few calls as can be.
        """
        publish_received = self._receiver.publish_received
        max_payload, mqtt5 = self._max_payload, self._mqtt5
        at, end = 0, len(data)
        self._missing = 1
        while end - at >= 2 and not self._stopped:
            first, length, body = data[at], data[at + 1], at + 2
            if length & 0x80:
                length, body = variable_byte_integer(data, at + 1)
                if not body:
                    break
            packet_end = body + length
            if first >> 4 != PUBLISH:
                if length > MAX_CONTROL_PACKET:
                    raise ProtocolViolation(f"a control packet of {length} bytes")
                if packet_end > end:
                    self._missing = packet_end - end
                    break
                self._control_packet(data[at:packet_end], data[body:packet_end])
                at = packet_end
                continue
            if length > max_payload:
                is_oversized = self._refuse_oversized(data, first, body, packet_end)
                if is_oversized is None:
                    break
                if is_oversized:
                    at = min(packet_end, end)
                    self._skip = packet_end - at
                    continue
            if packet_end > end:
                self._missing = packet_end - end
                break
            topic, packet_id, payload_at = _publish_head(data, first, body, packet_end, mqtt5)
            if packet_id:
                self._with_identifier += 1
                if first & QOS_2:
                    self.at_qos_2[packet_id] += 1
            if first & DUP:
                self._receiver.redelivery_received(topic, data[payload_at:packet_end], packet_id, bool(first & 1))
            else:
                publish_received(topic, data[payload_at:packet_end], packet_id, bool(first & 1))
            at = packet_end
        return at

    def _refuse_oversized(self, data: bytes, first: int, body: int, packet_end: int) -> bool | None:
        """Tell of a PUBLISH whose payload is too long, and whether it is; None while too little of it is here."""
        here = min(packet_end, len(data))
        if here - body < 2:
            return None
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        if here < packet_end and here < topic_end + 6:  # a packet identifier and a property length may follow
            return None
        topic, packet_id, payload_at = _publish_head(data, first, body, packet_end, self._mqtt5)
        if payload_at - topic_end > MAX_PROPERTIES:
            payload_at = topic_end  # one device's message, so no end of the connection: they count as its payload
        elif payload_at > here:  # they are looked at once they are all here
            self._missing = payload_at - here
            return None
        size = packet_end - payload_at
        if size <= self._max_payload:
            return False
        if packet_id:
            self._with_identifier += 1
            if first & QOS_2:
                self.at_qos_2[packet_id] += 1
        if first & 1:  # of a retained one nobody looks at the payload
            self._receiver.publish_received(topic, b"", packet_id, True)
        else:
            self._receiver.oversized_publish_received(topic, size, packet_id, self._max_payload)
        return True


def variable_byte_integer(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5 section 1.5.5) and where it ends; 0 for that while it is incomplete."""
    value = shift = 0
    for position in range(at, min(at + 4, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position + 1
        shift += 7
    if len(data) - at >= 4:
        raise ProtocolViolation("a length of more than four bytes")
    return 0, 0


def _publish_head(data: bytes, first: int, body: int, packet_end: int, mqtt5: bool) -> tuple[bytes, int, int]:
    """Topic, packet identifier and where the payload starts, of a PUBLISH (section 3.3)."""
    at = body + 2
    topic_end = at + (data[body] << 8 | data[body + 1])
    topic = data[at:topic_end]
    at, packet_id = topic_end, 0
    qos = first & 0x06
    if qos:
        if qos == 0x06:
            raise ProtocolViolation("a PUBLISH of QoS 3")
        packet_id = data[at] << 8 | data[at + 1]
        if not packet_id:
            raise ProtocolViolation("a PUBLISH with packet identifier 0")
        at += 2
    if mqtt5:
        # Properties are skipped: none that a broker may send without being asked changes what a message means here.
        properties_from, properties = at, data[at]
        if properties & 0x80:
            properties, at = variable_byte_integer(data, at)
            if not at:
                raise ProtocolViolation("a property length that is cut off")
            at += properties
        else:
            at += 1 + properties
        if properties and at <= packet_end and at <= len(data):
            _refuse_topic_alias(data, properties_from)
    if at > packet_end:
        raise ProtocolViolation("a PUBLISH that is shorter than it says")
    return topic, packet_id, at


def _refuse_topic_alias(data: bytes, at: int) -> None:
    """Look through the properties of a PUBLISH.

    :raises ProtocolViolation: they hold a topic alias, with which the topic is not what it says.
    """
    try:
        alias = properties_at(data, at)[0].get(TOPIC_ALIAS)
    except ProtocolViolation:
        return  # a device may have written them, and its message must not end the connection again and again
    if isinstance(alias, int):
        raise ProtocolViolation(f"a PUBLISH with topic alias {alias}, though we allow none (Topic Alias Maximum is 0)")
