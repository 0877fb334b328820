"""A SELECT for somebody who wants to know something, asked so that nothing else waits for long or follows from it."""

from __future__ import annotations

from typing import Any

import pymysql

from .connection import DatabaseConnection
from .contract import StoreConflict

MAX_TIME = 10.0  # s
# Of the time after which a silent connection counts as lost, and with it the server that it leads to.
SHARE_OF_PATIENCE = 0.8
# Given up by the server after a time, as MariaDB takes it and as MySQL does; each takes the other's for a comment.
BOUNDED = "/*M! SET STATEMENT max_statement_time={seconds:.3f} FOR */ SELECT /*+ MAX_EXECUTION_TIME({milliseconds}) */ "


def bounded_select(connection: DatabaseConnection, rest: str, arguments: tuple[object, ...] = ()) -> tuple[Any, ...]:
    """All rows of ``SELECT rest``.

    :raises StoreConflict: the server does not say, or not in time. Whatever it is, nothing follows from it for the
        writes.
    """
    seconds = min(MAX_TIME, SHARE_OF_PATIENCE * connection.read_timeout)
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                BOUNDED.format(seconds=seconds, milliseconds=round(seconds * 1000)) + rest, arguments or None
            )
            rows: tuple[Any, ...] = cursor.fetchall()
        except pymysql.err.Error as error:
            if not connection.open:
                raise
            raise StoreConflict(str(error)) from error
    return rows
