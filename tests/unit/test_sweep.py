"""What a sweep makes of rows that others write, that refuse, or that need not be read, and of a clock that is set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import log2
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.logger import LogLevel

from aiot_mqtt.presence import monitor, sweep
from aiot_mqtt.presence.last_heard import LastHeard
from aiot_mqtt.table.contract import (
    PieceRead,
    RowKey,
    Silence,
    StoreConflict,
    StoreError,
    StoreMisconfigured,
    StoreNotOurs,
    StoreRefused,
    StoreUnavailable,
)
from aiot_mqtt.table.memory import MemoryTable, Row
from aiot_mqtt.telemetry import log_lines
from rig.selection import rounds, some
from tests.unit.test_presence import PresenceTestCase

LONG_AGO = "2020-01-01 00:00:00"


class WatchedTable(MemoryTable):
    """Notes what it is asked, and refuses to set some rows offline."""

    def __init__(self, uuids: Sequence[str] = ()) -> None:
        super().__init__(uuids)
        self.read: list[tuple[RowKey | None, RowKey | None]] = []
        self.examined = 0
        self.tried: list[list[RowKey]] = []
        self.bad: dict[RowKey, StoreError] = {}

    def _find_silent(self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int) -> PieceRead:
        self.read.append((after, last))
        keys = [key for key in self.rows if (after is None or key > str(after)) and (last is None or key <= str(last))]
        self.examined += min(most, len(keys))
        return super()._find_silent(silence, after, last, most)

    def _set_offline(self, keys: Sequence[RowKey], silence: Silence) -> frozenset[RowKey]:
        self.tried.append(list(keys))
        for key in keys:
            if key in self.bad:
                raise self.bad[key]
        return super()._set_offline(keys, silence)


class SweepTestCase(PresenceTestCase):
    table: WatchedTable

    def alter(self, uuid: str, last_seen: str | None) -> None:
        """As another program does it."""
        self.table.rows[uuid] = replace(self.table.rows[uuid], last_seen=last_seen)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.ingest.publish_received(topic.encode(), payload, 0, retain)
        self.ingest.read_finished()

    def stop(self) -> None:
        self.presence.stopService()
        self.successResultOf(self.writer.stopService())

    def told(self, line: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["log_format"] == line]


class AlteredRowTests(SweepTestCase):
    def test_a_device_that_was_heard_stays_online_whatever_others_write(self) -> None:
        for last_seen in (LONG_AGO, None, "2099-01-01 00:00:00"):
            self.start(WatchedTable(["a"]), timeout=100, check_interval=10)
            for second in range(1000):
                if second % 90 == 0:
                    self.hear("a")
                self.alter("a", last_seen)
                self.run_for(1)
                self.assertEqual(self.online(), {"a"}, (last_seen, second))
            self.assertEqual(self.counters.went_silent, 0)
            (event,) = self.told(log_lines.LAST_SEEN_ALTERED)[-1:]
            self.assertEqual((event["count"], event["device"], event["last_seen"]), (1, "a", last_seen or "NULL"))
            self.stop()
        self.assertEqual(len(self.told(log_lines.LAST_SEEN_ALTERED)), 2 * 3)  # in 900 s each

    def test_and_no_longer_than_without_that(self) -> None:
        for timeout, interval in ((100, 1), (100, 10), (100, 7)):
            for last_seen in (LONG_AGO, None, "2099-01-01 00:00:00"):
                self.start(WatchedTable(["altered", "dead"]), timeout=timeout, check_interval=interval)
                self.run_for(150)
                self.clock.advance(0.9)
                self.hear("altered", "dead")
                self.alter("altered", last_seen)
                for _ in range(2 * timeout):
                    self.clock.advance(1)
                    self.assertEqual("altered" in self.online(), "dead" in self.online())
                self.assertEqual(self.online(), set())
                self.stop()

    def test_a_row_that_another_program_sets_online_is_set_offline_again(self) -> None:
        self.start(WatchedTable(["a"]), timeout=100, check_interval=10)
        self.run_for(205)
        self.table.rows["a"] = Row(is_online=True, last_seen=LONG_AGO)
        self.run_for(5)
        self.assertEqual(self.online(), set())

    def test_the_device_need_not_be_spelled_as_its_row(self) -> None:
        self.start(WatchedTable(), timeout=100, check_interval=10)
        self.table.rows["Pump-1".lower()] = Row()
        self.run_for(150)
        for second in range(200):
            if second % 50 == 0:
                self.hear(("pump-1", "PUMP-1", "Pump-1", "pUMP-1")[second // 50])
            self.alter("pump-1", LONG_AGO)
            self.run_for(1)
            self.assertEqual(self.online(), {"pump-1"}, second)

    def test_of_a_device_beyond_the_memory_the_row_is_believed(self) -> None:
        self.start(WatchedTable(["a"]), timeout=100, check_interval=10)
        self.heard._last_heard = LastHeard(max_in_shard=0)
        self.run_for(105)
        self.hear("a")
        self.run_for(10)
        self.assertEqual(self.online(), {"a"})
        self.alter("a", LONG_AGO)
        self.run_for(10)
        self.assertEqual(self.online(), set())

    def test_what_was_received_and_waits_is_heard(self) -> None:
        self.start(WatchedTable(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        self.run_for(109)
        # Received during the last moment of the silence, and not written yet when the sweep gets its turn.
        self.ingest.publish_received(b"devices/a/heartbeat", b"", 0, False)
        job = self.patch(self.writer, "between_batches", lambda job: job())
        self.run_for(1)
        self.assertEqual(self.online(), {"a"})
        job.restore()
        self.ingest.read_finished()
        self.run_for(50)
        self.assertEqual(self.online(), {"a"})

    def test_what_was_written_while_the_sweep_waited_is_heard_though_others_set_it_back_at_once(self) -> None:
        class SetBack(WatchedTable):
            held: Deferred[None] | None = None

            def write(self, updates: Any, unless_heard_until: str | None = None) -> Any:
                done: Deferred[None] = self.held or succeed(None)
                return done.addCallback(lambda _: self._write_and_set_back(updates))

            def _write_and_set_back(self, updates: Any) -> Any:
                written = self._write(updates, None)
                self.rows["a"] = replace(self.rows["a"], last_seen=LONG_AGO)
                return written

        table = SetBack(["a", "b"])
        self.start(table, timeout=100, check_interval=10)
        self.hear("a", "b")
        self.run_for(109)
        table.held = Deferred()
        self.hear("a")  # in flight when the sweep comes due
        held, table.held = table.held, None
        self.run_for(1)
        self.assertEqual(self.online(), {"a", "b"})
        held.callback(None)
        self.assertEqual(self.online(), {"a"})


class HeardButRefusedTests(SweepTestCase):
    def stays_online(self, send: Callable[[], None]) -> bool:
        """Whether a device stays online that does nothing but this."""
        self.start(WatchedTable(["a"]), timeout=100, check_interval=10)
        self.hear("a")
        self.table.rows["a"] = replace(self.table.rows["a"], last_report_data="before", device_status="before")
        for second in range(300):
            if second % 40 == 0:
                send()
            self.run_for(1)
        row = self.table.rows["a"]
        self.assertEqual((row.last_report_data, row.device_status), ("before", "before"))
        self.stop()
        return row.is_online

    def test_a_payload_that_is_refused_is_a_sign_of_life(self) -> None:
        for topic, payload in (
            ("devices/a/data", b'{"t": NaN}'),
            ("devices/a/data", b'{"t": 1e400}'),
            ("devices/a/data", b"[1]"),
            ("devices/a/data", b""),
            ("devices/a/data", b"\xff"),
            ("devices/a/data", b'{"a":' * 50 + b"1" + b"}" * 50),
            ("devices/a/data", b"[" * 200_000),
            ("devices/a/status", b"offline\0"),
            ("devices/a/status", b"[1]"),
            ("devices/a/status", b"null"),
        ):
            self.assertTrue(self.stays_online(lambda: self.publish(topic, payload)), (topic, payload[:20]))  # noqa: B023
        for kind in (b"data", b"status", b"heartbeat"):
            topic_bytes = b"devices/a/" + kind
            self.assertTrue(
                self.stays_online(lambda: self.oversized(topic_bytes)),  # noqa: B023
                kind,
            )

    def oversized(self, topic: bytes) -> None:
        self.ingest.oversized_publish_received(topic, 100_000, 0, 65536)
        self.ingest.read_finished()

    def test_what_is_not_the_devices_own_word_is_none(self) -> None:
        for topic, retain in (
            ("devices/a/data", True),
            ("devices/a/heartbeat", True),
            ("devices/b/data", False),
            ("devices/a/other", False),
            ("other/a/data", False),
            ("devices/a/a/data", False),
            ("devices//data", False),
        ):
            self.assertFalse(self.stays_online(lambda: self.publish(topic, b"[1]", retain=retain)), topic)  # noqa: B023

    def test_a_device_without_a_row_is_remembered_nowhere(self) -> None:
        self.start(WatchedTable(["a"]), timeout=100, check_interval=10)
        for number in range(100):
            self.publish(f"devices/invented-{number}/data", b"[1]")
        self.assertEqual(len(self.heard._last_heard), 0)

    def test_a_row_that_takes_no_update_does_not_make_its_device_silent(self) -> None:
        class NoTimes(WatchedTable):
            def _write(self, updates: Any, unless_heard_until: str | None = None) -> Any:
                if refuses and any(update.uuid == "a" for update in updates):
                    raise StoreRefused("no")
                return super()._write(updates, unless_heard_until)

        refuses = False
        self.start(NoTimes(["a", "b"]), timeout=100, check_interval=10)
        self.hear("a", "b")
        refuses = True
        for second in range(500):
            if second % 50 == 0:
                self.hear("a", "b")
            self.run_for(1)
            self.assertEqual(self.online(), {"a", "b"}, second)
        self.run_for(70)
        self.assertEqual(self.online(), set())


class RefusingRowTests(SweepTestCase):
    def all_silent(self, rows: int, bad: dict[int, StoreError]) -> list[str]:
        uuids = [f"d{number:05}" for number in range(rows)]
        self.start(WatchedTable(uuids), timeout=100, check_interval=10)
        self.hear(*uuids)
        self.table.bad = {uuids[number]: error for number, error in bad.items()}
        self.run_for(110)
        return uuids

    def test_one_costs_a_line_and_few_statements_and_the_others_go_offline(self) -> None:
        errors = (StoreRefused("a trigger"), StoreMisconfigured("no such table (1146)"))
        for number, error in some([*product((0, 1, 499, 500, 999), errors)]):
            uuids = self.all_silent(1000, {number: error})
            self.assertEqual(self.online(), {uuids[number]})
            self.assertLessEqual(len(self.table.tried), 2 * log2(1000))
            self.assertEqual((self.counters.went_silent, self.counters.sweep_failures), (999, 1))
            (event,) = self.told(log_lines.ROWS_NOT_SET)
            told = event["log_level"], event["count"], event["device"], event["reason"]
            self.assertEqual(told, (LogLevel.warn, 1, uuids[number], str(error)))
            self.table.tried.clear()
            self.run_for(3600)
            # By itself, and less and less often.
            self.assertEqual(self.table.tried, [[uuids[number]]] * 8)
            self.assertEqual(len(self.told(log_lines.ROWS_NOT_SET)), 1)
            self.stop()
            self.events.clear()

    def test_a_table_that_lets_nobody_be_set_costs_a_line_and_hardly_more_than_a_statement_a_row(self) -> None:
        uuids = self.all_silent(1500, {number: StoreRefused(f"no {number}") for number in range(1500)})
        self.assertEqual(self.online(), set(uuids))
        self.assertLess(len(self.table.tried), 1.1 * sweep.MAX_REFUSED)
        self.assertEqual(self.told(log_lines.SWEEP_FAILED), [])
        self.run_for(10)
        self.assertLess(len(self.table.tried), 1.1 * 1500 + 2 * sweep.MAX_SPENT)
        self.assertEqual(len(self.told(log_lines.ROWS_NOT_SET)), 1)
        before = len(self.table.tried)
        self.run_for(50)
        self.assertLessEqual(len(self.table.tried) - before, 5 * (sweep.MAX_SPENT + 1))
        self.table.bad.clear()  # somebody mends it
        self.run_for(1000)
        self.assertEqual(self.online(), set())
        self.assertEqual(len(self.told(log_lines.ROWS_NOT_SET)), 1)

    def test_rows_that_are_locked_are_tried_by_each_sweep_and_hold_the_writer_up_little(self) -> None:
        uuids = self.all_silent(1000, {number: StoreConflict("locked (1205)") for number in range(0, 1000, 100)})
        self.run_for(200)
        self.assertEqual(self.online(), set(uuids[::100]))
        self.table.tried.clear()
        self.run_for(10)
        self.assertEqual([len(part) for part in self.table.tried], [1, 1, 1])
        self.table.bad.clear()
        self.run_for(10)
        self.assertEqual(self.online(), set())

    def test_a_table_that_is_locked_ends_the_sweep(self) -> None:
        self.all_silent(1000, {number: StoreConflict("locked (1205)") for number in range(1000)})
        self.assertEqual(len(self.table.tried), sweep.MAX_CONFLICTS)
        self.assertEqual([event["reason"] for event in self.told(log_lines.SWEEP_FAILED)], ["locked (1205)"])
        self.table.bad.clear()
        self.run_for(20)
        self.assertEqual(self.online(), set())

    def test_where_somebody_else_may_write_the_sweep_waits_without_a_word(self) -> None:
        self.all_silent(1000, {number: StoreNotOurs("not ours") for number in range(1000)})
        self.assertEqual(len(self.table.tried), 1)
        self.assertEqual(self.told(log_lines.SWEEP_FAILED) + self.told(log_lines.ROWS_NOT_SET), [])
        self.table.bad.clear()
        self.run_for(20)
        self.assertEqual(self.online(), set())

    def test_who_comes_back_is_forgotten(self) -> None:
        (uuid,) = self.all_silent(1, {0: StoreRefused("no")})
        self.table.bad.clear()
        self.hear(uuid)
        self.run_for(500)
        self.assertEqual(self.online(), set())


class InterruptedTable(WatchedTable):
    """Says when something of a sweep was done that found or set somebody, and answers when that is over."""

    def done(self, what: str) -> Deferred[None]:
        """Replaced by a test."""
        raise NotImplementedError

    def find_silent(
        self, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
    ) -> Deferred[PieceRead]:
        read = self._find_silent(silence, after, last, most)
        return (self.done("read") if read.silent else succeed(None)).addCallback(lambda _: read)

    def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Deferred[frozenset[RowKey]]:
        offline = self._set_offline(keys, silence)
        return self.done("set").addCallback(lambda _: offline)


class StepTests(SweepTestCase):
    """Of devices that no memory protects, so that it is the sweep's end that does."""

    def test_a_clock_that_is_set_at_any_point_of_a_sweep_takes_no_living_device_offline(self) -> None:
        for step in (-3600.0, -7.0, 7.0, 3600.0, 86400.0):
            for point in ("read", "turn", "set"):
                for takes in (0, 3):  # s, in which the clock is looked at, or not
                    with self.subTest(step=step, point=point, takes=takes):
                        self.step_at(point, step, takes)

    def step_at(self, point: str, step: float, takes: int) -> None:
        dead = [f"a{number}" for number in range(20)]
        living = [f"{letter}{number}" for letter in "0z" for number in range(10)]
        table = InterruptedTable([*dead, *living])
        self.patch(sweep, "READ", 5)
        self.patch(sweep, "SET", 4)
        self.start(table, timeout=100, check_interval=10)
        self.heard._last_heard = LastHeard(max_in_shard=0)
        self.hear(*dead)
        steps: list[float] = []

        def done(what: str) -> Deferred[None]:
            finished: Deferred[None] = Deferred()
            if what != point or steps:
                return succeed(None)
            steps.append(step)
            self.wall_step += step
            self.hear(*living)
            self.clock.callLater(takes, finished.callback, None)
            return finished if takes else succeed(None)

        self.patch(table, "done", done)
        between_batches = self.writer.between_batches

        def turn(job: Any) -> Deferred[Any]:
            return done("turn").addCallback(lambda _: between_batches(job))

        patched = self.patch(self.writer, "between_batches", turn)
        for second in range(400):
            if second % 30 == 0:
                self.hear(*living)
            self.run_for(1)
            if second > 1:
                self.assertEqual(set(living) - self.online(), set(), second)
        self.assertEqual(steps, [step])
        self.assertEqual(self.online(), set(living))
        patched.restore()
        self.stop()


