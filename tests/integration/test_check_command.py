"""``aiot-mqtt check`` as an operator runs it: beside a running service, its text, its JSON, its exit codes."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import unittest
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from aiot_mqtt import __version__
from aiot_mqtt.check import command, local
from aiot_mqtt.check.command import Check
from aiot_mqtt.check.findings import Finding, Findings, Status
from aiot_mqtt.check.probes import ALL, BY_ID, GROUPS
from aiot_mqtt.check.report import EXIT_BROKEN, as_json, as_text, exit_code
from aiot_mqtt.health import command as health
from aiot_mqtt.spool import disk
from aiot_mqtt.spool.owner import spool_owner
from aiot_mqtt.spool.spool import Spool
from rig import load
from rig.programs import FOREGROUND, LINE_TIMEOUT, STARTED, Program, environment, settings_for
from rig.relay import Relay
from rig.rogue import Rogue, Talk
from rig.selection import OTHER_WAYS, only_in_all
from rig.servers import free_port
from rig.spool_files import update_of
from tests.eventually import eventually
from tests.integration.test_check import LISTEN, CheckTestCase

AIOT_MQTT = [sys.executable, "-m", "aiot_mqtt", "check"]
# The service, which waits for a call that does not come back for a second and not for five minutes.
_IMPATIENCE = """
import sys
from aiot_mqtt.health.progress import Part
Part.__init__.__defaults__ = (1.0,)
from aiot_mqtt.__main__ import main
sys.argv = ["aiot-mqtt"]
main()
"""
IMPATIENT = [sys.executable, "-c", _IMPATIENCE]


class ServiceTests(CheckTestCase):
    def ask(self) -> dict[str, Any]:
        address = self.settings(**self.listening).http_listen
        assert address is not None
        return health.ask(address, "/readyz")

    def was_taken_over(self, times: int) -> bool:
        return bool(self.ask()["taken_over"] == times)

    async def start_service(self, argv: Sequence[str] = FOREGROUND, **changed: Any) -> Program:
        port = free_port()
        self.listening: dict[str, Any] = {"HTTP_LISTEN": f"tcp:{port}:interface=127.0.0.1", "HEARTBEAT_TIMEOUT": "300"}
        settings = {**settings_for(self.broker, self.database), **self.listening, **changed}
        program = Program(argv, settings, folder=self.folder)
        self.addCleanup(program.close)
        await deferToThread(program.wait_for, STARTED)
        return program

    async def test_a_running_service_is_asked_and_not_disturbed(self) -> None:
        broker = self.start_broker()
        service = await self.start_service()
        await deferToThread(load.publish, broker.port, [("devices/d1/data", "{}")])
        await eventually(lambda: self.ask()["commit_seconds"])
        with self.publishing(("devices/d1/data", "{}")):
            found = await self.look(listen=LISTEN, **self.listening)
        self.assert_found(found, "local.service", Status.WARNING, f"version {__version__} runs", "安装的是 1.2.3")
        self.assertEqual(found["service.twins"].status, Status.OK)
        self.assertEqual(found["devices.timeout"].status, Status.OK)
        self.assertEqual(found["database.timezone"].status, Status.OK)
        self.assertTrue(found["database.throughput"].values["is_measured"])
        # The service has not lost anything by that.
        log = broker.log_tail(1000)
        self.assertEqual(log.count("as service"), 1, log)
        await deferToThread(service.stop)
        self.assertNotIn("❌", "".join(service.lines))

    async def test_somebody_else_with_its_client_id(self) -> None:
        broker = self.start_broker()
        await self.start_service()
        address = ("-h", broker.host, "-p", str(broker.port), "-i", "service", "-t", "x", "-V", "5", "-E")
        argv = [*broker.client_argv("mosquitto_sub"), *address]
        for times in (1, 2):  # the first time the broker may have gone away; then there is a witness
            found = await self.look(only=["local"], **self.listening)
            self.assertEqual(found["service.twins"].status, Status.OK)
            await eventually(lambda: self.ask()["ready"])
            await deferToThread(subprocess.run, argv, check=True, capture_output=True)
            await eventually(partial(self.was_taken_over, times))
        await eventually(lambda: self.ask()["rival"])
        found = await self.look(only=["local"], **self.listening)
        self.assert_cause(found, "service.twins", "it has taken the session", "几分钟内取走过会话")

    @only_in_all(OTHER_WAYS)
    async def test_devices_that_report_too_seldom(self) -> None:
        broker = self.start_broker()
        await self.start_service(HEARTBEAT_TIMEOUT="1")
        self.listening |= {"HEARTBEAT_TIMEOUT": "1"}
        for _ in range(5):
            await deferToThread(load.publish, broker.port, [("devices/d1/data", "{}")])
            await deferLater(reactor, 1.1)
        await eventually(lambda: self.ask()["flapping"]["devices"])
        found = await self.look(only=["devices"], **self.listening)
        self.assert_found(found, "devices.timeout", Status.WARNING, "1 devices report about every 1 s", "会反复上下线")

    async def test_a_service_that_hangs(self) -> None:
        self.start_broker()
        service = await self.start_service()
        self.patch(health, "TIMEOUT", 0.3)
        service.process.send_signal(signal.SIGSTOP)
        found = await self.look(only=["local"], **self.listening)
        self.assert_cause(found, "local.service", "the service hangs", "服务卡住")

    async def test_a_service_that_makes_no_progress(self) -> None:
        """A call to the database that does not come back: /readyz answers, and /healthz says what is wrong."""
        broker = self.start_broker()
        with Relay(self.database.port) as relay:
            await self.start_service(IMPATIENT, DB_PORT=str(relay.port), SPOOL_FILE="")
            await deferToThread(load.publish, broker.port, [("devices/d1/data", "{}")])
            await eventually(lambda: self.ask()["commit_seconds"])
            address = self.settings(**self.listening).http_listen
            assert address is not None
            await eventually(lambda: health.is_alive(address))  # however long the first commit took
            relay.cut()
            # Nothing waits for its acknowledgement: the broker has it, the service has not written it.
            await deferToThread(load.publish, broker.port, [("devices/d1/data", "{}")])
            await eventually(lambda: not health.is_alive(address))
            found = await self.look(only=["local"], **self.listening)
        self.assert_cause(found, "local.service", "makes no progress (/healthz", "没有进展")

    async def test_more_comes_than_window_and_commits_allow(self) -> None:
        broker = self.start_broker()
        with Relay(self.database.port) as relay:
            relay.delay(0.05)  # a database far away
            await self.start_service(DB_PORT=str(relay.port), MQTT_PROTOCOL="3.1.1")
            await deferToThread(load.publish, broker.port, [("devices/d1/data", "{}")])
            await eventually(lambda: self.ask()["commit_seconds"])
            with self.publishing(*[("devices/d1/heartbeat", "")] * 50):
                found = await self.look(listen=LISTEN, MQTT_PROTOCOL="3.1.1", **self.listening)
        self.assert_found(
            found, "database.throughput", Status.WARNING, "and the window of 20 with a commit of", "窗口 20"
        )
        self.assertTrue(found["database.throughput"].values["is_measured"])
        self.assertLess(found["database.throughput"].values["rate"], 20 / 0.05)

    async def test_what_only_the_service_has_heard(self) -> None:
        broker = self.start_broker()
        token = "s3cret-token-of-a-test"
        await self.start_service(HTTP_TOKEN=token)
        address = self.settings(**self.listening).http_listen
        assert address is not None
        names = [f"stranger-{number}" for number in range(8)]
        await deferToThread(load.publish, broker.port, [(f"devices/{name}/data", "{}") for name in names])
        await eventually(lambda: self.ask()["unknown_uuids"] == len(names))
        found = await self.look(only=["devices"], HTTP_TOKEN=token, **self.listening)
        self.assert_found(
            found, "devices.unknown", Status.WARNING, "8 uuids have no row (such as stranger-", "8 个 uuid"
        )
        found = await self.look(only=["devices"], **self.listening)
        self.assert_found(found, "devices.unknown", Status.WARNING, "8 uuids without a row", "8 个表中不存在的 uuid")
        self.assertNotIn("stranger", found["devices.unknown"].message)
        # Those that were given a row meanwhile are none any more.
        newest = health.ask_status(address, token)
        for name in newest["newest_unknown_uuids"]:
            self.database.add_device(name)
        found = await self.look(only=["devices"], HTTP_TOKEN=token, **self.listening)
        self.assert_found(found, "devices.unknown", Status.WARNING, "3 uuids without a row", "3 个表中不存在的 uuid")

    async def test_strangers_at_every_port(self) -> None:
        def refuse(talk: Talk) -> None:
            talk.send(b"HTTP/1.1 400 Bad\r\n\r\n")

        with Rogue(refuse) as rogue:
            port = str(rogue.port)
            listening = f"tcp:{port}:interface=127.0.0.1"
            found = await self.look(MQTT_BROKER="127.0.0.1", MQTT_PORT=port, DB_PORT=port, HTTP_LISTEN=listening)
        errors = {each.probe.id for each in found.values() if each.status is Status.ERROR}
        self.assertEqual(errors, {"broker.reach", "database.reach"})
        self.assertEqual(found["local.service"].status, Status.WARNING)

    async def test_no_service_or_another_program(self) -> None:
        self.start_broker()
        found = await self.look(only=["local"], HTTP_LISTEN=f"tcp:{free_port()}:interface=127.0.0.1")
        self.assert_found(found, "local.service", Status.WARNING, "does not run", "未运行")
        found = await self.look(only=["local"], HTTP_LISTEN=f"tcp:{self.database.port}:interface=127.0.0.1")
        self.assert_found(found, "local.service", Status.WARNING, "is not aiot-mqtt", "不是 aiot-mqtt")


class SpoolTests(CheckTestCase):
    def save(self, **changed: Any) -> None:
        spool = Spool(self.folder / "spool", spool_owner(self.settings(**changed)))
        spool.look()
        spool.save([update_of("d1", 1), update_of("d2", 2)])
        spool.close()

    async def look_here(self, **changed: Any) -> dict[str, Finding]:
        return await self.look(only=["local"], **changed)

    async def test_states_that_wait(self) -> None:
        self.save()
        before = (self.folder / "spool").read_bytes()
        found = await self.look_here()
        self.assert_found(found, "local.spool", Status.WARNING, "2 devices (2 messages)", "2 台设备的状态")
        self.assertEqual((self.folder / "spool").read_bytes(), before)
        found = await self.look_here(DB_TABLE="other")
        self.assert_found(found, "local.spool", Status.WARNING, "saved under other settings", "")
        (self.folder / "spool").write_bytes(b"nonsense" * 100)
        found = await self.look_here()
        self.assert_found(found, "local.spool", Status.WARNING, "damaged", "")

    async def test_its_lock_is_not_taken(self) -> None:
        self.patch(disk, "LOCK_TIMEOUT", 0.01)
        self.save()
        spool = Spool(self.folder / "spool", spool_owner(self.settings()))
        self.addCleanup(spool.close)
        spool.look()  # takes the lock
        found = await self.look_here()
        self.assertIn(found["local.spool"].status, (Status.WARNING, Status.UNKNOWN))

    async def test_one_that_does_not_last(self) -> None:
        found = await self.look_here(SPOOL_FILE="/dev/shm/aiot-mqtt.spool")
        self.assert_found(found, "local.spool", Status.WARNING, "it is in memory", "保留不久：它在内存文件系统中")

    async def test_none(self) -> None:
        found = await self.look_here(SPOOL_FILE="")
        self.assert_found(found, "local.spool", Status.WARNING, "SPOOL_FILE is empty", "未启用 SPOOL_FILE")

    async def test_a_disk_that_is_nearly_full(self) -> None:
        disk = self.folder / "disk"
        disk.mkdir()
        mounting = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", str(disk)]
        await deferToThread(subprocess.run, mounting, check=True)
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        found = await self.look(SPOOL_FILE=str(disk / "spool"))
        self.assert_found(found, "local.disk", Status.WARNING, "1 MB free, about 64 MB needed", "剩余 1 MB")
        self.assertIn(str(disk), str(found["local.disk"].remedy))
        (disk / "fill").write_bytes(bytes(1024 * 1024))
        found = await self.look_here(SPOOL_FILE=str(disk / "spool"))
        self.assert_cause(found, "local.spool", "the disk is full", "磁盘已满", "local.disk")

    def test_a_disk_that_is_small_for_the_fleet(self) -> None:
        findings = Findings()
        local.probe_disk(self.settings(), 10**12, findings)
        (found,) = [each for each in findings.complete(["local"]) if each.probe.id == "local.disk"]
        self.assertEqual(found.status, Status.WARNING)
        self.assertIn("476837222 MB", found.message)


class RunTests(CheckTestCase):
    """What does not depend on what is found."""

    async def test_a_check_that_breaks_says_so(self) -> None:
        self.start_broker()

        def fail(*_arguments: object, **_named: object) -> None:
            raise ZeroDivisionError("a mistake of ours")

        self.patch(command, "probe_server", fail)
        run = await self.run_it(listen=0)
        self.assertEqual(exit_code(run, errors_only=True), EXIT_BROKEN)
        self.assertIn("a mistake of ours", as_text(run, EXIT_BROKEN))
        self.assertEqual(as_json(run, EXIT_BROKEN)["status"], "broken")

    async def test_one_that_runs_out_of_time_says_so(self) -> None:
        broker = self.start_broker()
        self.patch(command, "BUDGET", 0.2)
        with Relay(broker.port) as relay:
            relay.cut()
            run = await self.run_it(listen=0, MQTT_PORT=str(relay.port))
        self.assertEqual(exit_code(run), EXIT_BROKEN)
        self.assertIn("检查没有正常完成", as_text(run, EXIT_BROKEN))

    async def run_it(self, listen: float, **changed: Any) -> Any:
        check = Check(GROUPS, listen, "1.2.3")
        await check.run(self.settings(**changed), spool_owner, reactor)
        return check.result(file="", language="zh", wanted_user="")

    def test_every_probe_stands_behind_what_it_needs(self) -> None:
        seen: set[str] = set()
        for probe in ALL:
            self.assertLessEqual(set(probe.needs), seen, probe)
            seen.add(probe.id)
        self.assertEqual(len(BY_ID), len(ALL))


class CommandTests(CheckTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.env_file = self.folder / ".env"

    def write_env(self, **changed: Any) -> None:
        settings = {**settings_for(self.broker, self.database), "SPOOL_FILE": str(self.folder / "spool"), **changed}
        settings["DB_PASSWORD_FILE"] = str(self.folder / "password")
        (self.folder / "password").write_text(changed.get("DB_PASSWORD", self.database.service_password))
        (self.folder / "password").chmod(0o600)
        settings.pop("DB_PASSWORD")
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self.env_file.chmod(0o600)

    def check(self, *arguments: str, errors: bool = False) -> tuple[int, str]:
        argv, folder = [*AIOT_MQTT, "--listen", str(LISTEN), *arguments], str(self.folder)
        done = subprocess.run(
            argv, env=environment({}), cwd=folder, capture_output=True, timeout=LINE_TIMEOUT, check=False
        )
        self.assertEqual(bool(done.stderr), errors, done.stderr.decode())
        return done.returncode, done.stdout.decode()

    async def check_while_publishing(self, *messages: str) -> tuple[int, str]:
        with self.publishing(*((f"devices/{uuid}/data", "{}") for uuid in messages)):
            return await deferToThread(self.check)

    async def test_text_json_and_exit_codes(self) -> None:
        self.start_broker()
        self.write_env()
        code, text = await self.check_while_publishing("d1")
        self.assertEqual(code, 1, text)
        lines = text.splitlines()
        self.assertIn(f"aiot-mqtt {__version__} 检查 · 设置 {self.env_file} · 用户", lines[0])
        self.assertRegex(text, r"(?m)^数据库    ✅ 已登录 .*（另有 \d+ 项正常）$")
        self.assertEqual(sum(line.startswith(("本机", "Broker", "数据库", "设备")) for line in lines), 4)
        self.assertRegex(lines[-1], r"^结论：0 个错误，\d 个警告。先处理：.*（退出码 1）$")
        code, text = await deferToThread(self.check, "--json")
        report = json.loads(text)
        self.assertEqual((report["exit_code"], report["schema"], report["settings_file"]), (1, 1, str(self.env_file)))
        self.assertEqual({each["id"] for each in report["checks"]} - set(BY_ID), set())
        self.assertEqual(sum(report["summary"].values()), len(report["checks"]))
        self.assertTrue(all({"id", "group", "status"} <= each.keys() for each in report["checks"]))

    @only_in_all(OTHER_WAYS)
    async def test_a_password_from_a_pipe(self) -> None:
        self.start_broker()
        self.write_env()
        password = self.folder / "password"
        password.unlink()
        os.mkfifo(password, 0o600)
        writing = deferToThread(password.write_text, self.database.service_password)
        code, text = await deferToThread(self.check, "--only", "database")
        self.assertEqual(code, 0, text)
        await writing

    @only_in_all(OTHER_WAYS)
    async def test_options(self) -> None:
        self.start_broker()
        self.write_env()
        self.assertEqual((await deferToThread(self.check))[0], 1)
        self.assertEqual((await deferToThread(self.check, "--errors-only"))[0], 0)
        code, text = await deferToThread(self.check, "--only", "database", "-v")
        self.assertEqual(code, 0, text)
        self.assertGreater(text.count("✅"), 10)
        self.assertNotIn("Broker ", text)
        code, text = await deferToThread(self.check, "--grant")
        self.assertEqual(code, 0)
        self.assertRegex(
            text, r"^GRANT SELECT \(id, uuid, .*\), UPDATE \(.*\) ON `aiot_admin`.`device_main` TO 'aiot'@'%';\n$"
        )

    async def test_the_four_problems_that_operators_had(self) -> None:
        # 1: the broker refuses.
        passwords = self.folder / "passwords"
        passwords.touch()
        self.start_broker("allow_anonymous false", f"password_file {passwords}")
        self.write_env()
        code, text = await deferToThread(self.check)
        self.assertEqual(code, 2)
        self.assertIn("❌ Broker 拒绝登录：未授权（5）\n             → ", text)
        self.assertIn("⚪ 未检查（需要先解决：Broker·登录）：协议版本、限额、订阅、投递、状态主题、丢弃的消息", text)
        self.assertIn("先处理：Broker·登录。", text)
        # 2: the database refuses.
        self.start_broker()
        self.write_env(DB_PASSWORD="wrong")
        code, text = await deferToThread(self.check)
        self.assertEqual(code, 2)
        self.assertIn("❌ 数据库拒绝登录：'aiot'@'127.0.0.1'（1045）\n             → 密码不对", text)
        self.assertIn("先处理：数据库·登录。", text)
        # 3: a device that is not in the table.
        self.write_env()
        code, text = await self.check_while_publishing("d1", "xxx")
        self.assertEqual(code, 1)
        self.assertIn("⚠️ 1 个 uuid 在表中不存在（如 xxx）\n             → 主题里要用 uuid", text)
        # 4: it restarts again and again: it ends with 78, and these are the reasons.
        self.write_env(MQTT_PORT="none", DB_PORTS="3306")
        code, text = await deferToThread(self.check)
        self.assertEqual(code, 2)
        self.assertIn(f"{self.env_file.name}:", text)
        self.assertEqual(text.count("❌"), 2, text)
        self.assertIn("DB_PORTS", text)
        self.assertIn("MQTT_PORT", text)
        self.assertIn("⚪ 未检查（需要先解决：本机·设置）", text)

    async def test_it_ends_at_once_when_it_is_told_to(self) -> None:
        broker = self.start_broker()
        with Relay(broker.port) as relay, Relay(self.database.port) as dead:
            dead.cut()
            self.write_env(MQTT_PORT=str(relay.port), DB_PORT=str(dead.port))
            argv = [*AIOT_MQTT, "--listen", "3600"]
            process = subprocess.Popen(argv, env=environment({}), cwd=self.folder, stdout=subprocess.DEVNULL)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            await eventually(lambda: "aiot-check-" in broker.log_tail())
            process.send_signal(signal.SIGINT)
            self.assertEqual(await deferToThread(process.wait, LINE_TIMEOUT), 130)

    @only_in_all(OTHER_WAYS)
    async def test_settings_that_others_may_read(self) -> None:
        self.start_broker()
        self.write_env()
        self.env_file.chmod(0o644)
        code, text = await deferToThread(self.check, "--only", "local")
        self.assertEqual(code, 1)
        self.assertIn(f"⚠️ 本机其他用户可读写 {self.env_file}", text.replace(" .env", f" {self.env_file}"))

    @only_in_all(OTHER_WAYS)
    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    async def test_as_root_it_looks_with_the_eyes_of_the_service(self) -> None:
        nobody = pwd.getpwnam("nobody")
        self.start_broker()
        self.write_env()
        code, text = await deferToThread(self.check, "--user", "nobody", "--only", "local")
        self.assertEqual(code, 2, text)
        self.assertIn("nobody 读不到 .env（权限 ?", text)
        self.folder.chmod(0o755)
        code, text = await deferToThread(self.check, "--user", "nobody", "--only", "local")
        self.assertEqual(code, 2, text)
        self.assertIn("nobody 读不到 .env（权限 0600，属主 root）", text)
        os.chown(self.env_file, nobody.pw_uid, nobody.pw_gid)
        code, text = await deferToThread(self.check, "--user", "nobody", "--only", "local")
        self.assertIn(f"nobody 读不到 {self.folder}/password", text)
        os.chown(self.folder / "password", nobody.pw_uid, nobody.pw_gid)
        code, text = await deferToThread(self.check, "--user", "nobody", "--only", "local")
        self.assertIn("nobody 无法写入暂存文件", text)
