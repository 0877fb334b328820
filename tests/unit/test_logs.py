"""How events become lines, and where they go."""

from __future__ import annotations

import json
import re

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.python.log import LogPublisher as LegacyPublisher
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.logs import LineObserver, Log, in_english, json_line, text_line

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


def event(line: str = "hello {name}", level: object = LogLevel.info, **fields: object) -> LogEvent:
    return {
        "log_time": 1_763_892_000.5,
        "log_level": level,
        "log_namespace": "aiot_mqtt.test",
        "log_format": line,
        "name": "world",
        **fields,
    }


def failure() -> Failure:
    try:
        raise ValueError("broken 值")
    except ValueError:
        return Failure()


class MemoryStream:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def reopen(self) -> None:
        self.written += b"(reopened)"


class TextLineTests(SynchronousTestCase):
    def test_a_line_is_time_with_zone_level_and_message(self) -> None:
        self.assertRegex(text_line(event()), rf"^{TIME} \[INFO\] hello world$")

    def test_the_level_is_one_of_the_four_of_log_level(self) -> None:
        for level, name in (
            (LogLevel.debug, "DEBUG"),
            (LogLevel.info, "INFO"),
            (LogLevel.warn, "WARNING"),
            (LogLevel.error, "ERROR"),
            (LogLevel.critical, "ERROR"),
        ):
            self.assertIn(f" [{name}] ", text_line(event(level=level)))
            self.assertEqual(json.loads(json_line(event(level=level)))["level"], name)

    def test_a_traceback_stands_behind_the_message(self) -> None:
        lines = text_line(event(level=LogLevel.critical, log_failure=failure())).split("\n")
        self.assertRegex(lines[0], rf"^{TIME} \[ERROR\] hello world$")
        self.assertEqual(lines[1], "Traceback (most recent call last):")
        self.assertEqual(lines[-2:], ["builtins.ValueError: broken 值", ""])


