"""What is on disk to the table, a chunk at a time, before anything that came later."""

from __future__ import annotations

from collections.abc import Callable

from ..devices.update import UuidKey
from ..spool.disk import SpoolError
from ..spool.spooler import Spooler
from ..table.contract import Store
from .chunk_size import MAX_BYTES
from .chunks import Chunks
from .data_path import DataPath, DataPathEvents, State
from .saver import Saver
from .settlement import Settlement
from .table_order import TableOrder


class Emptying:
    """Writes what the spool holds, the oldest file first."""

    def __init__(
        self,
        path: DataPath,
        spooler: Spooler,
        saver: Saver,
        settlement: Settlement,
        chunks: Chunks,
        *,
        store: Store,
        now: Callable[[], str],
    ) -> None:
        """:param now: the time as the table's columns hold it."""
        self._path = path
        self._spooler = spooler
        self._saver = saver
        self._settlement = settlement
        self._chunks = chunks
        self._order = TableOrder(spooler, store)
        self._now = now
        self._is_trusted = True

    def distrust(self) -> None:
        """What is on disk now may be older than what the table holds."""
        self._is_trusted = False

    def trust(self) -> None:
        """There is nothing on disk; what comes there is later than what the table holds."""
        self._is_trusted = True

    async def write_chunk(self, key: UuidKey) -> None:
        """Write the next chunk, and have the spool let go of it.

        :param key: which spellings are one device.
        :raises StoreError: the table did not take it; it is still on disk.
        """
        try:
            await self._order.arrange(key)
            chunk = await self._spooler.read(self._chunks.size.rows, MAX_BYTES, key)
            if chunk is not None:
                until = self._now() if chunk.file.is_late or not self._is_trusted else None
                self._settlement.begin(is_spooled=True, unless_heard_until=until)
                if chunk.updates:
                    await self._chunks.write(chunk.updates)
                await self._spooler.written(chunk, self._settlement.count_spooled)
            if self._spooler.is_empty and self._path.state is State.EMPTYING:
                self._path.happens(DataPathEvents.emptied)
        except SpoolError:
            self._saver.disk_failed()
