"""``aiot-mqtt check`` beside real servers, each thing that it looks for made to fail."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pymysql
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.check import broker as broker_probe
from aiot_mqtt.check import database as database_probe
from aiot_mqtt.check.command import Check
from aiot_mqtt.check.findings import Finding, Status
from aiot_mqtt.check.probes import GROUPS
from aiot_mqtt.settings.settings import Settings, load_settings
from aiot_mqtt.spool.owner import spool_owner
from aiot_mqtt.table import link
from rig import load, servers
from rig.certificates import HOUR, Authority, Issued, alternatives
from rig.galera import Galera
from rig.programs import settings_for
from rig.relay import Relay
from rig.selection import LONG_ROUND, OTHER_SERVERS, OTHER_WAYS, only_in_all
from rig.servers import Database, MariaDB, Mosquitto, free_port, shared_database
from tests.eventually import eventually

LISTEN = 0.3  # s
SHANGHAI = ZoneInfo("Asia/Shanghai")
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
FORTY_DAYS = 40 * 24 * HOUR


class CheckTestCase(TestCase):
    flavour = "mariadb"

    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.database = shared_database(self.flavour)
        self.database.revoke()  # other tests may have granted more
        self.database.grant()
        self.database.add_device("d1")
        self.broker: Mosquitto | None = None
        self.patch(broker_probe, "SYS_PATIENCE", 1.0)

    def start_broker(self, *lines: str, version: str = "2.0") -> Mosquitto:
        if self.broker is not None:
            self.broker.close()
        self.broker = Mosquitto(version, settings=lines)
        self.addCleanup(self.broker.close)
        self.broker.start()
        return self.broker

    def settings(self, database: Database | None = None, **changed: Any) -> Settings:
        settings = settings_for(self.broker, database or self.database)
        settings |= {"SPOOL_FILE": str(self.folder / "spool"), **changed}
        return load_settings(settings, "/dev/null")

    async def look(
        self,
        *,
        only: Sequence[str] = GROUPS,
        listen: float = 0.0,
        database: Database | None = None,
        **changed: Any,
    ) -> dict[str, Finding]:
        """What is found, by id; of several findings the worst."""
        check = Check(tuple(only), listen, "1.2.3")
        await check.run(self.settings(database, **changed), spool_owner, reactor)
        self.assertEqual(check.findings.breakdowns, [])
        order = [Status.OK, Status.SKIPPED, Status.UNKNOWN, Status.WARNING, Status.ERROR]
        found = sorted(check.findings.complete(only), key=lambda each: order.index(each.status))
        for each in found:
            self.assertNotRegex(each.message + each.message.chinese + (each.remedy or ""), r"[{}]")
            if each.status in (Status.WARNING, Status.ERROR):
                self.assertIsNotNone(each.remedy, each)
        return {each.probe.id: each for each in found}

    def assert_cause(self, found: dict[str, Finding], probe: str, english: str, chinese: str, *skipped: str) -> None:
        """It is the only error, says that, and those that depend on it are skipped because of it."""
        errors = [each.probe.id for each in found.values() if each.status is Status.ERROR]
        self.assertEqual(errors, [probe], found)
        self.assertIn(english, found[probe].message)
        self.assertIn(chinese, found[probe].message.chinese)
        for each in skipped:
            self.assertEqual((found[each].status, found[each].because), (Status.SKIPPED, probe), each)

    def assert_found(self, found: dict[str, Finding], probe: str, status: Status, english: str, chinese: str) -> None:
        self.assertEqual(found[probe].status, status, found[probe])
        self.assertIn(english, found[probe].message)
        self.assertIn(chinese, found[probe].message.chinese)

    @contextlib.contextmanager
    def publishing(self, *messages: tuple[str, str], qos: int = 1) -> Iterator[None]:
        """Publish these over and over meanwhile."""
        assert self.broker is not None
        port, enough = self.broker.port, threading.Event()

        def publish() -> None:
            while not enough.wait(0.02):
                load.publish(port, messages, qos)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()

    def set_global(self, name: str, value: object) -> None:
        """A variable of the shared database, until the test's end."""
        before = self.database.query(f"SELECT @@GLOBAL.{name}")[0][0]
        self.addCleanup(self.database.query, f"SET GLOBAL {name}=%s", (before,))
        self.database.query(f"SET GLOBAL {name}=%s", (value,))


