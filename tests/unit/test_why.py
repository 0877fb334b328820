"""The rule of ``why``: one answer for whatever is known, in both languages, and honest about what is not."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import KINDS
from aiot_mqtt.health import command
from aiot_mqtt.health.command import NotRunning
from aiot_mqtt.health.device import DeviceFacts, Noted, Row, Waiting
from aiot_mqtt.health.why import Answer, Situation, answer
from aiot_mqtt.health.why_command import ask_service
from aiot_mqtt.health.why_lines import as_json, lines
from aiot_mqtt.telemetry.outage import Trouble
from aiot_mqtt.telemetry.remembered import Knocks, Refusal, Remembered

NOW = 1_800_000_000.0
STARTED = NOW - 3600
ONLINE = Row("sensor-7", True, NOW - 4, NOW - 4)
OFFLINE = replace(ONLINE, is_online=False)
PLAIN = DeviceFacts("sensor-7", NOW, STARTED, timeout=300.0, zone=timezone(timedelta(hours=8)), row=ONLINE)
REFUSAL = Refusal(NOW - 4, "bad_json", "not valid JSON: at column 12", "devices/sensor-7/data", "{")

times = st.none() | st.floats(NOW - 1e8, NOW + 1e5)
texts = st.text().filter(lambda text: "None" not in text)  # which is looked for: Hypothesis takes it from the sources
rows = st.builds(Row, st.just("sensor-7"), st.booleans(), times, times, st.none() | texts, st.booleans())
refusals = st.builds(Refusal, st.floats(NOW - 1e6, NOW), st.just("bad_json"), texts, texts, texts)
facts = st.builds(
    DeviceFacts,
    st.just("sensor-7"),
    st.just(NOW),
    st.none() | st.floats(NOW - 1e7, NOW),
    is_possible=st.booleans(),
    timeout=st.sampled_from([0.0, 300.0]),
    row=st.none() | rows,
    no_answer=st.none() | st.just("2003 refused"),
    similar=st.sampled_from([(), ("sensor-70", "sensor-71")]),
    heard_at=times,
    waiting=st.none() | st.builds(Waiting, st.floats(NOW - 1e6, NOW), st.booleans()),
    database=st.none() | st.builds(Trouble, st.just("2003 refused"), st.floats(0, 1e6)),
    is_set_offline=st.booleans(),
    listened=st.none() | st.floats(0, 1e6),
    is_listening=st.booleans(),
    usual_interval=st.none() | st.floats(0, 1e6),
    noted_since=times,
    kinds=st.dictionaries(
        st.sampled_from(KINDS), st.builds(Noted, st.floats(NOW - 1e6, NOW), st.integers(0, 1), st.booleans())
    ),
    refusal=st.none() | refusals,
    knocks=st.none() | st.builds(Knocks, st.integers(1, 10**9), st.floats(NOW - 1e6, NOW), st.floats(NOW - 1e6, NOW)),
)


class WhyTests(SynchronousTestCase):
    @given(facts)
    def test_there_is_one_answer_whatever_is_known(self, known: DeviceFacts) -> None:
        found = answer(known)
        self.assertIn(known.uuid, str(found.sentence) + known.uuid * (found.situation is Situation.CANNOT_TELL))
        for text in (found.sentence, *lines(known)):
            self.assertTrue(text)
            self.assertTrue(text.chinese)
            self.assertNotIn("None", text + text.chinese)
        self.assertEqual(as_json(known)["exit_code"], found.situation.exit_code)
        if known.is_possible and known.started_at is None:
            self.assertEqual(found.situation, Situation.CANNOT_TELL)
        if found.situation.exit_code == 1:
            self.assertTrue(known.row is None or not known.is_possible)

    def test_what_waited_on_this_host_is_not_said_to_have_just_come(self) -> None:
        found = self.found(row=replace(ONLINE, last_seen=NOW - 720), heard_at=NOW - 4)
        self.assertEqual(found.situation, Situation.FINE)
        self.assertIn("by the table last seen 12 min ago", str(found.sentence))
        self.assertIn("4 秒前收到，或由本机暂存写入；表中最后出现 12 分前", found.sentence.chinese)

    def test_a_service_that_hangs_is_not_said_not_to_run(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.patch(command, "TIMEOUT", 0.1)
            address = silent.getsockname()
            failed = self.assertRaises(NotRunning, ask_service, address, "", "d1")
        self.assertIn("The service hangs", command.not_running(failed, [], "en", as_json=False))
        self.assertIn("服务卡住", command.not_running(failed, [], "zh", as_json=False))
        found = answer(replace(PLAIN, started_at=None, no_service=failed.args[0]))
        self.assertIn("the service does not answer (http://127", str(found.sentence))
        self.assertIn("服务没有应答", found.sentence.chinese)
        gone = self.assertRaises(NotRunning, ask_service, address, "", "d1")
        self.assertIn("The service does not run", command.not_running(gone, [], "en", as_json=False))

    def test_each_kind_has_its_line_once_somebody_has_asked(self) -> None:
        before = [str(line) for line in lines(replace(PLAIN, noted_since=NOW - 30))]
        self.assertIn("kinds     — (noted since this was first asked, 15:59:30, 30 s ago: ask again)", before)
        noted = {"data": Noted(NOW - 4, 0, is_written=True), "heartbeat": Noted(NOW - 2, 1, is_written=False)}
        after = [line.chinese for line in lines(replace(PLAIN, noted_since=NOW - 30, kinds=noted))]
        self.assertIn("data      15:59:56（4 秒前），QoS 0，已写入", after)
        self.assertIn("heartbeat 15:59:58（2 秒前），QoS 1，尚未写入", after)
        told = as_json(replace(PLAIN, kinds=noted))["kinds"]
        self.assertEqual(told["data"], {"time": NOW - 4, "qos": 0, "written": True})

    def found(self, **changes: object) -> Answer:
        return answer(replace(PLAIN, **changes))  # type: ignore[arg-type]

    def test_each_situation_has_its_sentence(self) -> None:
        outage = Trouble("2003 refused", 720.0)
        offline_word = replace(OFFLINE, says_offline=True, last_heartbeat=NOW - 60)
        for changes, situation, chinese in (
            ({"heard_at": NOW - 4}, Situation.FINE, "sensor-7 在线：4 秒前收到消息，已写入数据库。"),
            ({}, Situation.FINE, "sensor-7 在线：表中最后出现 4 秒前（"),
            ({"waiting": Waiting(NOW - 4, True), "database": outage}, Situation.WAITING, "已存本机，不会丢失"),
            ({"row": None, "no_answer": "2003", "waiting": Waiting(NOW - 4, True)}, Situation.WAITING, "不会丢失"),
            ({"row": OFFLINE, "is_set_offline": True}, Situation.SILENT, "这期间本服务一直在收听"),
            ({"row": OFFLINE}, Situation.SILENT, "不得而知"),
            ({"row": offline_word, "heard_at": NOW - 4}, Situation.OWN_WORD, "它自己（或遗嘱）报告了 offline"),
            ({"row": OFFLINE, "heard_at": NOW - 4}, Situation.SET_BY_OTHERS, "有别的程序在改 is_online"),
            (
                {"row": replace(ONLINE, last_seen=NOW - 360), "listened": 120.0, "is_listening": True},
                Situation.NOT_JUDGED_YET,
                "sensor-7 显示在线，但 6 分没有消息：其中 4 分本服务没有在收听，还要收听 3 分才会判离线。",
            ),
            ({"heard_at": NOW - 4, "refusal": REFUSAL}, Situation.REFUSED, "被拒绝"),
            ({"heard_at": NOW - 1, "refusal": REFUSAL}, Situation.FINE, "1 秒前收到消息"),
            ({"row": None, "knocks": Knocks(20, NOW - 600, NOW)}, Situation.KNOCKING, "10 分内 20 条"),
            ({"row": None, "similar": ("Sensor-7x",)}, Situation.NO_ROW, "相近的：Sensor-7x。"),
            ({"row": Row("sensor-7", False)}, Situation.NEVER, "sensor-7 从未出现：last_seen 为空"),
            ({"row": None, "is_possible": False}, Situation.IMPOSSIBLE, "不可能是设备"),
            ({"started_at": None}, Situation.CANNOT_TELL, "无法回答：服务没有运行。表中最后出现 "),
            ({"row": None, "no_answer": "2003"}, Situation.CANNOT_TELL, "读不到表（2003）"),
        ):
            found = self.found(**changes)
            self.assertEqual(found.situation, situation, changes)
            self.assertIn(chinese, found.sentence.chinese)


class RememberedTests(SynchronousTestCase):
    def test_what_was_heard_of_longest_ago_is_forgotten_first(self) -> None:
        remembered = Remembered(max_devices=3)
        for number in range(5):
            remembered.refused(f"d{number}", REFUSAL)
            remembered.knocked(f"s{number}", 1, 1000.0 + number)
        self.assertEqual([remembered.refusal(f"d{number}") is None for number in range(5)], [True] * 2 + [False] * 3)
        self.assertEqual(remembered.newest_strangers(2, 1005.0), ["s4", "s3"])
        self.assertEqual(remembered.strangers(1005.0), 3)
        remembered.knocked("s2", 2, 1500.0)
        self.assertEqual(remembered.knocks("s2", 1500.0), Knocks(3, 1002.0, 1500.0))
        self.assertEqual(remembered.strangers(1604.0), 2)
        self.assertIs(remembered.knocks("s3", 1604.0), None)
        remembered.knocked("x" * 100_000, 1, 1604.0)
        self.assertLess(len(remembered.newest_strangers(1, 1604.0)[0]), 200)
        self.assertEqual(remembered.strangers(9999.0), 0)
