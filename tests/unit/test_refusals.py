"""Every refused delivery is counted, and told of within limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.logs import in_chinese
from aiot_mqtt.telemetry.printable import SHOWN, shorten
from aiot_mqtt.telemetry.refusals import LINE_INTERVAL, MAX_LINES, Refusals


class RefusalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.counters = Counters()
        self.refusals = Refusals(self.counters, self.clock)
        capture = capturedLogs()
        self.events = cast(list[LogEvent], capture.__enter__())
        self.addCleanup(capture.__exit__, None, None, None)

    def lines(self) -> list[str]:
        """What was logged since the last call, in Chinese, without what closes an interval."""
        events = [event for event in self.events if event["log_format"] != log_lines.LINES_NOT_LOGGED]
        self.events.clear()
        return [formatEvent(in_chinese(event)) for event in events]

    def closing_lines(self) -> list[str]:
        """What was logged since the last call, which must be nothing else than what closes intervals."""
        events = [*self.events]
        self.events.clear()
        self.assertLessEqual({event["log_format"] for event in events}, {log_lines.LINES_NOT_LOGGED})
        return [formatEvent(in_chinese(event)) for event in events]

    def test_an_unknown_device_is_counted_and_told(self) -> None:
        self.refusals.unknown_device("d1")
        self.assertEqual(self.lines(), ["⚠️ 设备不存在: d1"])
        self.assertEqual(self.counters.as_dict()["refused_unknown_device"], 1)

    def test_every_delivery_of_an_unknown_device_is_counted(self) -> None:
        self.refusals.unknown_device("d1", 3)
        self.refusals.unknown_device("d1", 2)
        self.assertEqual(self.counters.refused, {"unknown_device": 5})

    def test_a_refused_report_is_counted_by_its_reason_and_told_with_topic_and_payload(self) -> None:
        self.refusals.refuse("bad_json", "devices/d1/data", "not valid JSON", b"{x\n\x1b[31m")
        self.assertEqual(self.counters.refused, {"bad_json": 1})
        self.assertEqual(self.lines(), [r"⚠️ 拒绝消息 devices/d1/data: not valid JSON；内容: {x\n\x1b[31m"])

    def test_a_value_that_the_table_refuses_is_counted_and_told_with_its_column(self) -> None:
        self.refusals.refused_by_table("d1", "last_report_data", "too\ndeep", 1)
        self.assertEqual(self.lines(), [r"⚠️ 数据库拒绝设备 d1 的 last_report_data: too\ndeep；其余字段已写入"])
        self.assertEqual(self.counters.refused, {"refused_by_database": 1})
        self.assertEqual(self.counters.status_ignored, 0)

    def test_a_status_that_the_table_refuses_is_no_refused_delivery(self) -> None:
        self.refusals.refused_by_table("d1", "device_status", "too long", 0)
        self.assertEqual(self.counters.refused, {})
        self.assertEqual(self.counters.status_ignored, 1)

    def test_document_and_status_that_the_table_refuses_are_both(self) -> None:
        self.refusals.refused_by_table("d1", "last_report_data, device_status", "no", 1)
        self.assertEqual((self.counters.refused, self.counters.status_ignored), ({"refused_by_database": 1}, 1))

    def test_a_row_that_the_table_refuses_is_told_as_such(self) -> None:
        self.refusals.refused_by_table("d1", None, "no", 3)
        self.assertEqual(self.lines(), ["⚠️ 数据库拒绝设备 d1 的更新: no"])
        self.assertEqual(self.counters.refused, {"refused_by_database": 3})

    def test_a_dropped_message_is_counted_each_time_and_told_once(self) -> None:
        self.refusals.drop()
        self.refusals.drop()
        self.assertEqual(self.lines(), [log_lines.MESSAGES_DROPPED])
        self.assertEqual((self.counters.dropped, self.counters.refused), (2, {}))

    def test_an_ignored_status_refuses_nothing(self) -> None:
        self.refusals.ignored_status("d1", "the status is empty", b'{"status": ""}')
        self.assertEqual(
            self.lines(), ['⚠️ 设备 d1 的状态未写入device_status: the status is empty；内容: {"status": ""}']
        )
        self.assertEqual((self.counters.refused, self.counters.status_ignored), ({}, 1))

    def test_the_same_is_told_once_in_an_interval_and_counted_each_time(self) -> None:
        for _ in range(10):
            self.refusals.unknown_device("d1")
            self.refusals.refuse("bad_json", "t", "x", b"")
            self.refusals.ignored_status("d1", "x", b"")
            self.refusals.refused_by_table("d1", None, "x", 1)
        self.assertEqual(len(self.lines()), 4)
        self.assertEqual(self.counters.refused, {"unknown_device": 10, "bad_json": 10, "refused_by_database": 10})
        self.assertEqual(self.counters.status_ignored, 10)

    def test_another_device_topic_reason_or_column_is_told_at_once(self) -> None:
        self.refusals.unknown_device("d1")
        self.refusals.unknown_device("d2")
        self.refusals.refuse("bad_json", "t1", "x", b"")
        self.refusals.refuse("bad_json", "t2", "x", b"")
        self.refusals.refuse("too_deep", "t1", "x", b"")
        self.refusals.refused_by_table("d1", "last_report_data", "x", 1)
        self.refusals.refused_by_table("d1", "device_status", "x", 0)
        self.assertEqual(len(self.lines()), 7)

    def test_it_is_told_again_in_the_next_interval(self) -> None:
        self.refusals.unknown_device("d1")
        self.clock.advance(LINE_INTERVAL - 1)
        self.refusals.unknown_device("d1")
        self.assertEqual(len(self.lines()), 1)
        self.clock.advance(1)
        self.refusals.unknown_device("d1")
        self.assertEqual(self.lines(), ["⚠️ 设备不存在: d1"])

    def test_lines_in_an_interval_are_bounded_and_the_last_says_so(self) -> None:
        for number in range(MAX_LINES + 500):
            self.refusals.unknown_device(f"d{number}")
        lines = self.lines()
        self.assertEqual(len(lines), MAX_LINES + 1)
        self.assertEqual(lines[MAX_LINES - 1], f"⚠️ 设备不存在: d{MAX_LINES - 1}")
        self.assertEqual(lines[MAX_LINES], "⚠️ 此类消息过多，600 秒内只计数、不再逐条记录: 设备不存在")
        self.assertEqual(self.counters.refused["unknown_device"], MAX_LINES + 500)

    def test_one_sort_does_not_silence_another_and_each_is_named(self) -> None:
        sorts: dict[str, Callable[[str], None]] = {
            "unknown_device": self.refusals.unknown_device,
            "bad_json": lambda subject: self.refusals.refuse("bad_json", subject, "x", b""),
            "too_large": lambda subject: self.refusals.refuse("too_large", subject, "x", b""),
            "ignored_status": lambda subject: self.refusals.ignored_status(subject, "x", b""),
            "refused_by_database": lambda subject: self.refusals.refused_by_table(subject, None, "x", 1),
            "refused_by_database: device_status": (
                lambda subject: self.refusals.refused_by_table(subject, "device_status", "x", 0)
            ),
        }
        names = {
            "unknown_device": "设备不存在",
            "bad_json": "不是JSON",
            "too_large": "过大",
            "ignored_status": "状态未写入",
            "refused_by_database": "数据库拒绝",
            "refused_by_database: device_status": "数据库拒绝: device_status",
        }
        for sort, refuse in sorts.items():
            for number in range(MAX_LINES + 2):
                refuse(f"d{number}")
            lines = self.lines()
            self.assertEqual(len(lines), MAX_LINES + 1, sort)
            self.assertEqual(lines[-1].rpartition("记录: ")[2], names[sort])

    def test_how_many_were_not_logged_is_told_once_an_interval_whether_more_come_or_not(self) -> None:
        for number in range(MAX_LINES + 500):
            self.refusals.unknown_device(f"d{number}")
        self.refusals.refuse("bad_json", "t", "x", b"")
        self.refusals.refuse("bad_json", "t", "x", b"")
        self.lines()
        self.clock.advance(LINE_INTERVAL - 1)
        self.assertEqual(self.closing_lines(), [])
        self.clock.advance(1)
        line = "最近 10 分另有 501 条此类消息未逐条记录: 设备不存在 500、不是JSON 1"
        self.assertEqual(self.closing_lines(), [line])
        self.clock.advance(10 * LINE_INTERVAL)
        self.assertEqual((self.closing_lines(), self.clock.getDelayedCalls()), ([], []))

    def test_a_message_that_comes_in_the_moment_of_the_end_begins_the_next_interval(self) -> None:
        self.refusals.unknown_device("d1")
        self.refusals.unknown_device("d1")
        self.clock.rightNow += LINE_INTERVAL
        self.refusals.unknown_device("d1")
        self.assertEqual(
            [event["log_format"] for event in self.events],
            [log_lines.UNKNOWN_DEVICE, log_lines.LINES_NOT_LOGGED, log_lines.UNKNOWN_DEVICE],
        )
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_not_logged_is_told_at_the_end_of_the_service(self) -> None:
        self.refusals.unknown_device("d1")
        self.refusals.close()
        self.lines()
        self.refusals.unknown_device("d1")
        self.refusals.unknown_device("d1")
        self.lines()
        self.clock.advance(30)
        self.refusals.close()
        self.assertEqual(self.closing_lines(), ["最近 30 秒另有 1 条此类消息未逐条记录: 设备不存在 1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_what_is_lost_is_an_error(self) -> None:
        self.refusals.drop()
        self.refusals.refused_by_table("d1", None, "no", 1)
        self.assertEqual([event["log_level"].name for event in self.events], ["error", "warn"])

    def test_a_reason_stays_in_both_languages_however_long_it_is(self) -> None:
        self.refusals.refused_by_table("d1", None, Bilingual("n\no", "不\n行" + "啊" * 200), 1)
        (line,) = self.lines()
        self.assertTrue(line.startswith(r"⚠️ 数据库拒绝设备 d1 的更新: 不\n行啊"), line)

    def test_they_are_told_again_once_the_interval_is_over(self) -> None:
        for number in range(MAX_LINES + 500):
            self.refusals.unknown_device(f"d{number}")
        self.lines()
        self.clock.advance(LINE_INTERVAL)
        self.refusals.unknown_device("d1")
        self.refusals.unknown_device("new")
        self.assertEqual(len(self.lines()), 2)

    def test_what_is_remembered_is_bounded_in_number_and_length(self) -> None:
        for number in range(5 * MAX_LINES):
            self.refusals.refuse("bad_json", f"{number}/" + "t" * 60_000, "x", b"p" * 60_000)
        [said] = self.refusals._said.values()
        self.assertLessEqual(len(said), MAX_LINES + 1)
        self.assertLessEqual(max(map(len, said)), SHOWN)

    def test_a_line_is_bounded_whatever_it_tells_of(self) -> None:
        self.refusals.refuse("bad_json", "t" * 60_000, "x", b"\xff" * 60_000)
        self.refusals.unknown_device("设" * 60_000)
        self.refusals.ignored_status("d1", "x", b"\n" * 60_000)
        self.refusals.refused_by_table("d1", None, "x" * 60_000, 1)
        for line in self.lines():
            self.assertLess(len(line), 12 * SHOWN)
            self.assertNotIn("\n", line)


class ShortenTests(SynchronousTestCase):
    def test_what_is_short_and_printable_is_shown_as_it_is(self) -> None:
        for text in ("", "devices/d1/data", "温度 21°", "x" * 100, "🎉" * 100, 'it\'s "quoted" \\'):
            self.assertEqual(shorten(text), text)
            self.assertEqual(shorten(text.encode()), text)

    def test_what_is_longer_than_100_characters_is_cut_and_marked(self) -> None:
        for character in ("x", "é", "温", "🎉"):
            for count in (101, 5000):
                self.assertEqual(shorten(character * count), character * 100 + "…", character)
                self.assertEqual(shorten((character * count).encode()), character * 100 + "…", character)

    def test_what_is_not_printable_is_escaped(self) -> None:
        for text, shown in (
            ("a\nb", r"a\nb"),
            ("\x1b[31m", r"\x1b[31m"),
            ("\r\0\t", r"\r\x00\t"),
            ("\u2028\u202e\ufeff", r"\u2028\u202e\ufeff"),
            ("\ud800", r"\ud800"),
        ):
            self.assertEqual(shorten(text), shown)

    def test_bytes_that_are_not_utf8_are_escaped(self) -> None:
        self.assertEqual(shorten(b"a\xffb\xe4\xb8"), r"a\xffb\xe4\xb8")
