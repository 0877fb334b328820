"""What is to be assigned in one device's row, and how two states of one device become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

COLUMNS = {
    "document": "last_report_data",
    "status": "device_status",
    "last_seen": "last_seen",
    "last_heartbeat": "last_heartbeat",
    "is_online": "is_online",
}
"""The values of an update, and the column that each is assigned to. None leaves the column alone."""
ALWAYS_ASSIGNED = frozenset({"last_seen", "is_online"})
"""Those of the values that are never None."""
ORDERS = {
    "document": "document_order",
    "status": "status_order",
    "last_seen": "seen_order",
    "last_heartbeat": "heartbeat_order",
    "is_online": "seen_order",
}
"""The values, and the attribute that holds the place, among all deliveries, of the one that each is from."""

UuidKey = Callable[[str], str]
"""Gives two spellings of a ``uuid`` the same key where the table's column holds them equal."""


class DeviceUpdate:
    """The columns to assign in one device's row: the newest state of each, merged from its reports.

    Each column carries the order of the delivery that brought it, so merging two updates of a device gives the same
    result whichever of them is laid over the other, and however often.
    """

    __slots__ = ("uuid", "key", "kinds", *COLUMNS, *dict.fromkeys(ORDERS.values()))

    def __init__(self, uuid: str, key: str | None = None) -> None:
        self.uuid = uuid
        """The device as it last spelled itself; the table's collation decides what equals it."""
        self.key = uuid if key is None else key
        """The same for two spellings of one device, as far as the table has said which are."""
        self.kinds = 0
        """The kinds of report merged here, as a set of the bits of ``report``; 0: it was heard, and said nothing."""
        self.document: bytes | None = None
        """JSON text in UTF-8."""
        self.status: str | None = None
        self.last_seen = ""
        """``YYYY-MM-DD HH:MM:SS`` in the table's time zone."""
        self.last_heartbeat: str | None = None
        """In the form of ``last_seen``."""
        self.is_online = True
        self.seen_order = 0
        """The place, among all deliveries to this process, of the one that ``last_seen`` and ``is_online`` are from."""
        self.document_order = 0
        self.status_order = 0
        self.heartbeat_order = 0

    @property
    def deliveries(self) -> int:
        """How many deliveries ride on this update: one for each kind."""
        return self.kinds.bit_count()

    def merge(self, other: DeviceUpdate) -> int:
        """Take over what another update of the same device brought later than this one.

        Returns how many deliveries that supersedes: those of a kind that both have.
        """
        superseded = (self.kinds & other.kinds).bit_count()
        self.kinds |= other.kinds
        if other.seen_order > self.seen_order:
            self.uuid, self.last_seen, self.is_online = other.uuid, other.last_seen, other.is_online
            self.seen_order = other.seen_order
        if other.document_order > self.document_order:
            self.document, self.document_order = other.document, other.document_order
        if other.status_order > self.status_order:
            self.status, self.status_order = other.status, other.status_order
        if other.heartbeat_order > self.heartbeat_order:
            self.last_heartbeat, self.heartbeat_order = other.last_heartbeat, other.heartbeat_order
        return superseded

    def copy(self) -> DeviceUpdate:
        """Another update that says the same, for one of them to be changed."""
        copied = DeviceUpdate(self.uuid)
        for name in self.__slots__:
            setattr(copied, name, getattr(self, name))
        return copied

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"DeviceUpdate({columns})"


def uuid_key(same_characters: Mapping[str, str]) -> UuidKey:
    """The key under which a column's collation holds texts equal.

    :param same_characters: for each character that the column holds equal to another one, the one that stands for both.
    """
    if not same_characters:
        return str
    if all(one.lower() == other for one, other in same_characters.items()) and len(same_characters) == 26:
        return str.lower  # the usual case, at a fifth of the time
    table = str.maketrans(dict(same_characters))
    return lambda uuid: uuid.translate(table)


def table_time(seconds: float, zone: tzinfo) -> str:
    """A time as the table's columns hold it: ``YYYY-MM-DD HH:MM:SS``, naive, in the table's zone.

    Whole seconds, truncated: MySQL would round half ones up. :param seconds: since the epoch.
    """
    return datetime.fromtimestamp(int(seconds), zone).strftime("%Y-%m-%d %H:%M:%S")
