"""The writer on a clock that the test moves, over the table in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS, DeviceReport
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.health.watch import MAX_UNANSWERED, database_trouble
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreOvertaken,
    StoreRefused,
    StoreUnavailable,
    TableDescription,
    Written,
)
from aiot_mqtt.table.memory import MemoryTable
from aiot_mqtt.telemetry import log_lines, reasons
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from aiot_mqtt.writing import chunk_size
from aiot_mqtt.writing.flow_control import MAX_FILL_TIME
from aiot_mqtt.writing.writer import Writer
from tests.doubles import HeldTable, RecordingConnection

NOW = "2026-11-23 10:00:00"


class Listener:
    def __init__(self, told: Callable[[Sequence[DeviceUpdate]], object]) -> None:
        self.told = told

    def rows_committed(self, updates: Sequence[DeviceUpdate], *, is_spooled: bool) -> None:
        self.told(updates)

    def row_refused(self, update: DeviceUpdate) -> None:
        """Nothing is told."""


class WriterTests(SynchronousTestCase):
    def set_up(self, table: MemoryTable, window: int = 65535, may_write: Callable[[], bool] = lambda: True) -> None:
        self.clock = Clock()
        self.table = table
        self.counters = Counters()
        self.pending = PendingUpdates()
        self.connection = RecordingConnection()
        self.pending.start_connection(self.connection)
        self.descriptions: list[TableDescription] = []
        self.writer = Writer(
            table,
            self.pending,
            self.counters,
            Refusals(self.counters, self.clock),
            self.clock,
            latest=lambda: NOW,
            flow_control=self,
            database="db.example:3306/aiot_admin",
            may_write=may_write,
            jitter=lambda: 0.0,
        )
        self.writer.add_table_listener(self)
        self.window = window
        self.packet_id = 0
        self.exceeded: list[int] = []

    def table_described(self, description: TableDescription) -> None:
        self.descriptions.append(description)

    def pause_reading(self) -> None:
        self.exceeded.append(self.writer.unacknowledged)

    def receive(self, device: str, kind: int = DATA, **fields: object) -> None:
        """One PUBLISH, as ingest would merge it, and the wake at the end of its read."""
        self.packet_id += 1
        self.counters.received += 1
        self.pending.owe_acknowledgement(self.packet_id)
        document = None if kind == HEARTBEAT else b'{"n": %d}' % self.packet_id
        report = DeviceReport(device, kind, document)._replace(**fields)  # type: ignore[arg-type]
        self.counters.superseded += self.pending.merge(report, NOW)
        self.writer.wake()

    def use_up_window(self, devices: str) -> HeldTable:
        """Receive from each of these as many as the window has room for; the first is being written."""
        table = HeldTable(devices)
        self.set_up(table, window=len(devices))
        self.writer.startService()
        for device in devices:
            self.receive(device)
        return table

    def assert_sum(self) -> None:
        balance = self.counters.balance(self.writer.deliveries)
        self.assertEqual(balance.difference, 0, balance)

    def test_what_is_not_ours_waits_until_it_is(self) -> None:
        is_ours = [False]
        self.set_up(MemoryTable(["a"]), may_write=lambda: is_ours[0])
        self.writer.startService()
        self.receive("a")
        self.assertIsNone(self.table.rows["a"].last_report_data)
        is_ours[0] = True
        self.writer.wake()
        self.assertEqual(self.table.rows["a"].last_report_data, '{"n": 1}')
        self.assert_sum()

    def test_what_somebody_else_gets_is_forgotten_and_counted(self) -> None:
        table = HeldTable("abc")
        is_ours = [True]
        self.set_up(table, may_write=lambda: is_ours[0])
        self.writer.startService()
        for device in "abb":
            self.receive(device)
        self.receive("b", HEARTBEAT)
        is_ours[0] = False
        self.writer.abandon()
        self.assertEqual((self.counters.dropped, self.counters.superseded), (0, 4))
        self.assertEqual((self.writer.deliveries, self.writer.unacknowledged), (0, 0))
        self.assert_sum()
        self.assertTrue(table.held)
        table.release()  # what the server had begun already
        self.assert_sum()
        is_ours[0] = True
        self.receive("c")
        table.release()
        self.assertEqual(table.held, [])
        self.assertEqual(self.table.rows["c"].last_report_data, '{"n": 5}')
        self.assertIsNone(self.table.rows["b"].last_report_data)
        self.assertEqual(self.connection.acknowledged, [5])
        self.assert_sum()

    def set_aside_and_release(self, *, is_ours: bool) -> dict[str, str | None]:
        """Returns what the table holds in the end, where ``c`` and the last of ``b`` came meanwhile."""
        table, may_write = HeldTable("abc"), [True]
        self.set_up(table, may_write=lambda: may_write[0])
        self.writer.startService()
        for device in "abb":
            self.receive(device)
        may_write[0] = False
        self.writer.set_aside()
        del table.held[:]  # its transaction is not committed
        self.connection = RecordingConnection()
        self.pending.start_connection(self.connection)
        for device in "cb":
            self.receive(device)
        self.assert_sum()
        self.writer.release(is_ours=is_ours)
        self.assert_sum()
        may_write[0] = True
        self.writer.wake()
        while table.held:
            table.release()
        self.assertEqual(self.connection.acknowledged, [4, 5])
        self.assertEqual(self.writer.deliveries, 0)
        self.assert_sum()
        return {uuid: row.last_report_data for uuid, row in table.rows.items()}

    def test_what_was_set_aside_is_written_below_what_came_meanwhile(self) -> None:
        held = self.set_aside_and_release(is_ours=True)
        self.assertEqual(held, {"a": '{"n": 1}', "b": '{"n": 5}', "c": '{"n": 4}'})

    def test_or_forgotten_without_what_came_meanwhile(self) -> None:
        held = self.set_aside_and_release(is_ours=False)
        self.assertEqual(held, {"a": None, "b": '{"n": 5}', "c": '{"n": 4}'})

    def test_an_idle_writer_writes_at_once(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.receive("a")
        self.assertEqual(self.table.rows["a"].last_report_data, '{"n": 1}')
        self.assertEqual(self.connection.acknowledged, [1])
        self.assert_sum()

    def test_a_busy_writer_collects_and_never_writes_two_batches_at_once(self) -> None:
        table = HeldTable(["a", "b", "c"])
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        for device in ("c", "b", "b"):
            self.receive(device)
        self.assertEqual(len(table.held), 1)
        self.assertEqual(self.connection.acknowledged, [])
        table.release()
        self.assertEqual(self.connection.acknowledged, [1])
        self.assertEqual([update.uuid for update in table.held[0][1]], ["b", "c"])
        table.release()
        self.assertEqual(self.connection.acknowledged, [1, 2, 3, 4])
        self.assertEqual(self.counters.superseded, 1)
        self.assert_sum()

    def test_each_chunk_acknowledges_what_came_before_the_first_report_of_any_device_that_is_left(self) -> None:
        table = HeldTable([f"d{number}" for number in range(2500)])
        self.set_up(table)
        self.writer.startService()
        numbers = [*range(700), 3, *range(2500), 9]
        for packet_id, number in enumerate(numbers, 1):
            self.pending.owe_acknowledgement(packet_id)
            self.pending.merge(DeviceReport(f"d{number}", HEARTBEAT), NOW)
        self.writer.wake()
        sizes, acknowledged = [], []
        while table.held:
            acknowledged.append(len(self.connection.acknowledged))
            sizes.append(len(table.held[0][1]))
            table.release()
        self.assertEqual(sizes, [1000, 1000, 500])
        self.assertEqual(acknowledged, [0, 701 + 1000, 701 + 2000])
        self.assertEqual(self.connection.acknowledged, list(range(1, len(numbers) + 1)))

    def test_a_small_window_is_filled_before_the_next_batch_so_that_it_does_not_split_in_two(self) -> None:
        table = self.use_up_window("abcd")
        self.assertEqual([len(updates) for _, updates in table.held], [1])
        table.release()
        self.assertEqual((self.connection.acknowledged, table.held), ([1], []))
        self.receive("a")
        self.assertEqual([len(updates) for _, updates in table.held], [4])
        table.release()
        self.assertEqual((self.connection.acknowledged, self.writer.deliveries), ([1, 2, 3, 4, 5], 0))

    def test_a_small_window_that_the_broker_does_not_use_up_is_waited_for_only_a_moment(self) -> None:
        table = self.use_up_window("abcd")
        table.release()
        self.clock.advance(MAX_FILL_TIME)
        self.assertEqual([len(updates) for _, updates in table.held], [3])
        table.release()
        self.receive("a")
        self.assertEqual([len(updates) for _, updates in table.held], [1])
        table.release()
        self.assertEqual(self.connection.acknowledged, [1, 2, 3, 4, 5])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_does_not_wait_for_a_window_to_fill(self) -> None:
        table = self.use_up_window("ab")
        stopping = self.writer.stopService()
        table.release()
        table.release()
        self.successResultOf(stopping)
        self.assertEqual(self.connection.acknowledged, [1, 2])

    def test_what_is_being_written_uses_the_window_up_too(self) -> None:
        table = HeldTable("a")
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        for packet_id in range(2, 65_536):
            self.pending.owe_acknowledgement(packet_id)
        self.writer.wake()
        self.assertEqual(self.exceeded, [])
        self.receive("a")
        self.assertEqual(self.exceeded, [65_536])

    def test_a_connection_with_nothing_pending_is_read_on_whatever_an_older_one_brought(self) -> None:
        table = HeldTable("a")
        self.set_up(table)
        self.writer.startService()
        for packet_id in range(2, 65_538):
            self.pending.owe_acknowledgement(packet_id)
        self.receive("a")
        self.assertEqual((self.writer.unacknowledged, self.pending.unacknowledged), (65_537, 0))
        self.pending.start_connection(RecordingConnection())
        self.exceeded.clear()
        self.writer.wake()
        self.assertEqual(self.exceeded, [])  # nothing would have it read again

    def test_the_oldest_is_of_those_that_are_not_acknowledged(self) -> None:
        self.patch(chunk_size, "MAX_ROWS", 1)
        self.patch(chunk_size, "USUAL", 1)
        table = HeldTable("abcd")
        self.set_up(table)
        self.writer.startService()
        ages = []
        for device in "abcd":
            self.receive(device)
            self.clock.advance(1)
        while table.held:
            ages.append(self.writer.oldest_age)
            table.release()
        self.assertEqual([*ages, self.writer.oldest_age], [4, 3, 2, 1, 0])

    def test_what_is_noted_of_arrivals_does_not_grow_while_nothing_comes(self) -> None:
        self.set_up(HeldTable("ab"))
        self.writer.startService()
        for device in "ab":
            self.receive(device)
        for _ in range(1000):  # each second a PINGRESP is read
            self.clock.advance(1)
            self.writer.wake()
        self.assertEqual(self.writer.backlog._pending_arrivals, [(1, 0.0)])
        self.assertEqual(self.writer.oldest_age, 1000)

    def test_a_chunk_is_written_in_the_order_of_names(self) -> None:
        table = HeldTable([])
        self.set_up(table)
        self.writer.startService()
        for device in ("b", "C", "a", "B2", "A1", "_", "9"):
            self.pending.merge(DeviceReport(device, HEARTBEAT), NOW)
        self.writer.wake()
        self.assertEqual([update.uuid for update in table.held[0][1]], ["9", "A1", "B2", "C", "_", "a", "b"])

    def test_what_needs_no_row_is_acknowledged_without_a_write(self) -> None:
        self.set_up(MemoryTable())
        self.writer.startService()
        self.pending.owe_acknowledgement(7)
        self.writer.wake()
        self.assertEqual(self.connection.acknowledged, [7])
        self.assertEqual(self.table.writes, [])

    def test_acknowledgements_of_an_older_connection_are_thrown_away(self) -> None:
        table = HeldTable(["a"])
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        newer = RecordingConnection()
        self.pending.start_connection(newer)
        table.release()
        self.assertEqual(newer.acknowledged, [])

    def test_an_unknown_device_is_said_counted_and_acknowledged(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        with capturedLogs() as events:
            self.receive("nobody")
            self.receive("nobody", HEARTBEAT)
        lines = [event for event in events if event["log_format"] == log_lines.UNKNOWN_DEVICE]
        self.assertEqual([(line["device"], line["log_level"]) for line in lines], [("nobody", LogLevel.warn)])
        self.assertEqual(self.counters.refused, {"unknown_device": 2})
        self.assertEqual(self.connection.acknowledged, [1, 2])
        self.assert_sum()

    def test_a_table_that_has_no_answer_for_long_is_not_said_to_be_well(self) -> None:
        table = HeldTable(["a", "b"])
        self.set_up(table)
        self.clock.advance(20)
        self.assertIsNone(database_trouble(self.writer))
        self.writer.startService()
        self.receive("a")
        self.clock.advance(MAX_UNANSWERED - 0.1)
        self.assertIsNone(database_trouble(self.writer))
        self.clock.advance(3)
        trouble = database_trouble(self.writer)
        assert trouble is not None
        self.assertAlmostEqual(trouble.seconds, MAX_UNANSWERED + 2.9)
        self.assertEqual(trouble.reason, "no answer to what it was sent")
        table.release()
        self.assertIsNone(database_trouble(self.writer))
        self.assertEqual(self.writer.deliveries, 0)

    def test_an_outage_delays_and_loses_nothing(self) -> None:
        self.set_up(MemoryTable(["a", "b"]))
        self.writer.startService()
        self.table.failures = [StoreUnavailable("gone away (2006)") for _ in range(4)]
        with capturedLogs() as events:
            self.receive("a")
            self.receive("b")
            attempts = []
            while self.writer.deliveries:
                before = len(self.table.failures)
                self.clock.advance(0.5)
                if len(self.table.failures) < before or not self.writer.deliveries:
                    attempts.append(self.clock.seconds())
        self.assertEqual(attempts, [1.0, 3.0, 7.0, 12.0])
        self.assertEqual(self.connection.acknowledged, [1, 2])
        self.assertEqual(
            [event["log_format"] for event in events], [log_lines.DATABASE_FAILED, log_lines.DATABASE_BACK]
        )
        self.assertEqual(events[0]["reason"], "gone away (2006)")
        self.assertEqual(self.counters.retries, {"unavailable": 4})
        self.assert_sum()

    def test_no_wait_exceeds_five_seconds_and_reminders_of_an_outage_thin_out(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.table.failures = [StoreUnavailable("down") for _ in range(200)]
        with capturedLogs() as events:
            self.writer.startService()
            last = attempts = 0
            for second in range(1, 601):
                before = len(self.table.failures)
                self.clock.advance(1)
                if len(self.table.failures) < before:
                    self.assertLessEqual(second - last, 5)
                    last = second
                    attempts += 1
        self.assertEqual(events[0]["log_format"], log_lines.DATABASE_FAILED)
        reminders = [event for event in events if event["log_format"] == log_lines.DATABASE_STILL_DOWN]
        self.assertEqual(len(events), 1 + len(reminders))
        self.assertTrue(3 <= len(reminders) <= 4, len(reminders))
        self.assertEqual({event["where"] for event in reminders}, {reasons.IN_BROKER})

    def test_another_server_is_tried_at_once(self) -> None:
        self.set_up(MemoryTable(["a"]))
        for has_others, soon in ((False, 1), (True, 0)):
            failure = StoreUnavailable("silent")
            failure.has_others = has_others
            self.table.failures = [failure, StoreUnavailable("down")]
            with capturedLogs():
                self.writer.startService()
                self.clock.advance(0.1)
                self.assertEqual(len(self.table.failures), soon)
                self.clock.pump([1.0] * 5)
                self.writer.stopService()
            self.assertEqual(self.table.failures, [])

    def test_a_table_that_is_down_at_start_is_waited_for(self) -> None:
        self.set_up(MemoryTable(["a"], status_length=33))
        self.table.failures = [StoreUnavailable("refused (2003)")]
        self.writer.startService()
        self.receive("a")
        self.assertEqual(self.descriptions, [])
        self.clock.advance(1)
        self.assertEqual([description.status_length for description in self.descriptions], [33])
        self.assertEqual(self.connection.acknowledged, [1])

    def test_a_mistake_of_rights_is_tried_again_every_thirty_seconds(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.table.failures = [StoreMisconfigured("UPDATE command denied (1142)")] * 2
        with capturedLogs() as events:
            self.receive("a")
            self.clock.advance(29.9)
            self.assertEqual(len(self.table.failures), 1)
            self.clock.advance(0.2)
            self.assertEqual(len(self.table.failures), 0)
            self.clock.advance(30)
        self.assertEqual(self.connection.acknowledged, [1])
        self.assertEqual(
            [event["log_format"] for event in events], [log_lines.DATABASE_MISCONFIGURED, log_lines.DATABASE_BACK]
        )

    def test_a_login_that_is_refused_is_a_failed_connection(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.table.failures = [StoreLoginRefused("Access denied (1045)")]
        with capturedLogs() as events:
            self.writer.startService()
            self.clock.advance(30)
        self.assertEqual(
            [event["log_format"] for event in events],
            [log_lines.DATABASE_FAILED, log_lines.DATABASE_BACK, log_lines.DATABASE_CONNECTED],
        )

    def test_a_deadlock_is_tried_again_soon_and_not_told(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.table.failures = [StoreConflict("Deadlock found (1213)")]
        with capturedLogs() as events:
            self.receive("a")
            self.clock.advance(0.05)
        self.assertEqual(self.connection.acknowledged, [1])
        self.assertEqual(events, [])
        self.assertEqual(self.counters.retries, {"conflict": 1})

    def test_one_that_is_overtaken_again_and_again_is_told_late(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.table.failures = [StoreOvertaken("Deadlock found (1213)") for _ in range(10)]
        self.writer.startService()
        self.receive("a")
        self.clock.pump([1.0] * 12)
        self.assertEqual((self.table.failures, self.connection.acknowledged), ([], [1]))
        self.table.failures = [StoreOvertaken("Deadlock found (1213)") for _ in range(11)]
        with capturedLogs() as events:
            self.receive("a")
            self.clock.pump([1.0] * 12)
        self.assertEqual(
            [event["log_format"] for event in events], [log_lines.ROWS_LOCKED, log_lines.DATABASE_BACK], events
        )

    def test_rows_that_stay_locked_are_told(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.table.failures = [StoreConflict("Lock wait timeout (1205)")] * 5
        with capturedLogs() as events:
            self.receive("a")
            for _ in range(5):
                self.clock.advance(1)
        self.assertEqual([event["log_format"] for event in events], [log_lines.ROWS_LOCKED, log_lines.DATABASE_BACK])
        self.assertEqual(self.connection.acknowledged, [1])

    def test_one_refused_value_costs_only_itself(self) -> None:
        self.set_up(MemoryTable([f"d{number}" for number in range(64)]))
        self.writer.startService()
        self.table.failures = [StoreUnavailable("collect")]
        self.receive("d0")
        for number in range(1, 64):
            self.receive(f"d{number}", STATUS, status="x" * 30 if number == 33 else "ok")
        with capturedLogs() as events:
            self.clock.advance(1)
        self.assertEqual(self.connection.acknowledged, list(range(1, 65)))
        row = self.table.rows["d33"]
        self.assertEqual((row.device_status, row.last_report_data, row.last_seen), ("pending", '{"n": 34}', NOW))
        self.assertEqual({self.table.rows[f"d{number}"].device_status for number in range(1, 64)}, {"pending", "ok"})
        self.assertIn(log_lines.VALUE_REFUSED, [event["log_format"] for event in events])
        self.assertEqual(self.counters.status_ignored, 1)
        self.assert_sum()

    def test_a_fault_of_ours_is_told_and_nothing_is_lost_or_refused(self) -> None:
        class Broken(MemoryTable):
            faults = 5

            def _write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None) -> Written:
                self.faults -= 1
                if self.faults >= 0:
                    raise ZeroDivisionError("a bug")
                return super()._write(updates, unless_heard_until)

        self.set_up(Broken(["a", "b"]))
        self.writer.startService()
        for device in ("a", "b"):
            self.receive(device, HEARTBEAT)
        self.clock.pump([1.0] * 60)
        self.assertEqual(self.connection.acknowledged, [1, 2])
        self.assertEqual(self.table.rows["b"].last_seen, NOW)
        self.assertEqual(self.counters.refused, {})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)
        self.assert_sum()

    def test_a_listener_that_raises_holds_up_nothing(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.add_listener(Listener(lambda updates: updates[1].uuid))
        self.writer.startService()
        self.receive("a")
        self.receive("a")
        self.assertEqual(self.connection.acknowledged, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 2)

    def test_what_was_committed_is_told_first_and_without_those_that_have_no_row(self) -> None:
        self.set_up(MemoryTable(["a", "b"]))
        told: list[tuple[str, list[str]]] = []
        self.writer.add_listener(Listener(lambda updates: told.append(("first", [each.uuid for each in updates]))))
        self.writer.add_listener(Listener(lambda updates: told.append(("second", [each.uuid for each in updates]))))
        self.writer.startService()
        self.table.failures = [StoreUnavailable("collect")]
        for device in ("a", "ghost", "b"):
            self.receive(device)
        self.assertEqual(told, [])
        self.clock.advance(1)
        self.assertEqual(told[:2], [("first", ["a"]), ("second", ["a"])])
        self.assertEqual(told[2:], [("first", ["b"]), ("second", ["b"])])

    def test_a_row_that_is_refused_is_not_told_as_committed(self) -> None:
        class Refusing(MemoryTable):
            def _write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None) -> Written:
                raise StoreRefused("a trigger says no")

        self.set_up(Refusing(["a", "b"]))
        told: list[Sequence[DeviceUpdate]] = []
        self.writer.add_listener(Listener(told.append))
        self.writer.startService()
        self.receive("a", HEARTBEAT)
        self.assertEqual((told, self.counters.refused), ([], {"refused_by_database": 1}))

    def test_a_job_runs_after_what_was_pending_and_before_what_comes_then(self) -> None:
        table = HeldTable(["a", "b"])
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        steps: list[str] = []
        running: Deferred[str] = Deferred()

        def job() -> Deferred[str]:
            steps.append(f"job after {len(table.writes)} writes")
            return running

        self.receive("b")
        done = self.writer.between_batches(job)
        self.receive("a")
        table.release()
        self.assertEqual(steps, [])
        table.release()
        self.assertEqual(steps, ["job after 2 writes"])
        self.receive("b")
        self.assertEqual(table.held, [])
        running.callback("done")
        self.assertEqual(self.successResultOf(done), "done")
        table.release()
        self.assertEqual(len(table.writes), 3)

    def test_a_job_that_fails_ends_neither_the_writer_nor_is_it_run_again(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()

        def job() -> Deferred[None]:
            raise StoreUnavailable("down")

        self.failureResultOf(self.writer.between_batches(job), StoreUnavailable)
        self.receive("a")
        self.assertEqual(self.connection.acknowledged, [1])

    def test_stopping_cancels_jobs_that_did_not_begin(self) -> None:
        table = HeldTable(["a"])
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        done: Deferred[None] = self.writer.between_batches(lambda: self.fail("it ran"))
        stopped = self.writer.stopService()
        self.failureResultOf(done, CancelledError)
        table.release()
        self.successResultOf(stopped)

    def test_stopping_writes_what_is_pending(self) -> None:
        table = HeldTable(["a", "b"])
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        self.receive("b")
        stopped = self.writer.stopService()
        self.assertNoResult(stopped)
        table.release()
        self.assertNoResult(stopped)
        table.release()
        self.successResultOf(stopped)
        self.assertEqual(self.connection.acknowledged, [1, 2])

    def test_stopping_during_an_outage_makes_one_attempt_and_no_more(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.table.failures = [StoreUnavailable("down")] * 2
        self.receive("a")
        stopped = self.writer.stopService()
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.table.failures, [])
        self.assertEqual(self.connection.acknowledged, [])
        self.assertEqual(self.writer.deliveries, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_after_the_database_came_back_writes(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.table.failures = [StoreUnavailable("down")]
        self.receive("a")
        stopped = self.writer.stopService()
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.connection.acknowledged, [1])

    def test_stopping_can_be_given_up(self) -> None:
        table = HeldTable(["a"])
        self.set_up(table)
        self.writer.startService()
        self.receive("a")
        stopped = self.writer.stopService()
        stopped.cancel()
        self.successResultOf(stopped)
        self.assertEqual(self.connection.acknowledged, [])

    def test_nothing_is_written_after_stopping(self) -> None:
        self.set_up(MemoryTable(["a"]))
        self.writer.startService()
        self.successResultOf(self.writer.stopService())
        self.receive("a")
        self.assertEqual(self.table.writes, [])
