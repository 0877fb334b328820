"""How many devices there are."""

from __future__ import annotations

from .bounded_select import bounded_select
from .connection import DatabaseConnection

COUNT = "COALESCE(SUM(is_online = 1), 0), COUNT(*) FROM `{table}`"


def count_devices(connection: DatabaseConnection, table: str) -> tuple[int, int]:
    """How many rows say online, and how many there are. Reads all of the table's rows or an index, and locks none.

    :raises StoreConflict: the server does not say, or not in time.
    """
    [(online, total)] = bounded_select(connection, COUNT.format(table=table))
    return int(online), int(total)
