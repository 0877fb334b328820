"""How many rows a transaction gets, from databases of every speed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.writing.chunk_size import AIM, MAX_ROWS, ROWS_AFTER_FAILURE, USUAL, ChunkSize

READ_TIMEOUT = 20.0  # s


class ChunkSizeTests(SynchronousTestCase):
    def drain(self, rows: int, seconds: Callable[[int], float], size: ChunkSize) -> tuple[float, int]:
        """Write so many rows to a database that takes so long for a number of them; seconds, and chunks that failed."""
        took, failed = 0.0, 0
        while rows:
            chunk = min(rows, size.rows)
            if seconds(chunk) > READ_TIMEOUT:
                size.failed(chunk)
                took += READ_TIMEOUT
                failed += 1
            else:
                size.written(chunk, seconds(chunk))
                took += seconds(chunk)
                rows -= chunk
        return took, failed

    def test_it_grows_while_transactions_are_short_and_full(self) -> None:
        size = ChunkSize()
        self.assertEqual(size.rows, USUAL)
        size.written(USUAL - 1, 0.01)
        self.assertEqual(size.rows, USUAL)
        for _ in range(20):
            size.written(size.rows, 0.01)
        self.assertEqual(size.rows, MAX_ROWS)

    def test_it_grows_beyond_the_usual_only_where_a_transaction_costs_much_by_itself(self) -> None:
        for by_itself, per_row, least, most in (
            (0.0005, 0.00004, USUAL, USUAL),  # on this host
            (0.1, 0.00004, 8 * USUAL, MAX_ROWS),  # 50 ms away
        ):
            size = ChunkSize()
            size.written(1, by_itself + per_row)
            for _ in range(20):
                size.written(size.rows, by_itself + size.rows * per_row)
            self.assertTrue(least <= size.rows <= most, (by_itself, size.rows))

    def test_what_was_quick_before_a_failure_says_nothing_about_the_server_after_it(self) -> None:
        size = ChunkSize()
        size.written(1, 0.001)
        size.failed(size.rows)
        for _ in range(20):
            size.written(size.rows, 0.1 + size.rows * 0.00004)
        self.assertGreaterEqual(size.rows, 8 * USUAL)

    def test_it_settles_below_the_aim(self) -> None:
        for per_row in (0.0001, 0.001, 0.025, 0.3, 5.0):
            size = ChunkSize()
            for _ in range(40):
                size.written(size.rows, size.rows * per_row)
            self.assertLessEqual(size.rows * per_row, max(AIM, per_row))
            self.assertGreaterEqual(size.rows, min(MAX_ROWS, int(AIM / 4 / per_row)))

    def test_a_failure_halves_it_down_to_one(self) -> None:
        size = ChunkSize()
        seen = []
        while size.rows > 1:
            size.failed(size.rows)
            seen.append(size.rows)
        self.assertEqual(seen[:3], [ROWS_AFTER_FAILURE, ROWS_AFTER_FAILURE // 2, ROWS_AFTER_FAILURE // 4])
        size.failed(1)
        self.assertEqual(size.rows, 1)

    def test_one_that_is_overtaken_is_halved_and_grows_slowly_until_it_has_its_usual_size(self) -> None:
        size = ChunkSize()
        size.overtaken(USUAL)
        self.assertEqual(size.rows, USUAL // 2)
        seen = [size.rows]
        while size.rows < USUAL:
            size.written(size.rows, 0.01)
            seen.append(size.rows)
        self.assertEqual(seen[:4], [500, 562, 632, 711])
        size.written(size.rows, 0.01)
        self.assertEqual(size.rows, 2 * seen[-1])  # as ever
        for _ in range(20):
            size.overtaken(size.rows)
        self.assertEqual(size.rows, 1)

    def test_beside_another_writer_most_attempts_are_worth_making(self) -> None:
        for row_is_lost in (0.001, 0.01, 0.1):  # how likely one is
            random, size = Random(1), ChunkSize()
            lost = written = 0
            for _ in range(2000):
                rows = size.rows
                if random.random() < (1 - row_is_lost) ** rows:
                    size.written(rows, 0.005)
                    written += rows
                else:
                    size.overtaken(rows)
                    lost += 1
            self.assertLess(lost, 800, row_is_lost)
            best = max(rows * (1 - row_is_lost) ** rows for rows in range(1, 2000))
            self.assertGreater(written, 2000 * 0.3 * best, row_is_lost)

    def test_it_knows_what_a_row_takes_where_that_can_be_told(self) -> None:
        size = ChunkSize()
        for rows, seconds, is_slow in (
            (1000, 0.03, False),
            (1000, 0.2, True),  # each is read from disk
            (1, 0.002, True),  # too few to tell
            (500, 0.01, True),
            (125, 30.0, True),  # the server stood still
            (4000, 0.15, False),
            (125, 30.0, False),
            (100, 0.15, True),
        ):
            size.written(rows, seconds)
            self.assertEqual(size.is_slow, is_slow, (rows, seconds))

    def test_slow_and_distant_databases_are_drained(self) -> None:
        for name, seconds, most in (
            ("25 ms a row", lambda rows: 0.025 * rows, 1.5 * 2000 * 0.025),
            ("100 KB/s, 4 KB a row", lambda rows: 0.04 * rows, 1.5 * 2000 * 0.04),
            ("50 ms away", lambda rows: 0.1 + 0.00003 * rows, 2.0),
            ("a second a row", lambda rows: 1.0 * rows, 1.2 * 2000),
        ):
            size = ChunkSize()
            size.failed(size.rows)  # as after an outage
            took, failed = self.drain(2000, seconds, size)
            self.assertLess(took, most, name)
            self.assertLessEqual(failed, 4, name)
