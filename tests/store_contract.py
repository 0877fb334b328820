"""What every ``Store`` must do, as tests to be mixed into a ``TestCase`` that provides the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.table.contract import PresenceStore, Silence, Store, StoreRefused
from aiot_mqtt.table.memory import Row

if TYPE_CHECKING:
    Mixin = TestCase
else:
    Mixin = object

EARLIER, LATER = "2026-11-23 10:00:00", "2026-11-23 10:00:01"


def make_update(
    uuid: str,
    *,
    kinds: int = DATA,
    document: bytes | None = b'{"t": 1}',
    status: str | None = None,
    last_seen: str = EARLIER,
    last_heartbeat: str | None = None,
    is_online: bool = True,
) -> DeviceUpdate:
    update = DeviceUpdate(uuid)
    update.kinds = kinds
    update.document = document
    update.status = status
    update.last_seen = last_seen
    update.last_heartbeat = last_heartbeat
    update.is_online = is_online
    return update


class Table(Store, PresenceStore, Protocol):
    """What a table is to the whole service."""


class StoreContract(Mixin):
    """A subclass makes ``store`` in ``setUp``, over a table that is empty and whose status holds 20 characters."""

    store: Table

    def add_devices(self, *uuids: str) -> None:
        raise NotImplementedError

    def row(self, uuid: str) -> Row:
        raise NotImplementedError

    def same_document(self, stored: str | None, sent: str | None) -> None:
        """Assert that a document is what was sent, as far as the table keeps texts."""
        self.assertEqual(stored, sent)

    def assert_row(self, uuid: str, **columns: Any) -> None:
        row = self.row(uuid)
        if "last_report_data" in columns:
            self.same_document(row.last_report_data, columns.pop("last_report_data"))
        self.assertEqual({name: getattr(row, name) for name in columns}, columns)

    async def test_describe_tells_the_length_of_a_status(self) -> None:
        self.assertEqual((await self.store.describe()).status_length, 20)

    async def test_assigns_exactly_the_columns_of_the_update(self) -> None:
        self.add_devices("a", "b")
        untouched = self.row("b")
        await self.store.write([make_update("a", last_seen=EARLIER)])
        self.assert_row(
            "a",
            last_report_data='{"t": 1}',
            device_status="pending",
            last_seen=EARLIER,
            last_heartbeat=None,
            is_online=True,
        )
        self.assertEqual(self.row("b"), untouched)
        await self.store.write(
            [make_update("a", kinds=HEARTBEAT, document=None, last_seen=LATER, last_heartbeat=LATER)]
        )
        self.assert_row("a", last_report_data='{"t": 1}', last_seen=LATER, last_heartbeat=LATER)
        await self.store.write(
            [make_update("a", kinds=STATUS, document=b'{"status": "offline"}', status="offline", is_online=False)]
        )
        self.assert_row(
            "a",
            last_report_data='{"status": "offline"}',
            device_status="offline",
            last_seen=EARLIER,
            last_heartbeat=LATER,
            is_online=False,
        )

    async def test_reports_the_devices_that_have_no_row(self) -> None:
        self.add_devices("a", "c")
        updates = [make_update(uuid) for uuid in ("a", "b", "c", "d")]
        self.assertEqual(await self.store.write(updates), {"b", "d"})
        self.assert_row("c", last_seen=EARLIER)

    async def test_a_row_that_holds_the_values_already_is_not_unknown(self) -> None:
        self.add_devices("a")
        for _ in range(2):
            self.assertEqual(await self.store.write([make_update("a")]), frozenset())

    async def test_a_device_is_found_whatever_its_case(self) -> None:
        self.add_devices("Boiler-1A")
        self.assertEqual(await self.store.write([make_update("boiler-1a"), make_update("OTHER")]), {"OTHER"})
        self.assert_row("Boiler-1A", last_seen=EARLIER)

    async def test_a_later_write_wins_even_with_an_earlier_time(self) -> None:
        self.add_devices("a")
        await self.store.write([make_update("a", last_seen=LATER)])
        await self.store.write([make_update("a", last_seen=EARLIER)])
        self.assert_row("a", last_seen=EARLIER)

    async def test_a_refused_value_leaves_nothing_of_its_batch(self) -> None:
        self.add_devices("a", "b")
        before = self.row("a"), self.row("b")
        with self.assertRaises(StoreRefused):
            await self.store.write([make_update("a"), make_update("b", status="x" * 21)])
        self.assertEqual((self.row("a"), self.row("b")), before)

    async def test_a_status_of_full_length_counts_characters_not_bytes(self) -> None:
        self.add_devices("a")
        await self.store.write([make_update("a", status="温" * 20)])
        self.assert_row("a", device_status="温" * 20)

    async def test_text_comes_back_as_it_was(self) -> None:
        self.add_devices("a")
        document = '{"s": "quote \\" back\\\\slash \' 温度 🎉 %s \\u0000 \\n -- ; /* */"}'
        await self.store.write([make_update("a", document=document.encode(), status='it\'s \\ "%s"')])
        self.assert_row("a", last_report_data=document, device_status='it\'s \\ "%s"')
        # Between tokens JSON may hold line ends and tabs as they are; within a text DEL, which ends nothing.
        document = '{\r\n\t"s": "\\\\\\"\x7f\u2028", "t": "\\\\\'"}'
        await self.store.write([make_update("a", document=document.encode())])
        self.assert_row("a", last_report_data=document)

    async def test_a_write_of_thousands_of_devices(self) -> None:
        uuids = [f"device-{number:05}" for number in range(3000)]
        self.add_devices(*uuids)
        updates = [make_update(uuid, document=b'{"n": %d}' % number) for number, uuid in enumerate(uuids)]
        self.assertEqual(await self.store.write(updates), frozenset())
        self.assert_row("device-02999", last_report_data='{"n": 2999}', last_seen=EARLIER)

    async def test_finds_who_is_silent_and_says_online(self) -> None:
        await self.add_silent_devices()
        found = await self.store.find_silent(SILENCE, 0, 100)
        self.assertEqual({(device.uuid, device.last_seen) for device in found}, SILENT)
        self.assertEqual([device.id for device in found], sorted(device.id for device in found))

    async def test_finds_them_a_page_at_a_time(self) -> None:
        await self.add_silent_devices()
        found: list[str] = []
        after_id = 0
        while page := await self.store.find_silent(SILENCE, after_id, 1):
            self.assertEqual(len(page), 1)
            found.append(page[0].uuid)
            after_id = page[0].id
        self.assertEqual(set(found), {uuid for uuid, _ in SILENT})

    async def test_sets_offline_only_who_is_still_silent_and_no_other_column(self) -> None:
        await self.add_silent_devices()
        found = await self.store.find_silent(SILENCE, 0, 100)
        ids = {device.uuid: device.id for device in found}
        await self.store.write([make_update("old", kinds=HEARTBEAT, document=None, last_seen=NOW)])
        before = {uuid: self.row(uuid) for uuid in DEVICES}
        offline = await self.store.set_offline(list(ids.values()), SILENCE)
        self.assertEqual(offline, {ids["ancient"], ids["future"]})
        for uuid in DEVICES:
            expected = replace(before[uuid], is_online=False) if uuid in ("ancient", "future") else before[uuid]
            self.assertEqual(self.row(uuid), expected, uuid)
        self.assertEqual(await self.store.find_silent(SILENCE, 0, 100), [])

    async def add_silent_devices(self) -> None:
        self.add_devices(*DEVICES, "never-heard")
        for uuid, (last_seen, is_online) in DEVICES.items():
            update = make_update(uuid, kinds=STATUS, last_seen=last_seen, is_online=is_online)
            await self.store.write([update])


CUTOFF, NOW = "2026-11-23 10:00:00", "2026-11-23 10:05:00"
SILENCE = Silence(CUTOFF, future="2026-11-23 10:10:00")
DEVICES = {
    "ancient": ("2020-01-01 00:00:00", True),
    "old": ("2026-11-23 09:59:59", True),
    "edge": (CUTOFF, True),
    "alive": (NOW, True),
    "soon": ("2026-11-23 10:10:00", True),
    "future": ("2026-11-23 10:10:01", True),
    "offline": ("2020-01-01 00:00:00", False),
}
SILENT = {(uuid, DEVICES[uuid][0]) for uuid in ("ancient", "old", "future")}
