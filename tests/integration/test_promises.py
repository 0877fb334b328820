"""Acknowledged means stored, nothing blocks the reactor, and the service comes back by itself from what it meets."""

from __future__ import annotations

import json
import signal
import socket
import stat
import sys
import threading
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from aiot_mqtt.mqtt import rivals
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.writing import flow_control
from rig import load, servers
from rig.certificates import make_certificates
from rig.programs import FOREGROUND, LINE_TIMEOUT, STARTED, Program, settings_for
from rig.relay import Relay
from rig.selection import OTHER_SERVERS, in_each_run, only_in_all
from rig.servers import Mosquitto
from tests.eventually import eventually
from tests.integration.test_service import ServiceMixin

RECEIVED = "📨 收到MQTT消息"


class CrashTests(SynchronousTestCase):
    """SIGKILL between receipt and commit, and between commit and acknowledgement."""

    def setUp(self) -> None:
        self.database = servers.shared_database("mariadb")
        self.database.add_devices(["a", "b"])
        self.broker = Mosquitto()
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)

    def run_program(self, argv: list[str], **extra: str) -> Program:
        settings = {**settings_for(self.broker, self.database), "LOG_LEVEL": "DEBUG", **extra}
        program = Program(argv, settings, folder=self.folder)
        self.addCleanup(program.close)
        return program

    def documents(self) -> list[Any]:
        return [json.loads(self.database.row(uuid)["last_report_data"] or "null") for uuid in "ab"]

    def crash_at(self, step: str, passings: int = 1) -> Program:
        """Publish three messages while no service runs, have one die at the step over them, and run another."""
        first = self.run_program(FOREGROUND)
        first.wait_for(STARTED)
        first.stop()
        messages = [("devices/a/data", '{"n": 1}'), ("devices/a/data", '{"n": 2}'), ("devices/b/data", '{"n": 3}')]
        load.publish(self.broker.port, messages)
        crashing = self.run_program([sys.executable, "-m", "faults.service"], FAULTS=f"die {step} {passings}")
        self.assertEqual(crashing.wait(), -signal.SIGKILL)
        self.after_crash = self.documents()
        survivor = self.run_program(FOREGROUND)
        # The broker had no acknowledgement for any, so it sends each again.
        survivor.wait_for(RECEIVED, RECEIVED, RECEIVED)
        survivor.stop()
        return survivor

    def test_between_receipt_and_commit_nothing_is_lost(self) -> None:
        for step, passings in (("after_merge", 3), ("before_commit", 1)):
            self.crash_at(step, passings)
            self.assertEqual(self.after_crash, [None, None])
            self.assertEqual(self.documents(), [{"n": 2}, {"n": 3}])
            self.database.query("UPDATE device_main SET last_report_data = NULL")

    def test_between_commit_and_acknowledgement_it_is_written_again(self) -> None:
        self.crash_at("before_acknowledgement")
        self.assertEqual(self.after_crash, [{"n": 2}, {"n": 3}])
        self.assertEqual(self.documents(), [{"n": 2}, {"n": 3}])

    def test_what_was_acknowledged_does_not_come_again(self) -> None:
        self.crash_at("before_acknowledgement")
        last = self.run_program(FOREGROUND)
        last.wait_for(STARTED)
        last.stop()
        self.assertNotIn(RECEIVED, "\n".join(last.lines))


