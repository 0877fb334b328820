"""Updates as SQL: one UPDATE for many devices, portable to MySQL 5.7 to 9 and MariaDB 10.5 to 11.

Pure. Two forms, because neither serves for all: a table of literals costs more than a few rows do before the first of
them, and a CASE grows with the square of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pymysql.converters import escape_string

from ..devices.update import DeviceUpdate
from .contract import StoreRefused

# Longer ones are no faster, and take their length in memory a few times over. One row may be longer.
MOST_STATEMENT = 4 * 1024 * 1024  # bytes
FEW = 100  # devices, up to which a CASE is the cheaper form
NULL = "NULL"
UNION_ALL = " UNION ALL "
PLACEHOLDERS = "%s,%s,%s,%s,%s,%s"

Literals = tuple[str, str, str, str, str, str]
"""A row as SQL: uuid, document, status, last_seen, last_heartbeat and is_online. NULL leaves the column alone."""


@dataclass(frozen=True, slots=True)
class TableShape:
    """What has to be known of the table to write its UPDATE."""

    uuid_charset: str
    uuid_collation: str
    has_json_type: bool
    """Whether ``last_report_data`` is of MySQL's JSON type; MariaDB's is a text."""
    status_length: int
    uuid_index: str | None = None
    """The name of an index that begins with ``uuid``."""
    values: str | None = None
    """What stands before each row of a ``VALUES``; None: the server has no such thing."""


def update_statements(
    table: str, shape: TableShape, updates: Sequence[DeviceUpdate], most_bytes: int
) -> Iterator[tuple[list[DeviceUpdate], str]]:
    """Parts of the updates, each with its UPDATE.

    FORCE INDEX, because with statistics from before a bulk load both servers may otherwise read the whole table for
    each of the rows: a second for a thousand devices, and minutes for more.

    :param most_bytes: that a statement's values may have, ``PACKET_RESERVE`` less than the server's packet.
    :raises StoreRefused: one update alone does not fit into ``most_bytes``, or cannot be made into SQL.
    """
    index = "" if shape.uuid_index is None else f" FORCE INDEX (`{shape.uuid_index.replace('`', '``')}`)"
    target = f"`{table}` d{index}"
    form = f"SELECT {PLACEHOLDERS}" if shape.values is None else f"{shape.values}({PLACEHOLDERS})"
    for part, rows, rows_as_sql in _split(updates, form, most_bytes):
        statement = ""
        if len(part) <= FEW:
            statement = _update_of_few(target, shape, rows)
        if not statement or len(statement.encode()) > most_bytes:
            statement = _update_of_many(target, shape, rows_as_sql)
        yield part, statement


def _split(
    updates: Sequence[DeviceUpdate], form: str, most_bytes: int
) -> Iterator[tuple[list[DeviceUpdate], list[Literals], list[str]]]:
    """Parts whose statements are of a good length, each with its rows, as literals and as SQL.

    :param form: of a row as SQL, with placeholders for its literals.
    :raises StoreRefused: one update alone does not fit into ``most_bytes``, or cannot be made into SQL.
    """
    part: list[DeviceUpdate] = []
    rows: list[Literals] = []
    rows_as_sql: list[str] = []
    size = 0
    for update in updates:
        try:
            row = _literals(update)
        except ValueError as error:  # nothing that an update could hold should come to this
            raise StoreRefused(repr(error)) from error
        row_as_sql = form % row
        row_bytes = len(row_as_sql.encode()) + len(UNION_ALL)
        if row_bytes > most_bytes:
            if len(updates) > 1:
                raise StoreRefused("one update alone is over max_allowed_packet")
            raise StoreRefused(f"{row_bytes} bytes are over max_allowed_packet")
        if part and size + row_bytes > min(most_bytes, MOST_STATEMENT):
            yield part, rows, rows_as_sql
            part, rows, rows_as_sql, size = [], [], [], 0
        part.append(update)
        rows.append(row)
        rows_as_sql.append(row_as_sql)
        size += row_bytes
    if part:
        yield part, rows, rows_as_sql


def _literals(update: DeviceUpdate) -> Literals:
    """One update as SQL. Names of devices and times hold nothing to escape, by their making."""
    document = status = heartbeat = NULL
    if update.document is not None:
        # As escape_string, which also escapes what a literal may hold as it is: 0.6 against 15 µs for 1 KiB.
        escaped = update.document.decode().replace("\\", "\\\\").replace("'", "\\'")
        document = f"'{escaped}'"
    if update.status is not None:
        status = f"'{escape_string(update.status)}'"
    if update.last_heartbeat is not None:
        heartbeat = f"'{update.last_heartbeat}'"
    return f"'{update.uuid}'", document, status, f"'{update.last_seen}'", heartbeat, "1" if update.is_online else "0"


def _update_of_few(table: str, shape: TableShape, rows: Sequence[Literals]) -> str:
    """With a CASE for each column, whose cost grows with the square of the number of devices.

    One row with its COMMIT takes 0.35 to 0.6 of the time that it takes in the other form, which makes a temporary table
    (MariaDB 10.11; 0.85 on MySQL 9.7); with a hundred rows 0.8 (1.0).
    """
    uuids, documents, statuses, times, heartbeats, online = zip(*rows, strict=True)
    # Of each column its values, and what it holds now. A text is converted, because a CASE of which one part is in the
    # column's charset and another cannot be fails as a whole (1267), and nobody could tell whose fault that is.
    columns = {
        "last_report_data": (
            [_cast(document, shape) for document in documents],
            "d.last_report_data" if shape.has_json_type else "CONVERT(d.last_report_data USING utf8mb4)",
        ),
        "device_status": (statuses, "CONVERT(d.device_status USING utf8mb4)"),
        "last_seen": (times, "d.last_seen"),
        "last_heartbeat": (
            [NULL if time == NULL else f"CAST({time} AS DATETIME)" for time in heartbeats],
            "d.last_heartbeat",
        ),
        "is_online": (online, "d.is_online"),
    }
    assignments = []
    for column, (values, present) in columns.items():
        if len(set(values)) > 1:
            pairs = zip(uuids, values, strict=True)
            cases = "".join([f" WHEN {uuid} THEN {value}" for uuid, value in pairs if value != NULL])
            assignments.append(f"d.{column} = CASE d.uuid{cases} ELSE {present} END")
        elif values[0] != NULL:
            assignments.append(f"d.{column} = {values[0]}")
    return f"UPDATE {table} SET {', '.join(assignments)} WHERE d.uuid IN ({', '.join(uuids)})"  # noqa: S608


def _update_of_many(table: str, shape: TableShape, rows: Sequence[str]) -> str:
    """With a join to a table of literals, whose cost grows with their number.

    VALUES, where there is such a thing: each SELECT is a query of its own to the server, which takes it 8 to 14 % of
    the whole statement's time (MariaDB 10.11, MySQL 9.7). The first SELECT is there for the names.

    STRAIGHT_JOIN, because after a bulk load MariaDB may otherwise read the whole table first. The uuid is converted
    to what the column is, because MySQL refuses to compare two implicit collations (1267); on this side, so that the
    column's index still serves.
    """
    names = "SELECT '' uuid, '' document, '' status, '' seen, '' heartbeat, 0 online FROM DUAL WHERE FALSE"
    literals = UNION_ALL.join(rows) if shape.values is None else f"VALUES {','.join(rows)}"
    return (
        f"UPDATE ({names}{UNION_ALL}{literals}) v"  # noqa: S608
        f" STRAIGHT_JOIN {table} ON d.uuid = CONVERT(v.uuid USING {shape.uuid_charset}) COLLATE {shape.uuid_collation}"
        f" SET d.last_report_data = COALESCE({_cast('v.document', shape)}, d.last_report_data),"
        " d.device_status = COALESCE(v.status, d.device_status),"
        " d.last_seen = v.seen,"
        " d.last_heartbeat = COALESCE(CAST(v.heartbeat AS DATETIME), d.last_heartbeat),"
        " d.is_online = v.online"
    )


def _cast(document: str, shape: TableShape) -> str:
    """A document as SQL of the column's type.

    A text beside the JSON would have COALESCE and CASE rewrite the documents of rows that only had a heartbeat.
    """
    return f"CAST({document} AS JSON)" if shape.has_json_type and document != NULL else document
