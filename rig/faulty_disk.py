"""A disk that fails below the spool: a call does nothing and fails, or does what it should and fails all the same."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from aiot_mqtt.spool.disk import Disk

T = TypeVar("T")

FULL, BROKEN, FORBIDDEN, READ_ONLY = errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS


class FaultyDisk(Disk):
    """The real disk, but for the calls that ``fault`` picks."""

    def __init__(self, fault: Callable[[str], tuple[int, bool] | None]) -> None:
        """
        :param fault: asked before each call, by its name; returns an ``errno`` and whether the call is done before it
            fails, or None.
        """
        self._fault = fault
        self.calls: list[str] = []

    def find(self, path: Path) -> os.stat_result | None:
        """See ``Disk.find``."""
        return self._try("find", lambda: super(FaultyDisk, self).find(path))

    def create(self, path: Path) -> None:
        """See ``Disk.create``."""
        self._try("create", lambda: super(FaultyDisk, self).create(path))

    def connect(self, path: Path) -> sqlite3.Connection:
        """See ``Disk.connect``."""
        return self._try("connect", lambda: super(FaultyDisk, self).connect(path), undo=sqlite3.Connection.close)

    def commit(self, connection: sqlite3.Connection) -> None:
        """See ``Disk.commit``."""
        self._try("commit", lambda: super(FaultyDisk, self).commit(connection), error=_sqlite_error)

    def remove(self, path: Path) -> None:
        """See ``Disk.remove``."""
        self._try("remove", lambda: super(FaultyDisk, self).remove(path))

    def rename(self, path: Path, new: Path) -> None:
        """See ``Disk.rename``."""
        self._try("rename", lambda: super(FaultyDisk, self).rename(path, new))

    def sync_folder(self, folder: Path) -> None:
        """See ``Disk.sync_folder``."""
        self._try("sync_folder", lambda: super(FaultyDisk, self).sync_folder(folder))

    def lock(self, path: Path) -> int:
        """See ``Disk.lock``."""
        return self._try("lock", lambda: super(FaultyDisk, self).lock(path), undo=os.close)

    def _try(
        self,
        name: str,
        call: Callable[[], T],
        *,
        undo: Callable[[T], object] = lambda _result: None,
        error: Callable[[int], Exception] = lambda number: OSError(number, os.strerror(number)),
    ) -> T:
        self.calls.append(name)
        fault = self._fault(name)
        if fault is None:
            return call()
        number, is_done = fault
        if is_done:
            undo(call())
        raise error(number)


def _sqlite_error(number: int) -> Exception:
    return sqlite3.OperationalError("database or disk is full" if number == FULL else "disk I/O error")
