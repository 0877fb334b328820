"""Finds the rows that a table does not let a sweep set, and remembers them, so that they are found once only.

Pure: told of time, never asks for it. Memory: some 300 bytes a row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..table.contract import (
    RowKey,
    SilentDevice,
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreRefused,
)

MAX_REMEMBERED = 10_000  # rows
MAX_DELAY = 3600.0  # s between two tries

Attempt = Callable[[Sequence[SilentDevice]], Awaitable[None]]
"""Sets rows offline; raises a StoreError when the table does not let all of them be set, and then sets none."""


def is_about_rows(error: StoreError) -> bool:
    """Whether a living server said no to what was sent: with other rows it may well say yes."""
    return isinstance(error, StoreRefused | StoreConflict | StoreMisconfigured) and not isinstance(
        error, StoreLoginRefused
    )


async def set_around_refusals(
    rows: Sequence[SilentDevice],
    attempt: Attempt,
    refused: Callable[[SilentDevice, StoreError], None],
    *,
    first: int,
) -> None:
    """Set all rows offline that the table lets be set.

    A bad row is looked for in halves: one statement for each halving, and about four more. Where many are bad the parts
    become small, and it is one statement for each of them.

    :param refused: told of each of the others; may raise, to end it.
    :param first: rows of the first statement.
    """
    size = first
    rest = list(rows)
    while rest:
        part = rest[:size]
        try:
            await attempt(part)
        except StoreError as error:
            if not is_about_rows(error):
                raise
            good = await _set_up_to_bad_row(part, attempt, refused, error)
            del rest[: good + 1]
            size = max(1, size // 2)
        else:
            del rest[:size]
            size *= 2


async def _set_up_to_bad_row(
    part: list[SilentDevice],
    attempt: Attempt,
    refused: Callable[[SilentDevice, StoreError], None],
    error: StoreError,
) -> int:
    """A part was refused: set the rows before its first bad one; returns how many these are."""
    begin, end = 0, len(part)  # of what holds a bad row
    is_alone = end == 1  # whether the row that is left was refused alone, and not with others
    while end - begin > 1:
        middle = (begin + end) // 2
        try:
            await attempt(part[begin:middle])
        except StoreError as again:
            if not is_about_rows(again):
                raise
            error, end, is_alone = again, middle, middle - begin == 1
        else:
            begin, is_alone = middle, False
    if not is_alone:
        try:  # whatever was in the way may be gone
            await attempt(part[begin:end])
        except StoreError as again:
            if not is_about_rows(again):
                raise
            error = again
        else:
            return begin
    refused(part[begin], error)
    return begin


@dataclass(frozen=True, slots=True)
class _RefusingRow:
    delay: float
    again_at: float


class RefusingRows:
    """Rows that were refused, each to be tried again after a delay that grows from the first one to an hour."""

    def __init__(self, first_delay: float, max_remembered: int = MAX_REMEMBERED) -> None:
        """:param first_delay: seconds."""
        self._first_delay = first_delay
        self._max_remembered = max_remembered
        self._rows: dict[RowKey, _RefusingRow] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        """Whether a row was refused the last time."""
        return key in self._rows

    def is_due(self, key: RowKey, now: float) -> bool:
        """Whether it is time to try a row that was refused once more."""
        return self._rows[key].again_at <= now

    def refused(self, key: RowKey, now: float, *, is_lasting: bool) -> None:
        """A row was refused.

        :param is_lasting: whether it is likely to be so the next time: what is only locked is tried by each sweep.
        """
        known = self._rows.pop(key, None)
        delay = 0.0
        if is_lasting:
            delay = min(MAX_DELAY, 2 * known.delay if known and known.delay else self._first_delay)
        if len(self._rows) >= self._max_remembered:
            del self._rows[next(iter(self._rows))]  # it was refused before all others
        self._rows[key] = _RefusingRow(delay, now + delay)

    def accepted(self, key: RowKey) -> None:
        """A row was set after all, or need not be set any more."""
        self._rows.pop(key, None)
