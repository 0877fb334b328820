"""What was acknowledged while the database was away: up to two files, of which the older one is emptied first.

One is filled while the other is emptied. That a file is there is the only meaning of "not empty", and what is there is
looked at, not remembered: at start, after every error, and from time to time, because a disk may be mounted late. Names
are ``SPOOL_FILE`` and the same with ``.2``, and two more should somebody else's file have one of these; which is the
older one, they say themselves.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..devices.update import DeviceUpdate, UuidKey
from .disk import Disk, SpoolError, SpoolInUse
from .file import MAX_NUMBER, Chunk, Held, SpoolDamaged, SpoolFile
from .found import SpoolForeign, SpoolOwner, open_found

SUFFIXES = ("", ".2", ".3", ".4")
LOCK_SUFFIX = ".lock"
ASIDE = ".damaged-"  # and the time
JOURNAL_SUFFIX = "-journal"
MAX_FILES = 2  # of ours: one is filled while the other is emptied
NOTHING = Held()


@dataclass(slots=True)
class Looked:
    """What a look at the disk found."""

    is_empty: bool = True
    """There is no file that may hold something of ours."""
    found: Held = NOTHING
    """What this process neither saved nor knew of."""
    lost: Held = NOTHING
    """What this process knew of, in files that are gone or damaged."""
    is_saved: bool = False
    """The save that failed is on disk all the same."""
    superseded: int = 0
    """How many deliveries that one superseded."""
    set_aside: list[tuple[Path, Path, str]] = field(default_factory=list)
    """Damaged files: their name before and now, and what is wrong with them."""
    foreign: list[tuple[Path, str]] = field(default_factory=list)
    """Files by the spool's names that are somebody else's, and why: neither written nor deleted."""


@dataclass(frozen=True, slots=True)
class _Uncertain:
    """A save of which nobody knows whether it took effect."""

    file: SpoolFile
    saves: int
    total: Held
    updates: Sequence[DeviceUpdate]


class Spool:
    """The files, for one thread. Every method blocks, and raises ``SpoolError`` when the disk fails it.

    After an error nothing is known, and ``look`` comes next.
    """

    def __init__(self, path: Path, owner: SpoolOwner, disk: Disk | None = None) -> None:
        self.path = path
        self._owner = owner
        self._disk = disk or Disk()
        self._names = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
        self._lock_path = path.with_name(path.name + LOCK_SUFFIX)
        self._lock: int | None = None
        self._files: list[SpoolFile] = []  # the older first
        self._foreign: list[Path] = []
        self._emptied: SpoolFile | None = None
        self._uncertain: _Uncertain | None = None
        self._told_by_files: list[tuple[SpoolFile, int, Held]] = []
        self.cannot_keep: str | None = None
        """Why nothing can be saved, as far as that is known without trying: no lock can be made."""
        self._is_suspect = False
        self._is_folder_synced = True
        self._passed_by: set[int] = set()
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
                self._take_lock()
                if not self._is_folder_synced:
                    self._sync_folder()
                for path in self._names:
                    if (file := self._look_at(path, looked, is_late)) is not None:
                        files.append(file)
        except BaseException:
            for file in files:
                if file not in self._files:
                    file.close()  # or the next look would find it locked
            raise
        for file, saves, total in self._told_by_files:
            file.accept(saves, total)
        self._files = sorted(files, key=lambda file: file.generation)
        self._foreign = [path for path, _ in looked.foreign]
        self._is_suspect = False
        self._set_aside_untold = []
        self._uncertain = None
        if self._emptied not in self._files:
            self._emptied = None
        self._note_passed_by()
        looked.is_empty = not self._files
        return looked

    def is_changed(self) -> bool:
        """Whether files came or went that nobody here knows of: a disk may be mounted late.

        :raises SpoolInUse: another process has it. :raises SpoolError: it cannot be told.
        """
        known = [file.path for file in self._files] + self._foreign
        with self._told(self.path):
            self._take_lock()
            return any((self._disk.find(path) is not None) != (path in known) for path in self._names) or not all(
                file.is_there for file in self._files
            )

    def save(self, updates: Sequence[DeviceUpdate]) -> int:
        """Add updates, each merged with what is held of its device.

        :return: how many deliveries that supersedes.
        :raises SpoolError: nobody knows whether they are on disk; ``look`` tells.
        """
        with self._told(self.path):
            self._take_lock(must_have=True)
            file = self._to_fill()
            if not file.is_there:  # a disk was mounted over it, or exchanged
                raise SpoolError("it is not there any more")
            self._uncertain = _Uncertain(file, file.saves, file.total, updates)
            superseded = file.save(updates)
            self._uncertain = None
        return superseded

    def read(self, max_devices: int, max_bytes: int, key: UuidKey) -> Chunk | None:
        """The next updates to be written, of the oldest file; from then on nothing is saved to that one.

        :param max_bytes: of documents; one update is read in any case.
        :param key: as the table has said which spellings are one device.
        :return: None where there is no file.
        """
        if not self._files:
            return None
        file = self._files[0]
        with self._told(file.path):
            if self._emptied is not file:
                self._emptied = file
                file.tell_spellings_apart(key)
            return file.read(max_devices, max_bytes)

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
    def held(self) -> Held:
        """What all files hold that is not in the table, as far as this process knows."""
        return sum((file.held for file in self._files), NOTHING)

    @property
    def is_empty(self) -> bool:
        """Whether the last look, and what was done since, left no file."""
        return not self._files

    def close(self) -> None:
        """Close the files and give the lock back; what they hold is found by the next ``look``."""
        for file in self._files:
            file.close()
        self._files = []
        if self._lock is not None:
            self._disk.close(self._lock)
            self._lock = None

    # What follows raises OSError and sqlite3.Error, too.

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        """Say in words what went wrong, and where."""
        try:
            yield
        except SpoolInUse:
            raise
        except SpoolDamaged as error:
            self._is_suspect = True
            raise SpoolDamaged(f"{path}: {error}") from error
        except SpoolError as error:
            raise SpoolError(f"{path}: {error}") from error
        except sqlite3.Error as error:
            # SQLite's "database is locked" would be taken for the database.
            if "locked" in str(error):
                raise SpoolInUse(f"{path}: another process has it open") from error
            raise SpoolError(f"{path}: {error}") from error
        except OSError as error:
            raise SpoolError(f"{error.filename or path}: {error.strerror or error}") from error

    def _take_lock(self, *, must_have: bool = False) -> None:
        """Keep other processes out for as long as this one lives.

        Where no lock can be made because nothing can, as on a full disk or in a folder that is not there, nothing can
        be saved either, and a file that is there is locked by SQLite.

        :param must_have: raise then, too.
        """
        if self._lock is not None and not self._disk.is_same(self._lock, self._lock_path):
            self._disk.close(self._lock)  # the folder is another one now
            self._lock = None
        if self._lock is None:
            self.cannot_keep = None
            try:
                self._lock = self._disk.lock(self._lock_path)
                noted = self._disk.read_note(self._lock).split()
                self._passed_by = {int(word) for word in noted if word.isdigit()}
            except BlockingIOError:
                raise SpoolInUse(f"{self.path}: another process of this service has it") from None
            except OSError as error:
                self.cannot_keep = f"{self._lock_path}: {error.strerror or error}"
                if must_have:
                    raise

    def _note_passed_by(self) -> None:
        """Have the next process know, too, which files the table was written to without: by their inodes.

        Settings may be set back, or rights mended, and what such a file holds must not go over what came later.
        """
        late = [file.identity for file in self._files if file.is_late]
        with suppress(OSError):  # it is a full disk that does not take it
            found = [*late, *(self._disk.identity(path) for path in self._foreign)]
            passed_by = {identity[1] for identity in found if identity is not None}
            if self._lock is not None and passed_by != self._passed_by:
                self._passed_by = passed_by
                self._disk.write_note(self._lock, b" ".join(b"%d" % inode for inode in sorted(passed_by)))

    def _look_at(self, path: Path, looked: Looked, is_late: bool) -> SpoolFile | None:
        """What is there by one of the names."""
        known = next((file for file in self._files if file.path == path), None)
        before = NOTHING if known is None else known.held
        if known is not None and not known.is_there:
            known.close()
            known = None
            looked.lost += before
            before = NOTHING
        if self._disk.find(path) is None:
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
                        self._remove_empty(path)
                else:
                    file.is_late = is_late or (file.identity is not None and file.identity[1] in self._passed_by)
                    looked.found += file.held
                return file
        if known is not None:
            known.close()
        looked.set_aside.append((path, self._set_aside(path), reason))
        looked.lost += before
        return None

    def _look_again_at(self, file: SpoolFile, looked: Looked, *, is_suspect: bool) -> None:
        """Look at a file that this process knows; where the last save to it failed, find out whether it took effect."""
        uncertain = self._uncertain if self._uncertain is not None and self._uncertain.file is file else None
        try:
            saves, total = file.reopen(is_suspect=is_suspect)
            if uncertain is not None and saves > uncertain.saves:
                file.save_again([update.key for update in uncertain.updates])
                looked.is_saved = True
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
        newest = self._files[-1] if self._files else None
        used = {file.path for file in self._files} | set(self._foreign)
        free = next((path for path in self._names if path not in used), None) if len(self._files) < MAX_FILES else None
        is_filled = newest is not None and newest is not self._emptied and newest.can_be_filled
        if newest is not None and is_filled and (free is None or not newest.is_found):
            return newest
        if free is None:
            raise SpoolError("no name is free for another file")
        generation = 1 if newest is None else newest.generation + 1
        if generation >= MAX_NUMBER:
            raise SpoolError("no file can come behind the one that is there")
        if self._disk.find(free) is not None:
            raise SpoolError("a file has turned up there that nobody has looked at")
        # SQLite would play one that was left behind into the new file.
        self._disk.remove(free.with_name(free.name + JOURNAL_SUFFIX))
        file = SpoolFile.create(free, self._disk, str(self._owner), generation)
        self._files.append(file)
        return file

    def _remove(self, file: SpoolFile) -> None:
        if self._disk.find(file.path) is not None and not file.is_there:
            raise SpoolError("another file has its name")
        file.close()
        self._is_folder_synced = False
        self._disk.remove(file.path)
        if file in self._files:
            self._files.remove(file)
        if self._emptied is file:
            self._emptied = None
        self._disk.remove(file.path.with_name(file.path.name + JOURNAL_SUFFIX))
        self._sync_folder()
        if file.is_late:
            self._note_passed_by()  # or the next file to get its inode would be taken for it

    def _sync_folder(self) -> None:
        """So that a file that was deleted does not come back after a power cut, with states that are older by then."""
        self._disk.sync_folder(self.path.parent)
        self._is_folder_synced = True

    def _remove_empty(self, path: Path) -> None:
        """Delete a file that was about to be made, with nothing in it; where that fails, it is judged anew."""
        for name in (path, path.with_name(path.name + JOURNAL_SUFFIX)):
            self._disk.remove(name)

    def _set_aside(self, path: Path) -> Path:
        """Give a damaged file another name."""
        stem = f"{path.name}{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}"
        names = (path.with_name(stem + suffix) for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
        aside = next(name for name in names if self._disk.find(name) is None)
        self._disk.rename(path, aside)
        journal = path.with_name(path.name + JOURNAL_SUFFIX)
        if self._disk.find(journal) is not None:
            self._disk.rename(journal, aside.with_name(aside.name + JOURNAL_SUFFIX))
        self._disk.sync_folder(path.parent)
        return aside
