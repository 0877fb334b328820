"""Which devices' rows somebody keeps locked, so that the others need not wait for them.

A short lock is waited for, once. From then on the table is asked before each write who is locked, as long as anybody
is, so that many are not found one after the other, each by a wait. A server that does not tell that, and a trigger that
answers like a lock, leave this: of a row that conflicts by itself again and again only so much is known that the others
can be written meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from ..devices.update import DeviceUpdate
from ..table.contract import KnowsLocks, Store

MAX_CONFLICTS = 3  # of a device's update alone, in a row, before it is passed over
AGAIN = 10.0  # s until it is tried again; and in which nobody was locked, until the table is not asked any more


class LockedRows:
    """Of devices whose updates are on disk."""

    def __init__(self, store: Store, clock: IReactorTime) -> None:
        self._store = store if isinstance(store, KnowsLocks) else None
        self._clock = clock
        self._asked_until = float("-inf")
        self._locked: dict[str, float] = {}  # and when the table said so last
        self._conflicts: dict[str, int] = {}  # of a device's update alone
        self._until: dict[str, float] = {}

    async def among(self, updates: Sequence[DeviceUpdate]) -> list[DeviceUpdate]:
        """Those to pass over for now. :raises StoreError: the table was to be asked, and is away."""
        now = self._clock.seconds()
        if self._until:
            self._until = {key: until for key, until in self._until.items() if until > now}
        if now < self._asked_until:
            await self._ask(updates)
        else:
            self._locked.clear()
        return [update for update in updates if update.key in self._until or update.key in self._locked]

    @property
    def count(self) -> int:
        """How many devices are passed over for now, as far as was seen lately."""
        since = self._clock.seconds() - AGAIN
        return len(self._until.keys() | {key for key, seen in self._locked.items() if seen >= since})

    async def conflicted(self, updates: Sequence[DeviceUpdate]) -> str:
        """A write of these met a lock, and has waited for it; returns the first that is passed over because of it.

        Empty: nobody is, or somebody was before.

        :raises StoreError: the table is away.
        """
        were_locked = bool(self._locked)
        if await self._ask(updates):
            return "" if were_locked else next(each.uuid for each in updates if each.key in self._locked)
        if len(updates) > 1:
            return ""
        (update,) = updates
        conflicts = self._conflicts[update.key] = self._conflicts.get(update.key, 0) + 1
        if conflicts >= MAX_CONFLICTS:
            self._until[update.key] = self._clock.seconds() + AGAIN
        return update.uuid if conflicts == MAX_CONFLICTS else ""

    def written(self, updates: Sequence[DeviceUpdate]) -> None:
        """The table has taken these, or refused a value in them."""
        for update in updates if self._conflicts else ():
            self._conflicts.pop(update.key, None)

    async def _ask(self, updates: Sequence[DeviceUpdate]) -> bool:
        """Ask who is locked; returns whether any of these is."""
        if self._store is None:
            return False
        uuids = await self._store.find_locked([update.uuid for update in updates])
        now, is_any = self._clock.seconds(), False
        for update in updates:
            if update.uuid in uuids:
                self._locked[update.key] = now
                is_any = True
            else:
                self._locked.pop(update.key, None)
        if is_any:
            self._asked_until = now + AGAIN
        return is_any