class EconomyTests(SweepTestCase):
    """How much of the table is read."""

    ROWS = 600

    def start_fleet(self, *, heard_every: int, check_interval: int = 30) -> None:
        self.patch(sweep, "READ", 50)
        self.uuids = [f"d{number:04}" for number in range(self.ROWS)]
        self.heard_every = heard_every
        self.dead: set[str] = set()
        self.start(WatchedTable(self.uuids), timeout=300, check_interval=check_interval)

    def live(self, seconds: int) -> None:
        for _ in range(seconds):
            now = int(self.clock.seconds())
            due = [uuid for place, uuid in enumerate(self.uuids) if (now + place) % self.heard_every == 0]
            self.hear(*(uuid for uuid in due if uuid not in self.dead))
            self.clock.advance(1)

    def test_while_nobody_dies_the_table_is_read_no_more_often_than_somebody_could_have(self) -> None:
        self.start_fleet(heard_every=60)
        self.live(400)
        before = self.table.examined
        self.live(2400)
        # Ten times in all, and a piece of twelve in each of 80 sweeps; without knowing it would be 80 times.
        self.assertLess(self.table.examined - before, self.ROWS * (2400 / 240 + 1 + 80 / 12))
        self.assertEqual(self.online(), set(self.uuids))

    def test_who_dies_has_one_piece_read(self) -> None:
        self.start_fleet(heard_every=60)
        self.live(700)
        self.dead = {self.uuids[123]}
        for _ in range(400):
            before = self.table.examined
            self.live(1)
            if self.online() != set(self.uuids):
                break
        self.assertEqual(self.online(), set(self.uuids) - self.dead)
        self.assertLess(self.table.examined - before, self.ROWS)

    def test_a_piece_that_grows_is_cut_and_rows_that_go_are_missed_by_nobody(self) -> None:
        self.start_fleet(heard_every=100)
        self.live(400)
        for number in range(300):
            self.table.rows[f"d0100-{number:03}"] = Row(is_online=True, last_seen=LONG_AGO)
        for uuid in self.uuids[200:400]:
            del self.table.rows[uuid]
        self.uuids = self.uuids[:200] + self.uuids[400:]
        self.live(330)
        self.assertEqual(self.online(), set(self.uuids))
        self.table.read.clear()
        self.live(300)
        self.assertLessEqual(self.table.examined / len(self.table.read), 100)

    def test_what_others_set_back_in_a_large_table_is_found_within_another_timeout(self) -> None:
        self.start_fleet(heard_every=100)
        self.live(400)
        for uuid in self.uuids[::7]:
            self.table.rows[uuid] = Row(is_online=True, last_seen=LONG_AGO)
        self.dead = set(self.uuids[::7])  # last heard up to 100 s ago
        self.live(331)
        self.assertEqual(self.online(), set(self.uuids) - self.dead)

    def test_a_server_that_is_lost_now_and_then_has_the_rest_read_the_next_time(self) -> None:
        self.start_fleet(heard_every=100)
        self.live(299)
        find_silent = self.table._find_silent
        reads = 0

        def lost(*arguments: Any) -> PieceRead:
            nonlocal reads
            reads += 1
            if reads % 5 == 0:
                raise StoreUnavailable("read timeout")
            return find_silent(*arguments)

        self.patch(self.table, "_find_silent", lost)
        self.dead = {self.uuids[-1]}
        self.live(320)
        self.assertEqual(self.online(), set(self.uuids) - self.dead)

    def test_a_row_that_is_locked_is_tried_by_each_sweep(self) -> None:
        self.start_fleet(heard_every=60)
        self.live(400)
        self.dead = {self.uuids[123]}
        self.table.bad = {self.uuids[123]: StoreConflict("locked")}
        self.live(400)
        self.table.tried.clear()
        self.live(60)
        self.assertEqual(self.table.tried, [[self.uuids[123]]] * 2)

    def test_the_whole_table_is_read_again_after_a_step_of_the_clock_and_each_day(self) -> None:
        self.start_fleet(heard_every=60)
        self.live(700)
        for begin_anew in (lambda: setattr(self, "wall_step", 5.0), self.presence._sweeper.forget):
            begin_anew()
            self.table.read.clear()
            self.live(331)
            self.assertIn((None, None), self.table.read)
        self.assertEqual(self.online(), set(self.uuids))
        self.assertEqual(monitor.DAY, 86400)


