"""How an outage is told."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import Logger, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry.outage import Outage

DOWN = "down: {reason} ({place})"


class OutageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.outage = Outage(
            Logger(), self.clock, "still down after {seconds} s: {reason} ({place})", "back: {seconds}"
        )

    def failed(self, reason: str = "refused", line: str = DOWN) -> list[tuple[str, str]]:
        with capturedLogs() as events:
            self.outage.failed(line, reason, place="here")
        return [(event["log_level"].name, formatEvent(event)) for event in events]

    def ended(self) -> list[tuple[str, str]]:
        with capturedLogs() as events:
            self.outage.ended()
        return [(event["log_level"].name, formatEvent(event)) for event in events]

    def test_an_outage_is_one_error_when_it_starts(self) -> None:
        self.assertEqual(self.failed(), [("error", "down: refused (here)")])
        for _ in range(59):
            self.clock.advance(1)
            self.assertEqual(self.failed(), [])

    def test_reminders_thin_out_while_it_lasts(self) -> None:
        self.failed()
        said = []
        for _ in range(1800):
            self.clock.advance(1)
            said += self.failed()
        reminders = (60, 120, 300, 600, 1200, 1800)
        self.assertEqual(said, [("error", f"still down after {seconds} s: refused (here)") for seconds in reminders])

    def test_reminders_and_the_end_say_in_words_how_long_it_lasts(self) -> None:
        self.outage = Outage(Logger(), self.clock, "still down after {lasts}", "back after {lasts}")
        self.failed()
        self.clock.advance(7500)
        self.assertEqual(self.failed(), [("error", "still down after 2 h 5 min")])
        with capturedLogs() as events:
            self.outage.ended()
        self.assertEqual(events[0]["lasts"].chinese, "2 小时 5 分")

    def test_a_line_may_have_a_reminder_of_its_own(self) -> None:
        with capturedLogs() as events:
            for seconds in (0, 60):
                self.clock.advance(seconds)
                self.outage.failed("denied: {reason}", "x", still_down="still denied", seconds=5)
        self.assertEqual([formatEvent(event) for event in events], ["denied: x", "still denied"])

    def test_attempts_that_are_rarer_than_reminders_are_told_each(self) -> None:
        self.failed()
        self.clock.advance(100)
        self.assertEqual(self.failed(), [("error", "still down after 100 s: refused (here)")])
        self.clock.advance(19)
        self.assertEqual(self.failed(), [])
        self.clock.advance(81)
        self.assertEqual(self.failed(), [("error", "still down after 200 s: refused (here)")])

    def test_another_line_is_told_at_once_and_another_reason_with_the_reminder(self) -> None:
        self.failed("refused")
        self.clock.advance(10)
        self.assertEqual(self.failed("no route"), [])
        self.assertEqual(self.failed("no route", "gone: {reason}"), [("error", "gone: no route")])
        self.assertEqual(self.failed("no route", "gone: {reason}"), [])
        self.clock.advance(60)
        self.assertEqual(
            self.failed("timed out", "gone: {reason}"), [("error", "still down after 70 s: timed out (here)")]
        )

    def test_it_is_one_info_when_it_ends(self) -> None:
        self.failed()
        self.clock.advance(75.4)
        self.assertEqual(self.ended(), [("info", "back: 75")])
        self.assertEqual(self.ended(), [])

    def test_it_is_on_from_the_first_failure_to_its_end(self) -> None:
        states = [self.outage.is_on]
        self.failed()
        states.append(self.outage.is_on)
        self.ended()
        states.append(self.outage.is_on)
        self.assertEqual(states, [False, True, False])

    def test_without_an_outage_nothing_ends(self) -> None:
        self.assertEqual(self.ended(), [])

    def test_the_next_outage_is_told_anew_even_for_the_same_reason(self) -> None:
        self.failed()
        self.ended()
        self.clock.advance(1)
        self.assertEqual(self.failed(), [("error", "down: refused (here)")])
        self.clock.advance(5)
        self.assertEqual(self.ended(), [("info", "back: 5")])

    def test_an_outage_without_words_for_its_reason_is_told_with_the_line_that_starts_one(self) -> None:
        self.assertEqual(self.failed(""), [("error", "down:  (here)")])

    def test_the_levels_are_those_an_operator_filters_by(self) -> None:
        with capturedLogs() as events:
            self.outage.failed(DOWN, "x", place="here")
            self.outage.ended()
        self.assertEqual([event["log_level"] for event in events], [LogLevel.error, LogLevel.info])
