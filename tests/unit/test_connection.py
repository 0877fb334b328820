"""One connection over a transport in memory, against packets made by hand from the specifications."""

from __future__ import annotations

import socket
from random import Random
from types import SimpleNamespace

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt import sending
from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.encoding import encode_length, encode_packet, encode_publish, encode_text
from aiot_mqtt.mqtt.errors import ConnectionRefused, MqttError, Unanswered
from aiot_mqtt.mqtt.keep_alive import HEARD_LATELY, UNATTENDED
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.reason_codes import suback_reason
from tests.doubles import RecordingReceiver, Transport

V5_CONNACK = b"\x20\x03\x00\x00\x00"
V311_CONNACK = b"\x20\x02\x00\x00"
PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
TOPICS = ["devices/+/data", "devices/+/status", "devices/+/heartbeat"]


def text(value: str) -> bytes:
    return encode_text(value.encode())


def publish(packet_id: int, payload: bytes = b"{}", *, mqtt5: bool = True) -> bytes:
    return encode_publish(b"devices/d1/data", payload, packet_id, mqtt5=mqtt5)


class ConnectionTestCase(SynchronousTestCase):
    def connect(
        self,
        *,
        mqtt5: bool = True,
        username: str = "",
        password: str = "",
        keepalive: int = 60,
        session_expiry: int = 604800,
        receive_maximum: int = 65535,
        max_payload: int = 65536,
    ) -> MqttConnection:
        self.clock = Clock()
        self.transport = Transport()
        self.receiver = RecordingReceiver()
        options = ConnectOptions(
            "cid", mqtt5, username, password, keepalive, session_expiry, receive_maximum, max_payload
        )
        connection = MqttConnection(options, self.receiver, self.clock)
        connection.makeConnection(self.transport)
        return connection

    def accepted(self, *, mqtt5: bool = True, keepalive: int = 60, max_payload: int = 65536) -> MqttConnection:
        """A connection whose CONNECT was accepted, with nothing written since."""
        connection = self.connect(mqtt5=mqtt5, keepalive=keepalive, max_payload=max_payload)
        connection.dataReceived(V5_CONNACK if mqtt5 else V311_CONNACK)
        self.assertFalse(self.successResultOf(connection.accepted).session_present)
        self.transport.clear()
        self.receiver.calls.clear()
        return connection

    def written(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def lose(self, connection: MqttConnection, reason: Exception | None = None) -> str:
        """The end of the transport; returns the reason the connection gives."""
        connection.connectionLost(Failure(reason or ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        closed: str = self.successResultOf(connection.closed)
        return closed


class PahoHookTests(SynchronousTestCase):
    def test_paho_still_asks_its_private_hook_for_a_socket(self) -> None:
        message = (
            "paho-mqtt changed: Client.connect() no longer takes its socket from Client._create_socket(), on which "
            "aiot_mqtt.mqtt.paho_client is built; keep paho-mqtt below this version in setup.cfg"
        )
        if not callable(getattr(paho.Client, "_create_socket", None)):
            self.fail(message)

        class Socket:
            def __init__(self) -> None:
                self.sent = b""

            def recv(self, buffer_size: int) -> bytes:
                raise BlockingIOError

            def send(self, buffer: bytes) -> int:
                self.sent += bytes(buffer)
                return len(buffer)

            def close(self) -> None:
                pass

            def fileno(self) -> int:
                return -1

            def setblocking(self, flag: bool) -> None:
                pass

        socket = Socket()

        class Client(paho.Client):
            def _create_socket(self) -> Socket:  # type: ignore[override]
                return socket

        client = Client(CallbackAPIVersion.VERSION2, "cid")
        try:
            # Nothing listens there: without the hook this is refused at once and goes no further than this host.
            client.connect("127.0.0.1", 9)
        except OSError:
            self.fail(message)
        client.loop_write()
        self.assertEqual(socket.sent[:8], b"\x10\x0f\x00\x04MQTT", message)


class ConnectTests(ConnectionTestCase):
    def test_connect_of_mqtt_5_keeps_the_session_and_asks_for_the_whole_window(self) -> None:
        self.connect()
        self.assertEqual(
            self.written(),
            b"\x10\x18\x00\x04MQTT\x05"
            b"\x00"  # flags: clean start off, no will, no name
            b"\x00\x3c"
            b"\x08\x11\x00\x09\x3a\x80\x21\xff\xff"  # session expiry 604800 s, receive maximum 65535
            b"\x00\x03cid",
        )

    def test_connect_of_mqtt_5_says_what_the_options_say(self) -> None:
        self.connect(username="u", password="pä", keepalive=5, session_expiry=4294967295, receive_maximum=1)
        self.assertEqual(
            self.written(),
            b"\x10\x20\x00\x04MQTT\x05\xc0\x00\x05\x08\x11\xff\xff\xff\xff\x21\x00\x01\x00\x03cid\x00\x01u\x00\x03p\xc3\xa4",
        )

    def test_connect_of_mqtt_311_keeps_the_session(self) -> None:
        self.connect(mqtt5=False)
        self.assertEqual(self.written(), b"\x10\x0f\x00\x04MQTT\x04\x00\x00\x3c\x00\x03cid")

    def test_connect_of_mqtt_311_carries_name_and_password(self) -> None:
        self.connect(mqtt5=False, username="u", password="p", keepalive=5)
        self.assertEqual(self.written(), b"\x10\x15\x00\x04MQTT\x04\xc0\x00\x05\x00\x03cid\x00\x01u\x00\x01p")

    def test_a_name_alone_is_sent_without_a_password(self) -> None:
        self.connect(mqtt5=False, username="u")
        self.assertEqual(self.written(), b"\x10\x12\x00\x04MQTT\x04\x80\x00\x3c\x00\x03cid\x00\x01u")

    def test_the_options_never_show_the_password(self) -> None:
        options = ConnectOptions("cid", username="somebody", password="hunter2")
        self.assertEqual(repr(options), "ConnectOptions(client_id='cid', mqtt5=True)")
        self.assertNotIn("hunter2", str(options))


class ConnackTests(ConnectionTestCase):
    def test_accepted_tells_whether_the_broker_kept_a_session(self) -> None:
        for mqtt5, connack, kept in (
            (True, b"\x20\x03\x00\x00\x00", False),
            (True, b"\x20\x03\x01\x00\x00", True),
            (True, b"\x20\x06\x01\x00\x03\x21\x00\x14", True),
            (False, b"\x20\x02\x00\x00", False),
            (False, b"\x20\x02\x01\x00", True),
        ):
            connection = self.connect(mqtt5=mqtt5)
            for at in range(len(connack)):
                self.assertNoResult(connection.accepted)
                connection.dataReceived(connack[at : at + 1])
            self.assertIs(self.successResultOf(connection.accepted).session_present, kept)
            self.assertNoResult(connection.closed)

    def refusal(self, mqtt5: bool, connack: bytes) -> ConnectionRefused:
        connection = self.connect(mqtt5=mqtt5)
        connection.dataReceived(connack)
        error = self.failureResultOf(connection.accepted, ConnectionRefused).value
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.lose(connection), str(error))
        assert isinstance(error, ConnectionRefused)
        return error

    def test_a_refusal_of_mqtt_311_keeps_its_code(self) -> None:
        for code, reason in (
            (1, "unacceptable protocol version"),
            (2, "identifier rejected"),
            (3, "server unavailable"),
            (4, "bad user name or password"),
            (5, "not authorized"),
        ):
            error = self.refusal(False, bytes([0x20, 2, 0, code]))
            self.assertEqual((error.code, error.v311_code, str(error)), (code, code, reason))
            self.assertEqual(error.is_about_protocol, code == 1)
        error = self.refusal(False, b"\x20\x02\x00\x06")
        self.assertEqual((error.v311_code, str(error), error.is_about_protocol), (None, "return code 6", False))

    def test_a_refusal_of_mqtt_5_has_the_code_that_mqtt_311_gives_the_same(self) -> None:
        for code, v311_code, reason in (
            (0x84, 1, "Unsupported protocol version (132)"),
            (0x85, 2, "Client identifier not valid (133)"),
            (0x86, 4, "Bad user name or password (134)"),
            (0x87, 5, "Not authorized (135)"),
            (0x88, 3, "Server unavailable (136)"),
            (0x80, None, "Unspecified error (128)"),
            (0x8A, None, "Banned (138)"),
            (0x9F, None, "Connection rate exceeded (159)"),
            (0xFE, None, "reason code 254"),
            # What a broker answers that does not know MQTT 5 at all.
            (1, 1, "unacceptable protocol version"),
        ):
            error = self.refusal(True, bytes([0x20, 3, 0, code, 0]))
            self.assertEqual((error.code, error.v311_code, str(error)), (code, v311_code, reason))
            self.assertEqual(error.is_about_protocol, v311_code == 1)

    def test_a_broker_that_does_not_know_mqtt_5_may_answer_in_the_form_of_311(self) -> None:
        self.assertTrue(self.refusal(True, b"\x20\x02\x00\x01").is_about_protocol)

    def test_nothing_that_follows_a_refusal_is_taken(self) -> None:
        connection = self.connect()
        connection.dataReceived(b"\x20\x03\x00\x87\x00" + publish(1))
        self.failureResultOf(connection.accepted, ConnectionRefused)
        self.assertEqual([call[0] for call in self.receiver.calls], ["started", "finished"])

    def test_a_close_instead_of_connack_is_told_apart(self) -> None:
        connection = self.connect()
        self.lose(connection)
        error = self.failureResultOf(connection.accepted, Unanswered)
        self.assertEqual(
            error.getErrorMessage(),
            "the broker closed the connection instead of answering CONNECT (the broker closed the connection)",
        )

    def test_a_connection_reset_instead_of_connack_is_told_apart_too(self) -> None:
        connection = self.connect()
        self.lose(connection, ConnectionLost("reset"))
        self.failureResultOf(connection.accepted, Unanswered)

    def test_a_connection_that_failed_for_another_reason_says_nothing_about_the_protocol(self) -> None:
        connection = self.connect()
        self.assertEqual(self.lose(connection, OSError("certificate verify failed")), "certificate verify failed")
        self.assertIsNone(self.failureResultOf(connection.accepted, MqttError).check(Unanswered))

    def test_a_close_of_ours_before_connack_is_not_the_brokers(self) -> None:
        for close in ("abort", "disconnect"):
            connection = self.connect()
            if close == "abort":
                connection.abort("too slow")
            else:
                connection.disconnect()
            self.lose(connection)
            error = self.failureResultOf(connection.accepted, MqttError)
            self.assertIsNone(error.check(Unanswered), close)

    def test_a_second_connack_is_a_violation(self) -> None:
        connection = self.accepted()
        connection.dataReceived(V5_CONNACK)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.lose(connection), "the broker broke the MQTT protocol: a second CONNACK")

    def test_anything_before_connack_is_a_violation(self) -> None:
        for what, packet in (
            ("PINGRESP", PINGRESP),
            ("SUBACK", b"\x90\x04\x00\x01\x00\x01"),
            ("AUTH", b"\xf0\x00"),
            ("DISCONNECT", b"\xe0\x01\x8e"),
        ):
            self.assert_violation_before_connack(what, packet)

    def test_publish_before_connack_is_a_violation(self) -> None:
        # MQTT-3.2.0-1: the first packet from the server is CONNACK. A PUBACK for what came before it would go to a
        # broker that has not yet said whose session this is.
        self.assert_violation_before_connack("PUBLISH", publish(1))

    def assert_violation_before_connack(self, what: str, packet: bytes) -> None:
        connection = self.connect()
        connection.dataReceived(packet + V5_CONNACK)
        self.assertTrue(self.transport.disconnected, what)
        self.assertEqual([call[0] for call in self.receiver.calls], ["started", "finished"], what)
        self.assertTrue(self.lose(connection).startswith("the broker broke the MQTT protocol: "), what)
        self.failureResultOf(connection.accepted, MqttError)


class PublishTests(ConnectionTestCase):
    def test_the_receiver_knows_the_connection_before_anything_can_arrive(self) -> None:
        connection = self.connect()
        self.assertEqual(self.receiver.calls, [("started", connection)])

    def test_publish_in_the_read_of_connack_reaches_the_receiver_after_its_connection(self) -> None:
        for mqtt5, connack in ((True, V5_CONNACK), (False, V311_CONNACK)):
            connection = self.connect(mqtt5=mqtt5)
            connection.dataReceived(connack + publish(1, mqtt5=mqtt5) + publish(2, b"[]", mqtt5=mqtt5))
            self.assertEqual(
                self.receiver.calls,
                [
                    ("started", connection),
                    ("publish", b"devices/d1/data", b"{}", 1, False),
                    ("publish", b"devices/d1/data", b"[]", 2, False),
                    ("finished",),
                ],
            )
            self.assertFalse(self.successResultOf(connection.accepted).session_present)

    def test_read_finished_comes_once_a_read_and_after_all_of_it(self) -> None:
        connection = self.accepted()
        connection.dataReceived(publish(1) + PINGRESP + publish(2)[:5])
        connection.dataReceived(publish(2)[5:])
        self.assertEqual([call[0] for call in self.receiver.calls], ["publish", "finished", "publish", "finished"])

    def test_an_oversized_one_is_told_of_and_the_next_one_taken(self) -> None:
        connection = self.accepted(max_payload=10)
        connection.dataReceived(publish(1, b"x" * 11) + publish(2, b"x" * 10))
        self.assertEqual(
            self.receiver.calls,
            [
                ("oversized", b"devices/d1/data", 11, 1, 10),
                ("publish", b"devices/d1/data", b"x" * 10, 2, False),
                ("finished",),
            ],
        )

    def test_nothing_is_acknowledged_unasked(self) -> None:
        connection = self.accepted()
        connection.dataReceived(publish(1) + publish(2))
        self.assertEqual(self.written(), b"")

    def test_nothing_is_taken_after_the_end(self) -> None:
        for end in ("abort", "disconnect"):
            connection = self.accepted()
            if end == "abort":
                connection.abort("enough")
            else:
                connection.disconnect()
            connection.dataReceived(publish(1))
            self.assertEqual(self.receiver.calls, [], end)


class AcknowledgeTests(ConnectionTestCase):
    def test_pubacks_go_out_in_the_order_given(self) -> None:
        for mqtt5 in (True, False):
            self.accepted(mqtt5=mqtt5).acknowledge([1, 65535, 256, 2, 2])
            self.assertEqual(
                self.written(),
                b"\x40\x02\x00\x01\x40\x02\xff\xff\x40\x02\x01\x00\x40\x02\x00\x02\x40\x02\x00\x02",
            )

    def test_none_is_sent_once_the_connection_is_gone(self) -> None:
        for end in ("abort", "disconnect", "lost"):
            connection = self.accepted()
            if end == "abort":
                connection.abort("enough")
            elif end == "disconnect":
                connection.disconnect()
            else:
                self.lose(connection)
            self.written()
            connection.acknowledge([1, 2])
            self.assertEqual(self.written(), b"", end)


class TcpAcknowledgementTests(ConnectionTestCase):
    def options_set_by_reads(self, transport: object) -> list[tuple[int, int, int]]:
        """What two reads set on the socket."""
        connection = self.accepted()
        options: list[tuple[int, int, int]] = []
        tcp = SimpleNamespace(socket=SimpleNamespace(setsockopt=lambda *option: options.append(option)))
        connection.transport = tcp if transport == "tcp" else SimpleNamespace(transport=tcp)  # type: ignore[assignment]
        connection.dataReceived(publish(1))
        connection.dataReceived(publish(2))
        return options

    def test_each_read_is_acknowledged_at_once(self) -> None:
        at_once = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        for transport in ("tcp", "tls"):
            self.assertEqual(self.options_set_by_reads(transport), [at_once, at_once], transport)

    def test_a_system_without_that_option_is_served_too(self) -> None:
        self.patch(socket, "TCP_QUICKACK", None)
        del socket.TCP_QUICKACK
        self.assertEqual(self.options_set_by_reads("tcp"), [])
        self.assertEqual(len(self.receiver.calls), 4)


class QoS2Tests(ConnectionTestCase):
    """A session whose earlier subscriber had asked for QoS 2."""

    def publish(self, packet_id: int, *, mqtt5: bool, dup: bool = False) -> bytes:
        at_qos_1 = publish(packet_id, mqtt5=mqtt5)
        return bytes([0x34 | 8 * dup]) + at_qos_1[1:]

    def test_each_is_answered_as_it_came_and_in_order(self) -> None:
        for mqtt5 in (True, False):
            connection = self.accepted(mqtt5=mqtt5)
            connection.dataReceived(
                publish(1, mqtt5=mqtt5)
                + self.publish(2, mqtt5=mqtt5)
                + publish(3, mqtt5=mqtt5)
                + self.publish(0x0400, mqtt5=mqtt5)
            )
            self.assertEqual([call[3] for call in self.receiver.calls[:-1]], [1, 2, 3, 0x0400])
            self.assertEqual(self.written(), b"")  # not before it is stored
            connection.acknowledge([1, 2])
            self.assertEqual(self.written(), b"\x40\x02\x00\x01\x50\x02\x00\x02")
            connection.acknowledge([3, 0x0400])
            self.assertEqual(self.written(), b"\x40\x02\x00\x03\x50\x02\x04\x00")

    def test_one_that_came_twice_before_it_was_answered_is_answered_so_twice(self) -> None:
        connection = self.accepted()
        connection.dataReceived(self.publish(5, mqtt5=True) + self.publish(5, mqtt5=True, dup=True))
        connection.acknowledge([5])
        connection.acknowledge([5])
        self.assertEqual(self.written(), b"\x50\x02\x00\x05" * 2)

    def test_an_identifier_is_used_again_at_another_qos(self) -> None:
        connection = self.accepted()
        connection.dataReceived(self.publish(7, mqtt5=True))
        connection.acknowledge([7])
        connection.dataReceived(b"\x62\x02\x00\x07" + publish(7))
        connection.acknowledge([7])
        self.assertEqual(self.written(), b"\x50\x02\x00\x07\x70\x02\x00\x07\x40\x02\x00\x07")

    def test_each_pubrel_is_answered_also_one_that_was_left_over(self) -> None:
        pubrels = [b"\x62\x02\x00\x07", b"\x62\x02\xff\xff"]
        for mqtt5, packets in (
            (False, pubrels),
            (True, pubrels),
            (True, [b"\x62\x03\x00\x07\x92", b"\x62\x04\xff\xff\x00\x00"]),
            (True, [b"\x62\x08\x00\x07\x00\x04\x1f\x00\x01r", b"\x62\x03\xff\xff\xfe"]),
        ):
            connection = self.accepted(mqtt5=mqtt5)
            for packet in packets:
                for at in range(len(packet)):
                    connection.dataReceived(packet[at : at + 1])
            self.assertEqual(self.written(), b"\x70\x02\x00\x07\x70\x02\xff\xff")
            self.assertNoResult(connection.closed)

    def test_one_that_is_sent_again_before_its_pubrec_is_handed_over_again(self) -> None:
        connection = self.accepted()
        connection.dataReceived(self.publish(7, mqtt5=True) + self.publish(7, mqtt5=True, dup=True))
        self.assertEqual([call[0] for call in self.receiver.calls], ["publish", "publish", "finished"])

    def test_a_broker_that_reads_no_answers_is_given_up_before_they_pile_up(self) -> None:
        self.assertGreater(sending.MAX_UNSENT, 2 * 4 * 65_535)  # all that a broker may have unacknowledged
        self.patch(sending, "MAX_UNSENT", 10_000)
        connection = self.accepted()
        producer = self.transport.producer
        assert producer is not None
        pubrels = b"\x62\x02\x00\x07" * 100
        for _ in range(50):
            connection.dataReceived(pubrels)  # while it reads, there is no bound
            self.written()
        producer.pauseProducing()
        read = 0
        while not self.transport.disconnected:
            connection.dataReceived(pubrels)
            read += len(pubrels)
        self.assertEqual(read, 10_400)
        self.assertIn("reads nothing", self.lose(connection))

    def test_a_broker_that_reads_on_is_forgiven(self) -> None:
        connection = self.accepted()
        producer = self.transport.producer
        assert producer is not None
        for _ in range(10):
            producer.pauseProducing()
            connection._sending.write(bytes(sending.MAX_UNSENT - 100))
            connection.dataReceived(b"\x62\x02\x00\x07" * 20)
            producer.resumeProducing()
        self.assertFalse(self.transport.disconnected)


class BigPacketsTests(ConnectionTestCase):
    """MQTT 5 has no bound for user properties but that of a packet."""

    def properties(self, count: int) -> bytes:
        return (b"\x26\x00\x08property\x01\xf4" + b"x" * 500) * count

    def packet(self, first: int, before: bytes, properties: bytes, after: bytes = b"") -> bytes:
        return encode_packet(first, before + encode_length(len(properties)) + properties + after)

    def test_a_connack_of_any_length_is_taken_and_little_of_it_held(self) -> None:
        for count in (10, 140, 5_000):
            granted = b"\x11\x00\x00\x00\x3c"
            connack = self.packet(0x20, b"\x01\x00", self.properties(count) + granted + self.properties(1))
            for size in (len(connack) + 9, 4_096, 1_000):
                connection = self.connect()
                stream = connack + publish(1)
                for at in range(0, len(stream), size):
                    connection.dataReceived(stream[at : at + size])
                    self.assertLess(len(connection._connack_reader.held), 600)
                accepted = self.successResultOf(connection.accepted)
                self.assertTrue(accepted.session_present)
                self.assertEqual(accepted.properties, {0x11: 60})
                self.assertEqual(self.receiver.calls[-2][0], "publish")

    def test_so_is_what_answers_a_subscription(self) -> None:
        connection = self.accepted()
        answered = connection.subscribe(TOPICS)
        connection.unsubscribe(["x"])
        connection.dataReceived(self.packet(0x90, b"\x00\x01", self.properties(100), b"\x01\x01\x97"))
        connection.dataReceived(self.packet(0xB0, b"\x00\x02", self.properties(100), b"\x00"))
        self.assertEqual(self.successResultOf(answered), [1, 1, 0x97])
        self.assertNoResult(connection.closed)

    def test_and_a_disconnect_whose_reason_is_told_in_the_brokers_words(self) -> None:
        for properties, said in (
            (b"\x1f\x00\x09too\nmany!" + self.properties(100), ": too\\nmany!"),
            (b"\x1f\xff\xff" + b"r" * 65_535, ": " + "r" * 100 + "…"),
            (b"\x1f\x00\x02\xff\xfe", ": \\xff\\xfe"),
            (b"\x1f\x00\x09short", ""),
        ):
            connection = self.accepted()
            connection.dataReceived(self.packet(0xE0, b"\x97", properties))
            self.assertEqual(connection.disconnect_code, 0x97)
            self.assertEqual(self.lose(connection), f"the broker disconnected: Quota exceeded (151){said}")

    def test_the_reason_of_a_refusal_is_told_in_the_brokers_words(self) -> None:
        connection = self.connect()
        connection.dataReceived(self.packet(0x20, b"\x00\xa2", b"\x1f\x00\x04none" + self.properties(20)))
        error = self.failureResultOf(connection.accepted, ConnectionRefused)
        self.assertEqual(error.getErrorMessage(), "Wildcard subscription not supported (162): none")

    def test_no_password_that_the_broker_repeats_is_shown(self) -> None:
        for code in (0x80, 0x86, 0x87, 0x8C):
            connection = self.connect(username="u", password="hunter2pw")
            connection.dataReceived(self.packet(0x20, bytes((0, code)), b"\x1f\x00\x0cu/hunter2pw!"))
            said = self.failureResultOf(connection.accepted).getErrorMessage()
            self.assertNotIn("hunter2pw", said)
            connection = self.connect(username="u", password="hunter2pw")
            connection.dataReceived(V5_CONNACK)
            connection.dataReceived(self.packet(0xE0, bytes([code]), b"\x1f\x00\x0cu/hunter2pw!"))
            self.assertIn(": u/***!", self.lose(connection))


class PauseTests(ConnectionTestCase):
    def test_nothing_is_read_until_something_is_acknowledged(self) -> None:
        connection = self.accepted()
        for _ in range(2):
            connection.pause_reading()
            self.assertEqual(self.transport.producerState, "paused")
            connection.acknowledge([1])
            self.assertEqual(self.transport.producerState, "producing")

    def test_a_broker_that_is_not_read_is_not_called_dead(self) -> None:
        connection = self.accepted(keepalive=60)
        connection.pause_reading()
        self.clock.pump([30.0] * 10)
        self.assertFalse(self.transport.disconnected)
        self.assertGreaterEqual(connection.silent_for, HEARD_LATELY)
        connection.acknowledge([1])
        self.clock.pump([30.0, 30.0, 29.0])
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(1.0)
        self.assertTrue(self.transport.disconnected)

    def test_a_connection_that_is_gone_is_left_alone(self) -> None:
        connection = self.accepted()
        self.lose(connection)
        connection.pause_reading()
        self.assertEqual(self.transport.producerState, "producing")


class SubscribeTests(ConnectionTestCase):
    def test_mqtt_5_asks_for_qos_1_and_no_retained_messages(self) -> None:
        self.accepted().subscribe(TOPICS)
        body = b"\x00\x01\x00" + b"".join(text(topic) + b"\x21" for topic in TOPICS)
        self.assertEqual(self.written(), b"\x82" + bytes([len(body)]) + body)

    def test_mqtt_311_asks_for_qos_1(self) -> None:
        self.accepted(mqtt5=False).subscribe(TOPICS)
        body = b"\x00\x01" + b"".join(text(topic) + b"\x01" for topic in TOPICS)
        self.assertEqual(self.written(), b"\x82" + bytes([len(body)]) + body)

    def test_the_answer_is_a_code_a_topic(self) -> None:
        for mqtt5, codes in ((True, [1, 0, 0x87]), (False, [1, 0, 0x80])):
            connection = self.accepted(mqtt5=mqtt5)
            answered = connection.subscribe(TOPICS)
            self.assertNoResult(answered)
            body = b"\x00\x01" + (b"\x00" if mqtt5 else b"") + bytes(codes)
            connection.dataReceived(b"\x90" + bytes([len(body)]) + body)
            self.assertEqual(self.successResultOf(answered), codes)

    def test_each_answer_goes_to_its_own_question(self) -> None:
        connection = self.accepted()
        first, second = connection.subscribe(TOPICS[:1]), connection.subscribe(TOPICS[1:2])
        connection.dataReceived(b"\x90\x04\x00\x02\x00\x87\x90\x04\x00\x63\x00\x01")
        self.assertNoResult(first)
        self.assertEqual(self.successResultOf(second), [0x87])
        connection.dataReceived(b"\x90\x04\x00\x01\x00\x01")
        self.assertEqual(self.successResultOf(first), [1])

    def test_one_may_subscribe_from_the_callback_of_accepted(self) -> None:
        connection = self.connect()
        answers: list[Deferred[list[int]]] = []
        connection.accepted.addCallback(lambda _kept: answers.append(connection.subscribe(TOPICS)))
        self.written()
        connection.dataReceived(V5_CONNACK)
        # SUBSCRIBE alone: what else a client says can wait.
        subscribe = self.written()
        self.assertEqual((subscribe[:1], len(subscribe)), (b"\x82", 2 + subscribe[1]))
        connection.dataReceived(b"\x90\x06\x00\x01\x00\x01\x01\x01")
        self.assertEqual(self.successResultOf(answers[0]), [1, 1, 1])

    def test_an_answer_that_never_comes_fails_with_the_reason_of_the_end(self) -> None:
        connection = self.accepted()
        answered = connection.subscribe(TOPICS)
        self.lose(connection, ConnectionLost("cable"))
        error = self.failureResultOf(answered, MqttError)
        self.assertIn("cable", error.getErrorMessage())

    def test_nobody_can_subscribe_without_a_connection(self) -> None:
        fresh = MqttConnection(ConnectOptions("cid"), RecordingReceiver(), Clock())
        self.assertRaises(MqttError, fresh.subscribe, TOPICS)
        gone = self.accepted()
        self.lose(gone)
        self.assertRaises(MqttError, gone.subscribe, TOPICS)
        self.assertEqual(self.written(), b"")

    def test_unsubscribe_names_its_topics_and_its_answer_is_ignored(self) -> None:
        for mqtt5, answer in ((True, b"\xb0\x04\x00\x01\x00\x00"), (False, b"\xb0\x02\x00\x01")):
            connection = self.accepted(mqtt5=mqtt5)
            connection.unsubscribe(["old/+/data", "x"])
            body = b"\x00\x01" + (b"\x00" if mqtt5 else b"") + text("old/+/data") + text("x")
            self.assertEqual(self.written(), b"\xa2" + bytes([len(body)]) + body)
            connection.dataReceived(answer)
            self.assertNoResult(connection.closed)

    def test_unsubscribe_without_a_connection_does_nothing(self) -> None:
        connection = self.accepted()
        self.lose(connection)
        connection.unsubscribe(["x"])
        self.assertEqual(self.written(), b"")

    def test_the_reason_of_a_denial_is_told_in_words(self) -> None:
        self.assertEqual(suback_reason(0x87), "Not authorized (135)")
        self.assertEqual(suback_reason(0x80), "Unspecified error (128)")
        self.assertEqual(suback_reason(0xFE), "reason code 254")


class KeepAliveTests(ConnectionTestCase):
    def test_a_ping_goes_out_every_second(self) -> None:
        connection = self.accepted(keepalive=60)
        for _ in range(10):
            self.clock.advance(0.75)
            self.assertEqual(self.written(), b"")
            self.clock.advance(0.25)
            self.assertEqual(self.written(), PINGREQ)
            connection.dataReceived(PINGRESP)

    def test_a_broker_that_stops_answering_is_soon_not_heard_any_more(self) -> None:
        connection = self.accepted(keepalive=60)
        for _ in range(10):
            self.clock.advance(1)
            connection.dataReceived(PINGRESP)
            self.assertLess(connection.silent_for, HEARD_LATELY)
        self.clock.pump([1, 1])
        self.assertLess(connection.silent_for, HEARD_LATELY)
        self.clock.advance(1)
        self.assertGreaterEqual(connection.silent_for, HEARD_LATELY)
        self.assertFalse(self.transport.disconnected)
        connection.dataReceived(PINGRESP)
        self.assertLess(connection.silent_for, HEARD_LATELY)
        self.lose(connection)
        self.assertGreaterEqual(connection.silent_for, HEARD_LATELY)

    def test_none_goes_out_before_connack(self) -> None:
        self.connect(keepalive=5)
        self.written()
        self.clock.advance(1000)
        self.assertEqual(self.written(), b"")

    def test_a_broker_that_says_nothing_for_one_and_a_half_periods_is_dead(self) -> None:
        connection = self.accepted(keepalive=60)
        self.clock.pump([30.0, 30.0, 29.9])
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0.1)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.lose(connection), "the broker has said nothing for 90 s")

    def test_whatever_the_broker_says_keeps_it_alive(self) -> None:
        connection = self.accepted(keepalive=60)
        for part in (PINGRESP, publish(1), publish(2)[:1], publish(2)[1:]) * 5:
            self.clock.pump([30.0, 30.0, 29.0])
            connection.dataReceived(part)
        self.assertFalse(self.transport.disconnected)

    def test_the_servers_keep_alive_goes_before_ours(self) -> None:
        connection = self.connect(keepalive=60)
        connection.dataReceived(b"\x20\x06\x00\x00\x03\x13\x00\x0a")
        self.clock.pump([1] * 14)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(1)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.lose(connection), "the broker has said nothing for 15 s")

    def test_a_servers_keep_alive_of_0_turns_none_of_it_against_the_connection(self) -> None:
        # MQTT 5 section 3.2.2.3.14 with 3.1.2.10: 0 turns the broker's own watch off.
        connection = self.connect(keepalive=60)
        connection.dataReceived(b"\x20\x06\x00\x00\x03\x13\x00\x00")
        # Looked at before the clock moves, which would never end with a call that is due at once again and again.
        self.assertTrue(all(call.getTime() >= 1 for call in self.clock.getDelayedCalls()), "a busy loop")
        self.clock.advance(1)
        self.assertFalse(self.transport.disconnected)
        self.assertNoResult(connection.closed)

    def test_it_is_ours_as_long_as_it_is_looked_after(self) -> None:
        connection = self.accepted()
        self.assertEqual(connection.ours_at, 0.0)  # CONNACK
        self.clock.pump([1, 1])
        connection.dataReceived(PINGRESP * 2)
        self.assertEqual(connection.ours_at, 2.0)
        self.clock.rightNow += UNATTENDED - 0.01  # frozen
        self.assertEqual(connection.ours_at, 2.0)

    def test_of_a_broker_that_says_nothing_it_is_only_known_until_when_it_was_ours(self) -> None:
        connection = self.accepted()
        self.clock.pump([1, 1])
        connection.dataReceived(PINGRESP)  # the other one is on its way
        self.clock.pump([0.5] * 5)
        self.assertEqual((connection.is_silent, connection.ours_at), (False, 4.0))
        self.clock.pump([0.5])
        self.assertEqual((connection.is_silent, connection.ours_at), (True, 2.0))
        self.clock.pump([0.5] * 4)
        # What comes now may have been on its way all the time.
        for came, ours_at in ((publish(1), 1.0), (PINGRESP, 2.0), (PINGRESP * 3, 5.0)):
            connection.dataReceived(came)
            self.assertEqual((connection.is_silent, connection.ours_at), (False, ours_at))
        connection.dataReceived(PINGRESP * 2)
        self.assertEqual(connection.ours_at, 7.0)
        self.clock.pump([1])
        self.assertEqual(connection.ours_at, 8.0)  # nothing is doubted any more

    def test_a_broker_that_is_not_read_is_not_called_silent(self) -> None:
        connection = self.accepted()
        connection.pause_reading()
        self.clock.pump([1] * 10)
        self.assertEqual((connection.is_silent, connection.ours_at), (False, 10.0))
        connection.acknowledge([1])
        connection.dataReceived(PINGRESP)
        self.assertEqual((connection.is_silent, connection.ours_at), (False, 10.0))

    def test_after_a_time_without_that_an_answer_is_needed(self) -> None:
        for is_trusted in (False, True):
            connection = self.accepted()
            self.clock.pump([1, 1])
            connection.dataReceived(PINGRESP)
            self.clock.rightNow += UNATTENDED
            self.clock.advance(0)
            self.assertEqual(connection.ours_at, 1.0)  # the one that is answered
            self.clock.pump([1])
            connection.dataReceived(PINGRESP + publish(1))  # to the one of before
            self.assertEqual(connection.ours_at, 2.0)
            if is_trusted:
                connection.trust()
            else:
                connection.dataReceived(PINGRESP * 5)  # more than were asked for
            self.assertEqual(connection.ours_at, 3.0 + UNATTENDED)

    def test_it_can_be_asked_for_at_once(self) -> None:
        connection = self.accepted()
        self.clock.advance(1)
        self.written()
        self.clock.advance(0.5)
        answered = connection.ask()
        self.assertEqual(self.written(), PINGREQ)
        connection.dataReceived(PINGRESP)  # to the one before
        self.assertNoResult(answered)
        connection.dataReceived(PINGRESP)
        self.assertTrue(self.successResultOf(answered))
        answered = connection.ask()
        self.lose(connection)
        self.assertFalse(self.successResultOf(answered))
        self.assertFalse(self.successResultOf(connection.ask()))

    def test_no_timer_outlives_the_connection(self) -> None:
        connection = self.accepted()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.lose(connection)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(ConnectionTestCase):
    def test_the_reason_of_a_disconnect_by_the_broker_is_told(self) -> None:
        for packet, reason in (
            (b"\xe0\x01\x8e", "Session taken over (142)"),
            (b"\xe0\x02\x8e\x00", "Session taken over (142)"),
            (b"\xe0\x01\x8b", "Server shutting down (139)"),
            (b"\xe0\x00", "Normal disconnection (0)"),
            (b"\xe0\x01\xfe", "reason code 254"),
        ):
            connection = self.accepted()
            connection.dataReceived(packet + publish(1))
            self.assertTrue(self.transport.disconnected)
            self.assertEqual(self.receiver.calls, [("finished",)])
            self.assertEqual(self.lose(connection), f"the broker disconnected: {reason}")

    def test_a_malformed_packet_ends_the_connection_with_a_reason(self) -> None:
        for what, packet in (
            ("an unknown kind", b"\x00\x00"),
            ("an empty SUBACK", b"\x90\x00"),
            ("a SUBACK with an unknown code", b"\x90\x04\x00\x01\x00\x55"),
            ("a SUBACK with properties beyond it", b"\x90\x04\x00\x01\x7f\x01"),
            ("an empty UNSUBACK", b"\xb0\x00"),
            ("a PINGRESP with a body", b"\xd0\x01x"),
            ("a CONNECT from a broker", b"\x10\x00"),
            ("a PINGREQ from a broker", b"\xc0\x00"),
            ("a PUBLISH shorter than it says", b"\x30\x05\x00\x09tx\x00"),
            ("a PUBLISH of QoS 3", b"\x36\x06\x00\x01t\x00\x01\x00"),
            ("a PUBREL without a packet identifier", b"\x62\x00"),
            ("a length of five bytes", b"\x30\xff\xff\xff\xff\x7f"),
        ):
            connection = self.accepted()
            connection.dataReceived(packet + publish(1))
            self.assertTrue(self.transport.disconnected, what)
            self.assertEqual(self.receiver.calls, [("finished",)], what)
            self.assertEqual(self.written(), b"", what)
            self.assertRegex(self.lose(connection), "^the broker broke the MQTT protocol: .")

    def test_a_malformed_connack_ends_the_connection_with_a_reason(self) -> None:
        for connack in (b"\x20\x00", b"\x20\x01\x00", b"\x20\x03\x00\x00\x09"):
            connection = self.connect()
            connection.dataReceived(connack)
            self.assertTrue(self.transport.disconnected, connack)
            self.lose(connection)
            error = self.failureResultOf(connection.accepted, MqttError)
            self.assertIn("the broker broke the MQTT protocol: ", error.getErrorMessage())

    def test_the_reason_is_short_however_long_the_malformed_packet_is(self) -> None:
        for what, packet in (
            (
                "a property that is a number without end",
                b"\x90\x8b\x1f\x00\x01\x87\x1f\x80" + b"\xff" * 0x0F85 + b"\x01",
            ),
            ("a SUBACK of thousands of codes", b"\x90\x8b\x27\x00\x01\x00" + b"\x01" * 5000),
        ):
            connection = self.accepted()
            connection.dataReceived(packet)
            self.assertTrue(self.transport.disconnected, what)
            self.assertLess(len(self.lose(connection)), 200, what)

    def test_what_came_before_a_malformed_packet_counts(self) -> None:
        connection = self.accepted()
        connection.dataReceived(publish(1) + b"\x00\x00")
        self.assertEqual(self.receiver.calls, [("publish", b"devices/d1/data", b"{}", 1, False), ("finished",)])

    def test_disconnect_says_so_and_waits_until_what_was_written_is_sent(self) -> None:
        for mqtt5 in (True, False):
            connection = self.accepted(mqtt5=mqtt5)
            connection.acknowledge([1])
            closed = connection.disconnect()
            # No reason code and no properties: normal, and the session stays as long as CONNECT said.
            self.assertEqual(self.written(), b"\x40\x02\x00\x01\xe0\x00")
            self.assertTrue(self.transport.disconnecting)
            self.assertFalse(self.transport.disconnected)
            self.assertNoResult(closed)
            self.lose(connection)
            self.assertIs(closed, connection.closed)

    def test_disconnect_twice_says_it_once(self) -> None:
        connection = self.accepted()
        connection.disconnect()
        connection.disconnect()
        self.assertEqual(self.written(), b"\xe0\x00")
        self.assertEqual(self.lose(connection), "disconnected by us")

    def test_abort_closes_without_a_word(self) -> None:
        connection = self.accepted()
        connection.abort("enough")
        self.assertEqual(self.written(), b"")
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.lose(connection), "enough")

    def test_abort_before_there_is_a_transport_does_nothing(self) -> None:
        receiver = RecordingReceiver()
        connection = MqttConnection(ConnectOptions("cid"), receiver, Clock())
        connection.abort("enough")
        self.assertNoResult(connection.closed)
        self.assertEqual(receiver.calls, [])

    def test_the_first_reason_is_the_true_one(self) -> None:
        connection = self.accepted()
        connection.abort("first")
        connection.abort("second")
        self.assertEqual(self.lose(connection, ConnectionLost("third")), "first")

    def test_a_lost_connection_is_told_in_the_words_of_the_network(self) -> None:
        connection = self.accepted()
        self.assertIn("cable", self.lose(connection, ConnectionLost("cable")))

    def test_no_broken_stream_raises_into_the_reactor(self) -> None:
        random = Random(11)
        for number in range(800):
            mqtt5 = bool(number & 1)
            suback = b"\x90\x04\x00\x01\x00\x01" if mqtt5 else b"\x90\x03\x00\x01\x01"
            unsuback = b"\xb0\x04\x00\x01\x00\x00" if mqtt5 else b"\xb0\x02\x00\x01"
            stream = bytearray((V5_CONNACK if mqtt5 else V311_CONNACK) + suback + unsuback + PINGRESP)
            for _ in range(random.randrange(1, 4)):
                stream[random.randrange(len(stream))] = random.randrange(256)
            connection = self.connect(mqtt5=mqtt5)
            connection.dataReceived(bytes(stream) + PINGRESP * 70)
            self.lose(connection)
            # Either way the one who waits gets an answer of a kind it knows.
            if isinstance(connection.accepted.result, Failure):
                self.failureResultOf(connection.accepted, MqttError)
