"""Updates into a file, each merged with what is held there of its device."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..devices.update import DeviceUpdate
from . import rows
from .contents import Held
from .format import insert
from .reading import AT_ONCE, Reading


def merge_into(
    connection: sqlite3.Connection,
    reading: Reading,
    updates: Sequence[DeviceUpdate],
    *,
    order_offset: int,
    are_older: bool,
) -> tuple[Held, int]:
    """Write updates, within a transaction; returns what that adds, and how many deliveries it supersedes.

    A device may come more than once, later ones behind.

    :param order_offset: see ``SpoolFile``.
    :param are_older: than all that is held, and not newer.
    """
    superseded = devices = deliveries = 0
    for at in range(0, len(updates), AT_ONCE):
        part = updates[at : at + AT_ONCE]
        held = reading.rows_of(connection, [update.key for update in part])
        saved: dict[str, DeviceUpdate] = {}
        for update in part:
            added = rows.earliest(update) if are_older else rows.later(update, order_offset)
            deliveries += update.deliveries
            # What was merged goes behind the others: the table may hold two keys for one device, and the newer is last.
            if (before := held.pop(update.key, None) or saved.pop(update.key, None)) is None:
                devices += 1
                saved[update.key] = added
            else:
                merged, under = (before.copy(), added) if are_older else (added.copy(), before)
                superseded += merged.merge(under)
                saved[update.key] = merged
        connection.execute(insert(len(saved)), [value for each in saved.values() for value in rows.with_checksum(each)])
    return Held(devices, deliveries - superseded), superseded
