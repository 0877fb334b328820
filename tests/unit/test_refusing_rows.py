from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.presence.refusing_rows import MAX_DELAY, RefusingRows, is_about_rows, set_around_refusals
from aiot_mqtt.table.contract import (
    SilentDevice,
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
)
from rig.selection import rounds


class SetAroundRefusalsTests(SynchronousTestCase):
    def run_with(self, rows: int, bad: Mapping[int, StoreError], first: int | None = None) -> int:
        """Set rows 0 to ``rows``, of which some are bad; returns how many statements it took."""
        self.successResultOf(self.start(rows, bad, first or rows))
        return self.statements

    def start(self, rows: int, bad: Mapping[int, StoreError], first: int) -> Deferred[None]:
        self.offline: list[int] = []
        self.refused: list[tuple[int, StoreError]] = []
        self.statements = 0

        async def attempt(part: Sequence[SilentDevice]) -> None:
            self.statements += 1
            for row in part:
                if row.key in bad:
                    raise bad[int(row.uuid)]
            self.offline += [int(row.uuid) for row in part]

        def refused(row: SilentDevice, error: StoreError) -> None:
            self.refused.append((int(row.uuid), error))

        devices = [SilentDevice(number, str(number), None) for number in range(rows)]
        return Deferred.fromCoroutine(set_around_refusals(devices, attempt, refused, first=first))

    @settings(max_examples=rounds(300), deadline=None, database=None, derandomize=True)
    @given(rows=st.integers(0, 200), bad=st.sets(st.integers(0, 199)), first=st.integers(1, 200))
    def test_all_but_the_bad_are_set_once_each_and_the_bad_are_told_once_each(
        self, rows: int, bad: set[int], first: int
    ) -> None:
        errors = {number: StoreRefused(f"no {number}") for number in bad}
        self.run_with(rows, errors, first)
        self.assertEqual(self.offline, [number for number in range(rows) if number not in bad])
        self.assertEqual(self.refused, [(number, errors[number]) for number in range(rows) if number in bad])

    def test_one_bad_row_costs_two_statements_for_each_halving_at_most(self) -> None:
        for rows in (16, 100, 999, 1000, 1024):
            for bad in {0, 1, rows // 2 - 1, rows // 2, rows // 2 + 1, rows - 2, rows - 1, *range(0, rows, 7)}:
                statements = self.run_with(rows, {bad: StoreRefused("no")})
                self.assertLessEqual(statements, 2 * log2(rows), (rows, bad))

    def test_so_does_each_of_many_and_where_all_are_bad_it_is_little_more_than_one(self) -> None:
        for every in (2, 3, 10, 100, 333):
            bad = {number: StoreRefused("no") for number in range(0, 1000, every)}
            self.assertLessEqual(self.run_with(1000, bad), 2 * log2(1000) * len(bad), every)
        self.assertLess(self.run_with(1000, {number: StoreRefused("no") for number in range(1000)}), 1100)

    def test_any_no_of_a_living_server_is_about_rows_and_nothing_else_is(self) -> None:
        for kind in (StoreRefused, StoreConflict, StoreMisconfigured):
            error = kind("x")
            self.run_with(5, {3: error})
            self.assertEqual((self.offline, self.refused), ([0, 1, 2, 4], [(3, error)]))
        for other in (StoreUnavailable("x"), StoreLoginRefused("x")):
            self.assertFalse(is_about_rows(other))
            for rows in (1, 5):
                failed = self.start(rows, {0: other}, rows)
                self.failureResultOf(failed, type(other))
                self.assertEqual(self.refused, [])

    def test_a_row_that_was_only_locked_for_a_moment_is_set(self) -> None:
        for moments in range(1, 4):
            left = moments

            class Passing(dict[int, StoreError]):
                def __contains__(self, key: object) -> bool:
                    nonlocal left
                    left -= key == 6 and left > 0
                    return key == 6 and left > 0

            self.run_with(10, Passing({6: StoreConflict("deadlock")}))
            self.assertEqual((self.offline, self.refused), (list(range(10)), []))


class RefusingRowsTests(SynchronousTestCase):
    def test_it_is_tried_again_after_a_delay_that_doubles_up_to_an_hour(self) -> None:
        rows = RefusingRows(30)
        now, delay = 0.0, 30.0
        self.assertNotIn("a", rows)
        for _ in range(12):
            rows.refused("a", now, is_lasting=True)
            self.assertIn("a", rows)
            self.assertFalse(rows.is_due("a", now + delay - 1))
            self.assertTrue(rows.is_due("a", now + delay))
            now += delay
            delay = min(MAX_DELAY, 2 * delay)
        self.assertEqual(delay, MAX_DELAY)
        rows.accepted("a")
        rows.accepted("a")
        self.assertNotIn("a", rows)
        rows.refused("a", now, is_lasting=True)
        self.assertTrue(rows.is_due("a", now + 30))

    def test_what_is_locked_is_tried_each_time(self) -> None:
        rows = RefusingRows(30)
        for now in (0, 30, 60):
            rows.refused("a", now, is_lasting=False)
            self.assertTrue(rows.is_due("a", now))
        rows.refused("a", 60, is_lasting=True)
        self.assertFalse(rows.is_due("a", 89))

    def test_memory_is_bounded_and_what_was_refused_long_ago_is_forgotten(self) -> None:
        rows = RefusingRows(30, max_remembered=3)
        for key in "abcad":
            rows.refused(key, 0, is_lasting=True)
        self.assertEqual(len(rows), 3)
        self.assertEqual([key for key in "abcd" if key in rows], ["a", "c", "d"])
