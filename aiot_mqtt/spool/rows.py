"""A device update as a row of the spool's file: what is written, and how what is found there is judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from zlib import crc32

from ..devices.report import ALL_KINDS, DEVICE_PATTERN, Refused, parse_json
from ..devices.update import DeviceUpdate

NAMES = (
    *("device", "uuid", "kinds", "document", "status", "last_seen", "last_heartbeat", "is_online"),
    *("seen_order", "document_order", "status_order", "heartbeat_order"),
)
SCHEMA = """
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
    seen_order INTEGER NOT NULL,
    document_order INTEGER NOT NULL,
    status_order INTEGER NOT NULL,
    heartbeat_order INTEGER NOT NULL,
    checksum INTEGER NOT NULL
)"""
MAX_ORDER = 2**53
EARLIEST = "1969-12-31"  # what a clock that knows nothing says west of Greenwich
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_DEVICE = re.compile(DEVICE_PATTERN)
_SURROGATE = re.compile("[\ud800-\udfff]")

Values = tuple[str, str, int, bytes | None, str | None, str, str | None, int, int, int, int, int]


def values(update: DeviceUpdate) -> Values:
    """A row without its version and checksum."""
    return (
        update.key,
        update.uuid,
        update.kinds,
        update.document,
        update.status,
        update.last_seen,
        update.last_heartbeat,
        int(update.is_online),
        update.seen_order,
        update.document_order,
        update.status_order,
        update.heartbeat_order,
    )


def later(update: DeviceUpdate, order: int) -> DeviceUpdate:
    """A copy whose orders come behind one of another process."""
    copy = update.copy()
    for name in NAMES[8:] if order else ():
        if (own := getattr(update, name)) != 0:
            setattr(copy, name, own + order)
    return copy


def judged(row: Sequence[object]) -> DeviceUpdate:
    """As ``update_of``, of a file that is not trusted, because who knows who had it meanwhile.

    :raises ValueError: a value does not have the form that this service writes; the text says which.
    """
    for name, value in zip(NAMES, row, strict=True):
        if (fault := _fault(name, value)) is not None:
            raise ValueError(f"{name} {fault}")
    return update_of(row)


def update_of(row: Sequence[object]) -> DeviceUpdate:
    """The update that a row without its version and checksum is."""
    update = DeviceUpdate("")
    for name, value in zip(("key", *NAMES[1:]), row, strict=True):
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
        raise ValueError(f"row {version} is not what was written")
    try:
        return judged(row) if is_found else update_of(row)
    except ValueError as error:
        raise ValueError(f"row {version}: {error}") from None


def _fault(name: str, value: object) -> str | None:
    """What is wrong with one value, if anything."""
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
    return None if is_right else f"is not what this service writes: {value!r:.60}"


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

SCHEMA_1 = """
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
NAMES_1 = NAMES[1:8]


def checked_1(version: int, stored_checksum: object, row: Sequence[object]) -> DeviceUpdate:
    """:raises ValueError: the row, of ``NAMES_1``, is not what was written."""
    if checksum(row) != stored_checksum:
        raise ValueError(f"row {version} is not what was written")
    uuid = str(row[0])
    orders = [version, version if row[2] is not None else 0, version if row[3] is not None else 0]
    return judged((uuid, *row, *orders, version if row[5] is not None else 0))
