"""One PUBLISH in: counted once, merged, owed its acknowledgement, and never an exception."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timezone, tzinfo
from random import Random
from typing import cast
from zoneinfo import ZoneInfo

from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, ReportRules
from aiot_mqtt.ingest.committed_times import CommittedTimes
from aiot_mqtt.ingest.ingest import Ingest
from aiot_mqtt.ingest.pending import UPDATE_BYTES, PendingUpdates
from aiot_mqtt.table.contract import TableDescription
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.asked import LASTS, MAX_DEVICES, Asked, Came
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from tests.doubles import RecordingConnection

SHANGHAI = ZoneInfo("Asia/Shanghai")
# 2026-11-23 02:00:00 UTC, so 10:00:00 in Shanghai.
START = 1_795_399_200.0


class IngestTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.wall = START
        self.clock = Clock()
        self.woken = 0
        self.foreign_topics: list[str] = []
        self.heard: list[str] = []
        self.connection = RecordingConnection()
        self.make()
        capture = capturedLogs()
        self.events = cast(list[LogEvent], capture.__enter__())
        self.addCleanup(capture.__exit__, None, None, None)

    def make(
        self,
        rules: ReportRules | None = None,
        *,
        zone: tzinfo = SHANGHAI,
        log_messages: bool = False,
        pending_bound: int = 1_000_000,
        resolution: int = 0,
    ) -> None:
        self.counters = Counters()
        self.pending = PendingUpdates(pending_bound)
        self.pending.keys_are(str.lower)  # as the owner's column
        self.committed_times = CommittedTimes(resolution, self.pending) if resolution else None
        self.refusals = Refusals(self.counters, self.clock)
        self.asked = Asked(self.clock)
        self.ingest = Ingest(
            rules or ReportRules(),
            self.pending,
            self.counters,
            self.refusals,
            table_zone=zone,
            writer=self,
            foreign_topics=self,
            wall_clock=lambda: self.wall,
            log_messages=log_messages,
            committed_times=self.committed_times,
            heard=self,
            asked=self.asked,
        )
        self.ingest.connection_started(self.connection)

    # Whom ingest tells.

    def wake(self) -> None:
        self.woken += 1

    def foreign_topic_received(self, topic: str) -> None:
        self.foreign_topics.append(topic)

    def heard_unchanged(self, key: str) -> None:
        self.heard.append(key)

    def publish(
        self, topic: str = "devices/d1/data", payload: bytes = b"{}", packet_id: int = 1, retain: bool = False
    ) -> None:
        self.ingest.publish_received(topic.encode(), payload, packet_id, retain)

    def accounted(self) -> int:
        return sum(self.counters.balance(self.pending.deliveries).outcomes.values())

    def figures(self) -> dict[str, int]:
        """Those that are not nothing, and what is pending."""
        shown = {name: count for name, count in self.counters.as_dict().items() if count}
        return shown | ({"pending": self.pending.deliveries} if self.pending.deliveries else {})

    def lines(self) -> list[str]:
        lines = [formatEvent(event) for event in self.events]
        self.events.clear()
        return lines


class PublishTests(IngestTestCase):
    def test_of_a_device_that_somebody_asks_about_the_kinds_are_noted(self) -> None:
        self.publish("devices/d1/data")
        noted = self.asked.ask("d1")
        self.assertEqual(noted.came, {})
        self.clock.advance(7)
        self.publish("devices/D1/data", packet_id=0)  # the column holds it equal
        self.publish("devices/d1/heartbeat", packet_id=2)
        self.publish("devices/d2/status", b"on")
        self.publish("devices/d1/status", b"[", packet_id=3)
        self.assertEqual(noted.came, {DATA: Came(7.0, 0), HEARTBEAT: Came(7.0, 1)})
        self.assertIs(self.asked.ask("d1"), noted)
        self.clock.advance(LASTS + 1)
        self.wall += LASTS + 1
        self.publish("devices/d3/data")
        self.assertEqual(self.asked.devices, {})

    def test_only_some_may_be_asked_about_at_one_time(self) -> None:
        for number in range(MAX_DEVICES + 10):
            self.asked.ask(f"d{number}")
        self.assertEqual(len(self.asked.devices), MAX_DEVICES)
        self.assertNotIn("d9", self.asked.devices)
        self.asked.ask("d10")
        self.asked.ask("new")
        self.assertIn("d10", self.asked.devices)

    def test_what_came_at_qos_0_is_counted_whatever_becomes_of_it(self) -> None:
        self.publish(packet_id=0)
        self.publish(packet_id=1)
        self.publish(packet_id=0, retain=True)
        self.publish(packet_id=0, payload=b"{")
        self.ingest.oversized_publish_received(b"devices/d1/data", 2000, 0, 1000)
        self.ingest.oversized_publish_received(b"devices/d1/data", 2000, 2, 1000)
        self.assertEqual((self.counters.received_at_qos_0, self.counters.received), (4, 6))

    def test_a_report_is_pending_and_owed_its_acknowledgement(self) -> None:
        self.publish(payload=b'{"a": 1}', packet_id=7)
        batch = self.pending.take()
        [update] = batch.updates
        self.assertEqual((update.uuid, update.document), ("d1", b'{"a": 1}'))
        self.assertEqual(self.connection.acknowledged, [])
        batch.acknowledge()
        self.assertEqual(self.connection.acknowledged, [7])

    def test_the_time_of_receipt_is_in_the_zone_of_the_table(self) -> None:
        for zone, text in (
            (SHANGHAI, "2026-11-23 10:00:00"),
            (timezone.utc, "2026-11-23 02:00:00"),
            (ZoneInfo("Asia/Kolkata"), "2026-11-23 07:30:00"),
        ):
            self.make(zone=zone)
            self.publish("devices/d1/heartbeat")
            [update] = self.pending.take().updates
            self.assertEqual((update.last_seen, update.last_heartbeat), (text, text))

    def test_the_time_of_receipt_is_truncated_to_whole_seconds(self) -> None:
        seen = []
        for wall in (START, START + 0.999, START + 1, START + 59.9999, START - 0.001, START):
            self.wall = wall
            self.publish()
            seen.append(self.pending.take().updates[0].last_seen[-8:])
        self.assertEqual(seen, ["10:00:00", "10:00:00", "10:00:01", "10:00:59", "09:59:59", "10:00:00"])

    def test_each_outcome_counts_once_and_is_acknowledged(self) -> None:
        for what, topic, payload, retain, figures in (
            ("a report", "devices/d1/data", b"{}", False, {"pending": 1}),
            ("a heartbeat", "devices/d1/heartbeat", b"\xff", False, {"pending": 1}),
            ("a retained one", "devices/d1/data", b"{}", True, {"retained": 1}),
            ("a retained one that is wrong too", "devices/d1/data", b"x", True, {"retained": 1}),
            ("bad JSON", "devices/d1/data", b"x", False, {"refused_bad_json": 1}),
            ("no object", "devices/d1/data", b"[]", False, {"refused_not_an_object": 1}),
            ("too deep", "devices/d1/data", b'{"a":' * 40 + b"1" + b"}" * 40, False, {"refused_too_deep": 1}),
            ("an unknown device", "devices/a b/data", b"{}", False, {"refused_unknown_device": 1}),
            ("a foreign topic", "other/d1/data", b"{}", False, {"refused_foreign_topic": 1}),
            (
                "a status that is ignored",
                "devices/d1/status",
                b'{"status": ""}',
                False,
                {"pending": 1, "status_ignored": 1},
            ),
        ):
            self.make()
            self.connection.calls.clear()
            self.publish(topic, payload, 5, retain)
            self.assertEqual(self.figures(), {"received": 1, **figures}, what)
            self.assertEqual(self.accounted(), 1, what)
            self.pending.take().acknowledge()
            self.assertEqual(self.connection.acknowledged, [5], what)

    def test_a_topic_that_is_not_utf8_is_refused(self) -> None:
        self.ingest.publish_received(b"devices/\xff/data", b"{}", 1, False)
        self.assertEqual(self.figures(), {"received": 1, "refused_bad_topic": 1})
        self.assertEqual(self.lines(), [r"⚠️ 拒绝消息 devices/\xff/data: the topic is not UTF-8；内容: {}"])

    def test_a_newer_report_of_a_kind_supersedes_and_both_are_acknowledged(self) -> None:
        self.publish(packet_id=1)
        self.publish("devices/D1/data", packet_id=2)
        self.publish("devices/d1/heartbeat", packet_id=3)
        self.assertEqual(self.figures(), {"received": 3, "superseded": 1, "pending": 2})
        self.pending.take().acknowledge()
        self.assertEqual(self.connection.acknowledged, [1, 2, 3])

    def test_qos_0_is_owed_no_acknowledgement(self) -> None:
        self.publish(packet_id=0)
        self.ingest.oversized_publish_received(b"devices/d1/data", 70_000, 0, 65_536)
        self.assertEqual(self.pending.take().packet_ids, [])

    def test_a_retained_message_changes_no_column(self) -> None:
        self.publish(retain=True)
        self.assertEqual(self.pending.take().updates, [])

    def test_a_foreign_topic_is_told_to_whoever_can_unsubscribe(self) -> None:
        self.publish("old/d1/data")
        self.publish("devices/d1/control")
        self.assertEqual(self.foreign_topics, ["old/d1/data", "devices/d1/control"])
        self.assertEqual(self.counters.refused, {"foreign_topic": 2})

    def test_a_status_is_judged_by_the_length_the_column_really_has(self) -> None:
        self.make(ReportRules(topic_prefix="p", status_values=frozenset({"abcd", "ab"})))
        self.ingest.table_described(TableDescription(3))
        self.publish("p/d1/status", b"abcd")
        self.assertEqual(self.pending.take().updates[0].status, None)
        self.publish("p/d1/status", b"ab")
        self.assertEqual(self.pending.take().updates[0].status, "ab")
        self.publish("p/d1/status", b"xy")
        self.assertEqual(self.pending.take().updates[0].status, None)

    def test_acknowledgements_are_bound_to_the_newest_connection(self) -> None:
        self.publish(packet_id=1)
        newer = RecordingConnection()
        self.ingest.connection_started(newer)
        self.publish(packet_id=2)
        self.pending.take().acknowledge()
        self.assertEqual((self.connection.acknowledged, newer.acknowledged), ([], [2]))

    def test_the_writer_is_woken_once_a_read(self) -> None:
        self.publish()
        self.publish()
        self.assertEqual(self.woken, 0)
        self.ingest.read_finished()
        self.assertEqual(self.woken, 1)

    def test_nothing_is_taken_after_stop(self) -> None:
        self.publish(packet_id=1)
        self.ingest.stop()
        self.publish(packet_id=2)
        self.publish(packet_id=3, retain=True)
        self.ingest.oversized_publish_received(b"devices/d1/data", 70_000, 4, 65_536)
        self.assertEqual(self.figures(), {"received": 1, "pending": 1})
        self.assertEqual(self.pending.take().packet_ids, [1])

    def test_messages_are_taken_again_after_start(self) -> None:
        self.ingest.stop()
        self.publish(packet_id=1)
        self.ingest.start()
        self.publish(packet_id=2)
        self.assertEqual(self.figures(), {"received": 1, "pending": 1})
        self.assertEqual(self.pending.take().packet_ids, [2])


class OversizedTests(IngestTestCase):
    def test_an_oversized_one_is_refused_counted_and_acknowledged(self) -> None:
        self.ingest.oversized_publish_received(b"devices/d1/data", 70_000, 9, 65_536)
        self.assertEqual(self.figures(), {"received": 1, "refused_too_large": 1})
        self.assertEqual(
            self.lines(),
            ["⚠️ 拒绝消息 devices/d1/data: the payload has 70000 bytes, MQTT_MAX_PAYLOAD is 65536；内容: "],
        )
        self.pending.take().acknowledge()
        self.assertEqual(self.connection.acknowledged, [9])

    def test_its_topic_need_not_be_utf8(self) -> None:
        self.ingest.oversized_publish_received(b"\xff", 70_000, 9, 65_536)
        self.assertEqual(self.counters.refused, {"too_large": 1})


class BoundTests(IngestTestCase):
    def test_over_the_bound_qos_0_is_dropped_and_qos_1_is_not(self) -> None:
        self.make(pending_bound=UPDATE_BYTES)
        self.publish("devices/a/data", b"{}", 0)  # nothing is pending yet
        self.assertEqual(self.figures(), {"received": 1, "pending": 1})
        self.publish("devices/b/data", b"{}", 0)
        self.publish("devices/a/heartbeat", b"", 0)
        self.assertEqual(self.figures(), {"received": 3, "pending": 1, "dropped": 2})
        self.publish("devices/b/data", b"{}", 1)
        self.assertEqual(self.figures(), {"received": 4, "pending": 2, "dropped": 2})
        self.assertEqual(self.accounted(), 4)

    def test_at_the_bound_nothing_is_dropped(self) -> None:
        self.make(pending_bound=UPDATE_BYTES + 2)
        self.publish("devices/a/data", b"{}", 0)
        self.publish("devices/b/data", b"{}", 0)
        self.assertEqual(self.figures(), {"received": 2, "pending": 2})

    def test_dropping_ends_once_the_writer_took_what_was_pending(self) -> None:
        self.make(pending_bound=0)
        self.publish("devices/a/data", b"{}", 0)
        self.publish("devices/b/data", b"{}", 0)
        self.pending.take()
        self.publish("devices/b/data", b"{}", 0)
        self.assertEqual(self.figures(), {"received": 3, "pending": 1, "dropped": 1})

    def test_it_is_told_once_in_an_interval(self) -> None:
        self.make(pending_bound=0)
        for _ in range(10):
            self.publish(packet_id=0)
        self.assertEqual([event["log_level"] for event in self.events], [LogLevel.error])
        self.assertEqual(self.lines(), [log_lines.MESSAGES_DROPPED])


class ResolutionTests(IngestTestCase):
    """Heartbeats whose row says it all already."""

    def setUp(self) -> None:
        super().setUp()
        self.make(resolution=60)
        self.publish("devices/d1/heartbeat")
        self.commit()

    def commit(self) -> None:
        """What the writer does, with a table that takes all."""
        batch = self.pending.take()
        self.counters.stored += batch.deliveries
        assert self.committed_times is not None
        self.committed_times.rows_committed(batch.updates, is_spooled=False)
        batch.acknowledge()

    def test_it_needs_no_row_counts_once_and_is_acknowledged_in_its_turn(self) -> None:
        for packet_id, topic in ((2, "devices/d2/data"), (3, "devices/D1/heartbeat"), (4, "devices/d3/data")):
            self.publish(topic, packet_id=packet_id)
        self.assertEqual(self.figures(), {"received": 4, "stored": 1, "unchanged": 1, "pending": 2})
        self.assertEqual((self.accounted(), self.heard), (4, ["d1"]))
        self.commit()
        self.assertEqual(self.connection.acknowledged, [1, 2, 3, 4])

    def test_it_is_written_once_times_have_moved_by_the_resolution(self) -> None:
        self.wall += 59.9
        self.publish("devices/d1/heartbeat")
        self.assertEqual(self.pending.take().updates, [])
        self.wall += 0.1
        self.publish("devices/d1/heartbeat")
        self.assertEqual([update.last_seen for update in self.pending.take().updates], ["2026-11-23 10:01:00"])

    def test_it_is_written_when_the_clock_was_set(self) -> None:
        for step in (-1, 3600):
            self.wall = START + step
            self.publish("devices/d1/heartbeat")
            self.assertEqual(self.pending.deliveries, 1, step)
            self.commit()

    def test_whatever_else_the_device_says_is_written(self) -> None:
        for topic in ("devices/d1/data", "devices/d1/status"):
            self.publish(topic)
            self.assertEqual(self.pending.deliveries, 1, topic)
            self.commit()
        self.assertEqual(self.counters.unchanged, 0)

    def test_until_what_it_said_is_committed_its_heartbeats_are_merged_and_written(self) -> None:
        self.publish("devices/d1/data", packet_id=2)
        in_flight = self.pending.take()
        self.publish("devices/d1/heartbeat", packet_id=3)
        self.publish("devices/d1/heartbeat", packet_id=4)
        assert self.committed_times is not None
        self.committed_times.rows_committed(in_flight.updates, is_spooled=False)
        self.publish("devices/d1/heartbeat", packet_id=5)
        self.assertEqual(self.figures(), {"received": 5, "stored": 1, "superseded": 2, "pending": 1})
        self.commit()
        self.publish("devices/d1/heartbeat", packet_id=6)
        self.assertEqual(self.counters.unchanged, 1)

    def test_a_listener_that_raises_costs_neither_connection_nor_count(self) -> None:
        def broken(_device: str) -> None:
            raise IndexError("broken listener")

        self.patch(self, "heard_unchanged", broken)
        self.publish("devices/d1/heartbeat", packet_id=2)
        self.assertEqual(self.figures(), {"received": 2, "stored": 1, "refused_internal_error": 1})
        self.assertEqual(self.pending.take().packet_ids, [2])
        self.flushLoggedErrors(IndexError)


class LogMessagesTests(IngestTestCase):
    def test_each_message_is_told_at_debug_when_asked_for(self) -> None:
        self.make(log_messages=True)
        self.publish(payload=b'{"a":\n1}', packet_id=0)
        self.publish("devices/d1/status", b"x" * 200, 1, True)
        self.assertEqual([event["log_level"] for event in self.events], [LogLevel.debug] * 2)
        self.assertEqual(
            self.lines(),
            [
                r'📨 收到MQTT消息 devices/d1/data QoS=0 retain=0 {"a":\n1}',
                "📨 收到MQTT消息 devices/d1/status QoS=1 retain=1 " + "x" * 100 + "…",
            ],
        )

    def test_none_is_told_otherwise(self) -> None:
        self.publish()
        self.assertEqual(self.events, [])


class IdentityTests(IngestTestCase):
    def test_every_delivery_counts_once_at_any_moment(self) -> None:
        random = Random(5)
        self.make(ReportRules(status_values=frozenset({"on"})), pending_bound=3 * UPDATE_BYTES)
        topics = [f"devices/{device}/{kind}" for device in "aAbcd" for kind in ("data", "status", "heartbeat")]
        topics += ["devices/a b/data", "devices//status", "other", "devices/a/x", ""]
        payloads = [b"{}", b"[]", b"", b"NaN", b"offline", b'{"status": "on"}', b'{"status": 1}', b"\xff"]
        for number in range(1, 3001):
            if random.random() < 0.1:
                self.ingest.oversized_publish_received(b"devices/a/data", 70_000, random.choice([0, 1]), 65_536)
            else:
                packet_id = random.choice([0, number])
                retain = random.random() < 0.1
                self.publish(random.choice(topics), random.choice(payloads), packet_id, retain)
            if random.random() < 0.02:
                self.counters.stored += sum(update.deliveries for update in self.pending.take().updates)
            self.assertEqual((self.counters.received, self.accounted()), (number, number))
        # Else the loop would prove nothing.
        figures = self.figures()
        for name in ("stored", "superseded", "retained", "dropped", "status_ignored", "refused_foreign_topic"):
            self.assertGreater(figures[name], 10, name)


class FaultTests(IngestTestCase):
    """A collaborator that raises costs one message and neither connection nor count."""

    def broken(self, *_arguments: object, **_fields: object) -> None:
        raise IndexError("broken collaborator")

    def assert_harmless(self, call: Callable[[], None], *, received: int = 1) -> None:
        call()
        self.assertEqual((self.counters.received, self.accounted()), (received, received))
        if received:
            self.assertEqual(self.pending.take().packet_ids, [1])

    def test_a_merge_that_raises_is_counted_told_and_acknowledged(self) -> None:
        self.patch(self.pending, "merge", self.broken)
        self.assert_harmless(self.publish)
        self.assertEqual(self.counters.refused, {"internal_error": 1})
        [event] = self.events
        self.assertEqual(
            formatEvent(event),
            "❌ 处理消息时出现意外错误: devices/d1/data — 请附上下面的traceback，在项目仓库的Issues中报告",
        )
        self.assertEqual(event["log_failure"].type, IndexError)
        self.flushLoggedErrors(IndexError)

    def test_a_clock_that_raises_is_counted_told_and_acknowledged(self) -> None:
        self.wall = float("inf")  # int() of it raises
        self.assert_harmless(self.publish)
        self.assertEqual(self.counters.refused, {"internal_error": 1})
        self.flushLoggedErrors(OverflowError)

    def test_the_next_message_is_served(self) -> None:
        self.wall = float("inf")
        self.publish(packet_id=1)
        self.wall = START
        self.publish(packet_id=2)
        self.assertEqual(self.figures(), {"received": 2, "refused_internal_error": 1, "pending": 1})
        self.flushLoggedErrors(OverflowError)

    def test_an_unsubscribe_that_raises_is_harmless(self) -> None:
        self.patch(self, "foreign_topic_received", self.broken)
        self.assert_harmless(lambda: self.publish("old/d1/data"))
        self.flushLoggedErrors(IndexError)

    def test_a_refusal_that_raises_is_harmless(self) -> None:
        self.patch(self.refusals, "refuse", self.broken)
        self.assert_harmless(lambda: self.publish(payload=b"x"))
        self.flushLoggedErrors(IndexError)

    def test_a_refusal_of_an_unknown_device_that_raises_is_harmless(self) -> None:
        self.patch(self.refusals, "unknown_device", self.broken)
        self.assert_harmless(lambda: self.publish("devices/a b/data"))
        self.flushLoggedErrors(IndexError)

    def test_a_refusal_of_an_oversized_one_that_raises_is_harmless(self) -> None:
        self.patch(self.refusals, "refuse", self.broken)
        self.assert_harmless(lambda: self.ingest.oversized_publish_received(b"t", 70_000, 1, 65_536))
        self.flushLoggedErrors(IndexError)

    def test_a_warning_about_a_status_that_raises_is_harmless(self) -> None:
        self.patch(self.refusals, "ignored_status", self.broken)
        self.assert_harmless(lambda: self.publish("devices/d1/status", b'{"status": ""}'))
        self.flushLoggedErrors(IndexError)

    def test_a_writer_that_cannot_be_woken_is_harmless(self) -> None:
        self.patch(self, "wake", self.broken)
        self.assert_harmless(self.ingest.read_finished, received=0)
        self.flushLoggedErrors(IndexError)
