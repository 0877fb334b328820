"""Taking over from another service that writes the same table: nothing is lost, and no row moves back unnoticed."""

from __future__ import annotations

import json
import signal
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from rig import load, servers
from rig.programs import FOREGROUND, LINE_TIMEOUT, STARTED, Program, settings_for
from rig.servers import Mosquitto

AIOT_MQTT = [sys.executable, "-m", "aiot_mqtt"]
DEVICES = 200
ROUNDS = 13  # 2,600 messages: more than the 1,000 that a broker keeps by default
BACK_IN_TABLE = "✅ 数据库已连接"
WARNED = "aiot-mqtt forget-session"


class ReplacingTests(SynchronousTestCase):
    """The other service is one of ours under another name: what it does to the table is what matters."""

    def setUp(self) -> None:
        self.database = servers.shared_database("mariadb")
        self.database.add_devices(f"d{number}" for number in range(DEVICES))
        self.broker = Mosquitto()  # whose queue has its default length
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.sent = 0
        self.other = self.run_service(MQTT_CLIENT_ID="other", SPOOL_FILE="")
        self.other.wait_for_each(STARTED, BACK_IN_TABLE)

    def run_service(self, argv: list[str] = FOREGROUND, **settings: str) -> Program:
        """In a folder of its own, unless SPOOL_FILE says otherwise."""
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        program = Program(argv, {**settings_for(self.broker, self.database), **settings}, folder=folder)
        self.addCleanup(program.close)
        return program

    def publish(self, rounds: int = ROUNDS) -> None:
        """Return once the table holds it: a service that is stopped leaves in its session what it has not received."""
        for _ in range(rounds):
            self.sent += 1
            messages = ((f"devices/d{number}/data", f'{{"n": {self.sent}}}') for number in range(DEVICES))
            load.publish(self.broker.port, messages)
        deadline = time.monotonic() + LINE_TIMEOUT
        while self.stale():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def stop(self, program: Program, number: int = signal.SIGTERM) -> str:
        program.process.send_signal(number)
        program.wait()
        return "\n".join(program.lines)

    def stale(self) -> int:
        """Rows that do not hold what was published last."""
        rows = self.database.query("SELECT last_report_data FROM device_main")
        return sum(json.loads(document or "{}").get("n") != self.sent for (document,) in rows)

    def test_after_a_trial_the_start_moves_no_row_back(self) -> None:
        trial = self.run_service([*AIOT_MQTT, "--try"])
        trial.wait_for("👀 试运行", STARTED)
        self.publish(1)
        said = self.stop(trial, signal.SIGINT)
        self.assertNotIn("SPOOL_FILE", said)
        self.publish()
        service = self.run_service()
        service.wait_for_each(STARTED, BACK_IN_TABLE)
        self.stop(self.other)
        self.assertNotIn(WARNED, self.stop(service))
        self.assertEqual(self.stale(), 0)

    def test_a_session_that_was_left_alone_is_told_of_and_can_be_forgotten(self) -> None:
        self.stop(self.run_until_started())
        self.publish()
        # What it takes to be wrong, and the warning about it.
        service = self.run_until_started()
        [warned] = [line for line in service.lines if WARNED in line]
        self.assertIn("[WARNING]", warned)
        self.stop(self.other)
        deadline = time.monotonic() + LINE_TIMEOUT
        while self.stale() != DEVICES and time.monotonic() < deadline:
            time.sleep(0.05)
        self.stop(service)
        self.assertEqual(self.stale(), DEVICES)
        # The way out.
        self.other = self.run_service(MQTT_CLIENT_ID="other", SPOOL_FILE="")
        self.other.wait_for_each(STARTED, BACK_IN_TABLE)
        self.publish()
        forgetting = self.run_service([*AIOT_MQTT, "forget-session"], LOG_LANGUAGE="en")
        self.assertEqual(forgetting.wait(), 0)
        self.assertIn("has forgotten the session of service, and whatever waited in it", forgetting.lines[-1])
        service = self.run_until_started()
        self.stop(self.other)
        self.assertNotIn(WARNED, self.stop(service))
        self.assertEqual(self.stale(), 0)

    def run_until_started(self) -> Program:
        service = self.run_service()
        service.wait_for_each(STARTED, BACK_IN_TABLE)
        return service

    def test_started_before_the_other_is_stopped_nothing_is_lost(self) -> None:
        self.publish(1)
        service = self.run_until_started()
        self.publish(2)
        self.stop(self.other)
        self.publish(2)
        said = self.stop(service)
        self.assertEqual(self.stale(), 0)
        self.assertNotIn("[WARNING]", said)

    def test_the_session_of_mqtt_311_is_forgotten_too(self) -> None:
        first = self.run_service(MQTT_PROTOCOL="3.1.1")
        first.wait_for(STARTED)
        self.stop(first)
        self.publish(1)
        self.assertEqual(self.run_service([*AIOT_MQTT, "forget-session"], MQTT_PROTOCOL="3.1.1").wait(), 0)
        again = self.run_service(MQTT_PROTOCOL="3.1.1", LOG_LEVEL="DEBUG")
        again.wait_for(STARTED)
        said = self.stop(again)
        self.assertNotIn(WARNED, said)
        self.assertNotIn("📨", said)
