"""What is told beside the sweeps, and that each is told once."""

from __future__ import annotations

from twisted.logger import Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.presence.judging import MANY, MANY_PERCENT, NOT_JUDGED, Judging
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.telemetry.counters import Counters
from tests.log_events import collect_events

HINDRANCE = Bilingual("nobody listens", "没有在收听")


class JudgingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events = collect_events(self)
        self.counters = Counters()
        self.judging = Judging(Logger(), self.counters)

    def told(self) -> list[object]:
        return [event["log_format"] for event in self.events]

    def hindered(self, began: int, ended: int) -> None:
        for second in range(began, ended):
            self.judging.observed(second, HINDRANCE)

    def test_a_pause_is_told_once_it_is_long_and_so_is_its_end(self) -> None:
        self.judging.observed(0, None)
        self.hindered(1, 1 + round(NOT_JUDGED))
        self.assertEqual(self.told(), [])
        self.hindered(1 + round(NOT_JUDGED), 5000)
        self.assertEqual(self.told(), [log_lines.NOT_JUDGING])
        self.assertEqual(self.events[0]["log_level"], LogLevel.warn)
        self.assertEqual((self.events[0]["lasts"], self.events[0]["reason"]), ("10 min", HINDRANCE))
        self.judging.observed(5000, None)
        self.judging.observed(5001, None)
        self.assertEqual(self.told(), [log_lines.NOT_JUDGING, log_lines.JUDGING_AGAIN])
        self.assertEqual(self.events[1]["lasts"], "1 h 23 min")

    def test_pauses_that_are_short_are_none(self) -> None:
        for began in range(0, 10_000, 1000):
            self.hindered(began, began + round(NOT_JUDGED))
            self.judging.observed(began + round(NOT_JUDGED), None)
        self.assertEqual(self.told(), [])

    def test_many_at_once_are_a_warning_and_a_few_or_a_small_part_are_not(self) -> None:
        for count, known, line in (
            (MANY, MANY, log_lines.DEVICES_OFFLINE),
            (MANY + 1, 100 * (MANY + 1) // MANY_PERCENT + 100, log_lines.DEVICES_OFFLINE),
            (MANY + 1, 100 * (MANY + 1) // MANY_PERCENT, log_lines.MANY_DEVICES_OFFLINE),
            (1000, 0, log_lines.MANY_DEVICES_OFFLINE),
        ):
            self.judging.tell_offline(count, known, "d1, d2…", "2026-11-23 10:00:00")
            self.assertEqual((self.told()[-1], self.events[-1]["count"]), (line, count))

    def test_returns_are_told_in_one_line_each_time_somebody_looks(self) -> None:
        self.judging.tell_returns()
        self.counters.came_back = 3
        self.judging.tell_returns()
        self.judging.tell_returns()
        self.counters.came_back = 4
        self.judging.tell_returns()
        self.assertEqual(self.told(), [log_lines.DEVICES_BACK] * 2)
        self.assertEqual([event["count"] for event in self.events], [3, 1])
