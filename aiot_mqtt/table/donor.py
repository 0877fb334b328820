"""Whether a node of a Galera cluster is silent because it sends all of its data to another one, and is locked for that.

That may take minutes, and the others take writes all the while. A node that is silent for another reason is waited for
longer: it may wait for one that the cluster is about to go on without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import pymysql

from ..telemetry.reasons import database as reasons
from .connection import DatabaseConnection
from .contract import StoreError
from .session import told

ASKING = 1.0  # s that the question may take; who does not answer is no donor
DONOR = "2"  # of wsrep_local_state


def refuse_donor(arguments: Mapping[str, Any]) -> None:
    """Ask the node, on a connection of its own.

    :param arguments: of the connection that hears nothing.
    :raises TimeoutError: it is a donor, and not worth waiting for.
    """
    timeouts = dict.fromkeys(("connect_timeout", "login_timeout", "read_timeout", "write_timeout"), ASKING)
    connection = DatabaseConnection(**{**arguments, **timeouts})
    try:
        with connection.opening(ASKING):
            connection.connect()
            with connection.cursor() as cursor:
                said = told(cursor, "STATUS", ("wsrep_local_state",))
    except (StoreError, pymysql.err.Error, OSError):
        return
    finally:
        with contextlib.suppress(pymysql.err.Error):
            connection.close()
    if said.get("wsrep_local_state") == DONOR:
        raise TimeoutError(reasons.IS_DONOR)
