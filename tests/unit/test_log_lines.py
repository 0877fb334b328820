"""The lines themselves: both languages, the same fields."""

from __future__ import annotations

from string import Formatter

from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry import log_lines

LINES = {
    name: line
    for name, line in vars(log_lines).items()
    if name.isupper() and name != "ENGLISH" and isinstance(line, str)
}


def names_of_fields(line: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(line) if field is not None}


class LogLinesTests(SynchronousTestCase):
    def test_every_line_has_an_english_one_and_no_two_share_it(self) -> None:
        self.assertGreater(len(LINES), 20)
        self.assertEqual(set(LINES.values()), set(log_lines.ENGLISH))
        self.assertEqual(len(LINES), len(log_lines.ENGLISH))
        self.assertEqual(len(set(log_lines.ENGLISH.values())), len(LINES))

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

    def test_only_the_chinese_lines_are_chinese(self) -> None:
        for chinese, english in log_lines.ENGLISH.items():
            self.assertTrue(any("\u4e00" <= character <= "\u9fff" for character in chinese), chinese)
            self.assertFalse(any("\u3000" <= character <= "\uffef" and character != "\ufe0f" for character in english))

    def test_the_lines_an_operator_greps_for_are_exactly_these(self) -> None:
        for line, fields, text in (
            (log_lines.MQTT_CONNECTED, {"host": "localhost", "port": 1883}, "🎉 MQTT连接成功 - Broker: localhost:1883"),
            (log_lines.SUBSCRIBED, {"topic": "devices/+/data"}, "📡 订阅主题: devices/+/data"),
            (log_lines.STARTED, {}, "🚀 MQTT服务已启动"),
            (log_lines.MQTT_REFUSED, {"code": 5, "reason": "x"}, "❌ MQTT连接失败，错误代码: 5 (x)"),
            (log_lines.MQTT_FAILED, {"reason": "x"}, "❌ MQTT连接失败: x"),
            (log_lines.DATABASE_FAILED, {"database": "h:1/d", "reason": "x"}, "❌ 数据库连接失败 - h:1/d: x"),
            (log_lines.UNKNOWN_DEVICE, {"device": "d1"}, "⚠️ 设备不存在: d1"),
        ):
            self.assertEqual(formatEvent({"log_format": line, **fields}), text)
        self.assertTrue(log_lines.MESSAGE_RECEIVED.startswith("📨 收到MQTT消息"))
