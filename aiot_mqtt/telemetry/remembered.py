"""What was refused last of each device, and which names knock that no row has: for who asks about one device.

Pure, and bounded in memory whatever is sent; nothing here is on the way of a message that is accepted.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import NamedTuple

from .printable import shorten

MAX_DEVICES = 5000  # of each sort: with 300 to 700 bytes each, some 5 MB for both (measured with tracemalloc)
LONGEST = 256  # characters of a name that are kept
KEPT_BYTES = 800  # of a refused payload: 200 characters of any script
KNOCKING = 600.0  # s after its last message that somebody counts as knocking


class Refusal(NamedTuple):
    """One message of a device that was not taken, or not all of it."""

    at: float
    """By a clock that is never set."""
    reason: str
    """The word that it is counted by."""
    detail: str
    topic: str
    payload: str
    """Its beginning, printable."""


class Newest(NamedTuple):
    """The last message that was refused for one reason."""

    device: str
    """As it spells itself; empty: nobody knows which."""
    refusal: Refusal
    payload: bytes
    """The first ``KEPT_BYTES`` of it."""


class Knocks(NamedTuple):
    """Messages under a name that no row has."""

    messages: int
    since: float
    """By a clock that is never set."""
    last: float


class Remembered:
    """Refusals by device, and strangers; the ones that were heard of longest ago are forgotten first."""

    def __init__(self, max_devices: int = MAX_DEVICES) -> None:
        self._max_devices = max_devices
        # A dict would look through the places of what was deleted to find its first.
        self._refusals: OrderedDict[str, Refusal] = OrderedDict()
        self._knocks: OrderedDict[str, Knocks] = OrderedDict()
        self.newest: dict[str, Newest] = {}
        """By the reason, of which there are ten."""

    def refused(self, device: str, refusal: Refusal, payload: bytes = b"") -> None:
        """A message of this device was refused; one that has no row knocks, too.

        :param device: empty: nobody knows whose it is.
        """
        self.newest[refusal.reason] = Newest(device[:LONGEST], refusal, payload[:KEPT_BYTES])
        if not device or refusal.reason == "unknown_device":
            return
        self._refusals.pop(device, None)
        self._refusals[device] = refusal
        if len(self._refusals) > self._max_devices:
            self._refusals.popitem(last=False)

    def knocked(self, device: str, deliveries: int, now: float) -> None:
        """No row has this ``uuid``, or none can have it."""
        device = shorten(device)
        known = self._knocks.pop(device, None)
        if known is None or now - known.last > KNOCKING:
            known = Knocks(0, now, now)
        self._knocks[device] = Knocks(known.messages + deliveries, known.since, now)
        if len(self._knocks) > self._max_devices:
            self._knocks.popitem(last=False)

    def refusal(self, device: str) -> Refusal | None:
        """The last one of a device, as it spells itself."""
        return self._refusals.get(device)

    def knocks(self, device: str, now: float) -> Knocks | None:
        """Whether this one knocks."""
        known = self._knocks.get(shorten(device))
        return None if known is None or now - known.last > KNOCKING else known

    def newest_knocks(self, most: int, now: float) -> list[tuple[str, Knocks]]:
        """Those that knocked last, the last one first."""
        self._forget_strangers(now)
        return list(islice(reversed(self._knocks.items()), most))

    def strangers(self, now: float) -> int:
        """How many knock; at most as many as are remembered."""
        self._forget_strangers(now)
        return len(self._knocks)

    def newest_strangers(self, most: int, now: float) -> list[str]:
        """Those that knocked last, the last one first."""
        return [name for name, _ in self.newest_knocks(most, now)]

    def _forget_strangers(self, now: float) -> None:
        while self._knocks and now - self._knocks[first := next(iter(self._knocks))].last > KNOCKING:
            del self._knocks[first]
