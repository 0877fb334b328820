"""Every fault, in the order of a campaign."""

from __future__ import annotations

from . import database_faults as database
from . import service_faults as service
from .rounds import Fault

FAULTS = (
    Fault("kill", "the service killed at a random moment", service.kill, rounds=50),
    Fault(
        "kill-steps",
        "the service killed before and after receipt, merge, commit and acknowledgement",
        service.kill_steps,
        rounds=5,
    ),
    Fault("db-killed", "the database killed and started again", database.killed),
    Fault("db-stopped", "the database stopped for 60 s", database.stopped, rounds=1),
    Fault("db-frozen", "the database frozen for 60 s", database.frozen, rounds=1),
    Fault("db-read-only", "the database read-only for 10 s", database.read_only),
    Fault("db-connections-killed", "every connection of the pool killed at once", database.connections_killed),
    Fault("db-max-connections", "no connection left when the pool must reconnect", database.max_connections),
    Fault("db-rights", "the user's rights revoked for 10 s", database.rights),
    Fault("db-renamed", "the table renamed away for 10 s, and a column added", database.renamed),
)
