"""Which row is whose: the server's collations decide, and they hold more equal than anybody would guess."""

from __future__ import annotations

import contextlib
from string import ascii_lowercase, ascii_uppercase
from typing import Any, ClassVar

import pymysql
from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.report import HEARTBEAT
from aiot_mqtt.table import matching, statements, transaction
from aiot_mqtt.table.contract import StoreConflict, Written
from rig import servers
from rig.selection import OTHER_SERVERS, OTHER_WAYS, only_in_all
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import EARLIER, LATER, Mixin, make_update, unknown

CASES_ALIKE = dict(zip(ascii_uppercase, ascii_lowercase, strict=True))
# A row's uuid, and a device that the collation holds equal to it.
LOOK_ALIKES = {
    "utf8mb4_unicode_ci": [
        ("dev-7 ", "dev-7"),
        ("dev-7\u200b", "dev-7"),
        ("dev-7\ufeff", "DEV-7"),
        ("d\u00e9v-7", "dev-7"),
        ("\uff44ev-7", "dev-7"),
        ("de\u0301v-7", "Dev-7"),
    ],
    "utf8mb4_general_ci": [("dev-7  ", "dev-7"), ("d\u00e9v-7", "dev-7")],
    "latin1_swedish_ci": [("d\u00e9v-7 ", "DEV-7")],
    "utf8mb4_bin": [("dev-7 ", "dev-7")],
}
UUID = "550e8400-e29b-41d4-a716-446655440000"


