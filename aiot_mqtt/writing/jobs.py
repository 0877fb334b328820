"""Work that has the table to itself: done between two batches, after all that was pending when it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred

T = TypeVar("T")


class Jobs:
    """Jobs that wait for their turn, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Deferred[Any]], Deferred[Any]]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Have a job run in its turn; how it ends is how the Deferred ends. Cancelling that takes it back."""
        done: Deferred[T] = Deferred()
        self._waiting.append((job, done))
        return done

    def cancel(self) -> None:
        """Cancel those that did not begin."""
        for _, done in self._waiting:
            done.cancel()
        self._waiting.clear()

    async def run_next(self) -> None:
        """Run the first one and hand on how it ended; whatever that is, it does not end the writer."""
        job, done = self._waiting.pop(0)
        if done.called:  # cancelled by whoever asked for it
            return
        try:
            result = await job()
        except CancelledError:
            done.cancel()
            raise
        except Exception:
            done.errback()
        else:
            done.callback(result)
