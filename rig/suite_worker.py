"""One of the processes in which ``rig.suite`` runs tests: told on a socket which, it tells there what became of each.

``python -m rig.suite_worker DESCRIPTOR FOLDER``; orders and answers are lines of JSON. It lasts until the socket is
closed, so the servers that tests of one process share are started once.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from unittest import TestSuite

from twisted.python import log
from twisted.python.failure import Failure
from twisted.trial import util
from twisted.trial.reporter import TestResult
from twisted.trial.runner import ErrorHolder, TestLoader, TrialSuite

from .selection import why_only_in_all

TEST_LIMIT = 300.0  # s, for a test that names none: trial's own 120 are for a machine that does nothing else


class Told(TestResult):
    """Tells everything as it comes; what counts and how is trial's."""

    def __init__(self, channel: IO[str]) -> None:
        super().__init__()
        self._channel = channel

    def tell(self, **what: object) -> None:
        self._channel.write(json.dumps(what) + "\n")
        self._channel.flush()

    def _became(self, test: Any, what: str, text: str = "") -> None:
        self.tell(test=test.id(), became=what, text=text)

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self._became(test, "successes")

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self._became(test, "errors", traceback_of(self.errors[-1][1]))

    def addFailure(self, test: Any, fail: Any) -> None:
        super().addFailure(test, fail)
        self._became(test, "failures", traceback_of(self.failures[-1][1]))

    def addSkip(self, test: Any, reason: Any) -> None:
        super().addSkip(test, reason)
        self._became(test, "skips", str(reason))

    def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
        super().addExpectedFailure(test, error, todo)
        self._became(test, "expectedFailures", str(error))

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        super().addUnexpectedSuccess(test, todo)
        self._became(test, "unexpectedSuccesses", "it succeeded, though it was expected not to")


def traceback_of(failure: Failure | str) -> str:
    return failure.getTraceback() if isinstance(failure, Failure) else failure


def processor_time() -> float:
    """Seconds, of this process and those that it started and that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def each_test(suite: Any) -> Iterator[Any]:
    """What is in a suite of suites."""
    if isinstance(suite, TestSuite):
        for part in suite:
            yield from each_test(part)
    else:
        yield suite


class Ordered(TestSuite):
    """The tests that the socket asks for, one after the other."""

    def __init__(self, orders: IO[str]) -> None:
        super().__init__()
        self._orders = orders
        self._loader = TestLoader()

    def run(self, result: Any) -> Any:  # type: ignore[override] # trial never gives more
        for line in self._orders:
            order, used = json.loads(line), processor_time()
            if "list" in order:
                result.tell(tests=self._listed(order["list"], result))
            else:
                for test in each_test(self._loader.loadByName(order["run"])):
                    test.run(result)
            result.tell(done=True, processor_time=processor_time() - used)
        return result

    def _listed(self, names: list[str], result: Any) -> list[tuple[str, str]]:
        """Each test with why it is left to ``--all``, if it is; what could not be loaded is an error at once."""
        tests = []
        for test in each_test(self._loader.loadByNames(names, True)):
            if isinstance(test, ErrorHolder):
                test.run(result)
            else:
                tests.append((test.id(), why_only_in_all(test)))
        return tests


def main() -> None:
    descriptor, folder = int(sys.argv[1]), Path(sys.argv[2])
    os.set_inheritable(descriptor, False)  # what tests start has no part in this
    faulthandler.enable()
    util.DEFAULT_TIMEOUT_DURATION = TEST_LIMIT
    sys.path.insert(0, os.getcwd())
    folder.mkdir(parents=True)
    os.chdir(folder)
    with socket.socket(fileno=descriptor) as channel, Path("test.log").open("w", encoding="utf-8") as log_file:
        log.startLoggingWithObserver(log.FileLogObserver(log_file).emit, setStdout=False)
        told = Told(channel.makefile("w", encoding="utf-8"))
        try:
            TrialSuite([Ordered(channel.makefile("r", encoding="utf-8"))]).run(told)
        except BaseException:
            traceback.print_exc()  # into the log of this process: the other side says that it ended
            raise


if __name__ == "__main__":
    main()
