"""Finds the value that a table refuses inside a batch, so that one bad row stops only itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt

from ..devices.report import DATA, STATUS
from ..devices.update import DeviceUpdate
from ..table.contract import StoreRefused

MOST_REFUSALS_BISECTED = 10  # in one batch; with more, row by row costs fewer statements


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a table does not take of one update."""

    column: str | None
    """None: any update of this row."""
    reason: str
    deliveries: int
    """How many deliveries that refuses; the update's others were written."""


Write = Callable[[Sequence[DeviceUpdate]], Awaitable[frozenset[str]]]
"""Writes updates in one transaction and says which have no row; raises StoreRefused when one of them is not taken."""

Settle = Callable[[Sequence[DeviceUpdate], frozenset[str], Refusal | None], Awaitable[None]]
"""Told of updates that are done with, which of them have no row, and, of a single one, what of it was refused."""


async def write_around_refusals(updates: Sequence[DeviceUpdate], write: Write, settle: Settle) -> None:
    """Write all that the table takes; of a bad row only the document or the status that is refused is taken out.

    A bad row is looked for in halves, and what of the batch is left goes into one statement again. So it costs one
    statement for each halving and a few for itself: at most 2·log2(n) in a batch of a thousand.
    """
    rest = list(updates)
    for _ in range(MOST_REFUSALS_BISECTED):
        try:
            await settle(rest, await write(rest), None)
        except StoreRefused as refused:
            rest = await _write_up_to_refusal(rest, str(refused), write, settle)
        else:
            return
        if not rest:
            return
    await _write_row_by_row(rest, write, settle)


async def _write_row_by_row(updates: list[DeviceUpdate], write: Write, settle: Settle) -> None:
    """Write rows of which many are refused; where some stretches are all good, with fewer statements than rows."""
    size = isqrt(len(updates))
    for part in (updates[at : at + size] for at in range(0, len(updates), size)):
        try:
            await settle(part, await write(part), None)
        except StoreRefused:
            for update in part:
                await _write_single(update, write, settle)


async def _write_single(update: DeviceUpdate, write: Write, settle: Settle) -> None:
    try:
        await settle([update], await write([update]), None)
    except StoreRefused as refused:
        await _write_without_refused_value(update, str(refused), write, settle)


async def _write_up_to_refusal(
    part: list[DeviceUpdate], reason: str, write: Write, settle: Settle
) -> list[DeviceUpdate]:
    """Find one bad row in a part that was refused; returns what is not written yet."""
    rest: list[DeviceUpdate] = []
    is_known = True  # that the part holds a bad row: it was refused as it is
    while len(part) > 1:
        half = len(part) // 2
        left, right = part[:half], part[half:]
        try:
            await settle(left, await write(left), None)
        except StoreRefused as refused:
            part, rest, reason, is_known = left, right + rest, str(refused), True
        else:
            part, is_known = right, False
    if is_known:
        await _write_without_refused_value(part[0], reason, write, settle)
    else:
        await _write_single(part[0], write, settle)
    return rest


async def _write_without_refused_value(update: DeviceUpdate, reason: str, write: Write, settle: Settle) -> None:
    for reduced, column in _reductions(update):
        try:
            unknown = await write([reduced])
        except StoreRefused as refused:
            reason = str(refused)
        else:
            refused_deliveries = update.deliveries - reduced.deliveries
            await settle([update], unknown, Refusal(column, reason, refused_deliveries))
            return
    await settle([update], frozenset(), Refusal(None, reason, update.deliveries))


def _reductions(update: DeviceUpdate) -> Iterator[tuple[DeviceUpdate, str]]:
    """The update without one of its values, then without both."""
    if update.document is not None:
        yield _without(update, document=True), "last_report_data"
    if update.status is not None:
        yield _without(update, status=True), "device_status"
        if update.document is not None:
            yield _without(update, document=True, status=True), "last_report_data, device_status"


def _without(update: DeviceUpdate, *, document: bool = False, status: bool = False) -> DeviceUpdate:
    reduced = DeviceUpdate(update.uuid, update.key)
    for name in ("kinds", "document", "status", "last_seen", "last_heartbeat", "is_online"):
        setattr(reduced, name, getattr(update, name))
    if document:
        reduced.document = None
        # One delivery brought the document that stands here; which of the two kinds makes no difference to a sum.
        reduced.kinds &= ~DATA if update.kinds & DATA else ~STATUS
    if status:
        reduced.status = None
    return reduced
