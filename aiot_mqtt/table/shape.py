"""The look at the table: what its columns can hold, and which form of a statement the server takes for it.

What a type shows is read; what a server can do is tried, because a proxy tells a version of its own, and an index that
is listed may be one that no statement can use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..devices.report import MAX_DEVICE_LENGTH
from ..devices.update import COLUMNS
from ..telemetry.bilingual import Bilingual, listed
from ..telemetry.reasons import database as reasons
from .contract import StoreMisconfigured
from .session import is_taken
from .statements import ALL_ROWS, NULL, UNION_ALL, TableShape, quote, row_as_sql, update_by_cases, update_by_join

_COLUMNS = ("uuid", *COLUMNS.values())
_NOBODY = "/nobody/"  # not a topic level
_TIME_LENGTH = len("2026-11-23 10:00:00")

_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_WORDS = frozenset({"enum", "set"})
_TIMES = frozenset({"datetime", "timestamp"})
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "bit"})
_NUMBERS = _INTEGERS | {"decimal", "float", "double"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_WORD = re.compile(r"'((?:[^']|'')*)'")


class _Column(NamedTuple):
    """A column as information_schema describes it."""

    kind: str
    """The name of its type, in lower case."""
    declared: str
    """The whole type, with its length or its words."""
    charset: str | None
    collation: str | None
    length: int | None
    """Characters, or bytes."""
    expression: str
    """What the server makes its values of; empty: whoever writes gives them."""


def read_shape(cursor: Any, database: str, table: str, user: str, *, tries_updates: bool = True) -> TableShape:
    """Look at the table.

    :param tries_updates: whether to find out, too, which forms of an UPDATE the server takes.
    :raises StoreMisconfigured: table or columns are missing, may not be seen, or cannot hold what is written to them.
    """
    definition = read_definition(cursor, database, table)
    columns = {name: _Column(*column) for name, *column in definition[0]}
    if not columns:
        raise StoreMisconfigured(reasons.NO_TABLE.fill(table=table, database=database, user=user))
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise StoreMisconfigured(reasons.NO_COLUMN.fill(table=table, columns=", ".join(missing), user=user))
    unfit = [
        reasons.UNFIT_COLUMN.fill(name=name, declared=columns[name].declared, why=why) for name, why in _unfit(columns)
    ]
    if unfit:
        raise StoreMisconfigured(reasons.UNFIT_TABLE.fill(table=table, columns=listed(unfit, "; ", "；")))
    uuid, document, status = columns["uuid"], columns["last_report_data"], columns["device_status"]
    indexes = list(_indexes_of_uuid(definition[1]))
    plain = f"`{table}` d"
    # One that is invisible or ignored is listed, but must not be named (1176).
    targets = [f"{plain} FORCE INDEX (`{name.replace('`', '``')}`)" for name, _ in indexes]
    taken = (target for target in targets if is_taken(cursor, f"SELECT d.uuid FROM {target} LIMIT 0"))  # noqa: S608
    shape = TableShape(
        target=next(taken, plain),
        uuid_in_join=_uuid_in_join(uuid),
        uuid_in_list=_uuid_in_join(uuid) if uuid.kind == "binary" else "{}",
        is_unique=any(is_unique for _, is_unique in indexes),
        has_uuid_type=uuid.kind == "uuid",
        has_json_type=document.kind == "json",
        present_document=_beside_a_text("d.last_report_data", document),
        present_status=_beside_a_text("d.device_status", status),
        status_length=status.length or 0,
        status_words=_words(status.declared) if status.kind in _WORDS else None,
        values=values_form(cursor),
        can_roll_back=_can_roll_back(cursor, database, table),
        definition=definition,
    )
    return _with_forms_that_are_taken(cursor, shape) if tries_updates else shape


def read_definition(cursor: Any, database: str, table: str) -> tuple[tuple[tuple[Any, ...], ...], ...]:
    """What the server says of the table's columns and of its indexes."""
    cursor.execute(
        "SELECT LOWER(column_name), LOWER(data_type), column_type, character_set_name, collation_name,"  # noqa: S608
        " character_maximum_length, COALESCE(generation_expression, '') FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position" + ALL_ROWS,
        (database, table),
    )
    columns = tuple(cursor.fetchall())
    cursor.execute(
        "SELECT index_name, non_unique, index_type, seq_in_index, LOWER(column_name), sub_part"  # noqa: S608
        " FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s"
        " ORDER BY non_unique, index_name, seq_in_index" + ALL_ROWS,
        (database, table),
    )
    return columns, tuple(cursor.fetchall())


def _can_roll_back(cursor: Any, database: str, table: str) -> bool:
    cursor.execute(
        "SELECT e.transactions FROM information_schema.tables t"  # noqa: S608
        " JOIN information_schema.engines e ON e.engine = t.engine WHERE t.table_schema = %s AND t.table_name = %s"
        + ALL_ROWS,
        (database, table),
    )
    return [str(answer).upper() for (answer,) in cursor.fetchall()] != ["NO"]


