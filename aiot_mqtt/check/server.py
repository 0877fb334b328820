"""The database server: whether it takes writes, what a commit is worth, its clock, its connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ..settings.settings import Settings
from ..telemetry.bilingual import Bilingual
from .database import Database, is_on, try_probe
from .findings import Findings
from .texts import database as texts

CLOCK_DIFFERENCE = 5.0  # s


def probe_server(
    database: Database,
    settings: Settings,
    findings: Findings,
    *,
    is_served: bool,
    wall_clock: Callable[[], float] = time.time,
) -> None:
    """Look at it. :param is_served: the service runs, and has its connections."""
    try_probe(
        database, "database.writable", findings,
        lambda: _probe_writable(database, settings, findings, is_served=is_served),
    )  # fmt: skip
    try_probe(database, "database.clock", findings, lambda: _probe_clock(database, findings, wall_clock))
    try_probe(database, "database.commit", findings, lambda: _probe_commit(database, findings))


def _probe_writable(database: Database, settings: Settings, findings: Findings, *, is_served: bool) -> None:
    if (name := database.read_only_by()) is not None:
        findings.error("database.writable", texts.READ_ONLY, variable=name)
        return
    most = int(database.variable("max_connections") or 0)
    used = int(dict(database.rows("SHOW GLOBAL STATUS LIKE 'Threads_connected'")).get("Threads_connected", 0))
    free = max(0, most - used + 1)  # ours ends
    is_short = not is_served and free < settings.db_pool_size
    tell = findings.warning if is_short else findings.ok
    text = texts.FEW_CONNECTIONS if is_short else texts.WRITABLE
    tell("database.writable", text, free=free, most=most, wanted=settings.db_pool_size)


def _probe_clock(database: Database, findings: Findings, wall_clock: Callable[[], float]) -> None:
    before = wall_clock()
    ((theirs,),) = database.rows("SELECT UTC_TIMESTAMP(6)")
    ours = (before + wall_clock()) / 2
    difference = abs(theirs.replace(tzinfo=timezone.utc).timestamp() - ours)
    is_off = difference > CLOCK_DIFFERENCE
    tell = findings.warning if is_off else findings.ok
    tell("database.clock", texts.CLOCK_DIFFERS if is_off else texts.CLOCK, seconds=difference)


def _probe_commit(database: Database, findings: Findings) -> None:
    flush, sync = database.variable("innodb_flush_log_at_trx_commit"), database.variable("sync_binlog")
    has_binlog, nodes = is_on(database.variable("log_bin")), _nodes(database)
    is_galera = nodes > 1  # a cluster of one has its commits nowhere else
    if flush is None:
        words = Bilingual("innodb_flush_log_at_trx_commit is not told", "读不到 innodb_flush_log_at_trx_commit")
        findings.unknown("database.commit", texts.COMMIT_UNKNOWN, words=words)
        return
    said = [f"innodb_flush_log_at_trx_commit={flush}"]
    said += [f"sync_binlog={sync}"] if has_binlog else []
    said += [f"wsrep_cluster_size={nodes}"] if nodes else []
    values: dict[str, Any] = {"settings": ", ".join(said)}
    if int(flush) != 1 and is_galera:
        findings.ok("database.commit", texts.COMMIT_GALERA, **values)
    elif int(flush) != 1:
        loss, _ = (texts.SERVER_CRASH if int(flush) == 0 else texts.POWER_CUT).filled({})
        more = ", sync_binlog=1" if has_binlog and int(sync or 0) != 1 else ""
        findings.warning("database.commit", texts.COMMIT_WEAK, loss=loss, more=more, **values)
    elif has_binlog and int(sync or 0) != 1 and not is_galera:
        findings.warning("database.commit", texts.COMMIT_BINLOG, **values)
    else:
        findings.ok("database.commit", texts.COMMIT, **values)


def _nodes(database: Database) -> int:
    """Nodes of the Galera cluster that the server belongs to; 0: to none."""
    if not is_on(database.variable("wsrep_on")):
        return 0
    return int(dict(database.rows("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'")).get("wsrep_cluster_size", 1))


def naive_now(settings: Settings, wall_clock: Callable[[], float] = time.time) -> datetime:
    """Now, as it would stand in the table."""
    return datetime.fromtimestamp(wall_clock(), settings.db_timezone).replace(tzinfo=None)