DEVICES = ["a", "b", "c", "d", "e", "f", "g"]
TIMEOUT, INTERVAL = 20, 5

A_DEVICE = st.sampled_from(DEVICES)
WAIT = st.tuples(st.just("wait"), st.integers(1, 9000))  # ms
HEAR = st.tuples(st.just("hear"), A_DEVICE)
REFUSE = st.tuples(st.just("refuse"), A_DEVICE)
ALTER = st.tuples(st.just("alter"), A_DEVICE, st.sampled_from([LONG_AGO, None, "2099-01-01 00:00:00"]))
STEP = st.tuples(st.just("step"), st.one_of(st.floats(-4, 4), st.floats(-1e5, 1e5)))
FLAP = st.tuples(st.just("flap"))


class ModelTests(SweepTestCase):
    """Random courses against what was promised."""

    def begin(self, delays: Sequence[int]) -> None:
        self.events = []
        self.clock = type(self.clock)()
        self.wall_step = 0.0
        self.subscription.is_listening = True
        case = self

        class Slow(WatchedTable):
            """Each call takes its time, and what it does happens in the middle of that."""

            calls = 0

            def slowly(self, call: Callable[..., Deferred[Any]], *arguments: Any) -> Deferred[Any]:
                self.calls += 1
                delay = delays[self.calls % len(delays)] / 1000 if delays else 0
                done: Deferred[Any] = Deferred(lambda _cancelled: None)

                def now() -> None:
                    case.clock.callLater(delay / 2, lambda: call(*arguments).chainDeferred(done))

                if delay:
                    case.clock.callLater(delay / 2, now)
                else:
                    call(*arguments).chainDeferred(done)
                return done

            def write(self, *arguments: Any) -> Any:
                return self.slowly(super().write, *arguments)

            def find_silent(self, *arguments: Any) -> Any:
                return self.slowly(super().find_silent, *arguments)

            def set_offline(self, keys: Sequence[RowKey], silence: Silence) -> Any:
                for key in keys:
                    silent_for = case.clock.seconds() - case.heard_at.get(str(key), -1e9)
                    if silent_for < TIMEOUT - 1e-4:
                        case.violations.append(f"{key} was heard {silent_for} s ago")
                return self.slowly(super().set_offline, keys, silence)

        self.violations: list[str] = []
        self.heard_at: dict[str, float] = {}
        self.altered_at: dict[str, float] = {}
        self.patch(sweep, "READ", 2)
        self.start(Slow(DEVICES), timeout=TIMEOUT, check_interval=INTERVAL)

    def wait(self, milliseconds: int) -> None:
        while milliseconds:
            passed = min(milliseconds, 250)
            self.clock.advance(passed / 1000)
            milliseconds -= passed

    def do(self, action: Sequence[Any]) -> None:
        name, *arguments = action
        if name == "wait":
            self.wait(*arguments)
        elif name == "hear":
            self.heard_at[arguments[0]] = self.clock.seconds()
            self.hear(*arguments)
        elif name == "refuse":
            self.heard_at[arguments[0]] = self.clock.seconds()
            self.publish(f"devices/{arguments[0]}/data", b"[1]")
        elif name == "alter":
            self.altered_at[arguments[0]] = self.clock.seconds()
            self.alter(*arguments)
        elif name == "step":
            self.wall_step += arguments[0]
        elif name == "flap":
            self.subscription.is_listening = not self.subscription.is_listening

    def end(self) -> None:
        self.presence.stopService()
        self.writer.stopService()
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.flushLoggedErrors()

    @settings(max_examples=rounds(150), deadline=None, database=None, derandomize=True)
    @given(
        actions=st.lists(st.one_of(WAIT, WAIT, WAIT, HEAR, HEAR, REFUSE, ALTER, STEP, FLAP), max_size=60),
        delays=st.lists(st.integers(0, 3000), max_size=5),
    )
    def test_nobody_goes_offline_who_was_heard_within_the_timeout(
        self, actions: list[Sequence[Any]], delays: list[int]
    ) -> None:
        self.begin(delays)
        self.wait(TIMEOUT * 1000)
        for action in actions:
            self.do(action)
        self.wait(10_000)
        self.end()
        self.assertEqual(self.violations, [])

    @settings(max_examples=rounds(150), deadline=None, database=None, derandomize=True)
    @given(actions=st.lists(st.one_of(WAIT, WAIT, HEAR, HEAR, REFUSE, ALTER), max_size=60))
    def test_who_falls_silent_goes_offline_in_time(self, actions: list[Sequence[Any]]) -> None:
        self.begin([])
        self.wait(TIMEOUT * 1000)
        for action in actions:
            self.do(action)
            self.assert_in_time()
        for _ in range(2 * (TIMEOUT + INTERVAL)):
            self.wait(500)
            self.assert_in_time()
        self.end()

    def assert_in_time(self) -> None:
        for uuid in self.online():
            # A row that another program set back is found within another timeout.
            since = max(self.heard_at.get(uuid, 0.0), self.altered_at.get(uuid, 0.0))
            silent_for = self.clock.seconds() - since
            self.assertLessEqual(silent_for, TIMEOUT + INTERVAL + 1, uuid)

    def test_the_model_can_fail(self) -> None:
        self.begin([])
        self.wait(TIMEOUT * 1000 + 1000)
        self.do(("hear", "a"))
        self.do(("alter", "a", LONG_AGO))
        self.patch(self.heard, "last_heard", lambda _device: None)
        self.wait(INTERVAL * 1000)
        self.end()
        self.assertEqual(len(self.violations), 1)
