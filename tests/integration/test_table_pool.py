"""The pool on real servers: uses what connections it gets, leaves a server that may not write, and ends."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from aiot_mqtt.table import connection_limit, pool
from aiot_mqtt.table.address import DatabaseAddress
from aiot_mqtt.table.contract import StoreConflict, StoreError, StoreUnavailable, Written
from aiot_mqtt.table.mysql import DeviceTable
from aiot_mqtt.telemetry import log_lines
from rig import servers
from rig.forgetful_proxy import ForgetfulProxy
from rig.relay import Relay
from rig.selection import OTHER_SERVERS, only_in_all
from tests.eventually import eventually
from tests.integration.device_tables import DatabaseMixin
from tests.log_events import collect_events
from tests.store_contract import EARLIER, SILENCE, make_update, unknown

FEW = "few"


class PoolTests(DatabaseMixin):
    def setUp(self) -> None:
        super().setUp()
        self.add_devices("a", "b", "c")

    def table_of_few(self, allowed: int, **arguments: Any) -> DeviceTable:
        """A table whose user may have so many connections."""
        query = self.database.query
        query(f"CREATE USER {FEW}@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS {allowed}", database=None)
        self.addCleanup(query, f"DROP USER {FEW}@'%'", database=None)
        query(f"GRANT ALL ON {servers.DATABASE}.* TO {FEW}@'%'", database=None)
        address = DatabaseAddress(self.database.host, self.database.port, servers.DATABASE, FEW, servers.DEVICE_TABLE)
        table = DeviceTable(address, "x", reactor, **arguments)
        table.startService()
        self.addCleanup(self.stop_table, table)
        return table

    def connections_of(self, user: str) -> list[int]:
        rows = self.database.query("SELECT id FROM information_schema.processlist WHERE user = %s", (user,))
        return [row[0] for row in rows]

    async def test_two_connections_serve_as_well_as_many(self) -> None:
        await self.few_serve_as_well(2)

    async def test_one_connection_serves_as_well_as_many(self) -> None:
        await self.few_serve_as_well(1)

    async def few_serve_as_well(self, allowed: int) -> None:
        events = collect_events(self)
        table = self.table_of_few(allowed)
        for _ in range(3):
            await table.describe()
            writes: list[Deferred[Any]] = [table.write([make_update(uuid)]) for uuid in "abc" * 7]
            sweeps: list[Deferred[Any]] = [table.find_silent(SILENCE, None, None, 10) for _ in range(5)]
            self.assertEqual((await gatherResults(writes + sweeps))[:21], [Written()] * 21)
            self.assertEqual(len(self.connections_of(FEW)), allowed)
        lines = [event for event in events if event.get("log_format") == log_lines.CONNECTIONS_LIMITED]
        self.assertEqual([(line["allowed"], line["most"]) for line in lines], [(allowed, 15)])
        for connection in self.connections_of(FEW):
            self.database.query(f"KILL {connection}")
        with self.assertRaises(StoreUnavailable):
            await table.write([make_update("a")])
        for _ in range(5):
            self.assertEqual(await table.write([make_update("a")]), Written())

    async def test_connections_come_back_into_use_once_they_are_allowed(self) -> None:
        self.patch(connection_limit, "HOLDS", 0)
        table = self.table_of_few(1)
        await table.write([make_update("a")])
        await gatherResults([table.write([make_update(uuid)]) for uuid in "abc"])
        self.database.query(f"ALTER USER {FEW}@'%' WITH MAX_USER_CONNECTIONS 10", database=None)
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            blocked = table.write([make_update("a")])
            while len(self.connections_of(FEW)) < 2:
                self.assertEqual(await table.write([make_update("b")]), Written())
        self.assertEqual(await blocked, Written())

    async def test_a_pool_of_one_does_one_thing_after_the_other(self) -> None:
        table = self.make_table(pool_size=1, max_overflow=0)
        await table.describe()
        done: list[str] = []

        def note(result: object, name: str) -> object:
            done.append(name)
            return result

        jobs: list[Deferred[Any]] = [
            table.write([make_update("a")]).addCallback(note, "write"),
            table.find_silent(SILENCE, None, None, 10).addCallback(note, "find"),
            table.why_no_times(make_update("a")).addCallback(note, "why"),
            table.set_offline([1], SILENCE).addCallback(note, "set"),
            table.write([make_update("x"), make_update("b")]).addCallback(note, "write"),
        ]
        results = await gatherResults(jobs)
        self.assertEqual(done, ["write", "find", "why", "set", "write"])
        self.assertEqual(results[-1], unknown("x"))
        self.assertEqual(len(self.connections()), 1)

    async def test_work_that_follows_other_work_takes_its_connection(self) -> None:
        table = self.make_table(pool_size=1, max_overflow=14)
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            blocked = [table.write([make_update("a")]) for _ in range(3)]
            await eventually(lambda: len(self.connections()) == 3)
        await gatherResults(blocked)
        used = []
        for _ in range(10):
            used.append(await table._run(lambda connection: connection.thread_id()))
        self.assertEqual(len(set(used)), 1)

    async def test_connections_that_nobody_used_for_long_are_closed(self) -> None:
        await self.store.describe()
        await eventually(lambda: len(self.connections()) == 5)
        self.patch(pool, "MAX_IDLE", -1.0)
        await self.store.write([make_update("a")])
        await eventually(lambda: not self.connections())
        self.patch(pool, "MAX_IDLE", 45.0)
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_connections_that_were_closed_while_they_were_idle_cost_no_attempt(self) -> None:
        self.patch(pool, "LITTLE_IDLE", -1.0)
        proxy = ForgetfulProxy(self.database.port, forgets=b"NOTHING")
        self.addCleanup(proxy.close)
        for table in (self.store, self.make_table(proxy.port)):
            await table.describe()
            await eventually(lambda: len(self.connections()) == 5)
            for connection in self.connections():
                self.database.query(f"KILL {connection}")
            await eventually(lambda: not self.connections())
            idle = table._pool._idle
            while any(connection.is_quiet() for connection, _ in list(idle)):
                await deferLater(reactor, 0.01)
            for _ in range(7):
                self.assertEqual(await table.write([make_update("a")]), Written())
            await self.stop_table(table)  # type: ignore[misc]
            await eventually(lambda: not self.connections())

    async def test_a_server_that_may_not_write_is_left_at_once_for_another_behind_the_same_address(self) -> None:
        others = {"mariadb": "mysql", "mysql": "mariadb"}
        if reason := servers.unavailable(others[self.flavour]):
            self.skipTest(reason)
        other = servers.shared_database(others[self.flavour])
        other.add_devices(["a", "b", "x"])
        with Relay(self.database.port) as relay:
            table = self.make_table(relay.port, pool_size=3)
            await table.describe()
            updates = [make_update("a"), make_update("x")]
            self.assertEqual(await table.write(updates), unknown("x"))
            self.database.query("SET GLOBAL read_only = 1")
            self.addCleanup(self.database.query, "SET GLOBAL read_only = 0")
            with self.assertRaises(StoreUnavailable):
                await table.write(updates)
            relay.target_port = other.port
            for _ in range(5):
                self.assertEqual(await table.write(updates), Written())
            # And back, without a failed attempt in between.
            self.database.query("SET GLOBAL read_only = 0")
            other.query("SET GLOBAL read_only = 1")
            self.addCleanup(other.query, "SET GLOBAL read_only = 0")
            relay.target_port = self.database.port
            self.assertEqual(await table.write(updates), unknown("x"))
            self.assertEqual(str(other.row("x")["last_seen"]), EARLIER)

    async def test_an_update_that_ends_its_connection_is_told_as_that_and_stops_no_other(self) -> None:
        proxy = ForgetfulProxy(self.database.port, forgets=b"NOTHING")
        self.addCleanup(proxy.close)
        table = self.make_table(proxy.port)
        proxy.ends_at = b"deadly"
        deadly = make_update("a", document=b'{"t": "deadly"}')
        for updates in ([deadly], [deadly, make_update("b")], [deadly]):
            with self.assertRaises(StoreUnavailable):
                await table.write(updates)
            self.assertEqual(await table.write([make_update("a", document=None), make_update("b")]), Written())

    async def test_stopping_ends_what_waits_for_a_connection(self) -> None:
        table = self.make_table(pool_size=1, max_overflow=0)
        await table.describe()
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            ended: list[object] = []
            for _ in range(4):
                table.write([make_update("a")]).addBoth(lambda outcome: ended.append(outcome.value))
            await eventually(lambda: self.database.query("SHOW PROCESSLIST"))
            began = time.monotonic()
            await table.stopService()
            self.assertLess(time.monotonic() - began, 4)  # of the 5 s that the lock is waited for
        self.assertEqual(len(ended), 4)
        self.assertTrue(all(isinstance(each, StoreError) and not isinstance(each, StoreConflict) for each in ended))
        with self.assertRaises(StoreUnavailable):
            await table.write([make_update("a")])

    async def test_adbapis_own_calls_work(self) -> None:
        await self.store.describe()
        rows = await self.store._pool.runQuery("SELECT COUNT(*) FROM device_main WHERE uuid <> %s", ("a",))
        self.assertEqual(rows, ((2,),))


class MariaDBPoolTests(PoolTests, TestCase):
    flavour = "mariadb"


@only_in_all(OTHER_SERVERS)
class MySQLPoolTests(PoolTests, TestCase):
    flavour = "mysql"
    skip = servers.unavailable("mysql")
