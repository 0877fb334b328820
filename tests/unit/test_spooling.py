"""Writer and spool together: a clock, a table and a disk that the test moves, over a real file."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS, DeviceReport
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.spool import disk as disk_module
from aiot_mqtt.spool.disk import Disk, SpoolError
from aiot_mqtt.spool.found import SpoolOwner
from aiot_mqtt.spool.spool import Spool
from aiot_mqtt.spool.spooler import Spooler
from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreError,
    StoreMisconfigured,
    StoreNotOurs,
    StoreUnavailable,
    Written,
)
from aiot_mqtt.table.memory import MemoryTable
from aiot_mqtt.telemetry import log_lines, reasons
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from aiot_mqtt.writing import chunk_size
from aiot_mqtt.writing.data_path import State
from aiot_mqtt.writing.saver import MAX_IN_MEMORY, START_PATIENCE
from aiot_mqtt.writing.where_kept import where_kept
from aiot_mqtt.writing.writer import Writer
from rig.faulty_disk import BROKEN, READ_ONLY, FaultyDisk
from rig.spool_files import update_of
from tests.doubles import OrderedConnection

NOW = "2026-11-23 10:00:00"
DOWN = StoreUnavailable("down")
OWNER = SpoolOwner("127.0.0.1", 3306, "aiot_admin", "device_main", "devices", "Asia/Shanghai")


class Held:
    """Calls that wait until the test lets them happen."""

    def __init__(self) -> None:
        self.calls: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.is_holding = False

    def call(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if not self.is_holding:
            return maybeDeferred(function, *arguments)
        waiting: Deferred[Any] = Deferred()
        self.calls.append((waiting, lambda: function(*arguments)))
        return waiting

    def release(self, error: Exception | None = None, *, is_answered: bool = True) -> None:
        """Let the first one happen, or fail; or happen without anybody being told."""
        waiting, call = self.calls.pop(0)
        if error is not None:
            waiting.errback(error)
        elif is_answered:
            maybeDeferred(call).chainDeferred(waiting)
        else:
            maybeDeferred(call).addErrback(lambda _failure: None)


class HeldTable(MemoryTable):
    def __init__(self, uuids: Sequence[str], held: Held) -> None:
        super().__init__(uuids)
        self.held = held

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        return self.held.call(self._write, [update.copy() for update in updates], unless_heard_until)


class Process:
    """One life of the service's data path."""

    def __init__(self, table: HeldTable, path: Path, clock: Clock, disk: Disk | None = None) -> None:
        self.table = table
        self.disk = Held()
        self.clock = clock
        self.counters = Counters()
        self.pending = PendingUpdates()
        self.connection = OrderedConnection()
        self.pending.start_connection(self.connection)
        self.now = NOW
        self.spool = Spool(path, OWNER, disk)
        refusals = Refusals(self.counters, clock)
        self.spooler = Spooler(self.spool, self.call_disk, self.counters, refusals, clock)
        self.writer = Writer(
            table,
            self.pending,
            self.counters,
            refusals,
            clock,
            latest=lambda: self.now,
            spooler=self.spooler,
            flow_control=self,
            jitter=lambda: 0.0,
        )
        self.packet_id = 0
        self.window = 65535

    def pause_reading(self) -> None:
        """There is no connection that could be read."""

    def call_disk(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return self.disk.call(function, *arguments)

    def receive(self, device: str, kind: int, document: bytes | None, status: str | None = None) -> None:
        """As ingest does it."""
        self.packet_id += 1
        self.counters.received += 1
        self.connection.received.append(self.packet_id)
        self.pending.owe_acknowledgement(self.packet_id)
        self.counters.superseded += self.pending.merge(DeviceReport(device, kind, document, status), self.now)
        self.writer.wake()

    @property
    def imbalance(self) -> int:
        return self.counters.balance(self.writer.deliveries).difference

    def kill(self) -> None:
        """As SIGKILL does: whatever it waits for, nobody hears of it."""
        self.spool.close()


class SpoolingMixin(SynchronousTestCase):
    def setUp(self) -> None:
        # Nothing here depends on waiting for the disk.
        self.patch(disk_module, "SYNCHRONOUS", "OFF")
        self.patch(os, "fsync", lambda _descriptor: None)
        gc.freeze()  # so that collect looks only at what comes from now on
        self.addCleanup(gc.unfreeze)
        self.addCleanup(self.collect)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "spool"
        self.database = Held()
        self.table = HeldTable(["a", "b", "c"], self.database)
        self.count = 0
        self.start()

    def collect(self) -> None:
        """Throw processes that were killed away now: a coroutine that is collected runs its finally clauses, which one
        that is killed does not, and what comes of that must not be heard in another test.
        """
        self.assertEqual(self.flushLoggedErrors(), [])
        for name in ("process", "clock"):
            self.__dict__.pop(name, None)
        gc.collect()
        self.flushLoggedErrors(RuntimeError, ValueError)

    def start(self) -> None:
        self.clock = Clock()  # so that nothing of a process that was killed goes on
        self.process = Process(self.table, self.path, self.clock)
        self.addCleanup(self.process.spool.close)
        self.process.writer.startService()

    def receive(self, device: str, kind: int = DATA, status: str | None = None) -> None:
        self.count += 1
        document = None if kind == HEARTBEAT else b'{"n": %d}' % self.count
        self.process.receive(device, kind, document, status)

    def freeze(self) -> None:
        self.database.is_holding = True

    def thaw(self) -> None:
        self.database.is_holding = False
        while self.database.calls:
            self.database.release()

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.25] * int(seconds * 4))

    def documents(self) -> list[str | None]:
        return [self.table.rows[device].last_report_data for device in "abc"]

    def assert_settled(self) -> None:
        process = self.process
        self.assertEqual(len(process.connection.acknowledged), len(process.connection.received))
        self.assertEqual((process.writer.deliveries, process.imbalance), (0, 0), process.counters.as_dict())
        self.assertFalse(self.path.exists())
        self.assertTrue(process.writer.is_accepted)


