"""``scripts/demo --story`` and ``scripts/faults --story``, on real servers."""

from __future__ import annotations

import io
import re
import socket
import sys
import urllib.request

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from demo.story import Teller, devices_report, tell_story
from rig.narrator import Narrator
from rig.selection import OTHER_WAYS, only_in_all

from .test_demo import ESCAPE, CommandCase, Terminal

STORY = [sys.executable, "-m", "demo", "--story", "--devices", "20", "--rate", "200", "--look", "0"]
FAULTS = [sys.executable, "-m", "faults", "--quick", "--seed", "3", "--story"]
PAGE = re.compile(r"http://127\.0\.0\.1:(\d+)/")
VERDICT = re.compile(r"^(?:ok   |WRONG) ", re.MULTILINE)


async def row_falsified(teller: Teller) -> None:
    """What a service that lies would leave behind."""
    world = teller.world
    device = world.fleet.devices[0]
    device.is_silent = True
    await teller.messages(0.5)
    await world.recovered()
    sql = """UPDATE device_main SET last_report_data = '{"seq": 1000000}' WHERE uuid = %s"""
    await world.thread(world.database.query, sql, (device.uuid,))


class StoryTests(TestCase):
    timeout = 300

    async def test_a_row_that_is_wrong_is_found(self) -> None:
        stream = io.StringIO()
        code = await tell_story(
            Narrator(stream, language="en", can_redraw=False),
            reactor,
            devices=20,
            rate=200.0,
            look=0.0,
            steps=(devices_report, row_falsified),
            patience=3.0,
        )
        told = stream.getvalue()
        self.assertEqual(code, 1, told)
        self.assertIn("Look at the page: green", told)
        self.assertIn("WRONG acknowledged against stored: 20 rows, 19 hold", told)
        self.assertIn("IT DOES NOT ADD UP", told)


class CommandTests(CommandCase):
    @only_in_all(OTHER_WAYS)
    def test_the_whole_story_in_chinese(self) -> None:
        told = self.run_to_end([*STORY, "--language", "zh"])
        for expected in ("持续 5 秒后变灰", "绿色", "蓝色", "红色", "显示离线 1 台", "全部相等"):
            self.assertIn(expected, told)
        self.assertEqual(VERDICT.findall(told), ["ok    "] * 4, told)
        spooled = [int(found) for found in re.findall(r"本机暂存 (\d+) 台", told)]
        self.assertGreater(max(spooled), 0, told)
        self.assertEqual(spooled[-1], 0, told)
        self.assertNotIn("\x1b", told)

    def test_a_fault_is_replayed(self) -> None:
        told = self.run_to_end([*FAULTS, "db-rights"])
        for expected in (
            "db-rights, seed 3: the user's rights revoked",
            "> the service's rights are revoked",
            "> the service's rights are granted",
            "the service says: ❌",
            "the table has caught up",
            "1,000 rows, 1,000 hold",
            "it all adds up",
        ):
            self.assertIn(expected, told)
        self.assertRegex(told, PAGE)

    @only_in_all(OTHER_WAYS)
    def test_a_fault_of_the_network_is_replayed_in_chinese(self) -> None:
        told = self.run_to_end([*FAULTS, "net-broker-cut"], LOG_LANGUAGE="zh")
        for expected in (
            "到 Broker 的网络被切断",
            "> 切断网络，不发 FIN",
            "看页面：红色，故障",
            "> 恢复网络",
            "全部相等",
        ):
            self.assertIn(expected, told)

    @only_in_all(OTHER_WAYS)
    def test_a_fault_without_servers_is_replayed(self) -> None:
        told = self.run_to_end([*FAULTS, "hostile-device"])
        self.assertIn("it all adds up", told)
        self.assertNotRegex(told, PAGE)

    def test_control_c_ends_everything(self) -> None:
        terminal = Terminal([*STORY, "--look", "60"], columns=100, rows=30, TERM="xterm")
        terminal.read_until(lambda shown: "OK." in shown)
        found = PAGE.search(ESCAPE.sub("", terminal.shown))
        assert found is not None, terminal.shown
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/readyz", timeout=60) as response:
            self.assertEqual(response.status, 200)
        terminal.press_control_c()
        self.assertEqual(terminal.wait(), 130, terminal.shown)
        self.assertIn("interrupted", terminal.shown)
        self.assertNotIn("Traceback", terminal.shown)
        with self.assertRaises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(found[1]))):
            pass

    def test_mistaken_options_are_told(self) -> None:
        self.assertIn("without --for", self.run_to_end([*STORY, "--for", "3"], code=2))
        self.assertIn("--look", self.run_to_end([*STORY, "--look", "nan"], code=2))
        self.assertIn("--rate must be", self.run_to_end([*STORY, "--rate", "9"], code=2))
        self.assertIn("of one round", self.run_to_end([*FAULTS, "kill", "--soak", "60"], code=2))
        self.assertIn("invalid choice", self.run_to_end([*FAULTS, "nothing-like-it"], code=2))