class AcknowledgementTests(ServiceMixin):
    async def test_messages_published_while_the_service_is_stopped_arrive_in_order(self) -> None:
        self.database.add_devices(["a", "b"])
        service = await self.start_service()
        await self.stop_service(service)  # type: ignore[misc]
        await self.publish(*((f"devices/{'ab'[n % 2]}/data", f'{{"n": {n}}}') for n in range(900)))
        service = await self.start_service()
        await self.settled(service, 900)
        self.assertEqual(self.written("a")["last_report_data"], {"n": 898})
        self.assertEqual(self.written("b")["last_report_data"], {"n": 899})

    async def test_nothing_is_acknowledged_while_the_database_is_away_and_the_window_holds_it(self) -> None:
        # Far more than the broker queues for a subscriber that has used up its window (1000) and a window of 20.
        self.database.add_devices(f"d{n}" for n in range(100))
        service = await self.start_service(spool_file="")
        self.assertEqual((await self.said(log_lines.SPOOL_OFF))["window"], 65535)
        self.database.freeze()
        messages = [(f"devices/d{n % 100}/data", f'{{"n": {n}}}') for n in range(5000)]
        await self.publish(*messages)
        await eventually(lambda: service.counters.received == 5000)
        self.assertEqual(service.counters.stored, 0)
        self.database.thaw()
        await self.settled(service, 5000)
        rows = [self.written(f"d{n}")["last_report_data"] for n in range(100)]
        self.assertEqual(rows, [{"n": 4900 + n} for n in range(100)])

    async def test_what_is_beyond_the_window_is_left_with_the_broker_until_something_is_acknowledged(self) -> None:
        self.patch(flow_control, "MAX_UNACKNOWLEDGED", 100)  # as if the broker had sent more than it may
        self.database.add_devices(f"d{n}" for n in range(100))
        service = await self.start_service(spool_file="")
        connection = service.subscriber._connection
        assert connection is not None
        self.database.freeze()
        await self.publish(*((f"devices/d{n % 100}/data", f'{{"n": {n}}}') for n in range(5000)))
        await eventually(lambda: connection._is_paused)
        self.assertIn(service.counters.received, range(101, 5000))
        self.database.thaw()
        await self.settled(service, 5000)
        self.assertEqual(self.written("d99")["last_report_data"], {"n": 4999})

    async def test_a_killed_database_costs_no_message(self) -> None:
        self.database.add_devices(f"d{n}" for n in range(50))
        service = await self.start_service()
        for n in range(60):
            await self.publish(*((f"devices/d{d}/data", f'{{"n": {n}}}') for d in range(50)))
            if n == 20:
                await deferToThread(self.database.kill)
            if n == 40:
                await deferToThread(self.database.start)
        await self.settled(service, 3000)
        self.assertEqual([self.written(f"d{d}")["last_report_data"]["n"] for d in range(50)], [59] * 50)
        self.assertEqual(self.count(log_lines.DATABASE_FAILED), 1)
        self.assertEqual(self.count(log_lines.DATABASE_BACK), 1)

    async def test_every_pooled_connection_killed_under_load_costs_no_message(self) -> None:
        self.database.add_devices(f"d{n}" for n in range(50))
        service = await self.start_service()
        for n in range(30):
            for (connection,) in self.database.query(
                "SELECT id FROM information_schema.processlist WHERE user = %s", (self.database.service_user,)
            ):
                try:
                    self.database.query(f"KILL {connection}")
                except Exception as error:  # it ended by itself
                    self.assertIn("1094", str(error))
            await self.publish(*((f"devices/d{d}/data", f'{{"n": {n}}}') for d in range(50)))
        await self.settled(service, 1500)
        self.assertEqual([self.written(f"d{d}")["last_report_data"]["n"] for d in range(50)], [29] * 50)

    async def test_another_client_that_takes_the_session_is_not_fought(self) -> None:
        self.database.add_device("a")
        self.patch(rivals, "STANDING", 0.0)  # or the one that came later would have to be waited for
        service = await self.start_service(mqtt_client_id="contested")
        rival = await deferToThread(load.Load, self.broker.port, "contested")
        await self.said(log_lines.MQTT_LOST if self.broker_version == "2.0" else log_lines.SESSION_TAKEN_BACK)
        await deferToThread(rival.close)
        await self.said(log_lines.MQTT_BACK)
        await self.publish(("devices/a/data", '{"n": 1}'))
        await self.settled(service, 1)

    async def test_mqtt_311_with_its_window_of_20_stores_everything(self) -> None:
        self.database.add_devices(f"d{n}" for n in range(10))
        service = await self.start_service(mqtt_protocol="3.1.1")
        await self.said(log_lines.MQTT_311)
        await self.publish(*((f"devices/d{n % 10}/data", f'{{"n": {n}}}') for n in range(900)))
        await self.settled(service, 900)
        self.assertEqual(self.written("d9")["last_report_data"], {"n": 899})


