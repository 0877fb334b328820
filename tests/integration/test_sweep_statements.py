"""The sweep's SQL on real servers: whatever the rows' key is, it finds and sets the silent, and examines no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pymysql
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.table.contract import RowKey, SilentDevice, StoreConflict, StoreError, StoreUnavailable
from aiot_mqtt.table.mysql import DeviceTable
from rig import servers
from rig.selection import OTHER_SERVERS, only_in_all
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import SILENCE, make_update

OLD, ALIVE = "2020-01-01 00:00:00", "2026-11-23 10:05:00"
COLUMNS = "id, uuid, device_id, name, device_secret, is_online, last_seen"
NO_UNIQUE_UUID = "DROP KEY uk_device_main_uuid, ADD KEY uk_device_main_uuid (uuid)"

# What tells rows apart, made of a number from 0 on, and what makes it so.
KEYS: dict[str, tuple[str, Callable[[int], object]]] = {
    "INT": ("", lambda number: number - 40),
    "BIGINT UNSIGNED": ("MODIFY id BIGINT UNSIGNED NOT NULL", lambda number: 2**64 - 1 - number),
    "DECIMAL": ("MODIFY id DECIMAL(30,2) NOT NULL", lambda number: f"{10**25 + number}.25"),
    "VARCHAR": ("MODIFY id VARCHAR(40) NOT NULL", lambda number: f"'\\%s\" é{number:02}"),
    "VARCHAR in latin1": (
        "MODIFY id VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL",
        lambda number: f"Ä\\{number}",
    ),
    "CHAR that tells case": (
        "MODIFY id CHAR(4) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL",
        lambda number: chr(97 + number // 2).upper() if number % 2 else chr(97 + number // 2),
    ),
    "BINARY": ("MODIFY id BINARY(3) NOT NULL", lambda number: bytes([255 - number, 39, 0])),
    "an empty VARBINARY": ("MODIFY id VARBINARY(40) NOT NULL", lambda number: b"\\" * number),
    "ENUM": (
        "MODIFY id ENUM(" + ",".join(f"'{99 - number}'" for number in range(40)) + ") NOT NULL",
        lambda number: f"{99 - number}",
    ),
    "DATETIME": ("MODIFY id DATETIME(3) NOT NULL", lambda number: f"2026-01-01 00:00:00.{number:03}"),
    "two columns": ("MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD PRIMARY KEY (id, uuid)", lambda number: number // 9),
    "two columns, one of them secret": (
        "MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD PRIMARY KEY (id, name)",
        lambda number: number // 9,
    ),
    "a secret column": (
        "MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD PRIMARY KEY (name)",
        lambda _number: 1,
    ),
    "none": ("MODIFY id INT NOT NULL, DROP PRIMARY KEY", lambda _number: 1),
    "none, and uuids that need not be unique": (
        f"MODIFY id INT NOT NULL, DROP PRIMARY KEY, {NO_UNIQUE_UUID}",
        lambda _number: 1,
    ),
    "none, and no index of uuid": (
        "MODIFY id INT NOT NULL, DROP PRIMARY KEY, DROP KEY uk_device_main_uuid",
        lambda _number: 1,
    ),
}


class SweepStatementTests(DatabaseMixin):
    store: DeviceTable
    not_for_use: ClassVar[str]
    """What keeps an index from being used."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.query, "DROP VIEW IF EXISTS device_view")

    def fill(self, key: Callable[[int], object], rows: int = 30) -> set[str]:
        """Make rows, every third of them silent; returns these."""
        uuids = [f"d{number:03}" for number in range(rows)]
        with self.database._connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO device_main ({COLUMNS}) VALUES (%s, %s, %s, %s, 'secret', %s, %s)",
                [
                    (key(number), uuid, uuid, uuid, int(number % 5 != 4), ALIVE if number % 3 else OLD)
                    for number, uuid in enumerate(uuids)
                ],
            )
        return {f"d{number:03}" for number in range(0, rows, 3) if number % 5 != 4}

    async def read_all(self, table: DeviceTable, most: int) -> list[SilentDevice]:
        silent: dict[RowKey, SilentDevice] = {}
        after: RowKey | None = None
        for _ in range(100):
            found = await table.find_silent(SILENCE, after, None, most)
            silent |= {(row.key, row.uuid): row for row in found.silent}
            if found.reached is None:
                return list(silent.values())
            after = found.reached
        raise AssertionError("it never ends")

    async def assert_swept(self, table: DeviceTable, silent: set[str], message: str) -> None:
        for most in (1, 4, 100):
            found = await self.read_all(table, most)
            self.assertEqual(sorted(row.uuid for row in found), sorted(silent), (message, most))
        before = self.all_rows()
        keys = [row.key for row in found]
        self.assertEqual(await table.set_offline(keys, SILENCE), set(keys), message)
        expected = [(uuid, 0 if uuid in silent else online, last_seen) for uuid, online, last_seen in before]
        self.assertEqual(self.all_rows(), expected, message)
        self.assertEqual(await self.read_all(table, 100), [], message)

    def all_rows(self) -> list[tuple[Any, ...]]:
        return self.database.query("SELECT uuid, is_online + 0, last_seen FROM device_main ORDER BY uuid")

    async def test_whatever_the_rows_key_is(self) -> None:
        for name, (change, key) in KEYS.items():
            self.database.create_device_table()
            if change:
                self.database.query(f"ALTER TABLE device_main {change}")
            silent = await deferToThread(self.fill, key)
            await self.assert_swept(self.make_table(pool_size=1), silent, name)

    async def test_whatever_the_columns_and_the_engine_are(self) -> None:
        for change in (
            "MODIFY last_seen DATETIME(6) NULL, MODIFY is_online BIT(1) NOT NULL",
            "MODIFY last_seen TIMESTAMP NULL, MODIFY is_online BIGINT NULL",
            "ENGINE=MyISAM",
            "MODIFY id INT NOT NULL, DROP PRIMARY KEY, DROP KEY uk_device_main_uuid, DROP KEY uk_device_main_device_id,"
            " ADD PRIMARY KEY (id) PARTITION BY HASH (id) PARTITIONS 3",
        ):
            self.database.create_device_table()
            self.database.query(f"ALTER TABLE device_main {change}")
            silent = await deferToThread(self.fill, lambda number: number + 1)
            table = self.make_table(pool_size=1)
            found = await table.find_silent(SILENCE, None, None, 100)
            self.assertEqual((found.earliest or "")[:19], ALIVE, change)
            await self.assert_swept(table, silent, change)

    async def test_a_view(self) -> None:
        silent = self.fill(lambda number: number + 1)
        self.database.query("CREATE VIEW device_view AS SELECT * FROM device_main WHERE name <> ''")
        self.database.grant(table="device_view")
        table = self.make_table(pool_size=1)
        table._sweep._table = "device_view"
        await self.assert_swept(table, silent, "view")

    async def test_rows_that_share_a_uuid_are_told_apart_by_their_key_and_else_all_found(self) -> None:
        for change in (NO_UNIQUE_UUID, f"MODIFY id INT NOT NULL, DROP PRIMARY KEY, {NO_UNIQUE_UUID}"):
            self.database.create_device_table()
            self.database.query(f"ALTER TABLE device_main {change}")
            sql = f"INSERT INTO device_main ({COLUMNS}) VALUES (%s, %s, %s, 'x', 'x', 1, %s)"
            for number in range(12):
                uuid = ("twin", "Twin", "other")[number // 4]
                self.database.query(sql, (number + 1, uuid, f"{number}", ALIVE if number % 2 else OLD))
            table = self.make_table(pool_size=1)
            for most in (1, 2, 3, 5):
                keys = {row.key for row in await self.read_all(table, most)}
            await table.set_offline(list(keys), SILENCE)
            rows = self.database.query("SELECT is_online, last_seen FROM device_main ORDER BY id")
            self.assertEqual([online for online, _ in rows], [0, 1] * 6)

    async def test_a_uuid_of_any_text(self) -> None:
        self.database.query("ALTER TABLE device_main MODIFY id INT NOT NULL, DROP PRIMARY KEY")
        self.database.query("ALTER TABLE device_main MODIFY uuid VARCHAR(36) NULL")
        uuids = ["a'b", "c\\", '"', "%s", "温", "dev-7 ", "", None]
        for number, uuid in enumerate(uuids):
            self.database.query(
                f"INSERT INTO device_main ({COLUMNS}) VALUES (1, %s, %s, 'x', 'x', 1, %s)", (uuid, f"{number}", OLD)
            )
        table = self.make_table(pool_size=1)
        await self.set_session(table, "sql_mode='NO_BACKSLASH_ESCAPES,ANSI_QUOTES', sql_safe_updates=1")
        found = await self.read_all(table, 2)
        expected = [(uuid or "").rstrip(" ") for uuid in uuids if uuid is not None]
        self.assertEqual(sorted(row.uuid for row in found), sorted(expected))
        keys = [row.key for row in found]
        self.assertEqual(await table.set_offline(keys, SILENCE), set(keys))
        self.assertEqual(await self.read_all(table, 2), [])

    async def test_a_uuid_that_no_topic_level_is_written_as_is_told_as_a_device_spells_it(self) -> None:
        rows = {"dev-1 ": "dev-1", "Dév-2": "Dev-2", "dev\u200b-3": "dev-3", "ｄev-4": "dev-4", "dev-5": "dev-5"}
        for order in ("", "MODIFY id INT NOT NULL, DROP PRIMARY KEY"):
            for collation in ("utf8mb4_unicode_ci", "utf8mb4_bin"):
                self.database.create_device_table(collation=collation)
                if order:
                    self.database.query(f"ALTER TABLE device_main {order}")
                for number, uuid in enumerate([*rows, "温"], 1):
                    sql = f"INSERT INTO device_main ({COLUMNS}) VALUES (%s, %s, %s, 'x', 'x', 1, %s)"
                    self.database.query(sql, (number, uuid, f"{number}", OLD))
                found = await self.read_all(self.make_table(pool_size=1), 100)
                expected = {*rows.values(), "温"} if collation.endswith("ci") else {"dev-1", *[*rows][1:], "温"}
                self.assertEqual({row.uuid for row in found}, expected, (order, collation))

    async def test_a_uuid_of_any_type(self) -> None:
        for kind in ("BINARY(36)", "VARBINARY(36)", *(["UUID"] if self.flavour == "mariadb" else [])):
            for change in ("", ", MODIFY id INT NOT NULL, DROP PRIMARY KEY"):
                self.database.create_device_table()
                self.database.query(f"ALTER TABLE device_main MODIFY uuid {kind} NOT NULL{change}")
                uuids = {f"1234567{letter}-aaaa-bbbb-cccc-1234567890ab" for letter in "abcdef"}
                sql = f"INSERT INTO device_main ({COLUMNS}) VALUES (%s, %s, %s, 'x', 'x', 1, %s)"
                for number, uuid in enumerate(uuids, 1):
                    self.database.query(sql, (number, uuid, uuid, OLD))
                table = self.make_table(pool_size=1)
                await table.describe()
                found = await self.read_all(table, 4)
                self.assertEqual({row.uuid for row in found}, uuids, (kind, change))
                keys = [row.key for row in found]
                self.assertEqual(await table.set_offline(keys, SILENCE), set(keys))

    async def test_a_table_without_id(self) -> None:
        self.fill(lambda number: number + 1)
        self.database.query("ALTER TABLE device_main DROP COLUMN id")
        table = self.make_table(pool_size=1)
        await table.describe()
        await table.write([make_update("d000", last_seen=ALIVE)])
        found = await self.read_all(table, 4)
        self.assertEqual(len(found), 7)
        keys = [row.key for row in found]
        self.assertEqual(await table.set_offline(keys, SILENCE), set(keys))

    async def test_an_index_that_is_not_for_use(self) -> None:
        self.database.query("ALTER TABLE device_main MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD KEY (id)")
        self.database.query("ALTER TABLE device_main DROP KEY uk_device_main_uuid, ADD KEY not_for_use (uuid)")
        self.database.query(f"ALTER TABLE device_main ALTER INDEX not_for_use {self.not_for_use}")
        silent = self.fill(lambda number: number)
        await self.assert_swept(self.make_table(pool_size=1), silent, "not for use")

    async def test_a_key_that_becomes_another_one_is_found_out(self) -> None:
        silent = self.fill(lambda number: number + 1)
        table = self.make_table(pool_size=1)
        first = await table.find_silent(SILENCE, None, None, 10)
        self.assertEqual(first.reached, 10)
        self.database.query("ALTER TABLE device_main MODIFY id INT NOT NULL, DROP PRIMARY KEY")
        with self.assertRaises(StoreError):
            await table.find_silent(SILENCE, first.reached, None, 10)
        with self.assertRaises(StoreConflict):
            await table.set_offline([1], SILENCE)
        await self.assert_swept(table, silent, "after the change")
        self.database.query("ALTER TABLE device_main ADD PRIMARY KEY (name)")
        self.database.query("UPDATE device_main SET is_online = 1 WHERE last_seen = %s", (OLD,))
        self.assertEqual(len(await self.read_all(table, 100)), 10)  # by uuid as before
        self.database.query("ALTER TABLE device_main DROP PRIMARY KEY, MODIFY id INT NOT NULL, ADD PRIMARY KEY (id)")
        with self.assertRaises(StoreConflict):
            await table.find_silent(SILENCE, None, None, 10)
        self.assertEqual(len(await self.read_all(table, 4)), 10)

    async def test_a_connection_that_is_lost_changes_no_keys(self) -> None:
        silent = self.fill(lambda number: number + 1)
        table = self.make_table(pool_size=1, max_overflow=0)
        first = await table.find_silent(SILENCE, None, None, 10)
        for connection in self.connections():
            self.database.query(f"KILL {connection}")
        with self.assertRaises(StoreUnavailable):
            await table.find_silent(SILENCE, first.reached, None, 10)
        rest = await table.find_silent(SILENCE, first.reached, None, 100)
        keys = [row.key for row in (*first.silent, *rest.silent)]
        self.assertEqual(await table.set_offline(keys, SILENCE), set(keys))
        self.assertEqual(len(keys), len(silent))

    async def test_keys_that_are_long_fit_any_packet(self) -> None:
        self.database.query("ALTER TABLE device_main MODIFY id VARCHAR(250) NOT NULL")
        silent = await deferToThread(self.fill, lambda number: f"{number:03}" + "é" * 247, 300)
        table = self.make_table(pool_size=1)
        await self.set_session(table, "net_write_timeout=60")  # connected
        found = await self.read_all(table, 100)
        statements = self.statements(table)
        keys = [row.key for row in found]
        self.assertEqual(await table.set_offline(keys, SILENCE), set(keys))
        self.assertEqual(len(silent), len(keys))
        self.assertLess(max(map(len, statements)), 64 * 1024)

    async def test_a_piece_examines_as_many_rows_as_it_has_and_by_the_key(self) -> None:
        await deferToThread(self.database.add_devices, [f"d{number:05}" for number in range(20000)])
        await deferToThread(self.database.query, "UPDATE device_main SET is_online = 1, last_seen = %s", (ALIVE,))
        await deferToThread(self.database.query, "ANALYZE TABLE device_main")
        table = self.make_table(pool_size=1, max_overflow=0)
        after: RowKey | None = None
        await table.find_silent(SILENCE, None, None, 10)  # finds out the key
        for _ in range(3):
            before = await self.rows_read(table)
            found = await table.find_silent(SILENCE, after, None, 1000)
            after = found.reached
            # Each once in the table, and once in the piece.
            self.assertLess(await self.rows_read(table) - before, 2200)
        self.assertEqual(found.earliest, ALIVE)
        self.database.query("UPDATE device_main SET last_seen = NULL WHERE id = %s", (after,))
        before = await self.rows_read(table)
        found = await table.find_silent(SILENCE, None, after, 10000)
        self.assertEqual([row.key for row in found.silent], [after])
        self.assertLess(await self.rows_read(table) - before, 4 * 3100)
        before = await self.rows_read(table)
        await table.set_offline([after], SILENCE)
        self.assertLess(await self.rows_read(table) - before, 20)

    async def rows_read(self, table: DeviceTable) -> int:
        def read(connection: Any) -> int:
            with connection.cursor() as cursor:
                cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
                return sum(int(value) for _, value in cursor.fetchall())

        return await table._run(read)

    async def test_an_online_row_without_last_seen_is_silent(self) -> None:
        key = self.database.add_device("a", is_online=1)
        found = await self.store.find_silent(SILENCE, None, None, 10)
        self.assertEqual(found.silent, [SilentDevice(key, "a", None)])
        self.assertEqual(await self.store.set_offline([key], SILENCE), {key})
        self.assertEqual(self.all_rows(), [("a", 0, None)])

    async def test_candidates_are_read_without_locks_and_locked_ones_are_passed_over(self) -> None:
        keys = [self.database.add_device(uuid, is_online=1, last_seen=OLD) for uuid in ("a", "b")]
        connection = pymysql.connect(
            unix_socket=str(self.database.socket), user="root", database=servers.DATABASE, autocommit=False
        )
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            found = await self.store.find_silent(SILENCE, None, None, 10)
            self.assertEqual([row.key for row in found.silent], keys)
            self.assertEqual(await self.store.set_offline(keys, SILENCE), {keys[1]})
        connection.rollback()
        self.assertEqual(await self.store.set_offline(keys, SILENCE), {keys[0]})

    async def test_a_server_that_cannot_pass_over_locked_rows_waits_only_a_moment(self) -> None:
        keys = [self.database.add_device(uuid, is_online=1, last_seen=OLD) for uuid in ("a", "b")]
        table = self.make_table(pool_size=1, max_overflow=0)
        lock_rows = []

        def old_server(cursor: Any, statement: str) -> str:
            lock_rows.append(statement)
            return statement.replace("SKIP LOCKED", "SKIP THE LOCKED")

        self.rewrite_statements(table, old_server)
        await table.find_silent(SILENCE, None, None, 10)
        connection = pymysql.connect(
            unix_socket=str(self.database.socket), user="root", database=servers.DATABASE, autocommit=False
        )
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            with self.assertRaises(StoreConflict):
                await table.set_offline(keys, SILENCE)
            self.assertEqual(await table.set_offline(keys[1:], SILENCE), {keys[1]})
        connection.rollback()

        def lock_wait(connection: Any) -> Any:
            with connection.cursor() as cursor:
                cursor.execute("SELECT @@innodb_lock_wait_timeout")
                return cursor.fetchone()

        self.assertEqual(await table._run(lock_wait), (4,))
        before = len([statement for statement in lock_rows if "SKIP" in statement])
        self.assertEqual(await table.set_offline(keys, SILENCE), {keys[0]})
        self.assertEqual(len([statement for statement in lock_rows if "SKIP" in statement]), before)

    def make_table(
        self, port: int | None = None, *, table: str = servers.DEVICE_TABLE, **arguments: Any
    ) -> DeviceTable:
        made = super().make_table(port, **arguments)
        if table != servers.DEVICE_TABLE:
            made._sweep._table = table
        return made

    async def set_session(self, table: DeviceTable, settings: str) -> None:
        def set_them(connection: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION {settings}")

        await table._run(set_them)

    def statements(self, table: DeviceTable) -> list[str]:
        """A list that each statement of the table is appended to."""
        seen: list[str] = []

        def note(_cursor: Any, statement: str) -> str:
            seen.append(statement)
            return statement

        self.rewrite_statements(table, note)
        return seen

    def rewrite_statements(self, table: DeviceTable, rewrite: Callable[[Any, str], str]) -> None:
        class Cursor(pymysql.cursors.Cursor):
            def execute(self, query: str, args: object = None) -> int:
                return super().execute(rewrite(self, query), args)

        table._pool.connkw["cursorclass"] = Cursor
        table._pool.distrust()  # connect anew


class MariaDBTests(SweepStatementTests, TestCase):
    flavour = "mariadb"
    not_for_use = "IGNORED"


@only_in_all(OTHER_SERVERS)
class MySQLTests(SweepStatementTests, TestCase):
    flavour = "mysql"
    not_for_use = "INVISIBLE"
    skip = servers.unavailable("mysql")
