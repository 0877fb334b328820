"""One bad row stops only itself, and costs few statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import ceil, isqrt, log2

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.table.contract import StoreMisconfigured, StoreRefused, StoreUnavailable, Written
from aiot_mqtt.writing.bad_rows import MAX_REFUSALS_BISECTED, RefusedPart, write_around_refusals

Told = tuple[str, str | None, str, int]
COURSES = settings(max_examples=60, deadline=None, database=None, derandomize=True)


def update(uuid: str, kinds: int = DATA, document: bytes | None = b"{}", status: str | None = None) -> DeviceUpdate:
    made = DeviceUpdate(uuid)
    made.kinds, made.document, made.status = kinds, document, status
    made.last_seen = "2026-11-23 10:00:00"
    made.last_heartbeat = "2026-11-23 10:00:00" if kinds & HEARTBEAT else None
    return made


def refuses_document(update: DeviceUpdate) -> bool:
    return update.document == b"bad"


def refuses_status(update: DeviceUpdate) -> bool:
    return update.status == "bad"


class Table:
    """Takes a transaction as a whole or not at all."""

    def __init__(self, refuses: Callable[[DeviceUpdate], bool], *, is_certain: bool = True) -> None:
        self.refuses = refuses
        self.is_certain = is_certain
        self.troubles: list[str] = []
        """The server's own: it refuses the next statements, whatever is in them."""
        self.fault: str | None = None
        """Why it takes no times, of no row."""
        self.statements: list[list[str]] = []
        self.stored: list[DeviceUpdate] = []
        self.told: list[Told] = []
        self.settled: list[str] = []

    async def write(self, updates: Sequence[DeviceUpdate]) -> Written:
        self.statements.append([update.uuid for update in updates])
        if self.troubles:
            raise StoreRefused(self.troubles.pop(), is_certain=False)
        for update in updates:
            if self.refuses(update):
                raise StoreRefused(f"bad value of {update.uuid}", is_certain=self.is_certain)
        self.stored += updates
        return Written(frozenset({"ghost"} & {update.uuid for update in updates}))

    async def why_no_times(self, update: DeviceUpdate) -> str | None:
        self.statements.append(["another"])
        return self.troubles.pop() if self.troubles else self.fault

    async def settle(self, updates: Sequence[DeviceUpdate], written: Written, refusal: RefusedPart | None) -> None:
        self.settled += [update.uuid for update in updates if update.uuid not in written.unknown]
        if refusal is not None:
            self.told.append((updates[0].uuid, refusal.column, refusal.reason, refusal.deliveries))


