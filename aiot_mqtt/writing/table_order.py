"""Has a large backlog read from disk in the order in which the table keeps its rows.

A small one is read as it was saved. What is in memory keeps its order always: its acknowledgements go out in that.
"""

from __future__ import annotations

from ..devices.update import UuidKey
from ..spool.file import SpoolFile
from ..spool.spooler import Spooler
from ..table.contract import KnowsPlaces, Place, Store

LARGE = 20_000  # devices on disk; fewer are in the table within seconds in any order
MOST = 250_000  # rows that are arranged at one time: some 30 MB meanwhile, and 2 s until the first of them is written
PIECE = 10_000  # devices that are asked for at one time


class TableOrder:
    """Asks the table where it keeps what is read next, and has the spool read it in that order."""

    def __init__(self, spooler: Spooler, store: Store) -> None:
        self._spooler = spooler
        self._store = store if isinstance(store, KnowsPlaces) else None

    async def arrange(self, key: UuidKey) -> None:
        """Arrange what is read next, unless it is, or is little, or the table does not tell.

        :param key: which spellings are one device.
        :raises StoreError: the table is away. :raises SpoolError: the disk is.
        """
        store = self._store
        if store is None or self._spooler.devices < LARGE:
            return
        window = await self._spooler.with_emptied(_Window.of, key)
        if window is None:
            return
        places: list[tuple[Place, int]] = []
        unknown: list[int] = []
        while piece := await self._spooler.with_emptied(window.next_devices, key):
            found = await store.find_places([device for device, _ in piece])
            if found is None:
                await self._spooler.with_emptied(window.leave, key)
                return
            for (_, version), place in zip(piece, found, strict=True):
                if place is None:
                    unknown.append(version)
                else:
                    places.append((place, version))
        # What lies in one place is one row to the table, by whatever names: of these the older stays before the newer.
        places.sort()
        window.versions = [version for _, version in places] + unknown
        del places
        await self._spooler.with_emptied(window.arrange, key)


class _Window:
    """The rows of a file that are arranged together. Its methods run in the spool's thread."""

    def __init__(self, file: SpoolFile, last: int) -> None:
        self._file = file
        self._last = last
        self._after = ""
        self.versions: list[int] = []

    @classmethod
    def of(cls, file: SpoolFile) -> _Window | None:
        """The next one of a file that is emptied."""
        last = file.last_to_arrange(LARGE, MOST)
        return None if last is None else cls(file, last)

    def next_devices(self, file: SpoolFile) -> list[tuple[str, int]]:
        """The next devices by their names, with their versions; none: there are no more, or the file is gone."""
        if file is not self._file:
            return []
        found = file.devices_to(self._last, self._after, PIECE)
        if found:
            self._after = found[-1][0]
        return found

    def arrange(self, file: SpoolFile) -> None:
        """Have the file read in this order."""
        if file is self._file:
            file.arrange(self._last, self.versions)

    def leave(self, file: SpoolFile) -> None:
        """Have it read as it was saved."""
        if file is self._file:
            file.arrange(self._last, [])
