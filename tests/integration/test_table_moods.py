"""Whatever state a server is in, and though a proxy loses what we set: the same statements do the same."""

from __future__ import annotations

import contextlib
import json
from typing import Any, ClassVar

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.report import HEARTBEAT
from aiot_mqtt.table import mysql, shape
from aiot_mqtt.table.contract import StoreMisconfigured, StoreRefused, Written
from aiot_mqtt.table.mysql import DeviceTable
from rig import servers
from rig.forgetful_proxy import ForgetfulProxy
from rig.selection import OTHER_SERVERS, only_in_all
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import EARLIER, LATER, Mixin, make_update, unknown

TEXTS = (
    "plain",
    "it's",
    "'",
    "''",
    "\\",
    "\\'",
    "\\\\'",
    "a\\",
    "%s %% {}",
    '"double"',
    "', d.device_status = 'pwned",
    "\\', d.device_status = 'pwned",
    "\\\\', d.device_status = ''pwned",
    "') -- ",
    "温 🎉 \u2028",
    "line\nend\ttab",
    "nul\0in it",
)


class MoodTests(DatabaseMixin):
    ignored: ClassVar[str]
    used: ClassVar[str]
    dialects: ClassVar[tuple[str, ...]]

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.create_device_table)

    def set_global(self, setting: str, value: str) -> None:
        (before,) = self.database.query(f"SELECT @@GLOBAL.{setting}")[0]
        self.database.query(f"SET GLOBAL {setting} = {value}")
        self.addCleanup(self.database.query, f"SET GLOBAL {setting} = %s", (before,))

    def behind_a_proxy(self) -> DeviceTable:
        proxy = ForgetfulProxy(self.database.port)
        self.addCleanup(proxy.close)
        return self.make_table(proxy.port)

    async def stores_all(self, table: DeviceTable, mood: str) -> None:
        """One device, a few and many; with unknown ones, and twice, so that nothing changes."""
        uuids = [f"d{number:03}" for number in range(250)]
        await self.empty()
        await deferToThread(self.database.add_devices, uuids)
        for last_seen in (EARLIER, EARLIER, LATER):
            for count in (1, 2, 100, 250):
                updates = [make_update(uuid, last_seen=last_seen, last_heartbeat=EARLIER) for uuid in uuids[:count]]
                self.assertEqual(await table.write(updates), Written(), (mood, count))
                self.assertEqual(await table.write([*updates, make_update("nobody")]), unknown("nobody"), (mood, count))
            self.assertEqual({str(row["last_seen"]) for row in self.rows().values()}, {last_seen}, mood)
        self.assertEqual(await table.write([make_update("nobody")]), unknown("nobody"), mood)
        written = await table.write([make_update(uuid, last_seen=EARLIER) for uuid in uuids], LATER)
        self.assertEqual(written.newer, set(uuids), mood)
        self.assertIsNone(await table.why_no_times(make_update("d000")))

    async def test_what_an_administrator_may_set(self) -> None:
        for setting, value in (
            ("sql_safe_updates", "1"),
            ("sql_select_limit", "1"),
            ("completion_type", "2"),
            ("sql_mode", "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE,HIGH_NOT_PRECEDENCE'"),
        ):
            self.set_global(setting, value)
            await self.stores_all(self.make_table(), setting)

    async def test_a_dialect_that_our_setting_does_not_reach(self) -> None:
        for mode in self.dialects:
            self.set_global("sql_mode", f"'{mode}'")
            await self.stores_all(self.behind_a_proxy(), mode)

    async def test_a_most_of_rows_that_a_select_may_look_at(self) -> None:
        self.set_global("max_join_size", "1")
        self.add_devices(*"abcdef")
        for updates in ([make_update(uuid) for uuid in "abcdex"], [make_update("x")]):
            for until in (None, LATER):
                self.assertEqual(await self.store.write(updates, until), unknown("x"))

    async def test_safe_updates_that_our_setting_does_not_reach(self) -> None:
        self.set_global("sql_safe_updates", "1")
        await self.stores_all(self.behind_a_proxy(), "with an index")
        await self.alter("DROP INDEX uk_device_main_uuid")
        await self.stores_all(self.behind_a_proxy(), "without an index")

    async def test_safe_updates_that_begin_while_we_write(self) -> None:
        table = self.behind_a_proxy()
        await self.stores_all(table, "before")
        self.set_global("sql_safe_updates", "1")
        table._pool.distrust()
        await self.stores_all(table, "after")

    async def test_texts_come_back_as_they_were_whatever_escapes_in_the_session(self) -> None:
        uuids = [f"d{number:02}" for number in range(len(TEXTS))]
        modes = ("STRICT_ALL_TABLES", "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,ANSI_QUOTES")
        for mode in modes:
            self.set_global("sql_mode", f"'{mode}'")
            for table in (self.make_table(), self.behind_a_proxy()):
                await self.empty()
                await deferToThread(self.database.add_devices, uuids)
                updates = [
                    make_update(uuid, document=json.dumps({"t": text, text: 1}).encode(), status=text[:20])
                    for uuid, text in zip(uuids, TEXTS, strict=True)
                ]
                beat = make_update(uuids[0], kinds=HEARTBEAT, document=None, last_heartbeat=EARLIER)
                for writes in ([updates], [[update] for update in updates], [[beat, *updates[1:]]]):
                    for write in writes:
                        self.assertEqual(await table.write(write), Written())
                    rows = self.rows()
                    for uuid, text in zip(uuids, TEXTS, strict=True):
                        self.assertEqual(json.loads(rows[uuid]["last_report_data"]), {"t": text, text: 1}, mode)
                        self.assertEqual(rows[uuid]["device_status"], text[:20], mode)

    async def test_names_and_times_that_could_end_a_text_never_reach_the_server(self) -> None:
        self.add_devices("a")
        for name in ("uuid", "last_seen", "last_heartbeat"):
            for bad in ("' OR '1", "\\"):
                update = make_update("a")
                setattr(update, name, bad)
                for updates in ([update], [make_update("a"), update]):
                    with self.assertRaises(StoreRefused):
                        await self.store.write(updates)

    async def test_an_index_that_no_statement_may_use(self) -> None:
        self.add_devices("a", "b")
        await self.store.write([make_update("a")])
        for change in (
            f"ALTER INDEX uk_device_main_uuid {self.ignored}",
            f"ALTER INDEX uk_device_main_uuid {self.used}",
            "ADD INDEX other (uuid)",
            f"ALTER INDEX uk_device_main_uuid {self.ignored}",
            "DROP INDEX other",
            f"ALTER INDEX uk_device_main_uuid {self.used}",
        ):
            self.store._looked_for = (0, 0.0)  # as after a second
            await self.alter(change)
            for table in (self.store, self.make_table()):
                self.assertEqual(await table.write([make_update("a")]), Written(), change)
                updates = [make_update("a"), make_update("b"), make_update("x")]
                self.assertEqual(await table.write(updates), unknown("x"), change)

    async def test_an_altered_table_is_served_by_the_next_write(self) -> None:
        self.add_devices("a", "b")
        updates = [make_update("a", last_heartbeat=EARLIER), make_update("b", document=None, status="on")]
        for change in (
            "MODIFY uuid VARCHAR(36) CHARACTER SET latin1 NOT NULL",
            "DROP INDEX uk_device_main_uuid, ADD UNIQUE INDEX other (uuid)",
            "DROP INDEX other",
            "ADD UNIQUE INDEX (uuid)",
            "MODIFY last_report_data LONGTEXT NULL",
            "MODIFY last_report_data JSON NULL",
            "MODIFY last_report_data LONGBLOB NULL",
            "MODIFY device_status VARBINARY(20) NOT NULL",
            "MODIFY device_status ENUM('pending', 'on') NOT NULL",
            "MODIFY last_seen VARCHAR(19) NULL",
            "MODIFY is_online BIT NOT NULL",
        ):
            self.store._looked_for = (0, 0.0)  # as after a second
            await self.alter(change)
            for write in (updates, updates[:1], updates[1:]):
                self.assertEqual(await self.store.write(write), Written(), change)

    async def test_a_table_that_is_altered_again_and_again_is_served_by_the_second_attempt(self) -> None:
        self.add_devices("a")
        await self.store.write([make_update("a")])
        for old, new in ("uk_device_main_uuid", "x"), ("x", "y"), ("y", "z"):
            await self.alter(f"DROP INDEX {old}, ADD UNIQUE INDEX {new} (uuid)")
            with contextlib.suppress(StoreRefused):
                await self.store.write([make_update("a")])
            self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_trigger_that_says_what_a_table_might_costs_few_looks_at_it(self) -> None:
        self.add_devices("a", "b")
        await self.execute(
            "CREATE TRIGGER guard BEFORE UPDATE ON device_main FOR EACH ROW"
            " BEGIN IF NEW.uuid = 'a' THEN INSERT INTO nowhere VALUES (1); END IF; END"
        )
        await self.store.describe()
        looks: list[object] = []

        def look(*arguments: Any) -> Any:
            looks.append(arguments)
            return shape.read_shape(*arguments)

        self.patch(mysql, "read_shape", look)
        for _ in range(10):
            with self.assertRaises(StoreRefused):
                await self.store.write([make_update("a"), make_update("b")])
            self.assertEqual(await self.store.write([make_update("b")]), Written())
        self.assertLess(len(looks), 5)

    async def test_a_binary_log_of_statements(self) -> None:
        database = type(self.database)(settings=self.statement_log)  # type: ignore[call-arg]
        self.addCleanup(database.close)
        await deferToThread(database.start)
        database.create_device_table()
        database.grant()
        self.database = database
        await self.stores_all(self.make_table(), "STATEMENT")

    statement_log: ClassVar[tuple[str, ...]] = ("--log-bin=bin", "--binlog-format=STATEMENT", "--server-id=1")