class Mosquitto20AcknowledgementTests(AcknowledgementTests, TestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21AcknowledgementTests(AcknowledgementTests, TestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")

    @in_each_run
    async def test_a_broker_that_speaks_only_311_is_spoken_to_in_311(self) -> None:
        self.broker.close()
        self.broker = Mosquitto("2.1", settings=["accept_protocol_versions 3,4"])
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.database.add_device("a")
        service = await self.start_service()
        await self.said(log_lines.MQTT_311)
        await self.publish(("devices/a/data", '{"n": 1}'))
        await self.settled(service, 1)


class BrokerTests(ServiceMixin, TestCase):
    """What a broker can be set up to do."""

    broker_version, flavour = "2.0", "mariadb"

    def restart_broker(self, *settings: str) -> None:
        self.broker.close()
        self.broker = Mosquitto(self.broker_version, settings=settings)
        self.addCleanup(self.broker.close)
        self.broker.start()

    async def test_tls_with_a_client_certificate(self) -> None:
        files = make_certificates(servers.private_folder())
        self.addCleanup(servers.remove_folder, files.ca.parent)
        self.restart_broker(
            f"cafile {files.ca}", f"certfile {files.server}", f"keyfile {files.server_key}", "require_certificate true"
        )
        self.database.add_device("a")
        tls = {"mqtt_tls": True, "mqtt_ca_file": str(files.ca)}
        client = {"mqtt_cert_file": str(files.client), "mqtt_key_file": str(files.client_key)}
        service = await self.start_service(mqtt_broker="localhost", **tls, **client)
        extra = ["--cafile", str(files.ca), "--cert", str(files.client), "--key", str(files.client_key)]
        await deferToThread(self.broker.pub, "devices/a/data", '{"n": 1}', extra=extra)
        await self.settled(service, 1)
        await self.stop_service(service)  # type: ignore[misc]
        stranger = self.make_service(mqtt_broker="localhost", mqtt_tls=True, **client)
        stranger.startService()
        self.addCleanup(self.stop_service, stranger)
        self.assertIn("certificate", (await self.said(log_lines.MQTT_FAILED))["reason"].lower())

    async def test_a_topic_that_the_acl_denies_is_named_and_asked_for_until_it_is_granted(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        roles = folder / "roles.json"

        def write_roles(*topics: str) -> None:
            acls = [{"acltype": "subscribePattern", "topic": topic, "allow": True} for topic in topics]
            access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
            document = {
                "defaultACLAccess": access,
                "roles": [{"rolename": "reader", "acls": acls}],
                "groups": [{"groupname": "all", "roles": [{"rolename": "reader"}]}],
                "anonymousGroup": "all",
            }
            roles.write_text(json.dumps(document))
            roles.chmod(0o644)

        write_roles("devices/+/data", "devices/+/heartbeat")
        plugin = next(servers.TREES.glob("bookworm/usr/lib/*/mosquitto_dynamic_security.so"))
        self.restart_broker(f"plugin {plugin}", f"plugin_opt_config_file {roles}")
        service = self.make_service()
        service.startService()
        self.addCleanup(self.stop_service, service)
        denied = await self.said(log_lines.SUBSCRIPTION_DENIED)
        self.assertEqual(denied["topic"], "devices/+/status")
        self.assertEqual(self.count(log_lines.SUBSCRIBED), 2)
        await eventually(lambda: service.subscriber.tally.subscriptions_denied > 2)
        self.assertEqual((self.count(log_lines.SUBSCRIPTION_DENIED), self.count(log_lines.STARTED)), (1, 0))
        self.database.add_device("a")
        await self.publish(("devices/a/data", '{"n": 1}'))
        await self.settled(service, 1)
        await deferToThread(self.broker.stop)
        write_roles("devices/+/data", "devices/+/heartbeat", "devices/+/status")
        await deferToThread(self.broker.start)
        await self.said(log_lines.STARTED)

    async def test_a_connection_cut_without_a_fin_is_noticed(self) -> None:
        self.database.add_device("a")
        with Relay(self.broker.port) as relay:
            service = await self.start_service(mqtt_port=relay.port, mqtt_keepalive=5)
            relay.cut()
            await self.publish(("devices/a/data", '{"n": 1}'))
            lost = await self.said(log_lines.MQTT_LOST)
            self.assertIn("said nothing", lost["reason"])
            relay.restore()
            await self.said(log_lines.MQTT_BACK)
            await self.settled(service, 1)
            self.assertEqual(self.written("a")["last_report_data"], {"n": 1})


class ReactorTests(ServiceMixin, TestCase):
    """A ticker on the service's own reactor goes on ticking whatever a peer does not do."""

    broker_version, flavour = "2.0", "mariadb"

    def setUp(self) -> None:
        super().setUp()
        self.silent = socket.create_server(("127.0.0.1", 0))  # the kernel accepts, nobody answers
        self.addCleanup(self.silent.close)
        self.silent_port = self.silent.getsockname()[1]

    async def assert_ticks(self, **settings: Any) -> None:
        """Tick while the service starts, waits in vain and stops.

        What would block here does so for its time-out, three seconds and more; one is for a busy machine.
        """
        gaps: list[float] = []
        last = time.monotonic()

        def tick() -> None:
            nonlocal last
            now = time.monotonic()
            gaps.append(now - last)
            last = now

        ticker = LoopingCall(tick)
        ticker.start(0.01)
        service = self.make_service(shutdown_timeout=3, **settings)
        service.startService()
        await deferLater(reactor, 2)
        await self.stop_service(service)  # type: ignore[misc]
        ticker.stop()
        self.assertLess(max(gaps), 1.0)
        self.assertGreater(len(gaps), 50)

    async def test_with_a_broker_that_accepts_and_says_nothing(self) -> None:
        await self.assert_ticks(mqtt_port=self.silent_port)

    async def test_with_a_broker_that_never_answers_the_tls_handshake(self) -> None:
        await self.assert_ticks(mqtt_port=self.silent_port, mqtt_tls=True)

    async def test_with_a_database_that_accepts_and_says_nothing(self) -> None:
        await self.assert_ticks(db_port=self.silent_port)

    async def test_with_names_that_do_not_resolve_in_time(self) -> None:
        released = threading.Event()
        self.addCleanup(released.set)
        lookup = socket.getaddrinfo

        def hang(host: Any, *arguments: Any, **named: Any) -> Any:
            if host == "slow.invalid":
                released.wait()
                raise socket.gaierror(socket.EAI_NONAME, "released")
            return lookup(host, *arguments, **named)

        self.patch(socket, "getaddrinfo", hang)
        await self.assert_ticks(mqtt_broker="slow.invalid", db_host="slow.invalid")
        released.set()

    async def test_with_a_frozen_database_under_load(self) -> None:
        self.database.add_device("a")
        service = await self.start_service(shutdown_timeout=3)
        self.database.freeze()
        self.addCleanup(self.database.thaw)
        await self.publish(("devices/a/data", "{}"))
        await self.assert_ticks(mqtt_client_id="another")
        self.assertEqual(service.counters.stored, 0)


class ShutdownTests(SynchronousTestCase):
    """SIGTERM ends the process in time, whatever hangs."""

    def setUp(self) -> None:
        self.database = servers.shared_database("mariadb")
        self.database.add_device("a")
        self.broker = Mosquitto()
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.silent.close)
        self.silent_port = str(self.silent.getsockname()[1])

    def run_program(self, settings: dict[str, str] | None = None, argv: list[str] = FOREGROUND) -> Program:
        defaults = {**settings_for(self.broker, self.database), "SHUTDOWN_TIMEOUT": "3", "LOG_LEVEL": "DEBUG"}
        program = Program(argv, {**defaults, **(settings or {})}, folder=self.folder)
        self.addCleanup(program.close)
        return program

    def test_with_silent_peers(self) -> None:
        for name in ("MQTT_PORT", "DB_PORT"):
            program = self.run_program({name: self.silent_port})
            self.silent.settimeout(servers.START_TIMEOUT)
            connection, _ = self.silent.accept()
            program.process.send_signal(signal.SIGTERM)
            program.wait()
            connection.close()

    def test_with_a_name_look_up_that_hangs_it_leaves_by_force_and_says_so(self) -> None:
        hanging = (
            "import itertools, socket, sys, time\n"
            "lookup, number = socket.getaddrinfo, itertools.count(1)\n"
            "def hang(host, *arguments, **named):\n"
            "    if host != 'slow.invalid': return lookup(host, *arguments, **named)\n"
            "    print('looking up', next(number), flush=True)\n"
            "    time.sleep(3600)\n"
            "socket.getaddrinfo = hang\n"
            # Whose reader is there, but may have to wait for a processor.
            "from aiot_mqtt.telemetry.logs import Log\n"
            "finish = Log.finish\n"
            "Log.finish = lambda log, seconds: finish(log, 100 * seconds)\n"
            "from twisted.scripts.twistd import run\n"
            "run()"
        )
        argv = [sys.executable, "-c", hanging, *FOREGROUND[3:]]
        program = self.run_program({"MQTT_BROKER": "slow.invalid", "DB_HOST": "slow.invalid"}, argv)
        # The pool's may be before the reactor runs, and takes signals; its own, for the broker, is after that.
        program.wait_for("looking up 2")
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(), 0)
        self.assertIn("强制退出", "\n".join(program.lines))

    def test_pending_rows_are_written_where_the_database_can_be_reached(self) -> None:
        program = self.run_program({"SHUTDOWN_TIMEOUT": "20"})
        program.wait_for_each(STARTED, "✅ 数据库已连接")
        self.database.freeze()
        try:
            self.broker.pub("devices/a/data", '{"n": 1}')
            program.wait_for(RECEIVED)
            self.broker.pub("devices/a/data", '{"n": 2}')
            program.wait_for(RECEIVED)
            program.process.send_signal(signal.SIGTERM)
            program.wait_for("正在停止")
        finally:
            self.database.thaw()
        self.assertEqual(program.wait(), -signal.SIGTERM)
        self.assertEqual(json.loads(self.database.row("a")["last_report_data"]), {"n": 2})
        self.assertIn("MQTT服务已停止", program.lines[-2] + program.lines[-3])

    def receive_and_stop_while_frozen(self, settings: dict[str, str]) -> Program:
        """A service that got one message, which the database took nothing of, and has ended."""
        program = self.run_program(settings)
        program.wait_for_each(STARTED, "✅ 数据库已连接")
        self.database.freeze()
        try:
            self.broker.pub("devices/a/data", '{"n": 1}')
            program.wait_for(RECEIVED)
            program.process.send_signal(signal.SIGTERM)
            program.wait()
        finally:
            self.database.thaw()
        return program

    def test_what_cannot_be_written_is_kept_on_disk_and_written_first_at_the_next_start(self) -> None:
        program = self.receive_and_stop_while_frozen({"SHUTDOWN_TIMEOUT": "10"})
        spool = self.folder / "mqtt_service.spool"
        self.assertIn("1 条消息保存在", "\n".join(program.lines))
        self.assertEqual(stat.S_IMODE(spool.stat().st_mode), 0o600)
        survivor = self.run_program()
        survivor.wait_for_each(STARTED, "台设备的状态已全部写入数据库")
        survivor.stop()
        self.assertEqual(json.loads(self.database.row("a")["last_report_data"]), {"n": 1})
        # The broker has its acknowledgement, and the file is not needed any more.
        self.assertNotIn(RECEIVED, "\n".join(survivor.lines))
        self.assertIn("received=0 recovered=1 stored=1", "\n".join(survivor.lines))
        self.assertFalse(spool.exists())

    def test_what_cannot_be_written_nor_kept_stays_in_the_broker_and_is_said(self) -> None:
        program = self.receive_and_stop_while_frozen({"SPOOL_FILE": ""})
        self.assertIn("1 条消息未写入", "\n".join(program.lines))
        survivor = self.run_program()
        survivor.wait_for(RECEIVED)
        # It knows of no session of its own, so it lets whoever had this one end first.
        deadline = time.monotonic() + LINE_TIMEOUT
        while self.database.row("a")["last_report_data"] is None and time.monotonic() < deadline:
            time.sleep(0.05)
        survivor.stop()
        self.assertEqual(json.loads(self.database.row("a")["last_report_data"]), {"n": 1})
