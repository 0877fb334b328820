"""Files of the spool as others make them: of the release before, and such as nobody should have made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from aiot_mqtt.devices.report import DATA
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.spool import rows
from aiot_mqtt.spool.found import SpoolOwner

EARLIER = "2026-11-23 10:00:00"
EARLIER = "2026-11-23 10:00:00"
OWNER = SpoolOwner("127.0.0.1", 3306, "aiot_admin", "device_main", "devices", "Asia/Shanghai")

OldRow = tuple[str, int, bytes | None, str | None, str, str | None, int]


def update_of(uuid: str, order: int, n: int = 0, **attributes: object) -> DeviceUpdate:
    """What one delivery says: by default a report with a number to tell it by.

    :param order: its place among all deliveries.
    """
    update = DeviceUpdate(uuid)
    update.kinds = DATA
    update.document = b'{"n": %d}' % n
    update.last_seen = EARLIER
    update.seen_order = order
    for name, value in attributes.items():
        setattr(update, name, value)
    if update.document is not None:
        update.document_order = order
    if update.last_heartbeat is not None:
        update.heartbeat_order = order
    if update.status is not None:
        update.status_order = order
    return update


def opened(path: Path) -> sqlite3.Connection:
    """A file as anybody may open it, without waiting for the disk."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def make_old_file(path: Path, old_rows: Iterable[OldRow], written_to: int = 0) -> None:
    """As the release before this one made it, by its own statements."""
    connection = opened(path)
    connection.execute(
        """
CREATE TABLE device_update (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL UNIQUE,
    uuid TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    document BLOB,
    status TEXT,
    last_seen TEXT NOT NULL,
    last_heartbeat TEXT,
    is_online INTEGER NOT NULL,
    checksum INTEGER NOT NULL
)"""
    )
    connection.execute("INSERT INTO sqlite_sequence VALUES ('device_update', 0)")
    connection.execute("CREATE TABLE written_to (version INTEGER NOT NULL)")
    connection.execute("INSERT INTO written_to VALUES (?)", (written_to,))
    connection.execute(f"PRAGMA application_id={0x61696F74}")
    connection.execute("PRAGMA user_version=1")
    for row in old_rows:
        connection.execute(
            "INSERT OR REPLACE INTO device_update (device, uuid, kinds, document, status, last_seen, last_heartbeat,"
            " is_online, checksum) VALUES (?,?,?,?,?,?,?,?,?)",
            (row[0].lower(), *row, rows.checksum(row)),
        )
    connection.close()
    path.chmod(0o600)


def seal(connection: sqlite3.Connection) -> None:
    """Give every row the checksum of what it holds now, and have the file say how many there are: whoever plants a file
    can do that, too.
    """
    names = ", ".join(rows.NAMES)
    found = connection.execute(f"SELECT version, {names} FROM device_update").fetchall()
    for version, *row in found:
        connection.execute("UPDATE device_update SET checksum = ? WHERE version = ?", (rows.checksum(row), version))
    kinds = [row[3] if isinstance(row[3], int) else 0 for row in found]
    deliveries = sum((kind & 7).bit_count() for kind in kinds)
    connection.execute("UPDATE spool SET devices = ?, deliveries = ?", (len(found), deliveries))
