"""Where the table keeps rows: what a large backlog is sorted by, so that neighbours are written together.

InnoDB keeps rows in the order of the primary key. Where they do not all fit its buffer pool, a row that is written is
read from disk first, with the page that it is in; in a random order that is a page for each row. A row may be another
device's a moment later, so this is a hint and nothing else: the UPDATE finds its rows by ``uuid``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql

from .contract import Place
from .matching import LITERAL
from .statements import ALL_ROWS, TableShape, joined_uuids

_PRIMARY = "PRIMARY"


def key_columns(shape: TableShape) -> list[str]:
    """The columns of the primary key, in their order; none where there is none, as of a view."""
    parts = shape.definition[1] if len(shape.definition) > 1 else ()
    assert isinstance(parts, tuple)
    return [column for name, _, _, _, column, _ in parts if name == _PRIMARY]


def find_places(connection: Any, shape: TableShape, uuids: Sequence[str], max_bytes: int) -> list[Place | None] | None:
    """See ``KnowsPlaces``. Reads the index of ``uuid`` alone, which holds the primary key; locks nothing.

    :param max_bytes: as in ``update_statements``.
    :raises pymysql.err.Error: the connection is lost.
    """
    columns = key_columns(shape)
    if columns == ["uuid"]:
        return [uuid.lower() for uuid in uuids]
    if not columns:
        return None
    places: list[Place | None] = [None] * len(uuids)
    most = max(1, max_bytes // LITERAL)  # each statement waits for the way there and back
    try:
        with connection.cursor() as cursor:
            for at in range(0, len(uuids), most):
                cursor.execute(_question(shape, columns, at, uuids[at : at + most]))
                for number, *place in cursor.fetchall():
                    places[number] = place[0] if len(place) == 1 else tuple(place)
    except pymysql.err.MySQLError:
        if not connection.open:
            raise
        return None  # no right to read a column of the key, for instance
    return places


def _question(shape: TableShape, columns: Sequence[str], first: int, uuids: Sequence[str]) -> str:
    key = ", ".join(f"d.`{column.replace('`', '``')}`" for column in columns)
    return f"SELECT v.n, {key} FROM {joined_uuids(shape, uuids, first)}{ALL_ROWS}"  # noqa: S608
