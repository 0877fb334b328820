from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.presence.listened_time import ListenedTime

WALL = 1_800_000_000.0  # what the wall clock says when the monotonic one says 0


class ListenedTimeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.listened = ListenedTime(300)
        self.now = 0.0
        self.step = 0.0

    def listen(self, seconds: int, listening: bool = True, doubtful: float = 0.0) -> None:
        """Observe once a second, as the service does."""
        for _ in range(seconds):
            self.now += 1
            self.listened.observe(self.now, WALL + self.now + self.step, listening, doubtful)

    def cutoff(self) -> float | None:
        """In seconds of the monotonic clock."""
        cutoff = self.listened.cutoff(300)
        if cutoff is None:
            return None
        self.assertAlmostEqual(cutoff.wall - WALL - self.step, cutoff.monotonic, 5)
        return cutoff.monotonic

    def test_without_enough_history_there_is_no_cutoff(self) -> None:
        self.listen(300)
        self.assertIsNone(self.cutoff())
        self.listen(1)
        self.assertEqual(self.cutoff(), 1)

    def test_while_listening_the_cutoff_is_the_timeout_ago(self) -> None:
        self.listen(1000)
        self.assertEqual(self.cutoff(), 700)

    def test_time_not_listened_is_not_counted(self) -> None:
        self.listen(1000)
        self.listen(5000, listening=False)
        # Back since 6001: a hundred seconds of silence now, so two hundred of them before 1000.
        self.listen(101)
        self.assertEqual(self.cutoff(), 800)

    @given(st.integers(1, 400), st.floats(0.0, 500.0), st.integers(1, 100))
    def test_what_turns_out_not_to_have_been_listened_to_is_not_counted(
        self, listened: int, doubtful: float, away: int
    ) -> None:
        self.setUp()
        self.listen(1 + listened)
        self.listen(away, listening=False, doubtful=doubtful)
        self.listen(1)
        # Of the second in which it ended nothing counts anyway.
        counted = min(listened, max(0.0, listened - max(0.0, doubtful - 1)))
        self.assertAlmostEqual(self.listened.listened_since(0), counted, 5)
        self.listen(300)
        if counted:
            cutoff = self.listened.cutoff(299 + min(counted, 1))
            assert cutoff is not None
            self.assertLessEqual(cutoff.monotonic, self.now - 299)
        self.listen(2, listening=False, doubtful=doubtful)
        self.assertGreaterEqual(self.listened.listened_since(0), 0)

    def test_a_device_heard_just_before_a_gap_is_silent_only_after_the_whole_timeout_behind_it(self) -> None:
        self.listen(1000)
        self.listen(5000, listening=False)
        self.listen(300)
        cutoff = self.cutoff()
        assert cutoff is not None
        self.assertLess(cutoff, 1000)
        self.listen(2)
        cutoff = self.cutoff()
        assert cutoff is not None
        self.assertGreater(cutoff, 1000)

    def test_a_link_that_flaps_more_often_than_the_timeout_still_adds_up(self) -> None:
        for _ in range(40):
            self.listen(31)
            self.listen(30, listening=False)
        # Thirty seconds of each turn of 61 count, so ten turns make the timeout.
        cutoff = self.cutoff()
        assert cutoff is not None
        self.assertEqual(self.now - cutoff, 10 * 61 - 1)

    def test_a_moment_between_two_observations_counts_only_if_both_listened(self) -> None:
        for _ in range(500):
            self.listen(1)
            self.listen(1, listening=False)
        self.assertIsNone(self.listened.cutoff(1))

    def test_a_step_of_the_wall_clock_either_way_starts_anew(self) -> None:
        for step in (3600.0, -3600.0, 2.1, -2.1):
            self.listen(400)
            self.assertIsNotNone(self.cutoff())
            self.step += step
            self.listen(1)
            self.assertIsNone(self.cutoff(), step)
            self.listen(299)
            self.assertIsNone(self.cutoff(), step)
            self.listen(1)
            self.assertIsNotNone(self.cutoff(), step)

    def test_a_clock_that_is_slewed_does_not(self) -> None:
        for _ in range(400):
            self.step += 0.5
            self.listen(1)
        self.assertIsNotNone(self.listened.cutoff(300))

    def test_a_process_that_stood_still_did_not_listen(self) -> None:
        self.listen(200)
        self.now += 3600
        self.listen(101)
        self.assertIsNone(self.cutoff())
        self.assertIsNotNone(self.listened.cutoff(299))

    def test_memory_is_bounded_whatever_the_link_does(self) -> None:
        for _ in range(5000):
            self.listen(2)
            self.listen(3, listening=False)
        self.assertLessEqual(len(self.listened._stretches), 302)
        self.listen(100_000)
        self.assertLessEqual(len(self.listened._stretches), 2)
