"""The newest changes between online and offline, for who looks at the page. Bounded: the names of 200 devices, and a
hash of each that is offline by its own word.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..devices.update import DeviceUpdate

KEPT = 200
MAX_REMEMBERED = 100_000  # devices offline by their own word whose return is told; each costs about 70 bytes


class Flip(NamedTuple):
    """One device changed."""

    at: float
    """Seconds since the epoch, when this service saw it in the table."""
    device: str
    is_online: bool
    is_own_word: bool = False
    """It said so itself, or its will did; else it was not heard for long enough."""


class Flips:
    """Told of a chunk at a time; the path of a message does not know it."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        """:param wall_clock: seconds since the epoch."""
        self._wall_clock = wall_clock
        self._said_offline: set[int] = set()
        self.newest: deque[Flip] = deque(maxlen=KEPT)
        """The last one first."""
        self.noted = 0
        """How many there were."""

    def went_silent(self, devices: Sequence[str]) -> None:
        """A sweep has set these offline."""
        self._note(devices, is_online=False)

    def came_back(self, update: DeviceUpdate) -> None:
        """This one was heard, and had been set offline by a sweep."""
        self._said_offline.discard(hash(update.key))
        self._note([update.uuid], is_online=True)

    def committed(self, updates: Sequence[DeviceUpdate], offline: Sequence[DeviceUpdate]) -> None:
        """These are in the table. :param offline: those of them that say so."""
        said = self._said_offline
        if said:
            for update in updates:
                if update.is_online and (name := hash(update.key)) in said:
                    said.remove(name)
                    self._note([update.uuid], is_online=True)
        for update in offline:
            name = hash(update.key)
            if name not in said:
                if len(said) < MAX_REMEMBERED:
                    said.add(name)
                self._note([update.uuid], is_online=False, is_own_word=True)

    def _note(self, devices: Sequence[str], *, is_online: bool, is_own_word: bool = False) -> None:
        now = self._wall_clock()
        self.noted += len(devices)
        self.newest.extendleft(Flip(now, device, is_online, is_own_word) for device in devices[-KEPT:])
