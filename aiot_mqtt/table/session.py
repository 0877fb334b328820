"""What each connection is set to, so that the server's defaults and its administrator's habits do not matter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql

from ..devices.update import COLUMNS
from ..telemetry.reasons import database as reasons
from .errors import ReadOnly, error_words, known_meaning

# After this the server drops a connection that vanished without a FIN, and the row locks with it (default: 8 hours).
WAIT_TIMEOUT = 60  # s
LOCK_WAIT_TIMEOUT = 4  # s
SHORT_LOCK_WAIT_TIMEOUT = 1  # s, for what must not hold up the writes behind it
PACKET_RESERVE = 1024  # bytes of max_allowed_packet left for the statement around its rows

_SETTINGS = (
    f"wait_timeout={WAIT_TIMEOUT}, innodb_lock_wait_timeout={LOCK_WAIT_TIMEOUT},"
    f" lock_wait_timeout={LOCK_WAIT_TIMEOUT},"  # of the whole table: LOCK TABLES, or an ALTER under way
    # Without a strict mode both servers cut a long status silently. No other mode: ours is the only SQL here.
    " sql_mode='STRICT_ALL_TABLES'"
)
# An administrator's guards against statements typed by hand, and a COMMIT that ends the connection or begins anew. A
# server that does not know one has no such guard.
_MOODS = ("sql_safe_updates=0", "sql_select_limit=18446744073709551615", "sql_big_selects=1", "completion_type=0")
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL "
# The second locks more and refuses less: with binlog_format=STATEMENT the servers take no write under the first (1665).
ISOLATION_LEVELS = ("READ COMMITTED", "REPEATABLE READ")


def open_session(connection: Any, table: str, *, must_write: bool = False) -> int:
    """Set a new connection up. Returns bytes that the values of one statement may have.

    :param must_write: a server that may not be written to is not to be used: others can.
    :raises ReadOnly: it may not.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {_SETTINGS}")
        if not is_taken(cursor, f"SET SESSION {', '.join(_MOODS)}"):
            for setting in _MOODS:
                is_taken(cursor, f"SET SESSION {setting}")
        refused = _choose_isolation(cursor, table)
        if must_write:
            _refuse_read_only(cursor, refused)
        cursor.execute("SELECT @@max_allowed_packet")
        most: int = cursor.fetchone()[0]
    return most - PACKET_RESERVE


def _choose_isolation(cursor: Any, table: str) -> pymysql.err.Error | None:
    """Set the level at which a write goes through; returns what the server has against one at any."""
    usual, other = ISOLATION_LEVELS
    cursor.execute(_ISOLATION + usual)
    if try_harmless(cursor, table) is None:
        return None
    cursor.execute(_ISOLATION + other)
    refused = try_harmless(cursor, table)
    if refused is not None:  # so that was not why
        cursor.execute(_ISOLATION + usual)
    return refused


def _refuse_read_only(cursor: Any, refused: pymysql.err.Error | None) -> None:
    """
    :param refused: what the server has against a write.
    :raises ReadOnly: it may not be written to: by what a write met, or by what it says of itself, which a user with all
        rights does not meet. What it does not know of, or does not tell, does not count.
    """
    if refused is not None and known_meaning(refused) is ReadOnly:
        raise ReadOnly(error_words(refused))
    said = told(cursor, "VARIABLES", ("read_only", "super_read_only", "wsrep_on"))
    for name in ("super_read_only", "read_only"):
        if said.get(name, "OFF") not in ("OFF", "0"):
            raise ReadOnly(reasons.IS_READ_ONLY.fill(name=name, value=said[name]))
    if said.get("wsrep_on") == "ON" and told(cursor, "STATUS", ("wsrep_ready",)).get("wsrep_ready") == "OFF":
        raise ReadOnly(reasons.IS_READ_ONLY.fill(name="wsrep_ready", value="OFF"))


def told(cursor: Any, what: str, names: Sequence[str]) -> dict[str, str]:
    """What a server says of itself, of these names those that it knows; nothing where it, or a proxy, does not tell.

    SHOW, because a node that belongs to no cluster at the moment answers nothing else, and because an unknown name is
    no error there.

    :param what: ``VARIABLES`` or ``STATUS``.
    :raises pymysql.err.MySQLError: the connection is lost.
    """
    listed_names = ", ".join(f"'{name}'" for name in names)
    try:
        cursor.execute(f"SHOW GLOBAL {what} WHERE Variable_name IN ({listed_names})")
        return {str(name): str(value) for name, value in cursor.fetchall()}
    except pymysql.err.MySQLError:
        if not cursor.connection.open:
            raise
        return {}


def try_harmless(cursor: Any, table: str) -> pymysql.err.Error | None:
    """Try a statement that needs what a write needs, and assigns nothing; what the server has against it, if anything.

    Ends the transaction: one that is left open would hold up an ALTER TABLE.

    :raises pymysql.err.Error: the connection is lost.
    """
    assignments = ", ".join(f"d.{column} = d.{column}" for column in COLUMNS.values())
    refused = None
    try:
        cursor.execute(f"UPDATE `{table}` d SET {assignments} WHERE d.uuid = '' AND FALSE")  # noqa: S608
    except pymysql.err.Error as error:
        if not cursor.connection.open:
            raise
        refused = error
    cursor.connection.rollback()
    return refused


def is_taken(cursor: Any, statement: str) -> bool:
    """Whether the server takes a statement that changes nothing; any answer but that is a no, whatever it says.

    :raises pymysql.err.MySQLError: the connection is lost.
    """
    try:
        cursor.execute(statement)
    except pymysql.err.MySQLError:
        if not cursor.connection.open:
            raise
        return False
    cursor.fetchall()
    return True


@contextlib.contextmanager
def short_lock_waits(cursor: Any) -> Iterator[None]:
    """Wait a second only for rows that somebody holds locked: the writes behind this must not wait long."""
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout={SHORT_LOCK_WAIT_TIMEOUT}")
    try:
        yield
    finally:
        with contextlib.suppress(pymysql.err.Error):  # of a connection that is lost
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout={LOCK_WAIT_TIMEOUT}")
