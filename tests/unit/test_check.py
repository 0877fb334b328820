"""What ``aiot-mqtt check`` makes of what it sees, as far as no server is needed for it."""

from __future__ import annotations

import pkgutil
import string
from datetime import datetime, timezone
from importlib import import_module
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.check import texts
from aiot_mqtt.check.capacity import binlog_a_day
from aiot_mqtt.check.database import Database
from aiot_mqtt.check.findings import Findings, Status
from aiot_mqtt.check.local import Service, _judge_service
from aiot_mqtt.check.report import Run, as_json, as_text, exit_code
from aiot_mqtt.check.rights import excessive, least_grant
from aiot_mqtt.check.server import _probe_commit
from aiot_mqtt.check.texts import Text, broker, database, local
from aiot_mqtt.check.words import with_advice
from aiot_mqtt.settings.settings import load_settings
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.tls import refusal
from aiot_mqtt.tls.refusal import Peer

SETTINGS = load_settings({"DB_USER": "aiot"}, "/dev/null")
KEY = ("id",)


class RightsTests(SynchronousTestCase):
    def test_what_is_needed_is_not_too_much(self) -> None:
        statement = least_grant(SETTINGS, "aiot@10.0.0.%", KEY)
        self.assertEqual(list(excessive(["GRANT USAGE ON *.* TO `aiot`@`%`", statement], SETTINGS, KEY)), [])
        self.assertIn("TO 'aiot'@'10.0.0.%';", statement)
        self.assertIn("TO 'aiot'@'localhost';", least_grant(SETTINGS, "root@localhost", KEY))
        self.assertIn("TO 'o''x'@'%';", least_grant(SETTINGS, "o'x@%", KEY))

    def test_what_is(self) -> None:
        for grant, excess in (
            ("GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION", "ALL PRIVILEGES ON *.*"),
            (
                "GRANT SELECT, UPDATE ON `aiot_admin`.`device_main` TO `a`@`%`",
                "SELECT, UPDATE ON aiot_admin.device_main",
            ),
            ("GRANT SELECT ON `aiot_admin`.* TO `a`@`%`", "SELECT ON aiot_admin.*"),
            (
                "GRANT SELECT (`uuid`, `device_secret`), INSERT (`uuid`), DELETE ON `aiot_admin`.`device_main` TO `a`",
                "SELECT (device_secret), INSERT (uuid), DELETE ON aiot_admin.device_main",
            ),
            ("GRANT CREATE TEMPORARY TABLES ON `x`.* TO `a`@`%`", "CREATE TEMPORARY TABLES ON x.*"),
            ("GRANT SELECT (`uuid`) ON `aiot_admin`.`other` TO `a`@`%`", "SELECT (uuid) ON aiot_admin.other"),
        ):
            self.assertEqual(list(excessive([grant], SETTINGS, KEY)), [excess])
        self.assertEqual(list(excessive(["GRANT `role` TO `a`@`%`"], SETTINGS, KEY)), [])


class WordsTests(SynchronousTestCase):
    def test_every_text_is_there_in_both_languages_with_the_same_values(self) -> None:
        modules = [import_module(f"{texts.__name__}.{each.name}") for each in pkgutil.iter_modules(texts.__path__)]
        found = [value for module in modules for value in vars(module).values() if isinstance(value, Text)]
        self.assertGreater(len(found), 100)
        for text in found:
            english, chinese = self.names(text.english, text.remedy), self.names(text.chinese, text.remedy_chinese)
            # Of a value that says the same in other words, one language may do without.
            self.assertEqual(english - {"count"}, chinese - {"count"}, text)
            self.assertEqual(bool(text.remedy), bool(text.remedy_chinese), text)
            self.assertTrue((text.english + text.remedy).isascii() or "·" in text.english or "…" in text.english, text)

    def names(self, *texts_: str) -> set[str]:
        return {name for text in texts_ for _, name, _, _ in string.Formatter().parse(text) if name}

    def test_what_is_to_be_done_stands_apart(self) -> None:
        peer = Peer("the broker", "Broker", "MQTT", "MQTT_BROKER", "b.test")
        for refused in (refusal.failed(peer, None), refusal.none_offered(peer), refusal.failed(peer, ["no cipher"])):
            sentence = str(refused)
            assert isinstance(sentence, Bilingual)
            message, advice = with_advice(sentence)
            self.assertNotIn("What to do", message + advice)
            self.assertEqual(f"{message.chinese}。{advice.chinese}", sentence.chinese)
        message, advice = with_advice("no advice")
        self.assertEqual((message, bool(advice)), ("no advice", True))


