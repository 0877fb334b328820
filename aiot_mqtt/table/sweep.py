"""The SQL of the offline sweep: reads a table in short pieces, and sets silent rows offline.

Runs in the pool's threads. Rows are read in the order of the primary key, which is how InnoDB keeps them, and are told
apart by it; where it is not one column of a plain type, by ``uuid``, at some three times the cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unicodedata import normalize

import pymysql

from ..telemetry.reasons import database as reasons
from .contract import PieceRead, RowKey, Silence, SilentDevice, StoreConflict
from .errors import known_meaning
from .session import short_lock_waits

MAX_LITERALS = 32 * 1024  # bytes of keys in one statement: what the smallest packet of a real server takes, and more

# Values of these come back as they went, and are compared as they are ordered. An ENUM, for one, is ordered by the
# place of its value and compared by the text.
_PLAIN_TYPES = frozenset(
    {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "char", "varchar", "binary", "varbinary"}
)
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9._:-]*")
_OTHER_KEYS = reasons.OTHER_KEYS


@dataclass(frozen=True, slots=True)
class RowOrder:
    """What orders the rows of a table, and tells them apart."""

    table: str
    column: str
    is_unique: bool
    index: str | None
    """The name of an index that begins with the column."""

    @property
    def key(self) -> str:
        """The column as SQL."""
        return _quoted(self.column)

    @property
    def source(self) -> str:
        """The table as SQL, to be read in this order: by itself MariaDB would take the index of ``is_online``, which
        costs it twice as much.
        """
        return (
            _quoted(self.table) if self.index is None else f"{_quoted(self.table)} FORCE INDEX ({_quoted(self.index)})"
        )

    def rows_between(self, after: RowKey | None, last: RowKey | None, *, with_after: bool) -> str:
        """Which rows come behind one and up to another, as SQL."""
        conditions = [] if after is None else [f"{self.key} {'>=' if with_after else '>'} {_literal(after)}"]
        conditions += [] if last is None else [f"{self.key} <= {_literal(last)}"]
        return " AND ".join(conditions) or "TRUE"


class SweepStatements:
    """The sweep's part of a table, with what was found out about it."""

    def __init__(self, database: str, table: str) -> None:
        self._database = database
        self._table = table
        self._order: RowOrder | None = None
        self._skip_locked = True  # MySQL can from 8.0 on, MariaDB from 10.6

    def find_silent(
        self, connection: Any, silence: Silence, after: RowKey | None, last: RowKey | None, most: int
    ) -> PieceRead:
        """See ``PresenceStore``."""
        with connection.cursor() as cursor:
            try:
                order = self._read_order(cursor) if after is None else self._order
                if order is None:
                    raise StoreConflict(_OTHER_KEYS)
                return find_silent(cursor, order, silence, after, last, most=most)
            except pymysql.err.MySQLError:
                if connection.open:
                    self._order = None  # the table may be another one by now
                raise

    def set_offline(self, connection: Any, keys: Sequence[RowKey], silence: Silence) -> frozenset[RowKey]:
        """See ``PresenceStore``. Rows that somebody holds locked are passed over, where the server can do that."""
        order = self._order
        if order is None:
            raise StoreConflict(_OTHER_KEYS)
        offline: list[RowKey] = []
        with connection.cursor() as cursor, short_lock_waits(cursor):
            for part in _in_parts([_literal(key) for key in keys]):
                # The same transaction locks the rows and then sets them, so that what is told is what was done.
                locked = self._lock(cursor, order, f"{order.key} IN ({', '.join(part)}) AND {_silent_in(silence)}")
                if locked:
                    set_rows_offline(cursor, order, locked, silence)
                    offline += locked
        return frozenset(offline)

    def _read_order(self, cursor: Any) -> RowOrder:
        """Look whether the keys are of this order.

        :raises StoreConflict: keys that are out there are of another one.
        """
        before, self._order = self._order, read_row_order(cursor, self._database, self._table)
        if before is not None and before != self._order:
            raise StoreConflict(_OTHER_KEYS)
        return self._order

    def _lock(self, cursor: Any, order: RowOrder, rows: str) -> list[RowKey]:
        if self._skip_locked:
            try:
                return lock_rows(cursor, order, rows, "SKIP LOCKED")
            except pymysql.err.MySQLError as error:
                if not cursor.connection.open or known_meaning(error) is StoreConflict:
                    raise
        locked = lock_rows(cursor, order, rows, "")
        self._skip_locked = False
        return locked


def read_row_order(cursor: Any, database: str, table: str) -> RowOrder:
    """The order in which rows are cheapest to read. A view has no index of its own, but uses those beneath it."""
    cursor.execute(
        "SELECT index_name, column_name, non_unique FROM information_schema.statistics"
        " WHERE table_schema = %s AND table_name = %s ORDER BY index_name, seq_in_index",
        (database, table),
    )
    indexes: dict[str, list[tuple[str, int]]] = {}
    for name, column, non_unique in cursor.fetchall():
        indexes.setdefault(name, []).append((column, non_unique))
    primary = indexes.get("PRIMARY", [])
    if len(primary) == 1:
        (column, _), *_ = primary
        cursor.execute(
            "SELECT LOWER(data_type) FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s AND column_name = %s",
            (database, table, column),
        )
        if (kind := cursor.fetchone()) is not None and kind[0] in _PLAIN_TYPES:
            return RowOrder(table, column, is_unique=True, index="PRIMARY")
    of_uuid = [
        (non_unique or len(columns) > 1, name)
        for name, columns in indexes.items()
        for column, non_unique in columns[:1]
        if column.lower() == "uuid"
    ]
    for is_shared, name in sorted(of_uuid):
        try:  # an index may be there, and not for use
            cursor.execute(f"SELECT 1 FROM {_quoted(table)} FORCE INDEX ({_quoted(name)}) WHERE FALSE")  # noqa: S608
        except pymysql.err.MySQLError:
            if not cursor.connection.open:
                raise
        else:
            return RowOrder(table, "uuid", is_unique=not is_shared, index=name)
    return RowOrder(table, "uuid", is_unique=False, index=None)


