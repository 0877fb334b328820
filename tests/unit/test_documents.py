"""Documents that must not fall behind: the two READMEs say the same, every setting has its story, and every step."""

from __future__ import annotations

import os
import pkgutil
import re
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.check.probes import ALL, BY_ID
from aiot_mqtt.check.texts import Text, broker, database, devices, local
from aiot_mqtt.commands import RUN
from aiot_mqtt.settings.settings import setting_defaults
from aiot_mqtt.telemetry.log_lines import ENGLISH
from booted.documents import FOR_DEVELOPERS, commands, named_commands

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for folder in (ROOT, ROOT / "docs", ROOT / "examples" / "esp32")
    for path in sorted(folder.glob("*.md"))
}
CHINESE = [name for name in DOCUMENTS if name.endswith(".zh-CN.md")]
READMES = [DOCUMENTS[name] for name in ("README.md", "README.zh-CN.md")]
CHECKS = [DOCUMENTS[name] for name in ("docs/check.md", "docs/check.zh-CN.md")]
SETTINGS = [DOCUMENTS[name] for name in ("docs/settings.md", "docs/settings.zh-CN.md")]
METRICS_TOLD = [DOCUMENTS[name] for name in ("docs/metrics.md", "docs/metrics.zh-CN.md")]
TRANSLATED = (
    *("坏事", "有毒", "有害的内容", "沉默", "算在设备头上", "失效的设备", "收敛", "如实", "故障试验", "检出目录"),
    *("抢会话", "没有代码的", "没有授权", "放不进", "五列", "一整批", "两倍的 `MQTT", "不丢任何", "单元"),
)
"""Words that no Chinese engineer would write; what he writes instead is in the READMEs."""
CONTRACT = (
    *("`devices/{uuid}/data`", "`devices/{uuid}/status`", "`devices/{uuid}/heartbeat`"),
    *("`last_report_data`", "`device_status`", "`last_seen`", "`last_heartbeat`", "`is_online`"),
    *(f"`MQTT_{name}`" for name in ("BROKER", "PORT", "USERNAME", "PASSWORD")),
    *(f"`DB_{name}`" for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD")),
    *("env.example .env", "mqtt-service.service", "docker compose", "systemctl status mosquitto", "INFO", "⚠️", "❌"),
    *("sudo journalctl -u mqtt-service -f", "tail -f mqtt_service.log", "journalctl -u mqtt-service -n 100"),
    *('mosquitto_sub -h localhost -t "devices/#"', "JSON_PRETTY(last_report_data)", "WHERE device_id = 'test-device'"),
    *("🎉 MQTT连接成功 - Broker: localhost:1883", "📡 订阅主题: devices/+/data", "📡 订阅主题: devices/+/status"),
    *("📡 订阅主题: devices/+/heartbeat", "🚀 MQTT服务已启动", "`❌ MQTT连接失败，错误代码: 5`"),
    *("`❌ 数据库连接失败`", "`⚠️ 设备不存在: xxx`", "`HEARTBEAT_TIMEOUT`"),
)
"""What operators of the earlier service know, and look for first."""
QUOTED = {"README.md": 7, "docs/operations.md": 25}
"""How many lines of the log are at least quoted there."""
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def english(name: str) -> str:
    """The name of the same document in English."""
    return name.replace(".zh-CN", "")


def without_blocks(text: str) -> str:
    return BLOCK.sub("", text)


def shape(text: str) -> list[str]:
    """What has to be the same in both languages."""
    blocks = []
    for language, block in BLOCK.findall(text):
        if language == "console":  # what is shown there is in the document's own language
            blocks.append(f"{len(block.splitlines())} lines: {re.findall('✅|⚠️|❌|⚪|→', block)}")
        else:
            lines = (re.sub(r'(^|\s+)(# |-- ).*|"text": ".*?"', "", line) for line in block.splitlines())
            blocks += [language, *lines]
    headings = re.findall(r"^#+ ", without_blocks(text), re.MULTILINE)
    rows = [str(line.replace("\\|", "").count("|")) for line in text.splitlines() if line.startswith("|")]
    return blocks + headings + rows


def rows(text: str, *, of_settings: bool = False) -> list[list[str]]:
    """The cells of all tables; or of those rows alone that are about settings."""
    found = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row] for row in found]
    return [row for row in cells if re.match(r"`[A-Z][A-Z0-9_]+`", row[0])] if of_settings else cells


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found: Counter[str] = Counter()
    slugs = set()
    for heading in re.findall(r"^#+ (.*)$", without_blocks(text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        slugs.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return slugs


def links(text: str) -> list[str]:
    """Where the links and pictures of a document lead."""
    prose = re.sub(r"(`+)[^`\n]+\1", "`", without_blocks(text))
    return re.findall(r'\]\(([^()\s]+)(?: +"[^"]*")?\)', prose) + re.findall(r'(?:src|srcset|href)="([^"]+)"', prose)


class DocumentTests(SynchronousTestCase):
    def test_what_is_in_both_languages_has_the_same_sections_tables_and_commands(self) -> None:
        self.assertGreater(len(CHINESE), 7)
        for name in CHINESE:
            if "log-messages" in name:  # its lines are in its own language, and a test of its own holds it
                continue
            self.assertEqual(shape(DOCUMENTS[english(name)]), shape(DOCUMENTS[name]), name)

    def test_what_is_in_both_languages_says_so(self) -> None:
        for name in CHINESE:
            other = english(name)
            self.assertIn(f"({other.rpartition('/')[2]})", DOCUMENTS[name].split("\n\n", 2)[1], name)
            self.assertIn(f"({name.rpartition('/')[2]})", DOCUMENTS[other].split("\n\n", 2)[1], other)

    def test_a_chinese_document_leads_to_the_chinese_one_where_there_is_one(self) -> None:
        for name in CHINESE:
            for link in links("\n\n".join(DOCUMENTS[name].split("\n\n")[2:])):
                target = link.partition("#")[0]
                if target.endswith(".md") and ".zh-CN" not in target:
                    found = (ROOT / name).parent / target
                    self.assertFalse(found.with_name(f"{found.stem}.zh-CN.md").exists(), f"{name}: {link}")

    def test_chinese_documents_speak_as_engineers_do(self) -> None:
        for name in CHINESE:
            self.assertEqual([word for word in TRANSLATED if word in DOCUMENTS[name]], [], name)

    def test_every_setting_has_its_story_with_its_default_in_both_languages(self) -> None:
        defaults = setting_defaults()
        for text in SETTINGS:
            told: dict[str, str] = {}
            for names, default, *_ in rows(text, of_settings=True):
                value = re.match(r"`(.*?)`", default)
                told |= dict.fromkeys(re.findall(r"`(\w+)`", names), value[1] if value else "")
            self.assertEqual(told, defaults)

    def test_the_settings_of_the_readmes_have_the_defaults_that_they_have(self) -> None:
        defaults = setting_defaults()
        for readme in READMES:
            told = rows(readme, of_settings=True)
            self.assertGreater(len(told), 8)
            for names, default, _ in told:
                values = [defaults[name] for name in re.findall(r"`(\w+)`", names)]
                self.assertEqual(re.findall(r"`(.*?)`", default), [value for value in values if value], names)

    def test_every_metric_is_told_in_both_languages(self) -> None:
        of_metrics = [[row for row in rows(text) if len(row) == 4][1:] for text in METRICS_TOLD]
        self.assertGreater(len(of_metrics[0]), 50)
        self.assertEqual(*[[row[:3] for row in told] for told in of_metrics])
        self.assertEqual([row[0] for row in of_metrics[1] if not row[3]], [])

    def test_the_lines_to_grep_for_are_those_that_are_logged(self) -> None:
        logged = [re.sub(r"\{\w+\}", "\0", line) for line in (*ENGLISH, *ENGLISH.values())]
        for name, text in DOCUMENTS.items():
            if (
                "log-messages" in name or name == "CHANGELOG.md"
            ):  # the one has a test of its own, the other is of the past
                continue
            quoted = re.findall(r"`((?:🎉|📡|🚀|❌|⚠️|✅|📊|📴|📈|💾) ?[^`]+)`", text)
            self.assertGreaterEqual(len(quoted), QUOTED.get(english(name), 0), name)
            for line in quoted:
                words = re.split(r"…|<\w+>|xxx|\d+", line)
                self.assertTrue(any(all(part.strip() in told for part in words) for told in logged), f"{name}: {line}")

    def test_what_operators_of_the_earlier_service_look_for_is_in_both_readmes(self) -> None:
        for readme in READMES:
            self.assertEqual([words for words in CONTRACT if words not in readme], [])

    def test_the_readmes_commands_are_the_same_and_those_for_developers_are_there(self) -> None:
        english_ones, chinese_ones = map(named_commands, READMES)
        self.assertEqual(english_ones, chinese_ones)
        self.assertEqual(*map(commands, READMES))
        for command in english_ones:
            if (found := FOR_DEVELOPERS.fullmatch(command)) and (script := found[1]):
                self.assertTrue(os.access(ROOT / script, os.X_OK), script)
                for option in re.findall(r" (--[\w-]+)", command):
                    room = ROOT / Path(script).name / "__main__.py"
                    self.assertIn(f'"{option}"', room.read_text("utf-8"), command)

    def test_the_commands_of_aiot_mqtt_that_are_told_are_there(self) -> None:
        for name, text in DOCUMENTS.items():
            for command in re.findall(r"`(?:sudo )?(?:[\w./-]*/)?aiot-mqtt ([a-z][\w-]+)\b[^`\n]*`", text):
                self.assertIn(command, RUN, name)

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

    def test_every_cause_that_the_check_tells_has_its_remedy_there_too(self) -> None:
        for number, text in enumerate(CHECKS):
            parts = dict(re.findall(r"^### ([a-z_.]+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL))
            for module in (broker, database, devices, local):
                group = module.__name__.rpartition(".")[2]
                told = "\n".join(part for name, part in parts.items() if BY_ID[name].group == group)
                for each in vars(module).values():
                    if isinstance(each, Text) and each.remedy and not re.fullmatch(r"\{\w+\}", each.remedy):
                        words = (each.english, each.remedy) if number == 0 else (each.chinese, each.remedy_chinese)
                        line = re.sub(r"\{(\w+)[^}]*\}", r"{\1}", " → ".join(words)).replace("*", r"\*")
                        self.assertIn(f"- {line}\n", told)
            for name, part in parts.items():
                if "`error`" in part or "`warning`" in part:
                    self.assertIn(" → ", part, f"{name} says nothing of what to do")

    def test_links_lead_somewhere(self) -> None:
        """Those within the repository to a file, and to a heading in it; of others only the form is looked at."""
        for name, text in DOCUMENTS.items():
            for link in links(text):
                if ":" in link:
                    self.assertRegex(link, r"\Ahttps://[a-z0-9.-]+\.[a-z]+(/[\w./@:#?&=%+~-]*)?\Z", name)
                    continue
                target, _, anchor = link.partition("#")
                found = ((ROOT / name).parent / target).resolve() if target else ROOT / name
                self.assertTrue(found.exists() and found.is_relative_to(ROOT), f"{name}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(DOCUMENTS[found.relative_to(ROOT).as_posix()]), f"{name}: {link}")


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