class AbandonedTests(SpoolingMixin):
    """Somebody else has the session, or may have had it."""

    def test_what_is_on_disk_goes_over_nothing_newer_from_then_on(self) -> None:
        for how in ("abandoned", "set aside"):
            self.setUp()
            self.play_newer(how)

    def play_newer(self, how: str) -> None:
        self.freeze()
        for device in "ab":
            self.receive(device)
        self.advance(6)
        self.assertTrue(self.path.exists())
        if how == "abandoned":
            self.process.writer.abandon()
        else:
            self.process.writer.set_aside()
        newer = replace(self.table.rows["a"], last_seen="2026-11-23 10:00:05", last_report_data="newer")
        self.table.rows["a"] = newer
        self.process.now = "2026-11-23 10:05:00"
        self.advance(1)
        self.database.is_holding = False
        while self.database.calls:  # what was begun before is not committed
            self.database.release(StoreConflict("not ours"))
        self.advance(10)
        self.assertEqual(self.documents(), ["newer", '{"n": 2}', None])
        self.assert_settled()

    def test_what_comes_on_disk_later_is_newer_than_all(self) -> None:
        self.process.writer.abandon()
        self.receive("a")
        self.freeze()
        self.process.now = "2026-11-23 09:59:00"  # the clock was set back
        self.receive("a")
        self.advance(6)
        self.assertTrue(self.path.exists())
        self.thaw()
        self.advance(10)
        self.assertEqual(self.documents()[0], '{"n": 2}')
        self.assert_settled()


