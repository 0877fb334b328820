"""The store contract, and all that is SQL's, on real servers and as the user with the least rights."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pymysql
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.report import HEARTBEAT
from aiot_mqtt.table import bounded_select, count, matching, shape, statements
from aiot_mqtt.table.address import DatabaseAddress
from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    Written,
)
from aiot_mqtt.table.mysql import DeviceTable
from aiot_mqtt.table.shape import values_form
from rig import servers
from rig.relay import Relay
from rig.selection import OTHER_WAYS, only_in_all
from tests.eventually import eventually
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import EARLIER, Mixin, StoreContract, make_update, unknown


class TableTests(DatabaseMixin, StoreContract):
    """What holds of a table in a database server beyond the contract."""

    store: DeviceTable
    values: ClassVar[str | None]

    async def test_only_the_five_columns_and_updated_at_change(self) -> None:
        self.database.add_device("a", updated_at="2020-01-01 00:00:00", last_command='{"c": 1}', settings='{"s": 2}')
        before = self.database.row("a")
        tables = self.database.query("SHOW TABLES")
        await self.store.write([make_update("a", status="on", last_heartbeat=EARLIER), make_update("ghost")])
        after = self.database.row("a")
        changed = {name for name in before if before[name] != after[name]}
        self.assertEqual(
            changed,
            {"last_report_data", "device_status", "last_seen", "last_heartbeat", "is_online", "updated_at"},
        )
        self.assertEqual(self.database.query("SELECT COUNT(*) FROM device_main"), [(1,)])
        self.assertEqual(self.database.query("SHOW TABLES"), tables)

    async def test_devices_are_counted_and_a_count_that_takes_long_is_given_up(self) -> None:
        self.assertEqual(await self.store.count_devices(), (0, 0))
        for uuid in "abc":
            self.database.add_device(uuid)
        await self.store.write([make_update("a"), make_update("b")])
        self.assertEqual(await self.store.count_devices(), (2, 3))
        slow = count.COUNT.replace("COALESCE(SUM(is_online = 1), 0)", "SUM(SLEEP(10))")
        self.patch(count, "COUNT", slow)
        self.patch(bounded_select, "MAX_TIME", 1)
        with self.assertRaises(StoreConflict):
            await self.store.count_devices()
        self.assertIsNotNone(self.store._shape)
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_tells_whose_rows_are_locked_without_waiting_for_them(self) -> None:
        self.database.add_devices(["a", "b", "c"])
        self.assertEqual(await self.store.find_locked(["a", "B", "nobody"]), frozenset())
        connection = pymysql.connect(unix_socket=str(self.database.socket), user="root", database=servers.DATABASE)
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE device_main SET total_reports = 7 WHERE uuid IN ('b', 'c')")
            self.assertEqual(await self.store.find_locked(["a", "B", "c", "nobody"]), {"B", "c"})
            self.patch(matching, "MAX_ASKED", 1)
            self.assertEqual(await self.store.find_locked(["a", "B", "c", "nobody"]), {"B", "c"})
            cursor.execute("ROLLBACK")
            self.assertEqual(await self.store.find_locked(["a", "B", "c"]), frozenset())
            # What it has locked itself it does not keep.
            cursor.execute("UPDATE device_main SET total_reports = 7")
            connection.rollback()

    async def test_a_server_that_cannot_pass_over_locked_rows_does_not_tell(self) -> None:
        self.database.add_device("a")
        self.patch(matching, "SKIP_LOCKED", " FOR UPDATE SKIP WHAT IS LOCKED")
        self.assertEqual(await self.store.find_locked(["a"]), frozenset())
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_locked_table_is_a_conflict(self) -> None:
        self.database.add_device("a")
        connection = pymysql.connect(unix_socket=str(self.database.socket), user="root", database=servers.DATABASE)
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLES device_main READ")
            with self.assertRaises(StoreConflict):
                await self.store.write([make_update("a")])
            cursor.execute("UNLOCK TABLES")
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_heartbeat_does_not_rewrite_the_document(self) -> None:
        # A date within MySQL's JSON has no text form that comes back as one.
        self.database.add_device("a")
        self.database.query("UPDATE device_main SET last_report_data = JSON_OBJECT('at', NOW())")
        kind = "SELECT JSON_TYPE(JSON_EXTRACT(last_report_data, '$.at')) FROM device_main"
        before = self.database.query(kind), self.row("a").last_report_data
        await self.store.write(
            [
                make_update("a", kinds=HEARTBEAT, document=None, last_heartbeat=EARLIER),
                make_update("b", document=b'{"t": 2}'),
            ]
        )
        self.assertEqual((self.database.query(kind), self.row("a").last_report_data), before)
        self.assert_row("a", last_heartbeat=EARLIER)

    async def test_the_servers_way_to_write_a_table_of_literals_is_found(self) -> None:
        await self.store.describe()
        assert self.store._shape is not None
        self.assertEqual(self.store._shape.values, self.values)

    def test_only_a_lost_connection_keeps_that_way_from_being_found(self) -> None:
        query = self.database.query
        query("CREATE USER few@'%' IDENTIFIED BY 'few' WITH MAX_QUERIES_PER_HOUR 20", database=None)
        query("FLUSH USER_RESOURCES", database=None)  # MariaDB knows a user of that name from the last time
        self.addCleanup(query, "DROP USER few@'%'", database=None)
        connection = pymysql.connect(host=self.database.host, port=self.database.port, user="few", password="few")
        self.addCleanup(connection.close)
        with connection.cursor() as cursor:
            with self.assertRaises(pymysql.err.OperationalError) as caught:
                while True:
                    cursor.execute("SELECT 1")
            self.assertEqual(caught.exception.args[0], 1226)  # no syntax error, but an answer
            self.assertIsNone(values_form(cursor))
            query(f"KILL {connection.thread_id()}", database=None)
            with self.assertRaises(pymysql.err.MySQLError):
                values_form(cursor)

    async def test_works_in_other_collations_than_the_servers_default(self) -> None:
        for collation in ("utf8mb4_general_ci", "utf8mb4_bin", "utf8mb3_unicode_ci", "latin1_swedish_ci", "ascii_bin"):
            self.database.create_device_table(collation=collation)
            self.database.add_device("Device-1")
            table = self.make_table()
            written = await table.write([make_update("Device-1"), make_update("ghost")])
            self.assertEqual(written, unknown("ghost"), collation)
            self.assert_row("Device-1", last_seen=EARLIER)

    async def test_uses_the_index_of_uuid_and_locks_only_its_rows(self) -> None:
        self.add_devices(*(f"d{number:05}" for number in range(2000)))
        await self.assert_locks_only_its_rows()

    async def test_uses_the_index_though_the_servers_statistics_know_of_two_rows(self) -> None:
        query = self.database.query
        await deferToThread(query, "ALTER TABLE device_main STATS_AUTO_RECALC=0")
        self.add_devices("a", "b")
        await deferToThread(query, "ANALYZE TABLE device_main")
        self.add_devices(*(f"d{number:05}" for number in range(2000)))
        await deferToThread(query, "FLUSH TABLES device_main")
        await self.assert_locks_only_its_rows()

    async def assert_locks_only_its_rows(self) -> None:
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'd01000' FOR UPDATE")
            others = [make_update(f"d{number:05}") for number in range(0, 2000, 3) if number != 1000]
            self.assertEqual(await self.store.write(others), Written())

    async def test_a_row_that_is_locked_is_a_conflict(self) -> None:
        self.database.add_device("a")
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            with self.assertRaises(StoreConflict) as caught:
                await self.store.write([make_update("a")])
            self.assertIn("1205", str(caught.exception))
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_what_the_servers_json_refuses_is_refused(self) -> None:
        self.database.add_device("a")
        for document in (b"{", b'{"a": NaN}', b'{"a":' * 120 + b"1" + b"}" * 120):
            with self.assertRaises(StoreRefused, msg=document[:20]):
                await self.store.write([make_update("a", document=document)])

    async def test_a_status_that_the_columns_charset_lacks_is_refused_and_no_other(self) -> None:
        self.add_devices("a", "b", "c")
        await deferToThread(
            self.database.query,
            "ALTER TABLE device_main MODIFY device_status varchar(20) CHARACTER SET utf8mb3 NOT NULL",
        )
        others = [make_update("b", status="温"), make_update("c", kinds=HEARTBEAT, document=None)]
        for updates in ([], others):
            with self.assertRaises(StoreRefused):
                await self.store.write([make_update("a", status="🔥"), *updates])
        await self.store.write(others)
        self.assert_row("b", device_status="温")

    async def test_a_document_that_the_columns_charset_lacks_is_refused_and_no_other(self) -> None:
        self.add_devices("a", "b", "c")
        await deferToThread(
            self.database.query, "ALTER TABLE device_main MODIFY last_report_data text CHARACTER SET utf8mb3 NULL"
        )
        others = [make_update("b", document='{"t": "温"}'.encode()), make_update("c", kinds=HEARTBEAT, document=None)]
        for updates in ([], others):
            with self.assertRaises(StoreRefused):
                await self.store.write([make_update("a", document='{"t": "🔥"}'.encode()), *updates])
        await self.store.write(others)
        self.assert_row("b", last_report_data='{"t": "温"}')

    async def test_a_write_over_the_packet_limit_is_split(self) -> None:
        uuids = [f"d{number:03}" for number in range(64)]
        self.add_devices(*uuids)
        self.database.query("SET GLOBAL max_allowed_packet = 1048576")
        before = self.database.query("SELECT @@max_allowed_packet")
        self.addCleanup(self.database.query, "SET GLOBAL max_allowed_packet = 16777216")
        self.assertEqual(before, [(1048576,)])
        document = json.dumps({"text": "'" * 60000}).encode()
        written = await self.store.write([make_update(uuid, document=document) for uuid in uuids])
        self.assertEqual(written, Written())
        self.assert_row("d063", last_report_data=document.decode())
        with self.assertRaises(StoreRefused):
            await self.store.write([make_update("d000", document=json.dumps({"t": "x" * 1100000}).encode())])

    async def test_the_pool_opens_its_connections_at_start_and_no_more(self) -> None:
        await eventually(lambda: not self.connections())  # those of the test before are closing
        await self.store.describe()
        await eventually(lambda: len(self.connections()) == 5)
        other = self.make_table(pool_size=2, max_overflow=1)
        await other.describe()
        await self.stop_table(self.store)  # type: ignore[misc]
        await eventually(lambda: len(self.connections()) == 2)

    async def test_the_pool_never_has_more_than_its_size_and_its_overflow(self) -> None:
        self.database.add_device("a")
        await self.store.describe()
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            blocked = [self.store.write([make_update("a")]) for _ in range(20)]
            await eventually(lambda: len(self.connections()) == 15)
        for write in blocked:
            self.assertEqual(await write, Written())
        self.assertEqual(len(self.connections()), 15)

    async def test_the_session_is_set_as_documented(self) -> None:
        await self.store.describe()

        def read(connection: Any) -> Any:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT @@wait_timeout, @@innodb_lock_wait_timeout, @@sql_mode, @@autocommit,"
                    " @@time_zone = @@global.time_zone"
                )
                settings = cursor.fetchone()
                cursor.execute("SHOW VARIABLES LIKE 't%_isolation'")
                return settings, cursor.fetchone()[1]

        settings, isolation = await self.store._run(read)
        self.assertEqual(settings, (60, 4, "STRICT_ALL_TABLES", 0, 1))
        self.assertEqual(isolation, "READ-COMMITTED")

    async def test_connections_are_recycled(self) -> None:
        table = self.make_table(pool_size=1, max_overflow=0, pool_recycle=0)
        self.database.add_device("a")
        await table.write([make_update("a")])
        (first,) = self.connections()
        await table.write([make_update("a")])
        (second,) = self.connections()
        self.assertNotEqual(first, second)

    async def test_one_lost_connection_spares_the_others_a_failed_attempt(self) -> None:
        self.database.add_device("a")
        await self.store.describe()
        await eventually(lambda: len(self.connections()) == 5)
        for connection in self.connections():
            self.database.query(f"KILL {connection}")
        failed = 0  # none where the pool has seen the end of the first one, too
        for _ in range(10):
            try:
                self.assertEqual(await self.store.write([make_update("a")]), Written())
            except StoreUnavailable:
                failed += 1
        self.assertLessEqual(failed, 1)

    async def test_a_restart_of_the_server_costs_one_failed_attempt(self) -> None:
        self.database.add_device("a")
        await self.store.write([make_update("a")])
        await deferToThread(self.database.kill)
        with self.assertRaises(StoreUnavailable) as caught:
            await self.store.write([make_update("a")])
        self.assertRegex(str(caught.exception), r"\(20\d\d\)")
        await deferToThread(self.database.start)
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_wrong_password_and_missing_rights_are_mistakes_of_configuration(self) -> None:
        address = DatabaseAddress(
            self.database.host, self.database.port, servers.DATABASE, self.database.service_user, "device_main"
        )
        stranger = DeviceTable(address, "wrong", reactor)
        stranger.startService()
        self.addCleanup(stranger.stopService)
        with self.assertRaises(StoreLoginRefused) as caught:
            await stranger.describe()
        self.assertIn("1045", str(caught.exception))
        self.assertNotIn("wrong", str(caught.exception))
        self.database.add_device("a")
        await self.store.describe()
        self.database.revoke()
        with self.assertRaises(StoreMisconfigured):
            await self.store.write([make_update("a")])
        self.database.grant()
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_missing_column_is_named(self) -> None:
        self.database.query("ALTER TABLE device_main DROP COLUMN last_heartbeat")
        self.addCleanup(self.database.create_device_table)
        with self.assertRaises(StoreMisconfigured) as caught:
            await self.store.describe()
        self.assertIn("last_heartbeat", str(caught.exception))

    async def test_a_table_renamed_away_and_altered_is_served_again(self) -> None:
        self.database.add_device("a")
        await self.store.write([make_update("a")])
        self.database.query("RENAME TABLE device_main TO elsewhere")
        self.addCleanup(self.database.query, "DROP TABLE IF EXISTS elsewhere")
        with self.assertRaises(StoreMisconfigured):
            await self.store.write([make_update("a")])
        with self.assertRaises(StoreMisconfigured) as caught:
            await self.store.describe()
        self.assertIn("there is no table device_main", str(caught.exception))
        self.database.query("RENAME TABLE elsewhere TO device_main")
        self.database.query("ALTER TABLE device_main ADD COLUMN extra int NULL FIRST")
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_read_only_server_is_waited_for_on_a_new_connection(self) -> None:
        self.database.add_device("a")
        await self.store.write([make_update("a")])
        self.database.query("SET GLOBAL read_only = 1")
        self.addCleanup(self.database.query, "SET GLOBAL read_only = 0")
        with self.assertRaises(StoreUnavailable):
            await self.store.write([make_update("a")])
        self.database.query("SET GLOBAL read_only = 0")
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_silent_server_is_given_up_and_stopping_does_not_wait_for_it(self) -> None:
        self.database.add_device("a")
        with Relay(self.database.port) as relay:
            table = self.make_table(relay.port, read_timeout=1)
            await table.write([make_update("a")])
            relay.cut()
            with self.assertRaises(StoreUnavailable):
                await table.write([make_update("a")])
            patient = self.make_table(relay.port, read_timeout=3600)
            hanging = patient.write([make_update("a")])
            # The thread is in the handshake with a server that says nothing; only an end of its socket frees it.
            await eventually(lambda: any(c._sock for c in list(patient._pool.connections.values())))
            await patient.stopService()
            with self.assertRaises(StoreUnavailable):
                await hanging

    async def test_no_password_in_any_representation(self) -> None:
        text = repr(self.store) + repr(vars(self.store).get("_address")) + str(self.store._address)
        self.assertNotIn(self.database.service_password, text)


class MariaDBTableTests(TableTests, TestCase):
    flavour = "mariadb"
    values = ""


class MySQLTableTests(TableTests, TestCase):
    flavour = "mysql"
    values: ClassVar[str | None] = "ROW"
    skip = servers.unavailable("mysql")


@only_in_all(OTHER_WAYS)
class JoinMixin(Mixin):
    """Few updates in the form that otherwise only many have."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(statements, "FEW", 0)


class MariaDBJoinTests(JoinMixin, MariaDBTableTests):
    pass


class MySQLJoinTests(JoinMixin, MySQLTableTests):
    pass


class OldMySQLJoinTests(MySQLJoinTests):
    """As with a server from before 8.0.19."""

    values = None

    def setUp(self) -> None:
        super().setUp()
        self.patch(shape, "values_form", lambda _cursor: None)