class BrokerTests(CheckTestCase):
    async def test_all_is_well(self) -> None:
        self.start_broker()
        with self.publishing(("devices/d1/data", "{}")):
            found = await self.look(listen=LISTEN)
        self.assertEqual({each.status for each in found.values()} & {Status.ERROR, Status.SKIPPED}, set(), found)
        for probe in ("broker.delivery", "broker.subscribe", "devices.unknown", "devices.qos", "database.rights"):
            self.assertEqual(found[probe].status, Status.OK, found[probe])
        for probe in ("broker.limits", "local.service", "service.twins", "devices.timeout"):
            self.assertEqual(found[probe].status, Status.UNKNOWN, found[probe])
        self.assert_found(found, "broker.protocol", Status.WARNING, "older than 2.0.15", "早于 2.0.15")
        # Nobody has seen it come and go under the name of the service.
        assert self.broker is not None
        log = self.broker.log_tail(1000)
        self.assertEqual(log.count("as aiot-check-"), 2)
        self.assertNotIn("as service", log)
        self.assertNotIn("closed its connection", log)

    async def test_a_broker_that_cannot_be_reached(self) -> None:
        after = ("broker.tls", "broker.login", "broker.subscribe", "broker.delivery", "devices.qos")
        port = str(free_port())
        found = await self.look(MQTT_BROKER="127.0.0.1", MQTT_PORT=port)
        self.assert_cause(found, "broker.reach", "refuses the connection", "拒绝连接", *after)
        found = await self.look(MQTT_BROKER="no-such-host.invalid")
        self.assert_cause(found, "broker.reach", "no address is known", "找不到主机", *after)

    async def test_servers_that_do_not_answer(self) -> None:
        """A frozen peer, or a network that loses everything."""
        self.patch(broker_probe, "TIMEOUT", 0.5)
        self.patch(database_probe, "TIMEOUT", 0.5)
        broker = self.start_broker()
        with Relay(broker.port) as to_broker, Relay(self.database.port) as to_database:
            to_broker.cut()
            to_database.cut()
            found = await self.look(MQTT_PORT=str(to_broker.port), DB_PORT=str(to_database.port))
        self.assert_found(found, "broker.reach", Status.ERROR, "no answer within", "秒内无应答")
        self.assert_found(found, "database.reach", Status.ERROR, "does not answer within", "无应答")
        self.assertEqual(found["database.login"].because, "database.reach")
        self.assertEqual(found["devices.unknown"].because, "broker.reach")

    async def test_something_else_listens_there(self) -> None:
        self.start_broker()
        found = await self.look(MQTT_PORT=str(self.database.port))
        self.assert_cause(found, "broker.reach", "does not answer as a broker does", "没有按 MQTT 应答", "broker.login")

    async def test_a_login_that_is_refused(self) -> None:
        after = ("broker.subscribe", "broker.delivery", "broker.loss", "devices.qos")
        passwords = self.folder / "passwords"
        argv = [*Mosquitto().client_argv("mosquitto_passwd"), "-c", "-b", str(passwords), "aiot", "right"]
        await deferToThread(subprocess.run, argv, check=True, capture_output=True)
        self.start_broker("allow_anonymous false", f"password_file {passwords}")
        found = await self.look()
        self.assert_cause(found, "broker.login", "not authorised (5)", "未授权（5）", *after)
        self.assertIn("匿名", found["broker.login"].remedy.chinese if found["broker.login"].remedy else "")
        found = await self.look(MQTT_USERNAME="aiot", MQTT_PASSWORD="wrong")
        self.assert_cause(found, "broker.login", "refuses the login", "拒绝登录", *after)
        self.assertEqual(
            (await self.look(MQTT_USERNAME="aiot", MQTT_PASSWORD="right"))["broker.login"].status, Status.OK
        )

    async def test_an_acl_that_grants_and_does_not_deliver(self) -> None:
        acl = self.folder / "acl"
        acl.write_text("topic write devices/#\n")
        acl.chmod(0o700)
        self.start_broker(f"acl_file {acl}")
        with self.publishing(("devices/d1/data", "{}")):
            found = await self.look(listen=LISTEN)
        self.assertEqual(found["broker.subscribe"].status, Status.OK)
        self.assert_found(
            found, "broker.delivery", Status.WARNING, "although every subscription was", "虽然订阅都被允许"
        )
        self.assertIn("topic read devices/+/data", str(found["broker.delivery"].remedy))
        self.assert_found(found, "broker.loss", Status.UNKNOWN, "$SYS cannot be read", "读不到 $SYS")

    async def test_the_status_topic_of_several_instances(self) -> None:
        acl = self.folder / "acl"
        acl.write_text("topic readwrite devices/#\ntopic read aiot-mqtt/#\n")
        acl.chmod(0o700)
        self.start_broker(f"acl_file {acl}")
        self.assertNotIn("broker.standby", await self.look(only=["broker"]))
        found = await self.look(only=["broker"], HA_MODE="standby")
        self.assert_found(found, "broker.standby", Status.ERROR, "does not come back", "没有返回")
        self.assertIn("topic readwrite aiot-mqtt/service/active", str(found["broker.standby"].remedy))
        self.start_broker()
        found = await self.look(only=["broker"], HA_MODE="standby", HA_TOPIC="status/of/mine")
        self.assert_found(found, "broker.standby", Status.OK, "status/of/mine comes back", "status/of/mine")

    async def test_a_broker_that_tells_its_version_and_not_what_it_drops(self) -> None:
        acl = self.folder / "acl"
        acl.write_text("topic read $SYS/broker/version\ntopic readwrite devices/#\n")
        acl.chmod(0o700)
        self.start_broker(f"acl_file {acl}")
        found = await self.look()
        self.assert_found(found, "broker.loss", Status.UNKNOWN, "says nothing of drops", "目前没有丢弃数")
        self.assertIn("2.0.11", str(found["broker.loss"].remedy))

    async def test_a_subscription_that_is_denied(self) -> None:
        roles = self.folder / "roles.json"
        acls = [{"acltype": "subscribePattern", "topic": "devices/+/data", "allow": True}]
        document = {
            "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": False},
            "roles": [{"rolename": "reader", "acls": acls}],
            "groups": [{"groupname": "all", "roles": [{"rolename": "reader"}]}],
            "anonymousGroup": "all",
        }
        roles.write_text(json.dumps(document))
        roles.chmod(0o644)
        plugin = next(servers.TREES.glob("bookworm/usr/lib/*/mosquitto_dynamic_security.so"))
        self.start_broker(f"plugin {plugin}", f"plugin_opt_config_file {roles}")
        found = await self.look(listen=LISTEN)
        self.assert_cause(
            found, "broker.subscribe", "denies the subscription to devices/+/", "拒绝订阅 devices/+/", "broker.delivery"
        )

    @only_in_all(OTHER_WAYS)
    async def test_what_the_broker_allows_less_of(self) -> None:
        self.start_broker("max_qos 0", "max_packet_size 1000")
        found = await self.look()
        self.assert_found(found, "broker.subscribe", Status.WARNING, "QoS 0 only", "只允许以 QoS 0")
        self.assertEqual(found["broker.grants"].status, Status.WARNING)

    async def test_an_old_version_of_the_protocol(self) -> None:
        self.start_broker()
        found = await self.look(MQTT_PROTOCOL="3.1.1")
        self.assert_found(found, "broker.protocol", Status.WARNING, "only MQTT 3.1.1", "只能用 MQTT 3.1.1")
        self.assertEqual(found["database.throughput"].values["window"], 20)
        self.assertEqual(found["database.throughput"].values["rate"], 4000)

    @only_in_all(OTHER_WAYS)
    async def test_a_broker_that_drops(self) -> None:
        broker = self.start_broker("max_queued_messages 1", "sys_interval 1")
        idle = ("-i", "idle", "-c", "-q", "1", "-t", "devices/#", "-E")
        argv = [*broker.client_argv("mosquitto_sub"), "-h", broker.host, "-p", str(broker.port), *idle]
        await deferToThread(subprocess.run, argv, check=True, capture_output=True)
        await deferToThread(load.publish, broker.port, [("devices/d1/data", "{}")] * 100)
        found: dict[str, Finding] = {}
        while not found or found["broker.loss"].status is Status.OK:  # until the broker tells
            found = await self.look(only=["broker"])
        self.assertIn(found["broker.loss"].status, (Status.ERROR, Status.WARNING))
        self.assertIn("max_queued_messages", str(found["broker.loss"].remedy))

    async def test_a_connection_that_ends_while_listening(self) -> None:
        broker = self.start_broker()
        result = Deferred.fromCoroutine(self.look(only=["broker"], listen=60))

        await eventually(
            lambda: "devices/+/heartbeat" in broker.log_tail(1000) or broker.log_tail(99).count("aiot-ch") > 1
        )
        await deferToThread(broker.kill)
        self.assert_cause(await result, "broker.delivery", "the connection ended", "连接中断")


