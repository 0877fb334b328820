"""Which rights the service's account has, lacks, and has too many; found out by trial, without a write.

``EXPLAIN UPDATE`` needs the rights of the UPDATE, and nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..devices.update import COLUMNS
from ..settings.settings import Settings
from ..table.errors import error_number, error_words
from ..telemetry.printable import printable
from .database import Database
from .findings import Findings
from .texts import database as texts

DENIED = frozenset({1142, 1143})
NO_SUCH_COLUMN = 1054
WRITTEN = tuple(COLUMNS.values())
SUGGESTED_USER = "aiot"
_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?:TABLE )?(?P<on>\S+) TO ", re.IGNORECASE)
_RIGHT = re.compile(r"\s*([A-Z][A-Z ]*[A-Z]|[A-Z]+)\s*(?:\(([^)]*)\))?\s*(?:,|$)")


def least_grant(settings: Settings, account: str, key: tuple[str, ...] = ("id",)) -> str:
    """The statement that gives just the rights that are needed.

    :param account: as ``user@host``. :param key: the columns of the table's primary key.
    """
    user, _, host = account.rpartition("@")
    if user == "root":
        user = SUGGESTED_USER
    read = ", ".join(dict.fromkeys((*map(_as_name, key), "uuid", *WRITTEN)))
    name = f"`{settings.db_name}`.`{settings.db_table}`"
    grantee = f"'{_quoted(user)}'@'{_quoted(host)}'"
    return f"GRANT SELECT ({read}), UPDATE ({', '.join(WRITTEN)}) ON {name} TO {grantee};"


def _as_name(column: str) -> str:
    return column if re.fullmatch(r"[A-Za-z_]\w*", column) else f"`{printable(column, 64).replace('`', '``')}`"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


def key_columns(database: Database, settings: Settings) -> tuple[str, ...]:
    """The columns of the table's primary key that may be seen."""
    found = database.rows(
        "SELECT column_name FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s"
        " AND index_name = 'PRIMARY' ORDER BY seq_in_index",
        (settings.db_name, settings.db_table),
    )
    return tuple(str(name) for (name,) in found) or ("id",)


@dataclass(slots=True)
class Lacks:
    """What a trial of each column has shown."""

    columns: list[str] = field(default_factory=list)
    """Those that the table does not have."""
    rights: list[str] = field(default_factory=list)
    """Those that the account does not have."""
    table: Exception | None = None
    """What is wrong with the table as a whole."""
    unsure: str = ""
    """What the server said where that tells nothing."""


def find_lacks(database: Database, settings: Settings, *, is_writable: bool) -> Lacks:
    """Try each column.

    :param is_writable: otherwise the server has one answer to every UPDATE.
    :raises pymysql.err.Error: the connection is lost.
    """
    table = f"`{settings.db_table}`"
    error = database.error_of(f"SELECT 1 FROM {table} d LIMIT 0")  # noqa: S608 its name is checked
    if error is not None and error_number(error) not in DENIED:
        return Lacks(table=error)
    lacks, last = Lacks(), None
    for column in ("uuid", *WRITTEN):
        for right, statement in _trials(table, column, is_writable=is_writable):
            error = database.error_of(statement)
            if error is None:
                continue
            if error_number(error) == NO_SUCH_COLUMN:
                lacks.columns.append(column)
                break
            if error_number(error) in DENIED:
                lacks.rights.append(f"{right} ({column})")
            else:
                lacks.unsure = error_words(error)
            last = error
    is_hidden = sum(right.startswith("SELECT") for right in lacks.rights) == 1 + len(WRITTEN)
    return Lacks(table=last) if is_hidden else lacks  # it may as well not be there


def _trials(table: str, column: str, *, is_writable: bool) -> Iterator[tuple[str, str]]:
    yield "SELECT", f"SELECT d.{column} FROM {table} d LIMIT 0"  # noqa: S608
    if column != "uuid" and is_writable:
        yield "UPDATE", f"EXPLAIN UPDATE {table} d SET d.{column} = NULL WHERE FALSE"  # noqa: S608


def probe_rights(database: Database, settings: Settings, lacks: Lacks, findings: Findings) -> None:
    """Tell what is missing, and what is too much."""
    statement = least_grant(settings, database.account, key_columns(database, settings))
    if lacks.rights:
        findings.error("database.rights", texts.RIGHTS_MISSING, missing=", ".join(lacks.rights), statement=statement)
        return
    if lacks.unsure:
        findings.unknown("database.rights", texts.RIGHTS_UNKNOWN, words=lacks.unsure)
        return
    if database.grants is None:
        findings.unknown("database.rights", texts.RIGHTS_UNKNOWN, words="SHOW GRANTS")
        return
    excess = list(excessive(database.grants, settings, key_columns(database, settings)))
    if excess:
        findings.warning("database.rights", texts.RIGHTS_TOO_MANY, excess="; ".join(excess), statement=statement)
    else:
        findings.ok("database.rights", texts.RIGHTS)


def excessive(grants: list[str], settings: Settings, key: tuple[str, ...]) -> Iterator[str]:
    """Of what SHOW GRANTS says, what the service does not need."""
    readable, writable = {*key, "uuid", *WRITTEN}, {*WRITTEN}
    ours = f"{settings.db_name}.{settings.db_table}".lower()
    for grant in grants:
        found = _GRANT.match(grant)
        if found is None:
            continue
        on = found["on"].replace("`", "")
        too_many = []
        for right, columns in _RIGHT.findall(found["rights"]):
            names = {name.strip(" `").lower() for name in columns.split(",")} if columns else set()
            allowed = {"SELECT": readable, "UPDATE": writable}.get(right, set())
            if right == "USAGE" or (on.lower() == ours and names and names <= allowed):
                continue
            extra = sorted(names - allowed) if on.lower() == ours else sorted(names)
            too_many.append(f"{right} ({', '.join(extra)})" if extra else right)
        if too_many:
            yield printable(f"{', '.join(too_many)} ON {on}", 200)
