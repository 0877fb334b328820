from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfo

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.update import DeviceUpdate, table_time, uuid_key
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.presence.heard_devices import HeardDevices
from aiot_mqtt.presence.last_heard import SHARDS, LastHeard
from aiot_mqtt.telemetry.counters import Counters

WALL = 1_800_000_000.0
ZONE = ZoneInfo("Asia/Shanghai")


class LastHeardTests(SynchronousTestCase):
    def test_the_last_time_is_kept_and_others_are_unknown(self) -> None:
        known = LastHeard()
        for moment in (1.0, 2.5):
            known.heard([hash("a")], moment)
        self.assertEqual((known.at(hash("a")), known.at(hash("b")), len(known)), (2.5, None, 1))

    def test_memory_is_bounded_and_those_known_are_kept(self) -> None:
        known = LastHeard(max_in_shard=2)
        for device in range(5 * SHARDS):
            known.heard([device], 1.0)
        for device in range(SHARDS):
            known.heard([device], 2.0)
        self.assertEqual(len(known), 2 * SHARDS)
        self.assertEqual((known.at(0), known.at(SHARDS), known.at(2 * SHARDS)), (2.0, 1.0, None))

    def test_what_was_heard_too_long_ago_is_forgotten_bit_by_bit(self) -> None:
        known = LastHeard(max_in_shard=10)
        for device in range(10 * SHARDS):
            known.heard([device], float(device % 2))
        lengths = []
        for _ in range(SHARDS):
            lengths.append(len(known))
            known.forget_before(1.0)
        self.assertLessEqual(max(before - after for before, after in pairwise(lengths)), 10)
        self.assertEqual((len(known), known.at(2), known.at(3)), (5 * SHARDS, None, 1.0))
        known.heard([2], 3.0)
        self.assertEqual(known.at(2), 3.0)
        known.forget()
        self.assertEqual(len(known), 0)


class HeardDevicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(900)
        self.wall_step = 0.0
        self.counters = Counters()
        self.pending = PendingUpdates()
        self.heard = HeardDevices(self.counters, self.clock, self.pending, ZONE, self.wall)
        self.clock.advance(100.25)

    def wall(self) -> float:
        return WALL + self.clock.seconds() + self.wall_step

    def committed(self, uuid: str, age: float = 0, *, is_online: bool = True) -> None:
        """A message is committed that was received some seconds ago."""
        update = self.pending_update(uuid, age)
        update.is_online = is_online
        self.heard.rows_committed([update], is_spooled=False)

    def pending_update(self, uuid: str, age: float) -> DeviceUpdate:
        update = DeviceUpdate(uuid, self.pending.key(uuid))
        update.last_seen = table_time(self.wall() - age, ZONE)
        return update

    def test_who_was_not_heard_is_unknown(self) -> None:
        self.assertIsNone(self.heard.last_heard("a"))

    def test_what_is_committed_was_heard_until_the_end_of_its_second(self) -> None:
        for age, moment in ((0, 1001.0), (0.25, 1001.0), (0.26, 1000.0), (3, 998.0)):
            self.committed("a", age)
            self.assertAlmostEqual(self.heard.last_heard("a") or 0, moment, 5, str(age))

    def test_what_waited_longer_counts_from_now(self) -> None:
        for age in (6, 5000, -2, -5000):  # the spool's, or from another time of the clock
            self.committed("a", age)
            self.assertEqual(self.heard.last_heard("a"), 1000.25)

    def test_while_the_clock_is_set_it_is_rather_too_late_than_too_early(self) -> None:
        for step in (0.5, -0.5, 3600.0, -3600.0):
            self.wall_step += step
            for _ in range(5):
                self.committed("a", 2)
                self.assertEqual(self.heard.last_heard("a"), self.clock.seconds())
                self.clock.advance(1)
            self.clock.advance(1)
            self.committed("a", 2)
            self.assertLess(self.heard.last_heard("a") or 0, self.clock.seconds() - 1)
            self.heard.row_refused(self.pending_update("b", 2))
            self.assertEqual(self.heard.last_heard("b"), self.heard.last_heard("a"))

    def test_what_waits_to_be_written_was_heard_too(self) -> None:
        self.committed("a")
        self.clock.advance(500)
        self.pending.heard("a", 1, "2026-11-23 10:00:00")
        self.assertEqual(self.heard.last_heard("a"), 1500.25)

    def test_a_heartbeat_that_needs_no_write_was_heard(self) -> None:
        self.heard.heard_unchanged("a")
        self.assertEqual(self.heard.last_heard("a"), 1000.25)

    def test_spellings_are_told_apart_as_the_table_has_said(self) -> None:
        self.assertFalse(self.heard.is_renamed())
        self.committed("Pump-1")
        self.assertIsNone(self.heard.last_heard("pump-1"))
        self.pending.keys_are(uuid_key({chr(letter): chr(letter + 32) for letter in range(65, 91)}))
        self.assertTrue(self.heard.is_renamed())
        self.assertFalse(self.heard.is_renamed())
        self.assertIsNone(self.heard.last_heard("Pump-1"))
        self.committed("PUMP-1")
        self.assertIsNotNone(self.heard.last_heard("pump-1"))

    def test_who_comes_back_is_counted_once(self) -> None:
        self.heard.set_offline(["a", "b"])
        for is_online in (False, True, True):
            self.committed("a", is_online=is_online)
        self.assertEqual(self.counters.came_back, 1)

    def test_all_is_learnt_from(self) -> None:
        for _ in range(4):
            self.committed("a")
            self.heard.heard_unchanged("b")
            self.clock.advance(60)
        evidence = self.heard.regularity.evidence(300)
        assert evidence is not None
        self.assertEqual((evidence.intervals, evidence.usual), (6, 60))
