"""Where log lines go: to standard output or a file, each in a thread of its own, so that nobody waits for a reader."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from . import log_lines
from .network import os_reason

LOG_FILE_BYTES = 10 * 1024 * 1024  # one file, before it is rotated
LOG_FILES_KEPT = 10
MAX_WAITING = 1024 * 1024  # bytes of lines that may wait for one stream; more are counted and dropped
RETRY = 1.0  # s between two attempts at a stream that takes nothing, and at a rotation that failed
STANDARD_STREAMS = (1, 2)


class Stream(Protocol):
    """Where bytes are written. Both calls may block, and raise ``OSError``."""

    def write(self, data: bytes) -> None:
        """Write all of these bytes."""
        ...

    def reopen(self) -> None:
        """Open it anew under its name, if it has one: somebody has moved the file away."""
        ...


class Descriptor:
    """What is open already, such as standard output: a pipe, a terminal, a socket, a file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        """See ``Stream``."""
        _write_all(self._descriptor, data)

    def reopen(self) -> None:
        """See ``Stream``; what has no name stays as it is."""


class LogFile:
    """A file that is rotated; or a named pipe or a device, which is not.

    What this makes is not for others, whatever the umask. Twisted's own cannot be written to any more once a rotation
    has failed, and needs to seek.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int | None = LOG_FILE_BYTES,
        max_kept: int = LOG_FILES_KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        :param max_bytes: a file of this size is rotated; None: somebody else does that.
        :param max_kept: how many rotated ones there may be.
        :raises OSError: it cannot be opened.
        """
        self.path = path
        self._max_bytes = max_bytes
        self._max_kept = max_kept
        self._clock = clock
        self._rotation_due = 0.0
        self._descriptor = _open(path)

    def write(self, data: bytes) -> None:
        """See ``Stream``; a rotation that fails is no error, it is tried again later."""
        if self._is_due():
            self._rotation_due = self._clock() + RETRY
            with contextlib.suppress(OSError):
                # Should only the opening have failed the last time, the file is out of the way already.
                if self.path.exists():
                    self._move_aside()
                self.reopen()
        _write_all(self._descriptor, data)

    def reopen(self) -> None:
        """See ``Stream``. When it fails, what was open stays so."""
        descriptor = _open(self.path)
        self.close()
        self._descriptor = descriptor

    def close(self) -> None:
        """Close the file for good."""
        os.close(self._descriptor)

    def _is_due(self) -> bool:
        status = os.fstat(self._descriptor)
        if self._max_bytes is None or not stat.S_ISREG(status.st_mode) or status.st_size < self._max_bytes:
            return False
        return self._clock() >= self._rotation_due

    def _move_aside(self) -> None:
        """Number the old ones up, as far as the first gap: one that a failed attempt left must not cost a file."""
        old = [self.path, *(Path(f"{self.path}.{number}") for number in range(1, self._max_kept + 1))]
        gap = next((number for number, path in enumerate(old) if not path.exists()), self._max_kept)
        for number in range(gap, 0, -1):
            old[number - 1].replace(old[number])


def _open(path: Path) -> int:
    # Opening must not wait for the reader of a named pipe, nor make a terminal ours.
    flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    kind = path.stat().st_mode if path.exists() else 0
    if stat.S_ISBLK(kind):
        raise OSError(errno.EINVAL, "it is a disk")
    # Opened for both, a named pipe needs no reader, and keeps what was written until one comes (fifo(7)).
    flags |= os.O_RDWR if stat.S_ISFIFO(kind) else os.O_WRONLY
    descriptor = os.open(path, flags, 0o640)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IRWXO:
        with contextlib.suppress(OSError):  # it is another user's
            os.fchmod(descriptor, stat.S_IMODE(mode) & ~stat.S_IRWXO)
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # ours, or made so by another process that has it open too
            waiting = select.poll()
            waiting.register(descriptor, select.POLLOUT)
            waiting.poll()


