"""Finds the value that a table refuses inside a batch, so that one bad row stops only itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence

from .report import DATA, STATUS
from .store import DeviceUpdate, StoreRefused

MOST_REFUSALS_BISECTED = 10  # in one batch; with more, row by row costs fewer statements

Write = Callable[[Sequence[DeviceUpdate]], Awaitable[None]]
"""Writes updates in one transaction; raises StoreRefused when the table does not take one of them."""

TellRefused = Callable[[DeviceUpdate, str | None, str, int], None]
"""Told of an update, the column refused (None: any update of this row), why, and how many deliveries that refuses."""


async def write_around_refusals(updates: Sequence[DeviceUpdate], write: Write, tell_refused: TellRefused) -> None:
    """Write all that the table takes, halving what it refuses: at most 2·log2(n) statements for a bad row.

    Of a bad row only the document or the status that is refused is taken out.
    """
    refusals = 0
    todo = [updates]  # a stack, the first part on top
    while todo:
        part = todo.pop()
        try:
            await write(part)
        except StoreRefused as refused:
            if len(part) == 1:
                refusals += 1
                await _write_without_refused_value(part[0], str(refused), write, tell_refused)
            elif refusals >= MOST_REFUSALS_BISECTED:
                todo.extend([update] for update in reversed(part))
            else:
                half = len(part) // 2
                todo += [part[half:], part[:half]]


async def _write_without_refused_value(
    update: DeviceUpdate, reason: str, write: Write, tell_refused: TellRefused
) -> None:
    for reduced, column in _reductions(update):
        refused_deliveries = update.deliveries - reduced.deliveries
        try:
            await write([reduced])
        except StoreRefused as refused:
            reason = str(refused)
        else:
            tell_refused(update, column, reason, refused_deliveries)
            return
    tell_refused(update, None, reason, update.deliveries)


def _reductions(update: DeviceUpdate) -> Iterator[tuple[DeviceUpdate, str]]:
    """The update without one of its values, then without both."""
    if update.document is not None:
        yield _without(update, document=True), "last_report_data"
    if update.status is not None:
        yield _without(update, status=True), "device_status"
        if update.document is not None:
            yield _without(update, document=True, status=True), "last_report_data, device_status"


def _without(update: DeviceUpdate, *, document: bool = False, status: bool = False) -> DeviceUpdate:
    reduced = DeviceUpdate(update.uuid)
    for name in ("kinds", "document", "status", "last_seen", "last_heartbeat", "is_online"):
        setattr(reduced, name, getattr(update, name))
    if document:
        reduced.document = None
        # One delivery brought the document that stands here; which of the two kinds makes no difference to a sum.
        reduced.kinds &= ~DATA if update.kinds & DATA else ~STATUS
    if status:
        reduced.status = None
    return reduced
