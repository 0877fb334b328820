"""The byte stream of a connection, cut anywhere, whole or broken."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.encoding import encode_length, encode_packet, encode_publish
from aiot_mqtt.mqtt.errors import ProtocolViolation
from aiot_mqtt.mqtt.packets import (
    MAX_CONTROL_PACKET,
    MAX_PROPERTIES,
    PacketReader,
    variable_byte_integer,
)
from tests.doubles import RecordingReceiver

Call = tuple[object, ...]
PINGRESP = b"\xd0\x00"
SUBACK = b"\x90\x05\x00\x01\x00\x01\x01"


def publish(
    topic: bytes = b"devices/d1/data",
    payload: bytes = b"{}",
    packet_id: int = 0,
    *,
    retain: bool = False,
    dup: bool = False,
    properties: bytes | None = None,
) -> bytes:
    """:param properties: None for MQTT 3.1.1, which has none."""
    mqtt5 = properties is not None
    return encode_publish(topic, payload, packet_id, retain=retain, dup=dup, mqtt5=mqtt5, properties=properties or b"")


def user_properties(size: int) -> bytes:
    """Properties of about this many bytes."""
    value = b"v" * 100
    one = b"\x26\x00\x01n" + len(value).to_bytes(2, "big") + value
    return one * (size // len(one))


class PacketTestCase(SynchronousTestCase):
    def reader(self, *, mqtt5: bool = False, max_payload: int = 100) -> tuple[PacketReader, list[Call]]:
        receiver = RecordingReceiver()
        reader = PacketReader(receiver, receiver.control_packet, mqtt5=mqtt5, max_payload=max_payload)
        return reader, receiver.calls

    def calls(self, chunks: Iterable[bytes], *, mqtt5: bool = False, max_payload: int = 100) -> list[Call]:
        reader, calls = self.reader(mqtt5=mqtt5, max_payload=max_payload)
        for chunk in chunks:
            reader.feed(chunk)
        return calls

    def assert_same_however_cut(
        self, stream: bytes, expected: list[Call], *, mqtt5: bool, max_payload: int = 100
    ) -> None:
        def check(chunks: list[bytes], how: object) -> None:
            self.assertEqual(self.calls(chunks, mqtt5=mqtt5, max_payload=max_payload), expected, how)

        check([stream], "whole")
        check([stream[at : at + 1] for at in range(len(stream))], "in single bytes")
        check([part for at in range(len(stream)) for part in (b"", stream[at : at + 1])], "with empty reads")
        for at in range(1, len(stream)):
            check([stream[:at], stream[at:]], at)
        for size in (2, 3, 5, 7, 64):
            check([stream[at : at + size] for at in range(0, len(stream), size)], f"every {size}")

    def held(self, reader: PacketReader) -> int:
        return len(reader._incomplete)


class StreamTests(PacketTestCase):
    def test_a_stream_of_mqtt_311_is_the_same_wherever_it_is_cut(self) -> None:
        stream = (
            encode_packet(0x20, b"\0\0")
            + publish()
            + publish(b"devices/d2/status", b"offline", 1, retain=True)
            + SUBACK
            + publish(b"t", b"", 65535, dup=True)
            + PINGRESP
            + publish("主题".encode(), b"x" * 100, 256, retain=True, dup=True)
        )
        self.assert_same_however_cut(
            stream,
            [
                ("control", b"\x20\x02\0\0", b"\0\0"),
                ("publish", b"devices/d1/data", b"{}", 0, False),
                ("publish", b"devices/d2/status", b"offline", 1, True),
                ("control", SUBACK, SUBACK[2:]),
                ("publish", b"t", b"", 65535, False),
                ("control", PINGRESP, b""),
                ("publish", "主题".encode(), b"x" * 100, 256, True),
            ],
            mqtt5=False,
        )

    def test_a_stream_of_mqtt_5_is_the_same_wherever_it_is_cut(self) -> None:
        stream = (
            encode_packet(0x20, b"\0\0\0")
            + publish(properties=b"")
            + publish(packet_id=1, properties=b"\x01\x01")
            + publish(payload=b"p" * 100, properties=user_properties(300))
            + publish(payload=b"", packet_id=77, properties=user_properties(300), retain=True)
            + PINGRESP
        )
        self.assert_same_however_cut(
            stream,
            [
                ("control", b"\x20\x03\0\0\0", b"\0\0\0"),
                ("publish", b"devices/d1/data", b"{}", 0, False),
                ("publish", b"devices/d1/data", b"{}", 1, False),
                ("publish", b"devices/d1/data", b"p" * 100, 0, False),
                ("publish", b"devices/d1/data", b"", 77, True),
                ("control", PINGRESP, b""),
            ],
            mqtt5=True,
        )

    def test_a_control_packet_is_handed_over_whole_and_without_its_head(self) -> None:
        body = b"x" * 4000
        [call] = self.calls([encode_packet(0x20, body)])
        self.assertEqual(call, ("control", b"\x20" + encode_length(4000) + body, body))

    def test_nothing_is_handed_over_before_it_is_complete(self) -> None:
        stream = publish(packet_id=1)
        reader, calls = self.reader()
        for at in range(len(stream) - 1):
            reader.feed(stream[at : at + 1])
            self.assertEqual(calls, [])
        reader.feed(stream[-1:])
        self.assertEqual(len(calls), 1)

    def test_a_long_packet_is_not_copied_again_for_each_of_its_pieces(self) -> None:
        stream = publish(payload=b"x" * 10_000)
        reader, calls = self.reader(max_payload=10_000)
        waits = bytearray()
        for at in range(0, 9_000, 100):
            reader.feed(stream[at : at + 100])
            waits = waits or reader._incomplete
            self.assertIs(reader._incomplete, waits)
        self.assertEqual(len(waits), 9_000)
        reader.feed(stream[9_000:])
        self.assertEqual(len(calls), 1)

    def test_a_long_packet_takes_its_own_length_in_memory_however_it_is_cut(self) -> None:
        size = 50_000
        stream = publish(payload=b"x" * size)
        reader, _ = self.reader(max_payload=size)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for at in range(0, size, 2):
            reader.feed(stream[at : at + 2])
        after, _ = tracemalloc.get_traced_memory()
        self.assertLess(after - before, 2 * size)

    def test_nothing_is_handed_over_once_it_is_stopped(self) -> None:
        reader, calls = self.reader()
        reader.stop()
        reader.feed(publish() + PINGRESP)
        self.assertEqual(calls, [])

    def test_a_receiver_can_stop_it_in_the_middle_of_a_read(self) -> None:
        receiver = RecordingReceiver()

        def stop(packet: bytes, body: bytes) -> None:
            receiver.control_packet(packet, body)
            reader.stop()

        reader = PacketReader(receiver, stop, mqtt5=False, max_payload=100)
        reader.feed(publish() + PINGRESP + publish() + PINGRESP)
        self.assertEqual([call[0] for call in receiver.calls], ["publish", "control"])
        self.assertEqual(self.held(reader), 0)

    def test_nothing_is_held_once_it_is_stopped(self) -> None:
        reader, _ = self.reader()
        reader.feed(publish()[:-1])
        self.assertEqual(self.held(reader), len(publish()) - 1)
        reader.stop()
        self.assertEqual(self.held(reader), 0)


class OversizedTests(PacketTestCase):
    def test_one_byte_over_the_limit_is_oversized(self) -> None:
        for mqtt5, properties in ((False, None), (True, b""), (True, user_properties(300))):
            fits = publish(payload=b"x" * 100, packet_id=5, properties=properties)
            over = publish(payload=b"x" * 101, packet_id=5, properties=properties)
            self.assertEqual(self.calls([fits], mqtt5=mqtt5), [("publish", b"devices/d1/data", b"x" * 100, 5, False)])
            self.assertEqual(self.calls([over], mqtt5=mqtt5), [("oversized", b"devices/d1/data", 101, 5, 100)])

    def test_the_shortest_topic_makes_no_difference(self) -> None:
        self.assertEqual(self.calls([publish(b"t", b"x" * 101)]), [("oversized", b"t", 101, 0, 100)])
        self.assertEqual(self.calls([publish(b"t", b"x" * 100)]), [("publish", b"t", b"x" * 100, 0, False)])

    def test_it_is_skipped_and_its_neighbours_intact_wherever_it_is_cut(self) -> None:
        for mqtt5, properties in ((False, None), (True, b""), (True, b"\x01\x01"), (True, user_properties(300))):
            for packet_id in (0, 9):
                before = publish(payload=b"before", properties=properties)
                over = publish(payload=b"\x30\x02" * 100, packet_id=packet_id, properties=properties)
                after = publish(payload=b"after", properties=properties)
                self.assert_same_however_cut(
                    before + over + over + PINGRESP + after,
                    [
                        ("publish", b"devices/d1/data", b"before", 0, False),
                        ("oversized", b"devices/d1/data", 200, packet_id, 100),
                        ("oversized", b"devices/d1/data", 200, packet_id, 100),
                        ("control", PINGRESP, b""),
                        ("publish", b"devices/d1/data", b"after", 0, False),
                    ],
                    mqtt5=mqtt5,
                )

    def test_it_is_told_of_as_soon_as_its_head_is_there(self) -> None:
        reader, calls = self.reader()
        reader.feed(publish(payload=b"x" * 1000, packet_id=3)[:40])
        self.assertEqual(calls, [("oversized", b"devices/d1/data", 1000, 3, 100)])

    def test_a_retained_one_is_retained_first_of_all(self) -> None:
        self.assertEqual(
            self.calls([publish(payload=b"x" * 101, packet_id=5, retain=True) + publish(payload=b"after")]),
            [("publish", b"devices/d1/data", b"", 5, True), ("publish", b"devices/d1/data", b"after", 0, False)],
        )

    def test_a_long_topic_makes_no_payload_oversized(self) -> None:
        for mqtt5, properties in ((False, None), (True, b"")):
            topic = b"t" * 65535
            stream = publish(topic, b"x" * 100, 1, properties=properties) + PINGRESP
            expected = [("publish", topic, b"x" * 100, 1, False), ("control", PINGRESP, b"")]
            for size in (len(stream), 1000, 30000):
                chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
                self.assertEqual(self.calls(chunks, mqtt5=mqtt5), expected)

    def test_the_longest_packet_is_skipped_in_bounded_memory(self) -> None:
        size = 268_435_455
        for mqtt5 in (False, True):
            head = b"\x32" + encode_length(size) + b"\x00\x01t\x00\x07" + (b"\x00" if mqtt5 else b"")
            reader, calls = self.reader(mqtt5=mqtt5)
            missing = size - (len(head) - 5)
            reader.feed(head)
            chunk = b"x" * (1 << 20)
            while missing:
                reader.feed(chunk[:missing])
                missing -= min(len(chunk), missing)
                self.assertLess(self.held(reader), 10)
            reader.feed(PINGRESP)
            payload = size - (6 if mqtt5 else 5)
            self.assertEqual(calls, [("oversized", b"t", payload, 7, 100), ("control", PINGRESP, b"")])

    def test_never_more_than_head_and_properties_of_it_are_held(self) -> None:
        worst = publish(b"t" * 65535, b"x" * 300_000, 1, properties=user_properties(60_000))
        reader, calls = self.reader(mqtt5=True)
        most = 0
        for at in range(0, len(worst), 1000):
            reader.feed(worst[at : at + 1000])
            most = max(most, self.held(reader))
        self.assertEqual([call[0] for call in calls], ["oversized"])
        # A topic of 64 KiB, the 11 bytes around it, the properties, and the read that brought the rest of them.
        self.assertLess(most, 65536 + 11 + 60_000 + 1000)

    def test_its_properties_are_not_copied_again_for_each_of_their_pieces(self) -> None:
        over = publish(payload=b"x" * 1000, packet_id=1, properties=user_properties(60_000))
        reader, calls = self.reader(mqtt5=True)
        waits = bytearray()
        for at in range(200):
            reader.feed(over[100 * at : 100 * at + 100])
            if at:
                waits = waits or reader._incomplete
                self.assertIs(reader._incomplete, waits)
        reader.feed(over[20_000:])
        self.assertEqual([call[0] for call in calls], ["oversized"])

    def test_properties_without_end_cost_the_message_alone_and_are_not_held(self) -> None:
        for properties in (user_properties(MAX_PROPERTIES + 1000), b"\x26" * 200_000):
            for payload in (b"", b"p" * 100):
                over = publish(payload=payload, packet_id=1, properties=properties)
                after = publish(payload=b"after", packet_id=2, properties=b"")
                for piece in (len(over) + len(after), 1000, 7):
                    reader, calls = self.reader(mqtt5=True)
                    stream = over + after
                    for at in range(0, len(stream), piece):
                        reader.feed(stream[at : at + piece])
                        self.assertLess(self.held(reader), 1200)
                    self.assertEqual([call[0] for call in calls], ["oversized", "publish"], piece)
                    self.assertEqual([call[1] for call in calls], [b"devices/d1/data"] * 2)


class QoS2Tests(PacketTestCase):
    def test_it_is_handed_over_like_any_other_and_remembered(self) -> None:
        for mqtt5, properties in ((False, None), (True, b"")):
            at_qos_1 = publish(packet_id=1, properties=properties)
            at_qos_2 = publish(packet_id=2, properties=properties)
            at_qos_2 = bytes([at_qos_2[0] ^ 6]) + at_qos_2[1:]
            repeated = bytes([at_qos_2[0] | 8]) + at_qos_2[1:]
            reader, calls = self.reader(mqtt5=mqtt5)
            reader.feed(at_qos_1 + at_qos_2 + repeated + publish(properties=properties))
            self.assertEqual([call[3] for call in calls], [1, 2, 2, 0])
            self.assertEqual(reader.at_qos_2, {2: 2})
            self.assertEqual((reader.take_count(), reader.take_count()), (3, 0))

    def test_one_that_is_too_long_is_remembered_too(self) -> None:
        over = publish(payload=b"x" * 101, packet_id=7)
        reader, calls = self.reader()
        reader.feed(bytes([over[0] ^ 6]) + over[1:])
        self.assertEqual([call[0] for call in calls], ["oversized"])
        self.assertEqual((reader.at_qos_2, reader.take_count()), ({7: 1}, 1))


class PropertiesTests(PacketTestCase):
    def test_all_that_a_publish_may_carry_but_an_alias_is_passed_over(self) -> None:
        properties = (
            b"\x01\x01\x02\x00\x00\x00\x05\x03\x00\x01t\x08\x00\x01r\x09\x00\x01c\x0b\x80\x01\x0b\x02"
            b"\x26\x00\x01n\x00\x01v"
        )
        self.assertEqual(len(self.calls([publish(packet_id=1, properties=properties)], mqtt5=True)), 1)

    def test_properties_that_are_none_cost_their_message_nothing(self) -> None:
        # Else a device that could write them would end the connection again and again.
        for properties in (b"\x7f", b"\x26\x00\x09", b"\x01\x01\x01\x01", b"\x0b\xff\xff\xff\xff\x01", b"\x02\x00"):
            [call] = self.calls([publish(packet_id=1, properties=properties)], mqtt5=True)
            self.assertEqual(call[:3], ("publish", b"devices/d1/data", b"{}"), properties)


class ViolationTests(PacketTestCase):
    MALFORMED: tuple[tuple[str, bytes, bool, str], ...] = (
        ("a length of five bytes", b"\x30\xff\xff\xff\xff\x01", False, "a length of more than four bytes"),
        ("the same of a control packet", b"\x90\x80\x80\x80\x80\x01", False, "a length of more than four bytes"),
        ("no topic length", b"\x30\x00", False, "a packet that is shorter than it says"),
        ("half a topic length", b"\x30\x01\x00", False, "a packet that is shorter than it says"),
        ("a topic beyond the packet", b"\x30\x03\x00\x05t", False, "a PUBLISH that is shorter than it says"),
        ("no packet identifier", b"\x32\x03\x00\x01t", False, "a packet that is shorter than it says"),
        ("half a packet identifier", b"\x32\x04\x00\x01t\x00", False, "a packet that is shorter than it says"),
        ("packet identifier 0", b"\x32\x05\x00\x01t\x00\x00", False, "a PUBLISH with packet identifier 0"),
        ("no packet identifier at QoS 2", b"\x34\x03\x00\x01t", False, "a packet that is shorter than it says"),
        ("QoS 3", b"\x36\x05\x00\x01t\x00\x01", False, "a PUBLISH of QoS 3"),
        (
            "a topic alias",
            b"\x32\x09\x00\x01t\x00\x01\x03\x23\x00\x05",
            True,
            "a PUBLISH with topic alias 5, though we allow none (Topic Alias Maximum is 0)",
        ),
        (
            "a topic alias in the place of a topic, behind other properties",
            b"\x30\x0f\x00\x00\x0c\x01\x01\x26\x00\x01n\x00\x01v\x23\xff\xff",
            True,
            "a PUBLISH with topic alias 65535, though we allow none (Topic Alias Maximum is 0)",
        ),
        (
            "a topic alias before a payload that is too long",
            b"\x32" + encode_length(509) + b"\x00\x01t\x00\x01\x03\x23\x00\x05" + b"x" * 500,
            True,
            "a PUBLISH with topic alias 5, though we allow none (Topic Alias Maximum is 0)",
        ),
        ("no property length", b"\x30\x03\x00\x01t", True, "a packet that is shorter than it says"),
        ("properties beyond the packet", b"\x30\x04\x00\x01t\x05", True, "a PUBLISH that is shorter than it says"),
        ("a cut property length", b"\x30\x04\x00\x01t\x80", True, "a property length that is cut off"),
        (
            "a property length of five bytes",
            b"\x30\x09\x00\x01t\x80\x80\x80\x80\x01p",
            True,
            "a length of more than four bytes",
        ),
        (
            "a control packet beyond the bound",
            b"\x90" + encode_length(MAX_CONTROL_PACKET + 1),
            False,
            f"a control packet of {MAX_CONTROL_PACKET + 1} bytes",
        ),
    )

    def test_each_malformed_packet_is_a_violation_that_says_what(self) -> None:
        for what, stream, mqtt5, text in self.MALFORMED:
            reader, calls = self.reader(mqtt5=mqtt5)
            error = self.assertRaises(ProtocolViolation, reader.feed, stream)
            self.assertEqual(str(error), text, what)
            self.assertEqual(calls, [], what)

    def test_it_is_one_wherever_it_is_cut_and_whatever_follows(self) -> None:
        for what, stream, mqtt5, _ in self.MALFORMED:
            for follows in (b"", PINGRESP, publish(packet_id=1, properties=b"" if mqtt5 else None) * 3):
                whole = stream + follows
                for chunks in ([whole], [whole[at : at + 1] for at in range(len(whole))]):
                    reader, calls = self.reader(mqtt5=mqtt5)
                    self.assertRaises(ProtocolViolation, self.feed_all, reader, chunks)
                    self.assertEqual(calls, [], what)

    def test_what_came_before_it_was_handed_over(self) -> None:
        reader, calls = self.reader()
        self.assertRaises(ProtocolViolation, reader.feed, publish() + PINGRESP + b"\x30\x00")
        self.assertEqual([call[0] for call in calls], ["publish", "control"])

    def test_the_longest_control_packet_is_none(self) -> None:
        [call] = self.calls([encode_packet(0x20, b"x" * MAX_CONTROL_PACKET)])
        self.assertEqual(call[2], b"x" * MAX_CONTROL_PACKET)

    def test_nothing_but_a_violation_ever_escapes(self) -> None:
        random = Random(7)
        seeds = {
            False: publish() + publish(packet_id=1) + SUBACK + publish(payload=b"x" * 150, packet_id=2) + PINGRESP,
            True: publish(properties=b"")
            + publish(packet_id=1, properties=b"\x01\x01")
            + SUBACK
            + publish(payload=b"x" * 150, packet_id=2, properties=user_properties(110)),
        }
        interesting = b"\x00\x01\x02\x7f\x80\x81\xff\x30\x32\x34\x3f\x20"
        violations = 0
        for number in range(10_000):  # each whole and cut once
            mqtt5 = bool(number & 1)
            stream = bytearray(seeds[mqtt5])
            for _ in range(random.randrange(1, 5)):
                at = random.randrange(len(stream) if random.random() < 0.5 else 30)  # 30: heads
                change = random.randrange(4)
                if change == 0:
                    stream[at] = random.choice(interesting)
                elif change == 1:
                    stream[at] ^= 1 << random.randrange(8)
                elif change == 2:
                    del stream[at : at + random.randrange(1, 9)]
                else:
                    stream[at:at] = random.randbytes(random.randrange(1, 5))
            # What follows completes many a packet whose length was changed.
            whole = bytes(stream) + encode_packet(0x20, b"\x7f" * 400)
            cut = random.randrange(len(stream) + 1)
            calls, violation = self.outcome([whole], mqtt5=mqtt5)
            self.assertEqual(self.outcome([whole[:cut], whole[cut:]], mqtt5=mqtt5), (calls, violation), whole)
            violations += violation
            for call in calls:
                # Whatever was made of it keeps what the receiver may rely on.
                if call[0] == "publish":
                    assert len(call[2]) <= 100, call  # type: ignore[arg-type]
                elif call[0] == "oversized":
                    assert call[2] > 100, call  # type: ignore[operator]
        # Else the loop would prove nothing.
        self.assertGreater(violations, 1500)
        self.assertLess(violations, 8_500)

    def outcome(self, chunks: list[bytes], *, mqtt5: bool) -> tuple[list[Call], bool]:
        reader, calls = self.reader(mqtt5=mqtt5)
        try:
            self.feed_all(reader, chunks)
        except ProtocolViolation:
            return calls, True
        return calls, False

    def feed_all(self, reader: PacketReader, chunks: list[bytes]) -> None:
        for chunk in chunks:
            reader.feed(chunk)


class VariableByteIntegerTests(SynchronousTestCase):
    def test_it_is_read_from_its_place_with_where_it_ends(self) -> None:
        for value, encoded in (
            (0, b"\x00"),
            (127, b"\x7f"),
            (128, b"\x80\x01"),
            (16_383, b"\xff\x7f"),
            (16_384, b"\x80\x80\x01"),
            (2_097_151, b"\xff\xff\x7f"),
            (2_097_152, b"\x80\x80\x80\x01"),
            (268_435_455, b"\xff\xff\xff\x7f"),
        ):
            self.assertEqual(variable_byte_integer(b"xx" + encoded + b"\xff", 2), (value, 2 + len(encoded)))

    def test_while_it_is_incomplete_it_ends_at_0(self) -> None:
        for data in (b"", b"\x80", b"\xff\xff", b"\xff\xff\xff"):
            self.assertEqual(variable_byte_integer(data, 0), (0, 0))

    def test_a_fifth_byte_is_a_violation(self) -> None:
        for data in (b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x01"):
            self.assertRaises(ProtocolViolation, variable_byte_integer, data, 0)


class EncodingTests(SynchronousTestCase):
    def test_what_is_written_is_as_the_specification_has_it(self) -> None:
        # Table 1-1 of MQTT 5 section 1.5.5: the first and the last of each size.
        for value, encoded in (
            *((0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (16_383, b"\xff\x7f"), (16_384, b"\x80\x80\x01")),
            *((2_097_151, b"\xff\xff\x7f"), (2_097_152, b"\x80\x80\x80\x01"), (268_435_455, b"\xff\xff\xff\x7f")),
        ):
            self.assertEqual(encode_length(value), encoded)
        self.assertEqual(encode_length(1, least=3), b"\x81\x80\x00")
        self.assertEqual(encode_packet(0x20, b"\0\0"), b"\x20\x02\0\0")
        self.assertEqual(encode_publish(b"t", b"p", 0, mqtt5=False), b"\x30\x04\x00\x01tp")
        self.assertEqual(encode_publish(b"t", b"p", 258, retain=True, mqtt5=True), b"\x33\x07\x00\x01t\x01\x02\x00p")
        self.assertEqual(
            encode_publish(b"t", b"", 1, dup=True, mqtt5=True, properties=b"\x01\x01"),
            b"\x3a\x08\0\x01t\0\x01\x02\x01\x01",
        )
