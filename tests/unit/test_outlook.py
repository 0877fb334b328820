"""How long the disk takes what comes: what is true of a spool that keeps one state a device."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.outlook import LEAST_SECONDS, RESERVE, Look, in_words, outlook
from aiot_mqtt.health.particulars import particulars
from aiot_mqtt.health.refreshed import Refreshed
from aiot_mqtt.health.room import COUNT_UNASKED, Room
from aiot_mqtt.spool.disk import MAX_BYTES
from aiot_mqtt.spool.space import Space, space
from rig import servers
from tests.unit.test_site import a_moment

MB = 1024 * 1024
LATER = LEAST_SECONDS + 1


class OutlookTests(SynchronousTestCase):
    def words(self, *looks: Look, room: int = MAX_BYTES, kept: int = 1000, devices: int | None = 5000) -> str:
        found = outlook(looks, room=room, kept=kept, devices=devices)
        return "" if found is None else str(in_words(found))

    def test_the_whole_fleet_fits_and_then_time_does_not_matter(self) -> None:
        now = Look(0.0, 1000 * MB, MB)
        self.assertEqual(self.words(now), "the disk suffices for all 5,000 devices, however long it lasts")
        # That it fills with what is kept is no reason to fear: that ends with the fleet.
        filled = Look(LATER, 990 * MB, 11 * MB)
        self.assertEqual(self.words(now, filled), "the disk suffices for all 5,000 devices, however long it lasts")

    def test_that_something_else_fills_the_disk_is_told(self) -> None:
        looks = Look(0.0, RESERVE + 200 * MB, MB), Look(LATER, RESERVE + 100 * MB, MB)
        self.assertIn("suffices for all 5,000 devices", self.words(*looks))
        self.assertIn("; at the pace of the last minutes it is full in 5 min 1 s", self.words(*looks))
        self.assertNotIn("pace", self.words(looks[0], looks[1]._replace(at=LEAST_SECONDS - 1)))
        self.assertNotIn("pace", self.words(looks[0], looks[1]._replace(free=looks[0].free)))
        self.assertNotIn("pace", self.words(looks[0], looks[1]._replace(free=looks[0].free - 1000)))  # in years

    def test_where_the_fleet_does_not_fit_or_is_not_known_it_is_told_how_many_do(self) -> None:
        small = Look(0.0, RESERVE + 2 * MB, 1_000_000)  # with 1000 bytes a device
        self.assertEqual(self.words(small), "the disk has room for about 2,097 more devices")
        self.assertEqual(self.words(Look(0.0, RESERVE + 10 * MB, MB), devices=None)[-13:], " more devices")
        filling = Look(LATER, RESERVE + MB, 2_000_000)
        self.assertIn("it is full in 5 min 1 s", self.words(small, filling))

    def test_the_file_has_a_limit_too(self) -> None:
        self.assertIn("about 1,048 more", self.words(Look(0.0, 10**12, 1_000_000), room=MB))

    def test_names_that_the_table_does_not_have_have_no_end(self) -> None:
        self.assertIn("room for about", self.words(Look(0.0, 1000 * MB, MB), kept=5001))

    def test_a_full_disk(self) -> None:
        for free in (0, RESERVE - 1, RESERVE):
            self.assertEqual(self.words(Look(0.0, free, MB), kept=5000), "the disk has no room for more devices")

    def test_a_few_devices_say_little_about_the_size_of_one(self) -> None:
        now = Look(0.0, RESERVE + MB, 100)
        self.assertEqual(self.words(now, kept=1, devices=None), "the disk has room for about 2,097 more devices")

    def test_with_nothing_to_go_by_nothing_is_said(self) -> None:
        self.assertEqual(self.words(), "")
        self.assertEqual(self.words(Look(0.0, MB, MB), kept=0), "")

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(
        st.lists(st.builds(Look, st.floats(0, 1e6), st.integers(0, 2**40), st.integers(0, 2**30)), max_size=4),
        st.integers(0, 2**29),
        st.integers(0, 10**6),
        st.none() | st.integers(0, 10**6),
    )
    def test_whatever_is_found_is_told_in_both_languages(
        self, looks: list[Look], room: int, kept: int, devices: int | None
    ) -> None:
        found = outlook(sorted(looks), room=room, kept=kept, devices=devices)
        if found is not None:
            words = in_words(found)
            self.assertNotRegex(str(words), "[\u4e00-\u9fff]|-[0-9]|nan|inf")
            self.assertRegex(words.chinese, "磁盘")
            if found.suffices and devices is not None:
                self.assertGreaterEqual(kept + found.more_devices, devices)


class _Spooler:
    devices = 0

    def __init__(self) -> None:
        self.now = Space(used=MB, free=1000 * MB, filled=MB)

    def space(self) -> Deferred[Space]:
        return succeed(self.now._replace())  # another object each time, as of a look


class RoomTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.spooler = _Spooler()
        self.room = Room(self.spooler, None, self.clock)  # type: ignore[arg-type]
        self.counted = 0

        def count() -> Deferred[tuple[int, int] | None]:
            self.counted += 1
            return succeed((3, 5000))

        self.room._devices = Refreshed(count, None, 60.0, self.clock)

    def run_for(self, seconds: int, *, can_count: bool = True) -> None:
        for _ in range(seconds):
            self.room.look(can_count=can_count)
            self.clock.advance(1)

    def test_devices_are_counted_once_the_table_answers_and_seldom_then(self) -> None:
        self.run_for(10, can_count=False)
        self.assertEqual(self.counted, 0)
        self.run_for(round(COUNT_UNASKED) - 10)
        self.assertEqual(self.counted, 1)
        self.run_for(20)
        self.assertEqual(self.counted, 2)

    def test_how_many_are_online_is_told_for_as_long_as_that_is_not_old(self) -> None:
        self.assertIsNone(self.room.online())
        self.run_for(5)
        self.assertEqual(self.room.online(), 3)
        self.run_for(2 * round(COUNT_UNASKED), can_count=False)
        self.assertIsNone(self.room.online())

    def test_the_disk_is_looked_at_while_states_wait_and_forgotten_then(self) -> None:
        self.run_for(20)
        self.assertIsNone(self.room.outlook())
        self.spooler.devices = 1000
        self.run_for(1)
        found = self.room.outlook()
        assert found is not None
        self.assertTrue(found.suffices)
        self.spooler.now = Space(used=MB, free=RESERVE + 10 * MB, filled=MB)
        self.run_for(round(LEAST_SECONDS) + 20, can_count=False)
        found = self.room.outlook()
        assert found is not None and found.full_in is not None
        self.spooler.devices = 0
        self.run_for(1)
        self.assertIsNone(self.room.outlook())

    def test_what_readyz_says_of_it(self) -> None:
        self.assertIsNone(particulars(a_moment())["outlook"])


class SpaceTests(SynchronousTestCase):
    def test_of_two_files_the_one_that_is_filled_may_grow(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        first, second = Path(folder, "spool"), Path(folder, "spool.2")
        first.write_bytes(b"x" * 5000)
        second.write_bytes(b"x" * 700)
        self.assertEqual(space(first, second).used, 5700)
        self.assertEqual(space(first, second).room, MAX_BYTES - 700)
        self.assertEqual(space(first).room, MAX_BYTES)
        os.remove(second)
        self.assertEqual(space(first, second).room, MAX_BYTES)
