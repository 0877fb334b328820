"""What the service says of itself while real servers come and go."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from rig import load, servers
from rig.programs import FOREGROUND, LINE_TIMEOUT, Program, environment, settings_for
from rig.servers import MariaDB, Mosquitto, free_port
from rig.stage import answered

AIOT_MQTT = [sys.executable, "-m", "aiot_mqtt"]
PROCESS_FIGURES = {"process_cpu_seconds", "process_open_fds", "process_resident_memory_bytes"}
UUIDS = [f"d{number}" for number in range(20)]


class HealthCase(SynchronousTestCase):
    """A service that can be asked, and real servers."""

    def setUp(self) -> None:
        self.database = MariaDB()
        self.addCleanup(self.database.close)
        self.database.start()
        self.database.create_device_table()
        self.database.grant()
        self.database.add_devices(UUIDS)
        self.broker = Mosquitto()
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.port = free_port()
        self.settings = {
            **settings_for(self.broker, self.database),
            "HTTP_LISTEN": f"tcp:{self.port}:interface=127.0.0.1",
            "LOG_LANGUAGE": "en",
        }

    def run_service(self, **settings: str) -> Program:
        program = Program(FOREGROUND, {**self.settings, **settings}, folder=self.folder)
        self.addCleanup(program.close)
        return program

    def ask(self, path: str, host: str | None = None) -> tuple[int, str]:
        return answered(self.port, path, {"Host": host} if host else {})

    def until(self, state: str) -> dict[str, Any]:
        """Ask until the service is in this state; that its code is right is looked at each time."""
        deadline = time.monotonic() + LINE_TIMEOUT
        while True:
            code, text = self.ask("/readyz")
            answer: dict[str, Any] = json.loads(text)
            self.assertEqual(code, 503 if answer["state"] == "fault" else 200, text)
            self.assertEqual(answer["ready"], code == 200)
            if answer["state"] == state:
                return answer
            self.assertLess(time.monotonic(), deadline, text)
            time.sleep(0.05)

    def scrape(self) -> dict[str, float]:
        """Sums over the labels, by name; whether the sum of promise 8 holds in it was looked at."""
        code, text = self.ask("/metrics")
        self.assertEqual(code, 200)
        self.assertFalse([uuid for uuid in UUIDS if f'"{uuid}"' in text])
        families = list(text_string_to_metric_families(text))
        sums = {family.name: sum(sample.value for sample in family.samples) for family in families}
        came = sums["aiot_mqtt_messages_received"] + sums["aiot_mqtt_messages_recovered"]
        became = sums["aiot_mqtt_messages_settled"] + sums["aiot_mqtt_messages_pending"]
        self.assertEqual(came, became, text)
        return sums

    def publish(self, number: int) -> None:
        load.publish(self.broker.port, ((f"devices/{uuid}/data", f'{{"n": {number}}}') for uuid in UUIDS))

    def command(self, *arguments: str) -> tuple[int, str]:
        argv, env = [*AIOT_MQTT, *arguments], environment(self.settings)
        done = subprocess.run(argv, env=env, cwd=self.folder, stdout=subprocess.PIPE, timeout=LINE_TIMEOUT, check=False)
        return done.returncode, done.stdout.decode()


class HealthTests(HealthCase):
    def test_each_state_is_told_and_each_scrape_adds_up(self) -> None:
        service = self.run_service()
        service.wait_for("/readyz")
        self.until("ok")
        before = self.scrape()
        self.assertEqual(before["aiot_mqtt_state"], 1)
        self.assertTrue(before.keys() >= PROCESS_FIGURES)
        for number in range(20):
            self.publish(number)
            self.scrape()
        deadline = time.monotonic() + LINE_TIMEOUT  # what is found out in the background comes with a later scrape
        while (known := self.scrape())["aiot_mqtt_devices"] != len(UUIDS):
            self.assertLess(time.monotonic(), deadline)
        self.assertGreater(known["aiot_mqtt_spool_free_bytes"], 0)
        self.assertGreater(known["aiot_mqtt_last_commit_timestamp_seconds"], known["aiot_mqtt_start_time_seconds"])
        self.assertEqual(known["aiot_mqtt_broker_connections"], 1)
        load.publish(self.broker.port, [("devices/nobody/data", "{}"), ("devices/d1/data", "{")])
        code, text = self.command("status")
        self.assertEqual(code, 0, text)
        self.assertIn("✅ OK: All is well", text)
        self.assertIn("1 uuids in 10 min that no row has (nobody)", text)
        self.assertIn("refused 2 + ", text)
        self.assertNotIn("N/A", text)
        code, text = self.ask("/status")
        self.assertEqual((code, json.loads(text)["newest_unknown_uuids"]), (200, ["nobody"]))
        self.assertNotIn("nobody", self.ask("/readyz")[1])
        service.wait_for("nobody")
        self.assertEqual([line for line in service.lines if "GET /" in line], [])
        # The database goes.
        self.database.stop()
        self.publish(100)
        protected = self.until("protected")
        self.assertIn("nothing is lost", protected["sentence"]["en"])
        self.assertIn("未丢失", protected["sentence"]["zh"])
        self.assertEqual([each["id"] for each in protected["conditions"] if not each["ok"]], ["database"])
        for number in range(101, 110):
            self.publish(number)
            self.assertEqual(self.scrape()["aiot_mqtt_progress"], 1)
        self.assertEqual(self.ask("/healthz"), (200, "ok\n"))
        deadline = time.monotonic() + LINE_TIMEOUT
        while self.scrape()["aiot_mqtt_spool_devices"] < len(UUIDS):
            self.assertLess(time.monotonic(), deadline)
        deadline = time.monotonic() + LINE_TIMEOUT
        while "suffices for all 20 devices, however long" not in (text := self.command("status")[1]).splitlines()[0]:
            self.assertLess(time.monotonic(), deadline, text)
        self.assertIn(" · the disk suffices for all 20 devices", text)
        code, text = self.command("status", "--json")
        self.assertEqual((code, json.loads(text)["state"]), (0, "protected"))
        self.assertTrue(json.loads(text)["outlook"]["suffices"])
        self.assertTrue(json.loads(self.ask("/readyz")[1])["outlook"]["suffices"])
        # A process that is killed finds what it had kept.
        service.process.kill()
        service.process.wait()
        self.assertEqual(self.command("health")[0], 1)
        code, text = self.command("status")
        self.assertEqual(code, 2)
        self.assertIn("does not run", text)
        self.assertIn("nobody listens there", text)
        self.assertIn("the table cannot be read", text)
        self.assertIn("see aiot-mqtt spool", text)
        # The broker goes, too.
        self.database.start()
        self.broker.stop()
        self.run_service()
        deadline = time.monotonic() + LINE_TIMEOUT
        while self.command("health")[0]:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.command("status")[0], 2)
        broker = self.until("fault")["conditions"][0]
        self.assertEqual((broker["id"], broker["ok"]), ("broker", False))
        self.broker.start()
        self.until("ok")
        last = self.scrape()
        self.assertGreaterEqual(last["aiot_mqtt_messages_recovered"], len(UUIDS))
        self.assertGreater(last["aiot_mqtt_broker_failures"], 0)
        self.assertEqual(last["aiot_mqtt_internal_errors"], 0)

    def test_whoever_watches_sees_who_changed_last(self) -> None:
        self.run_service(HEARTBEAT_TIMEOUT="2", HEARTBEAT_CHECK_INTERVAL="1").wait_for("/readyz")
        self.until("ok")
        load.publish(self.broker.port, [("devices/d1/status", "offline"), ("devices/d2/heartbeat", "")])
        self.until_changes(("d2", False, False), ("d1", False, True))
        load.publish(self.broker.port, [("devices/d2/heartbeat", "")])
        self.until_changes(("d2", True, False), ("d2", False, False), ("d1", False, True))
        self.assertNotIn("is online again", self.command("status")[1])
        terminal, other_end = pty.openpty()
        self.addCleanup(os.close, terminal)
        argv, env = [*AIOT_MQTT, "status", "--watch"], environment(self.settings)
        watching = subprocess.Popen(argv, env=env, cwd=self.folder, stdout=other_end, stdin=subprocess.DEVNULL)
        os.close(other_end)
        try:
            told = ""
            while "d1 said that it is offline, or its will did" not in told:
                self.assertTrue(select.select([terminal], [], [], LINE_TIMEOUT)[0], told)
                told += os.read(terminal, 65536).decode("utf-8", "replace")
        finally:
            watching.send_signal(signal.SIGINT)
            watching.wait()
        self.assertIn("d2 is online again", told)

    def until_changes(self, *wanted: tuple[str, bool, bool]) -> None:
        """Ask until the newest changes are at least these: uuid, online, by its own word."""
        deadline = time.monotonic() + LINE_TIMEOUT
        while True:
            told = json.loads(self.ask("/status")[1])["newest_changes"]
            if {(each["uuid"], each["online"], each["own_word"]) for each in told} >= {*wanted}:
                return
            self.assertLess(time.monotonic(), deadline, told)
            time.sleep(0.05)

    def test_a_port_that_is_taken_is_told_and_stops_nothing(self) -> None:
        self.run_service().wait_for("/readyz")
        second = self.run_service(MQTT_CLIENT_ID="second", SPOOL_FILE="")
        second.wait_for_each("[ERROR] ❌ HTTP_LISTEN: cannot listen", "🚀")
        second.stop()

    def test_nobody_asks_under_a_name_that_is_not_this_hosts(self) -> None:
        self.run_service().wait_for("/readyz")
        for host, code in (
            ("evil.example", 400),
            (f"evil.example:{self.port}", 400),
            (f"localhost:{self.port}", 200),
            ("10.1.2.3", 200),
        ):
            self.assertEqual(self.ask("/healthz", host)[0], code, host)
        self.assertEqual(self.ask("/nowhere")[0], 404)
        self.assertEqual(self.ask("/healthz"), (200, "ok\n"))
