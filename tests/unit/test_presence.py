"""The sweep on a clock that the test moves: its edges, its failures, and that it never races with the writer."""

from __future__ import annotations

from math import inf
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import ReportRules
from aiot_mqtt.devices.update import table_time
from aiot_mqtt.ingest.committed_times import CommittedTimes
from aiot_mqtt.ingest.ingest import Ingest
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.mqtt.keep_alive import HEARD_LATELY
from aiot_mqtt.presence.heard_devices import HeardDevices
from aiot_mqtt.presence.monitor import PresenceMonitor
from aiot_mqtt.table.contract import (
    PieceRead,
    RowKey,
    Silence,
    StoreUnavailable,
)
from aiot_mqtt.table.memory import MemoryTable, Row
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from aiot_mqtt.writing.writer import Writer
from tests.doubles import HeldTable
from tests.log_events import collect_events

WALL = 1_800_000_000.0
ZONE = ZoneInfo("Asia/Shanghai")


class Subscription:
    def __init__(self) -> None:
        self.is_listening = True
        self.silent_for = 0.0
        self.window = 65535

    def pause_reading(self) -> None:
        """There is no connection that could be read."""

    def foreign_topic_received(self, topic: str) -> None:
        """There is no subscription that could be undone."""


class PresenceTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.events = collect_events(self)
        self.clock = Clock()
        self.wall_step = 0.0
        self.subscription = Subscription()

    def start(self, table: MemoryTable, timeout: float = 300, check_interval: float = 30, resolution: int = 0) -> None:
        self.table = table
        self.counters = Counters()
        self.pending = PendingUpdates()
        committed_times = CommittedTimes(resolution, self.pending) if resolution else None
        refusals = Refusals(self.counters, self.clock)
        self.writer = Writer(
            table,
            self.pending,
            self.counters,
            refusals,
            self.clock,
            latest=lambda: table_time(self.wall(), ZONE),
            flow_control=self.subscription,
            jitter=lambda: 0.0,
        )
        self.heard = HeardDevices(self.counters, self.clock, self.pending, ZONE, self.wall)
        self.ingest = Ingest(
            ReportRules(),
            self.pending,
            self.counters,
            refusals,
            table_zone=ZONE,
            writer=self.writer,
            foreign_topics=self.subscription,
            wall_clock=self.wall,
            committed_times=committed_times,
            heard=self.heard,
        )
        self.presence = PresenceMonitor(
            table,
            self.writer,
            self.heard,
            self.counters,
            self.clock,
            subscription=self.subscription,
            timeout=timeout,
            check_interval=check_interval,
            table_zone=ZONE,
            resolution=resolution,
            row_changes=None if committed_times is None else committed_times.unsettle,
            wall_clock=self.wall,
            log_devices=True,
        )
        if committed_times is not None:
            self.writer.add_listener(committed_times)
        self.writer.add_listener(self.heard)
        self.writer.add_table_listener(self.ingest)
        self.writer.startService()
        self.presence.startService()

    def wall(self) -> float:
        return WALL + self.clock.seconds() + self.wall_step

    def run_for(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)

    def hear(self, *devices: str, packet_id: int = 0) -> None:
        for device in devices:
            self.ingest.publish_received(f"devices/{device}/heartbeat".encode(), b"", packet_id, False)
        self.ingest.read_finished()

    def online(self) -> set[str]:
        return {uuid for uuid, row in self.table.rows.items() if row.is_online}

    def said(self, line: str) -> int:
        return sum(event["log_format"] == line for event in self.events)


