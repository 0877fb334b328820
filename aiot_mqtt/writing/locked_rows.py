"""Which devices' rows somebody keeps locked, so that the others need not wait for them.

A short lock is waited for. Of a row that conflicts by itself again and again, whatever the reason, only this much is
known: the others can be written meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from ..devices.update import DeviceUpdate

MAX_CONFLICTS = 3  # of a device's update alone, in a row, before it is passed over
AGAIN = 10.0  # s until it is tried again


class LockedRows:
    """Of devices whose updates are on disk."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._conflicts: dict[str, int] = {}  # of a device's update alone
        self._until: dict[str, float] = {}

    def among(self, updates: Sequence[DeviceUpdate]) -> list[DeviceUpdate]:
        """Those to pass over for now."""
        if not self._until:
            return []
        now = self._clock.seconds()
        self._until = {key: until for key, until in self._until.items() if until > now}
        return [update for update in updates if update.key in self._until]

    @property
    def count(self) -> int:
        """How many devices are passed over for now."""
        return len(self._until)

    def conflicted(self, update: DeviceUpdate) -> bool:
        """A device's update alone met a lock; returns whether it is to be passed over, for the first time."""
        conflicts = self._conflicts[update.key] = self._conflicts.get(update.key, 0) + 1
        if conflicts >= MAX_CONFLICTS:
            self._until[update.key] = self._clock.seconds() + AGAIN
        return conflicts == MAX_CONFLICTS

    def written(self, updates: Sequence[DeviceUpdate]) -> None:
        """The table has taken these, or refused a value in them."""
        for update in updates if self._conflicts else ():
            self._conflicts.pop(update.key, None)
