"""What the table is known to say: only what was committed, only while it is so, and in bounded memory."""

from __future__ import annotations

import tracemalloc
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.ingest.committed_times import CommittedTimes


def at(second: int) -> str:
    minutes, seconds = divmod(36_000 + second, 60)
    return f"2026-11-23 {minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def heartbeat(device: str, second: int, *, seen: int | None = None) -> DeviceUpdate:
    update = DeviceUpdate(device)
    update.kinds = HEARTBEAT
    update.last_heartbeat = at(second)
    update.last_seen = at(second if seen is None else seen)
    return update


def data(device: str, second: int, *, is_online: bool = True) -> DeviceUpdate:
    update = DeviceUpdate(device)
    update.kinds = DATA if is_online else STATUS
    update.last_seen = at(second)
    update.is_online = is_online
    return update


class CommittedTimesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pending: set[str] = set()
        self.make()

    def make(self, resolution: int = 60, **how: int) -> None:
        self.times = CommittedTimes(resolution, self.pending, **how)
        self.go_to(0)

    def go_to(self, second: int) -> None:
        self.times.time_is(at(second), at(second - self.times.resolution))

    def recent_at(self, *seconds: int, device: str = "a") -> list[bool]:
        found = []
        for second in seconds:
            self.go_to(second)
            found.append(self.times.are_recent(device))
        return found

    def test_nothing_is_known_at_first(self) -> None:
        self.assertFalse(self.times.are_recent("a"))
        self.times.unsettle("a")
        self.assertEqual(len(self.times), 0)

    def test_a_committed_heartbeat_is_recent_for_the_resolution(self) -> None:
        for resolution in (1, 2, 60, 86400 - 36_000):
            self.make(resolution)
            self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
            self.assertEqual(self.recent_at(0, resolution - 1, resolution), [True, True, False])

    def test_a_time_ahead_of_now_is_not_recent(self) -> None:
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        self.assertEqual(self.recent_at(-1, -3600), [False, False])
        self.times.rows_committed([heartbeat("a", -3600)], is_spooled=False)
        self.assertEqual(self.recent_at(-3600, 0), [True, False])

    def test_devices_go_by_their_keys(self) -> None:
        update = heartbeat("AbC", 0)
        update.key = "abc"
        self.times.rows_committed([update], is_spooled=False)
        self.assertTrue(self.times.are_recent("abc"))
        self.assertFalse(self.times.are_recent("AbC"))
        self.times.unsettle("abc")
        self.assertFalse(self.times.are_recent("abc"))

    def test_what_was_forgotten_is_not_recent(self) -> None:
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        self.times.forget()
        self.assertEqual(self.recent_at(0), [False])
        self.assertEqual(len(self.times), 0)

    def test_data_alone_says_nothing_of_the_last_heartbeat(self) -> None:
        self.times.rows_committed([data("a", 0)], is_spooled=False)
        self.assertEqual(self.recent_at(0), [False])

    def test_data_moves_last_seen_and_leaves_the_last_heartbeat(self) -> None:
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        self.times.rows_committed([data("a", 30)], is_spooled=False)
        self.assertEqual(self.recent_at(29, 30, 59, 60), [False, True, True, False])

    def test_both_times_must_be_recent(self) -> None:
        # The clock was set back between the two, and right again.
        self.times.rows_committed([heartbeat("a", 50, seen=-20)], is_spooled=False)
        self.assertEqual(self.recent_at(39, 50, 55), [False, False, False])
        self.times.rows_committed([heartbeat("a", 55, seen=100)], is_spooled=False)
        self.assertEqual(self.recent_at(55, 99, 100), [False, False, True])

    def test_an_offline_row_is_not_until_it_is_online_again(self) -> None:
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        self.times.rows_committed([data("a", 1, is_online=False)], is_spooled=False)
        self.assertEqual(self.recent_at(1), [False])
        self.times.rows_committed([data("a", 2)], is_spooled=False)
        self.assertEqual(self.recent_at(2, 59, 60), [True, True, False])

    def test_from_the_moment_a_report_came_until_the_last_of_them_is_committed_nothing_is_known(self) -> None:
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        self.times.unsettle("a")
        self.assertEqual(self.recent_at(1), [False])
        self.pending.add("a")  # a newer one came while that was written
        self.times.rows_committed([data("a", 1)], is_spooled=False)
        self.assertEqual(self.recent_at(1), [False])
        self.pending.clear()
        self.times.rows_committed([data("a", 2)], is_spooled=False)
        self.assertEqual(self.recent_at(2, 60), [True, False])

    def test_after_what_comes_from_the_spool_nothing_is_known_for_it_may_hold_newer(self) -> None:
        self.times.rows_committed([heartbeat("a", -1)], is_spooled=False)
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=True)
        self.assertEqual(self.recent_at(0), [False])
        self.times.rows_committed([data("a", 1)], is_spooled=False)
        self.assertEqual(self.recent_at(1), [True])

    def test_a_heartbeat_that_is_committed_late_counts_from_when_it_came(self) -> None:
        self.go_to(50)
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        self.assertEqual(self.recent_at(59, 60), [True, False])
        self.times.rows_committed([heartbeat("b", 0)], is_spooled=False)
        self.assertEqual(self.recent_at(60, device="b"), [False])

    def test_devices_that_fell_silent_are_forgotten(self) -> None:
        for second in range(600):
            self.go_to(second)
            self.times.rows_committed([heartbeat(f"d{second}", second)], is_spooled=False)
            self.assertLessEqual(len(self.times), 121)
            self.assertTrue(self.times.are_recent(f"d{max(0, second - 59)}"), second)

    def test_devices_that_only_send_data_are_forgotten_too(self) -> None:
        self.times.rows_committed([heartbeat("a", 0)], is_spooled=False)
        for second in range(0, 300, 10):
            self.go_to(second)
            self.times.rows_committed([data("a", second)], is_spooled=False)
        self.assertEqual(len(self.times), 0)

    def test_a_clock_that_goes_back_and_forth_leaves_nothing_behind(self) -> None:
        for step in (-86_00, 4000, -3000, 5000, 0):
            for second in range(step, step + 200, 10):
                self.go_to(second)
                self.times.rows_committed([heartbeat(f"d{second}", second)], is_spooled=False)
                self.assertTrue(self.times.are_recent(f"d{second}"))
        self.assertLessEqual(len(self.times), 13)

    def test_over_the_most_no_more_are_remembered_and_those_that_are_stay(self) -> None:
        self.make(max_devices=10)
        for number in range(20):
            self.times.rows_committed([heartbeat(f"d{number}", 0)], is_spooled=False)
        known = [number for number in range(20) if self.times.are_recent(f"d{number}")]
        self.assertEqual((known, len(self.times)), (list(range(10)), 10))
        self.go_to(60)
        self.times.rows_committed([heartbeat("d3", 60), heartbeat("d15", 60)], is_spooled=False)
        self.assertEqual((self.recent_at(60, device="d3"), self.recent_at(60, device="d15")), ([True], [False]))
        self.go_to(120)
        self.times.rows_committed([heartbeat("d15", 120)], is_spooled=False)
        self.assertEqual(self.recent_at(120, device="d15"), [True])

    def test_what_a_device_costs_in_memory(self) -> None:
        count = 10_000
        names = [str(uuid4()) for _ in range(count)]
        texts = [at(second) for second in range(50)]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for start in range(0, count, 200):
            updates = [heartbeat(name, 0) for name in names[start : start + 200]]
            for update in updates:
                update.last_seen = update.last_heartbeat = texts[start // 200]
            self.times.rows_committed(updates, is_spooled=False)
        del updates, update
        self.assertLess(tracemalloc.get_traced_memory()[0] / count, 150)
