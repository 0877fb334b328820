"""A database that takes less than what comes is told once, with both figures; an outage, and catching up, are not."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.overload import OverloadWatch, likely_cause
from aiot_mqtt.table.server_look import ServerLook
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.reasons import database as reasons

SMALL_POOL = ServerLook(128_000_000, 529_000_000, 0.0001)


class Figures:
    """What is asked of writer, spooler, outage, backlog and chunks."""

    def __init__(self) -> None:
        self.trouble: object = None
        self.oldest_age = 0.0
        self.devices = self.deliveries = 0
        self.quickest: float | None = 0.001
        self.outage = self.backlog = self.chunks = self.size = self


class OverloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.counters, self.figures = Clock(), Counters(), Figures()
        self.asked = 0
        figures: Any = self.figures
        self.watch = OverloadWatch(figures, figures, self.counters, self.clock, self.ask)

    def ask(self) -> Any:
        self.asked += 1
        return succeed(SMALL_POOL)

    def minutes(self, minutes: float, came: int, taken: int, growth: float = 0.0) -> list[str]:
        """Pass, with so many messages and rows a second; returns what was said."""
        with capturedLogs() as events:
            for _ in range(round(60 * minutes)):
                self.counters.received += came
                self.counters.batch_rows.observe(taken)
                self.figures.devices = max(0, self.figures.devices + round(growth))
                self.watch.look()
                self.clock.advance(1)
        return [event["log_format"] for event in events]

    def test_it_is_said_once_with_both_figures_and_the_cause_and_once_when_it_is_over(self) -> None:
        self.figures.devices = 1
        with capturedLogs() as events:
            self.minutes(10, 16_700, 4_000, growth=1000)
        [event] = events
        self.assertEqual(
            (event["log_format"], event["came"], event["taken"]), (log_lines.DATABASE_BEHIND, "16,700", "4,000")
        )
        self.assertEqual(event["cause"], "innodb_buffer_pool_size (128 MB) does not hold the table (529 MB)")
        self.assertEqual(self.asked, 1)
        current = self.watch.current
        assert current is not None
        self.assertEqual((round(current.came), round(current.taken)), (16_700, 4_000))
        self.assertEqual(self.minutes(3, 1_000, 8_000, growth=-5_000), [log_lines.DATABASE_KEEPS_UP])
        self.assertIsNone(self.watch.current)

    def test_a_whole_fleet_that_waits_and_does_not_get_less_is_one(self) -> None:
        self.figures.devices = 1_000_000
        self.assertEqual(self.minutes(3, 16_700, 4_000), [log_lines.DATABASE_BEHIND])

    def test_so_is_a_window_that_is_used_up_where_there_is_no_spool(self) -> None:
        self.figures.oldest_age, self.figures.deliveries = 12.0, 65_535
        self.assertEqual(self.minutes(3, 4_000, 4_000), [log_lines.DATABASE_BEHIND])

    def test_catching_up_after_an_outage_is_none(self) -> None:
        self.figures.trouble = object()
        self.assertEqual(self.minutes(10, 1_000, 0, growth=1_000), [])
        self.figures.trouble = None
        self.assertEqual(self.minutes(10, 1_000, 2_000, growth=-1_000), [])

    def test_nor_is_one_that_catches_up_each_minute(self) -> None:
        for _ in range(10):
            self.figures.devices = 1
            self.assertEqual(self.minutes(0.9, 1_000, 1_000, growth=100), [])
            self.figures.devices = 0
            self.assertEqual(self.minutes(0.1, 1_000, 1_000), [])

    def test_an_outage_meanwhile_neither_ends_nor_repeats_it(self) -> None:
        self.figures.devices = 5_000
        self.assertEqual(self.minutes(3, 16_700, 4_000), [log_lines.DATABASE_BEHIND])
        self.figures.trouble = object()
        self.assertEqual(self.minutes(3, 16_700, 0, growth=100), [])
        self.figures.trouble = None
        self.assertEqual(self.minutes(5, 16_700, 4_000), [])
        self.assertIsNotNone(self.watch.current)

    def test_a_server_that_does_not_say_why_is_none_the_less_slow(self) -> None:
        figures: Any = self.figures
        self.figures.devices = 1
        for ask in (None, lambda: fail(ValueError("no"))):
            self.watch = OverloadWatch(figures, None if ask is None else figures, self.counters, self.clock, ask)
            self.figures.oldest_age = 9.0
            self.assertEqual(self.minutes(3, 10, 5, growth=10), [log_lines.DATABASE_BEHIND])
            current = self.watch.current
            assert current is not None
            self.assertIs(current.cause, reasons.NOT_ASKED)

    def test_the_likely_cause(self) -> None:
        well = ServerLook(1 << 30, 1 << 20, 0.0001)
        for look, commit, cause in (
            (SMALL_POOL, 0.5, "innodb_buffer_pool_size"),
            (well, 0.5, "a commit takes 500 ms"),
            (well._replace(round_trip=0.02), 0.06, "it is 20 ms away"),
            (well._replace(table=None, pool=None), 0.001, "not its buffer pool"),
            (well, None, "not its buffer pool"),
        ):
            self.assertIn(cause, likely_cause(look, commit))