class TypeTests(DatabaseMixin):
    """What a look at the table finds out by its types."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.create_device_table)
        self.create_without_indexes()

    def create_without_indexes(self) -> None:
        """Not every type can have one."""
        self.database.create_device_table()
        self.database.query(
            "ALTER TABLE device_main DROP INDEX ix_device_main_device_status, DROP INDEX ix_device_main_is_online"
        )

    async def test_every_column_that_cannot_hold_what_is_written_is_named_with_why(self) -> None:
        wrong = {
            "last_seen": ("bigint", "date", "time", "varchar(18)", "year", "bit"),
            "last_heartbeat": ("double", "date", "enum('a')", "int", "binary(10)", "char(10)"),
            "is_online": ("enum('0','1')", "set('1')", "varchar(5)", "date", "longblob", "text"),
            "device_status": ("int", "time", "datetime", "bit", "decimal(3)", "double"),
            "last_report_data": ("int", "datetime", "enum('{}')", "bit", "date", "float"),
            "uuid": ("int", "bigint", "binary(16)", "date", "bigint", "int"),
        }
        for place in range(2):
            await self.alter(", ".join(f"MODIFY {name} {kinds[place]} NULL" for name, kinds in wrong.items()))
            with self.assertRaises(StoreMisconfigured) as caught:
                await self.store.describe()
            for name, kinds in wrong.items():
                self.assertIn(f"{name} is {kinds[place].partition('(')[0]}", str(caught.exception))
            with self.assertRaises(StoreMisconfigured):
                await self.store.write([make_update("a")])
        self.create_without_indexes()
        for name, kinds in wrong.items():
            before = self.database.query(f"SHOW COLUMNS FROM device_main LIKE '{name}'")[0][1]
            for kind in kinds:
                await self.alter(f"MODIFY {name} {kind} NULL")
                with self.assertRaises(StoreMisconfigured) as caught:
                    await self.store.describe()
                self.assertIn(f"device_main: {name} is {kind.partition('(')[0]}", str(caught.exception))
                self.assertNotIn(";", str(caught.exception))
            await self.alter(f"MODIFY {name} {before} NULL")
        await self.store.describe()

    async def test_a_column_that_the_server_makes_itself_is_named(self) -> None:
        for stored in ("STORED", "VIRTUAL"):
            await self.alter(f"DROP COLUMN is_online, ADD COLUMN is_online BOOL AS (last_seen IS NOT NULL) {stored}")
            with self.assertRaises(StoreMisconfigured) as caught:
                await self.store.describe()
            self.assertIn("device_main: is_online is tinyint(1), generated", str(caught.exception))
        await self.alter("DROP COLUMN uuid, ADD COLUMN uuid VARCHAR(36) AS (CONCAT('dev-', name)) STORED UNIQUE")
        await self.alter("DROP COLUMN is_online, ADD COLUMN is_online BOOL NOT NULL DEFAULT 0")
        await self.store.describe()
        self.database.query("INSERT INTO device_main (device_id, name, device_secret) VALUES ('7', '7', '')")
        self.assertEqual(await self.store.write([make_update("DEV-7"), make_update("x")]), unknown("x"))

    async def test_types_that_can_are_served(self) -> None:
        fits = {
            "last_seen": ("datetime", "timestamp", "varchar(19)", "char(30)", "text"),
            "last_heartbeat": ("timestamp(2)", "datetime(6)", "tinytext", "varchar(30) CHARACTER SET latin1", "text"),
            "is_online": ("tinyint unsigned", "bit", "bool", "decimal(1)", "bigint"),
            "device_status": ("text", "varbinary(20)", "enum('on','off')", "set('on','off')", "char(20)"),
            "last_report_data": ("json", "text", "longblob", "varchar(200) CHARACTER SET ascii", "mediumtext"),
        }
        for place in range(5):
            await self.empty()
            await self.alter(", ".join(f"MODIFY {name} {kinds[place]} NULL" for name, kinds in fits.items()))
            self.add_devices("a", "b", "c")
            store = self.make_table()
            await store.describe()
            updates = [
                make_update("a", document=b'{"n": "it\'s \\\\"}', status="on", last_heartbeat=LATER),
                make_update("b", document=None, last_heartbeat=None, is_online=False),
                make_update("c", document=b"[1]", status="off"),
            ]
            for write in (updates, updates[:1], updates[1:], [updates[1], *updates]):
                self.assertEqual((await store.write(write)).unknown, frozenset(), place)
            found = self.database.query(
                "SELECT CAST(last_report_data AS CHAR), CAST(device_status AS CHAR), CAST(last_seen AS CHAR),"
                " CAST(last_heartbeat AS CHAR), is_online + 0 FROM device_main ORDER BY uuid"
            )
            self.assertEqual([row[1] for row in found], ["on", None, "off"])
            self.assertEqual([json.loads(row[0]) if row[0] else None for row in found], [{"n": "it's \\"}, None, [1]])
            self.assertEqual([(row[3] or "")[:19] for row in found], [LATER, "", ""])
            self.assertEqual([(row[2][:19], int(row[4])) for row in found], [(EARLIER, 1), (EARLIER, 0), (EARLIER, 1)])

    async def test_what_an_enum_or_a_set_may_hold(self) -> None:
        for kind, words in (
            ("ENUM('pending','on','2')", {"pending", "on", "2"}),
            ("SET('pending','a','b')", {"pending", "a", "b"}),
            (
                r"ENUM('it''s','b\\c','x'',''y','pending','温','(',')')",
                {"it's", "b\\c", "x','y", "pending", "温", "(", ")"},
            ),
        ):
            await self.alter(f"MODIFY device_status {kind} NOT NULL DEFAULT 'pending'")
            self.assertEqual((await self.store.describe()).status_words, words)
        await self.alter("MODIFY device_status VARCHAR(20) NOT NULL DEFAULT 'pending'")
        self.assertIsNone((await self.store.describe()).status_words)

    async def test_no_text_is_taken_for_the_place_of_a_word(self) -> None:
        kinds = ("ENUM('pending','on','off','7','0')", "SET('pending','on','off','7','0')")
        for kind in kinds:
            await self.alter(f"MODIFY device_status {kind} NOT NULL DEFAULT 'pending'")
            await self.empty()
            self.add_devices("a", "b")
            for status in ("1", "2", "3", "03", "+3", " 3", "-1", "99", "3 ", "1.0", "0x2", "2e0", "nothing"):
                for others in ([], [make_update("b")]):
                    with self.assertRaises(StoreRefused, msg=status):
                        await self.store.write([make_update("a", status=status), *others])
            for status in ("on", "7", "0", "OFF", "off "):
                await self.store.write([make_update("a", status=status), make_update("b")])
                self.assertEqual(self.rows()["a"]["device_status"], status.lower().strip())
            self.assertEqual(self.rows()["b"]["device_status"], "pending")


class MariaDBMixin(Mixin):
    flavour = "mariadb"
    ignored, used = "IGNORED", "NOT IGNORED"
    dialects: ClassVar[tuple[str, ...]] = ("ORACLE", "MSSQL", "EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT,ANSI", "")


@only_in_all(OTHER_SERVERS)
class MySQLMixin(Mixin):
    flavour = "mysql"
    ignored, used = "INVISIBLE", "VISIBLE"
    dialects: ClassVar[tuple[str, ...]] = ("ANSI,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE", "REAL_AS_FLOAT,TRADITIONAL", "")
    skip = servers.unavailable("mysql")


class MariaDBMoodTests(MariaDBMixin, MoodTests, TestCase):
    pass


class MySQLMoodTests(MySQLMixin, MoodTests, TestCase):
    pass


class MariaDBTypeTests(MariaDBMixin, TypeTests, TestCase):
    pass


class MySQLTypeTests(MySQLMixin, TypeTests, TestCase):
    pass
