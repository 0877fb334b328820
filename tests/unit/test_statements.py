"""Updates as SQL, without a server; what servers make of it is for the integration tests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.table.contract import StoreRefused
from aiot_mqtt.table.statements import FEW, TableShape, quote, update_statements
from tests.store_contract import LATER, make_update

SHAPE = TableShape(target="`t` d", uuid_in_join="{}", values="")
MOST = 1_000_000


def statements(count: int, shape: TableShape = SHAPE) -> list[str]:
    updates = [make_update(f"d{number}", document=b"{}") for number in range(count)]
    return [statement.decode() for _, statement in update_statements(shape, updates, MOST)]


class StatementTests(SynchronousTestCase):
    def test_a_text_is_quoted_so_that_no_mode_reads_it_otherwise(self) -> None:
        self.assertEqual(quote("it's 温"), "'it''s 温'")
        self.assertEqual(quote("a\\'"), "_utf8mb4 X'615c27' COLLATE utf8mb4_bin")
        self.assertEqual(quote(""), "''")

    def test_one_few_and_many_have_forms_of_their_own(self) -> None:
        self.assertEqual(
            statements(1),
            [
                "UPDATE `t` d SET d.last_seen = '2026-11-23 10:00:00', d.is_online = 1, d.last_report_data = '{}'"
                " WHERE d.uuid = 'd0'"
            ],
        )
        self.assertIn(" WHERE d.uuid IN ('d0', 'd1')", statements(2)[0])
        self.assertIn(" IN (", statements(FEW)[0])
        self.assertIn(" STRAIGHT_JOIN ", statements(FEW + 1)[0])

    def test_where_a_server_takes_no_joins_there_are_several_of_a_few(self) -> None:
        shape = TableShape(target="`t` d", uuid_in_join="{}", joins=False, most=" LIMIT 5")
        made = statements(2 * FEW + 1, shape)
        self.assertEqual([each.count("'d") for each in made], [FEW, FEW, 1])
        self.assertTrue(all(each.endswith(" LIMIT 5") for each in made))

    def test_a_statement_stays_below_the_most(self) -> None:
        for joins in (True, False):
            shape = TableShape(target="`t` d", uuid_in_join="{}", joins=joins)
            for count in (2, 5, 50, 300):
                text = "x" * 100
                documents = [b'["%s", %d]' % (text.encode(), number) for number in range(count)]
                updates = [make_update(f"d{number}", document=each) for number, each in enumerate(documents)]
                made = [statement.decode() for _, statement in update_statements(shape, updates, 2000)]
                self.assertTrue(all(len(each) < 3000 for each in made))
                self.assertEqual(sum(each.count(text) for each in made), count)

    def test_one_that_cannot_be_sent_is_refused_alone_and_among_others(self) -> None:
        for bad in (
            make_update("a", document=b"x" * MOST),
            make_update("a", document=b"\\" * (MOST // 2)),
            make_update("a", document=b"\xff"),
            make_update("a'"),
            make_update("a", last_seen="\\"),
            make_update("a", last_heartbeat="'"),
        ):
            for others in ([], [make_update("b", last_heartbeat=LATER)]):
                with self.assertRaises(StoreRefused):
                    list(update_statements(SHAPE, [*others, bad], MOST))

    def test_a_number_is_no_word_of_an_enum(self) -> None:
        shape = TableShape(target="`t` d", uuid_in_join="{}", status_words=frozenset({"on", "7"}))
        for status in ("on", "7", "off", "1.0"):
            list(update_statements(shape, [make_update("a", status=status)], MOST))
        for status in ("1", "07", " 7", "+1"):
            with self.assertRaises(StoreRefused):
                list(update_statements(shape, [make_update("a", status=status)], MOST))