class NameTests(DatabaseMixin):
    one_letter: ClassVar[str]
    """A collation in which i and y are one."""
    case_sensitive: ClassVar[str]
    pairs: ClassVar[dict[str, tuple[str, str]]]
    """Collations, each with two names of the same characters that it holds equal."""
    uuid_types: ClassVar[tuple[str, ...]]

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.create_device_table)

    async def collate(self, collation: str) -> None:
        charset = collation.partition("_")[0]
        await self.alter(f"MODIFY uuid VARCHAR(36) CHARACTER SET {charset} COLLATE {collation} NOT NULL")

    async def describe_anew(self) -> Any:
        self.store = self.make_table()
        return await self.store.describe()

    def heard(self) -> dict[str, str | None]:
        return {uuid: row["last_report_data"] for uuid, row in self.rows().items()}

    async def test_a_look_alike_is_served_beside_an_unknown_one(self) -> None:
        for collation, pairs in LOOK_ALIKES.items():
            await self.empty()
            await self.collate(collation)
            for row, name in pairs:
                await self.empty()
                self.add_devices(row, "other")
                updates = [make_update(name), make_update("nobody"), make_update("other")]
                self.assertEqual(await self.store.write(updates), unknown("nobody"), (collation, row))
                self.assertEqual(await self.store.write([make_update(name)]), Written())
                self.assertTrue(all(self.heard().values()), (collation, row))

    async def test_a_column_that_tells_case_is_believed(self) -> None:
        for collation in ("utf8mb4_bin", self.case_sensitive):
            await self.empty()
            await self.collate(collation)
            self.assertEqual((await self.describe_anew()).same_characters, {})
            self.database.query(
                "INSERT INTO device_main (uuid, device_id, name, device_secret)"
                " VALUES ('Pump-1', 'a', '', ''), ('pump-1', 'b', '', ''), ('Pump-2', 'c', '', '')"
            )
            names = ("Pump-1", "pump-1", "Pump-2", "PUMP-2")
            written = await self.store.write(
                [make_update(name, document=b'{"of":"%s"}' % name.encode()) for name in names]
            )
            self.assertEqual(written, unknown("PUMP-2"))
            for name, document in self.heard().items():
                self.same_document(document, f'{{"of":"{name}"}}')

    async def test_letters_that_are_one_to_a_language_are_told_and_their_rows_merged(self) -> None:
        await self.collate(self.one_letter)
        same = (await self.describe_anew()).same_characters
        self.assertEqual(same, {**CASES_ALIKE, "Y": "i", "y": "i"})
        await self.two_names_share_a_row("dev-i", "dev-y")

    async def test_names_that_are_one_though_their_characters_are_not(self) -> None:
        for collation, (one, other) in self.pairs.items():
            await self.empty()
            await self.collate(collation)
            self.assertEqual((await self.describe_anew()).same_characters, CASES_ALIKE)
            await self.two_names_share_a_row(one, other)

    async def two_names_share_a_row(self, one: str, other: str) -> None:
        self.add_devices(one, "a", "b")
        rest = [make_update("a"), make_update("nobody"), make_update("b")]
        for first, second in ((one, other), (other, one)):
            older = make_update(first, document=b'{"n": 1}', status="off", order=1)
            newer = make_update(second, kinds=HEARTBEAT, document=None, last_seen=LATER, last_heartbeat=LATER, order=2)
            for updates in ([older, newer, *rest], [*rest, newer, older]):
                await self.store.write([make_update(one, document=b"{}", status="x")])
                written = await self.store.write(updates)
                self.assertEqual(written, Written(unknown=frozenset({"nobody"}), shared=frozenset({one, other})))
                self.assert_row(
                    one, last_report_data='{"n": 1}', device_status="off", last_seen=LATER, last_heartbeat=LATER
                )
        self.assertEqual(await self.store.write([make_update(other)]), Written())

    async def test_names_of_one_row_in_two_statements_of_a_write(self) -> None:
        self.patch(statements, "MAX_STATEMENT", 200)
        await self.collate(self.one_letter)
        await self.two_names_share_a_row("dev-i", "dev-y")

    async def test_a_uuid_that_is_there_twice_is_told_and_hides_nobody(self) -> None:
        for index in ("ADD INDEX (uuid)", "DROP INDEX uuid"):
            if "ADD" in index:
                await self.alter("DROP INDEX uk_device_main_uuid")
            await self.alter(index)
            await self.empty()
            for number, uuid in enumerate(("a", "a", "b", "B", "c")):
                self.database.add_device(uuid, device_id=str(number))
            for updates, written in (
                (("a",), Written(doubled=frozenset("a"))),
                (("nobody",), unknown("nobody")),
                (("c",), Written()),
                (("a", "nobody"), Written(unknown=frozenset({"nobody"}), doubled=frozenset("a"))),
                (("a", "b", "c", "x", "y"), Written(unknown=frozenset("xy"), doubled=frozenset("ab"))),
                (("B", "b", "x"), Written(unknown=frozenset("x"), doubled=frozenset("bB"), shared=frozenset("bB"))),
            ):
                self.assertEqual(await self.store.write([make_update(uuid) for uuid in updates]), written, updates)
            self.assertEqual(
                self.database.query("SELECT COUNT(*) FROM device_main WHERE last_seen IS NOT NULL"), [(5,)]
            )
            socket = str(self.database.socket)
            other = pymysql.connect(unix_socket=socket, user="root", database=servers.DATABASE, autocommit=False)
            with contextlib.closing(other), other.cursor() as cursor:
                cursor.execute("UPDATE device_main SET total_reports = 7 WHERE device_id = '0'")
                self.assertEqual(await self.store.find_locked(["a", "c"]), frozenset("a"))  # one row of two
                other.rollback()

    async def test_an_index_over_more_than_the_uuid_does_not_make_it_unique(self) -> None:
        await self.alter("DROP INDEX uk_device_main_uuid, ADD UNIQUE INDEX (uuid, device_id), ADD UNIQUE INDEX (name)")
        self.database.grant()
        for number in range(2):
            self.database.add_device("a", device_id=str(number), name=str(number))
        written = await self.store.write([make_update("a"), make_update("nobody")])
        self.assertEqual(written, Written(unknown=frozenset({"nobody"}), doubled=frozenset("a")))

    async def test_a_row_that_comes_or_goes_in_the_middle_of_a_write_is_no_conflict(self) -> None:
        def come_and_go(*arguments: Any) -> Any:
            self.database.add_device("late")
            return matching.match_rows(*arguments)

        self.add_devices("a")
        self.patch(transaction, "match_rows", come_and_go)
        self.assertEqual(
            await self.store.write([make_update("late"), make_update("a"), make_update("x")]), unknown("x")
        )
        self.assert_row("late", last_seen=EARLIER)

    async def test_counting_changed_rows_only_costs_nobody_anything(self) -> None:
        table = self.make_table()
        table._pool.connkw["client_flag"] = 0
        self.add_devices("a", "b")
        for _ in range(2):
            self.assertEqual(await table.write([make_update("a")]), Written())
            self.assertEqual(await table.write([make_update("a"), make_update("b"), make_update("x")]), unknown("x"))

    async def test_uuids_of_other_types(self) -> None:
        await self.alter("DROP INDEX uk_device_main_device_id")
        for kind in self.uuid_types:
            await self.empty()
            await self.alter(f"MODIFY uuid {kind} NOT NULL")
            same = (await self.describe_anew()).same_characters
            others = [UUID[:-1] + digit for digit in "123"]
            self.add_devices(UUID, *others[:2])
            for names in ([UUID], [UUID, others[2]], [UUID, "x", *others], [*others, UUID, "not-a-uuid"]):
                written = await self.store.write([make_update(name, last_heartbeat=EARLIER) for name in names])
                self.assertEqual(written.unknown, set(names) - {UUID, *others[:2]}, (kind, names))
            upper = UUID.upper()
            written = await self.store.write([make_update(upper, last_seen=LATER), make_update("x")])
            self.assertEqual(upper not in written.unknown, "A" in same, kind)
            last_seen = self.database.query("SELECT last_seen FROM device_main ORDER BY id")[0][0]
            self.assertEqual(str(last_seen), LATER if "A" in same else EARLIER)
            written = await self.store.write([make_update(UUID, last_seen=EARLIER), make_update("x")], LATER)
            self.assertEqual(written.newer, {UUID} if "A" in same else frozenset(), kind)

    async def test_what_heard_later_means_with_other_types_of_times(self) -> None:
        for kind in ("datetime(6)", "timestamp(3)", "varchar(40)", "varchar(19) CHARACTER SET latin1", "text"):
            await self.empty()
            await self.alter(f"MODIFY last_seen {kind} NULL")
            self.add_devices("a", "b", "c")
            await self.store.write([make_update("a", last_seen=LATER), make_update("b", last_seen=EARLIER)])
            updates = [make_update(uuid, last_seen=EARLIER) for uuid in ("a", "b", "c", "x")]
            written = await self.store.write(updates, "2026-11-23 12:00:00")
            self.assertEqual(written, Written(unknown=frozenset("x"), newer=frozenset("a")), kind)
            self.assertEqual(await self.store.write(updates, "2026-11-23 10:00:00"), unknown("x"), kind)

    async def test_of_rows_of_one_uuid_one_that_was_heard_later_keeps_all(self) -> None:
        await self.alter("DROP INDEX uk_device_main_uuid")
        for number, last_seen in enumerate((EARLIER, LATER)):
            self.database.add_device("a", device_id=str(number), last_seen=last_seen)
        written = await self.store.write([make_update("a", last_seen=EARLIER)], LATER)
        self.assertEqual(written, Written(newer=frozenset("a"), doubled=frozenset("a")))
        self.assertEqual(
            [str(time) for (time,) in self.database.query("SELECT last_seen FROM device_main ORDER BY id")],
            [EARLIER, LATER],
        )

    async def test_rows_that_are_asked_for_are_locked_until_the_commit(self) -> None:
        self.add_devices("a", "b")
        with self.transaction() as cursor:
            cursor.execute("SELECT id FROM device_main WHERE uuid = 'a' FOR UPDATE")
            with self.assertRaises(StoreConflict):
                await self.store.write([make_update("a")], LATER)
        self.assertEqual(await self.store.write([make_update("a")], LATER), Written())


