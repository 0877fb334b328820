"""One sweep after another: reads the pieces of the table that may hold silent rows, and sets these offline.

Rows are read beside the writer and set through it, between two batches, and only where they still say then what they
said. So a device that is heard while its sweep runs is written before the sweep, which then finds it alive, or after
it, and then is online again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

from twisted.internet.defer import Deferred, succeed
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime

from ..table.contract import (
    PresenceStore,
    RowKey,
    Silence,
    SilentDevice,
    StoreConflict,
    StoreError,
    StoreNotOurs,
    StoreUnavailable,
)
from ..writing.writer import Writer
from .heard_devices import HeardDevices
from .pieces import NOT_READ, Piece, Pieces
from .refusing_rows import RefusingRows, set_around_refusals

READ = 5000  # rows that a piece has when it is cut; one of twice as many is cut again
SET = 1000  # rows of one transaction
MAX_REFUSED = 1000  # rows in one sweep; the others have their turn in the next one
# What a sweep may spend on rows that were refused before: one for each that is refused again, and more for one that is
# locked, because the writer waits a second for that.
MAX_SPENT = 100
SPENT_ON_LOCKED = 34
MAX_CONFLICTS = 12  # statements of one sweep
# s that a sweep waits for its turn with the writer. In a longer time the table is away, or the writer has lost it.
PATIENCE = 300.0
TOLERANCE = 1e-5  # s: of two clocks' readings, rounded
NAMES_SHOWN = 5


class SweepEnded(Exception):
    """What a sweep goes by does not hold any more; the text says why, where somebody should know."""


@dataclass(slots=True)
class Sweep:
    """What one sweep goes by, and what it did."""

    silence: Silence
    heard_cutoff: float
    """Who was heard after this moment is alive, whatever the row says; by the clock that is never set."""
    holds: Callable[[], bool]
    """Whether all of this is still true."""
    count: int = 0
    names: list[str] = field(default_factory=list)
    odd: int = 0
    """Those of them without a ``last_seen`` that could be true."""
    first_odd: SilentDevice | None = None
    altered: int = 0
    """Rows that say silent of devices that were heard before these were read."""
    first_altered: SilentDevice | None = None
    refused: int = 0
    first_refused: tuple[str, str] | None = None
    """Of those that had not been refused before: its device, and the server's words."""
    spent: int = 0
    """What was spent on rows that had been refused before."""
    conflicts: int = 0
    last_conflict: str = ""


class _Enough(Exception):
    """No more tries of this sort in this sweep."""


