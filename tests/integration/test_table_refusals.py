"""A server that lives and says no: never an outage, whatever the number, and only where it is one."""

from __future__ import annotations

import json
import random
from typing import Any, ClassVar, NamedTuple

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.report import HEARTBEAT, STATUS
from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    Written,
)
from rig import servers
from rig.selection import OTHER_SERVERS, only_in_all
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import EARLIER, LATER, Mixin, make_update

BAD, GOOD = b'{"v": "bad", "n": [1, "x"]}', b'{"v": "ok", "n": [1]}'
IF_BAD = "IF JSON_UNQUOTE(JSON_EXTRACT(NEW.last_report_data, '$.v')) = 'bad' THEN {}; END IF"

# Numbers that mean something else when the server gives them: a lock, a lost connection, rights, a full disk, ...
TELLING = (1, 1021, 1040, 1045, 1053, 1142, 1146, 1153, 1205, 1213, 1290, 1317, 1927, 2006, 2013, 3101)
_random = random.Random(20261127)
SIGNALS = [("45000", number) for number in TELLING]
SIGNALS += [
    (f"{group}{_random.randrange(1000):03}", _random.choice(TELLING)) for group in ("45", "50", "99", "ZZ", "KA")
]
SIGNALS += [("HY000", _random.randrange(31000, 65535)) for _ in range(3)]
SIGNALS += [("22023", 31999), ("40001", 32100), ("08S01", 32200), ("28000", 32300), ("42S02", 32400)]
# What a server says that is read-only, out of connections or rights; that is full; that takes too long.
OF_ALL = [("HY000", 1290), ("HY000", 1836), ("28000", 1045), ("08004", 1040), ("42000", 1226), ("25006", 1792)]
OF_ALL += [("08S01", 1053)]
SHORT = [("HY000", number) for number in (120, 167, 1021, 1030, 1041, 1114)]


def trigger(body: str) -> str:
    """What a table's owner may have: something that looks at each row before it is written."""
    return f"CREATE TRIGGER guard BEFORE UPDATE ON device_main FOR EACH ROW BEGIN {body}; END"


class Kind(NamedTuple):
    """Something of a table's that refuses one document and not another."""

    made: str
    gone: str = "DROP TRIGGER guard"
    bad: bytes = BAD


def when_bad(body: str) -> Kind:
    return Kind(trigger(IF_BAD.format(body)))


def column(declared: str, bad: bytes = BAD) -> Kind:
    return Kind(f"ALTER TABLE device_main ADD COLUMN v {declared}", "ALTER TABLE device_main DROP COLUMN v", bad)


V = "JSON_UNQUOTE(JSON_EXTRACT(last_report_data, '$.v'))"
BOTH = {
    "date": when_bad("SET NEW.last_command_at = STR_TO_DATE(JSON_EXTRACT(NEW.last_report_data, '$.v'), '%Y')"),
    "division": when_bad("SET NEW.name = 1 / 0"),
    "no text": when_bad("SET NEW.name = NULL"),
    "number": when_bad("SET NEW.user_id = 'many'"),
    "too large": when_bad("SET NEW.user_id = 1e300"),
    "too long": when_bad("SET NEW.ota_status = REPEAT('x', 99)"),
    "missing procedure": when_bad("CALL nowhere()"),
    "missing table": when_bad("INSERT INTO nowhere VALUES (1)"),
    "two rows": when_bad("SET NEW.name = (SELECT 1 UNION SELECT 2)"),
    "unique": when_bad("SET NEW.device_id = 'dev-c'"),
    "check": Kind(
        f"ALTER TABLE device_main ADD CONSTRAINT c CHECK ({V} <> 'bad')", "ALTER TABLE device_main DROP CONSTRAINT c"
    ),
    "generated": column("TINYINT AS (JSON_EXTRACT(last_report_data, '$.w')) STORED", b'{"w": 4711}'),
}
MYSQL = {
    "generated from no number": column("INT AS (last_report_data->'$.w') STORED", b'{"w": "n/a"}'),
    "functional index": Kind(
        "CREATE INDEX i ON device_main ((CAST(last_report_data->>'$.w' AS CHAR(3))))",
        "DROP INDEX i ON device_main",
        b'{"w": "longer"}',
    ),
    "multi-valued index": Kind(
        "CREATE INDEX i ON device_main ((CAST(last_report_data->'$.n' AS UNSIGNED ARRAY)))",
        "DROP INDEX i ON device_main",
    ),
    "schema": Kind(
        "ALTER TABLE device_main ADD CONSTRAINT c CHECK"
        ' (JSON_SCHEMA_VALID(\'{"properties": {"v": {"enum": ["ok"]}}}\', last_report_data))',
        "ALTER TABLE device_main DROP CONSTRAINT c",
    ),
    "key": Kind("DO 0", "DO 0", json.dumps({"k" * 65536: 1}).encode()),
}


