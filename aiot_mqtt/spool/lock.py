"""What keeps other processes out of the spool, and what one process notes there for the next."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..telemetry.network import os_reason
from ..telemetry.reasons import spool as reasons
from .disk import Disk, SpoolInUse
from .names import lock_of


class SpoolLock:
    """A lock on a file beside the spool's, held for as long as the process lives. Every method blocks.

    Its file also notes which files the table was written to without, by their inodes: settings may be set back, or
    rights mended, and what such a file holds must not go over what came later.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        """:param path: ``SPOOL_FILE``."""
        self._spool = path
        self._path = lock_of(path)
        self._disk = disk
        self._descriptor: int | None = None
        self.passed_by: set[int] = set()
        """Inodes of the files that were noted."""
        self.cannot_keep: str | None = None
        """Why nothing can be saved, as far as that is known without trying: no lock can be made."""

    def take(self, *, must_have: bool = False) -> None:
        """Keep other processes out for as long as this one lives.

        Where no lock can be made because nothing can, as on a full disk or in a folder that is not there, nothing can
        be saved either, and a file that is there is locked by SQLite.

        :param must_have: raise then, too.
        :raises SpoolInUse: another process has it. :raises OSError: see ``must_have``.
        """
        if self._descriptor is not None and not self._disk.is_same(self._descriptor, self._path):
            self.close()  # the folder is another one now
        if self._descriptor is None:
            self.cannot_keep = None
            try:
                self._descriptor = self._disk.lock(self._path)
                noted = self._disk.read_note(self._descriptor).split()
                self.passed_by = {int(word) for word in noted if word.isdigit()}
            except BlockingIOError:
                raise SpoolInUse(reasons.AT_PATH.fill(path=self._spool, reason=reasons.HELD_BY_PROCESS)) from None
            except OSError as error:
                self.cannot_keep = reasons.AT_PATH.fill(path=self._path, reason=os_reason(error))
                if must_have:
                    raise

    def note_passed_by(self, late: Iterable[tuple[int, int] | None], foreign: Iterable[Path]) -> None:
        """Have the next process know, too, which files the table was written to without.

        :param late: what ``Disk.identity`` says of files that turned up late.
        :param foreign: files of somebody else's.
        """
        with suppress(OSError):  # it is a full disk that does not take it
            found = [*late, *(self._disk.identity(path) for path in foreign)]
            passed_by = {identity[1] for identity in found if identity is not None}
            if self._descriptor is not None and passed_by != self.passed_by:
                self.passed_by = passed_by
                self._disk.write_note(self._descriptor, b" ".join(b"%d" % inode for inode in sorted(passed_by)))

    def close(self) -> None:
        """Let the next process have it."""
        if self._descriptor is not None:
            self._disk.close(self._descriptor)
            self._descriptor = None
