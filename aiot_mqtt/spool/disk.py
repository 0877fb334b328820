"""This host's disk, as far as the spool needs it: each call is a system call or two, and says exactly what it found."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
import sys
from pathlib import Path

from ..telemetry.reasons import spool as reasons

PAGE = 4096  # bytes
MAX_BYTES = 512 * 1024 * 1024
"""Of one file. A fleet's states take far less; who invents device names must not fill the disk."""
MAX_VALUE = 64 * 1024 * 1024  # bytes: a document has at most 16 MiB, and what a file claims to hold must fit in memory
MAX_NOTE = 200  # bytes
LOCK_TIMEOUT = 5.0  # s to wait for another process that has the file open
SYNCHRONOUS = "FULL"


class SpoolError(Exception):
    """The disk did not take or give something, because it is full, gone or ill; the text says why, fit to be logged.

    Whether a write took effect all the same is not known: look again before anything is built on it. Until that works
    what was to be saved stays in memory and unacknowledged, and the table gets nothing (``writing.saver``).
    """


class SpoolInUse(SpoolError):
    """Another process has it."""


class Disk:
    """Files by path. All methods block and raise ``OSError`` or ``sqlite3.Error``."""

    def find(self, path: Path) -> os.stat_result | None:
        """What is there by that name, links not followed; None only where it is certain that nothing is."""
        try:
            return os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def identity(self, path: Path) -> tuple[int, int] | None:
        """Which file is there by that name, whatever other names it has had: device and inode."""
        found = self.find(path)
        return None if found is None else (found.st_dev, found.st_ino)

    def version(self, path: Path) -> tuple[int, ...] | None:
        """Which file is there by that name, and since when as it is: its owner or rights may be set right."""
        found = self.find(path)
        return None if found is None else (found.st_dev, found.st_ino, found.st_ctime_ns)

    def head(self, path: Path) -> bytes:
        """The first bytes of a file, where SQLite's header is; links are not followed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.read(descriptor, 100)
        finally:
            os.close(descriptor)

    def read_through(self, path: Path) -> None:
        """Read a whole file, to see whether the disk gives it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            while os.read(descriptor, 1024 * 1024):
                pass
        finally:
            os.close(descriptor)

    def create(self, path: Path) -> None:
        """Make an empty file, for nobody else; SQLite would make it readable by others, and the journal takes after it.

        :raises FileExistsError: something is there, be it a link that leads nowhere.
        """
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open a database that is there, for this process alone."""
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        # What is not UTF-8 is told as such by whoever looks at the value; sqlite3 would call it an error of the disk.
        connection.text_factory = as_text
        try:
            if sys.version_info >= (3, 11):
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute(f"PRAGMA page_size={PAGE}")
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            # Keeps the journal's blocks, so that overwriting a few pages needs no room; and unlike a journal that is
            # deleted, one that is zeroed and synced cannot come back after a power cut and undo a commit.
            connection.execute("PRAGMA journal_mode=PERSIST")
            connection.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
            connection.execute(f"PRAGMA max_page_count={MAX_BYTES // PAGE}")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def commit(self, connection: sqlite3.Connection) -> None:
        """End a transaction: on disk when this returns."""
        connection.execute("COMMIT")

    def remove(self, path: Path) -> None:
        """Delete a file, should it be there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)

    def rename(self, path: Path, new: Path) -> None:
        """Give a file another name in its folder."""
        os.rename(path, new)

    def sync_folder(self, folder: Path) -> None:
        """So that a name that came or went does so after a power cut, too."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> int:
        """Make a file whose lock is held until its descriptor is closed; returns that.

        :raises BlockingIOError: another process holds it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def is_same(self, descriptor: int, path: Path) -> bool:
        """Whether a path still leads to an open file: the folder may have been mounted over, or put elsewhere."""
        found = self.find(path)
        return found is not None and os.path.samestat(found, os.fstat(descriptor))

    def read_note(self, descriptor: int) -> bytes:
        """What stands in the lock's file."""
        return os.pread(descriptor, MAX_NOTE, 0)

    def write_note(self, descriptor: int, note: bytes) -> None:
        """Have that stand in the lock's file for the next process, unless the file may be somebody's."""
        if why_not_ours(os.fstat(descriptor)) is None:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note, 0)
            os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Let go of a lock."""
        os.close(descriptor)


def as_text(data: bytes) -> str:
    """A text of a database, whatever bytes somebody put there."""
    return data.decode("utf-8", "surrogateescape")


def why_not_ours(found: os.stat_result) -> str | None:
    """Why a file by the spool's name is not to be touched, going by what it is; None: it may be ours."""
    if not stat.S_ISREG(found.st_mode):
        return reasons.SYMBOLIC_LINK if stat.S_ISLNK(found.st_mode) else reasons.NOT_A_FILE
    if found.st_nlink != 1:
        return reasons.MANY_NAMES.fill(count=found.st_nlink)
    if found.st_uid != os.geteuid():
        return reasons.OTHER_USERS.fill(theirs=found.st_uid, ours=os.geteuid())
    if found.st_mode & 0o022:
        return reasons.WRITABLE
    return None