class LockedRowTests(SpoolingMixin):
    """A device whose row stays locked, or whose trigger answers like a lock, costs the others nothing."""

    def setUp(self) -> None:
        super().setUp()
        self.locked = {"b"}
        self.conflict: StoreError = StoreConflict("locked (1205)")
        write = self.table._write

        def write_unless_locked(updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Written:
            if self.locked & {update.uuid for update in updates}:
                raise self.conflict
            return write(updates, unless_heard_until)

        self.patch(self.table, "_write", write_unless_locked)

    def report(self, seconds: int) -> None:
        for _ in range(seconds):
            for device in "abc":
                self.receive(device)
            self.advance(1)
            self.assertEqual(self.process.imbalance, 0)

    def test_the_others_are_written_meanwhile_and_it_is_when_the_lock_is_gone(self) -> None:
        with capturedLogs() as events:
            self.report(60)
            told = [event["log_format"] for event in events].count(log_lines.ROW_PASSED_OVER)
            first, locked, last = self.documents()
            for document in (first, last):
                assert document is not None
                self.assertGreater(int(document[6:-1]), 3 * 45)
            self.assertEqual((locked, told), (None, 1))
            self.locked.clear()
            self.report(1)
            self.advance(30)
        self.assertEqual(self.documents(), [f'{{"n": {n}}}' for n in (181, 182, 183)])
        self.assert_settled()

    def test_also_where_the_session_was_somebody_elses_meanwhile(self) -> None:
        with capturedLogs():
            self.report(10)
            self.process.writer.set_aside()
            self.process.writer.release(is_ours=True)
            self.report(60)
            for document in self.documents()[::2]:
                assert document is not None
                self.assertGreater(int(document[6:-1]), 3 * 55)
            self.locked.clear()
            self.advance(30)
        self.assertEqual(self.documents(), [f'{{"n": {n}}}' for n in (208, 209, 210)])
        self.assert_settled()

    def test_it_is_kept_over_a_restart(self) -> None:
        with capturedLogs():
            self.report(30)
            self.process.kill()
            self.start()
            self.report(30)
            self.locked.clear()
            self.advance(30)
        self.assertEqual(self.documents(), [f'{{"n": {n}}}' for n in (178, 179, 180)])

    def test_many_are_found_at_once_where_the_table_tells(self) -> None:
        self.locked.clear()
        self.table.locked = {"a", "b"}
        with capturedLogs() as events:
            self.report(30)
            document = self.documents()[2]
            assert document is not None
            self.assertGreater(int(document[6:-1]), 3 * 24)
            self.assertEqual(self.documents()[:2], [None, None])
            told = [event["uuid"] for event in events if event["log_format"] == log_lines.ROW_PASSED_OVER]
            self.assertEqual(told, ["a"])
            self.table.locked = {"b"}
            self.report(10)
            document = self.documents()[0]
            assert document is not None
            self.assertGreater(int(document[6:-1]), 3 * 30)
            self.table.locked.clear()
            self.report(1)
            self.advance(30)
        self.assertEqual(self.documents(), [f'{{"n": {n}}}' for n in (121, 122, 123)])
        self.assert_settled()

    def test_one_that_is_free_again_is_written_while_all_of_another_chunk_is_locked(self) -> None:
        self.patch(chunk_size, "MAX_ROWS", 1)
        self.process.writer.chunks.size.rows = 1
        self.locked.clear()
        for freed in range(2):
            self.table.locked = {"a", "b"}
            with capturedLogs():
                for _ in range(10):
                    self.receive("a")
                    self.receive("b")
                    self.advance(1)
                self.table.locked.remove("ab"[freed])
                self.advance(30)  # nobody reports
                free, other = self.documents()[freed], self.documents()[1 - freed]
                self.assertEqual(free, f'{{"n": {20 * freed + 19 + freed}}}')
                self.assertNotEqual(other, f'{{"n": {20 * freed + 20 - freed}}}')
                self.table.locked.clear()
                self.advance(30)
        self.assert_settled()

    def test_one_that_may_be_written_by_somebody_else_is_not_passed_over(self) -> None:
        self.freeze()
        self.receive("b")
        self.advance(10)
        self.conflict = StoreNotOurs("not ours")
        with capturedLogs() as events:
            self.thaw()
            self.advance(60)
            told = {event["log_format"] for event in events}
            self.assertIn(log_lines.NOT_WRITTEN_YET, told)
            self.assertNotIn(log_lines.ROW_PASSED_OVER, told)
            self.locked.clear()
            self.advance(10)
        self.assertEqual(self.documents()[1], '{"n": 1}')
        self.assert_settled()

    def test_where_all_are_locked_none_is_lost(self) -> None:
        self.locked = {"a", "b", "c"}
        with capturedLogs():
            self.report(60)
            self.locked.clear()
            self.advance(30)
        self.assertEqual(self.documents(), [f'{{"n": {n}}}' for n in (178, 179, 180)])
        self.assert_settled()


class SpoolingTests(SpoolingMixin):
    def test_nothing_goes_to_disk_while_the_database_answers(self) -> None:
        for _ in range(10):
            self.receive("a")
            self.advance(2)
        self.assertFalse(self.path.exists())
        self.assert_settled()

    def test_a_frozen_database_is_waited_for_a_few_seconds(self) -> None:
        self.freeze()
        self.receive("a")
        self.receive("b")
        self.advance(4)
        self.assertEqual(len(self.process.connection.acknowledged), 0)
        self.advance(2)
        self.assertEqual(len(self.process.connection.acknowledged), 2)
        self.assertEqual(self.process.spool.held.devices, 2)
        # From now on at once.
        self.receive("b")
        self.assertEqual(len(self.process.connection.acknowledged), 3)
        self.assertEqual(self.process.counters.superseded, 1)
        self.assertEqual(self.process.imbalance, 0)
        self.assertFalse(self.process.writer.is_accepted)
        self.thaw()
        self.assertEqual(self.documents(), ['{"n": 1}', '{"n": 3}', None])
        self.assert_settled()

    def test_where_messages_are_that_wait_is_known_at_any_time(self) -> None:
        self.assertIs(where_kept(None)(), reasons.IN_BROKER)
        where = where_kept(self.process.spooler)
        self.process.spool._disk = FaultyDisk(lambda name: (BROKEN, False) if name == "create" else None)
        self.freeze()
        self.receive("a")
        self.assertIs(where(), reasons.TO_BE_KEPT_HERE)
        self.advance(6)
        self.assertIs(where(), reasons.SPOOL_FAILS)
        self.process.spool._disk = Disk()
        self.advance(60)
        self.assertIs(where(), reasons.KEPT_HERE)
        self.thaw()
        self.assertIs(where(), reasons.TO_BE_KEPT_HERE)

    def test_who_hears_of_commits_is_told_what_comes_from_the_disk(self) -> None:
        told: list[tuple[str, bool]] = []

        class Listener:
            def rows_committed(self, updates: Sequence[DeviceUpdate], *, is_spooled: bool) -> None:
                told.extend((update.uuid, is_spooled) for update in updates)

            def row_refused(self, update: DeviceUpdate) -> None:
                """None is."""

        self.process.writer.add_listener(Listener())
        self.receive("a")
        self.freeze()
        self.receive("b")
        self.advance(6)
        self.thaw()
        self.receive("c")
        self.assertEqual(told, [("a", False), ("b", True), ("c", False)])
        self.assert_settled()

    def test_with_most_of_the_window_used_up_half_as_long(self) -> None:
        self.process.window = 4
        self.freeze()
        for _ in range(3):
            self.receive("a")
        self.advance(3)
        self.assertEqual(len(self.process.connection.acknowledged), 0)
        self.receive("b")
        self.assertEqual(len(self.process.connection.acknowledged), 4)
        self.thaw()
        self.assert_settled()

    def test_while_the_database_answers_the_window_may_be_used_up(self) -> None:
        self.patch(chunk_size, "MAX_ROWS", 1)
        self.process.writer.chunks.size.rows = 1
        self.process.window = 2
        self.freeze()
        for device in "aabbcc":
            self.receive(device)
        for _ in range(2):
            self.advance(2)
            self.database.release()
        self.assertEqual(self.process.spool.held.devices, 0)
        self.advance(2)
        self.assertEqual(self.process.spool.held.devices, 2)
        self.thaw()
        self.assertEqual(self.documents(), ['{"n": 2}', '{"n": 4}', '{"n": 6}'])
        self.assert_settled()

    def test_a_database_that_is_down_is_tried_again_with_what_is_newest(self) -> None:
        self.freeze()
        for number in range(40):
            self.receive("abc"[number % 3])
            if self.database.calls:
                self.database.release(DOWN)
            self.advance(1)
        self.assertEqual(len(self.process.connection.acknowledged), 40)
        # The states with which emptying was tried first, and the newest in the other file: nothing in between.
        self.assertEqual(self.process.spool.held.devices, 6)
        self.thaw()
        self.advance(60)
        self.assertEqual(self.documents(), ['{"n": 40}', '{"n": 38}', '{"n": 39}'])
        self.assertLessEqual(len(self.table.writes), 5)
        self.assert_settled()

    def test_missing_rights_and_locked_rows_do_not_hold_acknowledgements_up_either(self) -> None:
        for error in (StoreMisconfigured("denied (1142)"), StoreConflict("lock wait (1205)")):
            self.freeze()
            self.receive("a")
            for _ in range(8):
                if self.database.calls:
                    self.database.release(error)
                self.advance(1)
            self.assertEqual(len(self.process.connection.acknowledged), len(self.process.connection.received))
            self.thaw()
            self.advance(60)
            self.assert_settled()

    def test_too_much_in_memory_goes_to_disk_at_once(self) -> None:
        self.freeze()
        self.receive("a")
        document = b'{"x": "%s"}' % (b"x" * (MAX_IN_MEMORY // 2))
        self.process.receive("b", DATA, document)
        self.assertEqual(self.process.spool.held.devices, 0)
        self.process.receive("c", DATA, document)
        self.assertEqual(self.process.spool.held.devices, 3)
        self.assertEqual(len(self.process.connection.acknowledged), 3)
        self.assertLess(self.process.pending.size, MAX_IN_MEMORY)
        self.thaw()
        self.assert_settled()

    def test_the_spool_is_emptied_before_anything_later_is_written(self) -> None:
        self.freeze()
        self.receive("a")
        self.advance(6)
        self.receive("b")
        self.database.release(DOWN)
        self.advance(1)
        # The database is back, and hangs over the first part of the spool.
        self.receive("c")
        self.receive("a")
        self.assertEqual(self.table.writes, [])
        self.database.release()
        for _ in range(5):
            if self.database.calls:
                self.database.release()
        # One by one, because a single row has just failed.
        self.assertEqual(self.table.writes[:2], [["a"], ["b"]])
        self.assertEqual(self.documents(), ['{"n": 4}', '{"n": 2}', '{"n": 3}'])
        self.assert_settled()

    def test_what_was_acknowledged_is_found_by_the_next_process(self) -> None:
        self.freeze()
        self.receive("a")
        self.receive("b", STATUS, "on")
        self.advance(6)
        self.receive("b", HEARTBEAT)
        self.assertEqual(len(self.process.connection.acknowledged), 3)
        self.process.kill()
        self.database.calls.clear()
        self.database.is_holding = False
        with capturedLogs() as events:
            self.start()
        self.assertIn(log_lines.SPOOL_FOUND, [event["log_format"] for event in events])
        self.assertEqual(self.documents(), ['{"n": 1}', '{"n": 2}', None])
        self.assertEqual(self.table.rows["b"].device_status, "on")
        self.assertEqual((self.process.counters.recovered, self.process.counters.stored), (3, 3))
        self.assert_settled()

    def test_a_refused_value_and_an_unknown_device_come_out_of_the_spool_too(self) -> None:
        self.freeze()
        self.receive("a", STATUS, "x" * 30)
        self.receive("ghost")
        self.receive("c")
        self.advance(6)
        self.thaw()
        self.assertEqual(self.table.rows["a"].device_status, "pending")
        self.assertEqual(self.documents(), ['{"n": 1}', None, '{"n": 3}'])
        self.assertEqual(self.process.counters.refused, {"unknown_device": 1})
        self.assertEqual(self.process.counters.status_ignored, 1)
        self.assert_settled()

    def test_a_disk_that_takes_nothing_leaves_all_in_the_broker_and_is_told_once(self) -> None:
        self.freeze()
        self.receive("a")
        self.receive("a")
        save = self.process.spool.save

        def full(updates: Sequence[DeviceUpdate]) -> Any:
            raise SpoolError("disk full")

        self.patch(self.process.spool, "save", full)
        with capturedLogs() as events:
            self.advance(20)
        self.receive("b")
        self.assertEqual(len(self.process.connection.acknowledged), 0)
        self.assertEqual(self.process.imbalance, 0)
        self.assertEqual(self.process.writer.unacknowledged, 3)
        self.assertEqual([event["log_format"] for event in events], [log_lines.SPOOL_FAILED])
        self.patch(self.process.spool, "save", save)
        with capturedLogs() as events:
            self.advance(2)
        self.assertIn(log_lines.SPOOL_WORKS_AGAIN, [event["log_format"] for event in events])
        self.assertEqual(len(self.process.connection.acknowledged), 3)
        self.thaw()
        self.assert_settled()

    def break_disk(self, call: str, number: int = BROKEN, *, is_done: bool = False) -> None:
        """Have every such call of the disk fail from now on, with a disk that is put in the process's."""
        self.process.spool._disk = FaultyDisk(lambda name: (number, is_done) if name == call else None)

    def mend_disk(self) -> None:
        self.process.spool._disk = Disk()

    def test_a_spool_that_cannot_be_deleted_holds_back_what_is_newer_and_moves_nothing_back(self) -> None:
        for is_done in (False, True):
            self.freeze()
            self.receive("a")
            self.advance(6)
            self.break_disk("remove", READ_ONLY, is_done=is_done)
            self.thaw()
            with capturedLogs() as events:
                self.receive("b")
                self.advance(3)
            if not is_done:  # else a look has told that it is gone all the same
                self.assertIn(log_lines.SPOOL_STUCK, [event["log_format"] for event in events])
                self.assertEqual(self.documents()[1], None)
                self.assertFalse(self.process.writer.is_accepted)
            self.mend_disk()
            self.advance(3)
            documents = [f'{{"n": {self.count - 1}}}', f'{{"n": {self.count}}}', None]
            self.assertEqual(self.documents(), documents)
            self.assert_settled()
            self.process.kill()
            self.start()
            self.assertEqual(self.documents(), documents)

    def test_damage_while_the_database_has_a_chunk_is_counted_once(self) -> None:
        self.freeze()
        self.receive("a")
        self.advance(6)
        self.database.release(DOWN)
        self.advance(2)
        self.assertEqual(len(self.database.calls), 1)  # the chunk
        self.path.write_bytes(b"damaged" * 1000)
        self.receive("b")  # goes to the other file
        assert self.process.writer._saver is not None
        self.process.writer._saver.disk_failed()  # somebody looks
        self.advance(3)
        self.assertEqual(self.process.counters.refused, {"spool_lost": 1})
        self.assertEqual(self.process.imbalance, 0)
        self.thaw()
        self.advance(3)
        self.assertEqual(self.documents(), ['{"n": 1}', '{"n": 2}', None])
        self.assert_settled()

    def test_a_save_that_fails_and_took_effect_is_acknowledged_and_nothing_moves_back(self) -> None:
        self.freeze()
        self.receive("a")
        self.receive("a")
        self.break_disk("commit", is_done=True)
        self.advance(6)
        self.assertEqual(len(self.process.connection.acknowledged), 0)
        self.receive("a")
        self.mend_disk()
        self.advance(2)
        self.assertEqual(len(self.process.connection.acknowledged), 3)
        self.thaw()
        self.advance(3)
        self.assertEqual(self.documents()[0], '{"n": 3}')
        self.assert_settled()

    def test_another_process_that_has_it_is_waited_for(self) -> None:
        self.process.kill()
        other = Spool(self.path, OWNER)
        self.addCleanup(other.close)
        other.look()
        other.save([update_of("a", 1, 7)])
        with capturedLogs() as events:
            self.start()
            self.receive("a")
            self.advance(60)
        self.assertIn(log_lines.SPOOL_IN_USE, [event["log_format"] for event in events])
        self.assertEqual((self.documents()[0], len(self.process.connection.acknowledged)), (None, 0))
        other.close()
        self.advance(2)
        self.assertEqual(self.documents()[0], '{"n": 1}')
        self.assertEqual(self.process.counters.recovered, 1)
        self.assert_settled()

    def test_a_folder_that_may_not_be_entered_is_waited_for_a_while_and_told(self) -> None:
        self.process.kill()
        folder = self.path.parent

        def find(disk: Disk, path: Path) -> os.stat_result | None:
            if not is_open:
                raise PermissionError(13, "Permission denied", str(path))
            return plain(disk, path)

        plain, is_open = Disk.find, False
        self.patch(Disk, "find", find)
        with capturedLogs() as events:
            self.start()
            self.receive("a")
            self.advance(5)
            self.assertEqual(self.documents()[0], None)
            self.advance(10)
        self.assertEqual(self.documents()[0], '{"n": 1}')
        told = [event for event in events if event["log_format"] in (log_lines.SPOOL_AWAITED, log_lines.SPOOL_BLIND)]
        self.assertEqual(["Permission denied" in event["reason"] for event in told], [True, True])
        self.assertNotIn("log_failure", {name for event in events for name in event})
        is_open = True
        self.advance(20)
        self.freeze()
        self.receive("b")
        self.advance(6)
        self.assertTrue((folder / "spool").exists())
        self.thaw()
        self.advance(3)
        self.assert_settled()

    def test_what_turns_up_late_does_not_go_over_what_a_row_was_told_meanwhile(self) -> None:
        self.process.kill()
        other = Spool(self.path, OWNER)
        self.addCleanup(other.close)
        other.look()
        earlier, later = NOW.replace("10:00:00", "09:00:00"), NOW.replace("10:00:00", "10:00:01")
        other.save([update_of("a", 1, 77, last_seen=earlier), update_of("b", 2, 88, last_seen=earlier)])
        other.close()
        hidden = self.path.with_name("hidden")
        self.path.rename(hidden)
        self.start()
        self.receive("a")
        self.assertEqual(self.documents()[0], '{"n": 1}')
        hidden.rename(self.path)
        self.process.now = later
        self.advance(15)
        self.assertEqual(self.documents(), ['{"n": 1}', '{"n": 88}', None])
        self.assertEqual((self.process.counters.recovered, self.process.counters.superseded), (2, 1))
        self.assert_settled()

    def test_without_a_place_for_the_file_the_service_goes_on_and_says_so_at_once(self) -> None:
        self.process.kill()
        folder = self.path.parent / "gone"
        self.path = folder / "spool"
        with capturedLogs() as events:
            self.start()
            self.receive("a")
            self.advance(50)
        self.assertEqual(self.documents()[0], '{"n": 1}')
        told = [event["log_format"] for event in events if "暂存" in event["log_format"]]
        self.assertEqual(told, [log_lines.SPOOL_FAILED])
        folder.mkdir()
        with capturedLogs() as events:
            self.advance(15)
        self.assertEqual([event["log_format"] for event in events], [log_lines.SPOOL_WORKS_AGAIN])

    def test_a_job_waits_for_the_spool(self) -> None:
        self.freeze()
        self.receive("a")
        done = self.process.writer.between_batches(lambda: maybeDeferred(self.documents))
        self.advance(6)
        self.receive("b")
        self.assertNoResult(done)
        self.thaw()
        self.assertEqual(self.successResultOf(done), ['{"n": 1}', '{"n": 2}', None])
        self.assert_settled()


class StoppingTests(SpoolingMixin):
    def test_while_the_database_is_frozen_the_spool_gets_all_and_it_is_acknowledged(self) -> None:
        self.freeze()
        self.receive("a")
        self.receive("b")
        stopped = self.process.writer.stopService()
        self.assertNoResult(stopped)
        self.advance(3)
        self.successResultOf(stopped)
        self.assertEqual(len(self.process.connection.acknowledged), 2)
        self.assertEqual((self.process.writer.deliveries, self.process.writer.spooled), (2, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_while_the_database_is_down_after_one_attempt(self) -> None:
        self.freeze()
        self.receive("a")
        self.receive("b")
        stopped = self.process.writer.stopService()
        self.database.release(DOWN)
        self.successResultOf(stopped)
        self.assertEqual((len(self.process.connection.acknowledged), self.process.writer.spooled), (2, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_with_a_full_disk_too_it_ends_and_acknowledges_nothing(self) -> None:
        self.freeze()
        self.receive("a")

        def full(updates: Sequence[DeviceUpdate]) -> Any:
            raise SpoolError("disk full")

        self.patch(self.process.spool, "save", full)
        stopped = self.process.writer.stopService()
        self.database.release(DOWN)
        self.successResultOf(stopped)
        self.assertEqual((len(self.process.connection.acknowledged), self.process.imbalance), (0, 0))

    def start_without_an_answer(self) -> None:
        """Of the database, and of the disk."""
        self.process.kill()
        self.patch(self.table, "describe", Deferred)
        self.process = Process(self.table, self.path, self.clock)
        self.process.disk.is_holding = True
        self.process.writer.startService()

    def test_a_save_that_has_begun_is_waited_for(self) -> None:
        self.start_without_an_answer()
        self.process.disk.release()
        self.receive("a")
        stopped = self.process.writer.stopService()
        self.advance(3)
        self.assertNoResult(stopped)
        self.process.disk.is_holding = False
        self.process.disk.release()
        self.successResultOf(stopped)
        self.assertEqual((len(self.process.connection.acknowledged), self.process.writer.spooled), (1, 1))

    def test_a_disk_that_does_not_answer_is_not_waited_for(self) -> None:
        self.start_without_an_answer()
        stopped = self.process.writer.stopService()
        self.advance(3)
        self.successResultOf(stopped)

    def test_a_disk_that_answers_when_it_is_not_waited_for_any_more_begins_nothing(self) -> None:
        for error in (None, SpoolError("disk I/O error")):
            self.start_without_an_answer()
            self.receive("a")
            self.advance(START_PATIENCE)
            self.process.writer.stopService()
            self.advance(3)
            self.process.disk.release(error)
            self.assertEqual(self.process.writer.state, State.STOPPED)
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_is_written_is_counted_though_nobody_waits_for_the_disk(self) -> None:
        self.freeze()
        self.receive("a")
        self.advance(6)
        self.database.is_holding = False
        self.process.disk.is_holding = True
        self.database.release()
        self.process.disk.release()  # what is read is written at once, and then the spool is told of it
        self.assertEqual((len(self.process.disk.calls), self.process.counters.stored), (1, 0))
        self.process.writer.stopService().cancel()
        self.process.disk.release()
        self.assertEqual((self.process.counters.stored, self.process.imbalance), (1, 0))

    def test_the_next_start_writes_it(self) -> None:
        self.freeze()
        self.receive("a")
        stopped = self.process.writer.stopService()
        self.advance(3)
        self.successResultOf(stopped)
        self.process.kill()
        self.database.calls.clear()
        self.database.is_holding = False
        self.start()
        self.assertEqual(self.documents()[0], '{"n": 1}')
        self.assert_settled()