class JsonLineTests(SynchronousTestCase):
    def test_a_line_is_one_object_with_the_messages_own_fields(self) -> None:
        line = json_line(event(number=1, share=0.5, flag=True, text="中文\n", thing=object(), none=None))
        self.assertNotIn("\n", line)
        self.assertIn("中文", line)
        document = json.loads(line)
        self.assertRegex(document.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.5\d*[+-]\d\d:\d\d$")
        self.assertEqual(
            document,
            {
                "level": "INFO",
                "logger": "aiot_mqtt.test",
                "message": "hello world",
                "name": "world",
                "number": 1,
                "share": 0.5,
                "flag": True,
                "text": "中文\n",
            },
        )

    def test_a_field_never_takes_the_place_of_what_each_line_has(self) -> None:
        document = json.loads(json_line(event(time="x", level_="y", message="z", logger="w")))
        self.assertNotEqual(document["time"], "x")
        self.assertEqual((document["message"], document["logger"]), ("hello world", "aiot_mqtt.test"))

    def test_a_traceback_is_a_field_of_the_same_line(self) -> None:
        line = json_line(event(log_failure=failure()))
        self.assertNotIn("\n", line)
        self.assertIn("builtins.ValueError: broken 值", json.loads(line)["traceback"])

    def test_without_a_failure_there_is_no_traceback(self) -> None:
        self.assertNotIn("traceback", json.loads(json_line(event())))


class LanguageTests(SynchronousTestCase):
    def test_every_line_of_ours_is_translated(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            self.assertEqual(in_english(event(chinese))["log_format"], english)

    def test_other_lines_stay_as_they_are(self) -> None:
        other = event("not ours")
        self.assertIs(in_english(other), other)
        without: LogEvent = {"log_time": 0.0}
        self.assertIs(in_english(without), without)

    def test_the_event_that_others_observe_too_is_not_changed(self) -> None:
        original = event(log_lines.STARTED)
        in_english(original)
        self.assertEqual(original["log_format"], log_lines.STARTED)


class LineObserverTests(SynchronousTestCase):
    def lines(self, *events: LogEvent) -> list[bytes]:
        written: list[bytes] = []
        observe = LineObserver([written.append], text_line)
        for each in events:
            observe(each)
        return written

    def test_everybody_gets_every_line(self) -> None:
        one: list[bytes] = []
        two: list[bytes] = []
        observe = LineObserver([one.append, two.append], lambda event: str(event["log_format"]))
        observe(event("一"))
        observe(event("🎉"))
        self.assertEqual(one, ["一\n".encode(), "🎉\n".encode()])
        self.assertEqual(two, one)

    def test_an_event_that_cannot_be_formatted_is_told_of(self) -> None:
        first, second = self.lines({"log_format": "no time"}, event("next"))
        self.assertEqual(first, b"an event could not be formatted: KeyError('log_time')\n")
        self.assertIn(b"next", second)

    def test_a_lone_surrogate_is_escaped(self) -> None:
        [line] = self.lines(event("a\udc80b"))
        self.assertTrue(line.endswith(b"a\\udc80b\n"))


class LogTests(SynchronousTestCase):
    def lines(
        self, *events: LogEvent, level: str = "INFO", log_format: str = "text", language: str = "zh"
    ) -> list[str]:
        stream = MemoryStream()
        log = Log([stream], level=level, log_format=log_format, language=language)
        self.assertTrue(ILogObserver.providedBy(log.observer))
        for each in events:
            log.observer(each)
        log.finish(20)
        return stream.written.decode().splitlines()

    def shown(self, level: str, namespace: str) -> list[str]:
        """The levels of events that come through."""
        levels = (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)
        lines = self.lines(*(event(level.name, level, log_namespace=namespace) for level in levels), level=level)
        return [line.rpartition(" ")[2] for line in lines]

    def test_only_events_of_the_level_and_above_are_written(self) -> None:
        for level, shown in (
            ("DEBUG", ["debug", "info", "warn", "error", "critical"]),
            ("INFO", ["info", "warn", "error", "critical"]),
            ("WARNING", ["warn", "error", "critical"]),
            ("ERROR", ["error", "critical"]),
        ):
            self.assertEqual(self.shown(level, "aiot_mqtt.writing.writer"), shown, level)

    def test_what_twisted_tells_its_own_developers_is_written_at_debug_only(self) -> None:
        of_twisted = ("twisted.internet.tcp", "twisted.application.app", "twisted.scripts._twistd_unix", "log_legacy")
        for namespace in (*of_twisted, "stdout"):
            self.assertEqual(self.shown("INFO", namespace), ["warn", "error", "critical"], namespace)
            self.assertEqual(self.shown("DEBUG", namespace), ["debug", "info", "warn", "error", "critical"], namespace)

    def test_what_its_old_interface_tells_is_of_that_sort(self) -> None:
        stream = MemoryStream()
        lines = Log([stream], level="INFO", log_format="text", language="zh")
        legacy = LegacyPublisher(publishPublisher=LogPublisher(lines.observer))
        legacy.msg("_SilentSite starting on 9464")
        legacy.msg(failure=failure(), isError=1, why=None)
        lines.finish(20)
        self.assertNotIn("9464", stream.written.decode())
        self.assertIn("ValueError: broken", stream.written.decode())

    def test_twisted_tells_no_more_than_the_level_allows(self) -> None:
        self.assertEqual(self.shown("ERROR", "twisted.internet.tcp"), ["error", "critical"])

    def test_the_language_is_chosen(self) -> None:
        started = event(log_lines.UNKNOWN_DEVICE, device="d1")
        for language, text in (("zh", "⚠️ 设备不存在: d1"), ("en", "⚠️ Unknown device: d1")):
            [line] = self.lines(started, language=language)
            self.assertTrue(line.endswith(f"] {text}"), line)
            [line] = self.lines(started, language=language, log_format="json")
            self.assertEqual(json.loads(line)["message"], text)

    def test_the_format_is_chosen(self) -> None:
        self.assertRegex(self.lines(event())[0], rf"^{TIME} ")
        self.assertEqual(json.loads(self.lines(event(), log_format="json")[0])["message"], "hello world")

    def test_what_a_logger_logs_arrives(self) -> None:
        stream = MemoryStream()
        lines = Log([stream], level="INFO", log_format="text", language="zh")
        log = Logger(observer=LogPublisher(lines.observer))
        log.warn(log_lines.UNKNOWN_DEVICE, device="{not a field}")
        try:
            raise ValueError("broken")
        except ValueError:
            log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY)
        lines.finish(20)
        text = stream.written.decode()
        self.assertIn("[WARNING] ⚠️ 设备不存在: {not a field}\n", text)
        self.assertIn("[ERROR] ❌ 写入时出现意外错误", text)
        self.assertIn("ValueError: broken", text)

    def test_every_stream_gets_what_is_logged_and_is_opened_anew(self) -> None:
        streams = [MemoryStream(), MemoryStream()]
        log = Log(streams, level="INFO", log_format="text", language="zh")
        log.observer(event("early"))
        self.assertEqual([stream.written for stream in streams], [b"", b""])
        log.start()
        log.finish(20)
        log.reopen()
        log.observer(event("late"))
        log.finish(20)
        for stream in streams:
            self.assertRegex(stream.written.decode(), r"early\n\(reopened\).*late\n$")

    def test_times_are_those_of_this_host_with_their_zone(self) -> None:
        match = re.match(TIME, text_line(event()))
        assert match is not None
        self.assertEqual(len(match[0]), len("2026-11-23 10:00:00+00:00"))
