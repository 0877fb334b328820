"""Alert rules and dashboard: judged by promtool, each alert by what fires it and by what must not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.catalogue import HISTOGRAM, METRICS
from rig import servers
from rig.monitoring import run_tool

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "aiot-mqtt.rules.yml"
INHIBIT = ROOT / "deploy" / "prometheus" / "alertmanager.example.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "aiot-mqtt.json"
LANGUAGES = ("docs/operations.md", "docs/operations.zh-CN.md")
METRIC = re.compile(r"\baiot_mqtt_\w+")

Series = dict[str, str]
"""Values of a metric, a minute apart, as promtool writes them: without its prefix, with labels."""

# For each alert what fires it, and what of the same figures does not.
CASES: dict[str, tuple[Series, Series]] = {
    "Down": ({"up": "0x60"}, {"up": "1x30 0 1x30"}),
    "NoProgress": ({"progress": "0x60"}, {"progress": "1x60"}),
    "NotSubscribed": (
        {"subscribed": "1x50 0x10", 'ha_role{role="standby"}': "0x60"},
        {"subscribed": "0x57 1 0x5", 'ha_role{role="standby"}': "1x57 0 1x5"},
    ),
    "NobodyActive": (
        {'ha_role{role="active"}': "1x50 0x10", 'ha_role{role="standby"}': "0x50 1x10"},
        {'ha_role{role="active"}': "1x57 0 1x5", 'ha_role{role="standby"}': "0x57 1 0x5"},
    ),
    "Stuck": ({"oldest_unacknowledged_seconds": "0+30x60"}, {"oldest_unacknowledged_seconds": "30x60"}),
    "NothingSafe": (
        {"database_up": "0x60", "spool_enabled": "1x60", "spool_up": "0x60"},
        {"database_up": "0x60", "spool_enabled": "1x60", "spool_up": "1x60"},
    ),
    "SpoolFillsUp": (
        {"spool_devices": "9x60", "spool_free_bytes": "6000-90x60", "spool_bytes": "1x60", "spool_limit_bytes": "9x60"},
        {"spool_devices": "9x60", "spool_free_bytes": "6000-1x60", "spool_bytes": "1x60", "spool_limit_bytes": "9x60"},
    ),
    "TwoInstances": (
        {'broker_failures_total{reason="closed"}': "0+1x60"},
        {'broker_failures_total{reason="closed"}': "0x50 1 1x10", 'broker_failures_total{reason="connect"}': "0+1x60"},
    ),
    "MassOffline": (
        {"went_silent_total": "0x55 30 60x10", 'devices{state="online"}': "100x60"},
        {"went_silent_total": "0x55 30 60x10", 'devices{state="online"}': "1000x60"},
    ),
    "DatabaseDown": ({"database_up": "0x60", "spool_up": "1x60"}, {"database_up": "1x55 0x5", "spool_up": "1x60"}),
    "SpoolNotDraining": (
        {"database_up": "1x60", "spool_devices": "100x60"},
        {"database_up": "1x60", "spool_devices": "100-1x60"},
    ),
    "NoMessages": (
        {'messages_received_total{qos="0"}': "7x60", 'messages_received_total{qos="1"}': "7x60", "subscribed": "1x60"},
        {
            'messages_received_total{qos="0"}': "7x60",
            'messages_received_total{qos="1"}': "7x40 8x20",
            "subscribed": "1x60",
        },
    ),
    "PresencePaused": (
        {"listened_seconds_total": "0+20x60", "subscribed": "1x60"},
        {"listened_seconds_total": "0+50x60", "subscribed": "1x60"},
    ),
    "BrokerDrops": ({"broker_dropped_messages": "5x55 6x5"}, {"broker_dropped_messages": "5x60"}),
    "SessionLost": ({"sessions_lost_total": "0x40 1x20"}, {"sessions_lost_total": "1x60"}),
    "QoS0Dropped": (
        {'messages_settled_total{outcome="dropped"}': "0x55 3x5"},
        {'messages_settled_total{outcome="dropped"}': "0x9 3x50", 'messages_settled_total{outcome="stored"}': "0+9x60"},
    ),
    "ManyRefused": (
        {'messages_refused_total{reason="bad_json"}': "0+6x60", "messages_received_total": "0+100x60"},
        {
            'messages_refused_total{reason="bad_json"}': "0+4x60",
            'messages_refused_total{reason="unknown_device"}': "0+50x60",
            "messages_received_total": "0+100x60",
        },
    ),
    "UnknownDevices": (
        {"unknown_uuids": "3x100"},
        {"unknown_uuids": "3x80 0x100"},
    ),
    "SlowCommits": (
        {'commit_duration_seconds_bucket{le="2"}': "0x60", 'commit_duration_seconds_bucket{le="+Inf"}': "0+9x60",
         'commit_duration_seconds_bucket{le="5"}': "0+9x60"},
        {'commit_duration_seconds_bucket{le="2"}': "0+9x60", 'commit_duration_seconds_bucket{le="+Inf"}': "0+9x60",
         'commit_duration_seconds_bucket{le="5"}': "0+9x60"},
    ),
    "WindowNearlyFull": (
        {"unacknowledged_peak": "60000x60", "receive_window": "65535x60"},
        {"unacknowledged_peak": "20x60", "receive_window": "20x60"},
    ),
    "CertificateExpires": (
        {'certificate_expiry_timestamp_seconds{peer="broker"}': "1000000x100"},
        {'certificate_expiry_timestamp_seconds{peer="broker"}': "9000000x100",
         'certificate_expiry_timestamp_seconds{peer="client"}': " ".join(["NaN"] * 100)},
    ),
    "InternalError": (
        {'internal_errors_total{where="write"}': "0x40 1x20"},
        {'internal_errors_total{where="write"}': "1x60"},
    ),
    "Restarts": (
        {"start_time_seconds": "0x30 1x5 2x5 3x5 4x5 4x10"},
        {"start_time_seconds": "0x30 1x10 2x20"},
    ),
}  # fmt: skip


def series_of(values: Series) -> list[dict[str, str]]:
    found = []
    for name, each in values.items():
        metric, _, labels = name.partition("{")
        labels = ", ".join(filter(None, (labels.removesuffix("}"), 'job="aiot-mqtt", instance="gw:9464"')))
        prefix = "" if metric == "up" else "aiot_mqtt_"
        found.append({"series": f"{prefix}{metric}{{{labels}}}", "values": each})
    return found


def scraped_names() -> set[str]:
    names = set()
    for each in METRICS.values():
        ends = ("_bucket", "_sum", "_count") if each.sort == HISTOGRAM else ("",)
        names |= {each.full_name + end for end in ends}
    return names


def sections(document: str) -> set[str]:
    text = (ROOT / document).read_text("utf-8")
    return {heading.lower() for heading in re.findall(r"^#+ (\w+)$", text, re.MULTILINE)}


class AlertRuleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = RULES.read_text("utf-8")
        self.alerts = re.findall(r"- alert: (\w+)", self.text)
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)

    def promtool(self, *arguments: str) -> str:
        code, said = run_tool("promtool", arguments)
        self.assertEqual(code, 0, said)
        return said

    def test_promtool_takes_the_rules(self) -> None:
        self.assertIn(f"{len(self.alerts)} rules found", self.promtool("check", "rules", str(RULES)))

    def test_each_alert_fires_and_does_not(self) -> None:
        self.assertEqual(set(self.alerts), set(CASES))
        tests: list[dict[str, Any]] = []
        for alert, (firing, quiet) in CASES.items():
            for values, expected in ((firing, 1), (quiet, 0)):
                fires = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
                test = {"expr": fires, "eval_time": "1h", "exp_samples": [{"labels": "{}", "value": expected}]}
                if alert in ("UnknownDevices", "CertificateExpires"):
                    test["eval_time"] = "95m"
                tests.append({"interval": "1m", "input_series": series_of(values), "promql_expr_test": [test]})
        path = self.folder / "tests.yml"
        path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
        self.promtool("test", "rules", str(path))

    def test_every_metric_that_is_named_is_there(self) -> None:
        for path in (RULES, DASHBOARD):
            self.assertEqual(set(METRIC.findall(path.read_text("utf-8"))) - scraped_names(), set(), path)

    def test_each_alert_has_its_words_and_its_section_in_both_languages(self) -> None:
        told = {document: sections(document) for document in LANGUAGES}
        for part in self.text.split("- alert: ")[1:]:
            alert = part.split()[0]
            for name in ("summary", "summary_zh", "description", "description_zh"):
                self.assertRegex(part, rf'(?m)^ +{name}: ".+"$', alert)
            for document in LANGUAGES:
                self.assertIn(f'"{document}#{alert.lower()}"', part)
                self.assertIn(alert.lower(), told[document], document)

    def test_alertmanager_takes_the_example(self) -> None:
        code, said = run_tool("amtool", ["check-config", str(INHIBIT)])
        self.assertEqual(code, 0, said)
        named = set(re.findall(r"alertname ?=~? ?\"?([A-Za-z0-9|]+)", INHIBIT.read_text("utf-8")))
        self.assertEqual({name for each in named for name in each.split("|")} - set(self.alerts), set())

    def test_promtool_takes_every_expression_of_the_dashboard(self) -> None:
        dashboard = json.loads(DASHBOARD.read_text("utf-8"))
        found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        self.assertGreater(len(found), 15)
        rules = [
            {"record": f"panel:{number}", "expr": re.sub(r"\$\w+", "5m", expression.replace("$instance", "gw:9464"))}
            for number, expression in enumerate(found)
        ]
        path = self.folder / "dashboard.yml"
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        self.promtool("check", "rules", str(path))
