"""Finds the value that a table refuses inside a batch, so that one bad row stops only itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Protocol

from ..devices.report import HEARTBEAT
from ..devices.update import COLUMNS, DeviceUpdate
from ..table.contract import StoreMisconfigured, StoreRefused, Written

MAX_DOUBTS = 3  # times that a value is tried again which was refused in words that may mean something else
MAX_REFUSALS_BISECTED = 10  # in one batch; with more, row by row costs fewer statements


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """What a table does not take of one update."""

    column: str | None
    """None: any update of this row."""
    reason: str
    deliveries: int
    """How many deliveries that refuses; the update's others were written."""


class Settling(Protocol):
    """What taking a batch apart needs: a way to write, and somebody who is told what became of it: ``Settlement``."""

    async def write(self, updates: Sequence[DeviceUpdate]) -> Written:
        """Write updates in one transaction. :raises StoreRefused: the server says no to it."""
        ...

    async def why_no_times(self, update: DeviceUpdate) -> str | None:
        """See ``Store.why_no_times``."""
        ...

    async def settle(self, updates: Sequence[DeviceUpdate], written: Written, refusal: RefusedPart | None) -> None:
        """These updates are done with; what of a single one was refused, where anything was."""
        ...


async def write_around_refusals(updates: Sequence[DeviceUpdate], settlement: Settling) -> None:
    """Write all that the table takes; of a bad row only the document or the status that is refused is left out.

    A bad row is looked for in halves, and what of the batch is left goes into one statement again. So it costs one
    statement for each halving and a few for itself: at most 2·log2(n) in a batch of a thousand.

    :raises StoreMisconfigured: the table takes not even times, of no row: nothing is refused for that.
    """
    rest = list(updates)
    was_tried = False
    for _ in range(MAX_REFUSALS_BISECTED):
        try:
            await settlement.settle(rest, await settlement.write(rest), None)
        except StoreRefused as refused:
            if not refused.is_certain and not was_tried:
                was_tried = True  # it may be gone the next time, as a server's own trouble is
                continue
            rest = await _write_up_to_refusal(rest, refused, settlement)
        else:
            return
        if not rest:
            return
    await _write_row_by_row(rest, settlement)


async def _write_row_by_row(updates: list[DeviceUpdate], settlement: Settling) -> None:
    """Write rows of which many are refused; where some stretches are all good, with fewer statements than rows."""
    size = isqrt(len(updates))
    for part in (updates[at : at + size] for at in range(0, len(updates), size)):
        try:
            await settlement.settle(part, await settlement.write(part), None)
        except StoreRefused:
            for update in part:
                await _write_single(update, settlement)


async def _write_single(update: DeviceUpdate, settlement: Settling) -> None:
    try:
        await settlement.settle([update], await settlement.write([update]), None)
    except StoreRefused as refused:
        await _write_without_refused_value(update, refused, settlement)


async def _write_up_to_refusal(
    part: list[DeviceUpdate], refusal: StoreRefused, settlement: Settling
) -> list[DeviceUpdate]:
    """Find one bad row in a part that was refused; returns what is not written yet."""
    rest: list[DeviceUpdate] = []
    is_known = True  # that the part holds a bad row: it was refused as it is
    while len(part) > 1:
        half = len(part) // 2
        left, right = part[:half], part[half:]
        try:
            await settlement.settle(left, await settlement.write(left), None)
        except StoreRefused as refused:
            part, rest, refusal, is_known = left, right + rest, refused, True
        else:
            part, is_known = right, False
    if is_known:
        await _write_without_refused_value(part[0], refusal, settlement)
    else:
        await _write_single(part[0], settlement)
    return rest


async def _write_without_refused_value(update: DeviceUpdate, refusal: StoreRefused, settlement: Settling) -> None:
    """Write what is taken of an update that was refused as it is.

    Once it takes something of this row, what it refused before is tried again: that may have been a trouble of its own
    that is over, or a table that took no times and was mended meanwhile, and what is left out for it would be lost.
    """
    parts: list[tuple[DeviceUpdate, str | None]] = [(update, None), *_reductions(update)]
    first, refusal, written = await _write_fullest(parts[1:], refusal, settlement)
    if written is None:
        if (fault := await settlement.why_no_times(update)) is not None:
            raise StoreMisconfigured(fault)
        first, refusal, written = await _write_fullest(parts, refusal, settlement)
        if written is None:
            await settlement.settle([update], Written(), RefusedPart(None, str(refusal), update.deliveries))
            return
    else:
        first += 1
    doubts = 0
    while first and doubts < (1 if refusal.is_certain else MAX_DOUBTS):
        again, refusal, written_again = await _write_fullest(parts[:first], refusal, settlement)
        if written_again is None:
            doubts += 1
        else:
            first, written = again, written_again
    taken, column = parts[first]
    if column is None:
        await settlement.settle([update], written, None)
    else:
        refused = RefusedPart(column, str(refusal), update.deliveries - taken.deliveries)
        await settlement.settle([update], written, refused)


async def _write_fullest(
    parts: Sequence[tuple[DeviceUpdate, str | None]], refusal: StoreRefused, settlement: Settling
) -> tuple[int, StoreRefused, Written | None]:
    """Write the first of these that is taken. Returns its place, the last refusal, and None where none was taken."""
    for place, (part, _column) in enumerate(parts):
        try:
            return place, refusal, await settlement.write([part])
        except StoreRefused as refused:
            refusal = refused
    return len(parts), refusal, None


def _reductions(update: DeviceUpdate) -> Iterator[tuple[DeviceUpdate, str]]:
    """The update without one of its values, then without both."""
    if update.document is not None:
        yield _without(update, document=True), COLUMNS["document"]
    if update.status is not None:
        yield _without(update, status=True), COLUMNS["status"]
        if update.document is not None:
            yield _without(update, document=True, status=True), f"{COLUMNS['document']}, {COLUMNS['status']}"


def _without(update: DeviceUpdate, *, document: bool = False, status: bool = False) -> DeviceUpdate:
    reduced = update.copy()
    if document:
        reduced.document = None
        # One delivery brought the document that stands here; of which kind it was makes no difference to a sum.
        with_document = reduced.kinds & ~HEARTBEAT
        reduced.kinds &= ~(with_document & -with_document)  # the lowest bit of them
    if status:
        reduced.status = None
    return reduced
