"""A device table in a real server, as the user with the least rights, for tests to be mixed into a ``TestCase``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pymysql
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from aiot_mqtt.table.address import DatabaseAddress
from aiot_mqtt.table.memory import Row
from aiot_mqtt.table.mysql import DeviceTable
from rig import servers
from tests.store_contract import Rows


class DatabaseMixin(Rows):
    """A subclass says on which server; ``store`` is made in ``setUp``, over an empty table."""

    flavour: ClassVar[str]
    store: DeviceTable

    def setUp(self) -> None:
        self.database = servers.shared_database(self.flavour)
        self.store = self.make_table()

    def make_table(self, port: int | None = None, **arguments: Any) -> DeviceTable:
        database = self.database
        address = DatabaseAddress(
            database.host, port or database.port, servers.DATABASE, database.service_user, servers.DEVICE_TABLE
        )
        table = DeviceTable(address, database.service_password, reactor, **arguments)
        table.startService()
        self.addCleanup(self.stop_table, table)
        return table

    def stop_table(self, table: DeviceTable) -> Deferred[None] | None:
        return table.stopService() if table.running else None

    def connections(self) -> list[int]:
        rows = self.database.query(
            "SELECT id FROM information_schema.processlist WHERE user = %s", (self.database.service_user,)
        )
        return [row[0] for row in rows]

    def add_devices(self, *uuids: str) -> None:
        self.database.add_devices(uuids)

    async def execute(self, *statements: str) -> None:
        """Run statements as the administrator, without holding up the reactor."""
        for statement in statements:
            await deferToThread(self.database.query, statement)

    async def alter(self, change: str) -> None:
        """Change the device table."""
        await self.execute(f"ALTER TABLE {servers.DEVICE_TABLE} {change}")

    async def empty(self) -> None:
        """Remove all rows; by their key, as safe updates ask for."""
        await self.execute(f"DELETE FROM {servers.DEVICE_TABLE} WHERE id > 0")

    def rows(self) -> dict[str, dict[str, Any]]:
        """All rows, with all of their columns that are written."""
        names = ("uuid", *servers.WRITTEN_COLUMNS.split(", "))
        found = self.database.query(f"SELECT {', '.join(names)} FROM {servers.DEVICE_TABLE}")
        return {row[0]: dict(zip(names, row, strict=True)) for row in found}

    def row(self, uuid: str) -> Row:
        row = self.database.row(uuid)
        return Row(
            last_report_data=row["last_report_data"],
            device_status=row["device_status"],
            last_seen=row["last_seen"] and str(row["last_seen"]),
            last_heartbeat=row["last_heartbeat"] and str(row["last_heartbeat"]),
            is_online=bool(row["is_online"]),
        )

    def same_document(self, stored: str | None, sent: str | None) -> None:
        # MySQL's JSON type keeps values, not texts; MariaDB keeps the text.
        if self.flavour == "mysql" and stored is not None and sent is not None:
            self.assertEqual(json.loads(stored), json.loads(sent))
        else:
            self.assertEqual(stored, sent)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor of the administrator's, in a transaction that is rolled back at the end."""
        connection = pymysql.connect(
            unix_socket=str(self.database.socket), user="root", database=servers.DATABASE, autocommit=False
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor
            connection.rollback()