class CertificateTests(CheckTestCase):
    def issue(self, authority: Authority, **changed: Any) -> Issued:
        return authority.issue("server", **{"names": alternatives("localhost"), "ends": FORTY_DAYS, **changed})

    async def test_certificates_of_the_broker(self) -> None:
        authority, stranger = Authority(), Authority("Stranger CA")
        authority.write(self.folder / "ca.pem")
        for name, issued, probe, status, english, chinese in (
            ("good", self.issue(authority), "broker.certificate", Status.OK, "39 days", "39 天"),
            (
                "ends",
                self.issue(authority, ends=49 * HOUR),
                "broker.certificate",
                Status.WARNING,
                "in 2 days",
                "2 天后过期",
            ),
            (
                "past",
                self.issue(authority, starts=-3 * HOUR, ends=-HOUR),
                "broker.tls",
                Status.ERROR,
                "expired",
                "过期",
            ),
            (
                "else",
                self.issue(authority, names=alternatives("b.test")),
                "broker.tls",
                Status.ERROR,
                "b.test",
                "b.test",
            ),
            ("who", self.issue(stranger), "broker.tls", Status.ERROR, "Stranger CA", "不受信任"),
        ):
            certificate, key = issued.write(self.folder, name)
            self.start_broker(f"certfile {certificate}", f"keyfile {key}")
            found = await self.look(
                only=["broker"], MQTT_BROKER="localhost", MQTT_TLS="true", MQTT_CA_FILE=str(self.folder / "ca.pem")
            )
            self.assert_found(found, probe, status, english, chinese)
            if status is Status.ERROR:
                self.assertEqual(found["broker.login"].because, "broker.tls")

    @only_in_all(OTHER_WAYS)
    async def test_a_broker_that_wants_a_certificate_of_ours(self) -> None:
        authority = Authority()
        ca = self.folder / "ca.pem"
        authority.write(ca)
        certificate, key = self.issue(authority).write(self.folder, "server")
        self.start_broker(f"certfile {certificate}", f"keyfile {key}", f"cafile {ca}", "require_certificate true")
        settings: dict[str, Any] = {"MQTT_BROKER": "localhost", "MQTT_TLS": "true", "MQTT_CA_FILE": str(ca)}
        found = await self.look(only=["broker"], **settings)
        self.assert_cause(found, "broker.tls", "wants a client certificate", "要求客户端证书", "broker.login")
        self.assertIn("MQTT_CERT_FILE", found["broker.tls"].remedy or "")
        ours = authority.issue("client", purpose=CLIENT, ends=49 * HOUR).write(self.folder, "client")
        settings |= {"MQTT_CERT_FILE": str(ours[0]), "MQTT_KEY_FILE": str(ours[1])}
        found = await self.look(only=["broker"], **settings)
        self.assert_found(found, "broker.certificate", Status.WARNING, "our certificate", "本服务用于 Broker 的证书")
        (self.folder / "client.pem").write_text("no certificate")
        found = await self.look(only=["broker"], **settings)
        self.assert_cause(found, "local.settings", "MQTT_CERT_FILE", "MQTT_CERT_FILE", "broker.reach")

    @only_in_all(OTHER_WAYS)
    async def test_certificates_of_the_database(self) -> None:
        authority, stranger = Authority(), Authority("Stranger CA")
        for each, name in ((authority, "ca"), (stranger, "stranger")):
            each.write(self.folder / f"{name}.pem")
        self.start_broker()
        soon = self.issue(authority, ends=49 * HOUR).write(self.folder, "server")
        with MariaDB(settings=[f"--ssl-cert={soon[0]}", f"--ssl-key={soon[1]}"]) as database:
            database.create_device_table()
            database.grant()
            for ca, host, probe, status, text in (
                ("ca", "localhost", "database.certificate", Status.WARNING, "2 天后过期"),
                ("stranger", "localhost", "database.tls", Status.ERROR, "不受信任"),
                ("ca", "127.0.0.1", "database.tls", Status.ERROR, "不是本主机的证书"),
            ):
                found = await self.look(
                    only=["database"], database=database,
                    DB_HOST=host, DB_TLS="true", DB_CA_FILE=str(self.folder / f"{ca}.pem"),
                )  # fmt: skip
                self.assert_found(found, probe, status, "", text)
        found = await self.look(only=["database"], DB_TLS="true", DB_HOST="localhost")
        self.assert_cause(found, "database.tls", "offers no TLS", "不提供TLS", "database.login")


