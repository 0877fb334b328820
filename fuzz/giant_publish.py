"""The longest PUBLISH that MQTT allows, 256 MB, which must be refused without being held."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

from twisted.internet.error import ConnectionLost

from aiot_mqtt.mqtt.encoding import encode_length, encode_packet, encode_publish, encode_text

from .packet_streams import CONNACK, MAX_LENGTH, PUBLISH
from .victim import Victim, Wrong

TOPIC = b"devices/d1/data"


@dataclass(frozen=True, slots=True)
class GiantResult:
    """What became of the longest PUBLISH that MQTT allows."""

    fed: int
    """Bytes."""
    held: int
    """Bytes in the reader's own buffers, at most."""
    allocated: int
    """Bytes allocated at one time beyond what was before, by tracemalloc."""
    refused: dict[str, int]
    reason: str
    """Why the connection ended."""
    problem: str | None


def refuse_giant(*, is_cut_off: bool = False) -> GiantResult:
    """Feed the longest PUBLISH that MQTT allows, in reads of 64 KiB, and a short one behind it.

    :param is_cut_off: let the connection end in the middle of it instead.
    """
    victim = Victim()
    victim.read(encode_packet(CONNACK, b"\0\0\0"))
    head = encode_text(TOPIC) + b"\x00\x01\x00"  # packet identifier 1, no properties
    missing = MAX_LENGTH - len(head)
    if is_cut_off:
        missing //= 2
    part = bytes(65_536)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    allocated, problem = 0, None
    try:
        victim.read(bytes((PUBLISH | 2,)) + encode_length(MAX_LENGTH) + head)
        victim.check()
        for at in range(0, missing, len(part)):
            victim.read(part[: missing - at])
            victim.check()
        allocated = tracemalloc.get_traced_memory()[1] - before
        if not is_cut_off:
            victim.read(encode_publish(TOPIC, b"{}", 2, mqtt5=True))
        victim.lose(ConnectionLost("cut off"))
        victim.end()
    except Wrong as wrong:
        problem = str(wrong)
    finally:
        tracemalloc.stop()
    return GiantResult(missing, victim.max_held, allocated, dict(victim.counters.refused), victim.reason, problem)
