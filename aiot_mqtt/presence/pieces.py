"""Which pieces of the table a sweep must read, because somebody in them may have fallen silent since they were read.

Pure: told of time, never asks for it. Memory: some 200 bytes a piece, 200 pieces for a million rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from ..table.contract import RowKey

NOT_READ = ""  # in the place of a last_seen: earlier than any time


@dataclass(slots=True)
class Piece:
    """The rows behind one row and up to another one, in the order of the table."""

    after: RowKey | None = None
    """None: from the first row on."""
    last: RowKey | None = None
    """None: up to the last row, whichever that is by then."""
    earliest: str = NOT_READ
    """No row of it can be silent while the cutoff is not later than this, unless another program sets it back."""
    heard: float = inf
    """When the first was heard of those whose rows say less than what was heard; by the clock that is never set."""


class Pieces:
    """All rows of a table, cut into pieces as they were met."""

    def __init__(self) -> None:
        self._pieces = [Piece()]
        self._turn = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def forget(self) -> None:
        """Nothing is known any more: the next sweep reads all rows, and cuts the table anew."""
        self._pieces = [Piece()]

    def due(self, cutoff: str, heard_cutoff: float) -> Iterator[Piece]:
        """Those that may hold somebody who is silent, and one more, in turn, for what other programs do.

        So a table of one piece is read by each sweep.

        :param cutoff: an earlier ``last_seen`` means silence.
        :param heard_cutoff: silent is who was not heard after it.
        """
        self._turn = (self._turn + 1) % len(self._pieces)
        in_turn = self._pieces[self._turn]
        for piece in list(self._pieces):
            if piece is in_turn or piece.earliest < cutoff or piece.heard <= heard_cutoff:
                yield piece

    def replace(self, piece: Piece, parts: Sequence[Piece]) -> None:
        """A piece was read, as these parts."""
        place = next((place for place, known in enumerate(self._pieces) if known is piece), None)
        if place is not None:  # else all were forgotten meanwhile
            self._pieces[place : place + 1] = parts
