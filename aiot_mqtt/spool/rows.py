"""A device update as a row of the spool's file: what is written, and how what is found there is judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from zlib import crc32

from ..devices.report import ALL_KINDS, DEVICE_PATTERN, Refused, parse_json
from ..devices.update import ORDERS, DeviceUpdate
from ..telemetry.reasons import spool as reasons

_TYPES = {
    "device": "TEXT NOT NULL UNIQUE",
    "uuid": "TEXT NOT NULL",
    "kinds": "INTEGER NOT NULL",
    "document": "BLOB",
    "status": "TEXT",
    "last_seen": "TEXT NOT NULL",
    "last_heartbeat": "TEXT",
    "is_online": "INTEGER NOT NULL",
    "seen_order": "INTEGER NOT NULL",
    "document_order": "INTEGER NOT NULL",
    "status_order": "INTEGER NOT NULL",
    "heartbeat_order": "INTEGER NOT NULL",
}
NAMES = tuple(_TYPES)
"""Of the columns, but for version and checksum: the attributes of ``DeviceUpdate``, ``key`` as ``device``."""
MAX_ORDER = 2**53
EARLIEST = "1969-12-31"  # what a clock that knows nothing says west of Greenwich
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_DEVICE = re.compile(DEVICE_PATTERN)
_SURROGATE = re.compile("[\ud800-\udfff]")

_ATTRIBUTES = ("key", *NAMES[1:])
_attributes_of = attrgetter(*_ATTRIBUTES)
_IS_ONLINE = NAMES.index("is_online")


def _schema(names: Iterable[str]) -> str:
    """The table of rows, as SQL. What ``sqlite_master`` says of a file that is found is compared with it."""
    columns = "".join(f"    {name} {_TYPES[name]},\n" for name in names)
    return f"""
CREATE TABLE device_update (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
{columns}    checksum INTEGER NOT NULL
)"""


SCHEMA = _schema(NAMES)


def values(update: DeviceUpdate) -> list[object]:
    """A row without its version and checksum."""
    row = list(_attributes_of(update))
    row[_IS_ONLINE] = int(row[_IS_ONLINE])  # True is stored as 1, and the checksum is of what is read again
    return row


def with_checksum(update: DeviceUpdate) -> tuple[object, ...]:
    """A row without its version."""
    row = values(update)
    return (*row, checksum(row))


def later(update: DeviceUpdate, order: int) -> DeviceUpdate:
    """The same with orders that come behind one of another process; 0: there is none."""
    if not order:
        return update
    copy = update.copy()
    for name in set(ORDERS.values()):
        if (own := getattr(update, name)) != 0:
            setattr(copy, name, own + order)
    return copy


def earliest(update: DeviceUpdate) -> DeviceUpdate:
    """A copy whose orders come behind none of any process."""
    copy = update.copy()
    for name in set(ORDERS.values()):
        setattr(copy, name, min(getattr(update, name), 1))
    return copy


def judged(row: Sequence[object]) -> DeviceUpdate:
    """As ``update_of``, of a file that is not trusted, because who knows who had it meanwhile.

    :raises ValueError: a value does not have the form that this service writes; the text says which.
    """
    for name, value in zip(NAMES, row, strict=True):
        if (fault := _fault(name, value)) is not None:
            raise ValueError(reasons.VALUE_FAULT.fill(name=name, value=fault))
    return update_of(row)


def update_of(row: Sequence[object]) -> DeviceUpdate:
    """The update that a row without its version and checksum is."""
    update = DeviceUpdate("")
    for name, value in zip(_ATTRIBUTES, row, strict=True):
        setattr(update, name, value)
    update.is_online = bool(update.is_online)
    return update


def checksum(row: Sequence[object]) -> int:
    """SQLite notices a broken page, but not a changed value."""
    return crc32(repr(tuple(row)).encode())


def checked(version: object, stored_checksum: object, row: Sequence[object], *, is_found: bool) -> DeviceUpdate:
    """The update that a row is.

    :param is_found: this process did not write it, so no value is trusted.
    :raises ValueError: the row is not what was written.
    """
    if checksum(row) != stored_checksum:
        raise ValueError(reasons.ROW_ALTERED.fill(row=version))
    try:
        return judged(row) if is_found else update_of(row)
    except ValueError as error:
        raise ValueError(reasons.ROW_FAULT.fill(row=version, reason=error)) from None


def _fault(name: str, value: object) -> str | None:
    """A value as it is shown, where it is not what this service writes."""
    if name in ("device", "uuid"):
        is_right = isinstance(value, str) and _DEVICE.fullmatch(value) is not None
    elif name in ("last_seen", "last_heartbeat"):
        is_right = (value is None and name == "last_heartbeat") or (isinstance(value, str) and _is_time(value))
    elif name == "document":
        is_right = value is None or (isinstance(value, bytes) and _is_json(value))
    elif name == "status":
        # Of any length, because the column may be; surrogates stand for what is not UTF-8 (``Disk.connect``).
        is_right = value is None or (isinstance(value, str) and value != "" and _SURROGATE.search(value) is None)
    else:
        most = {"kinds": ALL_KINDS, "is_online": 1}.get(name, MAX_ORDER)
        is_right = isinstance(value, int) and 0 <= value <= most
    return None if is_right else f"{value!r:.60}"


def _is_time(text: str) -> bool:
    """Whether it is one that there is, in the form of ``DeviceUpdate``."""
    if _TIME.fullmatch(text) is None or text < EARLIEST:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_json(document: bytes) -> bool:
    try:
        return isinstance(parse_json(document), dict)
    except Refused:
        return False


# What the release before this one wrote, which an update of the program may find.

NAMES_1 = NAMES[1:8]
SCHEMA_1 = _schema(NAMES[:8])


def checked_1(version: int, stored_checksum: object, row: Sequence[object]) -> DeviceUpdate:
    """The update that a row of ``NAMES_1`` is.

    :raises ValueError: it is not what was written.
    """
    if checksum(row) != stored_checksum:
        raise ValueError(reasons.ROW_ALTERED.fill(row=version))
    uuid = str(row[0])
    orders = [version, version if row[2] is not None else 0, version if row[3] is not None else 0]
    return judged((uuid, *row, *orders, version if row[5] is not None else 0))
