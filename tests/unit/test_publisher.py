from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.encoding import encode_publish
from aiot_mqtt.mqtt.errors import ConnectionRefused, MqttError
from aiot_mqtt.simulate.fleet import Message
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions, encode_connect
from tests.doubles import Received, Transport

CONNACK_311 = b"\x20\x02\x00\x00"
CONNACK_5_OF_20 = b"\x20\x06\x00\x00\x03\x21\x00\x14"  # Receive Maximum 20
SUCCESSFUL = Failure(ConnectionDone())


def message(number: int = 0, *, retain: bool = False) -> Message:
    return Message(0.0, number, "data", b"devices/a/data", b'{"n": %d}' % number, retain, "ordinary")


def puback(*packet_ids: int) -> bytes:
    return b"".join(b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in packet_ids)


class EncodingTests(SynchronousTestCase):
    def test_publish_is_read_back_as_it_was(self) -> None:
        for mqtt5 in (False, True):
            received = Received(mqtt5=mqtt5)
            for size in (0, 1, 100, 127, 128, 16_383, 16_384, 300_000):
                received.feed(encode_publish(b"t/x", b"p" * size, 7, retain=size == 1, mqtt5=mqtt5))
                received.feed(encode_publish(b"t/x", b"p" * size, 0, retain=False, mqtt5=mqtt5))
                self.assertEqual(
                    received.publishes[-2:], [(b"t/x", b"p" * size, 7, size == 1), (b"t/x", b"p" * size, 0, False)]
                )

    def test_connect(self) -> None:
        self.assertEqual(
            encode_connect(PublisherOptions("me", mqtt5=False)), b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me"
        )
        self.assertEqual(
            encode_connect(PublisherOptions("me", username="u", password="é")),
            b"\x10\x16\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x02me\x00\x01u\x00\x02\xc3\xa9",
        )

    def test_a_password_is_not_shown(self) -> None:
        self.assertNotIn("geheim", repr(PublisherOptions("me", username="u", password="geheim")))


class PublisherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.progressed = 0

    def count_progress(self) -> None:
        self.progressed += 1

    def connect(self, connack: bytes = CONNACK_311, **options: Any) -> Publisher:
        options.setdefault("mqtt5", False)
        publisher = Publisher(PublisherOptions("me", **options), self.clock, self.count_progress)
        self.transport = Transport()
        publisher.makeConnection(self.transport)
        self.assertEqual(self.transport.value()[:1], b"\x10")
        self.transport.clear()
        self.assertEqual(publisher.room, 0)
        if connack:
            publisher.dataReceived(connack)
            self.successResultOf(publisher.accepted)
        return publisher

    def test_the_broker_of_mqtt_5_says_how_many_may_be_in_flight(self) -> None:
        self.assertEqual(self.connect(CONNACK_5_OF_20, mqtt5=True).room, 20)
        self.assertEqual(self.connect(CONNACK_5_OF_20, mqtt5=True, window=5).room, 5)
        self.assertEqual(self.connect(b"\x20\x03\x00\x00\x00", mqtt5=True, window=500).room, 500)

    def test_what_is_sent_takes_room_until_it_is_acknowledged(self) -> None:
        publisher = self.connect(window=3)
        publisher.send([message(1), message(2, retain=True)])
        received = Received(mqtt5=False)
        received.feed(self.transport.value())
        self.assertEqual(
            received.publishes,
            [(b"devices/a/data", b'{"n": 1}', 1, False), (b"devices/a/data", b'{"n": 2}', 2, True)],
        )
        self.assertEqual((publisher.room, publisher.in_flight), (1, 2))
        self.progressed = 0
        publisher.dataReceived(puback(1, 2))
        self.assertEqual((publisher.room, publisher.acknowledged, self.progressed), (3, 2, 1))

    def test_acknowledgements_are_counted_however_the_network_cuts_them(self) -> None:
        stream = puback(*range(1, 60)) + b"\xd0\x00" + puback(60) + b"\x40\x03\x00\x3d\x10" + puback(62)
        for size in range(1, 20):
            publisher = self.connect(window=100)
            publisher.send([message(number) for number in range(62)])
            for at in range(0, len(stream), size):
                publisher.dataReceived(stream[at : at + size])
            self.assertEqual((publisher.acknowledged, publisher.no_subscriber, publisher.in_flight), (62, 1, 0))

    def test_identifiers_begin_again_after_65535_and_are_never_0(self) -> None:
        publisher = self.connect(window=65535)
        publisher.send([message()] * 65535)
        publisher.dataReceived(puback(*range(1, 65536)))
        self.transport.clear()
        publisher.send([message()])
        received = Received(mqtt5=False)
        received.feed(self.transport.value())
        self.assertEqual(received.publishes[0][2], 1)

    def test_a_refusal_is_counted_by_its_reason_and_gives_room(self) -> None:
        publisher = self.connect(CONNACK_5_OF_20, mqtt5=True)
        publisher.send([message(1), message(2)])
        publisher.dataReceived(b"\x40\x03\x00\x01\x87\x40\x02\x00\x02")
        self.assertEqual(publisher.refused, {"Not authorized (135)": 1})
        self.assertEqual((publisher.acknowledged, publisher.room), (1, 20))

    def test_qos_0_is_held_back_only_by_the_network(self) -> None:
        publisher = self.connect(qos=0, window=1)
        publisher.send([message()] * 50)
        self.assertGreater(publisher.room, 1000)
        self.assertEqual(publisher.in_flight, 0)
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        self.assertEqual(publisher.room, 0)
        self.transport.producer.resumeProducing()
        self.assertGreater(publisher.room, 1000)

    def test_a_refused_connection_says_why(self) -> None:
        for connack, mqtt5, reason in (
            (b"\x20\x02\x00\x05", False, "not authorized"),
            (b"\x20\x03\x00\x87\x00", True, "Not authorized (135)"),
        ):
            publisher = self.connect(b"", mqtt5=mqtt5)
            publisher.dataReceived(connack)
            self.assertEqual(str(self.failureResultOf(publisher.accepted, ConnectionRefused).value), reason)
            self.assertTrue(self.transport.disconnected)

    def test_a_connection_that_goes_before_connack_fails(self) -> None:
        publisher = self.connect(b"")
        publisher.connectionLost(SUCCESSFUL)
        self.failureResultOf(publisher.accepted, MqttError)

    def test_the_reason_of_the_end_is_told_and_nothing_more_is_sent(self) -> None:
        publisher = self.connect(CONNACK_5_OF_20, mqtt5=True)
        publisher.dataReceived(b"\xe0\x01\x8e")
        publisher.connectionLost(SUCCESSFUL)
        self.assertIn("Session taken over", self.successResultOf(publisher.closed))
        self.assertEqual(publisher.room, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disconnecting_is_in_order(self) -> None:
        publisher = self.connect()
        closed = publisher.disconnect()
        self.assertEqual(self.transport.value(), b"\xe0\x00")
        self.assertTrue(self.transport.disconnecting)
        publisher.connectionLost(SUCCESSFUL)
        self.assertEqual(self.successResultOf(closed), "disconnected by us")

    def test_what_is_no_mqtt_ends_the_connection(self) -> None:
        publisher = self.connect()
        publisher.dataReceived(b"\x40\xff\xff\xff\xff\xff")
        self.assertTrue(self.transport.disconnected)

    def test_an_idle_connection_is_kept_alive(self) -> None:
        self.connect()
        self.clock.advance(30)
        self.assertEqual(self.transport.value(), b"\xc0\x00")
