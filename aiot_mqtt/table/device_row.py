"""One device's row, for who asks about one device: read without a lock, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

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


def find_device(connection: Any, table: str, uuid: str) -> Found:
    """The row of a device, or which ones are called alike.

    :param uuid: of the characters that a topic level of a device has.
    :raises pymysql.err.Error: the server does not say.
    """
    columns = f"uuid, is_online, last_seen, last_heartbeat, device_status, LEFT(last_report_data, {_LONGEST_OFFLINE})"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM `{table}` WHERE uuid = %s LIMIT 1", (uuid,))  # noqa: S608
        if (found := cursor.fetchone()) is not None:
            name, online, *others, document = found
            seen, heartbeat, status = (None if value is None else str(value) for value in others)
            seen, heartbeat = (time and time[:19] for time in (seen, heartbeat))
            return Found(DeviceRow(str(name), bool(online), seen, heartbeat, status, _says_offline(document)))
        begins = uuid[: max(1, len(uuid) * 2 // 3)].replace("_", "|_")
        like = f"SELECT uuid FROM `{table}` WHERE uuid LIKE %s ESCAPE '|' LIMIT {MOST_SIMILAR}"  # noqa: S608
        cursor.execute(like, (f"{begins}%",))
        return Found(None, tuple(str(row[0]) for row in cursor.fetchall()))


def _says_offline(document: Any) -> bool:
    try:
        member = json.loads(document)["status"]
    except (ValueError, TypeError, KeyError):
        return False
    return isinstance(member, str) and member.lower() == "offline"
