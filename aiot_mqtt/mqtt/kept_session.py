"""Notices a session whose messages may be older than what the table holds.

While we are away the broker keeps what is published, and when its queue is full it drops the newest, not the oldest.
Should somebody else have written the table meanwhile, such as the service that this one replaces, then what comes out
of the queue moves rows back until each device reports again. Nobody can see that in the messages; but whoever starts
can know how long the session was left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.durations import duration

# A restart takes less, and is not worth a word.
LONG = 10.0  # s
# So many that a queue of the default length (max_queued_messages, 1000) may have been full: not all of it comes before
# SUBACK. But not after a time in which nobody else can have begun to write and ended.
FULL_QUEUE = 500  # messages
SHORT = 2.0  # s


class KeptSession:
    """Whether there is a session and when it was left, over restarts, noted in a file.

    That there is one stands there from the first connection on; when it was left only between the end and the next
    start, so after a crash nobody knows.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path | None,
        name: str,
        counters: Counters,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param path: the file; None: nothing can be noted on this host.
        :param name: whose session on which broker it is.
        :param counters: they say how many messages have come so far.
        :param wall_clock: seconds since the epoch.
        """
        self._path = path
        self._name = name
        self._counters = counters
        self._wall_clock = wall_clock
        self._left_at: float | None = None
        self._noted = ""  # whose session there was before this process
        self._is_connected = self._is_taken = False
        self._age: float | None = None
        self._received_before: int | None = None
        self._connections = 0

    @property
    def is_known(self) -> bool:
        """Whether the session was ours before the connection that there is, as far as the note or this process says;
        where nothing can be noted, nothing speaks against it.
        """
        return self._path is None or self._connections > 1 or self._noted == self._name

    def begin(self) -> None:
        """Take the note, before the first connection."""
        if self._path is None:
            return
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._path.read_text("utf-8"))
            self._noted = str(note["session"])
            if self._noted == self._name and note.get("left_at") is not None:
                self._left_at = float(note["left_at"])
        if self._noted:
            self._note(self._noted)

    def connected(self, is_present: bool) -> bool:
        """The broker has accepted a connection.

        :param is_present: whether it had kept the session.
        :returns: whether it has lost one that there was before this process.
        """
        self._is_connected = True
        self._connections += 1
        if self._connections > 1:
            if self._is_taken:
                self._is_taken = False
                self._note(self._name)
            return False
        noted = self._noted
        if noted != self._name:
            self._note(self._name)
        if not is_present:
            if noted == self._name:
                self._log.error(log_lines.SESSION_LOST_WHILE_AWAY)
            elif noted:
                self._log.warn(log_lines.SESSION_OF_OTHER_NAME, earlier=noted)
            else:
                self._log.info(log_lines.SESSION_FIRST)
            return noted == self._name
        self._received_before = self._counters.received
        age = None if self._left_at is None else self._wall_clock() - self._left_at
        self._age = age if age is not None and age >= 0 else None  # the clock was set back
        return False

    def subscribed(self) -> None:
        """The broker has granted every topic; what was in its queue comes before that, as far as the window goes."""
        before, self._received_before = self._received_before, None
        if before is None:
            return
        age, waiting = self._age, self._counters.received - before
        if age is None:
            self._log.warn(log_lines.SESSION_OF_UNKNOWN_AGE, waiting=waiting)
        elif age >= LONG or (age >= SHORT and waiting >= FULL_QUEUE):
            self._log.warn(log_lines.SESSION_LEFT_ALONE, lasts=duration(age), seconds=round(age), waiting=waiting)

    def disconnected(self) -> None:
        """The connection has ended; the broker keeps the session from now on."""
        if self._is_connected:
            self._is_connected = False
            self._left_at = self._wall_clock()

    def taken(self) -> None:
        """Somebody else has the session: until it is ours again, the next process must not take it for its own."""
        self._is_taken = True
        self._note("")

    def end(self) -> None:
        """Note when the session was left: now, or when the last connection ended, or before this process."""
        self.disconnected()
        if self._left_at is None or self._is_taken:
            return
        self._note(self._name, self._left_at)

    def _note(self, name: str, left_at: float | None = None) -> None:
        if self._path is None:
            return
        note = json.dumps({"session": name} if left_at is None else {"session": name, "left_at": left_at})
        with contextlib.suppress(OSError):  # then nobody knows, and the next start says so
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(note)
