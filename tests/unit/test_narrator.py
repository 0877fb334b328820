from __future__ import annotations

import ast
import io
import json
import re
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.state import State
from aiot_mqtt.simulate.fleet import ORDINARY, Message
from aiot_mqtt.telemetry.bilingual import Bilingual
from faults import words
from faults.catalogue import FAULTS
from faults.check import Row
from faults.fleet import Acknowledged
from faults.replay import account
from faults.world import ZONE, World
from rig.narrator import AWAY, COLOURS, Narrator, Standing, language_of

PACKAGE = Path(words.__file__).parent
HAN = re.compile("[\u4e00-\u9fff]")
SENTENCE = Bilingual("it is killed", "强制结束")
STANDING = Standing(
    published=1200,
    acknowledged=1100,
    deliveries={"received": 900, "recovered": 0},
    outcomes={"stored": 800, "superseded": 60, "refused": 0, "pending": 40},
    spooled=7,
    online=19,
    devices=20,
    state=State.PROTECTED.value,
)


def waits() -> set[str]:
    """What any fault waits for, with its fields in braces as they stand there."""
    found = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) > 1):
                continue
            if node.func.attr in ("until", "within") and isinstance(node.args[1], ast.Constant | ast.JoinedStr):
                found.add(ast.unparse(node.args[1]).removeprefix("f")[1:-1])
    return found


class WordsTests(SynchronousTestCase):
    def test_whatever_is_waited_for_is_said_in_both_languages(self) -> None:
        found = waits()
        self.assertGreater(len(found), 40)
        for what in found:
            self.assertRegex(words.wait_in_words(re.sub(r"\{.*?\}", "x", what)).chinese, HAN, what)

    def test_each_fault_is_described_in_both_languages(self) -> None:
        self.assertEqual({fault.name for fault in FAULTS}, words.FAULTS.keys())

    def test_fields_are_kept(self) -> None:
        told = words.wait_in_words("it is emptied, though fsync fails with EIO")
        self.assertEqual(told.chinese, "虽然 fsync 返回 EIO，仍写完")
        self.assertEqual(told, "it is emptied, though fsync fails with EIO")

    def test_what_nobody_translated_is_told_all_the_same(self) -> None:
        self.assertEqual(words.wait_in_words("something (new) {").chinese, "something (new) {")


class NarratorTests(SynchronousTestCase):
    def told(self, language: str | None = None, *, can_redraw: bool = False, **environment: str) -> str:
        stream = io.StringIO()
        with patch.dict("os.environ", {"LANG": "C.UTF-8", **environment}, clear=True):
            narrator = Narrator(stream, language=language, can_redraw=can_redraw)
            narrator.step(SENTENCE)
            narrator.show_standing(STANDING)
            narrator.looks(STANDING)
            narrator.checked(False, SENTENCE)
            narrator.stop()
        return stream.getvalue()

    def test_plain_lines_where_there_is_no_terminal(self) -> None:
        text = self.told("en")
        self.assertEqual(
            text.splitlines(),
            [
                "",
                "1. it is killed",
                "     Look at the page: blue, Protected.",
                "     published 1,200, acknowledged 1,100; online 19 of 20; on disk 7 devices",
                "     received 900 = stored 800 + superseded 60 + pending 40",
                "WRONG it is killed",
            ],
        )

    def test_in_chinese(self) -> None:
        text = self.told("zh")
        for expected in ("1. 强制结束", "看页面：蓝色，保护中。", "收到 900 = 已存 800", "在线 19 / 20"):
            self.assertIn(expected, text)
        self.assertNotIn("killed", text)

    def test_where_only_ascii_can_be_shown_it_is_english(self) -> None:
        text = self.told("zh", LANG="C")
        self.assertTrue(text.isascii(), text)
        self.assertIn("1. it is killed", text)

    def test_on_a_terminal_how_it_stands_is_redrawn(self) -> None:
        text = self.told("en", can_redraw=True, TERM="xterm")
        self.assertIn("● Protected", text)
        self.assertIn("\x1b[", text)

    def test_the_language_is_the_logs_or_else_the_locales(self) -> None:
        cases: tuple[tuple[dict[str, str], str], ...] = (
            ({}, "en"),
            ({"LANG": "zh_CN.UTF-8"}, "zh"),
            ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
            ({"LOG_LANGUAGE": "zh"}, "zh"),
            ({"LOG_LANGUAGE": "en", "LANG": "zh_CN.UTF-8"}, "en"),
            ({"LOG_LANGUAGE": "fr", "LANG": "zh_TW"}, "zh"),
        )
        for environment, expected in cases:
            self.assertEqual(language_of(environment), expected, environment)

    def test_each_state_has_a_colour(self) -> None:
        self.assertEqual(COLOURS.keys(), {AWAY, *(state.value for state in State)})

    def test_the_picture_holds_what_was_told(self) -> None:
        path = Path(self.mktemp())
        with patch.dict("os.environ", {"LANG": "C.UTF-8"}, clear=True):
            narrator = Narrator(io.StringIO(), language="en", can_redraw=False)
            narrator.step(SENTENCE)
            narrator.picture(path, "a story")
        text = path.read_text("utf-8").replace("&#160;", " ")
        self.assertIn("it is killed", text)
        self.assertIn("<title>a story</title>", text)


