"""The table on real clusters: what one node does not know yet, and whom the service writes to."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import pymysql
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.table.address import DatabaseAddress
from aiot_mqtt.table.contract import StoreConflict, StoreOvertaken, StoreUnavailable, Written
from aiot_mqtt.table.errors import Behind
from aiot_mqtt.table.mysql import DeviceTable
from aiot_mqtt.telemetry.reasons import database as reasons
from aiot_mqtt.writing.retry import CONFLICT_DELAY
from rig import servers
from rig.cluster import Cluster
from rig.galera import Galera
from rig.group_replication import GroupReplication
from rig.selection import LONG_ROUND, only_in_all
from rig.servers import Database
from tests.store_contract import make_update, unknown

ATTEMPTS = 10
_clusters: dict[str, Any] = {}


class ClusterCase(TestCase):
    name: ClassVar[str]
    timeout = 300

    def setUp(self) -> Any:
        return deferToThread(self.start)

    def start(self) -> None:
        """One cluster for all tests of a class, because trial has no ``setUpClass``; it ends with the process."""
        if self.name not in _clusters:
            cluster: Cluster[Any] = Galera() if self.name == "galera" else GroupReplication(is_multi_primary=True)
            cluster.start()
            _clusters[self.name] = cluster
        self.cluster = _clusters[self.name]

    def table(self, *nodes: Database) -> DeviceTable:
        first, *others = [
            DatabaseAddress(node.host, node.port, servers.DATABASE, node.service_user, servers.DEVICE_TABLE)
            for node in nodes
        ]
        table = DeviceTable(first, nodes[0].service_password, reactor, others=others, pool_size=1)
        table.startService()
        self.addCleanup(table.stopService)
        return table

    def make_ballast(self, node: Database) -> None:
        """A table of which an update takes a node long to apply."""
        node.query("DROP TABLE IF EXISTS ballast")
        node.query("CREATE TABLE ballast (id int AUTO_INCREMENT PRIMARY KEY, v int NOT NULL DEFAULT 0, w char(200))")
        node.query("INSERT INTO ballast (w) VALUES (REPEAT('x', 200))")
        for _ in range(16):
            node.query("INSERT INTO ballast (w) SELECT w FROM ballast")

    async def late_row(self, node: Database, other: Database) -> None:
        """Write a device whose row another node has, as long as this one lags."""
        await deferToThread(self.make_ballast, other)
        table = self.table(node)
        await table.describe()
        self.assertEqual(await table.write([make_update("nobody")]), unknown("nobody"))
        lagged = 0
        for attempt in range(ATTEMPTS):
            uuid = f"late-{attempt}"
            await deferToThread(other.query, "UPDATE ballast SET v = v + 1")
            await deferToThread(other.add_device, uuid)
            (was_there,) = (await deferToThread(node.query, f"SELECT COUNT(*) FROM device_main WHERE uuid = '{uuid}'"))[
                0
            ]
            self.assertEqual(await table.write([make_update(uuid)]), Written())
            lagged += not was_there
            if lagged:
                break
        self.assertTrue(lagged, "the node never lagged")

    async def overtaken(self, node: Database, other: Database) -> None:
        """Have another node commit a row in between our UPDATE and our COMMIT."""
        node.add_device("contended")
        self.cluster.until_seen("contended")
        table = self.table(node)
        await table.describe()
        original = table._write

        def write_slowly(*arguments: Any) -> Written:
            written = original(*arguments)
            other.query("UPDATE device_main SET total_reports = total_reports + 1 WHERE uuid = 'contended'")
            return written

        self.patch(table, "_write", write_slowly)
        await self.assertFailure(table.write([make_update("contended")]), StoreOvertaken)
        self.patch(table, "_write", original)
        self.assertEqual(await self.write_like_the_writer(table, make_update("contended")), Written())

    async def write_like_the_writer(self, table: DeviceTable, update: DeviceUpdate) -> Written:
        """Write again what conflicts: as long as the node has not applied what another one committed, it may."""
        for attempt in range(ATTEMPTS):
            with contextlib.suppress(StoreConflict):
                return await table.write([update])
            await deferLater(reactor, CONFLICT_DELAY * (attempt + 1))
        return await table.write([update])


@only_in_all(LONG_ROUND)
class GaleraTests(ClusterCase):
    name = "galera"

    async def test_a_row_that_the_node_does_not_know_yet_is_waited_for(self) -> None:
        await self.late_row(self.cluster.nodes[0], self.cluster.nodes[1])

    async def test_what_another_node_committed_meanwhile_is_a_conflict(self) -> None:
        await self.overtaken(self.cluster.nodes[0], self.cluster.nodes[1])

    async def test_a_node_that_does_not_catch_up_in_time_is_left(self) -> None:
        node, other, _ = self.cluster.nodes
        await deferToThread(self.make_ballast, other)
        patience = "SET GLOBAL wsrep_provider_options = 'repl.causal_read_timeout=PT%sS'"
        node.query(patience % "0.01")
        self.addCleanup(node.query, patience % "30")
        for attempt in range(ATTEMPTS):
            uuid = f"behind-{attempt}"
            table = self.table(node, other)
            await table.describe()
            await deferToThread(other.query, "UPDATE ballast SET v = v + 1")
            await deferToThread(other.add_device, uuid)
            try:
                self.assertEqual(await table.write([make_update(uuid)]), Written())
            except Behind as behind:
                self.assertTrue(behind.has_others)
                self.assertEqual(await self.write_like_the_writer(table, make_update(uuid)), Written())
                self.assertEqual(table.server_in_use, f"{other.host}:{other.port}")
                return
        self.fail("the node never lagged")

    async def test_a_node_that_is_locked_to_send_its_data_is_left_and_says_why(self) -> None:
        node, other, _ = self.cluster.nodes
        node.add_device("donor")
        self.cluster.until_seen("donor")
        table = self.table(node, other)
        await table.describe()
        locking = pymysql.connect(unix_socket=str(node.socket), user="root", database=servers.DATABASE)
        self.addCleanup(locking.close)
        with locking.cursor() as cursor:
            cursor.execute("SET GLOBAL wsrep_desync = ON")
            self.addCleanup(node.query, "SET GLOBAL wsrep_desync = OFF")
            cursor.execute("FLUSH TABLES WITH READ LOCK")  # as one that sends everything has it
            error: Any = await self.assertFailure(table.write([make_update("donor")]), StoreUnavailable)
            self.assertIn(reasons.IS_DONOR, str(error))
            cursor.execute("UNLOCK TABLES")
        self.assertEqual(await self.write_like_the_writer(table, make_update("donor")), Written())
        self.assertEqual(table.server_in_use, f"{other.host}:{other.port}")

    async def test_a_node_that_rejects_queries_is_left_at_once(self) -> None:
        first, second, _ = self.cluster.nodes
        first.add_device("rejected")
        self.cluster.until_seen("rejected")
        table = self.table(first, second)
        await table.describe()
        first.query("SET GLOBAL wsrep_reject_queries = ALL")
        self.addCleanup(first.query, "SET GLOBAL wsrep_reject_queries = NONE")
        self.assertEqual(await table.write([make_update("rejected")]), Written())
        self.assertEqual(table.server_in_use, f"{second.host}:{second.port}")


@only_in_all(LONG_ROUND)
class GroupReplicationTests(ClusterCase):
    name = "group"
    if servers.unavailable("mysql"):
        skip = servers.unavailable("mysql")

    async def test_what_another_node_committed_meanwhile_is_a_conflict(self) -> None:
        await self.overtaken(self.cluster.nodes[0], self.cluster.nodes[1])

    async def test_a_row_that_the_node_does_not_know_yet_is_waited_for(self) -> None:
        await self.late_row(self.cluster.nodes[0], self.cluster.nodes[1])
