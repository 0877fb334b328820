"""A real Prometheus scrapes a real service through real outages, and its alerts say what happens."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from rig import load, servers
from rig.monitoring import Prometheus
from rig.programs import FOREGROUND, LINE_TIMEOUT, Program, settings_for
from rig.selection import OTHER_WAYS, only_in_all
from rig.servers import MariaDB, Mosquitto, free_port
from tests.integration.test_alert_rules import DASHBOARD, RULES

UUIDS = [f"d{number}" for number in range(20)]
SOON = 0.2  # s


@only_in_all(OTHER_WAYS)
class PrometheusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.database, self.broker = MariaDB(), Mosquitto()
        for server in (self.database, self.broker):
            self.addCleanup(server.close)
            server.start()
        self.database.create_device_table()
        self.database.grant()
        self.database.add_devices(UUIDS)
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        port = free_port()
        settings = {
            **settings_for(self.broker, self.database),
            "HTTP_LISTEN": f"tcp:{port}:interface=127.0.0.1",
            "LOG_LANGUAGE": "en",
        }
        self.service = Program(FOREGROUND, settings, folder=self.folder)
        self.addCleanup(self.service.close)
        self.service.wait_for("🚀")
        rules = self.folder / "rules.yml"
        rules.write_text(re.sub(r"(?m)^( +for:) .*$", r"\1 0s", RULES.read_text("utf-8")), "utf-8")
        self.instance = f"127.0.0.1:{port}"
        self.prometheus = Prometheus(self.instance, [rules])
        self.addCleanup(self.prometheus.close)
        self.prometheus.start()
        self.is_over = threading.Event()
        self.publishing = threading.Thread(target=self.publish)
        self.publishing.start()
        self.addCleanup(self.publishing.join)
        self.addCleanup(self.is_over.set)

    def publish(self) -> None:
        while not self.is_over.wait(SOON):
            with contextlib.suppress(OSError):  # the broker is away
                load.publish(self.broker.port, ((f"devices/{uuid}/data", '{"n": 1}') for uuid in UUIDS))

    def until(self, expression: str) -> None:
        """Until an expression has a result."""
        deadline = time.monotonic() + LINE_TIMEOUT
        while not self.prometheus.query(expression):
            self.assertLess(time.monotonic(), deadline, expression)
            time.sleep(SOON)

    def until_firing(self, *alerts: str) -> None:
        """Until these of a few alerts fire, and the others of them do not."""
        names = {"DatabaseDown", "NothingSafe", "NotSubscribed", "Stuck", "NoProgress", "InternalError", "Down"}
        deadline = time.monotonic() + LINE_TIMEOUT
        while True:
            found = self.prometheus.query('ALERTS{alertstate="firing"}')
            firing = {each["metric"]["alertname"] for each in found} & names
            if firing == set(alerts):
                return
            self.assertLess(time.monotonic(), deadline, f"{firing} and not {alerts}")
            time.sleep(SOON)

    def test_outages_are_told_by_their_alerts_and_every_panel_shows_something(self) -> None:
        self.until('aiot_mqtt_state{state="ok"} == 1 and on () sum(aiot_mqtt_messages_received_total) > 100')
        self.until_firing()
        self.database.kill()
        self.until('aiot_mqtt_state{state="protected"} == 1')
        self.until_firing("DatabaseDown")
        self.database.start()
        self.until_firing()
        self.until('aiot_mqtt_state{state="ok"} == 1')
        self.broker.kill()
        self.until_firing("NotSubscribed")
        self.broker.start()
        self.until_firing()
        self.until('aiot_mqtt_state{state="ok"} == 1')
        # As it came to pass: what came is what became of it, at every scrape of all that time.
        balance = (
            "sum by (instance) (aiot_mqtt_messages_received_total) + on (instance) aiot_mqtt_messages_recovered_total"
            " - on (instance) sum by (instance) (aiot_mqtt_messages_settled_total)"
            " - on (instance) sum by (instance) (aiot_mqtt_messages_pending)"
        )
        (held,) = self.prometheus.query(f"max_over_time(abs({balance})[10m:1s])")
        self.assertEqual(held["value"][1], "0")
        (same,) = self.prometheus.query("changes(aiot_mqtt_start_time_seconds[10m])")
        self.assertEqual(same["value"][1], "0")
        dashboard = json.loads(DASHBOARD.read_text("utf-8"))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$instance", self.instance).replace("$__rate_interval", "1m")
                self.assertTrue(self.prometheus.query(expression), expression)
        self.service.stop()
        self.until_firing("Down")
