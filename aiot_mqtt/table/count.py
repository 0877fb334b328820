"""How many devices there are, asked so that nothing else waits for it or follows from it."""

from __future__ import annotations

from typing import Any

import pymysql

from .contract import StoreConflict

MAX_TIME = 10  # s; well below what makes a connection count as lost
# Given up by the server after a time, as MariaDB takes it and as MySQL does; each takes the other's for a comment.
COUNT = (
    "/*M! SET STATEMENT max_statement_time={seconds} FOR */ SELECT /*+ MAX_EXECUTION_TIME({milliseconds}) */"
    " COALESCE(SUM(is_online = 1), 0), COUNT(*) FROM `{table}`"
)


def count_devices(connection: Any, table: str) -> tuple[int, int]:
    """How many rows say online, and how many there are. Reads all of the table's rows or an index, and locks none.

    :raises StoreConflict: the server does not say, or not in time.
    """
    with connection.cursor() as cursor:
        try:
            cursor.execute(COUNT.format(seconds=MAX_TIME, milliseconds=MAX_TIME * 1000, table=table))
            online, total = cursor.fetchone()
        except pymysql.err.Error as error:
            if not connection.open:
                raise
            # Whatever it is, nothing follows from it for the writes.
            raise StoreConflict(str(error)) from error
    return int(online), int(total)
