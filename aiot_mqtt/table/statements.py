"""Updates as SQL: one UPDATE for many devices, portable to MySQL 5.7 to 9 and MariaDB 10.5 to 11.

Pure. Two forms, because neither serves for all: a table of literals costs more than a few rows do before the first of
them, and a CASE grows with the square of the rows.

No text depends on the server's sql_mode: ``'`` is doubled, and what holds a backslash is written in hex.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..devices.report import is_place
from ..devices.update import ALWAYS_ASSIGNED, COLUMNS, DeviceUpdate
from ..telemetry.reasons import database as reasons
from .contract import StoreRefused

# Longer ones are no faster, and take their length in memory a few times over. One row may be longer.
MAX_STATEMENT = 4 * 1024 * 1024  # bytes
FEW = 100  # devices, up to which a CASE is the cheaper form
NULL = "NULL"
UNION_ALL = " UNION ALL "
ALL_ROWS = " LIMIT 9223372036854775807"  # one more bit set would be no LIMIT to the servers

_DOCUMENT, _STATUS, _SEEN, _HEARTBEAT, _ONLINE = (f"d.{column} = " for column in COLUMNS.values())

Literals = tuple[str, str, str, str, str, str]
"""A row as SQL: its uuid, and the values of ``COLUMNS``. NULL leaves a column alone."""


@dataclass(frozen=True, slots=True)
class TableShape:
    """What has to be known of the table to write its statements."""

    target: str
    """The table as a statement names it, ``d`` for short, with the index to find its rows by."""
    uuid_in_join: str
    """With ``{}`` for an SQL text: that text as what compares with the column ``uuid``, and can use its index."""
    uuid_in_list: str = "{}"
    """The same for a literal in a list."""
    is_unique: bool = True
    """Whether no two rows can be one device's."""
    has_uuid_type: bool = False
    """Whether ``uuid`` is of MariaDB's type of that name."""
    has_json_type: bool = False
    """Whether ``last_report_data`` is of MySQL's JSON type; MariaDB's is a text."""
    present_document: str = "d.last_report_data"
    """What ``last_report_data`` holds, as SQL that can stand beside a text."""
    present_status: str = "d.device_status"
    """The same for ``device_status``."""
    status_length: int = 0
    """Characters, or bytes, that fit ``device_status``."""
    status_words: frozenset[str] | None = None
    """What ``device_status`` may hold where it is an ENUM or a SET; None: any text."""
    values: str | None = None
    """What stands before each row of a ``VALUES``; None: the server has no such thing."""
    joins: bool = True
    """Whether the server takes an UPDATE with a join."""
    most: str = ""
    """What ends an UPDATE without one: a LIMIT of all rows, where safe updates ask for any."""
    can_roll_back: bool = True
    """Whether what is tried on a row can be taken back. Of a view nobody tells; then it is taken for granted."""
    definition: tuple[object, ...] = ()
    """What the server says of columns and indexes; another one: all of this may have changed."""


def quote(text: str) -> str:
    """A text as an SQL literal that means the same with and without NO_BACKSLASH_ESCAPES and ANSI_QUOTES."""
    if "\\" in text or "\0" in text:
        # With a collation, because without one it has another than the literals it may stand beside.
        return f"_utf8mb4 X'{text.encode().hex()}' COLLATE utf8mb4_bin"
    return "'" + text.replace("'", "''") + "'"


def update_statements(
    shape: TableShape, updates: Sequence[DeviceUpdate], max_bytes: int
) -> Iterator[tuple[Sequence[DeviceUpdate], bytes]]:
    """Parts of the updates, each with its UPDATE in UTF-8.

    :param max_bytes: that a statement's values may have, ``PACKET_RESERVE`` less than the server's packet.
    :raises StoreRefused: one update alone does not fit into ``max_bytes``, or cannot be made into SQL.
    """
    if len(updates) == 1 <= FEW:
        yield updates, statement_of_one(shape, updates[0], max_bytes)
        return
    for part, rows, rows_as_sql in _split(shape, updates, max_bytes):
        if len(part) <= FEW or not shape.joins:
            statement = update_by_cases(shape, rows).encode()
            if len(statement) <= max_bytes or not shape.joins:
                yield part, statement
                continue
        yield part, update_by_join(shape, rows_as_sql).encode()


