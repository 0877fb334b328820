"""One device's row, for who asks about one device: read without a lock, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .bounded_select import bounded_select
from .connection import DatabaseConnection

MOST_SIMILAR = 5
_LONGEST_OFFLINE = 4096  # characters of a document that may be an "offline"; a longer one is read by nobody here


class DeviceRow(NamedTuple):
    """What the table says of a device; times as in ``DeviceUpdate``."""

    uuid: str
    is_online: bool
    last_seen: str | None
    last_heartbeat: str | None
    device_status: str | None
    says_offline: bool
    """Its last document says that the device is offline."""


class Found(NamedTuple):
    """What a question about one ``uuid`` found."""

    row: DeviceRow | None
    similar: tuple[str, ...] = ()
    """Where there is no row: some that begin alike."""


def find_device(connection: DatabaseConnection, table: str, uuid: str) -> Found:
    """The row of a device, or which ones are called alike.

    :param uuid: of the characters that a topic level of a device has.
    :raises StoreConflict: the server does not say, or not in time, as where no index helps.
    """
    columns = f"uuid, is_online, last_seen, last_heartbeat, device_status, LEFT(last_report_data, {_LONGEST_OFFLINE})"
    if rows := bounded_select(connection, f"{columns} FROM `{table}` WHERE uuid = %s LIMIT 1", (uuid,)):
        [(name, online, *others, document)] = rows
        seen, heartbeat, status = (None if value is None else str(value) for value in others)
        seen, heartbeat = (time and time[:19] for time in (seen, heartbeat))
        return Found(DeviceRow(str(name), bool(online), seen, heartbeat, status, _says_offline(document)))
    begins = uuid[: max(1, len(uuid) * 2 // 3)].replace("_", "|_")
    alike = f"uuid FROM `{table}` WHERE uuid LIKE %s ESCAPE '|' LIMIT {MOST_SIMILAR}"
    return Found(None, tuple(str(name) for (name,) in bounded_select(connection, alike, (f"{begins}%",))))


def _says_offline(document: Any) -> bool:
    try:
        member = json.loads(document)["status"]
    except (ValueError, TypeError, KeyError):
        return False
    return isinstance(member, str) and member.lower() == "offline"