class AccountTests(SynchronousTestCase):
    """Both sides of each sum, with one of them wrong."""

    def setUp(self) -> None:
        self.devices = [Acknowledged("alive"), Acknowledged("dead"), Acknowledged("signed-off")]
        for device in self.devices:
            device.note(Message(0.0, 0, "data", b"", b'{"seq": 1}', False, ORDINARY))
        self.devices[1].is_silent = True
        self.devices[2].note(Message(0.0, 0, "status", b"", b'{"seq": 2, "status": "offline"}', False, ORDINARY))
        self.rows = {"alive": self.row(True), "dead": self.row(False), "signed-off": self.row(False, 2, "offline")}
        figures = dict.fromkeys(
            ("recovered", "superseded", "unchanged", "retained", "stale", "dropped", "pending", "refused_bad_json"), 0
        )
        self.figures = {**figures, "received": 4, "stored": 4}
        self.fleet = SimpleNamespace(devices=self.devices, published=4, acknowledged=4)

    def row(self, is_online: bool, sequence: int = 1, status: str = "") -> Row:
        report = {"seq": sequence} | ({"status": status} if status else {})
        now = datetime.now(ZONE).replace(tzinfo=None)
        return Row(json.dumps(report), status or "pending", is_online, now, None)

    def verdicts(self) -> list[bool]:
        world: Any = SimpleNamespace(
            fleet=self.fleet,
            service=SimpleNamespace(figures=self.figures),
            table=SimpleNamespace(rows=self.rows),
        )
        return [finding.is_right for finding in account(cast(World, world))]

    def test_all_is_equal(self) -> None:
        self.assertEqual(self.verdicts(), [True] * 4)

    def test_a_message_that_was_not_acknowledged(self) -> None:
        self.fleet.acknowledged = 3
        self.assertEqual(self.verdicts(), [False, True, True, True])

    def test_a_message_without_an_outcome(self) -> None:
        self.figures["stored"] = 3
        self.assertEqual(self.verdicts(), [True, False, True, True])

    def test_a_report_that_is_an_earlier_one(self) -> None:
        self.rows["alive"] = self.row(True, 0)
        self.assertEqual(self.verdicts(), [True, True, False, True])

    def test_a_living_device_that_is_shown_offline_and_a_dead_one_online(self) -> None:
        for uuid, is_online in (("alive", False), ("dead", True)):
            self.rows[uuid] = self.row(is_online)
            self.assertEqual(self.verdicts(), [True, True, False, False])
            self.rows[uuid] = self.row(not is_online)

    def test_a_row_that_is_not_there(self) -> None:
        del self.rows["alive"]
        self.assertEqual(self.verdicts(), [True, True, False, False])
