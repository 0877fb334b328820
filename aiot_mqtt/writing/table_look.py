"""What the table said about itself when it was looked at last, and who hears it."""

from __future__ import annotations

from ..devices.update import UuidKey, uuid_key
from ..table.contract import Store
from .listeners import TableListener


class TableLook:
    """Looks at the table; whoever writes to it looks first, and again when it may be another one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[TableListener] = []
        self.key: UuidKey = str
        """Which spellings are one device to it."""
        self.was_seen = False
        """Whether it was looked at at all, in this process."""
        self.is_current = False
        """Whether it was looked at since it was last ``lost``."""

    def add_listener(self, listener: TableListener) -> None:
        """See ``Writer.add_table_listener``."""
        self._listeners.append(listener)

    def lost(self) -> None:
        """It is away, or another one may be there the next time."""
        self.is_current = False

    async def look(self) -> None:
        """Look at it, and tell what it says.

        :raises StoreError: it cannot be served, now.
        """
        description = await self._store.describe()
        self.is_current = True
        self.key = uuid_key(description.same_characters)
        for listener in self._listeners:
            listener.table_described(description)
        self.was_seen = True
