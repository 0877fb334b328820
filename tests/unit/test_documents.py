"""Documents that must not fall behind: the two READMEs say the same, every setting has its story, and every step."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.check.probes import ALL
from aiot_mqtt.settings.settings import setting_defaults
from aiot_mqtt.telemetry.log_lines import ENGLISH

ROOT = Path(__file__).resolve().parent.parent.parent
READMES = [(ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")]
CHECKS = [(ROOT / "docs" / name).read_text("utf-8") for name in ("check.md", "check.zh-CN.md")]
UPGRADES = [(ROOT / "docs" / name).read_text("utf-8") for name in ("upgrade.md", "upgrade.zh-CN.md")]


class DocumentTests(SynchronousTestCase):
    def test_what_is_in_both_languages_has_the_same_sections_tables_and_commands(self) -> None:
        def shape(text: str) -> list[str]:
            blocks = re.findall(r"^ *```.*?^ *```", text, re.MULTILINE | re.DOTALL)
            commands = [re.sub(r"\s*(#|--).*", "", line) for block in blocks for line in block.splitlines()]
            headings = re.findall(r"^#+ ", text, re.MULTILINE)
            rows = [str(line.count("|")) for line in text.splitlines() if line.startswith("|")]
            return commands + headings + rows

        for english, chinese in (READMES, UPGRADES, CHECKS):
            self.assertEqual(shape(english), shape(chinese))

    def test_every_setting_has_its_story(self) -> None:
        text = (ROOT / "docs" / "settings.md").read_text("utf-8")
        told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", text))
        self.assertEqual(set(setting_defaults()) - told, set())

    def test_the_lines_to_grep_for_are_those_that_are_logged(self) -> None:
        logged = [re.sub(r"\{\w+\}", "\0", line) for line in ENGLISH]
        for readme in READMES:
            quoted = re.findall(r"`((?:🎉|📡|🚀|❌|⚠️|✅|📊|📴|📈|💾)[^`]*)`", readme)
            self.assertGreater(len(quoted), 10)
            for line in quoted:
                words = re.split(r"…|<\w+>|xxx|: 5\b", line)
                self.assertTrue(any(all(part.strip() in text for part in words) for text in logged), line)

    def test_the_design_names_every_module_with_its_room_and_the_flow_shows_none_that_is_not_there(self) -> None:
        rooms = dict(
            re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs" / "design.md").read_text("utf-8"), re.MULTILINE)
        )
        for path in (ROOT / "aiot_mqtt").glob("*/*.py"):
            if path.stem != "__init__":
                self.assertIn(f"`{path.stem}`", rooms[path.parent.name], path)
        shown = re.findall(r">(\w+/\w+)<", (ROOT / "docs" / "data-flow.svg").read_text("utf-8"))
        self.assertGreater(len(shown), 5)
        for name in shown:
            self.assertTrue((ROOT / "aiot_mqtt" / f"{name}.py").exists(), name)

    def test_every_probe_of_the_check_is_told(self) -> None:
        for text in CHECKS:
            self.assertEqual(re.findall(r"^### (.*)$", text, re.MULTILINE), [probe.id for probe in ALL])

    def test_links_lead_somewhere(self) -> None:
        for name in ("README.md", "README.zh-CN.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
            text = (ROOT / name).read_text("utf-8")
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
                self.assertTrue(((ROOT / name).parent / target).exists(), f"{name}: {target}")


class LifeOfAMessageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = (ROOT / "docs" / "life-of-a-message.md").read_text("utf-8")

    def test_every_step_says_where_it_is_and_that_is_in_the_code(self) -> None:
        steps = re.findall(r"^## \d+\. .*\n\n(.*)", self.text, re.MULTILINE)
        self.assertEqual(len(steps), 15)
        for step in steps:
            self.assertRegex(step, r"^\[`[\w.]+`\]\(\.\./aiot_mqtt/[\w/]+\.py\) · \*\*[\d.]+ µs\*\*")
        for function, module in re.findall(r"\[`([\w.]+)`\]\(\.\./(aiot_mqtt/[\w/]+)\.py\)", self.text):
            self.assertTrue(callable(pkgutil.resolve_name(f"{module.replace('/', '.')}:{function}")), function)