class BadRowTests(SynchronousTestCase):
    def isolate(
        self, updates: Sequence[DeviceUpdate], refuses: Callable[[DeviceUpdate], bool], *, is_certain: bool = True
    ) -> Table:
        table = Table(refuses, is_certain=is_certain)
        self.successResultOf(Deferred.fromCoroutine(write_around_refusals(updates, table)))
        return table

    def test_a_batch_that_is_taken_is_one_statement(self) -> None:
        table = self.isolate([update(str(number)) for number in range(100)], refuses_document)
        self.assertEqual((len(table.statements), table.told), (1, []))

    def test_all_but_the_bad_row_is_stored_in_order(self) -> None:
        for bad in range(7):
            updates = [update(str(number), document=b"bad" if number == bad else b"{}") for number in range(7)]
            table = self.isolate(updates, refuses_document)
            self.assertEqual([stored.uuid for stored in table.stored], [update.uuid for update in updates])
            self.assertEqual(table.told, [(str(bad), "last_report_data", f"bad value of {bad}", 1)])
            # The others as they were, not copies with something missing.
            self.assertEqual(
                [stored for stored in table.stored if stored.uuid != str(bad)], updates[:bad] + updates[bad + 1 :]
            )

    def test_a_bad_row_costs_at_most_twice_the_logarithm_and_the_few_for_the_row_itself(self) -> None:
        for size in (2, 3, 10, 100, 500, 1000, 1024):
            most = 0
            for bad in range(0, size, max(1, size // 50)):
                updates = [update(str(number), document=b"bad" if number == bad else b"{}") for number in range(size)]
                most = max(most, len(self.isolate(updates, refuses_document).statements))
            # The whole batch, a half on each level, the row as it is, without its document, and as it is once more, and
            # what is left.
            self.assertLessEqual(most, 1 + ceil(log2(size)) + 4)
            if size >= 100:
                self.assertLessEqual(most, 2 * log2(size))
                # Where the error says nothing, the batch is tried once more, and so is the row before it is refused.
                updates = [update(str(number), document=b"bad" if not number else b"{}") for number in range(size)]
                unsure = self.isolate(updates, refuses_document, is_certain=False)
                self.assertLessEqual(len(unsure.statements), 2 * log2(size))
                self.assertEqual([told[:2] for told in unsure.told], [("0", "last_report_data")])

    def test_the_statements_for_one_bad_row_in_four(self) -> None:
        updates = [update(name, document=b"bad" if name == "c" else b"{}") for name in "abcd"]
        self.assertEqual(
            self.isolate(updates, refuses_document).statements,
            [["a", "b", "c", "d"], ["a", "b"], ["c"], ["c"], ["c"], ["d"]],
        )

    def test_after_ten_bad_rows_the_rest_goes_row_by_row(self) -> None:
        for size in (50, 200, 1000):
            updates = [update(f"{number:04}", document=b"bad") for number in range(size)]
            table = self.isolate(updates, refuses_document)
            self.assertEqual(len(table.told), size)
            self.assertEqual(len(table.stored), size)
            rows = 3 * size  # each as it is, without its document, and once more as it is
            parts = isqrt(size) + 2
            bisecting = MAX_REFUSALS_BISECTED * (ceil(log2(size)) + 1)
            self.assertLessEqual(len(table.statements), rows + parts + bisecting)
            # Once it is row by row, a part of more than one row is only ever tried whole, before it is taken apart.
            after = [names for names in table.statements if names[0] >= f"{MAX_REFUSALS_BISECTED:04}"]
            tried = [name for names in after if len(names) > 1 for name in names]
            self.assertEqual(len(set(tried)), len(tried))

    def test_after_ten_bad_rows_good_parts_are_still_written_whole(self) -> None:
        size = 1024
        updates = [update(f"{number:04}", document=b"bad" if number < 11 else b"{}") for number in range(size)]
        table = self.isolate(updates, refuses_document)
        bisecting = MAX_REFUSALS_BISECTED * (ceil(log2(size)) + 3)
        # Of the parts one is taken apart.
        self.assertLessEqual(len(table.statements), bisecting + 2 * isqrt(size) + 2)
        self.assertEqual([stored.uuid for stored in table.stored], [update.uuid for update in updates])

    @COURSES
    @given(st.lists(st.sampled_from((b"{}", b"bad")), min_size=1, max_size=60))
    def test_what_is_settled_is_all_of_it_and_once(self, documents: list[bytes]) -> None:
        updates = [update(f"{number:03}", document=document) for number, document in enumerate(documents)]
        table = self.isolate([*updates, update("ghost")], refuses_document)
        self.assertEqual(table.settled, [each.uuid for each in updates])

    def test_only_the_refused_document_is_left_out(self) -> None:
        bad = update("d1", DATA | STATUS | HEARTBEAT, b"bad", "on")
        [stored] = self.isolate([bad], refuses_document).stored
        self.assertEqual((stored.document, stored.status), (None, "on"))
        self.assertEqual(
            (stored.uuid, stored.last_seen, stored.last_heartbeat, stored.is_online),
            ("d1", bad.last_seen, bad.last_heartbeat, True),
        )
        self.assertEqual(bad.document, b"bad")

    def test_only_the_refused_status_is_left_out(self) -> None:
        bad = update("d1", STATUS, b"{}", "bad")
        bad.is_online = False
        table = self.isolate([bad], refuses_status)
        [stored] = table.stored
        self.assertEqual((stored.document, stored.status, stored.is_online), (b"{}", None, False))
        self.assertEqual(stored.deliveries, 1)
        self.assertEqual(table.told, [("d1", "device_status", "bad value of d1", 0)])

    def test_document_and_status_are_left_out_when_both_are_refused(self) -> None:
        bad = update("d1", STATUS | HEARTBEAT, b"bad", "bad")
        table = self.isolate([bad], lambda update: refuses_document(update) or refuses_status(update))
        [stored] = table.stored
        self.assertEqual((stored.document, stored.status, stored.last_heartbeat), (None, None, bad.last_heartbeat))
        self.assertEqual(table.told, [("d1", "last_report_data, device_status", "bad value of d1", 1)])
        # As it is, without the one, the other and both; then, as something of it is taken, the first three again.
        self.assertEqual(len(table.statements), 7)

    def test_a_row_that_is_refused_whatever_it_holds_is_told_as_such(self) -> None:
        for bad, statements in (
            (update("d1", DATA | STATUS | HEARTBEAT, b"{}", "on"), 5),
            (update("d1", DATA | STATUS | HEARTBEAT, b"{}"), 3),
            (update("d1", DATA | STATUS | HEARTBEAT, None, "on"), 3),
            (update("d1", DATA | STATUS | HEARTBEAT, None), 2),
        ):
            table = self.isolate([update("a"), bad], lambda update: update.uuid == "d1")
            self.assertEqual([stored.uuid for stored in table.stored], ["a"])
            self.assertEqual(table.told, [("d1", None, "bad value of d1", 3)])
            # What may be taken of it is tried before the question whether times are taken at all, and once more after.
            self.assertEqual(table.statements[2:].count(["d1"]), 2 * (statements - 1))
            self.assertEqual(table.statements[2:].index(["another"]), statements - 1)

    def test_what_takes_no_times_at_all_is_the_tables_fault_and_nothing_is_refused(self) -> None:
        table = Table(lambda _update: True)
        table.fault = "last_seen: invalid datetime (1292)"
        updates = [update("a"), update("b", HEARTBEAT, None)]
        failed = self.failureResultOf(Deferred.fromCoroutine(write_around_refusals(updates, table)))
        self.assertEqual(failed.check(StoreMisconfigured), StoreMisconfigured)
        self.assertEqual(failed.getErrorMessage(), table.fault)
        self.assertEqual((table.told, table.settled), ([], []))

    def test_a_servers_own_trouble_costs_no_value(self) -> None:
        for troubles in range(12):
            table = Table(refuses_document)
            table.troubles = ["query interrupted (1317)"] * troubles
            while len(table.settled) < 8:  # as the writer does, after a while
                updates = [update(name) for name in "abcdefgh" if name not in table.settled]
                written = Deferred.fromCoroutine(write_around_refusals(updates, table))
                written.addErrback(lambda failure: failure.trap(StoreMisconfigured) and None)
                self.successResultOf(written)
            self.assertEqual((table.told, sorted(table.settled)), ([], list("abcdefgh")), troubles)

    def test_a_servers_own_trouble_costs_no_value_beside_one_that_is_refused(self) -> None:
        for last in (3, 4, 5):  # the statement in which it has trouble again
            table = Table(refuses_document, is_certain=False)
            write = table.write

            async def troubled(updates: Sequence[DeviceUpdate], table: Table = table, last: int = last) -> Written:
                if len(table.statements) == last - 1:
                    table.troubles.append("out of memory")
                return await write(updates)  # noqa: B023 it is run before the next one

            table.write = troubled  # type: ignore[method-assign]
            bad = update("a", STATUS, b"bad", "fine")
            self.successResultOf(Deferred.fromCoroutine(write_around_refusals([bad], table)))
            self.assertEqual([(told[1], told[3]) for told in table.told], [("last_report_data", 1)], last)
            self.assertEqual(table.stored[-1].status, "fine")

    def test_times_that_are_taken_again_meanwhile_cost_no_more_than_the_bad_value(self) -> None:
        for is_certain in (True, False):
            for fault_ends_after in range(12):
                table = Table(lambda _update: False, is_certain=is_certain)
                table.refuses = lambda update, table=table, last=fault_ends_after: (  # type: ignore[misc]
                    refuses_document(update) or len(table.statements) <= last
                )
                why_no_times = table.why_no_times

                async def asked(
                    update: DeviceUpdate,
                    table: Table = table,
                    last: int = fault_ends_after,
                    why: Callable[[DeviceUpdate], Awaitable[str | None]] = why_no_times,
                ) -> str | None:
                    table.fault = "last_seen: incorrect" if len(table.statements) < last else None
                    return await why(update)

                table.why_no_times = asked  # type: ignore[method-assign]
                bad = update("a", STATUS, b"bad", "fine")
                while "a" not in table.settled:
                    written = Deferred.fromCoroutine(write_around_refusals([bad], table))
                    written.addErrback(lambda failure: failure.trap(StoreMisconfigured) and None)
                    self.successResultOf(written)
                self.assertEqual([told[1] for told in table.told], ["last_report_data"], (is_certain, fault_ends_after))
                self.assertEqual(table.stored[-1].status, "fine")

    @COURSES
    @given(
        st.lists(
            st.tuples(
                st.integers(1, 7),
                st.sampled_from((b"{}", b"bad")),
                st.sampled_from((None, "on", "bad")),
                st.sampled_from(("", "x")),
            ),
            max_size=40,
        )
    )
    def test_every_delivery_is_either_stored_or_refused(self, rows: list[tuple[int, bytes, str | None, str]]) -> None:
        updates = [
            update(
                f"{number:02}{refused_whole}",
                kinds,
                document if kinds & (DATA | STATUS) else None,
                status if kinds & STATUS else None,
            )
            for number, (kinds, document, status, refused_whole) in enumerate(rows)
        ]
        table = self.isolate(
            updates,
            lambda update: refuses_document(update) or refuses_status(update) or update.uuid.endswith("x"),
        )
        stored = sum(update.deliveries for update in table.stored)
        refused = sum(deliveries for _, _, _, deliveries in table.told)
        self.assertEqual(stored + refused, sum(update.deliveries for update in updates))
        self.assertEqual(
            [update.uuid for update in table.stored],
            [update.uuid for update in updates if not update.uuid.endswith("x")],
        )

    def test_any_other_failure_ends_it(self) -> None:
        class Leaving(Table):
            async def write(self, updates: Sequence[DeviceUpdate]) -> Written:
                if len(updates) > 1:
                    raise StoreRefused("bad")
                raise StoreUnavailable("gone")

        table = Leaving(refuses_document)
        ended = Deferred.fromCoroutine(write_around_refusals([update("a"), update("b")], table))
        self.failureResultOf(ended, StoreUnavailable)
        self.assertEqual((table.told, table.settled), ([], []))