def statement_of_one(shape: TableShape, update: DeviceUpdate, max_bytes: int) -> bytes:
    """The UPDATE of one device, as ``update_statements`` gives it.

    Its document stands for itself, where the other forms need an expression: 0.35 to 0.6 of the join's time with its
    COMMIT (MariaDB 10.11; 0.85 on MySQL 9.7).
    """
    # Written out, because on a quiet system this is made for each message.
    uuid, document, status, last_seen, last_heartbeat, is_online = _literals(update, shape.status_words)
    assignments = f"{_SEEN}{last_seen}, {_ONLINE}{is_online}"
    if document != NULL:
        assignments += f", {_DOCUMENT}{document}"
    if status != NULL:
        assignments += f", {_STATUS}{status}"
    if last_heartbeat != NULL:
        assignments += f", {_HEARTBEAT}{last_heartbeat}"
    uuid = shape.uuid_in_list.format(uuid)
    statement = f"UPDATE {shape.target} SET {assignments} WHERE d.uuid = {uuid}{shape.most}".encode()  # noqa: S608
    if len(statement) > max_bytes:
        raise StoreRefused(reasons.OVER_MAX_PACKET.fill(size=len(statement)))
    return statement


def _split(
    shape: TableShape, updates: Sequence[DeviceUpdate], max_bytes: int
) -> Iterator[tuple[Sequence[DeviceUpdate], list[Literals], list[str]]]:
    """Parts whose statements are of a good length, each with its rows, as literals and as SQL.

    :raises StoreRefused: one update alone does not fit into ``max_bytes``, or cannot be made into SQL.
    """
    form = _row_form(shape)
    max_rows = len(updates) if shape.joins else FEW
    # A CASE names each uuid up to five times.
    max_size = min(max_bytes if shape.joins else max_bytes // 2, MAX_STATEMENT)
    part: list[DeviceUpdate] = []
    rows: list[Literals] = []
    rows_as_sql: list[str] = []
    size = 0
    for update in updates:
        row = _literals(update, shape.status_words)
        as_sql = form % row
        row_bytes = len(as_sql.encode()) + len(UNION_ALL)
        if row_bytes > max_bytes:
            raise StoreRefused(reasons.ONE_OVER_MAX_PACKET)
        if part and (size + row_bytes > max_size or len(part) == max_rows):
            yield part, rows, rows_as_sql
            part, rows, rows_as_sql, size = [], [], [], 0
        part.append(update)
        rows.append(row)
        rows_as_sql.append(as_sql)
        size += row_bytes
    if part:
        yield part, rows, rows_as_sql


def _literals(update: DeviceUpdate, status_words: frozenset[str] | None) -> Literals:
    """One update as SQL.

    :raises StoreRefused: something in it is not what it should be.
    """
    document = status = heartbeat = NULL
    if update.document is not None:
        try:
            document = update.document.decode()
        except UnicodeDecodeError as error:
            raise StoreRefused(reasons.DOCUMENT_NOT_UTF8.fill(error=error)) from error
        # As quote, without a call: there are many of these.
        document = quote(document) if "\\" in document else "'" + document.replace("'", "''") + "'"
    if update.status is not None:
        if status_words is not None and is_place(update.status, status_words):
            raise StoreRefused(reasons.STATUS_AS_PLACE)
        status = quote(update.status)
    if update.last_heartbeat is not None:
        heartbeat = f"'{update.last_heartbeat}'"
    # Names of devices and times hold nothing to escape, by their making, wherever that was.
    names = f"{update.uuid}{update.last_seen}{update.last_heartbeat}"
    if "'" in names or "\\" in names:
        raise StoreRefused(reasons.UNSAFE_NAME)
    return f"'{update.uuid}'", document, status, f"'{update.last_seen}'", heartbeat, "1" if update.is_online else "0"


def row_as_sql(shape: TableShape, row: Literals) -> str:
    """A row of the table of literals."""
    return _row_form(shape) % row


def _row_form(shape: TableShape) -> str:
    placeholders = ",".join(["%s"] * (1 + len(COLUMNS)))
    return f"SELECT {placeholders}" if shape.values is None else f"{shape.values}({placeholders})"


def update_by_cases(shape: TableShape, rows: Sequence[Literals]) -> str:
    """With a CASE for each column, whose cost grows with the square of the number of devices.

    It makes no temporary table. A hundred rows with their COMMIT take 0.8 of the time that they take in the other form
    (MariaDB 10.11; 1.0 on MySQL 9.7).
    """
    names, *columns = zip(*rows, strict=True)
    uuids = names if shape.uuid_in_list == "{}" else [shape.uuid_in_list.format(name) for name in names]
    # A text that a column holds now is converted, because a CASE of which one part is in the column's charset and
    # another cannot be fails as a whole (1267), and nobody could tell whose fault that is.
    texts = {"document": shape.present_document, "status": shape.present_status}
    assignments = []
    for (name, column), values in zip(COLUMNS.items(), columns, strict=True):
        before, behind = _cast(name, shape)
        if len(set(values)) > 1:
            pairs = zip(uuids, values, strict=True)
            cases = "".join([f" WHEN {uuid} THEN {before}{value}{behind}" for uuid, value in pairs if value != NULL])
            assignments.append(f"d.{column} = CASE d.uuid{cases} ELSE {texts.get(name, f'd.{column}')} END")
        elif values[0] != NULL:
            assignments.append(f"d.{column} = {before}{values[0]}{behind}")
    where = f"d.uuid IN ({', '.join(uuids)}){shape.most}"
    return f"UPDATE {shape.target} SET {', '.join(assignments)} WHERE {where}"  # noqa: S608


def update_by_join(shape: TableShape, rows: Sequence[str]) -> str:
    """With a join to a table of literals, whose cost grows with their number."""
    types = dict.fromkeys(("uuid", *COLUMNS), "''") | {"is_online": "0"}  # of the table of literals, by an example
    names = ", ".join(f"{example} {name}" for name, example in types.items())
    assignments = []
    for name, column in COLUMNS.items():
        before, behind = _cast(name, shape)
        value = f"{before}v.{name}{behind}"
        if name not in ALWAYS_ASSIGNED:
            value = f"COALESCE({value}, d.{column})"
        assignments.append(f"d.{column} = {value}")
    literals = joined(shape, f"SELECT {names} FROM DUAL WHERE FALSE", rows)  # noqa: S608
    return f"UPDATE {literals} SET {', '.join(assignments)}"  # noqa: S608


def joined(shape: TableShape, names: str, rows: Sequence[str]) -> str:
    """A table of literals ``v`` with a column ``uuid``, joined with the rows of ``d`` that are theirs.

    VALUES, where there is such a thing: each SELECT is a query of its own to the server, which takes it 8 to 14 % of
    the whole UPDATE's time (MariaDB 10.11, MySQL 9.7).

    STRAIGHT_JOIN, because after a bulk load MariaDB may otherwise read the whole table first; the target has a FORCE
    INDEX, because with statistics from before it both servers may otherwise read the whole table for each of the rows:
    a second for a thousand devices, and minutes for more. The uuid is converted to what the column is, because MySQL
    refuses to compare two implicit collations (1267); on this side, so that the column's index still serves.

    :param names: a SELECT of no row that names the columns.
    :param rows: after ``shape.values``.
    """
    literals = UNION_ALL.join(rows) if shape.values is None else f"VALUES {','.join(rows)}"
    uuid = shape.uuid_in_join.format("v.uuid")
    return f"({names}{UNION_ALL}{literals}) v STRAIGHT_JOIN {shape.target} ON d.uuid = {uuid}"


def joined_uuids(shape: TableShape, uuids: Sequence[str], first: int) -> str:
    """``joined`` with the rows of these, each with its place as ``n``. :param first: the place of the first."""
    form = "SELECT {},{}" if shape.values is None else f"{shape.values}({{}},{{}})"
    rows = [form.format(number, quote(uuid)) for number, uuid in enumerate(uuids, first)]
    return joined(shape, "SELECT 0 n, '' uuid FROM DUAL WHERE FALSE", rows)


def _cast(name: str, shape: TableShape) -> tuple[str, str]:
    """What stands before and behind a value of an update, to make it one of its column's type.

    A text beside the JSON would have COALESCE and CASE rewrite the documents of rows that only had a heartbeat.
    """
    if name == "last_heartbeat":
        return "CAST(", " AS DATETIME)"
    return ("CAST(", " AS JSON)") if name == "document" and shape.has_json_type else ("", "")
