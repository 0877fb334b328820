"""What stands on ``/metrics``: every name and label value from the start, as the documents say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.health.catalogue import COUNTER, GAUGE, HISTOGRAM, METRICS
from aiot_mqtt.health.line_tally import FAULTS_IN, LineTally
from aiot_mqtt.health.metrics import Beside, exposition, measured
from aiot_mqtt.health.peak import Peak
from aiot_mqtt.health.refreshed import Refreshed
from aiot_mqtt.health.trends import Trends
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.counters import Counters
from tests.unit.test_site import a_moment

ROOT = Path(__file__).resolve().parents[2]


class CatalogueTests(SynchronousTestCase):
    def test_what_is_measured_is_what_is_described(self) -> None:
        self.assertEqual(list(METRICS), list(dict.fromkeys(METRICS)))
        self.assertEqual(set(measured(a_moment(), Beside())), set(METRICS))

    def test_names_follow_the_custom_of_prometheus(self) -> None:
        for name, described in METRICS.items():
            self.assertRegex(name, r"\A[a-z][a-z0-9_]*\Z")
            self.assertEqual(name.endswith("_total"), described.sort == COUNTER, name)
            self.assertIn(described.sort, (COUNTER, GAUGE, HISTOGRAM))
            self.assertFalse(set(described.labels) & {"uuid", "device", "topic", "host"}, name)

    def test_the_document_has_each_with_what_it_means(self) -> None:
        text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", text, re.MULTILINE)
        self.assertEqual(
            rows,
            [
                (each.full_name, each.sort, " ".join(f"`{label}`" for label in each.labels), each.help)
                for each in METRICS.values()
            ],
        )

    def test_every_value_of_every_label_is_there_from_the_start(self) -> None:
        text = exposition(a_moment(), Beside(lines=LineTally().lines, faults=LineTally().faults)).decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        found = {(sample.name, *sample.labels.values()) for sample in samples}
        for wanted in (
            ("aiot_mqtt_state", "protected"),
            ("aiot_mqtt_broker_failures_total", "taken_over"),
            ("aiot_mqtt_messages_settled_total", "dropped"),
            ("aiot_mqtt_messages_refused_total", "unknown_device"),
            ("aiot_mqtt_messages_pending", "spool"),
            ("aiot_mqtt_sweeps_total", "paused"),
            ("aiot_mqtt_log_lines_total", "warning"),
            ("aiot_mqtt_internal_errors_total", "sweep"),
            ("aiot_mqtt_commit_duration_seconds_bucket", "+Inf"),
            ("aiot_mqtt_batch_rows_sum",),
            ("aiot_mqtt_messages_received_total", "0"),
            ("aiot_mqtt_messages_received_total", "1"),
        ):
            self.assertIn(wanted, found)


class LineTallyTests(SynchronousTestCase):
    def test_every_line_that_asks_to_be_reported_is_counted_by_what_it_is_about(self) -> None:
        asking = {value for name, value in vars(log_lines).items() if name.endswith("_UNEXPECTEDLY")}
        self.assertEqual(asking, set(FAULTS_IN))

    def test_levels_are_counted(self) -> None:
        tally = LineTally()
        for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical):
            tally({"log_level": level, "log_format": log_lines.SWEEP_FAILED_UNEXPECTEDLY})
        self.assertEqual(tally.lines, {"warning": 1, "error": 2})
        self.assertEqual(tally.faults["sweep"], 3)


class PeakTests(SynchronousTestCase):
    def test_the_greatest_is_kept_for_its_time_and_forgotten_then(self) -> None:
        peak = Peak(100.0)
        for now, value in ((0, 3), (10, 9), (11, 4), (50, 5)):
            peak.note(value, now)
        self.assertEqual([peak.value(now) for now in (50, 99, 111, 149, 161)], [9, 9, 5, 5, 0])


class RefreshedTests(SynchronousTestCase):
    def test_nobody_waits_and_nothing_is_asked_twice_at_once_or_too_often(self) -> None:
        clock, asked = Clock(), list[Deferred[int]]()

        def ask() -> Deferred[int]:
            asked.append(Deferred())
            return asked[-1]

        known = Refreshed(ask, 0, 60.0, clock)
        self.assertEqual((known.value(), known.value(), len(asked)), (0, 0, 1))
        clock.advance(2)
        asked[0].callback(7)
        self.assertEqual((known.value(), len(asked)), (7, 1))
        clock.advance(199)  # that it took two seconds means that it is asked every 200
        self.assertEqual((known.value(), len(asked)), (7, 1))
        clock.advance(2)
        self.assertEqual((known.value(), len(asked)), (7, 2))
        asked[1].errback(OSError("no"))
        clock.advance(61)
        self.assertEqual((known.value(), len(asked)), (7, 3))

    def test_what_took_long_and_failed_is_asked_again_before_long_and_then_ever_more_seldom(self) -> None:
        clock, asked = Clock(), list[Deferred[int]]()

        def ask() -> Deferred[int]:
            asked.append(Deferred())
            return asked[-1]

        known = Refreshed(ask, 0, 60.0, clock)
        for pause in (60, 120, 240, 480, 960, 1000, 1000):
            known.value()
            clock.advance(10)
            asked.pop().errback(OSError("not in time"))
            clock.advance(pause - 1)
            self.assertEqual((known.value(), asked), (0, []), pause)
            clock.advance(1)
        known.value()
        clock.advance(10)
        asked.pop().callback(7)
        clock.advance(999)
        self.assertEqual((known.value(), asked), (7, []))
        clock.advance(1)
        known.value()
        clock.advance(10)
        asked.pop().errback(OSError("not in time"))
        clock.advance(60)
        self.assertEqual((known.value(), len(asked)), (7, 1))

    def test_what_takes_no_time_is_asked_more_often(self) -> None:
        for took, least in (
            (0.0, 5.0),
            (0.004, 5.0),
            (0.01, 10.0),
            (0.05, 50.0),
            (0.1, 60.0),
            (0.6, 60.0),
            (0.7, 70.0),
        ):
            clock, asked = Clock(), list[Deferred[int]]()

            def ask(asked: list[Deferred[int]] = asked) -> Deferred[int]:
                asked.append(Deferred())
                return asked[-1]

            known = Refreshed(ask, 0, 60.0, clock, quick_interval=5.0)
            known.value()
            clock.advance(took)
            asked[0].callback(7)
            clock.advance(least - 0.01)
            self.assertEqual((known.value(), len(asked)), (7, 1), took)
            clock.advance(0.02)
            self.assertEqual((known.value(), len(asked)), (7, 2), took)


class ReceivedTests(SynchronousTestCase):
    def test_what_came_is_told_by_its_qos(self) -> None:
        counters = Counters()
        counters.received, counters.received_at_qos_0 = 10, 3
        values = measured(replace(a_moment(), counters=counters), Beside())
        self.assertEqual(values["messages_received_total"], {"0": 3, "1": 7})


class SaidOfflineTests(SynchronousTestCase):
    def test_rows_that_a_device_set_offline_itself_are_counted(self) -> None:
        trends = Trends(None, lambda: True, Clock(), lambda: 1000.0)  # type: ignore[arg-type]
        updates = [DeviceUpdate(uuid) for uuid in ("a", "b", "c")]
        updates[1].is_online = False
        trends.rows_committed(updates, is_spooled=False)
        trends.rows_committed(updates[:1], is_spooled=True)
        self.assertEqual(trends.said_offline, 1)


class StartTimeTests(SynchronousTestCase):
    def test_it_stays_where_the_clock_is_set(self) -> None:
        clock, wall = Clock(), [1000.0]
        trends = Trends(None, lambda: True, clock, lambda: wall[0])  # type: ignore[arg-type]
        before = trends.started_at
        wall[0] = 50.0
        self.assertEqual((before, trends.started_at), (1000.0, 1000.0))
