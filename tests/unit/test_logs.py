"""How events become lines, and where they go."""

from __future__ import annotations

import json
import re
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO, cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.logs import LineObserver, in_english, json_line, make_observer, open_streams, text_line

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


class BrokenStream(BytesIO):
    """A full disk, until it is not."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def write(self, data: object) -> int:
        if self.error is not None:
            raise self.error
        return super().write(data)  # type: ignore[arg-type]


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
    def test_every_stream_gets_every_line(self) -> None:
        one, two = BytesIO(), BytesIO()
        observe = LineObserver([one, two], lambda event: str(event["log_format"]))
        observe(event("一"))
        observe(event("🎉"))
        self.assertEqual(one.getvalue(), "一\n🎉\n".encode())
        self.assertEqual(two.getvalue(), one.getvalue())

    def test_a_stream_that_cannot_be_written_to_stops_only_itself(self) -> None:
        for error in (OSError(28, "No space left on device"), BrokenPipeError(), ValueError("closed file")):
            broken, sound = BrokenStream(error), BytesIO()
            observe = LineObserver([broken, sound], lambda event: str(event["log_format"]))
            observe(event("one"))
            broken.error = None
            observe(event("two"))
            self.assertEqual((broken.getvalue(), sound.getvalue()), (b"two\n", b"one\ntwo\n"))

    def test_an_event_that_cannot_be_formatted_is_told_of(self) -> None:
        stream = BytesIO()
        observe = LineObserver([stream], text_line)
        observe({"log_format": "no time"})
        observe(event("next"))
        first, second, _ = stream.getvalue().decode().split("\n")
        self.assertEqual(first, "an event could not be formatted: KeyError('log_time')")
        self.assertIn("next", second)

    def test_a_lone_surrogate_is_escaped(self) -> None:
        stream = BytesIO()
        LineObserver([stream], lambda event: str(event["log_format"]))(event("a\udc80b"))
        self.assertEqual(stream.getvalue(), b"a\\udc80b\n")


class MakeObserverTests(SynchronousTestCase):
    def lines(
        self, *events: LogEvent, level: str = "INFO", log_format: str = "text", language: str = "zh"
    ) -> list[str]:
        stream = BytesIO()
        observer = make_observer([stream], level=level, log_format=log_format, language=language)
        self.assertTrue(ILogObserver.providedBy(observer))
        for each in events:
            observer(each)
        return stream.getvalue().decode().splitlines()

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
        for namespace in ("twisted.internet.tcp", "twisted.application.app", "twisted.scripts._twistd_unix", "stdout"):
            self.assertEqual(self.shown("INFO", namespace), ["warn", "error", "critical"], namespace)
            self.assertEqual(self.shown("DEBUG", namespace), ["debug", "info", "warn", "error", "critical"], namespace)

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
        stream = BytesIO()
        publisher = LogPublisher(make_observer([stream], level="INFO", log_format="text", language="zh"))
        log = Logger(observer=publisher)
        log.warn(log_lines.UNKNOWN_DEVICE, device="{not a field}")
        try:
            raise ValueError("broken")
        except ValueError:
            log.failure(log_lines.WRITE_FAILED_UNEXPECTEDLY)
        text = stream.getvalue().decode()
        self.assertIn("[WARNING] ⚠️ 设备不存在: {not a field}\n", text)
        self.assertIn("[ERROR] ❌ 写入时出现意外错误", text)
        self.assertIn("ValueError: broken", text)


class OpenStreamsTests(SynchronousTestCase):
    def test_standard_output_only_where_it_is_ours(self) -> None:
        # As under LANG=zh_CN.GBK, where printing the first line of the contract would raise.
        raw = BytesIO()
        self.patch(sys, "stdout", TextIOWrapper(raw, encoding="gbk"))
        self.assertEqual(open_streams("", on_terminal=False), [])
        streams = open_streams("", on_terminal=True)
        observer = make_observer(streams, level="INFO", log_format="text", language="zh")
        observer(event(log_lines.MQTT_CONNECTED, host="localhost", port=1883))
        self.assertTrue(raw.getvalue().endswith("🎉 MQTT连接成功 - Broker: localhost:1883\n".encode()))

    def test_a_log_file_is_utf8_and_kept_across_a_restart(self) -> None:
        path = Path(self.mktemp()).absolute()
        for _ in range(2):
            [stream] = open_streams(str(path), on_terminal=False)
            LineObserver([stream], lambda event: str(event["log_format"]))(event("🎉"))
            cast(IO[bytes], stream).close()
        self.assertEqual(path.read_bytes(), "🎉\n🎉\n".encode())

    def test_a_log_file_is_rotated_and_old_ones_are_bounded(self) -> None:
        [stream] = open_streams(str(Path(self.mktemp()).absolute()), on_terminal=False)
        assert isinstance(stream, LogFile)
        self.addCleanup(stream.close)
        self.assertEqual((stream.rotateLength, stream.maxRotatedFiles), (10 * 1024 * 1024, 10))

    def test_a_log_file_that_cannot_be_opened_is_an_error_of_the_system(self) -> None:
        self.assertRaises(OSError, open_streams, str(Path(self.mktemp()).absolute() / "no" / "such"), on_terminal=False)

    def test_times_are_those_of_this_host_with_their_zone(self) -> None:
        match = re.match(TIME, text_line(event()))
        assert match is not None
        self.assertEqual(len(match[0]), len("2026-11-23 10:00:00+00:00"))