def find_silent(
    cursor: Any, order: RowOrder, silence: Silence, after: RowKey | None, last: RowKey | None, *, most: int
) -> PieceRead:
    """See ``PresenceStore``. One statement, as long as nobody is silent."""
    # Where rows can share a key, some of them may be on either side of a cut.
    for with_after in (not order.is_unique, False):
        rows = order.rows_between(after, last, with_after=with_after)
        cursor.execute(
            "SELECT COUNT(*), MIN(k) = MAX(k), MAX(k), CAST(MIN(seen) AS CHAR),"  # noqa: S608
            f" COALESCE(MIN(seen) < '{silence.cutoff}' OR MAX(seen) > '{silence.future}', FALSE)"
            " OR COALESCE(SUM(is_unseen), 0) > 0 FROM (SELECT"
            f" {order.key} k, IF(is_online = 1, last_seen, NULL) seen, is_online = 1 AND last_seen IS NULL is_unseen"
            f" FROM {order.source} WHERE {rows} ORDER BY {order.key} LIMIT {most}) piece"
        )
        examined, is_one_key, reached, earliest, is_anybody_silent = cursor.fetchone()
        if examined < most:
            reached = None
        if reached is None or not is_one_key:
            break
    if not is_anybody_silent:
        return PieceRead([], earliest, reached)
    rows = order.rows_between(after, last if reached is None else reached, with_after=not order.is_unique)
    cursor.execute(
        f"SELECT {order.key}, uuid, CAST(last_seen AS CHAR) FROM {order.source}"  # noqa: S608
        f" WHERE {rows} AND {_silent_in(silence)} ORDER BY {order.key} LIMIT {most}"
    )
    found = [(key, _text(uuid), last_seen) for key, uuid, last_seen in cursor.fetchall()]
    spellings = spellings_of_devices(cursor, order, {key: uuid for key, uuid, _ in found})
    silent = [SilentDevice(key, spellings.get(key, uuid), last_seen) for key, uuid, last_seen in found]
    cursor.execute(
        f"SELECT CAST(MIN(last_seen) AS CHAR) FROM {order.source} WHERE {rows} AND is_online = 1"  # noqa: S608
        f" AND last_seen >= '{silence.cutoff}' AND last_seen <= '{silence.future}'"
    )
    (earliest,) = cursor.fetchone()
    return PieceRead(silent, earliest, reached)


def spellings_of_devices(cursor: Any, order: RowOrder, uuids: Mapping[RowKey, str]) -> dict[RowKey, str]:
    """How devices spell the uuids of these rows that no topic level can equal letter by letter.

    Most collations hold far more texts equal: accents, full width, blanks at the end, signs without width. What is
    left without these is a guess, and the server says whether it is the row's uuid.
    """
    guesses = {}
    for key, uuid in uuids.items():
        if not _PLAIN_TEXT.fullmatch(uuid):
            plain = "".join(_PLAIN_TEXT.findall(normalize("NFKD", uuid)))
            if plain:
                guesses[key] = plain
    spellings: dict[RowKey, str] = {}
    for part in _in_parts([f"{order.key} = {_literal(key)} AND uuid = '{plain}'" for key, plain in guesses.items()]):
        cursor.execute(f"SELECT {order.key} FROM {order.source} WHERE ({') OR ('.join(part)})")  # noqa: S608
        spellings |= {key: guesses[key] for (key,) in cursor.fetchall() if key in guesses}
    return spellings


def lock_rows(cursor: Any, order: RowOrder, rows: str, skip_locked: str) -> list[RowKey]:
    """The keys of rows that this transaction has locked now.

    :param rows: which, as SQL.
    :param skip_locked: what has those passed over that are locked; empty: wait for them.
    """
    cursor.execute(f"SELECT {order.key} FROM {order.source} WHERE {rows} FOR UPDATE {skip_locked}")  # noqa: S608
    return [row[0] for row in cursor.fetchall()]


def set_rows_offline(cursor: Any, order: RowOrder, keys: Sequence[RowKey], silence: Silence) -> None:
    """Set rows offline that are locked."""
    chosen = ", ".join([_literal(key) for key in keys])
    cursor.execute(
        f"UPDATE {order.source} SET is_online = 0"  # noqa: S608
        f" WHERE {order.key} IN ({chosen}) AND {_silent_in(silence)}"
    )


def _silent_in(silence: Silence) -> str:
    """Which rows say online and are silent, as SQL."""
    return f"is_online = 1 AND (last_seen < '{silence.cutoff}' OR last_seen IS NULL OR last_seen > '{silence.future}')"


def _in_parts(literals: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for literal in literals:
        if part and size + len(literal) > MAX_LITERALS:
            yield part
            part, size = [], 0
        part.append(literal)
        size += len(literal) + 2
    if part:
        yield part


def _text(uuid: str | bytes | None) -> str:
    """A ``uuid`` of any type of column as devices spell it."""
    return uuid.rstrip(b"\0").decode("utf-8", "replace") if isinstance(uuid, bytes) else uuid or ""


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _literal(value: RowKey) -> str:
    """A key as SQL that means the same under every ``sql_mode``."""
    if isinstance(value, str):
        return f"'{value}'" if _PLAIN_TEXT.fullmatch(value) else f"_utf8mb4 0x{value.encode().hex()}"
    if isinstance(value, bytes):
        return f"0x{value.hex()}" if value else "''"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
