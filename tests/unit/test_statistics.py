"""The line of figures: a sentence about the last interval, and behind it all that is counted since the start."""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.statistics import Statistics, log_figures, sentence
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.telemetry.counters import SECONDS, Counters


class _Writer:
    deliveries = 340
    oldest_age = 0.3


class StatisticsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.counters = Counters()
        capture = capturedLogs()
        self.events = cast(list[LogEvent], capture.__enter__())
        self.addCleanup(capture.__exit__, None, None, None)

    def told(self) -> tuple[Bilingual, str]:
        """Sentence and figures of the newest line."""
        event = self.events[-1]
        self.assertEqual(event["log_format"], log_lines.STATISTICS)
        return event["sentence"], event["figures"]

    def test_the_sentence_in_both_languages(self) -> None:
        counters = self.counters
        counters.received, counters.stored = 372_001, 101_220
        counters.refused.update(bad_json=12, unknown_device=3)
        for _ in range(98):
            counters.commit_durations.observe(0.004)
        counters.commit_durations.observe(0.015)
        counters.commit_durations.observe(3.0)
        log_figures(counters, _Writer(), 300.0, online=4790)  # type: ignore[arg-type]
        words, figures = self.told()
        self.assertEqual(
            str(words),
            "5 min: received 372,001 (1,240/s), stored 101,220, refused 15 (not JSON 12, unknown device 3), 340 wait,"
            " oldest 0.3 s, 4,790 devices online, 99 % of commits within 20 ms",
        )
        self.assertEqual(
            words.chinese,
            "5 分内收到 372,001（1,240/秒），写入 101,220，拒绝 15（不是JSON 12、设备不存在 3），等待 340，"
            "最老 0.3 秒，在线 4,790，提交 p99 ≤ 20 毫秒",
        )
        self.assertIn("received=372001 ", figures)
        self.assertIn(" pending=340", figures)

    def test_what_is_not_known_is_left_out(self) -> None:
        log_figures(self.counters, _Writer(), 300.0)  # type: ignore[arg-type]
        words, _ = self.told()
        self.assertTrue(words.endswith("oldest 0.3 s"), words)
        self.assertTrue(words.chinese.endswith("最老 0.3 秒"), words.chinese)

    def test_commits_beyond_every_bound(self) -> None:
        commits = [0] * len(SECONDS) + [5]
        since = Counters().as_dict()
        words = sentence(since, seconds=1, pending=0, oldest=0, commits=commits)
        self.assertIn("more than 1 % of commits over 20 s", words)
        self.assertIn("提交 p99 > 20 秒", words.chinese)

    def test_each_line_is_about_its_own_interval_and_the_figures_behind_it_are_not(self) -> None:
        clock, counters = Clock(), self.counters
        online: list[int | None] = [None]
        statistics = Statistics(counters, _Writer(), 300.0, clock, online=lambda: online[0])  # type: ignore[arg-type]
        statistics.startService()
        self.addCleanup(statistics.stopService)
        self.assertEqual(self.events, [])
        counters.received = 3000
        counters.commit_durations.observe(3.0)
        clock.advance(300)
        self.assertIn("received 3,000 (10/s)", self.told()[0])
        self.assertIn("within 5,000 ms", self.told()[0])
        counters.received += 600
        counters.commit_durations.observe(0.0005)
        online[0] = 7
        clock.advance(300)
        words, figures = self.told()
        self.assertIn("5 min: received 600 (2/s)", words)
        self.assertIn("7 devices online, 99 % of commits within 1 ms", words)
        self.assertIn("received=3600 ", figures)
        clock.advance(300)
        self.assertNotIn("commits", self.told()[0])
        self.assertEqual(len(self.events), 3)
