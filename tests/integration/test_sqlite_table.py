from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from aiot_mqtt.table.contract import StoreConflict, StoreMisconfigured, StoreRefused, StoreUnavailable, Written
from aiot_mqtt.table.memory import Row
from demo.sqlite_table import SqliteTable, create_device_table
from tests.store_contract import StoreContract, make_update


class SqliteTableTests(StoreContract, TestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        create_device_table(self.path, [])
        self.store = self.open_table(self.path)

    def open_table(self, path: Path) -> SqliteTable:
        table = SqliteTable(path, reactor)
        table.startService()
        self.addCleanup(table.stopService)
        return table

    def execute(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.path)
        with connection:
            rows = connection.execute(sql, values).fetchall()
        connection.close()
        return rows

    def add_devices(self, *uuids: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            connection.executemany("INSERT INTO device_main (uuid) VALUES (?)", [(uuid,) for uuid in uuids])
        connection.close()

    def row(self, uuid: str) -> Row:
        columns = "last_report_data, device_status, last_seen, last_heartbeat, is_online"
        ((document, status, last_seen, last_heartbeat, is_online),) = self.execute(
            f"SELECT {columns} FROM device_main WHERE uuid = ?", uuid
        )
        return Row(str(document) if document else None, str(status), last_seen, last_heartbeat, bool(is_online))  # type: ignore[arg-type]

    async def test_what_is_no_json_is_refused(self) -> None:
        self.add_devices("a")
        with self.assertRaises(StoreRefused):
            await self.store.write([make_update("a", document=b"{")])

    async def test_a_table_that_another_holds_is_a_conflict_and_works_again_later(self) -> None:
        self.add_devices("a")
        other = sqlite3.connect(self.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        table = self.open_table(self.path)
        pool = table._pool
        assert pool is not None
        pool.connkw["timeout"] = 0.01
        with self.assertRaises(StoreConflict):
            await table.write([make_update("a")])
        other.execute("ROLLBACK")
        other.close()
        self.assertEqual(await table.write([make_update("a")]), Written())

    async def test_a_file_that_is_not_there_is_not_made(self) -> None:
        missing = Path(self.mktemp())
        with self.assertRaises(StoreUnavailable):
            await self.open_table(missing).describe()
        self.assertFalse(missing.exists())
        self.flushLoggedErrors()

    async def test_a_file_without_the_table_is_told(self) -> None:
        self.execute("DROP TABLE device_main")
        with self.assertRaises(StoreMisconfigured):
            await self.store.describe()
