"""Where real servers keep rows, which is asked before a large backlog is written."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from aiot_mqtt.table.contract import Written
from rig import servers
from rig.selection import OTHER_SERVERS, only_in_all
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import make_update

NAMES = ["b", "d", "a", "c"]
"""As they are added."""


class PlaceTests(DatabaseMixin):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.database.create_device_table)

    async def places(self, *uuids: str) -> dict[str, Any] | None:
        self.store = self.make_table()
        await self.store.describe()
        found = await self.store.find_places(uuids)
        return None if found is None else dict(zip(uuids, found, strict=True))

    async def order(self, *uuids: str) -> list[str]:
        places = await self.places(*uuids)
        assert places is not None
        return sorted(places, key=places.__getitem__)

    async def key_of_two(self) -> None:
        await self.execute("UPDATE device_main SET school_id = 9 - id % 2 WHERE id > 0")
        await self.alter(
            "DROP PRIMARY KEY, MODIFY id INT NOT NULL, MODIFY school_id INT NOT NULL, ADD PRIMARY KEY (school_id, id)"
        )

    async def test_they_sort_as_the_rows_lie_by_any_key(self) -> None:
        self.add_devices(*NAMES)
        self.assertEqual(await self.order(*sorted(NAMES)), NAMES)
        await self.key_of_two()
        self.addCleanup(self.database.grant)
        self.addCleanup(self.database.revoke)
        await self.execute("GRANT SELECT (school_id) ON device_main TO 'aiot'@'%'")
        places = await self.places(*NAMES)
        assert places is not None
        self.assertEqual({len(place) for place in places.values()}, {2})
        self.assertEqual({place[0] for place in places.values()}, {8, 9})
        await self.alter("DROP PRIMARY KEY, ADD PRIMARY KEY (uuid)")
        self.assertEqual(await self.order(*NAMES), sorted(NAMES))

    async def test_a_device_is_found_however_it_spells_itself_and_one_without_a_row_is_nowhere(self) -> None:
        many = [f"device-{number}" for number in range(2500)]
        self.add_devices(*many, "Pump")
        found = await self.places(*reversed(many), "PUMP", "nobody", "o'clock")
        assert found is not None
        self.assertEqual(sorted(many, key=found.__getitem__), many)
        self.assertGreater(found["PUMP"], found[many[-1]])
        self.assertEqual([found["nobody"], found["o'clock"]], [None, None])

    async def test_what_does_not_tell_costs_nothing(self) -> None:
        self.add_devices(*NAMES)
        await self.key_of_two()
        self.assertIsNone(await self.places(*NAMES))  # the service may not read that column
        self.assertEqual(await self.store.write([make_update("a")]), Written())
        await self.alter("DROP PRIMARY KEY")
        self.assertIsNone(await self.places(*NAMES))
        self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_the_server_tells_its_pool_and_the_size_of_the_table_to_who_has_least_rights(self) -> None:
        self.add_devices(*NAMES)
        look = await self.store.look_at_server()
        self.assertEqual(look.pool, 64 * 1024 * 1024)
        assert look.table is not None
        self.assertGreater(look.table, 16 * 1024)
        self.assertTrue(0 < look.round_trip < 60)

    async def test_no_row_is_locked_by_it(self) -> None:
        self.add_devices(*NAMES)
        with self.transaction() as cursor:
            cursor.execute("UPDATE device_main SET name = 'x' WHERE id > 0")
            self.assertEqual(await self.order(*sorted(NAMES)), NAMES)


class MariaDBPlaceTests(PlaceTests, TestCase):
    flavour = "mariadb"


@only_in_all(OTHER_SERVERS)
class MySQLPlaceTests(PlaceTests, TestCase):
    flavour = "mysql"
    skip = servers.unavailable("mysql")
