"""The subscriber against a broker that the test plays by hand, on a clock that the test moves."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import ReportRules
from aiot_mqtt.ingest.ingest import Ingest
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.mqtt import subscribing
from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.reconnect_delay import ReconnectDelay
from aiot_mqtt.mqtt.subscriber import Subscriber
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.logs import in_chinese
from aiot_mqtt.telemetry.refusals import Refusals
from tests.doubles import Transport
from tests.log_events import collect_events

UTC = ZoneInfo("UTC")
CONNACK5, CONNACK5_RESUMED, CONNACK311 = b"\x20\x03\x00\x00\x00", b"\x20\x03\x01\x00\x00", b"\x20\x02\x00\x00"


class ClosingTransport(Transport):
    """Closes as soon as it is told to."""

    protocol: MqttConnection

    def loseConnection(self) -> None:
        super().loseConnection()
        self.protocol.connectionLost(Failure(ConnectionDone()))


class Broker:
    """An endpoint; each dial gives a connection that the test then answers on."""

    def __init__(self) -> None:
        self.outcomes: list[Exception | Deferred[Any]] = []
        """What the next dials come to; a connection when there is none left."""
        self.dials = 0
        self.transport: ClosingTransport
        self.connection: MqttConnection

    def connect(self, factory: Factory) -> Deferred[Any]:
        self.dials += 1
        if self.outcomes:
            outcome = self.outcomes.pop(0)
            return outcome if isinstance(outcome, Deferred) else fail(outcome)
        connection = factory.buildProtocol(None)
        assert isinstance(connection, MqttConnection)
        self.connection, self.transport = connection, ClosingTransport()
        self.transport.protocol = connection
        connection.makeConnection(self.transport)
        return succeed(connection)

    def sent(self) -> bytes:
        """What the service sent since the last call."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def say(self, data: bytes) -> None:
        self.connection.dataReceived(data)

    def accept(self, mqtt5: bool = True, resumed: bool = False) -> None:
        """Accept the connection and grant the three topics."""
        self.say((CONNACK5_RESUMED if resumed else CONNACK5) if mqtt5 else CONNACK311)
        self.suback(1, 1, 1, mqtt5=mqtt5)

    def suback(self, *codes: int, mqtt5: bool = True) -> None:
        subscribe = self.sent()
        at = subscribe.rindex(b"\x82")
        packet_id = subscribe[at + 2 : at + 4]
        body = packet_id + (b"\x00" if mqtt5 else b"") + bytes(codes)
        self.say(b"\x90" + bytes([len(body)]) + body)

    def close(self) -> None:
        self.connection.connectionLost(Failure(ConnectionDone()))


class SubscriberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = Broker()
        self.counters = Counters()
        self.pending = PendingUpdates()
        self.sessions_lost = 0
        self.events = collect_events(self)

    def start(self, protocol: str = "auto") -> Subscriber:
        subscriber = Subscriber(
            self.broker,  # type: ignore[arg-type]
            ConnectOptions("service"),
            ReportRules().topic_filters,
            self.clock,
            host="broker.example",
            port=1883,
            protocol=protocol,
            jitter=lambda: 0.0,
        )
        self.ingest = Ingest(
            ReportRules(),
            self.pending,
            self.counters,
            Refusals(self.counters, self.clock),
            table_zone=UTC,
            writer=self,
            foreign_topics=subscriber,
        )
        subscriber.deliver_to(self.ingest)
        subscriber.add_listener(self)
        subscriber.startService()
        return subscriber

    def wake(self) -> None:
        """Nothing is written."""

    def session_lost(self) -> None:
        self.sessions_lost += 1

    def said(self) -> list[str]:
        """The formats of what was logged since the last call."""
        lines = [event["log_format"] for event in self.events if event["log_namespace"].startswith("aiot_mqtt")]
        self.events.clear()
        return lines

    def test_start_says_the_lines_in_order(self) -> None:
        self.start()
        self.broker.accept()
        texts = [event["log_format"].format(**event) for event in self.events]
        self.assertEqual(
            texts,
            [
                "🎉 MQTT连接成功 - Broker: broker.example:1883",
                "📡 订阅主题: devices/+/data",
                "📡 订阅主题: devices/+/status",
                "📡 订阅主题: devices/+/heartbeat",
                "🚀 MQTT服务已启动",
            ],
        )
        self.assertTrue(self.broker.transport.no_delay)

    def test_started_is_said_once_and_an_outage_begins_and_ends(self) -> None:
        self.start()
        self.broker.accept()
        self.clock.advance(60)
        self.said()
        self.broker.close()
        self.assertEqual(self.said(), [log_lines.MQTT_LOST])
        self.clock.advance(1)
        self.broker.accept(resumed=True)
        self.assertEqual(self.said(), [log_lines.MQTT_CONNECTED, *[log_lines.SUBSCRIBED] * 3, log_lines.MQTT_BACK])

    def test_a_session_that_the_broker_lost_is_said(self) -> None:
        self.start()
        self.broker.accept()
        self.clock.advance(60)
        self.broker.close()
        self.clock.advance(1)
        self.broker.accept(resumed=False)
        self.assertIn(log_lines.SESSION_NEW, self.said())

    def test_back_off_from_one_second_to_thirty(self) -> None:
        self.broker.outcomes = [ConnectError() for _ in range(100)]
        self.start()
        dialled = []
        for second in range(1, 200):
            before = self.broker.dials
            self.clock.advance(1)
            if self.broker.dials > before:
                dialled.append(second)
        waits = [later - earlier for earlier, later in zip([0, *dialled], dialled, strict=False)]
        self.assertEqual(waits[:8], [1, 2, 4, 8, 16, 29, 29, 29])
        self.assertEqual([line for line in self.said() if line == log_lines.MQTT_FAILED], [log_lines.MQTT_FAILED])

    def test_reminders_of_an_outage_thin_out(self) -> None:
        self.broker.outcomes = [ConnectError() for _ in range(100)]
        self.start()
        self.clock.pump([1.0] * 600)
        lines = self.said()
        self.assertEqual(lines[0], log_lines.MQTT_FAILED)
        self.assertEqual(set(lines[1:]), {log_lines.MQTT_STILL_DOWN})
        self.assertTrue(3 <= len(lines[1:]) <= 4, lines)

    def test_a_dial_that_comes_to_nothing_is_given_up(self) -> None:
        hanging: Deferred[Any] = Deferred()
        self.broker.outcomes = [hanging]
        self.start()
        self.clock.advance(10)
        self.assertEqual(self.events[-1]["reason"], "no connection within 10 s")
        self.assertEqual(self.said(), [log_lines.MQTT_FAILED])
        self.clock.advance(2)
        self.assertEqual(self.broker.dials, 2)

    def test_a_broker_that_accepts_and_says_nothing_is_given_up(self) -> None:
        self.start("5")
        self.clock.advance(9.9)
        self.assertEqual(self.said(), [])
        self.clock.advance(0.2)
        (event,) = self.events
        self.assertIn("CONNECT", event["reason"])
        self.clock.advance(2)
        self.assertEqual(self.broker.dials, 2)

    def test_a_broker_that_never_answers_subscribe_is_given_up(self) -> None:
        self.start()
        self.broker.say(CONNACK5)
        self.clock.advance(10)
        self.assertTrue(self.broker.transport.disconnected)
        self.assertIn("SUBSCRIBE", self.events[-1]["reason"])

    def test_a_refusal_names_the_code_of_mqtt_311_and_the_reason(self) -> None:
        for code in (0x87, 0x86, 0x88, 0x85):
            subscriber = self.start("5")
            self.broker.say(b"\x20\x03\x00" + bytes([code]) + b"\x00")
            (event,) = self.events
            self.assertEqual(event["log_format"], log_lines.MQTT_REFUSED)
            self.assertEqual(event["code"], {0x87: 5, 0x86: 4, 0x88: 3, 0x85: 2}[code])
            self.assertTrue(event["reason"])
            self.events.clear()
            self.successResultOf(subscriber.stopService())

    def test_a_reason_that_311_has_no_code_for_is_given_in_words(self) -> None:
        self.start("5")
        self.broker.say(b"\x20\x03\x00\x8a\x00")
        (event,) = self.events
        text = formatEvent(in_chinese(event))
        self.assertEqual(text, "❌ MQTT连接失败: 已被禁止 (138) - broker.example:1883 — 原因见Broker日志")

    def test_a_denied_topic_is_an_error_and_asked_for_again(self) -> None:
        self.start()
        self.broker.say(CONNACK5)
        self.broker.suback(1, 0x87, 1)
        events = {event["log_format"]: event for event in self.events}
        self.assertEqual(events[log_lines.SUBSCRIPTION_DENIED]["topic"], "devices/+/status")
        self.assertNotIn(log_lines.STARTED, self.said())
        self.broker.sent()
        self.clock.advance(1)
        self.broker.suback(0x87)
        self.assertEqual(self.said(), [])
        self.clock.advance(2)
        self.assertNotIn(b"/data", self.broker.transport.value())
        self.broker.suback(1)
        self.assertEqual(self.said(), [log_lines.SUBSCRIBED, log_lines.MQTT_BACK, log_lines.STARTED])

    def test_a_grant_of_qos_0_is_warned_about(self) -> None:
        self.start()
        self.broker.say(CONNACK5)
        self.broker.suback(1, 1, 0)
        self.assertIn(log_lines.GRANTED_QOS_0, self.said())

    def test_a_broker_without_mqtt_5_is_spoken_to_in_311_and_then_5_is_tried_again(self) -> None:
        for refusal in (b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"):
            subscriber = self.start()
            self.broker.say(refusal)
            self.assertIn(b"\x00\x04MQTT\x04", self.broker.sent())
            self.broker.say(CONNACK311)
            self.assertEqual(self.said(), [log_lines.MQTT_311, log_lines.MQTT_CONNECTED])
            self.broker.close()
            self.clock.advance(3)
            self.assertIn(b"\x00\x04MQTT\x05", self.broker.sent())
            self.successResultOf(subscriber.stopService())
            self.said()

    def test_no_answer_twice_in_a_row_means_311_for_now(self) -> None:
        for what, answer in (
            ("a close", self.broker_closes),
            ("a CONNACK of 3.1.1", lambda: self.broker.say(CONNACK311)),
            ("a malformed CONNACK", lambda: self.broker.say(b"\x20\x04\x00\x00\x01\x7f")),
            ("something else", lambda: self.broker.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
            ("silence", lambda: self.clock.advance(10)),
        ):
            subscriber = self.start()
            answer()
            self.assertEqual(self.said(), [log_lines.MQTT_FAILED], what)
            self.clock.advance(2)
            self.assertIn(b"\x00\x04MQTT\x05", self.broker.sent(), what)
            answer()
            self.assertIn(b"\x00\x04MQTT\x04", self.broker.sent(), what)
            self.broker.accept(mqtt5=False)
            self.assertEqual(self.said()[:2], [log_lines.MQTT_311_GUESSED, log_lines.MQTT_311], what)
            self.successResultOf(subscriber.stopService())

    def broker_closes(self) -> None:
        self.broker.close()

    def broker_accepts(self) -> None:
        self.broker.accept()

    def guess_311(self) -> Subscriber:
        subscriber = self.start()
        self.broker.close()
        self.clock.advance(2)
        self.broker.close()
        self.broker.accept(mqtt5=False)
        self.assertTrue(subscriber.is_listening)
        self.said()
        return subscriber

    def pass_time(self, seconds: int) -> None:
        """As time passes with a broker that is there."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.broker.say(b"\xd0\x00")

    def test_a_guess_is_revised_within_a_minute_and_the_session_kept(self) -> None:
        subscriber = self.guess_311()
        self.pass_time(44)
        self.assertEqual(self.broker.dials, 3)
        old = self.broker.transport
        old.clear()
        self.clock.advance(1)
        self.assertEqual(old.value()[-2:], b"\xe0\x00")  # DISCONNECT, with which a session of 3.1.1 stays
        self.assertIn(b"\x00\x04MQTT\x05\x00", self.broker.sent())
        self.broker.accept(resumed=True)
        self.assertTrue(subscriber.is_listening)
        self.assertEqual(self.said(), [log_lines.MQTT_CONNECTED, *[log_lines.SUBSCRIBED] * 3])
        self.pass_time(200)
        self.assertEqual(self.broker.dials, 4)

    def test_a_guess_that_was_right_goes_on_at_once_and_is_revised_later(self) -> None:
        subscriber = self.guess_311()
        self.pass_time(44)
        self.clock.advance(1)
        self.broker.close()
        self.assertIn(b"\x00\x04MQTT\x04", self.broker.sent())
        self.broker.accept(mqtt5=False)
        self.assertTrue(subscriber.is_listening)
        self.assertNotIn(log_lines.MQTT_FAILED, self.said())
        self.pass_time(89)
        self.assertEqual(self.broker.dials, 5)
        self.clock.advance(1)
        self.assertEqual(self.broker.dials, 6)

    def test_once_5_was_accepted_closes_do_not_lead_to_311(self) -> None:
        self.start()
        self.broker.accept()
        self.clock.advance(60)
        for _ in range(10):
            self.broker.close()
            self.clock.advance(30)
            self.assertIn(b"\x00\x04MQTT\x05", self.broker.sent())

    def grants(self, properties: bytes, protocol: str = "auto") -> list[tuple[str, object, object]]:
        """The warnings that a CONNACK with these properties leads to: line, asked, granted."""
        subscriber = self.start(protocol)
        body = b"\x00\x00" + bytes([len(properties)]) + properties
        self.broker.say(b"\x20" + bytes([len(body)]) + body if protocol != "3.1.1" else CONNACK311)
        self.successResultOf(subscriber.stopService())
        told = [
            (event["log_format"], event["asked"], event["granted"])
            for event in self.events
            if event["log_level"] is LogLevel.warn and "asked" in event
        ]
        self.events.clear()
        return told

    def test_each_thing_that_is_less_than_asked_is_one_warning(self) -> None:
        for properties, *expected in (
            (b"",),
            # As Mosquitto: what it lets us publish is not what it sends us.
            (b"\x21\x00\x14\x22\x00\x0a",),
            (b"\x11\x00\x09\x3a\x80",),
            (b"\x11\x00\x00\x00\x3c", (log_lines.SESSION_EXPIRY_LESS, 604800, 60)),
            (b"\x11\x00\x00\x00\x00", (log_lines.SESSION_NOT_KEPT, 604800, 0)),
            (b"\x24\x00", (log_lines.MAXIMUM_QOS_LESS, 1, 0)),
            (b"\x24\x01",),
            (b"\x28\x00", (log_lines.NO_WILDCARDS, "devices/+/data", 0)),
            (b"\x28\x01\x25\x00\x29\x00\x2a\x00",),
            (b"\x27\x00\x00\x04\x00", (log_lines.PACKET_SIZE_LESS, 65536, 1024)),
            (b"\x27\x00\x01\x00\x00",),
            (b"\x13\x00\x0a", (log_lines.KEEP_ALIVE_LESS, 60, 10)),
            (b"\x13\x00\x00",),
            (b"\x13\x00\x78",),
            (
                b"\x28\x00\x24\x00\x11\x00\x00\x00\x01",
                (log_lines.SESSION_EXPIRY_LESS, 604800, 1),
                (log_lines.MAXIMUM_QOS_LESS, 1, 0),
                (log_lines.NO_WILDCARDS, "devices/+/data", 0),
            ),
        ):
            self.assertEqual(self.grants(properties), list(expected), properties)
        self.assertEqual(self.grants(b"", "3.1.1"), [])

    def test_a_denial_is_told_as_what_it_is(self) -> None:
        lines = {
            0x80: log_lines.SUBSCRIPTION_DENIED,
            0x87: log_lines.SUBSCRIPTION_DENIED,
            0x8F: log_lines.SUBSCRIPTION_FILTER_INVALID,
            0x97: log_lines.SUBSCRIPTION_OVER_QUOTA,
            0xA2: log_lines.SUBSCRIPTION_WILDCARD_DENIED,
            0x83: log_lines.SUBSCRIPTION_DENIED_OTHERWISE,
            0xC8: log_lines.SUBSCRIPTION_DENIED_OTHERWISE,  # none that MQTT has
        }
        for mqtt5 in (True, False):
            for code, line in lines.items():
                subscriber = self.start("5" if mqtt5 else "3.1.1")
                self.broker.say(CONNACK5 if mqtt5 else CONNACK311)
                self.said()
                self.broker.suback(code, 1, 1, mqtt5=mqtt5)
                self.assertEqual(self.said(), [log_lines.SUBSCRIBED, log_lines.SUBSCRIBED, line])
                self.assertFalse(self.broker.transport.disconnected)
                self.successResultOf(subscriber.stopService())

    def test_connections_that_end_at_subscribe_are_not_called_a_fight_over_the_client_identifier(self) -> None:
        for ends, line in (
            (self.broker_closes, log_lines.MQTT_CLOSED_AT_SUBSCRIBE),
            (lambda: self.broker.say(b"\xe0\x01\x8e"), log_lines.MQTT_SHORT_SESSIONS),
            (lambda: self.broker.say(b"\xe0\x01\xa2"), None),
            (lambda: self.broker.say(b"\xe0\x01\x97"), None),
        ):
            subscriber = self.start()
            for _ in range(3):
                self.broker.say(CONNACK5)
                ends()
                self.clock.pump([1.0] * 4)
            told = [each for each in self.said() if each.startswith("⚠️ 连续")]
            self.assertEqual(told, [line] if line else [])
            self.successResultOf(subscriber.stopService())

    def test_a_fault_of_ours_is_told_and_it_dials_again(self) -> None:
        for name, at in (
            ("_connect", lambda: None),
            ("_tell_accepted", lambda: self.broker.say(CONNACK5)),
            ("_serve", lambda: self.broker.say(CONNACK5)),
            ("_subscribe", lambda: self.broker.say(CONNACK5)),
            ("tell_grants", self.broker_accepts),
            ("after_refusal", lambda: self.broker.say(b"\x20\x03\x00\x87\x00")),
        ):
            dials = self.broker.dials
            faults: list[None] = []

            def fail_now(*_arguments: object, faults: list[None] = faults) -> None:
                faults.append(None)
                raise RuntimeError("a fault")

            owners = {"tell_grants": subscribing, "after_refusal": ReconnectDelay}
            patch = self.patch(owners.get(name, Subscriber), name, fail_now)
            subscriber = self.start()
            at()
            self.assertEqual(len(faults), 1, name)
            if name != "_connect":
                self.assertTrue(self.broker.transport.disconnected or self.broker.transport.disconnecting, name)
            patch.restore()
            self.clock.pump([1.0] * 3)
            self.assertEqual(self.broker.dials, dials + 1 + (name != "_connect"), name)
            self.broker.accept()
            self.assertTrue(subscriber.is_listening, name)
            self.assertTrue(self.flushLoggedErrors(RuntimeError), name)
            self.assertIn(log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY, self.said(), name)
            self.successResultOf(subscriber.stopService())

    def test_a_broker_that_holds_messages_back_is_not_listened_to(self) -> None:
        subscriber = self.start("3.1.1")
        self.broker.accept(mqtt5=False)
        self.assertEqual(subscriber.window, 20)
        self.pass_time(2)
        publish = b"\x32\x12\x00\x0edevices/a/data\x00\x01"
        self.broker.say(publish * 19)
        self.pass_time(1)
        self.assertTrue(subscriber.is_listening)
        self.broker.say(publish)
        self.pass_time(1)
        self.assertFalse(subscriber.is_listening)
        # What a dead connection left unacknowledged uses up nothing of the next one's window.
        left = self.pending.take()
        self.broker.close()
        self.clock.advance(3)
        self.broker.accept(mqtt5=False, resumed=True)
        self.assertTrue(subscriber.is_listening)
        self.broker.say(publish * 20)
        self.pass_time(1)
        left.acknowledge()
        self.assertFalse(subscriber.is_listening)
        self.pending.take().acknowledge()
        self.pass_time(1)
        self.assertTrue(subscriber.is_listening)
        self.assertEqual(subscriber.window, 20)

    def test_a_window_that_is_smaller_than_asked_is_one_warning(self) -> None:
        subscriber = self.start()
        self.broker.accept()
        publish = b"\x32\x13\x00\x0edevices/a/data\x00\x01\x00"
        for _ in range(100):
            self.broker.say(publish * 10)
            self.pending.take().acknowledge()
        self.pass_time(3)
        told = [event for event in self.events if event["log_format"] == log_lines.WINDOW_LESS]
        self.assertEqual([(event["asked"], event["granted"]) for event in told], [(65535, 10)])
        self.assertEqual(subscriber.window, 10)

    def test_short_sessions_are_no_success(self) -> None:
        self.start()
        waits = []
        for _ in range(4):
            self.broker.accept(resumed=True)
            self.broker.say(b"\xe0\x01\x8e")
            dials, waited = self.broker.dials, 0
            while self.broker.dials == dials:
                self.clock.advance(1)
                waited += 1
            waits.append(waited)
        self.assertEqual(waits, [1, 2, 4, 8])
        lost = [event for event in self.events if event["log_format"] == log_lines.MQTT_LOST]
        self.assertIn("Session taken over", lost[0]["reason"])

    def test_short_sessions_in_a_row_are_told_and_not_fought_over(self) -> None:
        self.start()
        waits = []
        for _ in range(8):
            self.broker.accept()
            self.clock.advance(0.5)
            self.broker.close()
            dials, waited = self.broker.dials, 0.0
            while self.broker.dials == dials:
                self.clock.advance(0.25)
                waited += 0.25
            waits.append(waited)
        self.assertEqual(waits, [1, 2, 4, 8, 16, 29, 29, 29])
        told = [event for event in self.events if event.get("log_format") == log_lines.MQTT_SHORT_SESSIONS]
        self.assertEqual([(event["count"], event["seconds"]) for event in told][:2], [(3, 4), (4, 8)])
        self.assertEqual(told[0]["client_id"], "service")
        # Left alone for long enough it is an ordinary connection again.
        self.broker.accept()
        self.clock.pump([1] * 31)
        self.broker.close()
        self.clock.advance(1)
        self.assertEqual(self.said()[-1], log_lines.MQTT_LOST)
        self.broker.accept()
        self.assertEqual(len(told), 6)

    def test_a_broker_that_ignores_the_window_is_read_again_once_something_is_acknowledged(self) -> None:
        subscriber = self.start()
        self.broker.accept()
        self.broker.sent()
        self.broker.say(b"\x32\x13\x00\x0edevices/a/data\x00\x01\x00" * 1000)
        subscriber.pause_reading()
        self.assertEqual(self.broker.transport.producerState, "paused")
        self.pending.take().acknowledge()
        self.assertEqual(self.broker.sent(), b"\x40\x02\x00\x01" * 1000)
        self.assertEqual(self.broker.transport.producerState, "producing")
        self.assertFalse(self.broker.transport.disconnecting or self.broker.transport.disconnected)

    def test_with_no_connection_there_is_no_reading_to_pause(self) -> None:
        self.broker.outcomes.append(ConnectError())
        self.start().pause_reading()
        self.clock.advance(60)
        self.broker.accept()
        self.assertEqual(self.broker.transport.producerState, "producing")

    def test_it_listens_only_with_every_topic_granted_on_a_connection_that_is_heard(self) -> None:
        subscriber = self.start()
        self.assertFalse(subscriber.is_listening)
        self.broker.say(CONNACK5)
        self.assertFalse(subscriber.is_listening)
        self.broker.suback(1, 0x87, 1)
        self.assertFalse(subscriber.is_listening)
        self.clock.advance(1)
        self.broker.suback(1)
        self.assertTrue(subscriber.is_listening)
        self.clock.pump([1, 1, 1])
        self.assertFalse(subscriber.is_listening)  # the broker does not even answer a PINGREQ
        self.broker.say(b"\xd0\x00")
        self.assertTrue(subscriber.is_listening)
        self.broker.close()
        self.assertFalse(subscriber.is_listening)
        self.clock.advance(1)
        self.assertFalse(subscriber.is_listening)  # connected, and no CONNACK yet
        self.broker.accept(resumed=False)
        self.assertTrue(subscriber.is_listening)
        self.assertEqual(self.sessions_lost, 1)

    def test_stop_disconnects_and_keeps_the_session(self) -> None:
        subscriber = self.start()
        self.broker.accept()
        self.broker.sent()
        self.successResultOf(subscriber.stopService())
        self.assertEqual(self.broker.sent()[:1], b"\xe0")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_at_every_stage_leaves_nothing_behind(self) -> None:
        def dialling() -> Subscriber:
            self.broker.outcomes = [Deferred()]
            return self.start()

        def waiting() -> Subscriber:
            self.broker.outcomes = [ConnectError()]
            return self.start()

        def accepted() -> Subscriber:
            subscriber = self.start()
            self.broker.say(CONNACK5)
            return subscriber

        def denied() -> Subscriber:
            subscriber = accepted()
            self.broker.suback(1, 1, 0x87)
            return subscriber

        for stage in (dialling, waiting, self.start, accepted, denied):
            subscriber = stage()
            self.successResultOf(subscriber.stopService())
            self.assertEqual(self.clock.getDelayedCalls(), [], stage)
            dials = self.broker.dials
            self.clock.advance(100)
            self.assertEqual(self.broker.dials, dials, stage)

    def test_it_can_be_started_again(self) -> None:
        subscriber = self.start()
        self.broker.accept()
        self.successResultOf(subscriber.stopService())
        subscriber.startService()
        self.broker.accept(resumed=True)
        self.assertEqual(self.said()[-1], log_lines.SUBSCRIBED)

    def test_acknowledgements_belong_to_their_connection(self) -> None:
        self.start()
        self.broker.accept()
        self.broker.say(b"\x32\x14\x00\x0edevices/a/data\x00\x07\x00{")
        self.broker.say(b"\x32\x14\x00\x0edevices/a/data\x00\x08\x00{")
        old = self.pending.take()
        self.broker.close()
        self.clock.advance(2)
        self.broker.accept(resumed=True)
        self.broker.sent()
        old.acknowledge()
        self.assertEqual(self.broker.sent(), b"")
        self.broker.say(b"\x3a\x14\x00\x0edevices/a/data\x00\x07\x00{")
        self.pending.take().acknowledge()
        self.assertEqual(self.broker.sent(), b"\x40\x02\x00\x07")

    def test_a_foreign_topic_is_unsubscribed_once(self) -> None:
        self.start()
        self.broker.accept()
        self.broker.sent()
        publish = b"\x32\x10\x00\x0aold/a/data\x00\x07\x00"
        publish = publish[:1] + bytes([len(publish) - 2]) + publish[2:]
        self.broker.say(publish)
        unsubscribe = self.broker.sent()
        self.assertEqual(unsubscribe[:1], b"\xa2")
        for topic_filter in (b"old/+/data", b"old/a/data", b"\x00\x01#", b"old/#", b"old/a/#"):
            self.assertIn(topic_filter, unsubscribe)
        self.broker.say(publish)
        self.assertEqual(self.broker.sent(), b"")
        self.assertEqual(self.counters.refused, {"foreign_topic": 2})

    def test_the_longest_foreign_topic_is_unsubscribed_without_what_is_too_long_for_a_filter(self) -> None:
        self.start()
        self.broker.accept()
        self.broker.sent()
        topic = b"t" * 65_535
        self.broker.say(b"\x32\x84\x80\x04\xff\xff" + topic + b"\x00\x07\x00")
        unsubscribe = self.broker.sent()
        self.assertEqual(unsubscribe[:1], b"\xa2")
        self.assertTrue(unsubscribe.endswith(b"\x00\x01#\x00\x02/#\xff\xff" + topic))
        self.assertEqual(self.counters.refused, {"foreign_topic": 1})
