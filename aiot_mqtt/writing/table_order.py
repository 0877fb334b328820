"""Has a large backlog read from disk in the order in which the table keeps its rows.

A small one is read as it was saved, and so is a large one where the database is quick at that. What is in memory keeps
its order always: its acknowledgements go out in that.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ..devices.update import UuidKey
from ..spool.file import SpoolFile
from ..spool.spooler import Spooler
from ..table.contract import KnowsPlaces, Place, Store, StoreError
from .chunk_size import ChunkSize

LARGE = 20_000  # devices on disk; fewer are in the table within seconds in any order
MOST = 1_000_000  # rows that are arranged at one time: 44 bytes each meanwhile, and 9 µs until the first is written
MOST_OTHERS = 100_000  # the same, where their places are no numbers, which take several times as much
PIECE = 25_000  # devices that are asked for at one time, at most; what comes meanwhile goes to disk between two of them
FIRST_PIECE = 1_000  # devices; twice as many after each quick answer, so that a narrow way gets small questions
QUICK, SLOW = 0.5, 2.0  # s for an answer
MAX_FAILURES = 3  # in a row; then what is on disk now is written as it came
OFFSET = 32  # bits of a version beside its place


class TableOrder:
    """Asks the table where it keeps what is read next, and has the spool read it in that order."""

    def __init__(self, spooler: Spooler, store: Store, size: ChunkSize, clock: IReactorTime) -> None:
        """:param size: knows whether rows take so long that the question where they lie is worth it."""
        self._spooler = spooler
        self._size = size
        self._store = store if isinstance(store, KnowsPlaces) else None
        self._clock = clock
        self._piece = min(FIRST_PIECE, PIECE)
        self._failures = 0  # in a row

    def is_due(self, file: SpoolFile) -> bool:
        """Whether more of a file is to be arranged before it is read on."""
        return self._is_worth_it and file.reading.may_be_arranged

    async def arrange(self, key: UuidKey) -> None:
        """Arrange what is read next, unless it is, or is little, or the table does not tell.

        :param key: which spellings are one device.
        :raises StoreError: the table is away. :raises SpoolError: the disk is.
        """
        store = self._store
        if self._spooler.devices < LARGE:
            self._failures = 0
            return
        if store is None or not self._is_worth_it:
            return
        window = await self._spooler.with_emptied(lambda file: _Window.of(file, MOST), key)
        if window is not None and not await self._fill(window, store, key):
            window = await self._spooler.with_emptied(lambda file: _Window.of(file, MOST_OTHERS), key)
            if window is not None:
                await self._fill(window, store, key)
        if window is not None:
            await self._spooler.with_emptied(window.arrange, key)

    @property
    def _is_worth_it(self) -> bool:
        return self._store is not None and self._size.is_slow and self._failures < MAX_FAILURES

    async def _fill(self, window: _Window, store: KnowsPlaces, key: UuidKey) -> bool:
        """Find out all places of a window; False: it is too large for what they are."""

        def next_devices(file: SpoolFile) -> list[tuple[str, int]]:
            return window.next_devices(file, self._piece)

        while piece := await self._spooler.with_emptied(next_devices, key):
            places = await self._ask(store, [device for device, _ in piece])
            if places is None:
                window.clear()
                return True
            if not window.add(places, [version for _, version in piece]):
                return False
        return True

    async def _ask(self, store: KnowsPlaces, devices: Sequence[str]) -> Sequence[Place | None] | None:
        """Ask for some places, and for as many the next time as were answered quickly."""
        began = self._clock.seconds()
        try:
            places = await store.find_places(devices)
        except StoreError:
            self._failures += 1
            self._piece = max(1, self._piece // 10)
            raise
        self._failures = 0
        took = self._clock.seconds() - began
        if took < QUICK:
            self._piece = min(PIECE, 2 * self._piece)
        elif took > SLOW:
            self._piece = max(1, self._piece // 2)
        return places


class _Window:
    """The rows of a file that are arranged together. What takes a while runs in the spool's thread."""

    def __init__(self, file: SpoolFile, last: int, most: int) -> None:
        self._file = file
        self._last = last
        self._after = ""
        self._most = most
        self._first = file.reading.read_to
        self._places: list[Any] = []  # place and offset of the version: in one number, where the place is one
        self._unknown = array("q")

    @classmethod
    def of(cls, file: SpoolFile, most: int) -> _Window | None:
        """The next one of a file that is emptied."""
        last = file.last_to_arrange(LARGE, most)
        return None if last is None else cls(file, last, most)

    def add(self, places: Sequence[Place | None], versions: Sequence[int]) -> bool:
        """So much was found out; returns whether all may be, by what it takes in memory."""
        for place, version in zip(places, versions, strict=True):
            offset = version - self._first
            if place is None:
                self._unknown.append(version)
            elif isinstance(place, int):
                self._places.append(place << OFFSET | offset)
            elif self._most > MOST_OTHERS:
                return False
            else:
                self._places.append((place, offset))
        return True

    def clear(self) -> None:
        """Let them be read as they were saved."""
        self._places.clear()
        del self._unknown[:]

    def next_devices(self, file: SpoolFile, most: int) -> list[tuple[str, int]]:
        """The next devices by their names, with their versions; none: there are no more, or the file is gone."""
        if file is not self._file:
            return []
        found = file.devices_to(self._last, self._after, most)
        if found:
            self._after = found[-1][0]
        return found

    def arrange(self, file: SpoolFile) -> None:
        """Have the file read in this order."""
        # What lies in one place is one row to the table, by whatever names: of these the older stays before the newer.
        self._places.sort()
        if file is self._file:
            versions = array("q", (self._first + _offset(each) for each in self._places))
            file.arrange(self._last, versions + self._unknown)


def _offset(place: Any) -> int:
    return int(place & (1 << OFFSET) - 1 if isinstance(place, int) else place[1])