class ReportTests(SynchronousTestCase):
    def run_of(self, findings: Findings, **changed: Any) -> Run:
        values: dict[str, Any] = {
            "version": "1.2.3", "file": "/opt/.env", "user": "aiot-mqtt", "language": "en",
            "time": datetime(2026, 11, 27, tzinfo=timezone.utc), "seconds": 1.0,
        }  # fmt: skip
        return Run(findings.complete(), **{**values, **changed})

    def test_a_cause_is_an_error_and_the_rest_is_skipped(self) -> None:
        findings = Findings()
        findings.ok("local.files", local.FILES, user="u")
        findings.error("local.settings", local.SETTINGS_MISTAKE, mistake="no such thing")
        findings.error("local.settings", local.SETTINGS_MISTAKE, mistake="nor that")
        run = self.run_of(findings)
        skipped = {each.because for each in run.findings if each.status is Status.SKIPPED}
        self.assertEqual((skipped, exit_code(run)), ({"local.settings"}, 2))
        self.assertEqual(as_json(run, 2)["first"], "local.settings")
        text = as_text(run, 2)
        self.assertIn("Database  ⚪ not checked (needs: This host: settings): connection, TLS, ", text)
        self.assertIn("Result: 2 error(s), 0 warning(s). First: This host: settings. (exit code 2)", text)

    def test_an_error_comes_before_a_warning_that_stands_before_it(self) -> None:
        findings = Findings()
        findings.warning("local.spool", local.SPOOL_OFF)
        findings.error("database.login", database.ACCESS_DENIED, code=1045, user="u", address="a")
        run = self.run_of(findings)
        self.assertEqual(run.first and run.first.probe.id, "database.login")
        self.assertEqual(exit_code(run, errors_only=True), 2)

    def test_what_cannot_be_seen_is_not_well(self) -> None:
        findings = Findings()
        run = self.run_of(findings)
        self.assertNotIn(Status.OK, {each.status for each in run.findings})
        self.assertEqual((exit_code(run), as_json(run, 0)["summary"]["ok"]), (0, 0))
        self.assertIn("cannot be seen from here", as_text(run, 0))

    def test_a_cause_in_a_group_that_was_not_asked_for_is_told(self) -> None:
        findings = Findings()
        findings.error("broker.reach", broker.REFUSED, host="h", port=1)
        found = findings.complete(["devices"])
        self.assertEqual(found[0].probe.id, "broker.reach")
        self.assertEqual({each.probe.group for each in found[1:]}, {"devices"})

    def test_a_chinese_character_is_two_columns_wide(self) -> None:
        findings = Findings()
        findings.ok("database.login", database.LOGIN, host="h", port=1, account="a", version="v")
        text = as_text(self.run_of(findings, language="zh"), 0)
        self.assertIn("\n数据库    ✅ 已登录 h:1", text)


class GaleraTests(SynchronousTestCase):
    """What the nodes of a real cluster say stands in the tests with servers; here what else they could."""

    def test_a_commit_is_on_the_other_nodes_where_there_are_some(self) -> None:
        for values, status, words in (
            ({"innodb_flush_log_at_trx_commit": 2, "wsrep_on": 1, "size": 3}, Status.OK, "every node"),
            ({"innodb_flush_log_at_trx_commit": 0, "wsrep_on": "ON", "size": 2}, Status.OK, "every node"),
            ({"innodb_flush_log_at_trx_commit": 2, "wsrep_on": 1, "size": 1}, Status.WARNING, "a power cut"),
            ({"innodb_flush_log_at_trx_commit": 2, "wsrep_on": 0}, Status.WARNING, "a power cut"),
            ({"innodb_flush_log_at_trx_commit": 1, "sync_binlog": 0, "log_bin": 1}, Status.WARNING, "binary log"),
            ({"innodb_flush_log_at_trx_commit": 1, "sync_binlog": 0, "log_bin": 0}, Status.OK, "is on disk"),
            ({}, Status.UNKNOWN, "cannot be seen"),
        ):
            findings, server = Findings(), Database(None)  # type: ignore[arg-type]
            self.patch(Database, "variable", lambda _self, name, values=values: values.get(name))
            size = values.get("size")
            self.patch(Database, "rows", lambda _self, _sql, size=size: [("wsrep_cluster_size", size)] * bool(size))
            _probe_commit(server, findings)
            (found,) = [each for each in findings.complete() if each.probe.id == "database.commit"]
            self.assertEqual(found.status, status, found)
            self.assertIn(words, found.message)


class ServiceTests(SynchronousTestCase):
    def judged(self, state: str, **met: bool) -> Status:
        findings = Findings()
        service = {
            "state": state,
            "sentence": {"en": "so", "zh": "如此"},
            "conditions": [{"id": name, "ok": is_met} for name, is_met in met.items()],
        }
        _judge_service(Service.read(service), "1", findings)
        (found,) = [each for each in findings.complete(["local"]) if each.probe.id == "local.service"]
        return found.status

    def test_a_fault_whose_cause_is_looked_at_elsewhere_is_no_error_of_its_own(self) -> None:
        self.assertEqual(self.judged("fault", broker=True, progress=False, database=True), Status.ERROR)
        self.assertEqual(self.judged("fault", broker=False, progress=True, database=True), Status.WARNING)
        self.assertEqual(self.judged("protected", broker=True, progress=True, database=False), Status.OK)
        self.assertEqual(self.judged("look", broker=True), Status.WARNING)

    def test_binary_log_a_day(self) -> None:
        self.assertAlmostEqual(binlog_a_day(333, 400, is_minimal=False), 24.1, 1)  # 5,000 devices every 15 s
        self.assertLess(binlog_a_day(333, 400, is_minimal=True), 12)
