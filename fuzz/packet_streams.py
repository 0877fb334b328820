"""What a hostile broker does on one connection: packets valid or nearly, cut anywhere, and what we do meanwhile.

Pure: a seed in, a stream of steps out; the same seed, the same stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import NamedTuple

from aiot_mqtt.mqtt.encoding import encode_length, encode_packet, encode_text

from .inputs import PAYLOADS, TOPICS, changed, report_payload

MAX_LENGTH = 268_435_455  # bytes; what a length of four bytes can say
# The first bytes of packets; that of PUBLISH has more flags.
CONNACK, PUBLISH, PUBREL, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 0x20, 0x30, 0x62, 0x90, 0xB0, 0xD0, 0xE0
# What may stand in front of a payload on MQTT 5, each valid for itself.
PUBLISH_PROPERTIES = (
    b"\x01\x01",  # payload format
    b"\x02\x00\x00\x00\x05",  # message expiry
    b"\x03\x00\x01t",  # content type
    b"\x08\x00\x01r",  # response topic
    b"\x09\x00\x01c",  # correlation data
    b"\x0b\x80\x01",  # subscription identifier
    b"\x26\x00\x01n\x00\x01v",  # user property
)
CONNACK_PROPERTIES = (
    b"\x11\x00\x00\x00\x0a",  # session expiry
    b"\x12\x00\x01c",  # assigned client identifier
    b"\x13\x00\x00",  # server keep alive, none
    b"\x13\x00\x02",  # the same, two seconds
    b"\x15\x00\x01a",  # authentication method
    b"\x1f\x00\x01r",  # reason
    b"\x1f\x0b\xb8" + b"\xff" * 3000,  # a long one that is no text
    b"\x21\x00\x14",  # receive maximum
    b"\x22\x00\x0a",  # topic alias maximum
    b"\x24\x01",  # maximum QoS
    b"\x27\x00\x00\x01\x00",  # maximum packet size
    b"\x28\x00",  # wildcards, none
    b"\x26\x00\x01n\x75\x30" + b"v" * 30_000,  # user property, a long one
)
TOPIC_ALIAS = b"\x23\x00\x01"  # which nobody allowed
# Before the codes of SUBACK and UNSUBACK: none, a reason, a long one that is no text, a number that does not end.
PROPERTIES = (
    *(b"\x00", b"\x00", b"\x04\x1f\x00\x01r"),
    *(b"\xbb\x17\x1f\x0b\xb8" + b"\xff" * 3000, b"\xb9\x17\x80" + b"\xff" * 3000),
)
REASON_CODES = b"\x00\x01\x02\x04\x10\x11\x18\x80\x81\x82\x83\x85\x87\x8b\x8d\x8e\x8f\x91\x93\x97\x9a\x9e\xa2\xff"
# Whole packets, or heads of packets that swallow what follows.
PACKET_TOKENS = (
    *(b"\x20\x03\x00\x00\x00", b"\x20\x02\x00\x00", b"\xd0\x00", b"\xc0\x00", b"\xe0\x00", b"\xf0\x00", b"\x00\x00"),
    *(b"\x30\xff\xff\xff\x7f", b"\x32\x80\x80\x80\x80\x01", b"\x90\x80\x80\x00", b"\xff\xff\xff\x7f", b"\x30\x00"),
    *(b"\x34\x03\x00\x00\x00", b"\x36\x05\x00\x00\x00\x01\x00", b"\x10\x00", b"\xa2\x00", b"\x82\x00"),
)


class Step(NamedTuple):
    """One thing that happens."""

    action: str
    """``read``: bytes arrive; ``advance``: time goes by; what else ``hostile_broker.Victim`` does."""
    data: bytes = b""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """All that happens on one connection."""

    mqtt5: bool
    max_payload: int
    """Bytes."""
    ends_by_reset: bool
    is_lost_at_once: bool
    """Whether the transport reports its end as soon as we close it, or goes on reading until the steps are done."""
    steps: tuple[Step, ...]


def make_stream(seed: int) -> Stream:
    """The stream of this seed."""
    random = Random(seed)
    mqtt5 = random.random() < 0.7
    connack = encode_packet(CONNACK, b"\0\0\0" if mqtt5 else b"\0\0")
    suback = encode_packet(SUBACK, b"\x00\x01" + (b"\0" if mqtt5 else b"") + b"\x01\x01\x01")
    packets = [_packet(random, mqtt5) for _ in range(random.choice((1, 2, 3, 4, 6, 10)))]
    packets[:0] = [connack, suback] if random.random() < 0.9 else [_connack(random, mqtt5)]
    broken = [*packets]
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        at = random.randrange(len(packets)) if random.random() < 0.2 else -1 - random.randrange(len(packets) // 2)
        broken[at] = _broken(random, packets[at], packets)
    data = b"".join(broken)
    reads = [Step("read", part) for part in _cut(random, data)]
    steps: list[Step] = []
    for read in reads:
        steps.append(read)
        if random.random() < 3 / (len(reads) + 2):
            steps.append(_ours(random))
    return Stream(
        mqtt5=mqtt5,
        max_payload=random.choice((16, 64, 1024, 65536)),
        ends_by_reset=random.random() < 0.5,
        is_lost_at_once=random.random() < 0.5,
        steps=tuple(steps),
    )


def _packet(random: Random, mqtt5: bool) -> bytes:
    """One that the specification has, though not always one that a broker may send."""
    choice = random.random()
    if choice < 0.7:
        return _publish(random, mqtt5)
    identifier = random.choice((b"\x00\x01", b"\x00\x02", b"\xff\xff", b"\x00\x00"))
    properties = random.choice(PROPERTIES) if mqtt5 else b""
    codes = bytes(random.choices(REASON_CODES, k=random.choice((0, 1, 3, 3, 300, 4000))))
    if choice < 0.77:
        return encode_packet(PINGRESP, b"")
    if choice < 0.8:
        return encode_packet(PUBREL, identifier + random.choice((b"", b"", b"\x92", b"\x00\x00") if mqtt5 else (b"",)))
    if choice < 0.87:
        return encode_packet(SUBACK, identifier + properties + (codes if random.random() < 0.3 else b"\x01\x00\x87"))
    if choice < 0.92:
        return encode_packet(UNSUBACK, identifier + (properties + b"\x00\x11" if mqtt5 else b""))
    if choice < 0.94:
        reason = bytes((random.choice(REASON_CODES),))
        return encode_packet(DISCONNECT, random.choice((b"", reason, reason + b"\x00", reason + b"\x04\x1f\x00\x01r")))
    if choice < 0.95:
        return _connack(random, mqtt5)
    # AUTH, what only a client says, and what answers a PUBLISH of ours, which there is none of.
    first = random.choice((0x40, 0x50, 0x62, 0x70, 0xF0, 0x00, 0x10, 0x82, 0xA2, 0xC0, 0x42, 0xD1))
    return encode_packet(
        first, random.choice((b"", identifier, identifier + b"\x92", b"\x18\x00", bytes(300), bytes(70_000)))
    )


def _publish(random: Random, mqtt5: bool) -> bytes:
    topic = random.choice((*TOPICS[:3], *TOPICS[:3], random.choice(TOPICS), b"x/" * random.choice((1, 5, 250)) + b"y"))
    payload = report_payload(random) if random.random() < 0.3 else random.choice((*PAYLOADS, b" " * 1025))
    if random.random() < 0.01:  # as long as can be
        topic = random.choice((b"x/" * 32_767, b"x/" * 32_767 + b"y", b"t" * 65_535))
    elif random.random() < 0.01:
        payload = b"p" * random.choice((65_536, 65_537, 200_000))
    qos = random.choice((0, 1, 1, 1, 2)) if random.random() < 0.99 else 3
    first = PUBLISH | random.choice((0, 0, 0, 8)) | qos << 1 | (random.random() < 0.1)
    identifier = random.choice((b"\x00\x01", b"\x00\x07", b"\xff\xff")) if qos else b""
    properties = b""
    if mqtt5:
        some = b"".join(random.choices(PUBLISH_PROPERTIES, k=random.choice((0, 0, 1, 3, 20))))
        some += TOPIC_ALIAS if random.random() < 0.02 else b""
        properties = encode_length(len(some)) + some
    return encode_packet(first, encode_text(topic) + identifier + properties + payload)


def _connack(random: Random, mqtt5: bool) -> bytes:
    some = b"".join(random.choices(CONNACK_PROPERTIES, k=random.choice((0, 1, 3)))) if mqtt5 else b""
    code = random.choice((0, 0, 0, 1, 2, 5, random.choice(REASON_CODES)))
    return encode_packet(
        CONNACK,
        bytes((random.choice((0, 1)), code)) + (encode_length(len(some)) + some if mqtt5 else b""),
    )


def _broken(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A packet with something wrong, in its head more often than elsewhere."""
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: changed(random, data, others, PACKET_TOKENS),
        lambda: changed(random, data[:24], others, PACKET_TOKENS) + data[24:],
        lambda: _lying(random, data),
        lambda: _lying(random, data),
        lambda: data[: random.randrange(len(data))],
    )
    return random.choice(ways)()