class RefusalTests(DatabaseMixin):
    kinds: ClassVar[dict[str, Kind]]

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.create_device_table)

    async def refused(self, *updates: Any) -> StoreRefused:
        with self.assertRaises(StoreRefused) as caught:
            await self.store.write(updates)
        exception: StoreRefused = caught.exception
        return exception

    async def test_what_refuses_one_document_is_told_as_a_refusal_and_stops_no_other(self) -> None:
        for name, kind in self.kinds.items():
            await self.empty()
            await self.execute(kind.made)
            self.add_devices("a", "b", "c")
            await self.only_the_bad_one_is_refused(kind.bad, name)
            await self.execute(kind.gone)

    async def only_the_bad_one_is_refused(self, bad: bytes, name: str) -> None:
        good = [make_update("a", document=GOOD), make_update("c", kinds=HEARTBEAT, document=None)]
        for others in ([], good):
            before = self.rows()
            with self.assertRaises(StoreRefused, msg=name):
                await self.store.write([*others, make_update("b", document=bad)])
            self.assertEqual(self.rows(), before, name)
        times = make_update("b", kinds=HEARTBEAT, document=None, last_heartbeat=EARLIER)
        self.assertEqual(await self.store.write([*good, times]), Written(), name)
        after = self.rows()
        self.same_document(after["a"]["last_report_data"], GOOD.decode())
        self.assertEqual((after["b"]["last_report_data"], str(after["b"]["last_heartbeat"])), (None, EARLIER))

    async def test_a_signal_is_a_refusal_whatever_its_number_and_sqlstate(self) -> None:
        self.add_devices("a", "b", "c")
        for state, number in SIGNALS:
            signal = f"SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'not this'"
            await self.execute("DROP TRIGGER IF EXISTS guard", trigger(IF_BAD.format(signal)))
            refused = await self.refused(make_update("a", document=GOOD), make_update("b", document=BAD))
            self.assertEqual(str(refused), f"not this ({number})")
            self.assertEqual(await self.store.write([make_update("a", document=GOOD)]), Written())

    async def test_so_is_a_number_that_usually_says_that_nobody_can_write_where_others_can(self) -> None:
        self.add_devices("a", "b", "c")
        bad = make_update("b", kinds=HEARTBEAT, document=None)
        for state, number in OF_ALL:
            await self.guard("b", f"SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}")
            await self.store.write([make_update("a")])
            await self.refused(make_update("a"), bad)
            await self.refused(bad)
            self.assertIsNone(await self.store.why_no_times(bad), number)
            self.assertEqual(await self.store.write([make_update("a"), make_update("c")]), Written())

    async def guard(self, uuid: str, body: str) -> None:
        """Have a trigger do something with each update of one row."""
        guarded = trigger(f"IF NEW.uuid = '{uuid}' THEN {body}; END IF")
        await self.execute("DROP TRIGGER IF EXISTS guard", guarded)

    async def test_what_lacks_room_for_one_row_is_kept_and_no_outage(self) -> None:
        """As in a trigger that writes elsewhere; and a disk that is nearly full takes one row and not another."""
        self.add_devices("a", "b", "c")
        bad = make_update("b", kinds=HEARTBEAT, document=None)
        await self.execute(
            "CREATE TABLE used_up (k TINYINT PRIMARY KEY AUTO_INCREMENT)",
            "INSERT INTO used_up VALUES (127)",
            "CREATE TABLE full (k VARCHAR(8000)) ENGINE=MEMORY MAX_ROWS=1",
        )
        self.addCleanup(self.database.query, "DROP TABLE used_up, full")
        bodies = [f"SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}" for state, number in SHORT]
        if self.flavour == "mariadb":  # MySQL calls the one a duplicate, and does not take the other in a transaction
            bodies.append("INSERT INTO used_up VALUES (NULL)")
            bodies.append("; ".join(["INSERT INTO full VALUES (REPEAT('x', 8000))"] * 400))
        for body in bodies:
            await self.guard("b", body)
            await self.store.write([make_update("a")])
            for updates in ([make_update("a"), bad], [bad]):
                with self.assertRaises(StoreConflict):
                    await self.store.write(updates)
            self.assertEqual(await self.store.write([make_update("a"), make_update("c")]), Written())

    async def test_of_what_takes_too_long_less_may_go_through_and_one_row_is_kept(self) -> None:
        self.add_devices("a", "b", "c")
        await self.guard("b", "SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1969")
        with self.assertRaises(StoreUnavailable):
            await self.store.write([make_update("a"), make_update("b")])
        with self.assertRaises(StoreConflict):
            await self.store.write([make_update("b")])

    async def test_a_signal_without_a_number_and_known_errors_of_values_are_certain(self) -> None:
        self.add_devices("a")
        self.assertTrue((await self.refused(make_update("a", document=b"{"))).is_certain)
        self.assertTrue((await self.refused(make_update("a", status="x" * 21))).is_certain)
        await self.execute(trigger(IF_BAD.format("SIGNAL SQLSTATE '45000'")))
        self.assertTrue((await self.refused(make_update("a", document=BAD))).is_certain)
        await self.execute("DROP TRIGGER guard", trigger(IF_BAD.format("CALL nowhere()")))
        self.assertFalse((await self.refused(make_update("a", document=BAD))).is_certain)

    async def test_a_refusal_costs_no_connection(self) -> None:
        self.add_devices("a")
        await self.execute(trigger(IF_BAD.format("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 2013")))
        await self.store.write([make_update("a")])
        before = set(self.connections())
        for _ in range(3):
            await self.refused(make_update("a", document=BAD))
        self.assertLessEqual(set(self.connections()), before)

    async def test_a_document_over_the_packet_is_refused_whoever_says_so(self) -> None:
        self.add_devices("a", "b")
        query = self.database.query
        self.addCleanup(query, "SET GLOBAL max_allowed_packet = DEFAULT")
        await self.execute("SET GLOBAL max_allowed_packet = 98304")
        # The first is too long to be sent; of the second only MySQL's binary form of it is over the limit.
        documents: list[dict[str, object]] = [{"t": "x" * 99000}, {f"{number:x}": {} for number in range(6900)}]
        for document in documents:
            text = json.dumps(document, separators=(",", ":")).encode()
            table = self.make_table()
            with self.assertRaises(StoreRefused):
                await table.write([make_update("a"), make_update("b", document=text)])
                raise StoreRefused("MariaDB keeps the text")
            self.assertEqual(await table.write([make_update("a")]), Written())

    async def test_rights_and_schema_are_mistakes_though_one_device_only_was_written(self) -> None:
        self.add_devices("a")
        await self.store.write([make_update("a")])
        for broken, mended in (
            ("ALTER TABLE device_main RENAME COLUMN last_heartbeat TO beat", "RENAME COLUMN beat TO last_heartbeat"),
            ("ALTER TABLE device_main RENAME TO elsewhere", None),
        ):
            await self.execute(broken)
            with self.assertRaises(StoreMisconfigured):
                await self.store.write([make_update("a", last_heartbeat=EARLIER)])
            await self.execute(
                f"ALTER TABLE device_main {mended}" if mended else "ALTER TABLE elsewhere RENAME TO device_main"
            )
            self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_statement_that_somebody_ends_is_a_conflict(self) -> None:
        self.add_devices("a")
        await self.store.write([make_update("a")])
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            writing = self.store.write([make_update("a")])
            find = "SELECT id FROM information_schema.processlist WHERE user = %s AND info LIKE 'UPDATE%%'"
            while not (running := await deferToThread(self.database.query, find, (self.database.service_user,))):
                pass
            await self.execute(f"KILL QUERY {running[0][0]}")
            with self.assertRaises(StoreConflict):
                await writing


