"""CONNACK, whole or broken, however the network cuts it."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.connack import Connack, ConnackReader
from aiot_mqtt.mqtt.errors import ProtocolViolation
from rig.selection import rounds

ALL_PROPERTIES = (
    b"\x11\x00\x00\x00\x0a\x12\x00\x01c\x13\x00\x02\x15\x00\x01a\x16\x00\x01d\x1a\x00\x01i\x1c\x00\x01s\x1f\x00\x01r"
    b"\x21\x00\x14\x22\x00\x0a\x24\x01\x25\x00\x26\x00\x01n\x00\x01v\x26\x00\x00\x00\x00\x27\x00\x00\x01\x00\x28\x00"
    b"\x29\x01\x2a\x00"
)


def connack(properties: bytes, code: int = 0, flags: int = 0) -> bytes:
    body = bytes((flags, code, len(properties))) + properties
    return b"\x20" + bytes((len(body),)) + body


class ConnackTests(SynchronousTestCase):
    def read(self, *parts: bytes, mqtt5: bool = True) -> tuple[Connack, bytes] | None:
        reader = ConnackReader(mqtt5=mqtt5)
        for number, part in enumerate(parts):
            if (read := reader.feed(part)) is not None:
                return read[0], read[1] + b"".join(parts[number + 1 :])
        return None

    def test_every_property_is_read_wherever_it_is_cut(self) -> None:
        stream = connack(ALL_PROPERTIES, flags=1) + b"rest"
        whole = self.read(stream)
        assert whole is not None
        self.assertTrue(whole[0].session_present)
        self.assertEqual((whole[0].number(0x11), whole[0].number(0x28), whole[0].number(0x0B)), (10, 0, None))
        self.assertEqual((whole[0].text(0x1F), whole[0].text(0x1C), whole[0].text(0x11)), (b"r", b"s", b""))
        self.assertEqual(whole[1], b"rest")
        for at in range(1, len(stream)):
            self.assertEqual(self.read(stream[:at], stream[at:]), whole)
        self.assertEqual(self.read(*(stream[at : at + 1] for at in range(len(stream)))), whole)

    def test_it_waits_for_all_of_it(self) -> None:
        stream = connack(ALL_PROPERTIES)
        for at in range(len(stream)):
            self.assertIsNone(self.read(stream[:at]))

    def test_a_refusal_is_one_in_whatever_form_it_comes(self) -> None:
        for stream, code in (
            (b"\x20\x02\x00\x01", 1),
            (b"\x20\x02\x00\x84", 0x84),
            (b"\x20\x03\x00\x97\x00", 0x97),
            (b"\x20\x03\x00\x87\x09", 0x87),
            (b"\x20\x04\x00\x87\x01\xff", 0x87),
        ):
            for mqtt5 in (True, False):
                read = self.read(stream, mqtt5=mqtt5)
                assert read is not None, stream
                self.assertEqual(read[0].code, code)

    def test_what_is_none_is_a_violation(self) -> None:
        for stream, mqtt5 in (
            (b"\x20\x02\x00\x00", True),
            (b"\x20\x03\x00\x00\x00", False),
            (b"\x20\x00", True),
            (b"\x20\x01\x00", False),
            (b"\x21\x03\x00\x00\x00", True),
            (b"\x20\x03\x02\x00\x00", True),
            (b"\x20\x02\xff\x00", False),
            (b"\x20\x04\x00\x00\x00\x00", True),
            (b"\x20\xff\xff\xff\xff\x01", True),
            (b"HTTP/1.1 400 Bad Request\r\n", True),
            (b"\x00", True),
            (connack(b"\x11\x00\x00\x00\x0a\x11\x00\x00\x00\x0a"), True),
            (connack(b"\x7f"), True),
            (connack(b"\x1f\x00\x09r"), True),
            (connack(b"\x11\x00") + b"\x00\x00\x00", True),
        ):
            self.assertRaises(ProtocolViolation, self.read, stream, mqtt5=mqtt5)

    def test_no_bytes_do_anything_else(self) -> None:
        random = Random(5)
        for number in range(rounds(20_000)):
            stream = bytearray(connack(ALL_PROPERTIES, flags=1))
            for _ in range(random.randrange(1, 4)):
                stream[random.randrange(len(stream))] = random.randrange(256)
            try:
                whole = self.read(bytes(stream), mqtt5=bool(number & 1))
            except ProtocolViolation as error:
                whole, violation = None, str(error)
            else:
                violation = ""
            try:
                cut = self.read(
                    *(bytes(stream[at : at + 5]) for at in range(0, len(stream), 5)), mqtt5=bool(number & 1)
                )
            except ProtocolViolation as error:
                self.assertEqual(str(error), violation)
            else:
                self.assertEqual((cut, violation), (whole, ""))
