"""Heartbeats that need no write, by what the database server itself counts: rows changed, and bytes of binary log."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.settings import Settings
from rig import servers
from rig.selection import OTHER_SERVERS, only_in_all
from tests.eventually import eventually
from tests.integration.test_service import ServiceMixin

RESOLUTION = 60
NOON = 1_795_406_400.0  # 2026-11-23 12:00:00 in Shanghai


class ResolutionTests(ServiceMixin):
    def setUp(self) -> None:
        super().setUp()
        self.wall = NOON
        self.received = 0
        self.database.add_device("a")

    def make_service(self, **settings: Any) -> AiotMqttService:
        plain = super().make_service(last_seen_resolution=RESOLUTION, heartbeat_timeout=300, **settings)
        chosen: Settings = plain._settings
        return AiotMqttService(chosen, reactor, wall_clock=lambda: self.wall)

    def changes(self) -> tuple[int, int]:
        """Rows that were changed, and the length of the binary log."""
        ((_, rows),) = self.database.query("SHOW GLOBAL STATUS LIKE 'Handler_update'")
        ((_, has_binlog),) = self.database.query("SHOW VARIABLES LIKE 'log_bin'")
        logs = self.database.query("SHOW BINARY LOGS") if has_binlog == "ON" else []
        return int(rows), sum(int(log[1]) for log in logs)

    async def send(self, service: AiotMqttService, *messages: tuple[str, str]) -> tuple[int, int]:
        """Publish, and return once the broker has every acknowledgement; says what that changed in the database."""
        before = self.changes()
        self.received += len(messages)
        await self.publish(*messages)
        await eventually(lambda: service.counters.received == self.received and not service.writer.unacknowledged)
        await eventually(lambda: not service.writer.deliveries)
        rows, log = (after - earlier for earlier, after in zip(before, self.changes(), strict=True))
        return rows, log

    def assert_sum(self, service: AiotMqttService, *, unchanged: int) -> None:
        counters = service.counters
        self.assertEqual(counters.unchanged, unchanged)
        balance = counters.balance(service.writer.deliveries)
        self.assertEqual(balance.difference, 0, balance)
        self.assertEqual(balance.outcomes["refused"], 0)

    async def test_a_heartbeat_within_the_resolution_is_acknowledged_and_changes_no_row(self) -> None:
        service = await self.start_service()
        heartbeat = ("devices/a/heartbeat", "")
        rows, _ = await self.send(service, heartbeat)
        self.assertEqual(rows, 1)
        before = self.database.row("a")
        for step in (0, 1, 58):
            self.wall += step
            self.assertEqual(await self.send(service, heartbeat, heartbeat), (0, 0))
        self.assertEqual(self.database.row("a"), before)
        self.assert_sum(service, unchanged=6)
        self.wall += 1
        rows, _ = await self.send(service, heartbeat)
        self.assertEqual(rows, 1)
        self.assertEqual(f"{self.database.row('a')['last_heartbeat']}", "2026-11-23 12:01:00")
        self.assert_sum(service, unchanged=6)

    async def test_data_and_status_are_always_written(self) -> None:
        service = await self.start_service()
        await self.send(service, ("devices/a/heartbeat", ""))
        for number in range(3):
            self.wall += 1
            rows, _ = await self.send(service, ("devices/a/data", f'{{"n": {number}}}'))
            self.assertEqual((rows, self.written("a")["last_report_data"]), (1, {"n": number}))
            rows, _ = await self.send(service, ("devices/a/status", f'{{"status": "s{number}"}}'))
            self.assertEqual((rows, self.written("a")["device_status"]), (1, f"s{number}"))
        self.assertEqual(f"{self.database.row('a')['last_seen']}", "2026-11-23 12:00:03")
        self.assertEqual(await self.send(service, ("devices/a/heartbeat", "")), (0, 0))
        self.assert_sum(service, unchanged=1)

    async def test_a_heartbeat_after_a_status_offline_is_written(self) -> None:
        service = await self.start_service()
        await self.send(service, ("devices/a/heartbeat", ""))
        await self.send(service, ("devices/a/status", "offline"))
        self.assertEqual(self.written("a")["is_online"], 0)
        rows, _ = await self.send(service, ("devices/a/heartbeat", ""))
        self.assertEqual((rows, self.written("a")["is_online"]), (1, 1))
        self.assert_sum(service, unchanged=0)

    async def test_after_a_restart_the_first_is_written(self) -> None:
        for _ in range(2):
            service = await self.start_service()
            self.received = 0
            self.wall += 1
            rows, _ = await self.send(service, ("devices/a/heartbeat", ""))
            self.assertEqual(rows, 1)
            await self.stop_service(service)  # type: ignore[misc]

    async def test_a_device_without_a_row_stays_unknown_until_it_has_one(self) -> None:
        service = await self.start_service()
        for _ in range(2):
            self.assertEqual((await self.send(service, ("devices/late/heartbeat", "")))[0], 0)
        self.assertEqual(service.counters.refused, {"unknown_device": 2})
        self.database.add_device("late")
        rows, _ = await self.send(service, ("devices/late/heartbeat", ""))
        self.assertEqual((rows, self.written("late")["is_online"]), (1, 1))


class Mosquitto20WithMariaDBTests(ResolutionTests, TestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21WithMySQLTests(ResolutionTests, TestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")
