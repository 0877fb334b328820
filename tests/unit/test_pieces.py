from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.presence.pieces import Piece, Pieces


class PiecesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pieces = Pieces()

    def due(self, cutoff: str, heard_cutoff: float = 0) -> list[Piece]:
        return list(self.pieces.due(cutoff, heard_cutoff))

    def cut(self, *parts: Piece) -> None:
        (whole,) = self.due("0")
        self.pieces.replace(whole, parts)

    def test_at_first_it_is_the_whole_table(self) -> None:
        self.assertEqual(self.due("0"), [Piece()])

    def test_a_table_of_one_piece_is_always_due(self) -> None:
        self.cut(Piece(earliest="5"))
        self.assertEqual(self.due("1"), [Piece(earliest="5")])

    def test_a_piece_is_due_when_its_earliest_may_be_silent_and_another_in_its_turn(self) -> None:
        first, second, third = Piece(None, 10, "5"), Piece(10, 20, "3"), Piece(20, None, "4")
        self.cut(first, second, third)
        self.assertEqual(self.due("3"), [second])  # in turn
        self.assertEqual(self.due("3"), [third])
        self.assertEqual(self.due("3"), [first])
        self.assertEqual(self.due("4"), [second])
        self.assertEqual(self.due("4"), [second, third])
        self.assertEqual(self.due("6"), [first, second, third])

    def test_a_piece_is_due_when_the_first_was_heard_too_long_ago_whose_row_says_less(self) -> None:
        first, second = Piece(None, 10, "5", heard=100), Piece(10, None, "5", heard=inf)
        self.cut(first, second)
        self.assertEqual(self.due("1", 99.9), [second])
        self.assertEqual(self.due("1", 99.9), [first])
        self.assertEqual(self.due("1", 100), [first, second])

    def test_parts_take_the_place_of_what_they_are_parts_of(self) -> None:
        first, second = Piece(None, 10), Piece(10, None)
        self.cut(first, second)
        for piece in self.pieces.due("9", 0):  # while they are gone through
            self.pieces.replace(piece, [Piece(piece.after, 5, "8"), Piece(5, piece.last, "8")])
        self.assertEqual(len(self.pieces), 4)
        self.assertEqual(
            [(piece.after, piece.last) for piece in self.due("9")], [(None, 5), (5, 10), (10, 5), (5, None)]
        )

    def test_what_was_forgotten_meanwhile_is_not_put_back(self) -> None:
        (whole,) = self.due("0")
        self.pieces.forget()
        self.pieces.replace(whole, [Piece(None, 10, "8"), Piece(10, None, "8")])
        self.assertEqual(self.due("0"), [Piece()])
