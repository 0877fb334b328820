"""Several addresses of one table, on real servers: one is in use, and left for the next when it takes no writes."""

from __future__ import annotations

from typing import Any

import pymysql
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.check.database import open_database
from aiot_mqtt.check.findings import Findings, Status
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.spool.found import SpoolOwner
from aiot_mqtt.table import count
from aiot_mqtt.table.address import DatabaseAddress
from aiot_mqtt.table.connection import DatabaseConnection
from aiot_mqtt.table.contract import StoreConflict, StoreLoginRefused, StoreUnavailable, Written
from aiot_mqtt.table.mysql import DeviceTable
from aiot_mqtt.telemetry import log_lines
from rig import servers
from rig.servers import Database, MariaDB
from tests.log_events import collect_events
from tests.store_contract import make_update

_second: list[Database] = []


def second_database() -> Database:
    """A second server, for all tests here; what a test stops or freezes it must start or thaw."""
    if not _second:
        database = MariaDB()
        database.start()
        _second.append(database)
    _second[0].create_device_table()
    _second[0].grant()
    return _second[0]


def address_of(database: Database, port: int | None = None) -> DatabaseAddress:
    return DatabaseAddress(
        database.host, port or database.port, servers.DATABASE, database.service_user, servers.DEVICE_TABLE
    )


