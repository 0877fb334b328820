"""The answers to PUBLISH packets: PUBACK, or PUBREC at QoS 2."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from sys import byteorder

from .packet_types import PUBREC
from .sending import Sending


def send_acknowledgements(sending: Sending, packet_ids: Sequence[int], at_qos_2: Counter[int]) -> None:
    """Send a PUBACK for each, or a PUBREC for those that came at QoS 2, in this order, in one write.

    :param at_qos_2: how often each packet identifier came so; those that are answered are taken out.
    """
    identifiers = array("H", packet_ids)
    if byteorder == "little":
        identifiers.byteswap()
    raw = identifiers.tobytes()
    packets = bytearray(b"\x40\x02\x00\x00" * len(identifiers))
    packets[2::4] = raw[0::2]
    packets[3::4] = raw[1::2]
    if at_qos_2:
        for number, packet_id in enumerate(packet_ids):
            if packet_id in at_qos_2:
                at_qos_2[packet_id] -= 1
                if not at_qos_2[packet_id]:
                    del at_qos_2[packet_id]
                packets[4 * number] = PUBREC << 4
    sending.write(bytes(packets))
