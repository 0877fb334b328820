"""The lines themselves: both languages, the same fields, levels that icons say, and the documents about them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

from twisted.logger import LogEvent, Logger, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry import log_lines, reasons
from aiot_mqtt.telemetry.bilingual import Bilingual
from tests.log_levels import ERROR, WARNING, WrongLevel, wrong_level

ROOT = Path(__file__).resolve().parent.parent.parent
LINES = {
    name: line
    for name, line in vars(log_lines).items()
    if name.isupper() and name != "ENGLISH" and isinstance(line, str)
}
MAX_FIXED = 100  # characters without the fields: what fits a phone, and journalctl
LEVEL_CALLS = {"debug": "", "info": "", "warn": WARNING, "error": ERROR, "failure": ERROR}


def names_of_fields(line: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(line) if field is not None}


class LogLinesTests(SynchronousTestCase):
    def test_every_line_has_an_english_one_and_no_two_share_it(self) -> None:
        self.assertGreater(len(LINES), 20)
        self.assertEqual(set(LINES.values()), set(log_lines.ENGLISH))
        self.assertEqual(len(LINES), len(log_lines.ENGLISH))
        self.assertEqual(len(set(log_lines.ENGLISH.values())), len(LINES))

    def test_every_line_is_known_by_the_name_of_its_constant_in_both_languages(self) -> None:
        self.assertEqual(len(log_lines.EVENTS), 2 * len(LINES))
        for name, line in LINES.items():
            self.assertEqual({log_lines.EVENTS[line], log_lines.EVENTS[log_lines.ENGLISH[line]]}, {name})

    def test_both_languages_have_the_same_fields(self) -> None:
        for name, line in LINES.items():
            self.assertEqual(names_of_fields(line), names_of_fields(log_lines.ENGLISH[line]), name)

    def test_every_line_shows_each_of_its_fields(self) -> None:
        for name, chinese in LINES.items():
            for line in (chinese, log_lines.ENGLISH[chinese]):
                fields = {field: f"<{field}>" for field in names_of_fields(line)}
                text = formatEvent({"log_format": line, **fields})
                self.assertEqual(text, line.format(**fields), name)
                for shown in fields.values():
                    self.assertIn(shown, text, name)

    def test_every_line_is_one_line(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            self.assertNotIn("\n", chinese + english)

    def test_no_line_is_longer_than_a_phone_shows(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            for line in (chinese, english):
                self.assertLessEqual(len(re.sub(r"\{\w+\}", "", line)), MAX_FIXED, line)

    def test_the_fact_comes_first_and_advice_behind_one_dash(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            fact, *advice = chinese.split(" — ")
            self.assertNotIn("请", fact, chinese)
            self.assertLessEqual(len(advice), 1, chinese)
            self.assertEqual(chinese.count("—"), len(advice), chinese)
            self.assertEqual(english.count(" — "), len(advice), english)
            self.assertEqual(english.count("—"), len(advice), english)

    def test_both_languages_have_the_same_icon(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            for icon in (ERROR, WARNING):
                self.assertEqual(chinese.startswith(icon), english.startswith(icon), chinese)
                self.assertNotIn(icon, chinese[1:] + english[1:])

    def test_only_the_chinese_lines_are_chinese(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            if names_of_fields(chinese) != {"sentence", "figures"}:
                self.assertTrue(any("\u4e00" <= character <= "\u9fff" for character in chinese), chinese)
            self.assertFalse(any("\u3000" <= character <= "\uffef" and character != "\ufe0f" for character in english))

    def test_the_lines_an_operator_greps_for_begin_with_exactly_these(self) -> None:
        for line, fields, text in (
            (log_lines.MQTT_CONNECTED, {"host": "localhost", "port": 1883}, "🎉 MQTT连接成功 - Broker: localhost:1883"),
            (log_lines.SUBSCRIBED, {"topic": "devices/+/data"}, "📡 订阅主题: devices/+/data"),
            (log_lines.STARTED, {}, "🚀 MQTT服务已启动"),
            (log_lines.DATABASE_FAILED, {"database": "h:1/d", "reason": "x"}, "❌ 数据库连接失败 - h:1/d: x"),
            (log_lines.UNKNOWN_DEVICE, {"device": "d1"}, "⚠️ 设备不存在: d1"),
        ):
            self.assertEqual(formatEvent({"log_format": line, **fields}), text)
        self.assertTrue(log_lines.MQTT_REFUSED.startswith("❌ MQTT连接失败，错误代码: {code} ({reason})"))
        self.assertTrue(log_lines.MQTT_FAILED.startswith("❌ MQTT连接失败: {reason}"))
        self.assertTrue(log_lines.MESSAGE_RECEIVED.startswith("📨 收到MQTT消息"))
        self.assertTrue(log_lines.STATISTICS.startswith("📊 统计: "))


class LevelTests(SynchronousTestCase):
    def test_every_call_that_names_its_line_has_the_level_of_its_icon(self) -> None:
        found = 0
        for path in (ROOT / "aiot_mqtt").rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
                if not (isinstance(call.func, ast.Attribute) and call.func.attr in LEVEL_CALLS and call.args):
                    continue
                line = call.args[0]
                if not (isinstance(line, ast.Attribute) and ast.unparse(line.value) == "log_lines"):
                    continue
                text = LINES[line.attr]
                icon = next((icon for icon in (ERROR, WARNING) if text.startswith(icon)), "")
                self.assertEqual(LEVEL_CALLS[call.func.attr], icon, f"{path}: {ast.unparse(call)}")
                found += 1
        self.assertGreater(found, 40)

    def test_what_is_logged_at_another_level_fails_the_test_that_does_it(self) -> None:
        log = Logger()
        log.info(log_lines.STOPPED)
        log.warn(log_lines.UNKNOWN_DEVICE, device="d1")
        self.assertEqual(self.flushLoggedErrors(WrongLevel), [])
        log.info(log_lines.UNKNOWN_DEVICE, device="d1")
        log.warn(log_lines.DATABASE_FAILED, database="d", reason="r")
        log.error(log_lines.STARTED)
        self.assertEqual(len(self.flushLoggedErrors(WrongLevel)), 3)

    def test_each_line_has_one_level_that_is_right(self) -> None:
        for line in LINES.values():
            events: list[LogEvent] = [{"log_format": line, "log_level": level} for level in LogLevel.iterconstants()]
            right = {event["log_level"].name for event in events if wrong_level(event) is None}
            self.assertIn(right, ({"debug", "info"}, {"warn"}, {"error", "critical"}), line)


class ReasonTests(SynchronousTestCase):
    def all_reasons(self) -> dict[str, Bilingual]:
        found = {name: value for name, value in vars(reasons).items() if isinstance(value, Bilingual)}
        for name, value in vars(reasons).items():
            if name.isupper() and isinstance(value, dict):
                found |= {f"{name}[{key!r}]": text for key, text in value.items() if isinstance(text, Bilingual)}
        return found

    def test_both_languages_have_the_same_fields(self) -> None:
        self.assertGreater(len(self.all_reasons()), 150)
        for name, reason in self.all_reasons().items():
            self.assertEqual(names_of_fields(reason), names_of_fields(reason.chinese), name)

    def test_what_has_words_has_them_in_both(self) -> None:
        for name, reason in self.all_reasons().items():
            words = re.sub(r"\{\w+\}", "", reason)
            if re.search("[a-z]{3}", words):
                self.assertTrue(any("\u4e00" <= each <= "\u9fff" for each in reason.chinese), name)
            self.assertFalse(any("\u3000" <= each <= "\uffef" and each != "\ufe0f" for each in reason), name)

    def test_no_two_modules_use_one_name(self) -> None:
        names: list[str] = []
        for path in (ROOT / "aiot_mqtt/telemetry/reasons").glob("*.py"):
            names += re.findall(r"^([A-Z][A-Z0-9_]+)(?:: [^=]+)? = ", path.read_text("utf-8"), re.MULTILINE)
        self.assertEqual(sorted(names), sorted(set(names)))


class DocumentTests(SynchronousTestCase):
    def test_each_line_has_its_meaning_under_its_name_in_both_languages(self) -> None:
        for document, texts in (
            ("log-messages.zh-CN.md", LINES),
            ("log-messages.md", {name: log_lines.ENGLISH[line] for name, line in LINES.items()}),
        ):
            written = (ROOT / "docs" / document).read_text("utf-8")
            found = re.findall(r"^### (\w+)\n\n```\n(.*)\n```\n\n(.+)$", written, re.MULTILINE)
            self.assertEqual([name for name, _, _ in found], re.findall(r"^### (.+)$", written, re.MULTILINE))
            self.assertEqual(len(found), len(LINES), document)
            self.assertEqual({name: line for name, line, _ in found}, texts, document)
            for name, line, meaning in found:
                self.assertNotIn(meaning, line, name)