def character_as_sql(shape: TableShape) -> str:
    """For ``same_characters``: a type for UUIDs compares whole ones only; it takes their 32 digits without hyphens."""
    return shape.uuid_in_join.format("CAST(REPEAT({}, 32) AS UUID)" if shape.has_uuid_type else "{}")


def values_form(cursor: Any) -> str | None:
    """``TableShape.values``: ROW from MySQL 8.0.19 on, nothing from MariaDB 10.3 on; by trial."""
    for before_a_row in ("ROW", ""):
        if is_taken(cursor, f"SELECT 1 FROM (SELECT 1{UNION_ALL}VALUES {before_a_row}(1)) v"):  # noqa: S608
            return before_a_row
    return None


def _with_forms_that_are_taken(cursor: Any, shape: TableShape) -> TableShape:
    """Try an update of nobody in each form.

    Safe updates may let no join pass (MariaDB, 1175), and without an index nothing that names no most. MariaDB's type
    for UUIDs compares with no other text in a join (1292).
    """
    row = (quote(_NOBODY), NULL, NULL, "'2000-01-01 00:00:00'", NULL, "0")
    try:
        for most in ("", ALL_ROWS):
            limited = replace(shape, most=most)
            if is_taken(cursor, update_by_cases(limited, [row])):
                return replace(limited, joins=is_taken(cursor, update_by_join(shape, [row_as_sql(shape, row)])))
        return shape
    finally:
        if cursor.connection.open:
            cursor.connection.rollback()  # should there be one of that name after all


def _unfit(columns: Mapping[str, _Column]) -> Iterator[tuple[str, Bilingual]]:
    """Columns that cannot hold what is written to them, each with why; as far as their types show it."""
    fits: dict[str, tuple[Callable[[_Column], bool], Bilingual]] = {
        "uuid": (_holds_names, reasons.HOLDS_NO_NAMES),
        "last_report_data": (lambda column: column.kind in _TEXTS | _BYTES | {"json"}, reasons.HOLDS_NO_JSON),
        "device_status": (lambda column: column.kind in _TEXTS | _BYTES | _WORDS, reasons.HOLDS_NO_TEXT),
        "last_seen": (_holds_times, reasons.HOLDS_NO_TIME),
        "last_heartbeat": (_holds_times, reasons.HOLDS_NO_TIME),
        # Texts not: which of them would mean online, only the table's owner knows.
        "is_online": (lambda column: column.kind in _NUMBERS, reasons.HOLDS_NO_NUMBER),
    }
    for name, (is_fit, why) in fits.items():
        if columns[name].expression and name != "uuid":
            yield name, reasons.GENERATED
        elif not is_fit(columns[name]):
            yield name, why


def _holds_names(column: _Column) -> bool:
    if column.kind == "binary":  # a shorter one has UUIDs in their 16 bytes
        return (column.length or 0) >= MAX_DEVICE_LENGTH
    return column.kind in _TEXTS | _BYTES | {"uuid"}


def _holds_times(column: _Column) -> bool:
    return column.kind in _TIMES or (column.kind in _TEXTS | _BYTES and (column.length or 0) >= _TIME_LENGTH)


def _uuid_in_join(uuid: _Column) -> str:
    if uuid.kind == "binary":
        return f"CAST({{}} AS BINARY({uuid.length}))"
    if uuid.charset is None:
        return "{}" if uuid.kind == "uuid" else "CONVERT({} USING binary)"
    return f"CONVERT({{}} USING {uuid.charset}) COLLATE {uuid.collation}"


def _beside_a_text(name: str, column: _Column) -> str:
    return name if column.charset is None else f"CONVERT({name} USING utf8mb4)"


def _indexes_of_uuid(parts: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, bool]]:
    """Names of the indexes that find rows by ``uuid``, and whether each allows no two rows of one; such a one first."""
    indexes: dict[str, list[tuple[Any, ...]]] = {}
    for name, *part in parts:
        indexes.setdefault(name, []).append(tuple(part))
    for name, ((is_not_unique, kind, _, column, prefix), *others) in indexes.items():
        if column == "uuid" and kind.upper() not in ("FULLTEXT", "SPATIAL"):
            yield name, not (is_not_unique or others or prefix)


def _words(declared: str) -> frozenset[str]:
    """The words in the declaration of an ENUM or a SET, which both servers print with backslashes in any sql_mode."""
    escaped = {"n": "\n", "r": "\r", "0": "\0", "Z": "\x1a", "t": "\t"}
    words = (word.replace("''", "'") for word in _WORD.findall(declared))
    return frozenset(_ESCAPED.sub(lambda found: escaped.get(found[1], found[1]), word) for word in words)
