"""What is on disk to the table, a chunk at a time, before anything that came later."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..devices.update import UuidKey
from ..spool.chunk import Chunk
from ..spool.disk import SpoolError
from ..spool.file import SpoolFile
from ..spool.spooler import Spooler
from ..table.contract import Store, StoreConflict
from ..telemetry import log_lines
from ..telemetry.printable import shorten
from . import table_order
from .chunk_size import MAX_BYTES
from .chunks import Chunks
from .data_path import DataPath, DataPathEvents, State
from .locked_rows import LockedRows
from .saver import Saver
from .settlement import Settlement
from .table_order import TableOrder

PAUSE = 1.0  # s between two looks at whether there is more than rows that are locked


class Emptying:
    """Writes what the spool holds, the oldest file first."""

    _log = Logger()

    def __init__(
        self,
        path: DataPath,
        spooler: Spooler,
        saver: Saver,
        settlement: Settlement,
        chunks: Chunks,
        *,
        store: Store,
        latest: Callable[[], str],
    ) -> None:
        """:param latest: see ``Writer``."""
        self._path = path
        self._spooler = spooler
        self._saver = saver
        self._settlement = settlement
        self._chunks = chunks
        self._order = TableOrder(spooler, store, chunks.size, chunks.clock)
        self._latest = latest
        self._locked = LockedRows(store, chunks.clock)
        self._is_trusted = True
        self._ahead: Deferred[Chunk | None] | None = None

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
            chunk = await self._next(key)
            if chunk is not None:
                self._ahead = self._read_behind(chunk, key)
                until = self._latest() if chunk.file.is_late or not self._is_trusted else None
                self._settlement.begin(is_spooled=True, unless_heard_until=until)
                await self._write(chunk)
            if self._spooler.is_empty and self._path.state is State.EMPTYING:
                self._path.happens(DataPathEvents.emptied)
        except SpoolError:
            self._saver.disk_failed()

    async def _write(self, chunk: Chunk) -> None:
        # What is kept in another file does not say that it was in a late one; distrust lasts until nothing is on disk.
        may_pass_over = not chunk.file.is_late
        locked = await self._locked.among(chunk.updates) if may_pass_over else []
        keys = {update.key for update in locked}
        updates = [update for update in chunk.updates if update.key not in keys] if locked else chunk.updates
        if updates:
            try:
                await self._chunks.write(updates)
            except StoreConflict as error:
                if may_pass_over and (passed_over := await self._locked.conflicted(updates)):
                    self._log.warn(log_lines.ROW_PASSED_OVER, uuid=shorten(passed_over), reason=str(error))
                raise
            self._locked.written(updates)
        elif locked and self._spooler.devices <= self._locked.count:
            await deferLater(self._chunks.clock, PAUSE)  # nobody else waits
            return
        if locked:
            await self._spooler.pass_over(chunk, locked, self._settlement.count_spooled)
        else:
            await self._spooler.written(chunk, self._settlement.count_spooled)

    async def _next(self, key: UuidKey) -> Chunk | None:
        """The next chunk, which was read while the one before was written, if that was."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            chunk = await ahead
            if chunk is not None and chunk.is_next and len(chunk.updates) <= self._chunks.size.rows:
                return chunk
        await self._order.arrange(key)
        return await self._spooler.read(self._chunks.size.rows, MAX_BYTES, key)

    def _read_behind(self, chunk: Chunk, key: UuidKey) -> Deferred[Chunk | None] | None:
        """Read what is behind a chunk while the database is at that: with a large backlog either takes as long."""
        if self._spooler.devices < table_order.LARGE or self._order.is_due(chunk.file):
            return None
        rows, file = self._chunks.size.rows, chunk.file

        def read(emptied: SpoolFile) -> Chunk | None:
            return emptied.read(rows, MAX_BYTES, chunk) if emptied is file else None

        async def try_to_read() -> Chunk | None:
            try:
                return await self._spooler.with_emptied(read, key)
            except SpoolError:
                return None  # which was told, and the next call finds out the same

        return Deferred.fromCoroutine(try_to_read())
