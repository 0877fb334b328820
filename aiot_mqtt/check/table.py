"""The owner's table: whether the service can serve it, and how well."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pymysql

from ..settings.settings import Settings
from ..table.contract import StoreError, StoreMisconfigured
from ..table.errors import error_number, error_words
from ..table.matching import same_characters
from ..table.shape import character_as_sql, read_shape
from ..table.statements import TableShape
from ..telemetry.durations import duration
from .database import Database, try_probe
from .findings import Findings
from .rights import DENIED, find_lacks, probe_rights
from .server import naive_now
from .texts import database as texts
from .words import both

MANY_ROWS = 50_000  # from which a look at all of them is worth an index
NEWEST = 20  # rows whose last_seen is looked at
MISSING = DENIED | {1146}
MB = 1024 * 1024
POOL_SHARE = 0.6  # of the buffer pool, from which a table is large for it
FRESH = 600.0  # s; what was written so lately shows the right zone
FUTURE = 120.0  # s
NEAR = 90.0  # s to a whole hour
MOST_HOURS = 14.5  # between two zones
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{2,19}")


@dataclass(frozen=True, slots=True)
class Table:
    """What was seen of it."""

    shape: TableShape
    rows: int
    """About."""
    average_row: int
    """Bytes; 0: not known."""
    newest: tuple[datetime, ...]
    """The latest ``last_seen``, the last one first."""


def probe_table(database: Database, settings: Settings, findings: Findings) -> Table | None:
    """Look at it; None: it cannot be served."""
    is_writable = not findings.failed("database.writable")
    lacks = find_lacks(database, settings, is_writable=is_writable)
    names = {"table": settings.db_table, "database": settings.db_name, "user": database.account}
    if lacks.table is not None:
        is_missing = error_number(lacks.table) in MISSING
        text = texts.NO_TABLE if is_missing else texts.TABLE_UNUSABLE
        code, words = error_number(lacks.table), error_words(lacks.table)
        findings.error("database.table", text, code=code, words=words, **names)
        return None
    if lacks.columns:
        findings.error("database.table", texts.NO_COLUMN, columns=", ".join(lacks.columns), **names)
        return None
    if is_writable:
        probe_rights(database, settings, lacks, findings)
    database.read_only()
    if any(each.startswith("SELECT") for each in lacks.rights):
        findings.ok("database.table", texts.TABLE, rows="?", **names)
        return None
    try:
        with database.cursor() as cursor:
            shape = read_shape(cursor, settings.db_name, settings.db_table, settings.db_user, tries_updates=False)
    except StoreMisconfigured as misfit:
        findings.error("database.table", texts.UNFIT, words=both(str(misfit)), **names)
        return None
    rows, data, index, average = _size(database, settings)
    findings.ok("database.table", texts.TABLE, rows=rows, **names)
    for probe, look in (
        ("database.uuid_index", partial(_probe_uuid_index, database, shape, settings, findings)),
        ("database.status_values", partial(_probe_status_values, database, shape, settings, findings)),
        ("database.buffer_pool", partial(_probe_pool, database, data + index, findings)),
    ):
        try_probe(database, probe, findings, look)
    newest = _newest(database, rows, settings, findings)
    return Table(shape, rows, average, newest)


def _size(database: Database, settings: Settings) -> tuple[int, int, int, int]:
    """Rows, bytes of data, bytes of indexes, bytes of a row; about."""
    found = database.rows(
        "SELECT table_rows, data_length, index_length FROM information_schema.tables"
        " WHERE table_schema = %s AND table_name = %s",
        (settings.db_name, settings.db_table),
    )
    rows, data, index = (int(value or 0) for value in found[0]) if found else (0, 0, 0)
    return rows, data, index, data // rows if rows > 100 else 0


def _probe_uuid_index(database: Database, shape: TableShape, settings: Settings, findings: Findings) -> None:
    if _is_view(database, settings):
        findings.unknown("database.uuid_index", texts.UUID_VIEW, table=settings.db_table)
        return
    if "FORCE INDEX" not in shape.target:
        findings.error("database.uuid_index", texts.UUID_NO_INDEX, table=settings.db_table)
        return
    if not shape.is_unique:
        findings.warning("database.uuid_index", texts.UUID_NOT_UNIQUE, table=settings.db_table)
        return
    with database.cursor() as cursor:
        same = same_characters(cursor, character_as_sql(shape))
    collation = shape.uuid_in_join.rpartition("COLLATE ")[2] if "COLLATE" in shape.uuid_in_join else "binary"
    others = sorted(f"{one}={other}" for one, other in same.items() if one.lower() != other.lower())
    if others:
        shown = ", ".join(others[:5])
        findings.warning("database.uuid_index", texts.UUID_SAME, collation=collation, same=shown)
    else:
        findings.ok("database.uuid_index", texts.UUID_INDEX, collation=collation)


def _is_view(database: Database, settings: Settings) -> bool:
    found = database.rows(
        "SELECT table_type FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
        (settings.db_name, settings.db_table),
    )
    return any("VIEW" in str(kind).upper() for (kind,) in found)


def _probe_status_values(database: Database, shape: TableShape, settings: Settings, findings: Findings) -> None:
    if settings.device_status_values or shape.status_words is not None:
        findings.ok("database.status_values", texts.STATUS_VALUES)
        return
    found = database.rows(
        "SELECT column_comment FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
        " AND LOWER(column_name) = 'device_status'",
        (settings.db_name, settings.db_table),
    )
    words = list(dict.fromkeys(_WORD.findall(str(found[0][0])))) if found else []
    if len(words) > 1:
        said = {"words": ", ".join(words), "setting": ",".join(words)}
        findings.warning("database.status_values", texts.STATUS_COMMENT, **said)
    else:
        findings.ok("database.status_values", texts.STATUS_ANY)


def _probe_pool(database: Database, size: int, findings: Findings) -> None:
    pool = int(database.variable("innodb_buffer_pool_size") or 0)
    if not (pool and size):
        findings.unknown("database.buffer_pool", texts.POOL_UNKNOWN)
        return
    values = {"pool_mb": pool // MB, "table_mb": max(1, size // MB), "wanted_mb": 2 * size // MB + 64}
    is_small = size > POOL_SHARE * pool
    tell = findings.warning if is_small else findings.ok
    tell("database.buffer_pool", texts.POOL_SMALL if is_small else texts.POOL, **values)


def _newest(database: Database, rows: int, settings: Settings, findings: Findings) -> tuple[datetime, ...]:
    """The latest ``last_seen``; and whether finding them, as the sweep has to, is cheap."""
    began = time.monotonic()
    try:
        found = database.rows(
            f"SELECT d.last_seen FROM `{settings.db_table}` d WHERE d.last_seen IS NOT NULL"  # noqa: S608
            f" ORDER BY d.last_seen DESC LIMIT {NEWEST}"
        )
    except (pymysql.err.Error, StoreError) as error:
        if database.is_lost:
            raise
        findings.unknown("database.timezone", texts.TIMEZONE_SLOW, words=error_words(error))
        found = []
    took = time.monotonic() - began
    indexed = database.rows(
        "SELECT 1 FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s"
        " AND LOWER(column_name) = 'last_seen'",
        (settings.db_name, settings.db_table),
    )
    if not settings.heartbeat_timeout:
        findings.ok("database.last_seen_index", texts.NOT_SWEPT)
    elif rows > MANY_ROWS and not indexed:
        findings.warning(
            "database.last_seen_index", texts.NO_LAST_SEEN_INDEX,
            rows=rows, interval=settings.heartbeat_check_interval, milliseconds=1000 * took,
        )  # fmt: skip
    else:
        findings.ok("database.last_seen_index", texts.LAST_SEEN_INDEX, rows=rows)
    return tuple(time_ for (value,) in found if (time_ := _as_time(value)) is not None)


def _as_time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value.decode() if isinstance(value, bytes) else str(value)).replace(tzinfo=None)
    except ValueError:
        return None


def probe_timezone(
    newest: tuple[datetime, ...],
    settings: Settings,
    findings: Findings,
    *,
    is_fleet_active: bool,
    wall_clock: Callable[[], float] = time.time,
) -> None:
    """Whether the times in the table are of ``DB_TIMEZONE``, as far as that shows.

    :param newest: see ``Table``.
    :param is_fleet_active: messages were heard just now. Else an old ``last_seen`` may well be true.
    """
    if findings.has("database.timezone"):
        return
    zone = str(settings.db_timezone)
    if not newest:
        findings.unknown("database.timezone", texts.TIMEZONE_EMPTY, zone=zone)
        return
    now = naive_now(settings, wall_clock)
    ahead = [(time_ - now).total_seconds() for time_ in newest]
    first = ahead[0]
    hours = round(abs(first) / 1800) / 2
    is_whole = 0 < hours <= MOST_HOURS and abs(abs(first) - 3600 * hours) <= NEAR
    is_of_all = 2 * sum(each > FUTURE for each in ahead) >= len(ahead)
    direction, _ = (texts.AHEAD if first > 0 else texts.BEHIND).filled({})
    values = {"zone": zone, "hours": f"{hours:g}", "direction": direction, "seconds": round(first)}
    if first > FUTURE:
        if is_whole and is_of_all:
            findings.error("database.timezone", texts.TIMEZONE_WRONG, **values)
        else:
            findings.warning("database.timezone", texts.TIMEZONE_FUTURE, age=duration(first), **values)
    elif -first <= FRESH:
        findings.ok("database.timezone", texts.TIMEZONE, **values)
    elif is_whole:
        tell = findings.error if is_fleet_active else findings.warning
        tell("database.timezone", texts.TIMEZONE_WRONG, **values)
    else:
        findings.unknown("database.timezone", texts.TIMEZONE_OLD, age=duration(-first), **values)
