"""How work that must go on survives a fault of ours: an exception that nobody foresaw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

T = TypeVar("T")

FAULT_DELAY = 1.0  # s before work is begun again


async def go_on(work: Callable[[], Awaitable[T]], clock: IReactorTime, log: Logger, line: str) -> T:
    """Do the work until it ends in order: log what was not foreseen, wait a moment, and begin again.

    Time passes between two tries, so that a fault that stays costs a line a second and not a processor.
    """
    while True:
        try:
            return await work()
        except CancelledError:
            raise
        except Exception:
            log.failure(line)
            await deferLater(clock, FAULT_DELAY)


def start(work: Coroutine[Any, Any, object], log: Logger, line: str) -> Deferred[None]:
    """Begin work that nobody waits for; what ends it unexpectedly is logged. Cancelling the Deferred cancels it."""
    running = Deferred.fromCoroutine(work)
    running.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
    running.addErrback(lambda failure: log.failure(line, failure))
    return running.addCallback(lambda _result: None)


async def within(work: Deferred[Any], seconds: float, clock: IReactorTime) -> None:
    """Wait for what stops a part, and go on without it when it takes too long or fails: what follows must be stopped
    all the same.
    """
    # A coroutine that is cancelled may go on for as long as it likes, and what it runs in fires only then.
    over: Deferred[None] = Deferred()
    timeout = clock.callLater(seconds, over.callback, None)
    work.addErrback(lambda failure: Logger().debug("stopping: {error}", error=failure.getErrorMessage()))
    await DeferredList([work, over], fireOnOneCallback=True)
    if timeout.active():
        timeout.cancel()
    else:
        work.cancel()
