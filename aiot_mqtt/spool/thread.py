"""The thread for the spool's calls: one of its own, because the reactor's may all be in name look-ups that hang."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class SpoolThread:
    """Runs one call after the other; it is there between ``start`` and ``stop``."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool: ThreadPool | None = None

    def start(self) -> None:
        """Take calls."""
        self._pool = ThreadPool(0, 1, "spool")
        self._pool.start()

    def run(self, function: Callable[..., T], *arguments: object) -> Deferred[T]:
        """Call a function in the thread; fires with what it returns or raises."""
        assert self._pool is not None
        running: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        return running

    def stop(self) -> None:
        """Take no more, and wait until the last one has ended."""
        if self._pool is not None:
            self._pool.stop()