class MariaDBNameTests(NameTests, TestCase):
    flavour = "mariadb"
    one_letter = "utf8mb4_lithuanian_ci"
    case_sensitive = "latin1_general_cs"
    pairs: ClassVar[dict[str, tuple[str, str]]] = {}
    uuid_types = ("VARBINARY(36)", "BINARY(36)", "BINARY(40)", "UUID", "CHAR(36) CHARACTER SET ucs2", "TINYTEXT")


@only_in_all(OTHER_SERVERS)
class MySQLNameTests(NameTests, TestCase):
    flavour = "mysql"
    one_letter = "utf8mb4_lithuanian_ci"
    case_sensitive = "utf8mb4_0900_as_cs"
    pairs: ClassVar[dict[str, tuple[str, str]]] = {"utf8mb4_hu_0900_ai_ci": ("ddz", "dzdz")}
    uuid_types = ("VARBINARY(36)", "BINARY(36)", "BINARY(40)", "CHAR(36) CHARACTER SET utf16")
    skip = servers.unavailable("mysql")


@only_in_all(OTHER_WAYS)
class JoinMixin(Mixin):
    """Few updates in the form that otherwise only many have."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(statements, "FEW", 0)


class MariaDBJoinNameTests(JoinMixin, MariaDBNameTests):
    pass


class MySQLJoinNameTests(JoinMixin, MySQLNameTests):
    pass
