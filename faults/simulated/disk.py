"""The spool's disk and its thread: real files, of which a seed lets calls fail, hang, or be cut off by a kill."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from rig.faulty_disk import FaultyDisk

if TYPE_CHECKING:
    from .process import Process
    from .world import World

ERRORS = {
    errno.ENOSPC: "disk full",
    errno.EIO: "disk I/O error",
    errno.EACCES: "disk forbids",
    errno.EROFS: "disk read-only",
}
CALLS = ("find", "create", "connect", "commit", "remove", "rename", "sync_folder", "lock")
WRITES = ("create", "commit", "remove", "rename", "sync_folder", "lock")


class Killed(BaseException):
    """The process is killed inside a call."""


class SimulatedDisk(FaultyDisk):
    """The disk of one process; its errors are the world's."""

    def __init__(self, weather: DiskWeather) -> None:
        super().__init__(self._fails)
        self._weather = weather
        self.connections: list[tuple[sqlite3.Connection, tuple[int, int]]] = []
        self.descriptors: list[int] = []
        self.had_lock = False
        self.calls_left: int | None = None
        """After how many calls the process is killed."""

    def _fails(self, name: str) -> tuple[int, bool] | None:
        if self.calls_left is not None:
            if not self.calls_left:
                raise Killed
            self.calls_left -= 1
            return None
        return self._weather.fails(name)

    def connect(self, path: Path) -> sqlite3.Connection:
        """See ``Disk``."""
        connection = super().connect(path)
        found = os.lstat(path)
        self.connections.append((connection, (found.st_dev, found.st_ino)))
        return connection

    def remove(self, path: Path) -> None:
        """See ``Disk``."""
        self._weather.about_to_delete(path)
        super().remove(path)

    def lock(self, path: Path) -> int:
        """See ``Disk``."""
        descriptor = super().lock(path)
        self.descriptors.append(descriptor)
        self.had_lock = True
        return descriptor

    def close(self, descriptor: int) -> None:
        """See ``Disk``."""
        self.descriptors.remove(descriptor)
        super().close(descriptor)

    @property
    def holds_lock(self) -> bool:
        """Whether it has the lock in the folder that is there now."""
        path = self._weather.lock_path
        return path.exists() and any(os.path.samestat(os.fstat(held), os.lstat(path)) for held in self.descriptors)

    def connection_to(self, identity: tuple[int, int]) -> sqlite3.Connection | None:
        """The connection to a file that this process has open."""
        for connection, theirs in reversed(self.connections):
            if theirs == identity:
                with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                    connection.total_changes  # noqa: B018
                    return connection
        return None

    def process_died(self) -> None:
        """What a kernel does: close everything."""
        for connection, _ in self.connections:
            connection.close()
        self.connections.clear()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()


class DiskWeather:
    """Which calls of the disk fail, for all processes."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self.about_to_delete = world.about_to_delete
        self.lock_path = world.spool_path.with_name("spool.lock")
        self.rate = 0.0
        self.calls: tuple[str, ...] = CALLS
        """Which of them the rate is about."""
        self.is_gone = False
        """Every call fails."""
        self.is_frozen = False
        """No call is answered."""
        self.error = errno.EIO

    def fails(self, name: str) -> tuple[int, bool] | None:
        """See ``FaultyDisk``."""
        if not self.is_gone and (name not in self.calls or not (self.rate and self._random.random() < self.rate)):
            return None
        is_done = not self.is_gone and self._random.random() < 0.5
        self._world.effects[ERRORS[self.error]] += 1
        self._world.effects[f"failing {name}"] += 1
        if is_done and name in WRITES:
            self._world.effects[f"lost reply of {name}"] += 1
        return self.error, is_done


class Thread:
    """Runs one job after the other, each when the seed says."""

    def __init__(self, world: World, process: Process, random: Random) -> None:
        self._world = world
        self._process = process
        self._random = random
        self._jobs: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._is_busy = False

    @property
    def is_busy(self) -> bool:
        """Whether there is a job that was not begun, or that is under way."""
        return bool(self._jobs)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """See ``RunInThread``."""
        answer: Deferred[Any] = Deferred(lambda _answer: None)
        if not self._process.is_dead:
            self._jobs.append((lambda: function(*arguments), answer))
            self._begin()
        return answer

    def latency(self) -> float:
        """Seconds that something takes."""
        return self._random.choice((0.0, 0.0, 0.001, 0.02, 0.3)) * self._world.slowness

    def _begin(self) -> None:
        if self._jobs and not self._is_busy:
            self._is_busy = True
            self._process.clock.callLater(self.latency(), self._do)

    def _do(self) -> None:
        if self._world.disk.is_frozen:
            self._world.effects["disk hangs"] += 1
            self._process.clock.callLater(1.0 + self._random.random(), self._do)
            return
        job, answer = self._jobs.popleft()
        try:
            result = job()
        except Exception:
            result = Failure()
        self._world.disk_changed()
        self._process.clock.callLater(self.latency(), self._done, answer, result)

    def _done(self, answer: Deferred[Any], result: Any) -> None:
        self._is_busy = False
        self._begin()
        if not answer.called:
            answer.callback(result)

    def process_died(self) -> None:
        """What it was at is done, or not, or half."""
        if not self._jobs:
            return
        job, _ = self._jobs[0]
        fate = self._random.random()
        if fate < 0.3:
            return
        disk = self._process.disk
        if fate < 0.8:
            disk.calls_left = self._random.randrange(6)
        try:
            job()
        except Killed:
            self._world.effects["killed inside a call of the spool"] += 1
        except Exception:
            pass
        else:
            self._world.effects["killed after a call of the spool"] += 1
