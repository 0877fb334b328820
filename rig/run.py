"""Runs a program on Twisted's reactor until its exit code is there, with Ctrl-C as an early end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.task import react


def run(main: Callable[[Any], Coroutine[Any, Any, int]], stop: Callable[[], bool] = lambda: False) -> NoReturn:
    """Run, and exit with what comes of it.

    :param main: given the reactor.
    :param stop: called on SIGINT, SIGTERM or SIGHUP; where it returns False, ``main`` is cancelled.
    """

    async def running(reactor: Any) -> NoReturn:
        work = Deferred.fromCoroutine(main(reactor))

        def interrupted() -> None:
            if not stop():
                work.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Once the reactor runs, because it installs handlers of its own when it starts.
            reactor.callWhenRunning(signal.signal, number, lambda *_: reactor.callFromThread(interrupted))
        sys.exit(await work)

    from twisted.internet import reactor  # noqa: PLC0415 importing it chooses it

    # Twisted's reactors count wall time, so a clock that is set back stops every timer (its issue 2424).
    setattr(reactor, "seconds", time.monotonic)  # noqa: B010 mypy takes it for a method
    react(running, _reactor=reactor)
    raise AssertionError("react exits")
