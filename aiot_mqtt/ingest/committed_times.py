"""What the table is known to say about when devices were heard, and so which heartbeats need no write.

Pure: told of commits and of time, never asks for either. Only what this process has committed counts as known, and only
while nothing newer of the device is on its way to the table. Memory: 150 bytes a device, rounded up (measured with
tracemalloc: 106 to 132, with names of 36 characters), of those whose heartbeat was written within twice the resolution.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from ..devices.update import DeviceUpdate

MAX_DEVICES = 200_000  # remembered at one time, 30 MB; the heartbeats of more are all written
UNSETTLED = ""  # in the place of last_seen: earlier than any time
_NOTHING_KNOWN = (UNSETTLED, UNSETTLED)


class CommittedTimes:
    """``last_heartbeat`` and ``last_seen`` of online rows, as they were last committed.

    Times are texts as the table's columns hold them, which compare as the times do. Devices are named by their
    ``DeviceUpdate.key``.
    """

    def __init__(self, resolution: int, pending: Container[str], *, max_devices: int = MAX_DEVICES) -> None:
        """
        :param resolution: seconds by which times must move to be worth a write; at least 1.
        :param pending: the devices, by their key, for which an update is there that nobody has begun to write.
        """
        self.resolution = resolution
        self._pending = pending
        self._max_devices = max_devices
        self._now = self._too_old = self._generation_began = ""
        # By the commit of the heartbeat: those since the generation began, and those of the one before. Rows with equal
        # times share one pair, which saves 72 bytes each.
        self._current: dict[str, tuple[str, str]] = {}
        self._previous: dict[str, tuple[str, str]] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}

    def __len__(self) -> int:
        """How many devices are remembered."""
        return len(self._current) + len(self._previous)

    def time_is(self, now: str, too_old: str) -> None:
        """It has become another second.

        :param too_old: the time ``resolution`` seconds before now.
        """
        self._now, self._too_old = now, too_old
        if too_old >= self._generation_began or now < self._generation_began:
            self._previous, self._current, self._pairs = self._current, {}, {}
            self._generation_began = now

    def forget(self) -> None:
        """Nothing is known any more."""
        self._current, self._previous, self._pairs = {}, {}, {}

    def are_recent(self, key: str) -> bool:
        """Whether a heartbeat now would only move the times of this device's row, and by less than the resolution.

        Times ahead of now were written before the clock was set back, and are not.
        """
        heartbeat, seen = self._current.get(key) or self._previous.get(key) or _NOTHING_KNOWN
        return self._too_old < heartbeat <= self._now and self._too_old < seen <= self._now

    def unsettle(self, key: str) -> None:
        """The row is about to change: nothing is known of it until the last of what is on its way is committed."""
        for generation in (self._current, self._previous):
            if key in generation:
                generation[key] = (generation[key][0], UNSETTLED)

    def rows_committed(self, updates: Sequence[DeviceUpdate], *, is_spooled: bool) -> None:
        """These are in the table; to be told in the order of the commits.

        :param is_spooled: see ``CommitListener``. What comes from there settles nothing.
        """
        for update in updates:
            key = update.key
            known = self._current.pop(key, None) or self._previous.pop(key, None) or _NOTHING_KNOWN
            heartbeat = update.last_heartbeat or known[0]
            if heartbeat > self._too_old and len(self) < self._max_devices:
                is_settled = update.is_online and not is_spooled and key not in self._pending
                times = (heartbeat, update.last_seen if is_settled else UNSETTLED)
                self._current[key] = self._pairs.setdefault(times, times)

    def row_refused(self, update: DeviceUpdate) -> None:
        """Nothing is known of its row, and so it stays."""
