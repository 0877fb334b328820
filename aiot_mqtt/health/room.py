"""What takes a while to find out, for whoever tells how the service is: the room on disk and the size of the fleet.

Nobody waits for it. Looked at while states wait on disk, and otherwise when somebody asks.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ..spool.space import Space
from ..spool.spooler import Spooler
from ..table.contract import StoreService
from ..table.mysql import DeviceTable
from .outlook import Look, Outlook, outlook
from .refreshed import Refreshed

SPACE_INTERVAL = 10.0  # s between two looks at the room on disk
COUNT_INTERVAL = 60.0  # s between two counts of the devices
QUICK_COUNT_INTERVAL = 5.0  # s, where counting takes a few milliseconds
COUNT_UNASKED = 3600.0  # s after which they are counted although nobody has asked, unless the log tells them
MAX_LOOKS = 60  # of ten seconds each


class Room:
    """Asks disk and table."""

    def __init__(
        self,
        spooler: Spooler | None,
        table: StoreService,
        clock: IReactorTime,
        *,
        count_unasked: float = COUNT_UNASKED,
    ) -> None:
        """:param count_unasked: seconds after which the devices are counted although nobody has asked."""
        self._spooler = spooler
        self._clock = clock
        self._space: Refreshed[Space | None] | None = None
        if spooler is not None:
            ask: Any = spooler.space
            self._space = Refreshed(ask, None, SPACE_INTERVAL, clock)
        self._devices: Refreshed[tuple[int, int] | None] | None = None
        if isinstance(table, DeviceTable):
            count: Any = table.count_devices
            self._devices = Refreshed(count, None, COUNT_INTERVAL, clock, quick_interval=QUICK_COUNT_INTERVAL)
        self._count_unasked = count_unasked
        self._counted_at = float("-inf")
        self._seen: Space | None = None
        self._looks: deque[Look] = deque(maxlen=MAX_LOOKS)

    def space(self) -> Space | None:
        """The room on disk; None: it was not looked at yet, or there is no spool."""
        return None if self._space is None else self._space.value()

    def devices(self) -> tuple[int, int] | None:
        """Devices that are online, and all; None: they were not counted yet."""
        if self._devices is None:
            return None
        self._counted_at = self._clock.seconds()
        return self._devices.value()

    @property
    def counted_ago(self) -> float | None:
        """Seconds since the devices were counted; None: they were not."""
        counted = self._devices
        return None if counted is None or counted.last is None else counted.age

    def online(self) -> int | None:
        """Devices that were online when they were last counted; None: not lately."""
        counted = self._devices
        if counted is None or counted.last is None or counted.age > 2 * self._count_unasked:
            return None
        return counted.last[0]

    def look(self, *, can_count: bool) -> None:
        """To be called each second. :param can_count: the table answers."""
        now = self._clock.seconds()
        if can_count and self._devices is not None and now - self._counted_at >= self._count_unasked:
            self.devices()  # so that it is known when the table is away
        if self._spooler is None or not self._spooler.devices:
            self._looks.clear()
            self._seen = None
            return
        space = self.space()
        if space is not None and space is not self._seen:
            self._seen = space
            self._looks.append(Look(now, space.free, space.used))

    def outlook(self) -> Outlook | None:
        """What there is room for while states wait on disk; None: nothing waits, or there is nothing to go by."""
        if self._spooler is None or self._seen is None:
            return None
        devices = None if self._devices is None else self._devices.last
        return outlook(
            self._looks,
            room=self._seen.room,
            kept=self._spooler.devices,
            devices=None if devices is None else devices[1],
        )