class Sweeper:
    """Remembers from sweep to sweep what of the table need not be read, and which rows cannot be set."""

    def __init__(
        self,
        table: PresenceStore,
        writer: Writer,
        heard: HeardDevices,
        clock: IReactorTime,
        *,
        row_changes: Callable[[str], None],
        set_offline: Callable[[Sequence[SilentDevice]], None],
        now: Callable[[], str],
        retry_delay: float,
    ) -> None:
        """
        :param row_changes: called with the key of each device whose row is about to say something else than what was
            written last, or does so already.
        :param set_offline: called with rows that were set.
        :param now: the time as the table's columns hold it.
        :param retry_delay: seconds after which a row that was refused is tried again for the first time.
        """
        self._table = table
        self._writer = writer
        self._heard = heard
        self._clock = clock
        self._row_changes = row_changes
        self._set_offline = set_offline
        self._now = now
        self._pieces = Pieces()
        self._refusing = RefusingRows(retry_delay)

    def forget(self) -> None:
        """Read all rows in the next sweep."""
        self._pieces.forget()

    async def run(self, sweep: Sweep) -> None:
        """Set those offline that are silent by this.

        :raises SweepEnded: not all was done.
        :raises StoreError: the table did not answer.
        """
        try:
            for piece in self._pieces.due(sweep.silence.cutoff, sweep.heard_cutoff):
                await self._sweep_piece(piece, sweep)
        except StoreError as error:
            if not isinstance(error, StoreUnavailable):
                self._pieces.forget()  # it may be another table by now, with rows in another order
            raise

    async def _sweep_piece(self, piece: Piece, sweep: Sweep) -> None:
        most = READ if piece.last is None else 2 * READ
        rest: Piece | None = piece
        while rest is not None:
            self._check(sweep)
            began, now = self._clock.seconds(), self._now()
            read = await self._table.find_silent(sweep.silence, rest.after, rest.last, most)
            self._check(sweep)
            done = Piece(rest.after, rest.last if read.reached is None else read.reached)
            done.heard, is_any_left = await self._sweep_rows(read.silent, began, sweep)
            done.earliest = NOT_READ if is_any_left else min(read.earliest or now, now)
            following = None if read.reached is None else Piece(read.reached, rest.last)
            self._pieces.replace(rest, [done] if following is None else [done, following])
            rest = following

    async def _sweep_rows(self, rows: Sequence[SilentDevice], began: float, sweep: Sweep) -> tuple[float, bool]:
        """Set those of the silent rows offline whose devices are.

        Returns when the first of the others was heard, and whether the next sweep must look again.

        :param began: when they were read.
        """
        first_heard = inf
        new, known = [], []
        for row in rows:
            if (moment := self._heard_at(row, sweep)) is not None:
                first_heard = min(first_heard, moment)
                self._row_changes(self._heard.key(row.uuid))
                if moment < began:
                    sweep.altered += 1
                    sweep.first_altered = sweep.first_altered or row
            elif row.key not in self._refusing:
                new.append(row)
            elif self._refusing.is_due(row.key, self._clock.seconds()):
                known.append(row)
        left: set[RowKey] = set()

        async def attempt(part: Sequence[SilentDevice]) -> None:
            offline = await self._set_rows(part, sweep)
            left.update(row.key for row in part if row.key not in offline)

        def refused(row: SilentDevice, error: StoreError) -> None:
            if isinstance(error, StoreConflict):
                left.add(row.key)
            self._note_refusal(row, error, sweep)

        for place in range(0, len(new), SET):
            part = new[place : place + SET]
            await set_around_refusals(part, attempt, refused, first=len(part))
        if sweep.spent < MAX_SPENT:
            with contextlib.suppress(_Enough):
                await set_around_refusals(known, attempt, refused, first=1)
        return first_heard, bool(left)

    async def _set_rows(self, rows: Sequence[SilentDevice], sweep: Sweep) -> frozenset[RowKey]:
        if sweep.conflicts >= MAX_CONFLICTS:
            raise SweepEnded(sweep.last_conflict)
        turn = self._writer.between_batches(partial(self._set_rows_now, rows, sweep))
        try:
            offline = await turn.addTimeout(PATIENCE, self._clock)
        except StoreConflict as error:
            sweep.conflicts += 1
            sweep.last_conflict = str(error)
            raise
        except (NotInTime, StoreNotOurs):
            raise SweepEnded from None
        done = [row for row in rows if row.key in offline]
        for row in done:
            self._refusing.accepted(row.key)
            if row.last_seen is None or row.last_seen > sweep.silence.future:
                sweep.odd += 1
                sweep.first_odd = sweep.first_odd or row
        sweep.count += len(done)
        sweep.names += [row.uuid for row in done[: NAMES_SHOWN - len(sweep.names)]]
        self._set_offline(done)
        return offline

    def _set_rows_now(self, rows: Sequence[SilentDevice], sweep: Sweep) -> Deferred[frozenset[RowKey]]:
        """Between two batches: what was received before is in the table, or it is pending."""
        self._check(sweep)
        silent = [row for row in rows if self._heard_at(row, sweep) is None]
        for row in silent:
            self._row_changes(self._heard.key(row.uuid))
        if not silent:
            return succeed(frozenset())
        return self._table.set_offline([row.key for row in silent], sweep.silence)

    def _heard_at(self, row: SilentDevice, sweep: Sweep) -> float | None:
        """When a device was heard that is alive whatever its row says; None: its row is right."""
        moment = self._heard.last_heard(row.uuid)
        return None if moment is None or moment <= sweep.heard_cutoff + TOLERANCE else moment

    def _note_refusal(self, row: SilentDevice, error: StoreError, sweep: Sweep) -> None:
        was_known = row.key in self._refusing
        is_lasting = not isinstance(error, StoreConflict)
        self._refusing.refused(row.key, self._clock.seconds(), is_lasting=is_lasting)
        sweep.refused += 1
        if was_known:
            sweep.spent += 1 if is_lasting else SPENT_ON_LOCKED
            if sweep.spent >= MAX_SPENT:
                raise _Enough
        else:
            sweep.first_refused = sweep.first_refused or (row.uuid, str(error))
            if sweep.refused >= MAX_REFUSED:
                raise SweepEnded

    def _check(self, sweep: Sweep) -> None:
        """:raises SweepEnded: it must not go on."""
        if not sweep.holds():
            raise SweepEnded