class DatabaseTests(CheckTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_broker()

    async def look_at_database(self, **changed: Any) -> dict[str, Finding]:
        return await self.look(only=["database"], **changed)

    def set_last_seen(self, **ago: float) -> None:
        self.database.query(
            "UPDATE device_main SET last_seen = %s",
            (datetime.now(SHANGHAI).replace(tzinfo=None) - timedelta(**ago),),
        )

    async def test_a_login_that_is_refused(self) -> None:
        after = ("database.table", "database.rights", "database.timezone", "database.writable")
        found = await self.look(DB_PASSWORD="wrong")
        self.assert_cause(
            found, "database.login", "refuses 'aiot'@'127.0.0.1' (1045)", "拒绝登录：'aiot'@'127.0.0.1'（1045）",
            *after, "devices.unknown",
        )  # fmt: skip
        self.assertEqual(found["database.login"].values["seen_from"], "127.0.0.1")
        found = await self.look_at_database(DB_USER='it\'s "me"')
        self.assert_cause(found, "database.login", "'it's \"me\"'@'127.0.0.1'", "'it's \"me\"'@'127.0.0.1'", *after)
        self.database.query("CREATE USER 'there'@'192.0.2.1' IDENTIFIED BY 'p'", database=None)
        self.addCleanup(self.database.query, "DROP USER 'there'@'192.0.2.1'", (), None)
        found = await self.look_at_database(DB_USER="there", DB_PASSWORD="p")
        self.assert_cause(found, "database.login", "'there'@'127.0.0.1'", "'there'@'127.0.0.1'", *after)
        found = await self.look_at_database(DB_NAME="elsewhere")
        self.assert_cause(found, "database.login", "no database elsewhere", "看不到数据库 elsewhere", *after)

    async def test_other_ways_to_be_refused(self) -> None:
        user = "'socket'@'127.0.0.1'"
        self.database.query(f"CREATE USER {user} IDENTIFIED VIA unix_socket", database=None)
        self.addCleanup(self.database.query, f"DROP USER {user}", (), None)
        found = await self.look_at_database(DB_USER="socket")
        self.assert_cause(found, "database.login", "(1698)", "不能用密码经 TCP 登录（1698）", "database.table")
        self.database.query("ALTER USER 'aiot'@'%' WITH MAX_USER_CONNECTIONS 1", database=None)
        self.addCleanup(self.database.query, "ALTER USER 'aiot'@'%' WITH MAX_USER_CONNECTIONS 0", (), None)
        one = pymysql.connect(
            host=self.database.host, port=self.database.port, user=self.database.service_user,
            password=self.database.service_password.encode(),
        )  # fmt: skip
        self.addCleanup(one.close)
        found = await self.look_at_database()
        self.assert_cause(
            found, "database.login", "no connection left (1226)", "没有空闲连接（1226）", "database.table"
        )

    async def test_a_database_that_cannot_be_reached(self) -> None:
        after = ("database.tls", "database.login", "database.table", "database.rights")
        found = await self.look_at_database(DB_PORT=str(free_port()))
        self.assert_cause(found, "database.reach", "refuses the connection", "拒绝连接", *after)
        found = await self.look_at_database(DB_HOST="no-such-host.invalid")
        self.assert_cause(found, "database.reach", "no address is known", "找不到主机", *after)

    async def test_times_of_another_zone(self) -> None:
        self.set_last_seen(seconds=2)
        found = await self.look_at_database()
        self.assertEqual(found["database.timezone"].status, Status.OK)
        found = await self.look_at_database(DB_TIMEZONE="UTC")
        self.assert_cause(found, "database.timezone", "8 hours ahead of now", "比现在晚约 8 小时")
        self.assertIn(
            "不要启动", found["database.timezone"].remedy.chinese if found["database.timezone"].remedy else ""
        )
        self.set_last_seen(hours=8)
        # Nothing comes, so they may just as well be old.
        found = await self.look_at_database()
        self.assert_found(found, "database.timezone", Status.WARNING, "8 hours behind", "早约 8 小时")
        with self.publishing(("devices/d1/data", "{}")):
            found = await self.look(listen=LISTEN)
        self.assert_cause(found, "database.timezone", "8 hours behind", "早约 8 小时")
        self.set_last_seen(hours=8, minutes=10)
        self.assertEqual((await self.look_at_database())["database.timezone"].status, Status.UNKNOWN)
        self.set_last_seen(minutes=-20)
        found = await self.look_at_database()
        self.assert_found(found, "database.timezone", Status.WARNING, "in the future", "晚于现在")
        self.database.query("UPDATE device_main SET last_seen = NULL")
        self.assertEqual((await self.look_at_database())["database.timezone"].status, Status.UNKNOWN)

    async def test_one_row_from_the_future_is_no_zone(self) -> None:
        self.database.add_devices(f"n{number}" for number in range(10))
        self.set_last_seen(seconds=1)
        self.database.query("UPDATE device_main SET last_seen = last_seen + INTERVAL 8 HOUR WHERE uuid = 'n1'")
        found = await self.look_at_database()
        self.assert_found(found, "database.timezone", Status.WARNING, "in the future", "晚于现在")

    async def test_a_table_that_is_not_as_it_should_be(self) -> None:
        after = ("database.rights", "database.uuid_index", "database.buffer_pool")
        for statement, words, chinese in (
            ("ALTER TABLE device_main DROP last_heartbeat", "lacks the column last_heartbeat", "没有列 last_heartbeat"),
            ("DROP TABLE device_main", "no table device_main", "没有"),
        ):
            self.database.query(statement)
            self.assert_cause(await self.look_at_database(), "database.table", words, chinese, *after)
        self.database.create_device_table()
        self.database.grant()
        self.database.query("ALTER TABLE device_main MODIFY last_seen int")
        found = await self.look_at_database()
        self.assert_cause(found, "database.table", "holds no date with a time", "last_seen", "database.timezone")
        found = await self.look_at_database(DB_TABLE="another")
        self.assert_cause(found, "database.table", "no table another", "another", *after)

    async def test_an_index_that_is_missing(self) -> None:
        self.database.query("ALTER TABLE device_main DROP INDEX uk_device_main_uuid")
        self.assert_cause(await self.look_at_database(), "database.uuid_index", "has no index", "没有索引")
        self.database.query("ALTER TABLE device_main ADD INDEX (uuid)")
        found = await self.look_at_database()
        self.assert_found(found, "database.uuid_index", Status.WARNING, "not unique", "不唯一")

    async def test_a_view(self) -> None:
        self.database.query("CREATE OR REPLACE VIEW device_view AS SELECT * FROM device_main")
        self.addCleanup(self.database.query, "DROP VIEW device_view")
        self.database.grant(table="device_view")
        found = await self.look_at_database(DB_TABLE="device_view")
        for probe in ("database.uuid_index", "database.rights", "database.buffer_pool"):
            self.assertEqual(found[probe].status, Status.UNKNOWN, found[probe])

    async def test_rights(self) -> None:
        user = "'aiot'@'%%'"
        table = "aiot_admin.device_main"
        for statement, words in (
            (f"REVOKE UPDATE (is_online, last_seen) ON {table} FROM {user}", "UPDATE (last_seen), UPDATE (is_online)"),
            (f"REVOKE SELECT (device_status) ON {table} FROM {user}", "SELECT (device_status)"),
        ):
            self.database.query(statement.replace("%%", "%"), database=None)
            found = await self.look_at_database()
            self.assert_cause(
                found, "database.rights", words, words, *(["database.timezone"] if "SEL" in words else [])
            )
            self.assertIn("GRANT SELECT (id, uuid,", str(found["database.rights"].remedy))
            self.database.grant()
        self.database.revoke()
        found = await self.look_at_database()
        self.assertEqual([each.probe.id for each in found.values() if each.status is Status.ERROR], ["database.login"])
        self.database.grant()
        self.database.query(f"GRANT DELETE, SELECT (device_secret) ON {table} TO 'aiot'@'%'", database=None)
        self.addCleanup(self.database.revoke)
        found = await self.look_at_database()
        self.assert_found(found, "database.rights", Status.WARNING, "DELETE", "权限多于需要")
        self.assertIn("SELECT (device_secret)", found["database.rights"].message)
        self.assertNotIn("UPDATE", found["database.rights"].message)

    async def test_the_user_is_an_administrator(self) -> None:
        self.database.query("CREATE USER 'chief'@'127.0.0.1' IDENTIFIED BY 'r'", database=None)
        self.addCleanup(self.database.query, "DROP USER 'chief'@'127.0.0.1'", (), None)
        self.database.query("GRANT ALL ON *.* TO 'chief'@'127.0.0.1'", database=None)
        found = await self.look_at_database(DB_USER="chief", DB_PASSWORD="r")
        self.assert_found(found, "database.user", Status.WARNING, "chief@127.0.0.1", "权限过大")
        self.assertIn("TO 'chief'@'127.0.0.1'", str(found["database.rights"].remedy))

    async def test_a_server_that_may_not_write(self) -> None:
        self.set_global("read_only", 1)
        found = await self.look_at_database()
        self.assert_cause(
            found, "database.writable", "read-only (read_only=1)", "只读（read_only=1）", "database.rights"
        )
        self.assertEqual(found["database.uuid_index"].status, Status.OK)

    async def test_no_connections_are_left(self) -> None:
        self.set_global("max_connections", 10)
        found = await self.look_at_database(DB_POOL_SIZE="100")
        self.assert_found(
            found, "database.writable", Status.WARNING, "less than DB_POOL_SIZE=100", "不足 DB_POOL_SIZE=100"
        )

    async def test_a_connection_that_is_lost_meanwhile(self) -> None:
        self.patch(database_probe, "TIMEOUT", 0.5)
        with Relay(self.database.port) as relay:
            relay.cut_when(b"UTC_TIMESTAMP")
            found = await self.look_at_database(DB_PORT=str(relay.port))
        self.assert_cause(found, "database.reach", "ended while looking", "检查途中连接中断", "database.table")

    async def test_a_table_that_is_locked(self) -> None:
        self.patch(database_probe, "LOCK_TIMEOUT", 1)
        other = self.database._connect()
        self.addCleanup(other.close)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLES device_main WRITE")
        found = await self.look_at_database()
        self.assert_cause(found, "database.table", "cannot be read: Lock wait", "读不了", "database.rights")

    async def test_clocks_differ(self) -> None:
        self.set_global("init_connect", "SET timestamp=1700000000")
        found = await self.look_at_database()
        self.assert_found(found, "database.clock", Status.WARNING, "differ by", "时钟相差")

    async def test_what_a_commit_is_worth(self) -> None:
        self.assertEqual((await self.look_at_database())["database.commit"].status, Status.OK)
        for value, chinese in ((2, "断电"), (0, "进程崩溃")):
            self.set_global("innodb_flush_log_at_trx_commit", value)
            found = await self.look_at_database()
            self.assert_found(found, "database.commit", Status.WARNING, f"trx_commit={value}", chinese)

    async def test_words_in_a_comment(self) -> None:
        self.database.query(
            "ALTER TABLE device_main MODIFY device_status varchar(20) NOT NULL COMMENT '状态: pending, online/offline'"
        )
        found = await self.look_at_database()
        self.assert_found(found, "database.status_values", Status.WARNING, "pending, online, offline", "列注释列出")
        self.assertEqual(str(found["database.status_values"].remedy), "DEVICE_STATUS_VALUES=pending,online,offline")
        found = await self.look_at_database(DEVICE_STATUS_VALUES="pending,online")
        self.assertEqual(found["database.status_values"].status, Status.OK)

    async def test_nothing_is_written_and_nothing_stays_open(self) -> None:
        log = self.folder / "general.log"
        self.set_global("general_log_file", str(log))
        self.set_global("general_log", 1)
        with self.publishing(("devices/d1/data", "{}")):
            await self.look(listen=LISTEN)
        self.database.query("SET GLOBAL general_log=0")
        said = log.read_text()
        self.assertEqual(said.count("Connect\taiot@"), 1)
        self.assertIn("START TRANSACTION READ ONLY", said)
        self.assertNotRegex(said, r"Query\t(UPDATE|INSERT|DELETE|REPLACE|ALTER|CREATE|COMMIT)")

    @only_in_all(OTHER_WAYS)
    async def test_a_large_table(self) -> None:
        columns = "uuid, device_id, name, device_secret"
        self.database.query(
            f"INSERT INTO device_main ({columns}) SELECT seq, seq, seq, REPEAT('x', 250) FROM seq_1_to_120000"
        )
        self.database.query("ANALYZE TABLE device_main")
        found = await self.look_at_database()
        self.assert_found(found, "database.last_seen_index", Status.WARNING, "last_seen no index", "没有索引")
        self.assert_found(found, "database.buffer_pool", Status.WARNING, "large for the buffer pool", "偏大")
        self.database.query("ALTER TABLE device_main ADD INDEX (is_online, last_seen)")
        self.assertEqual((await self.look_at_database())["database.last_seen_index"].status, Status.OK)


@only_in_all(OTHER_SERVERS)
class MySQLTests(CheckTestCase):
    flavour = "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")

    async def test_rights_table_and_binary_log(self) -> None:
        self.start_broker(version="2.1")
        with self.publishing(*[("devices/d1/data", "{}")] * 50):
            found = await self.look(listen=LISTEN)
        self.assertEqual([each for each in found.values() if each.status is Status.ERROR], [])
        self.assertEqual(found["database.rights"].status, Status.OK)
        self.assertEqual(found["broker.protocol"].status, Status.OK)
        self.assertGreater(found["database.binlog"].values["gigabytes"], 0)
        self.set_global("sync_binlog", 0)
        found = await self.look(only=["database"])
        self.assert_found(found, "database.commit", Status.WARNING, "sync_binlog=0", "sync_binlog=0")
        self.database.query("REVOKE UPDATE (is_online) ON aiot_admin.device_main FROM 'aiot'@'%'", database=None)
        found = await self.look(only=["database"])
        self.assert_cause(found, "database.rights", "UPDATE (is_online)", "UPDATE (is_online)")

    async def test_a_password_that_would_go_under_a_key_from_the_network(self) -> None:
        """The server has forgotten the account's password, and wants it whole."""
        self.start_broker(version="2.1")
        self.database.query("FLUSH PRIVILEGES", database=None)
        self.patch(link, "is_loopback", lambda _host: False)  # which tests do not leave
        found = await self.look(only=["database"])
        after = ("database.table", "database.user")
        self.assert_cause(found, "database.login", "the password was not sent", "未发送密码", *after)
        self.assertIn("set DB_TLS, or DB_PUBLIC_KEY_FILE", str(found["database.login"].remedy))


