"""The writing of updates within one transaction.

Usually that is one UPDATE, whose count of rows says that each update found its own. Where it says otherwise, or where
no count could tell, the server is asked, with a lock on the rows, and what it answers is done: nobody comes between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..devices.update import DeviceUpdate
from .contract import Written
from .lag import catch_up
from .matching import match_rows
from .statements import TableShape, update_statements

_ALL_FOUND = Written()


def write_updates(
    connection: Any,
    shape: TableShape,
    updates: Sequence[DeviceUpdate],
    max_bytes: int,
    heard_until: str | None = None,
) -> Written:
    """See ``Store.write``; the COMMIT is the caller's.

    :param max_bytes: as in ``update_statements``.
    :raises StoreRefused: an update cannot be sent.
    :raises pymysql.err.Error: the server did not take it.
    """
    matched = None
    if shape.is_unique and heard_until is None:
        part, statement = next(update_statements(shape, updates, max_bytes))
        # Of several statements each may hold one of two names of a row, and no count would tell.
        if len(part) == len(updates):
            matched = connection.query(statement)
        if matched == len(updates):
            return _ALL_FOUND
    with connection.cursor() as cursor:
        rest, written = match_rows(cursor, shape, updates, max_bytes, heard_until)
        if written.unknown and catch_up(connection):
            matched = None  # it was rolled back
            rest, written = match_rows(cursor, shape, updates, max_bytes, heard_until)
    # Rows that came since the UPDATE; or the count is of changed rows only, because a proxy lost our CLIENT_FOUND_ROWS.
    if matched != len(rest) or written.shared:
        for _, statement in update_statements(shape, rest, max_bytes):
            connection.query(statement)
    return written
