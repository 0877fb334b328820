"""A large backlog on disk is written in the order in which the table keeps its rows; a small one as it was saved."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater

from aiot_mqtt.table.contract import StoreUnavailable
from aiot_mqtt.table.memory import MemoryTable
from aiot_mqtt.writing import chunk_size, table_order
from tests.unit.test_spooling import DOWN, HeldTable, SpoolingMixin

DEVICES = [f"d{number:02}" for number in range(40)]
NEIGHBOURS = [*DEVICES[1::2], *DEVICES[::2]]
"""As the rows lie in the table."""


class TableOrderTests(SpoolingMixin):
    def setUp(self) -> None:
        self.patch(table_order, "LARGE", 20)
        self.patch(table_order, "MOST", 100)
        self.patch(table_order, "PIECE", 7)
        self.patch(chunk_size, "MAX_ROWS", 4)
        super().setUp()
        self.process.spool.close()
        self.table = HeldTable(NEIGHBOURS, self.database)
        self.start()
        self.process.writer.chunks.size.rows = 4
        self.process.writer.chunks.size.is_slow = True

    def fill(self, count: int = len(DEVICES)) -> None:
        """Have so many devices wait on disk, their newest as they came."""
        self.freeze()
        for device in DEVICES[:count]:
            self.receive(device)
        self.advance(6)
        self.assertEqual(self.process.spool.held.devices, count)

    def answer(self) -> None:
        """Let the write answer over which the others went to disk; its device went there, too."""
        self.database.release()
        self.table.writes.clear()

    def assert_written_in_order(self, order: list[str]) -> None:
        """In these chunks each device is written once, in this order; but each chunk is sorted."""
        rest = order
        for chunk in self.table.writes:
            self.assertEqual(chunk, sorted(rest[: len(chunk)]))
            rest = rest[len(chunk) :]
        self.assertEqual(rest, [])
        self.assert_settled()

    def test_neighbours_are_written_together(self) -> None:
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        self.assert_written_in_order(NEIGHBOURS)

    def test_a_small_backlog_is_written_as_it_came(self) -> None:
        self.fill(19)
        self.answer()
        self.thaw()
        self.advance(60)
        self.assert_written_in_order(DEVICES[:19])

    def test_so_is_a_large_one_where_rows_are_quick(self) -> None:
        self.process.writer.chunks.size.is_slow = False
        self.fill()
        self.answer()
        self.patch(self.table, "find_places", lambda _uuids: self.fail("asked"))
        self.thaw()
        self.advance(60)
        self.assert_written_in_order(DEVICES)

    def test_it_is_arranged_from_where_rows_turn_out_slow(self) -> None:
        self.process.writer.chunks.size.is_slow = False
        self.fill()
        self.answer()
        self.advance(2)
        for _ in range(2):
            self.database.release()
        self.process.writer.chunks.size.is_slow = True
        self.thaw()
        self.advance(60)
        as_saved = DEVICES[:2]  # in a chunk each, because the first one found the table frozen
        self.assert_written_in_order(as_saved + [device for device in NEIGHBOURS if device not in as_saved])

    def test_so_is_one_of_a_table_that_does_not_tell(self) -> None:
        self.patch(self.table, "find_places", lambda _uuids: succeed(None))
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        self.assert_written_in_order(DEVICES)

    def test_it_goes_window_by_window_and_the_rest_as_it_came(self) -> None:
        self.patch(table_order, "LARGE", 21)
        self.patch(table_order, "MOST", 30)
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        first = [device for device in NEIGHBOURS if device in DEVICES[:20]]
        self.assert_written_in_order(first + DEVICES[20:])

    def test_so_does_a_table_whose_places_are_no_numbers(self) -> None:
        self.patch(table_order, "MOST_OTHERS", 20)
        plain = self.table.find_places

        def in_words(uuids: list[str]) -> Deferred[Any]:
            found: Deferred[Any] = plain(uuids)
            return found.addCallback(lambda places: [(f"{place:03}", 1) for place in places])

        self.patch(self.table, "find_places", in_words)
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        first = [device for device in NEIGHBOURS if device in DEVICES[:20]]
        self.assert_written_in_order(first + [device for device in NEIGHBOURS if device in DEVICES[20:]])

    def test_who_has_no_row_comes_last_and_costs_nobody_anything(self) -> None:
        del self.table.rows["d01"], self.table.rows["d20"]
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        known = [device for device in NEIGHBOURS if device not in ("d01", "d20")]
        self.assert_written_in_order([*known, "d01", "d20"])
        self.assertEqual(self.process.counters.refused["unknown_device"], 2)
        self.assert_settled()

    def test_a_row_that_moves_meanwhile_gets_what_its_device_said(self) -> None:
        """Where rows were is a hint and nothing else."""
        self.fill()
        self.answer()
        self.advance(2)
        self.assertEqual(len(self.database.calls), 1)  # arranged, and the first chunk on its way
        self.table.rows = {device: self.table.rows[device] for device in reversed(list(self.table.rows))}
        self.thaw()
        self.advance(60)
        for number, device in enumerate(DEVICES, 1):
            self.assertEqual(self.table.rows[device].last_report_data, f'{{"n": {number}}}')
        self.assert_settled()

    def test_a_database_that_goes_away_meanwhile_is_written_what_is_left(self) -> None:
        self.fill()
        self.answer()
        self.advance(2)
        for _ in range(3):
            self.database.release()
        self.assertIn(self.process.spool.held.devices, range(28, 40))
        self.database.release(DOWN)
        self.thaw()
        self.advance(60)
        self.assert_written_in_order(NEIGHBOURS)

    def test_one_that_goes_away_while_it_is_asked_is_asked_again(self) -> None:
        asked: list[int] = []

        def goes_away(uuids: list[str]) -> Deferred[Any]:
            asked.append(len(uuids))
            if len(asked) == 3:
                return fail(StoreUnavailable("gone"))
            return MemoryTable.find_places(self.table, uuids)

        self.patch(self.table, "find_places", goes_away)
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        self.assertEqual(asked, [7, 7, 7, 1, 2, 4, 7, 7, 7, 7, 5])
        self.assert_written_in_order(NEIGHBOURS)

    def test_one_that_never_answers_that_is_written_as_it_came(self) -> None:
        asked: list[int] = []

        def never_answers(uuids: list[str]) -> Deferred[Any]:
            asked.append(len(uuids))
            return fail(StoreUnavailable("no answer within 20 s"))

        self.patch(self.table, "find_places", never_answers)
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        self.assertEqual(asked, [7, 1, 1])
        self.assert_written_in_order(DEVICES)

    def test_one_that_answers_slowly_is_asked_less_at_a_time(self) -> None:
        asked: list[int] = []

        def is_slow(uuids: list[str]) -> Deferred[Any]:
            asked.append(len(uuids))
            answered: Deferred[Any] = deferLater(self.clock, 0.5 * len(uuids))
            return answered.addCallback(lambda _none: MemoryTable.find_places(self.table, uuids))

        self.patch(self.table, "find_places", is_slow)
        self.fill()
        self.answer()
        self.thaw()
        self.advance(60)
        self.assertEqual(asked[:5], [7, 3, 3, 3, 3])
        self.assert_written_in_order(NEIGHBOURS)

    def test_what_comes_meanwhile_is_written_behind_it(self) -> None:
        self.fill()
        self.answer()
        self.advance(2)
        self.receive("d39")  # written last, and so the newest must not be written before
        self.receive("d01")
        self.advance(6)
        self.thaw()
        self.advance(60)
        self.assertEqual(
            [self.table.rows[each].last_report_data for each in ("d39", "d01")], ['{"n": 41}', '{"n": 42}']
        )
        self.assertEqual(self.table.writes[-1], ["d01", "d39"])
        self.assert_settled()

    def test_the_next_process_writes_all_of_it_again(self) -> None:
        self.fill()
        self.answer()
        self.advance(2)
        self.database.release()
        self.process.kill()
        self.database.calls.clear()
        self.database.is_holding = False
        self.start()
        self.assertEqual(self.table.writes, [["d01"], DEVICES])
        for number, device in enumerate(DEVICES, 1):
            self.assertEqual(self.table.rows[device].last_report_data, f'{{"n": {number}}}')
        self.assertFalse(self.path.exists())

    def test_what_waits_of_one_device_is_known(self) -> None:
        self.fill()
        self.answer()
        self.advance(2)
        self.database.release()
        found = {device: self.successResultOf(self.process.spooler.find(device)) for device in ("d01", "d00", "d39")}
        self.assertEqual([device for device, waiting in found.items() if waiting is None], ["d01"])
        self.thaw()
        self.advance(60)
        self.assert_settled()
