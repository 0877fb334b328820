"""How many rows one transaction gets, so that it takes a second at most, whatever the database and the way there."""

from __future__ import annotations

AIM = 1.0  # s that a transaction should take at most: so long it holds its rows' locks, and its messages wait
ROWS_AFTER_FAILURE = 125  # 25 ms each and 32 KB/s are still within the read timeout
USUAL = 1000
# Beyond that many, a chunk grows while it takes less than so many times what the quickest one took, which is what a
# transaction costs by itself: mostly the way there and back. Where that is next to nothing, larger chunks gain nothing,
# and what they brought waits longer for its acknowledgement (payloads of 1 KiB, database on this host: 0.85 x).
WORTH_GROWING = 10
MAX_ROWS = 32_000
SLOW_ROW = 0.0001  # s, three times what a row takes that need not be read from disk
TELLING = 0.1  # s of a transaction that tells what a row takes, however few it had
MAX_BYTES = 4 * 1024 * 1024  # of documents that are read from disk at one time


class ChunkSize:
    """Pure. Halved by a failure, doubled by a full chunk that was quick, and cut to measure by one that was slow.

    One that another transaction overtook is halved, too, and then grows by an eighth at a time: beside a second writer
    to other nodes of a cluster each size has its odds, and doubling would lose every other attempt.
    """

    def __init__(self) -> None:
        self.rows = USUAL
        self._quickest = AIM  # s, of all since the last failure
        self._is_wary = False  # of others who write the same rows
        self.is_slow = False
        """Whether each row took long, as far as was seen last."""

    @property
    def quickest(self) -> float | None:
        """Seconds that a transaction takes by itself; None: none was seen since the last failure."""
        return self._quickest if self._quickest < AIM else None

    def written(self, rows: int, seconds: float) -> None:
        """A transaction of so many rows took so long."""
        self._quickest = min(self._quickest, seconds)
        if seconds <= 2 * AIM and (rows >= USUAL or seconds >= TELLING):  # longer, and the server was not at it
            self.is_slow = seconds > rows * SLOW_ROW
        enough = AIM / 2 if self.rows < USUAL else min(AIM / 2, WORTH_GROWING * self._quickest)
        if seconds > AIM:
            self.rows = max(1, min(self.rows, int(rows * AIM / seconds)))
        elif rows >= self.rows and seconds < enough:
            self.rows = min(MAX_ROWS, self.rows + (max(1, self.rows // 8) if self._is_wary else self.rows))
            self._is_wary = self._is_wary and self.rows < USUAL

    def failed(self, rows: int) -> None:
        """A transaction of so many rows was not answered in time, lost its connection, or met another one.

        Next to nothing is known of a server that comes back, so it begins with few rows even where it had many.
        """
        self.rows = max(1, min(ROWS_AFTER_FAILURE, rows // 2))
        self._quickest = AIM
        self._is_wary = False

    def overtaken(self, rows: int) -> None:
        """A transaction of so many rows was rolled back because another one had some of them."""
        self.rows = max(1, rows // 2)
        self._is_wary = True
