"""What can still be read of a file that is damaged. It is for a person to look at, never for the table."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from ..devices.update import DeviceUpdate
from . import rows
from .disk import as_text

MAX_TIME = 60.0  # s that may be spent on one file, whatever its schema makes SQLite do
MAX_GAP = 1000  # versions behind the last one that could be read


def salvage(path: Path) -> Iterator[DeviceUpdate]:
    """Every row that is as it was written. The file is not changed, and no journal is applied to it."""
    give_up_at = time.monotonic() + MAX_TIME
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        return
    try:
        connection.text_factory = as_text
        connection.set_progress_handler(lambda: time.monotonic() > give_up_at, 10_000)
        connection.execute("PRAGMA trusted_schema=OFF")
        yield from _rows(connection)
    except sqlite3.Error:
        return
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection) -> Iterator[DeviceUpdate]:
    names = [name for _, name, *_ in connection.execute("PRAGMA table_info(device_update)")]
    is_old = "seen_order" not in names
    columns = ", ".join(rows.NAMES_1 if is_old else rows.NAMES)
    select = f"SELECT version, checksum, {columns} FROM device_update WHERE version > ? ORDER BY version LIMIT 1"  # noqa: S608
    version, gap = 0, 0
    while gap < MAX_GAP:
        try:
            found = connection.execute(select, (version,)).fetchone()
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # "interrupted", "no such table"
                raise
            version, gap = version + 1, gap + 1
            continue
        if found is None:
            return
        version, gap = found[0] if isinstance(found[0], int) and found[0] > version else version + 1, 0
        try:
            if is_old:
                yield rows.checked_1(version, found[1], found[2:])
            else:
                yield rows.checked(version, found[1], found[2:], is_found=True)
        except ValueError:
            continue
