"""What every ``Store`` must do, as tests to be mixed into a ``TestCase`` that provides the store."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, Protocol

from twisted.trial.unittest import TestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.table.contract import PieceRead, PresenceStore, Silence, Store, StoreRefused, Written
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
    order: int = 0,
) -> DeviceUpdate:
    """One delivery's columns; ``order`` is its place among all of them, where that matters."""
    update = DeviceUpdate(uuid)
    update.kinds = kinds
    update.document = document
    update.status = status
    update.last_seen = last_seen
    update.last_heartbeat = last_heartbeat
    update.is_online = is_online
    update.seen_order = order
    update.document_order = 0 if document is None else order
    update.status_order = 0 if status is None else order
    update.heartbeat_order = 0 if last_heartbeat is None else order
    return update


def unknown(*uuids: str) -> Written:
    """Only these have no row, and nothing else was found out."""
    return Written(unknown=frozenset(uuids))


class Table(Store, PresenceStore, Protocol):
    """What a table is to the whole service."""


class Rows(Mixin):
    """Looks at a table from beside the store."""

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


class StoreContract(Rows):
    """A subclass makes ``store`` in ``setUp``, over a table that is empty and whose status holds 20 characters."""

    store: Table

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
        self.assertEqual(await self.store.write(updates), unknown("b", "d"))
        self.assert_row("c", last_seen=EARLIER)

    async def test_a_row_that_holds_the_values_already_is_not_unknown(self) -> None:
        self.add_devices("a")
        for _ in range(2):
            self.assertEqual(await self.store.write([make_update("a")]), Written())

    async def test_a_device_is_found_whatever_its_case(self) -> None:
        self.add_devices("Boiler-1A")
        written = await self.store.write([make_update("boiler-1a"), make_update("OTHER")])
        self.assertEqual(written, unknown("OTHER"))
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
        self.assertEqual(await self.store.write(updates), Written())
        self.assert_row("device-02999", last_report_data='{"n": 2999}', last_seen=EARLIER)

    async def test_a_write_of_nothing_does_nothing(self) -> None:
        self.assertEqual(await self.store.write([]), Written())

    async def test_two_updates_of_one_row_are_assigned_in_their_order_column_by_column(self) -> None:
        self.add_devices("a", "b")
        for spellings in (("a", "a"), ("a", "A"), ("A", "a")):
            newer = make_update(spellings[1], document=None, status="on", last_seen=LATER, is_online=False, order=4)
            older = make_update(spellings[0], document=b'{"n": 1}', status="off", last_heartbeat=EARLIER, order=2)
            older.document_order = 5
            for updates in ([newer, older], [older, newer]):
                await self.store.write([make_update("a", document=b"{}", status="x", last_heartbeat=LATER)])
                others = [make_update("b", order=3), make_update("nobody", order=1)]
                written = await self.store.write([*updates, *others])
                self.assertEqual((written.unknown, written.shared), ({"nobody"}, frozenset(spellings)))
                self.assertEqual((written.newer, written.doubled), (frozenset(), frozenset()))
                self.assert_row(
                    "a",
                    last_report_data='{"n": 1}',
                    device_status="on",
                    last_seen=LATER,
                    last_heartbeat=EARLIER,
                    is_online=False,
                )
                self.assert_row("b", last_seen=EARLIER)

    async def test_two_names_that_nobody_has_are_unknown_both(self) -> None:
        written = await self.store.write([make_update("Ghost", order=1), make_update("ghost", order=2)])
        self.assertEqual(written.unknown, {"Ghost", "ghost"})

    async def test_a_row_that_was_heard_later_is_left_alone_where_that_is_asked_for(self) -> None:
        heard = {
            "never": None,
            "before": "2026-11-23 09:59:59",
            "then": EARLIER,
            "later": LATER,
            "at-the-end": "2026-11-23 12:00:00",
            "in-the-future": "2026-11-23 12:00:01",
        }
        self.add_devices(*heard)
        for uuid, last_seen in heard.items():
            if last_seen is not None:
                await self.store.write([make_update(uuid, document=b'{"was": 1}', last_seen=last_seen)])
        left = {"later", "at-the-end"}
        before = {uuid: self.row(uuid) for uuid in left}
        updates = [make_update(uuid, document=b'{"is": 1}', status="on", last_seen=EARLIER) for uuid in heard]
        written = await self.store.write([*updates, make_update("nobody")], "2026-11-23 12:00:00")
        self.assertEqual(written, Written(unknown=frozenset({"nobody"}), newer=frozenset(left)))
        for uuid in heard:
            if uuid in left:
                self.assertEqual(self.row(uuid), before[uuid])
            else:
                self.assert_row(uuid, last_report_data='{"is": 1}', device_status="on", last_seen=EARLIER)
        self.assertEqual(await self.store.write([make_update("later")]), Written())
        self.assert_row("later", last_seen=EARLIER)

    async def test_of_two_updates_of_one_row_the_one_heard_last_says_whether_the_row_was_heard_later(self) -> None:
        self.add_devices("a", "b")
        await self.store.write([make_update("a", last_seen=EARLIER), make_update("b", last_seen=LATER)])
        updates = [
            make_update(name, document=b'{"is": 1}', last_seen=last_seen, order=order)
            for name, last_seen, order in (
                ("a", "2026-11-23 09:00:00", 1),
                ("A", LATER, 2),
                ("B", EARLIER, 4),
                ("b", "2026-11-23 09:00:00", 3),
            )
        ]
        written = await self.store.write(updates, "2026-11-23 12:00:00")
        self.assertEqual(written, Written(newer=frozenset("Bb"), shared=frozenset("aAbB")))
        self.assert_row("a", last_report_data='{"is": 1}', last_seen=LATER)
        self.assert_row("b", last_report_data='{"t": 1}', last_seen=LATER)

    async def test_another_row_that_takes_the_times_clears_the_table_and_keeps_what_it_had(self) -> None:
        self.add_devices("a", "b", "c")
        await self.store.write([make_update("a"), make_update("b", last_seen=LATER)])
        before = [self.row(uuid) for uuid in "abc"]
        update = make_update("A", last_seen=LATER, last_heartbeat=LATER, is_online=False)
        self.assertIsNone(await self.store.why_no_times(update))
        self.assertEqual([self.row(uuid) for uuid in "abc"], before)

    async def test_where_there_is_no_other_row_the_tables_fault_is_assumed(self) -> None:
        self.add_devices("a")
        await self.store.write([make_update("a")])
        self.assertTrue(await self.store.why_no_times(make_update("A")))

    async def test_describe_tells_which_characters_are_the_same(self) -> None:
        same = (await self.store.describe()).same_characters
        self.assertEqual(same, dict(zip(ascii_uppercase, ascii_lowercase, strict=True)))

    async def test_finds_who_is_silent_and_says_online(self) -> None:
        await self.add_silent_devices()
        found = await self.store.find_silent(SILENCE, None, None, 100)
        self.assertEqual({(device.uuid, device.last_seen) for device in found.silent}, SILENT)
        self.assertEqual((found.earliest, found.reached), (CUTOFF, None))

    async def test_finds_them_a_piece_at_a_time(self) -> None:
        await self.add_silent_devices()
        for most in (1, 2, 3, 8, 9):
            silent, earliest, after = [], [], None
            while True:
                found = await self.store.find_silent(SILENCE, after, None, most)
                self.assertLessEqual(len(found.silent), most)
                silent += [device.uuid for device in found.silent]
                earliest += [found.earliest] if found.earliest else []
                if found.reached is None:
                    break
                after = found.reached
            self.assertEqual(sorted(silent), sorted(uuid for uuid, _ in SILENT), most)
            self.assertEqual(min(earliest), CUTOFF, most)

    async def test_a_piece_ends_where_it_was_told_to_whatever_has_come_into_it(self) -> None:
        self.add_devices("b", "d")
        first = await self.store.find_silent(SILENCE, None, None, 1)
        self.assertIsNotNone(first.reached)
        (whole,) = [await self.store.find_silent(SILENCE, None, first.reached, 100)]
        self.assertEqual(whole, PieceRead([], None, None))
        self.add_devices("a", "c", "e")
        for uuid in "abcde":
            await self.store.write([make_update(uuid, last_seen=DEVICES["old"][0])])
        parts, after = [], None
        while True:
            found = await self.store.find_silent(SILENCE, after, first.reached, 1)
            parts += [device.uuid for device in found.silent]
            if found.reached is None:
                break
            after = found.reached
        rest = await self.store.find_silent(SILENCE, first.reached, None, 100)
        self.assertEqual(sorted(parts + [device.uuid for device in rest.silent]), list("abcde"))

    async def test_nobody_online_or_no_rows_at_all(self) -> None:
        self.assertEqual(await self.store.find_silent(SILENCE, None, None, 10), PieceRead([], None, None))
        self.add_devices("a", "b")
        self.assertEqual(await self.store.find_silent(SILENCE, None, None, 10), PieceRead([], None, None))

    async def test_sets_offline_only_who_is_still_silent_and_no_other_column(self) -> None:
        await self.add_silent_devices()
        found = await self.store.find_silent(SILENCE, None, None, 100)
        keys = {device.uuid: device.key for device in found.silent}
        await self.store.write([make_update("old", kinds=HEARTBEAT, document=None, last_seen=NOW)])
        before = {uuid: self.row(uuid) for uuid in DEVICES}
        offline = await self.store.set_offline(list(keys.values()), SILENCE)
        self.assertEqual(offline, {keys["ancient"], keys["future"]})
        for uuid in DEVICES:
            expected = replace(before[uuid], is_online=False) if uuid in ("ancient", "future") else before[uuid]
            self.assertEqual(self.row(uuid), expected, uuid)
        self.assertEqual((await self.store.find_silent(SILENCE, None, None, 100)).silent, [])
        self.assertEqual(await self.store.set_offline(list(keys.values()), SILENCE), frozenset())

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
