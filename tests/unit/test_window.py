"""What the broker's window is taken for, and whether it holds something back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.window import PATIENCE, TIMES, Window


class WindowTests(SynchronousTestCase):
    def window(self, asked: int | None, round_trip: float = 0.001) -> Window:
        window = Window(asked)
        window.asked(0.0)
        window.answered(round_trip)
        self.now = 1.0
        return window

    def cycle(self, window: Window, count: int, *, answer_after: float = 0.001, work: float = 0.01) -> None:
        """As many come as the broker may send; after a while all are acknowledged."""
        window.received(count, self.now)
        self.now += work
        window.acknowledged(count, self.now)
        self.now += answer_after

    def test_on_mqtt_5_it_is_what_was_asked_for(self) -> None:
        window = self.window(65535)
        self.cycle(window, 1000)
        self.assertEqual((window.size, window.unacknowledged), (65535, 0))
        self.assertFalse(window.is_holding_back(self.now))

    def test_on_mqtt_311_it_is_20_or_the_most_that_was_seen(self) -> None:
        window = self.window(None)
        self.assertEqual(window.size, 20)
        self.cycle(window, 5)
        self.assertEqual(window.size, 20)
        self.cycle(window, 1000)
        self.assertEqual(window.size, 1000)

    def test_while_it_is_full_the_broker_may_hold_more(self) -> None:
        window = self.window(20)
        window.received(19, self.now)
        self.assertFalse(window.is_holding_back(self.now + 100))
        window.received(1, self.now)
        self.assertFalse(window.is_holding_back(self.now))
        self.assertTrue(window.is_holding_back(self.now + PATIENCE))
        self.assertTrue(window.is_holding_back(self.now + 100))
        self.now += 100
        window.acknowledged(20, self.now)
        self.assertTrue(window.is_holding_back(self.now))
        self.assertFalse(window.is_holding_back(self.now + 0.01))

    def test_a_broker_that_always_goes_on_at_once_holds_something_back(self) -> None:
        for size in (1, 20):
            window = self.window(size)
            began = self.now
            while self.now < began + 10:
                if not -0.05 < self.now - began - PATIENCE < 0.05:
                    self.assertEqual(window.is_holding_back(self.now), self.now - began > PATIENCE)
                self.cycle(window, size)
            # Until it does not go on at once.
            self.assertFalse(window.is_holding_back(self.now + 0.1))

    def test_a_moment_in_which_nothing_came_though_there_was_room_is_enough(self) -> None:
        for round_trip, pause, holds in ((0.001, 0.02, False), (0.08, 0.02, True), (0.08, 0.2, False)):
            window = self.window(1, round_trip)
            for number in range(2000):
                self.cycle(window, 1, answer_after=0.001 if number % 10 else pause)
            window.received(1, self.now)
            self.assertEqual(window.is_holding_back(self.now), holds, (round_trip, pause))

    def test_before_the_first_ping_is_answered_it_is_rather_held_back(self) -> None:
        window = Window(1)
        self.now = 0.0
        for _ in range(10):
            self.cycle(window, 1, answer_after=0.3)
        self.assertTrue(window.is_holding_back(self.now))

    def test_a_window_of_one_in_a_quiet_system_holds_nothing_back(self) -> None:
        window = self.window(1)
        for _ in range(100):
            self.cycle(window, 1, answer_after=0.2)
            self.assertFalse(window.is_holding_back(self.now))

    def test_a_broker_that_stops_at_the_same_number_each_time_has_that_window(self) -> None:
        for asked in (65535, None):
            window = self.window(asked)
            for _ in range(TIMES + 1):
                self.assertFalse(window.is_learned)
                self.cycle(window, 10)
            window.received(10, self.now)
            self.assertEqual((window.size, window.is_learned), (10, True))
            self.assertTrue(window.is_holding_back(self.now + PATIENCE))
            # Until it sends more after all.
            window.received(1, self.now)
            self.assertEqual((window.size, window.is_learned), (asked or 20, False))

    def test_so_has_one_that_is_acknowledged_piece_by_piece(self) -> None:
        window = self.window(65535)
        window.received(10, self.now)
        for _ in range(TIMES + 1):
            self.now += 0.01
            window.acknowledged(4, self.now)
            window.acknowledged(6, self.now)
            self.now += 0.001
            window.received(3, self.now)
            window.received(7, self.now)
        self.assertEqual(window.size, 10)

    def test_a_load_that_comes_in_its_own_time_teaches_nothing(self) -> None:
        steady, varied = self.window(65535), self.window(65535)
        for number in range(1000):
            self.cycle(steady, 1, answer_after=0.02)
            self.cycle(varied, 10 - number % 3)
        self.assertFalse(steady.is_learned or varied.is_learned)

    def test_of_two_pings_in_flight_nobody_can_tell_whose_answer_it_is(self) -> None:
        window = Window(1)
        window.asked(0.0)
        window.asked(1.0)
        window.answered(1.001)
        window.answered(1.002)
        window.answered(1.003)
        self.assertEqual(list(window._round_trips), [])
        window.asked(2.0)
        window.answered(2.5)
        self.assertEqual(list(window._round_trips), [0.5])