class PresenceTests(PresenceTestCase):
    def test_a_silent_device_goes_offline_after_timeout_and_at_most_one_interval(self) -> None:
        self.start(MemoryTable(["dead", "alive"]))
        self.run_for(100)
        self.hear("dead", "alive")
        gone_at = 0
        for second in range(101, 800):
            self.run_for(1)
            if second % 60 == 0:
                self.hear("alive")
            if "dead" not in self.online() and not gone_at:
                gone_at = second
            self.assertIn("alive", self.online())
        self.assertTrue(400 < gone_at <= 431, gone_at)
        self.assertEqual(self.counters.went_silent, 1)

    def test_silence_is_judged_once_it_was_listened_for_the_timeout_and_while_it_is(self) -> None:
        self.start(MemoryTable(["d1"]))
        self.run_for(290)
        self.assertFalse(self.presence.is_judging())
        self.run_for(20)
        self.assertTrue(self.presence.is_judging())
        self.subscription.is_listening = False
        self.assertFalse(self.presence.is_judging())
        self.subscription.is_listening = True
        self.presence.session_lost()
        self.assertFalse(self.presence.is_judging())

    def test_before_at_and_after_the_edge(self) -> None:
        self.start(MemoryTable(["dead"]), timeout=100, check_interval=1)
        self.run_for(150)
        self.hear("dead")  # at 150
        self.run_for(99)
        self.assertEqual(self.online(), {"dead"})
        self.run_for(1)  # silent for 100 s to the second: the column has no smaller unit
        self.assertEqual(self.online(), {"dead"})
        self.run_for(1)
        self.assertEqual(self.online(), set())

    def test_the_seconds_in_which_the_broker_is_silent_and_not_missed_yet_are_held_against_nobody(self) -> None:
        """It is taken for there for three seconds, and by then says nothing any more, whatever the devices do."""
        self.start(MemoryTable(["alive"]), timeout=10, check_interval=1)
        self.run_for(50)
        self.hear("alive")
        self.run_for(3)
        self.subscription.is_listening, self.subscription.silent_for = False, HEARD_LATELY
        self.run_for(100)
        self.subscription.is_listening = True
        self.run_for(9)
        self.assertEqual(self.online(), {"alive"})
        self.run_for(5)
        self.assertEqual(self.online(), set())

    def test_a_link_that_comes_and_goes_lets_the_dead_go_offline(self) -> None:
        """The broker was heard until the connection was closed, however often that is."""
        self.start(MemoryTable(["dead"]), timeout=30, check_interval=1)
        for _ in range(30):
            self.subscription.is_listening, self.subscription.silent_for = True, 0.5
            self.run_for(3)
            self.subscription.is_listening, self.subscription.silent_for = False, inf
            self.run_for(2)
        self.subscription.is_listening = True
        self.run_for(2)
        self.assertEqual(self.online(), set())

    def test_a_message_in_the_same_instant_as_the_sweep_wins(self) -> None:
        table = HeldTable(["a", "b"], holds_writes=False)
        self.start(table, timeout=100, check_interval=10)
        self.hear("a", "b")
        self.run_for(109)
        self.hear("a")  # one second before the sweep at 110
        self.assertEqual(self.online(), {"a", "b"})
        table.holds_writes = True
        self.hear("b")  # pending when the sweep comes due
        self.run_for(1)
        table.release()
        self.assertEqual(self.online(), {"a", "b"})

    def test_a_device_heard_while_its_sweep_runs_is_not_left_offline(self) -> None:
        table = HeldTable(["a"], holds_writes=False)
        self.start(table, timeout=100, check_interval=10)
        self.hear("a")
        table.holds_sweeps = True
        self.run_for(110)
        self.assertEqual(len(table.held), 1)
        self.hear("a")
        self.assertEqual(table.writes, [["a"]])  # it waits for the sweep
        table.release()
        self.assertEqual(self.online(), {"a"})
        self.assertEqual(table.writes, [["a"], ["a"]])
        self.assertEqual(self.counters.came_back, 1)

    def test_intervals_that_do_not_divide_the_timeout(self) -> None:
        for timeout, interval in ((100, 7), (61, 60), (10, 30)):
            self.start(MemoryTable(["dead"]), timeout=timeout, check_interval=interval)
            self.run_for(2 * timeout + interval)
            self.hear("dead")
            heard_at = self.clock.seconds()
            while self.online():
                self.run_for(1)
            silent = self.clock.seconds() - heard_at
            self.assertTrue(timeout < silent <= timeout + interval + 1, (timeout, interval, silent))
            self.presence.stopService()
            self.successResultOf(self.writer.stopService())

    def test_a_sweep_longer_than_the_interval_is_not_begun_twice(self) -> None:
        table = HeldTable(["a"], holds_writes=False)
        self.start(table, timeout=100, check_interval=10)
        self.hear("a")
        table.holds_sweeps = True
        self.run_for(200)
        self.assertEqual(len(table.held), 1)
        table.holds_sweeps = False
        table.release()
        self.hear("a")
        self.run_for(120)
        self.assertEqual(self.counters.went_silent, 2)

    def test_a_sweep_that_fails_goes_on_at_the_next_tick(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        self.run_for(105)
        self.table.failures = [StoreUnavailable("gone away")] * 2
        self.run_for(20)
        self.assertEqual(self.table.failures, [])
        self.assertEqual(self.online(), {"a"})
        self.run_for(10)
        self.assertEqual(self.online(), set())
        self.assertEqual(self.said(log_lines.SWEEP_FAILED), 1)

    def test_a_lost_session_starts_the_history_anew(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        self.run_for(90)
        self.presence.session_lost()
        self.run_for(99)
        self.assertEqual(self.online(), {"a"})
        self.run_for(11)
        self.assertEqual(self.online(), set())

    def test_a_fault_in_the_sweep_does_not_end_it(self) -> None:
        class Faulty(MemoryTable):
            faults = 2

            def _find_silent(self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int) -> PieceRead:
                self.faults -= 1
                if self.faults >= 0:
                    raise ZeroDivisionError("a bug")
                return super()._find_silent(silence, after, last, most)

        self.start(Faulty(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        self.run_for(140)
        self.assertEqual(self.online(), set())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_fault_beside_the_sweep_does_not_end_it_either(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        with self.subTest("a subscription that raises"):
            self.run_for(50)
            del self.subscription.is_listening
            self.run_for(1)
            self.subscription.is_listening = True
            self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.run_for(120)
        self.assertEqual(self.online(), set())

    def test_a_turn_that_never_comes_does_not_end_it(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        lost: list[Deferred[None]] = []

        def lose(_job: object) -> Deferred[None]:
            lost.append(Deferred())
            return lost[-1]

        patched = self.patch(self.writer, "between_batches", lose)
        self.run_for(110)
        self.assertEqual(len(lost), 1)
        patched.restore()
        self.run_for(200)
        self.assertEqual(self.online(), {"a"})
        self.run_for(110)
        self.assertEqual(self.online(), set())

    def test_no_device_goes_offline_for_time_in_which_nobody_listened(self) -> None:
        def no_subscription() -> None:
            self.subscription.is_listening = False

        def a_full_window() -> None:
            for packet_id in range(1, 40000):
                self.pending.owe_acknowledgement(packet_id)
            table.holds_writes = True
            self.hear("b", packet_id=40000)

        def an_old_message() -> None:
            table.holds_writes = True
            self.hear("b", packet_id=1)

        def a_table_that_refuses() -> None:
            self.table.failures = [StoreUnavailable("down")] * 1000
            self.hear("b")

        for stop_listening in (no_subscription, a_full_window, an_old_message, a_table_that_refuses):
            self.subscription.is_listening = True
            table = HeldTable(["a", "b"], holds_writes=False)
            self.start(table, timeout=100, check_interval=10)
            self.run_for(150)
            self.hear("a", "b")
            stop_listening()
            self.run_for(1000)
            self.assertEqual(self.online(), {"a", "b"}, stop_listening)
            self.assertFalse(self.presence.is_listening())
            self.presence.stopService()
            self.writer.stopService().cancel()

    def test_after_a_gap_the_silence_before_it_counts(self) -> None:
        self.start(MemoryTable(["dead"]), timeout=100, check_interval=10)
        self.run_for(150)
        self.hear("dead")
        self.run_for(60)
        self.subscription.is_listening = False
        self.run_for(1000)
        self.subscription.is_listening = True
        self.run_for(39)
        self.assertEqual(self.online(), {"dead"})
        self.run_for(20)
        self.assertEqual(self.online(), set())

    def test_steps_of_the_clock_take_no_living_device_offline_and_leave_no_dead_one_online(self) -> None:
        for step in (86400.0, -3600.0):
            self.wall_step = 0.0
            self.start(MemoryTable(["dead", "alive"]), timeout=100, check_interval=10)
            self.hear("dead", "alive")
            for second in range(600):
                if second == 80:
                    self.wall_step = step
                if second == 300:
                    self.wall_step = 0.0
                if second % 20 == 0:
                    self.hear("alive")
                self.run_for(1)
                self.assertIn("alive", self.online(), (step, second))
            self.assertEqual(self.online(), {"alive"}, step)
            self.presence.stopService()
            self.successResultOf(self.writer.stopService())

    def test_no_last_seen_or_one_far_in_the_future_is_silence_counted_and_warned_about(self) -> None:
        self.start(MemoryTable(), timeout=100, check_interval=10)
        self.table.rows["never"] = Row(is_online=True)
        self.table.rows["future"] = Row(is_online=True, last_seen="2099-01-01 00:00:00")
        self.run_for(120)
        self.assertEqual(self.online(), set())
        self.assertEqual(self.counters.odd_last_seen, 2)
        self.assertEqual(self.said(log_lines.ODD_LAST_SEEN), 1)

    def test_a_sweep_that_changed_something_is_one_line(self) -> None:
        self.start(MemoryTable([f"d{number}" for number in range(2500)]), timeout=100, check_interval=10)
        self.hear(*(f"d{number}" for number in range(2500)))
        self.run_for(130)
        self.assertEqual(self.counters.went_silent, 2500)
        (event,) = [event for event in self.events if event["log_format"] == log_lines.MANY_DEVICES_OFFLINE]
        self.assertEqual((event["log_level"], event["count"], event["percent"]), (LogLevel.warn, 2500, 100))
        self.assertEqual(event["devices"], "d0, d1, d10, d100, d1000…")
        self.assertEqual(self.said(log_lines.DEVICE_OFFLINE), 2500)

    def test_a_status_offline_and_retained_messages(self) -> None:
        self.start(MemoryTable(["a", "b"]), timeout=100, check_interval=10)
        self.hear("a")
        self.ingest.publish_received(b"devices/a/status", b"offline", 0, False)
        self.ingest.publish_received(b"devices/b/status", b"online", 0, True)
        self.ingest.read_finished()
        self.assertEqual(self.online(), set())
        self.hear("a")  # a last will of an older connection came late: the next message corrects it
        self.assertEqual(self.online(), {"a"})

    def test_stopping_ends_a_sweep_and_leaves_no_timer(self) -> None:
        table = HeldTable(["a"], holds_writes=False)
        self.start(table, timeout=100, check_interval=10)
        self.hear("a")
        table.holds_sweeps = True
        self.run_for(120)
        self.presence.stopService()
        stopped = self.writer.stopService()
        table.release()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_once_a_day_the_fleets_own_intervals_are_told(self) -> None:
        self.start(MemoryTable(["a", "slow"]), timeout=300, check_interval=3600)
        for second in range(0, 86400, 10):
            if second % 60 == 0:
                self.hear("a")
            if second % 300 == 0:
                self.hear("slow")
            self.clock.pump([2.0] * 5)
        (event,) = [event for event in self.events if event["log_format"] == log_lines.REGULARITY]
        self.assertEqual((event["usual"], event["timeout"], event["late"]), (300, 300, 0))
        (event,) = [event for event in self.events if event["log_format"] == log_lines.FLAPPING]
        self.assertEqual((event["count"], event["interval"], event["timeout"]), (1, 300, 300))


class ResolutionTests(PresenceTestCase):
    """With rows whose times may lag behind what was heard."""

    def test_a_device_that_is_heard_within_the_timeout_stays_online_and_a_dead_one_does_not(self) -> None:
        self.start(MemoryTable(["dead", "alive"]), timeout=100, check_interval=1, resolution=60)
        gone_at = 0
        for second in range(1600):
            if second % 158 in (0, 59):  # every other is not written, and then comes the longest silence that is none
                self.hear("alive")
                if second < 640:
                    self.hear("dead")
            self.run_for(1)
            self.assertIn("alive", self.online(), second)
            if "dead" not in self.online() and not gone_at:
                gone_at = second
        self.assertTrue(632 + 100 < gone_at <= 632 + 100 + 60 + 1, gone_at)
        self.assertGreater(self.counters.unchanged, 10)

    def test_at_the_edge_it_is_the_timeout_since_it_was_heard(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=1, resolution=60)
        self.run_for(300)
        self.hear("a")
        self.run_for(59)
        self.hear("a")  # its row lags by 59 s
        self.assertEqual(self.counters.unchanged, 1)
        self.run_for(101)
        self.assertEqual(self.online(), {"a"})
        self.run_for(1)
        self.assertEqual(self.online(), set())

    def test_when_another_program_sets_a_row_back_the_next_heartbeat_is_written(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=1, resolution=60)
        self.run_for(200)
        self.hear("a")
        self.table.rows["a"] = Row(is_online=True, last_seen="2020-01-01 00:00:00")
        self.run_for(1)
        self.assertEqual(self.online(), {"a"})
        self.hear("a")
        self.assertGreater(self.table.rows["a"].last_seen or "", "2027")
        self.assertEqual(self.counters.unchanged, 0)

    def test_after_a_sweep_the_next_heartbeat_is_written(self) -> None:
        self.start(MemoryTable(["a"]), timeout=100, check_interval=1, resolution=60)
        self.run_for(200)
        self.hear("a")
        self.run_for(162)
        self.assertEqual(self.online(), set())
        self.hear("a")
        self.assertEqual(self.online(), {"a"})
        self.assertEqual((self.counters.unchanged, self.counters.came_back), (0, 1))

    def test_heartbeats_that_are_not_written_are_evidence_too(self) -> None:
        self.start(MemoryTable(["a"]), timeout=300, check_interval=3600, resolution=60)
        for second in range(0, 86400, 10):
            if second % 20 == 0:
                self.hear("a")
            self.clock.pump([2.0] * 5)
        (event,) = [event for event in self.events if event["log_format"] == log_lines.REGULARITY]
        self.assertEqual((event["usual"], event["timeout"], event["late"]), (20, 300, 340))
        self.assertGreater(event["intervals"], 4000)