@only_in_all(LONG_ROUND)
class GaleraTests(CheckTestCase):
    async def test_a_commit_is_worth_what_the_other_nodes_are(self) -> None:
        with Galera(settings=["--innodb-flush-log-at-trx-commit=2"]) as cluster:
            first, *others = cluster.nodes
            found = await self.look(only=["database"], database=first)
            self.assert_found(found, "database.commit", Status.OK, "every node of the cluster", "集群各节点")
            self.assertIn("wsrep_cluster_size=3", found["database.commit"].message)
            for node in others:
                await deferToThread(node.stop)
            await deferToThread(cluster.until_size, first, 1)
            found = await self.look(only=["database"], database=first)
            self.assert_found(found, "database.commit", Status.WARNING, "a power cut there loses", "断电")


class DeviceTests(CheckTestCase):
    async def test_devices_that_have_no_row(self) -> None:
        self.start_broker()
        with self.publishing(("devices/d1/data", "{}"), ("devices/nobody/data", "{}"), ("devices/D1/status", "{}")):
            found = await self.look(listen=LISTEN)
        self.assert_found(found, "devices.unknown", Status.WARNING, "1 uuids have no row (such as nobody)", "如 nobody")

    async def test_messages_at_qos_0(self) -> None:
        self.start_broker()
        with self.publishing(("devices/d1/data", "{}"), qos=0):
            found = await self.look(listen=LISTEN)
        self.assert_found(found, "devices.qos", Status.WARNING, "100% of the messages are QoS 0", "100% 的消息是 QoS 0")
