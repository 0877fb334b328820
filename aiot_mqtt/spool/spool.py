"""What was acknowledged while the database was away: up to two files, of which the older one is emptied first.

One is filled while the other is emptied. That a file is there is the only meaning of "not empty", and what is there is
looked at, not remembered: at start, after every error, and from time to time, because a disk may be mounted late. Names
are ``SPOOL_FILE`` and the same with ``.2``, and two more should somebody else's file have one of these; which is the
older one, they say themselves.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..devices.update import DeviceUpdate, UuidKey
from ..telemetry.reasons import spool as reasons
from .chunk import Chunk
from .contents import NOTHING, Held, Looked
from .damage import SpoolDamaged, in_words
from .disk import Disk, SpoolError
from .file import SpoolFile, Uncertain
from .format import MAX_NUMBER
from .found import SpoolForeign, SpoolOwner, open_found
from .lock import SpoolLock
from .names import files_of, journal_of, remove_with_journal, set_aside

T = TypeVar("T")

LEFT_ALONE = 60.0  # s since a file was changed, after which a process that finds it takes it for older than the table
MAX_FILES = 2  # of ours: one is filled while the other is emptied


class Spool:
    """The files, for one thread. Every method blocks, and raises ``SpoolError`` when the disk fails it.

    After an error nothing is known, and ``look`` comes next.
    """

    def __init__(self, path: Path, owner: SpoolOwner, disk: Disk | None = None) -> None:
        self.path = path
        self._owner = owner
        self._disk = disk or Disk()
        self._names = files_of(path)
        self._lock = SpoolLock(path, self._disk)
        self.files: list[SpoolFile] = []  # the older first
        self._foreign: dict[Path, tuple[int, ...] | None] = {}  # as they were when it was seen whose they are
        self._emptied: SpoolFile | None = None
        self._uncertain: Uncertain | None = None
        self._told_by_files: list[tuple[SpoolFile, int, Held]] = []
        self._is_suspect = False
        self._is_folder_synced = True
        self._set_aside_untold: list[tuple[Path, Path, str]] = []  # by looks that failed afterwards

    def look(self, *, is_late: bool = False) -> Looked:
        """Find out what is on disk.

        :param is_late: this process has written to the table before, without knowing what it may find now.
        :raises SpoolInUse: another process has it. :raises SpoolError: it cannot be told.
        """
        looked = Looked(set_aside=self._set_aside_untold)
        files: list[SpoolFile] = []
        self._told_by_files = []
        try:
            with self._told(self.path):
                self._lock.take()
                if not self._is_folder_synced:
                    self._sync_folder()
                versions = {path: self._disk.version(path) for path in self._names}
                for path in self._names:
                    if (file := self._look_at(path, looked, is_late)) is not None:
                        files.append(file)
        except BaseException:
            for file in files:
                if file not in self.files:
                    file.close()  # or the next look would find it locked
            raise
        for file, saves, total in self._told_by_files:
            file.accept(saves, total)
        self.files = sorted(files, key=lambda file: file.generation)
        self._foreign = {path: versions[path] for path, _ in looked.foreign}
        self._is_suspect = False
        self._set_aside_untold = []
        self._uncertain = None
        if looked.passed_over is not None:
            looked.passed_over.file.written(looked.passed_over)
        if self._emptied not in self.files:
            self._emptied = None
        self._note_passed_by()
        looked.is_empty = not self.files
        return looked

    def is_changed(self) -> bool:
        """Whether files came or went that nobody here knows of: a disk may be mounted late.

        :raises SpoolInUse: another process has it. :raises SpoolError: it cannot be told.
        """
        others = [path for path in self._names if path not in {file.path for file in self.files}]
        with self._told(self.path):
            self._lock.take()
            return any(self._disk.version(path) != self._foreign.get(path) for path in others) or not all(
                file.is_there for file in self.files
            )

    def save(self, updates: Sequence[DeviceUpdate], passed_over: Chunk | None = None) -> int:
        """Add updates, each merged with what is held of its device. Returns how many deliveries that supersedes.

        :param passed_over: the chunk of which these are left, when all else in it is written: they are older than what
            came since, and kept behind that, where the chunk is no more.
        :raises SpoolError: nobody knows whether they are on disk; ``look`` tells.
        """
        if passed_over is not None and passed_over.file is not self._emptied:
            return 0  # it is gone
        with self._told(self.path):
            self._lock.take(must_have=True)
            file = self._to_fill()
            if not file.is_there:  # a disk was mounted over it, or exchanged
                raise SpoolError(reasons.FILE_NOT_THERE)
            self._uncertain = Uncertain(file, file.saves, file.total, updates, passed_over)
            superseded = file.save(updates, are_older=passed_over is not None)
            self._uncertain = None
        if passed_over is not None:
            self.written(passed_over)
        return superseded

    def with_emptied(self, work: Callable[[SpoolFile], T], key: UuidKey) -> T | None:
        """Do something with the oldest file; from then on nothing is saved to that one.

        Returns None where there is no file.

        :param key: as the table has said which spellings are one device.
        """
        if not self.files:
            return None
        file = self.files[0]
        with self._told(file.path):
            if self._emptied is not file:
                self._emptied = file
                file.tell_spellings_apart(key)
            return work(file)

    def read(self, max_devices: int, max_bytes: int, key: UuidKey) -> Chunk | None:
        """The next updates to be written, of the oldest file, as ``with_emptied``.

        :param max_bytes: of documents; one update is read in any case.
        """
        return self.with_emptied(lambda file: file.read(max_devices, max_bytes), key)

    def written(self, chunk: Chunk) -> None:
        """A chunk is in the table, or refused by it; when it was the last of its file, delete that.

        :raises SpoolError: nobody knows whether the file is gone.
        """
        file = chunk.file
        if file is not self._emptied:
            return  # it is gone
        file.written(chunk)
        if not (file.held.devices and chunk.updates):
            with self._told(file.path):
                self._remove(file)

    @property
    def cannot_keep(self) -> str | None:
        """Why nothing can be saved, as far as that is known without trying."""
        return self._lock.cannot_keep

    @property
    def held(self) -> Held:
        """What all files hold that is not in the table, as far as this process knows."""
        return sum((file.held for file in self.files), NOTHING)

    @property
    def is_empty(self) -> bool:
        """Whether the last look, and what was done since, left no file."""
        return not self.files

    def close(self) -> None:
        """Close the files and give the lock back; what they hold is found by the next ``look``."""
        for file in self.files:
            file.close()
        self.files = []
        self._lock.close()

    # What follows raises OSError and sqlite3.Error, too.

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        try:
            with in_words(path):
                yield
        except SpoolDamaged:
            self._is_suspect = True
            raise

    def _note_passed_by(self) -> None:
        self._lock.note_passed_by([file.identity for file in self.files if file.is_late], self._foreign)

    def _look_at(self, path: Path, looked: Looked, is_late: bool) -> SpoolFile | None:
        """What is there by one of the names."""
        known = next((file for file in self.files if file.path == path), None)
        before = NOTHING if known is None else known.held
        if known is not None and not known.is_there:
            known.close()
            known = None
            looked.lost += before
            before = NOTHING
        if (found := self._disk.find(path)) is None:
            return None
        for is_suspect in (self._is_suspect, True):
            try:
                if known is not None:
                    self._look_again_at(known, looked, is_suspect=is_suspect)
                    return known if known.is_open else None
                file = open_found(path, self._disk, self._owner)
            except SpoolForeign as error:
                looked.foreign.append((path, str(error)))
                looked.lost += before
                return None
            except SpoolDamaged as error:
                # SQLite calls it damage where the disk does not give a page (SQLITE_IOERR_CORRUPTFS), which may be over
                # the next moment. What is damaged is so twice, on a disk that gives all of it.
                self._disk.read_through(path)
                reason = str(error)
            else:
                if file is None:
                    with suppress(OSError):  # it holds nothing, and is in nobody's way until something is saved
                        remove_with_journal(path, self._disk)
                else:
                    # Another instance may have had the fleet since it was left.
                    file.is_late |= is_late or abs(time.time() - found.st_mtime) > LEFT_ALONE
                    file.is_late |= file.identity is not None and file.identity[1] in self._lock.passed_by
                    looked.found += file.held
                return file
        if known is not None:
            known.close()
        looked.set_aside.append((path, set_aside(path, self._disk), reason))
        looked.lost += before
        return None

    def _look_again_at(self, file: SpoolFile, looked: Looked, *, is_suspect: bool) -> None:
        """Look at a file that this process knows; where the last save to it failed, find out whether it took effect."""
        uncertain = self._uncertain if self._uncertain is not None and self._uncertain.file is file else None
        try:
            saves, total = file.reopen(is_suspect=is_suspect)
            if uncertain is not None and saves > uncertain.saves:
                file.save_again([update.key for update in uncertain.updates])
                looked.passed_over = uncertain.passed_over
                looked.is_saved = uncertain.passed_over is None
                brought = sum(update.deliveries for update in uncertain.updates)
                looked.superseded = brought - (total - uncertain.total).deliveries
            self._told_by_files.append((file, saves, total))
        except (OSError, sqlite3.Error):
            if uncertain is None or uncertain.saves:
                raise
            looked.is_saved = False
            self._remove(file)  # nothing in it was ever acknowledged

    def _to_fill(self) -> SpoolFile:
        """The file that takes what is saved now."""
        newest = self.files[-1] if self.files else None
        used = {file.path for file in self.files} | set(self._foreign)
        free = next((path for path in self._names if path not in used), None) if len(self.files) < MAX_FILES else None
        is_filled = newest is not None and newest is not self._emptied and newest.can_be_filled
        if newest is not None and is_filled and (free is None or not newest.is_found):
            return newest
        if free is None:
            raise SpoolError(reasons.NO_FREE_NAME)
        generation = 1 if newest is None else newest.generation + 1
        if generation >= MAX_NUMBER:
            raise SpoolError(reasons.LAST_GENERATION)
        if self._disk.find(free) is not None:
            raise SpoolError(reasons.UNSEEN_FILE)
        # SQLite would play one that was left behind into the new file.
        self._disk.remove(journal_of(free))
        file = SpoolFile.create(free, self._disk, str(self._owner), generation)
        self.files.append(file)
        return file

    def _remove(self, file: SpoolFile) -> None:
        if self._disk.find(file.path) is not None and not file.is_there:
            raise SpoolError(reasons.OTHER_HAS_NAME)
        file.close()
        self._is_folder_synced = False
        self._disk.remove(file.path)
        if file in self.files:
            self.files.remove(file)
        if self._emptied is file:
            self._emptied = None
        self._disk.remove(journal_of(file.path))
        self._sync_folder()
        if file.is_late:
            self._note_passed_by()  # or the next file to get its inode would be taken for it

    def _sync_folder(self) -> None:
        """So that a file that was deleted does not come back after a power cut, with states that are older by then."""
        self._disk.sync_folder(self.path.parent)
        self._is_folder_synced = True