class WhoseFaultTests(DatabaseMixin):
    """``why_no_times``."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.create_device_table)
        self.add_devices(*"abcdef")

    async def test_a_row_that_alone_takes_nothing_is_its_own_fault(self) -> None:
        held = "IF NEW.uuid = 'a' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31000; END IF"
        await self.execute(trigger(held))
        update = make_update("a", kinds=HEARTBEAT, document=None)
        with self.assertRaises(StoreRefused):
            await self.store.write([update])
        self.assertIsNone(await self.store.why_no_times(update))

    async def test_a_table_that_takes_a_time_in_no_row_is_named_with_the_column(self) -> None:
        checks = {
            "last_seen": "last_seen < '2026-01-01'",
            "last_heartbeat": "last_heartbeat < '2026-01-01'",
            "is_online": "is_online = 0",
        }
        for column, check in checks.items():
            await self.execute(f"ALTER TABLE device_main ADD CONSTRAINT wrong CHECK ({check})")
            update = make_update("a", kinds=HEARTBEAT, document=None, last_seen=LATER, last_heartbeat=LATER)
            before = self.rows()
            with self.assertRaises(StoreRefused):
                await self.store.write([update])
            why = await self.store.why_no_times(update)
            assert why is not None
            self.assertEqual(why.partition(":")[0], column)
            self.assertIn("wrong", why)
            self.assertEqual(self.rows(), before)
            await self.execute("ALTER TABLE device_main DROP CONSTRAINT wrong")
            self.assertEqual(await self.store.write([update]), Written())
            await self.empty()
            self.add_devices(*"abcdef")

    async def test_a_time_that_the_type_does_not_hold(self) -> None:
        await self.execute("ALTER TABLE device_main MODIFY last_seen TIMESTAMP NULL")
        update = make_update("a", kinds=HEARTBEAT, document=None, last_seen="2000-01-01 00:00:00")
        self.assertEqual(await self.store.write([update]), Written())
        update.last_seen = "1960-01-01 00:00:00"
        with self.assertRaises(StoreRefused):
            await self.store.write([update])
        why = await self.store.why_no_times(update)
        assert why is not None
        self.assertTrue(why.startswith("last_seen: "), why)

    async def test_the_rows_that_were_written_last_are_tried_first_and_their_locks_say_nothing(self) -> None:
        only_f = "IF NEW.uuid <> 'f' THEN SIGNAL SQLSTATE '45000'; END IF"
        await self.store.write([make_update("f")])
        await self.execute(trigger(only_f))
        update = make_update("a", kinds=STATUS, document=None)
        self.assertIsNone(await self.store.why_no_times(update))
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'f' FOR UPDATE")
            self.assertIsNotNone(await self.store.why_no_times(update))
            cursor.execute("SELECT id FROM device_main FOR UPDATE")
            with self.assertRaises(StoreConflict):
                await self.store.why_no_times(update)
        self.assertEqual(await self.store.write([make_update("f")]), Written())

    async def test_where_there_is_no_other_row_the_servers_last_words_are_told(self) -> None:
        await self.execute("DELETE FROM device_main WHERE uuid <> 'a'")
        await self.execute(trigger("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31000, MESSAGE_TEXT = 'never'"))
        update = make_update("A", document=None)
        with self.assertRaises(StoreRefused):
            await self.store.write([update])
        self.assertEqual(await self.store.why_no_times(update), "never (31000)")

    async def test_it_cannot_be_told_of_a_server_that_is_away(self) -> None:
        await self.store.write([make_update("a")])
        self.database.query("SET GLOBAL read_only = 1")
        self.addCleanup(self.database.query, "SET GLOBAL read_only = 0")
        with self.assertRaises(StoreUnavailable):
            await self.store.why_no_times(make_update("a"))


class MariaDBMixin(Mixin):
    flavour = "mariadb"
    kinds = BOTH


@only_in_all(OTHER_SERVERS)
class MySQLMixin(Mixin):
    flavour = "mysql"
    kinds: ClassVar[dict[str, Kind]] = {**BOTH, **MYSQL}
    skip = servers.unavailable("mysql")


class MariaDBRefusalTests(MariaDBMixin, RefusalTests, TestCase):
    pass


class MySQLRefusalTests(MySQLMixin, RefusalTests, TestCase):
    pass


class MariaDBWhoseFaultTests(MariaDBMixin, WhoseFaultTests, TestCase):
    async def test_nothing_is_tried_on_a_row_that_would_keep_it(self) -> None:
        await self.execute("ALTER TABLE device_main ENGINE = Aria")
        for signal in ("SIGNAL SQLSTATE '45000'", "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114"):
            await self.execute("DROP TRIGGER IF EXISTS guard", trigger(f"IF NEW.uuid = 'a' THEN {signal}; END IF"))
            update = make_update("a", kinds=HEARTBEAT, document=None)
            before = self.rows()
            with self.assertRaises(StoreError):
                await self.store.write([update])
            self.assertIsNone(await self.store.why_no_times(update))
            self.assertEqual(self.rows(), before)


class MySQLWhoseFaultTests(MySQLMixin, WhoseFaultTests, TestCase):
    pass
