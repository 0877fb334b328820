"""What the owner's document says an operator does and sees, done and seen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from rig import servers
from rig.programs import FOREGROUND, LINE_TIMEOUT, START_LINES, STARTED, TWISTD, Program, settings_for
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import Mosquitto

if TYPE_CHECKING:
    Shared = SynchronousTestCase
else:
    Shared = object

SELECT = """
SELECT
    device_id,
    name,
    is_online,
    last_seen,
    JSON_PRETTY(last_report_data) as last_data
FROM device_main
WHERE device_id = 'test-device'
ORDER BY last_seen DESC
LIMIT 1;
"""


class SeedTests(Shared):
    broker_version: ClassVar[str]
    flavour: ClassVar[str]

    def setUp(self) -> None:
        self.database = servers.shared_database(self.flavour)
        self.database.add_device("test-device-uuid", device_id="test-device", name="Test")
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)

    def start_broker(self, *settings: str) -> Mosquitto:
        broker = Mosquitto(self.broker_version, settings=settings)
        self.addCleanup(broker.close)
        broker.start()
        return broker

    def run_service(self, broker: Mosquitto, argv: list[str] = FOREGROUND, **settings: str) -> Program:
        program = Program(argv, {**settings_for(broker, self.database), **settings}, folder=self.folder)
        self.addCleanup(program.close)
        return program

    def select(self) -> tuple[str, str, int, datetime, str]:
        ((device_id, name, is_online, last_seen, last_data),) = self.database.query(SELECT)
        return device_id, name, is_online, last_seen, last_data

    def wait_for_row(self, expected: object) -> None:
        deadline = time.monotonic() + LINE_TIMEOUT
        while json.loads(self.select()[4] or "null") != expected:
            if time.monotonic() > deadline:
                self.fail(f"the row is {self.select()}")
            time.sleep(0.01)

    def test_its_check_passes_and_its_lines_appear_in_order(self) -> None:
        broker = self.start_broker()
        service = self.run_service(broker)
        service.wait_for(f"🎉 MQTT连接成功 - Broker: {broker.host}:{broker.port}", *START_LINES)
        broker.pub("devices/test-device-uuid/data", '{"temperature": 25.5, "humidity": 60}')
        self.wait_for_row({"temperature": 25.5, "humidity": 60})
        device_id, name, is_online, last_seen, _ = self.select()
        self.assertEqual((device_id, name, is_online), ("test-device", "Test", 1))
        in_shanghai = datetime.now(timezone(timedelta(hours=8))).replace(tzinfo=None)
        self.assertTrue(in_shanghai - timedelta(seconds=60) < last_seen <= in_shanghai, last_seen)
        broker.pub("devices/no-such-device/data", "{}")
        service.wait_for("[WARNING] ⚠️ 设备不存在: no-such-device")
        self.assertEqual(service.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", "\n".join(service.lines))
        levels = {line.split("[")[1].split("]")[0] for line in service.lines if "] " in line}
        self.assertEqual(levels, {"INFO", "WARNING"})

    def test_a_broker_that_refuses_the_password_is_error_code_5_and_is_waited_for(self) -> None:
        passwords = self.folder / "passwords"
        broker = Mosquitto(self.broker_version, settings=["allow_anonymous false", f"password_file {passwords}"])
        self.addCleanup(broker.close)
        argv = [*broker.client_argv("mosquitto_passwd"), "-b", "-c", str(passwords), "service", "right"]
        subprocess.run(argv, check=True, capture_output=True)
        passwords.chmod(0o644)
        broker.start()
        settings = {"MQTT_USERNAME": "service", "MQTT_PASSWORD": "wrong-pass-word"}
        service = self.run_service(broker, FOREGROUND, **settings)
        line = service.wait_for("❌ MQTT连接失败，错误代码: 5")
        self.assertIn("[ERROR]", line)
        argv = [*argv[:-5], "-b", str(passwords), "service", settings["MQTT_PASSWORD"]]
        subprocess.run(argv, check=True, capture_output=True)
        os.kill(broker.pid, signal.SIGHUP)
        service.wait_for("🎉 MQTT连接成功", *START_LINES[:3], STARTED)
        service.stop()
        self.assertNotIn("wrong-pass-word", "\n".join(service.lines))

    def test_a_broker_that_is_down_at_start_and_goes_away_is_waited_for(self) -> None:
        broker = Mosquitto(self.broker_version)
        self.addCleanup(broker.close)
        service = self.run_service(broker)
        line = service.wait_for("❌ MQTT连接失败: ")
        self.assertIn("[ERROR]", line)
        broker.start()
        service.wait_for("🎉 MQTT连接成功", *START_LINES)
        broker.stop()
        service.wait_for("[ERROR] ❌ MQTT连接断开: ")
        broker.start()
        service.wait_for("🎉 MQTT连接成功", *START_LINES[:3], "[INFO] ✅ MQTT已恢复")
        broker.pub("devices/test-device-uuid/data", '{"back": true}')
        self.wait_for_row({"back": True})

    def test_a_database_that_is_down_at_start_and_goes_away_is_waited_for(self) -> None:
        broker = self.start_broker()
        self.database.stop()
        try:
            service = self.run_service(broker)
            failed = f"[ERROR] ❌ 数据库连接失败 - 127.0.0.1:{self.database.port}/aiot_admin: "
            service.wait_for_each(failed, STARTED)
            broker.pub("devices/test-device-uuid/data", '{"waited": 1}')
            self.database.start()
            service.wait_for("[INFO] ✅ 数据库已恢复")
            self.wait_for_row({"waited": 1})
            self.database.kill()
            broker.pub("devices/test-device-uuid/data", '{"waited": 2}')
            line = service.wait_for("❌ 数据库连接失败")
            self.assertIn("[ERROR]", line)
        finally:
            if self.database.version:
                self.database.kill()
            self.database.start()
        service.wait_for("[INFO] ✅ 数据库已恢复")
        self.wait_for_row({"waited": 2})
        service.stop()
        text = "\n".join(service.lines)
        self.assertNotIn(self.database.service_password, text)
        self.assertNotIn("Traceback", text)

    def test_each_message_is_told_at_debug_with_its_level(self) -> None:
        broker = self.start_broker()
        service = self.run_service(broker, LOG_LEVEL="DEBUG")
        service.wait_for(STARTED)
        broker.pub("devices/test-device-uuid/status", "offline")
        line = service.wait_for("📨 收到MQTT消息")
        self.assertIn("[DEBUG]", line)
        self.assertIn("devices/test-device-uuid/status", line)
        self.assertIn("offline", line)


class Mosquitto20WithMariaDBTests(SeedTests, SynchronousTestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21WithMySQLTests(SeedTests, SynchronousTestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")


class CommandTests(SynchronousTestCase):
    """The ways to start it, and what happens to its output."""

    def setUp(self) -> None:
        self.database = servers.shared_database("mariadb")
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.broker = Mosquitto()
        self.addCleanup(self.broker.close)
        self.broker.start()

    def run_program(self, argv: list[str], settings: dict[str, str] | None = None, **extra: str) -> Program:
        named = settings_for(self.broker, self.database) if settings is None else settings
        program = Program(argv, named, folder=self.folder, extra=extra)
        self.addCleanup(program.close)
        return program

    def write_env(self, name: str, **settings: str) -> Path:
        lines = {**settings_for(self.broker, self.database), **settings}
        path = self.folder / name
        password = self.folder / "password"
        password.write_text(lines.pop("DB_PASSWORD") + "\n")
        lines["DB_PASSWORD_FILE"] = str(password)
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return path

    def test_python_m_runs_it_with_the_env_file_of_its_folder(self) -> None:
        self.write_env(".env")
        program = self.run_program([sys.executable, "-m", "aiot_mqtt"], {})
        program.wait_for("🎉 MQTT连接成功", *START_LINES)
        self.assertEqual(program.stop(), -signal.SIGTERM)

    def test_another_env_file_can_be_named(self) -> None:
        path = self.write_env("other.env", LOG_LANGUAGE="en")
        program = self.run_program([*FOREGROUND, "--env-file", str(path)], {})
        program.wait_for("🚀 MQTT service started")

    def test_as_a_daemon_it_writes_its_log_file_and_ends_on_sigterm(self) -> None:
        self.write_env(".env")
        program = self.run_program([*TWISTD, "--pidfile=daemon.pid", "aiot-mqtt"], {})
        self.assertEqual(program.wait(), 0)
        pid = int((self.folder / "daemon.pid").read_text())
        self.addCleanup(_kill, pid)
        log = self.folder / "mqtt_service.log"
        self.wait_until(lambda: log.exists() and STARTED in log.read_text("utf-8"))
        os.kill(pid, signal.SIGTERM)
        self.wait_until(lambda: not (self.folder / "daemon.pid").exists())
        self.assertIn("MQTT服务已停止", log.read_text("utf-8"))

    def test_log_file_is_written_besides_standard_output(self) -> None:
        program = self.run_program(FOREGROUND, LOG_FILE="mqtt_service.log")
        program.wait_for(STARTED)
        # The file is written after standard output.
        self.wait_until(lambda: STARTED in (self.folder / "mqtt_service.log").read_text("utf-8"))

    def test_output_is_utf_8_whatever_the_locale(self) -> None:
        for locale in ("C", "zh_CN.GBK"):
            program = self.run_program(FOREGROUND, LANG=locale, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
            program.wait_for("🎉 MQTT连接成功", *START_LINES)
            program.stop()

    def test_log_format_json_is_one_object_a_line(self) -> None:
        program = self.run_program(FOREGROUND, LOG_FORMAT="json")
        line = program.wait_for("🎉")
        self.assertEqual(json.loads(line)["port"], self.broker.port)
        for each in program.lines:
            json.loads(each)

    def test_every_mistake_in_one_message_exit_code_78_no_traceback(self) -> None:
        settings = {"MQTT_PORT": "mqtt", "DB_TIMEZONE": "Europe/Berlin", "DB_PASSWORD": "secret-word"}
        (self.folder / ".env").write_text("MQTT_SERVICE_BROKER=elsewhere\nMQTT_PASSWORD=a b #c\n")
        program = self.run_program(FOREGROUND, settings)
        self.assertEqual(program.wait(), 78)
        text = "\n".join(program.lines)
        for word in (".env:1: MQTT_SERVICE_BROKER", "MQTT_BROKER？", ".env:2", "MQTT_PORT", "DB_TIMEZONE"):
            self.assertIn(word, text)
        for word in ("Traceback", "secret-word", "a b #c"):
            self.assertNotIn(word, text)

    def test_files_that_are_no_certificates_are_a_mistake(self) -> None:
        (self.folder / "ca.pem").write_text("nothing")
        settings = {"MQTT_TLS": "true", "MQTT_CA_FILE": "ca.pem"}
        program = self.run_program(FOREGROUND, settings)
        self.assertEqual(program.wait(), 78)
        self.assertIn("MQTT_CA_FILE", program.lines[-1])

    def test_version(self) -> None:
        program = self.run_program([sys.executable, "-m", "aiot_mqtt", "--version"], {})
        self.assertEqual(program.wait(), 0)
        self.assertRegex(program.lines[-1], r"^aiot-mqtt \d+\.\d+\.\d+$")

    def wait_until(self, condition: object) -> None:
        deadline = time.monotonic() + LINE_TIMEOUT
        while not condition():  # type: ignore[operator]
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
