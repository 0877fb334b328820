"""What a node of a cluster may not have heard of yet: a row that another one has taken already.

A node applies what others committed a moment later, or much later where it is busy. So a device that has no row here
may have one, and its report would be refused. Before that, the node is told to catch up.
"""

from __future__ import annotations

from typing import Any

import pymysql

from .errors import Behind, error_words
from .session import told

# Each with what takes it back. Both waits are over when all is applied that was committed anywhere before.
_GALERA = ("SET SESSION wsrep_sync_wait=1", "SET SESSION wsrep_sync_wait=DEFAULT")
_GROUP = (
    "SET SESSION group_replication_consistency='BEFORE'",
    "SET SESSION group_replication_consistency=DEFAULT",
)


def catch_up(connection: Any) -> bool:
    """Wait until the node has all that the cluster has; returns False where there is no cluster, or it does not wait.

    Rolls the transaction back: only the first statement of one waits.

    :raises Behind: it does not get that far in time.
    """
    if connection.waits_by is None:
        connection.waits_by = _ways_to_wait(connection)
    if not connection.waits_by:
        return False
    wait, undo = connection.waits_by
    connection.rollback()
    try:
        with connection.cursor() as cursor:
            cursor.execute(wait)
            try:
                cursor.execute("SELECT 1")
            finally:
                connection.rollback()
                cursor.execute(undo)
    except pymysql.err.MySQLError as error:
        raise Behind(error_words(error)) from error
    return True


def _ways_to_wait(connection: Any) -> tuple[str, ...]:
    with connection.cursor() as cursor:
        said = told(cursor, "VARIABLES", ("wsrep_on", "group_replication_group_name"))
    if said.get("wsrep_on") == "ON":
        return _GALERA
    return _GROUP if said.get("group_replication_group_name") else ()