def open_streams(log_file: str, *, on_terminal: bool, rotates: bool = True) -> list[Stream]:
    """Where lines go; nothing twice, should both be the same.

    :param log_file: a path, or empty. ``/dev/stdout`` and ``/dev/stderr`` are what is open, whatever kind it is.
    :param on_terminal: whether standard output is ours, which it is not in a daemon.
    :param rotates: whether a file that has grown is rotated; else somebody else does that, and says ``reopen``.
    :raises OSError: the file cannot be opened.
    """
    streams: list[Stream] = []
    # Its own number, because it is 1 only when it was open at the start.
    output = sys.stdout.fileno() if on_terminal else None
    if log_file:
        path = Path(log_file).absolute()
        # A socket, such as systemd's journal, cannot be opened by the name that it has in /dev.
        inherited = [number for number in STANDARD_STREAMS if _is_open_as(path, number)]
        if inherited and not path.is_file():
            streams.append(Descriptor(os.dup(inherited[0])))
        else:
            streams.append(LogFile(path, max_bytes=LOG_FILE_BYTES if rotates else None))
        if output is not None and _is_open_as(path, output):
            output = None
    if output is not None:
        sys.stdout.flush()
        streams.insert(0, Descriptor(output))
    return streams


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


class Outlet:
    """Lines on their way to one stream. Whoever logs never waits: lines that find no room are counted and dropped.

    Until ``start`` they wait: a thread would not survive the fork of a daemon.
    """

    def __init__(
        self, stream: Stream, line: Callable[..., bytes], tell: Callable[[bytes], object] | None = None
    ) -> None:
        """
        :param line: makes a line of a format out of ``log_lines`` and its fields.
        :param tell: has a line about the stream written wherever lines go; None: to the stream alone.
        """
        self._stream = stream
        self._line = line
        self._tell = tell or self.put
        self._thread: threading.Thread | None = None
        # Re-entrant: the garbage collector may run in the midst of this, and log.
        self._changed = threading.Condition(threading.RLock())
        self._lines: list[bytes] = []
        self._bytes_waiting = 0  # those that are being written included
        self._lost = 0
        self._is_to_be_reopened = False
        self._patience = 0.0

    def put(self, line: bytes) -> None:
        """Have it written, or count it as lost."""
        with self._changed:
            # Once one is lost, so are all until that is told: the line about it stands where they are missing.
            if self._lost or (self._lines and self._bytes_waiting + len(line) > MAX_WAITING):
                self._lost += 1
                return
            self._lines.append(line)
            self._bytes_waiting += len(line)
            self._changed.notify_all()
        if self._patience:
            self._flush(self._patience)

    def start(self) -> None:
        """Begin to write what was put in, in a thread of its own."""
        if self._thread is None:
            # A daemon, in threading's sense: the process must be able to end while it is stuck.
            self._thread = threading.Thread(target=self._write_for_ever, name="log", daemon=True)
            self._thread.start()

    def reopen(self) -> None:
        """Have the file opened anew."""
        with self._changed:
            self._is_to_be_reopened = True
            self._changed.notify_all()

    def finish(self, seconds: float) -> None:
        """Wait until all is written, but no longer than this; what is put later is waited for too."""
        self._flush(seconds)
        self._patience = 0.1

    def _flush(self, seconds: float) -> None:
        if self._thread is None:
            self._write_what_waits()
            return
        until = time.monotonic() + seconds
        with self._changed:
            while (self._bytes_waiting or self._lost) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def _write_for_ever(self) -> None:
        while True:
            with self._changed:
                while not (self._lines or self._lost or self._is_to_be_reopened):
                    self._changed.wait()
            if not self._write_what_waits():
                time.sleep(RETRY)

    def _write_what_waits(self) -> bool:
        """Write what waits. Returns whether the stream takes anything."""
        with self._changed:
            lines, self._lines = self._lines, []
            lost, is_to_be_reopened, self._is_to_be_reopened = self._lost, self._is_to_be_reopened, False
        if is_to_be_reopened:
            try:
                self._stream.reopen()
            except OSError as error:
                # The file that stays open may be deleted: nobody would read it there alone.
                self._tell(self._line(log_lines.LOG_NOT_REOPENED, reason=os_reason(error)))
        told = 0
        if lost and not lines:
            lines, told = [self._line(log_lines.LINES_LOST, count=lost)], lost
        data = b"".join(lines)
        failed = False
        try:
            self._stream.write(data)
        except (OSError, ValueError):  # a full disk, a closed pipe: nobody to tell it to until it works again
            failed = True
        with self._changed:
            if told:
                self._lost -= 0 if failed else told
            else:
                self._lost += len(lines) if failed else 0
                self._bytes_waiting = sum(map(len, self._lines))
            self._changed.notify_all()
        return not failed
