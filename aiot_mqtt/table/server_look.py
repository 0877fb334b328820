"""What a server says of itself where it takes less than comes: asked once, to name the likely cause."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import pymysql

from .contract import StoreConflict

ASKED = 3  # times, of which the quickest answer tells how far it is


class ServerLook(NamedTuple):
    """What decides how fast rows are written."""

    pool: int | None
    """Bytes of ``innodb_buffer_pool_size``; None: the server does not say."""
    table: int | None
    """Bytes of the table with its indexes, by the server's own estimate; None: it does not say, as of a view."""
    round_trip: float
    """Seconds that the server takes to answer next to nothing."""


def look_at_server(connection: Any, database: str, table: str) -> ServerLook:
    """Ask it. Reads no row, and locks nothing.

    :raises StoreConflict: it does not say.
    """
    with connection.cursor() as cursor:
        try:
            took = []
            for _ in range(ASKED):
                began = time.monotonic()
                cursor.execute("SELECT 1")
                took.append(time.monotonic() - began)
            cursor.execute("SELECT @@innodb_buffer_pool_size")
            (pool,) = cursor.fetchone()
            cursor.execute(
                "SELECT data_length + index_length FROM information_schema.tables"
                " WHERE table_schema = %s AND table_name = %s",
                (database, table),
            )
            (size,) = cursor.fetchone() or (None,)
        except pymysql.err.Error as error:
            if not connection.open:
                raise
            raise StoreConflict(str(error)) from error
    return ServerLook(None if pool is None else int(pool), None if size is None else int(size), min(took))
