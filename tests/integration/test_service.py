"""The whole path, from a device's PUBLISH to its row, in this process: brokers and databases are real."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent
from twisted.trial.unittest import TestCase

from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.telemetry import log_lines
from rig import load, servers
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import Mosquitto
from tests.eventually import eventually
from tests.log_events import collect_events
from tests.store_contract import Mixin

WRITTEN = ("last_report_data", "device_status", "last_seen", "last_heartbeat", "is_online")


class ServiceMixin(Mixin):
    broker_version: ClassVar[str]
    flavour: ClassVar[str]
    broker_settings: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.database = servers.shared_database(self.flavour)
        self.broker = self.make_broker()
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.spools = (str(self.folder / f"spool-{number}") for number in range(1000))
        self.events = collect_events(self)

    def make_broker(self) -> Any:
        return Mosquitto(self.broker_version, settings=self.broker_settings)

    def make_service(self, **settings: Any) -> AiotMqttService:
        chosen: dict[str, Any] = {
            "mqtt_broker": self.broker.host,
            "mqtt_port": self.broker.port,
            "db_host": self.database.host,
            "db_port": self.database.port,
            "db_user": self.database.service_user,
            "db_password": Secret(self.database.service_password),
            "spool_file": next(self.spools),
            "stats_interval": 0,
            "http_listen": None,
            **settings,
        }
        return AiotMqttService(Settings(**chosen), reactor)

    async def start_service(self, **settings: Any) -> AiotMqttService:
        """A service that has its subscriptions and its table."""
        service = self.make_service(**settings)
        service.startService()
        self.addCleanup(self.stop_service, service)
        before = self.count(log_lines.STARTED)
        await self.said(log_lines.STARTED, before + 1)
        await eventually(lambda: service.writer._table.is_current)
        return service

    def stop_service(self, service: AiotMqttService) -> Deferred[None] | None:
        return service.stopService() if service.running else None

    def count(self, line: str) -> int:
        return sum(event.get("log_format") == line for event in self.events)

    async def said(self, line: str, times: int = 1) -> LogEvent:
        await eventually(lambda: self.count(line) >= times)
        return [event for event in self.events if event.get("log_format") == line][-1]

    async def publish(self, *messages: tuple[str, str], qos: int = 1) -> None:
        await deferToThread(load.publish, self.broker.port, messages, qos)

    async def settled(self, service: AiotMqttService, received: int) -> None:
        """Everything that was received is in the table, or was refused."""
        await eventually(lambda: service.counters.received >= received and not service.writer.deliveries)
        balance = service.counters.balance(service.writer.deliveries)
        self.assertEqual(balance.difference, 0, balance)

    async def stored(self, service: AiotMqttService, messages: int) -> None:
        await eventually(lambda: service.counters.stored == messages)

    def written(self, uuid: str) -> dict[str, Any]:
        row = self.database.row(uuid)
        document = row["last_report_data"]
        return {name: row[name] for name in WRITTEN} | {"last_report_data": document and json.loads(document)}

    def dump(self) -> Any:
        """Everything in the table but the columns the service may write."""
        rows = self.database.query("SELECT * FROM device_main ORDER BY id")
        names = [row[0] for row in self.database.query("SHOW COLUMNS FROM device_main")]
        kept = [index for index, name in enumerate(names) if name not in (*WRITTEN, "updated_at")]
        return [[row[index] for index in kept] for row in rows], self.database.query("SHOW TABLES")


class MessageTests(ServiceMixin):
    """What each message does."""

    async def test_data_sets_report_last_seen_and_online(self) -> None:
        self.database.add_device("a")
        service = await self.start_service()
        await self.publish(("devices/a/data", '{"temperature": 25.5}'))
        await self.settled(service, 1)
        row = self.written("a")
        self.assertEqual(
            (row["last_report_data"], row["device_status"], row["is_online"]), ({"temperature": 25.5}, "pending", 1)
        )
        self.assertIsNotNone(row["last_seen"])
        self.assertIsNone(row["last_heartbeat"])

    async def test_status_sets_report_status_last_seen_and_presence(self) -> None:
        self.database.add_devices(["a", "b", "c", "d"])
        service = await self.start_service()
        await self.publish(
            ("devices/a/status", '{"status": "active", "rssi": -60}'),
            ("devices/b/data", "{}"),
            ("devices/b/status", "OFFLINE"),
            ("devices/c/status", '{"rssi": 1}'),
            ("devices/d/status", '"sleeping"'),
        )
        await self.settled(service, 5)
        rows = {uuid: self.written(uuid) for uuid in "abcd"}
        self.assertEqual(
            {uuid: (row["last_report_data"], row["device_status"], row["is_online"]) for uuid, row in rows.items()},
            {
                "a": ({"status": "active", "rssi": -60}, "active", 1),
                "b": ({"status": "OFFLINE"}, "OFFLINE", 0),
                "c": ({"rssi": 1}, "pending", 1),
                "d": ({"status": "sleeping"}, "sleeping", 1),
            },
        )

    async def test_heartbeat_is_never_parsed_and_leaves_the_report(self) -> None:
        self.database.add_device("a", last_report_data='{"old": 1}', device_status="active")
        service = await self.start_service()
        await self.publish(("devices/a/heartbeat", ""), ("devices/a/heartbeat", "\x00\x01 not json"))
        await self.settled(service, 2)
        row = self.written("a")
        self.assertEqual((row["last_report_data"], row["device_status"], row["is_online"]), ({"old": 1}, "active", 1))
        self.assertEqual(row["last_seen"], row["last_heartbeat"])

    async def test_only_the_named_columns_of_the_named_rows_change(self) -> None:
        self.database.add_devices([f"d{number}" for number in range(20)])
        before = self.dump()
        service = await self.start_service()
        kinds = (("data", '{"a": 1}'), ("status", '{"status": "on"}'), ("heartbeat", ""), ("status", "offline"))
        await self.publish(*((f"devices/d{number}/{kind}", body) for number in range(10) for kind, body in kinds))
        await self.publish(("devices/ghost/data", "{}"), ("devices/d1/data", "broken"), ("other/d1/data", "{}"))
        await self.settled(service, 42)
        self.assertEqual(self.dump(), before)
        untouched = self.database.query(
            "SELECT COUNT(*) FROM device_main WHERE last_seen IS NULL AND is_online = 0 AND device_status = 'pending'"
        )
        self.assertEqual(untouched, [(10,)])

    async def test_an_unknown_device_is_said_once_and_served_once_it_is_added(self) -> None:
        service = await self.start_service()
        await self.publish(("devices/late/data", '{"n": 1}'), ("devices/late/data", '{"n": 2}'))
        await self.settled(service, 2)
        self.assertEqual((await self.said(log_lines.UNKNOWN_DEVICE))["device"], "late")
        self.assertEqual(self.count(log_lines.UNKNOWN_DEVICE), 1)
        self.database.add_device("late")
        await self.publish(("devices/late/data", '{"n": 3}'))
        await self.settled(service, 3)
        self.assertEqual(self.written("late")["last_report_data"], {"n": 3})

    async def test_a_device_rebound_to_another_row_under_load_gets_its_data_there(self) -> None:
        uuids = [f"d{number}" for number in range(50)]
        self.database.add_devices(uuids)
        self.database.add_device("spare", name="new hardware")
        service = await self.start_service()
        for number in range(40):
            if number == 20:
                self.database.query("UPDATE device_main SET uuid = 'retired' WHERE uuid = 'd7'")
                self.database.query("UPDATE device_main SET uuid = 'd7' WHERE uuid = 'spare'")
                stopped_at = json.loads(self.database.row("retired")["last_report_data"])["n"]
            await self.publish(*((f"devices/{uuid}/data", f'{{"n": {number}}}') for uuid in uuids))
        await self.settled(service, 2000)
        row = self.database.row("d7")
        self.assertEqual((row["name"], json.loads(row["last_report_data"])), ("new hardware", {"n": 39}))
        self.assertLess(json.loads(self.database.row("retired")["last_report_data"])["n"], 20)
        self.assertLessEqual(stopped_at, 19)

    async def test_bad_messages_cost_only_themselves_and_are_named(self) -> None:
        self.database.add_device("a")
        service = await self.start_service(mqtt_max_payload=1000)
        bad = [
            "",
            "[1]",
            "{",
            '{"a": NaN}',
            '{"a": 1e400}',
            '{"a": "\\ud800"}',
            "[" * 900,
            '{"a": "%s"}' % ("x" * 2000),
        ]
        await self.publish(*(("devices/a/data", body) for body in bad), ("devices/a/data", '{"good": 1}'))
        await self.settled(service, len(bad) + 1)
        self.assertEqual(self.written("a")["last_report_data"], {"good": 1})
        self.assertEqual(service.counters.refused["too_large"], 1)
        self.assertEqual(service.counters.refused.total(), len(bad))
        self.assertEqual((await self.said(log_lines.REPORT_REFUSED))["topic"], "devices/a/data")

    async def test_a_retained_message_changes_no_column_on_resubscribing(self) -> None:
        self.database.add_device("a")
        self.broker.pub("devices/a/status", "offline", retain=True)
        for protocol in ("5", "3.1.1"):
            service = await self.start_service(mqtt_protocol=protocol)
            await self.publish(("devices/a/data", '{"live": 1}'))
            await self.stored(service, 1)
            self.assertEqual(self.written("a")["is_online"], 1)
            # MQTT 5 can ask for none; 3.1.1 gets them, marked.
            self.assertEqual(service.counters.retained, 0 if protocol == "5" else 1)
            await self.stop_service(service)  # type: ignore[misc]

    async def test_device_status_values_and_its_length_are_kept_by(self) -> None:
        self.database.add_devices(["a", "b"])
        service = await self.start_service(device_status_values=frozenset({"active", "offline"}))
        await self.publish(
            ("devices/a/status", '{"status": "active"}'),
            ("devices/a/status", '{"status": "dancing", "n": 2}'),
            ("devices/b/status", json.dumps({"status": "x" * 21})),
        )
        await self.settled(service, 3)
        self.assertEqual(self.written("a")["device_status"], "active")
        self.assertEqual(self.written("a")["last_report_data"], {"status": "dancing", "n": 2})
        self.assertEqual(self.written("b")["device_status"], "pending")
        self.assertEqual(service.counters.status_ignored, 2)
        await self.said(log_lines.STATUS_IGNORED, 2)

    async def test_what_only_the_database_refuses_costs_only_itself(self) -> None:
        self.database.add_devices(f"d{number}" for number in range(200))
        self.database.query(
            "ALTER TABLE device_main ADD CONSTRAINT no_bad CHECK (device_status <> 'bad'),"
            " MODIFY last_report_data varchar(60) NULL"
        )
        service = await self.start_service()
        self.database.freeze()
        messages = [(f"devices/d{number}/data", f'{{"n": {number}}}') for number in range(200)]
        messages[50] = ("devices/d50/data", json.dumps({"long": "x" * 100}))
        messages[60] = ("devices/d60/status", '{"status": "bad"}')
        await self.publish(("devices/d0/data", "{}"), *messages)
        self.database.thaw()
        await self.settled(service, 201)
        self.assertEqual(service.counters.refused, {"refused_by_database": 1})
        self.assertEqual(self.written("d49")["last_report_data"], {"n": 49})
        self.assertEqual((self.written("d50")["last_report_data"], self.written("d50")["is_online"]), (None, 1))
        row = self.written("d60")
        self.assertEqual((row["last_report_data"], row["device_status"]), ({"status": "bad"}, "pending"))
        await self.said(log_lines.VALUE_REFUSED, 2)

    async def test_a_topic_of_an_old_subscription_is_acknowledged_counted_and_unsubscribed(self) -> None:
        self.database.add_device("a")
        service = await self.start_service(mqtt_topic_prefix="old")
        await self.stop_service(service)  # type: ignore[misc]
        service = await self.start_service()
        await self.publish(("old/a/data", "{}"))
        await self.said(log_lines.FOREIGN_TOPIC)
        await self.publish(("devices/a/data", '{"n": 1}'))
        await self.settled(service, 2)
        await self.publish(("old/a/data", "{}"), ("devices/a/data", '{"n": 2}'))
        await self.settled(service, 3)
        self.assertEqual(service.counters.refused, {"foreign_topic": 1})

    async def test_the_platforms_own_messages_are_not_ours(self) -> None:
        self.database.add_device("a")
        service = await self.start_service()
        await self.publish(("devices/a/control", '{"on": 1}'), ("devices/a/data/x", "{}"), ("devices/a/data", "{}"))
        await self.settled(service, 1)
        self.assertEqual(service.counters.received, 1)

    async def test_qos_0_is_stored_too(self) -> None:
        self.database.add_device("a")
        service = await self.start_service()
        await self.publish(("devices/a/data", '{"qos": 0}'), qos=0)
        await self.settled(service, 1)
        self.assertEqual(self.written("a")["last_report_data"], {"qos": 0})

    async def test_a_stopped_service_can_be_started_again(self) -> None:
        self.database.add_device("a")
        service = await self.start_service()
        await self.stop_service(service)  # type: ignore[misc]
        service.startService()
        await self.said(log_lines.MQTT_CONNECTED, 2)
        await self.publish(("devices/a/data", '{"again": 1}'))
        await self.settled(service, 1)
        self.assertEqual(self.written("a")["last_report_data"], {"again": 1})

    async def test_five_thousand_messages_a_few_of_them_for_one_row(self) -> None:
        uuids = [f"d{number}" for number in range(300)]
        self.database.add_devices(uuids)
        service = await self.start_service()
        messages = [(f"devices/{uuids[n % 300]}/{('data', 'status')[n % 2]}", f'{{"n": {n}}}') for n in range(5000)]
        await self.publish(*messages)
        await self.settled(service, 5000)
        last = {topic.split("/")[1]: json.loads(body) for topic, body in messages}
        self.assertEqual({uuid: self.written(uuid)["last_report_data"] for uuid in uuids}, last)


class Mosquitto20WithMariaDBTests(MessageTests, TestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21WithMySQLTests(MessageTests, TestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")
