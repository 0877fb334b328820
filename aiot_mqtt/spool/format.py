"""The format of the spool's file: its tables, in this version and in the one before, and the statements on them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from . import rows
from .disk import Disk

APPLICATION_ID = 0x61696F74
FORMAT = 2
"""Of the file, as SQLite's ``user_version``; raise it when the columns change their meaning."""

MAX_NUMBER = 2**53  # of files and saves: one that goes on counting must not come to SQLite's own limit
STATE = """
CREATE TABLE spool (
    generation INTEGER NOT NULL,
    owner TEXT NOT NULL,
    saves INTEGER NOT NULL,
    devices INTEGER NOT NULL,
    deliveries INTEGER NOT NULL
)"""
_COLUMNS = ", ".join(rows.NAMES)
_ROW = f"({', '.join('?' * (len(rows.NAMES) + 1))})"
SELECT = f"SELECT version, checksum, {_COLUMNS} FROM device_update WHERE"  # noqa: S608
SELECT_1 = f"SELECT version, checksum, {', '.join(rows.NAMES_1)} FROM device_update WHERE"  # noqa: S608
# What ``sqlite_master`` says of a file of this format, and of the one before: type, name, SQL.
TABLES = frozenset(
    {
        ("table", "device_update", rows.SCHEMA.strip()),
        ("index", "sqlite_autoindex_device_update_1", None),
        ("table", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"),
        ("table", "spool", STATE.strip()),
    }
)
TABLES_1 = frozenset(
    {
        ("table", "device_update", rows.SCHEMA_1.strip()),
        ("index", "sqlite_autoindex_device_update_1", None),
        ("table", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"),
        ("table", "written_to", "CREATE TABLE written_to (version INTEGER NOT NULL)"),
    }
)


def insert(count: int) -> str:
    """The statement for so many rows. One, because with each the interpreter's lock changes hands."""
    return f"INSERT OR REPLACE INTO device_update ({_COLUMNS}, checksum) VALUES {', '.join([_ROW] * count)}"  # noqa: S608


@contextmanager
def transaction(disk: Disk, connection: sqlite3.Connection) -> Iterator[None]:
    """What is written meanwhile is on disk behind the block, or else nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        disk.commit(connection)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