def _lying(random: Random, data: bytes) -> bytes:
    """A packet whose length, or a length inside it, is not what it says."""
    body = 2
    while body < min(len(data), 5) and data[body - 1] & 0x80:
        body += 1
    true = len(data) - body
    lie = random.choice((0, 1, 2, true - 1, true + 1, true + 3, 127, 128, 65_536, 65_537, MAX_LENGTH - 1, MAX_LENGTH))
    match random.randrange(4):
        case 0:
            return data[:1] + encode_length(max(0, lie)) + data[body:]
        case 1:  # more bytes than it needs, or than are allowed
            return data[:1] + encode_length(true, random.choice((2, 3, 4, 5, 6))) + data[body:]
        case 2 if true >= 2:  # the topic's, or a packet identifier
            return data[:body] + random.choice((b"\x00\x00", b"\xff\xff", b"\x00\xff", b"\x01\x00")) + data[body + 2 :]
        case _:
            at = random.randrange(len(data))
            return (
                data[:at] + random.choice((b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80", b"\xff", b"\x80\x01")) + data[at:]
            )


def _cut(random: Random, data: bytes) -> list[bytes]:
    """The reads in which the network brings it."""
    match random.randrange(5):
        case 0:
            return [data]
        case 1:
            head = [data[at : at + 1] for at in range(min(len(data), 100))]
            return head + [data[at : at + 9_000] for at in range(100, len(data), 9_000)]
        case 2:
            size = random.choice((2, 3, 7, 64)) if len(data) < 300 else 4_096
            return [data[at : at + size] for at in range(0, len(data), size)]
        case _:
            cuts = sorted({0, len(data), *(random.randrange(len(data)) for _ in range(random.randrange(1, 8)))})
            return [data[at:end] for at, end in pairwise(cuts)]


def _ours(random: Random) -> Step:
    """What is done on our side between two reads."""
    if random.random() < 0.5:
        return Step("advance", seconds=random.choice((0.1, 0.5, 1.0, 2.5, 11.0, 100.0)))
    return Step(
        random.choice(("write", "write", "write", "subscribe", "unsubscribe", "pause", "resume", "disconnect", "abort"))
    )