class SeveralAddressesTests(TestCase):
    def setUp(self) -> None:
        self.first, self.second = servers.shared_database("mariadb"), second_database()
        for database in (self.first, self.second):
            database.add_device("a")
            self.addCleanup(database.query, "SET GLOBAL read_only = 0")
        self.events = collect_events(self)

    def table(self, *addresses: DatabaseAddress, **arguments: Any) -> DeviceTable:
        table = DeviceTable(
            addresses[0], self.first.service_password, reactor, others=addresses[1:], pool_size=2, **arguments
        )
        table.startService()
        self.addCleanup(self.stop, table)
        return table

    def stop(self, table: DeviceTable) -> Deferred[None] | None:
        return table.stopService() if table.running else None

    def both(self) -> DeviceTable:
        return self.table(address_of(self.first), address_of(self.second))

    def connections(self, database: Database) -> int:
        sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s"
        return int(database.query(sql, (database.service_user,))[0][0])

    def written(self, database: Database) -> bool:
        return database.row("a")["last_seen"] is not None

    def lines(self, name: str) -> list[tuple[str, str]]:
        line = getattr(log_lines, name)
        events = [event for event in self.events if event.get("log_format") == line]
        return [(event["server"], event.get("reason", "")) for event in events]

    def server(self, database: Database) -> str:
        return f"{database.host}:{database.port}"

    async def test_the_first_that_may_be_written_to_is_used_and_told(self) -> None:
        table = self.both()
        await table.describe()
        self.assertEqual(await table.write([make_update("a")]), Written())
        self.assertTrue(self.written(self.first))
        self.assertEqual(self.connections(self.second), 0)
        self.assertEqual(self.lines("DATABASE_IN_USE"), [(self.server(self.first), "")])
        self.assertEqual(table.server_in_use, self.server(self.first))

    async def test_one_that_is_read_only_is_passed_over_even_for_a_user_who_could_write(self) -> None:
        self.first.query("SET GLOBAL read_only = 1")
        grantee = f"'{self.first.service_user}'@'%'"
        self.first.query(f"GRANT READ ONLY ADMIN ON *.* TO {grantee}", database=None)
        self.addCleanup(self.first.query, f"REVOKE READ ONLY ADMIN ON *.* FROM {grantee}", database=None)
        table = self.both()
        await table.write([make_update("a")])
        self.assertEqual((self.written(self.first), self.written(self.second)), (False, True))
        [(server, reason)] = self.lines("DATABASE_CHANGED")
        self.assertEqual(server, self.server(self.second))
        self.assertEqual(reason, f"{self.server(self.first)}: it may not be written to (read_only is ON)")

    async def test_one_that_turns_read_only_is_left_at_once_with_all_connections(self) -> None:
        table = self.both()
        await table.describe()
        await gatherResults([table.count_devices() for _ in range(4)])
        self.first.query("SET GLOBAL read_only = 1")
        self.assertEqual(await table.write([make_update("a")]), Written())
        self.assertEqual((self.written(self.first), self.written(self.second)), (False, True))
        await gatherResults([table.count_devices() for _ in range(6)])
        self.assertEqual(self.connections(self.first), 0)
        self.assertEqual([server for server, _ in self.lines("DATABASE_CHANGED")], [self.server(self.second)])

    async def test_a_question_that_takes_long_is_given_up_and_is_no_reason_to_leave_the_server(self) -> None:
        table = self.both()
        await table.describe()
        self.patch(count, "COUNT", "SUM(SLEEP(30)), COUNT(*) FROM `{table}`")
        await self.assertFailure(table.count_devices(), StoreConflict)
        self.assertEqual(await table.write([make_update("a")]), Written())
        self.assertEqual(table.server_in_use, self.server(self.first))
        self.assertEqual(self.lines("DATABASE_CHANGED"), [])

    async def test_one_that_is_gone_is_left_for_the_next_and_not_gone_back_to_as_long_as_that_works(self) -> None:
        table = self.table(address_of(self.first, servers.free_port()), address_of(self.second))
        await table.write([make_update("a")])
        self.assertTrue(self.written(self.second))
        await table.count_devices()
        self.assertEqual(table.server_in_use, self.server(self.second))

    async def test_one_that_dies_is_left_for_the_next(self) -> None:
        table = self.table(address_of(self.second), address_of(self.first))
        await table.describe()
        await deferToThread(self.second.kill)
        self.addCleanup(self.second.start)
        error: Any = await self.assertFailure(table.write([make_update("a")]), StoreUnavailable)
        self.assertTrue(error.has_others)
        self.assertIn(self.server(self.second), str(error))
        self.assertEqual(await table.write([make_update("a")]), Written())
        self.assertTrue(self.written(self.first))

    async def test_one_that_is_frozen_is_given_up_and_left(self) -> None:
        table = self.table(address_of(self.second), address_of(self.first), read_timeout=1)
        await table.describe()
        self.second.freeze()
        self.addCleanup(self.second.thaw)
        await self.assertFailure(table.write([make_update("a")]), StoreUnavailable)
        self.assertEqual(await table.write([make_update("a")]), Written())
        self.assertTrue(self.written(self.first))

    async def test_a_frozen_one_has_less_time_for_a_login_than_for_a_statement(self) -> None:
        connection = DatabaseConnection(
            host=self.second.host,
            port=self.second.port,
            user=self.second.service_user,
            password=self.second.service_password.encode(),
            login_timeout=1,
            read_timeout=3600,  # more than a test may take
            write_timeout=3600,
        )
        self.second.freeze()
        self.addCleanup(self.second.thaw)
        await self.assertFailure(deferToThread(connection.connect), pymysql.err.OperationalError)
        self.second.thaw()
        await deferToThread(connection.connect)
        await deferToThread(connection.query, "SELECT SLEEP(1.5)")
        connection.close()

    async def test_none_that_may_be_written_to_is_an_outage_that_names_each(self) -> None:
        for database in (self.first, self.second):
            database.query("SET GLOBAL read_only = 1")
        table = self.both()
        error: Any = await self.assertFailure(table.describe(), StoreUnavailable)
        self.assertTrue(error.has_others)
        for database in (self.first, self.second):
            self.assertIn(f"{self.server(database)}: ", str(error))
        self.assertEqual(self.lines("DATABASE_CHANGED"), [])
        self.first.query("SET GLOBAL read_only = 0")
        self.assertEqual(await table.write([make_update("a")]), Written())

    async def test_a_login_that_each_refuses_is_no_outage(self) -> None:
        first, second = address_of(self.first), address_of(self.second)
        table = DeviceTable(first, "wrong", reactor, others=[second])
        table.startService()
        self.addCleanup(self.stop, table)
        error: Any = await self.assertFailure(table.describe(), StoreLoginRefused)
        self.assertIn(self.server(self.second), str(error))

    def settings(self) -> Settings:
        return Settings(
            db_host=f"{self.server(self.first)},{self.server(self.second)}",
            db_user=self.first.service_user,
            db_password=Secret(self.first.service_password),
            http_listen=None,
        )

    def test_check_looks_at_the_one_that_the_service_would_use(self) -> None:
        self.first.query("SET GLOBAL read_only = 1")
        findings = Findings()
        database = open_database(self.settings(), findings)
        assert database is not None
        self.assertEqual(database.rows("SELECT @@port"), [(self.second.port,)])
        database.close()
        told = [(each.status, str(each.message)) for each in findings.complete() if each.probe.id == "database.reach"]
        self.assertEqual(
            told,
            [
                (Status.WARNING, f"{self.server(self.first)} is passed over: the database is read-only (read_only=1)"),
                (Status.OK, f"{self.server(self.second)} answers"),
            ],
        )

    def test_check_tells_of_one_that_answers_where_none_may_be_written_to(self) -> None:
        self.first.query("SET GLOBAL read_only = 1")
        self.second.query("SET GLOBAL read_only = 1")
        findings = Findings()
        database = open_database(self.settings(), findings)
        assert database is not None
        self.assertEqual(database.rows("SELECT @@port"), [(self.first.port,)])
        database.close()


class SpoolOwnerTests(TestCase):
    def test_addresses_may_be_added_and_taken_away(self) -> None:
        def owner(host: str) -> SpoolOwner:
            return SpoolOwner(host, 3306, "aiot_admin", "device_main", "devices", "Asia/Shanghai")

        one, two, other = owner("a"), owner("b:3307,a"), owner("b,c")
        self.assertIsNone(one.differs_from(str(two)))
        self.assertIsNone(two.differs_from(str(one)))
        self.assertIn("host", str(other.differs_from(str(one))))
        self.assertIn("host", str(other.differs_from(str(two))))
