"""What is asked of the table by whoever tells how things are; nothing of the data path waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from .address import DatabaseAddress
from .count import count_devices
from .device_row import Found, find_device
from .server_look import ServerLook, look_at_server

T = TypeVar("T")


class Questions(Protocol):
    """Mixed into ``DeviceTable``. Each raises ``StoreError`` where it cannot be told, now."""

    _address: DatabaseAddress

    def _run(self, work: Callable[..., T], *arguments: object, is_fenced: bool = False) -> Deferred[T]: ...

    def count_devices(self) -> Deferred[tuple[int, int]]:
        """How many rows say online, and how many there are. Reads all of the table's index or rows, and locks none."""
        return self._run(count_devices, self._address.table)

    def find_device(self, uuid: str) -> Deferred[Found]:
        """One device's row; see ``device_row``."""
        return self._run(find_device, self._address.table, uuid)

    def look_at_server(self) -> Deferred[ServerLook]:
        """What decides how fast the server writes; see ``server_look``."""
        return self._run(look_at_server, self._address.database, self._address.table)
