"""Threads for calls that block: a handful of Python calls for each, where Twisted's own pool needs sixty.

A batch of one message makes one such call, so what it costs is in the time from PUBLISH to PUBACK.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

T = TypeVar("T")

_Job = tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Threads:
    """A number of threads that grows with the calls under way, up to a most; calls beyond wait in their order."""

    def __init__(self, reactor: Any, most: int, name: str, closed: Callable[[], Exception]) -> None:
        """
        :param reactor: an ``IReactorFromThreads``; all but ``stop`` is for its thread.
        :param closed: makes the error of a call that comes after ``stop``.
        """
        self._reactor = reactor
        self._most = most
        self._name = name
        self._closed = closed
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._is_stopped = False

    def call(self, function: Callable[..., T], *arguments: object, **named: object) -> Deferred[T]:
        """Call a function in a thread; the Deferred fires with its result."""
        if self._is_stopped:
            return fail(self._closed())
        self._unfinished += 1
        if len(self._threads) < min(self._unfinished, self._most):
            # A daemon: one that is stuck in a name look-up must not keep the process from ending.
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        result: Deferred[T] = Deferred()
        self._jobs.put((result, function, arguments, named))
        return result

    def stop(self) -> None:
        """End the threads once what was called is done, and wait for that. May be called in any thread."""
        self._is_stopped = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        for result, function, arguments, named in iter(self._jobs.get, None):
            try:
                outcome = function(*arguments, **named)
            except BaseException:
                outcome = Failure()
            self._reactor.callFromThread(self._done, result, outcome)
            del result, function, arguments, named, outcome  # a batch may be large, and the next job far

    def _done(self, result: Deferred[Any], outcome: object) -> None:
        self._unfinished -= 1
        result.callback(outcome)
