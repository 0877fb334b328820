"""Run tests in several processes side by side, and say how far they are: ``python -m rig.suite --help``.

Most of a test's time is waiting, so more of them run at once than there are cores. Each process has servers of its own
and takes the next test when it has ended one, those that took longest the last time first. How a test is run and what
counts as passed is trial's affair (``rig.suite_worker``); here a process that ends, or a test that does not, is a
failure too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rich.text import Text

from .display import Display, bar
from .selection import ROUNDS

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 900.0  # s a test may take; trial itself ends most of them earlier
FAREWELL = 30.0  # s a process may take to end: it stops its servers
LINE_INTERVAL = 30.0  # s between lines where nothing can be redrawn
UNKNOWN = 2.0  # s that a test which was never timed is taken to last
INTERRUPTED = 130  # as shells have it
SLOWEST = 10  # tests that are listed at the end
WRONG = ("failures", "errors", "unexpectedSuccesses")
RULE, THIN_RULE = "=" * 79, "-" * 79


@dataclass(frozen=True)
class Became:
    """What trial says of a test, with its traceback or reason."""

    test: str
    what: str
    text: str


class Ended(Exception):
    """A process ended, or had to be, before its test did; the text says how."""


class Worker:
    """One process that runs tests."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._log = folder.with_suffix(".log")
        with theirs, self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*argv, str(theirs.fileno()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment,
                pass_fds=[theirs.fileno()],
            )
        ours.settimeout(LIMIT)
        self._socket = ours
        self._answers = ours.makefile("r", encoding="utf-8")

    def do(self, **order: object) -> Iterator[dict[str, Any]]:
        """Give an order, and yield what is told until it is done. Raises ``Ended``."""
        try:
            self._socket.sendall((json.dumps(order) + "\n").encode())
            for line in self._answers:
                told = json.loads(line)
                yield told
                if "done" in told:
                    return
        except TimeoutError:
            self.process.send_signal(signal.SIGABRT)  # it writes where each of its threads is
            raise Ended(f"no end after {LIMIT:.0f} s\n{self._last_words()}") from None
        except OSError as error:
            raise Ended(f"{error}\n{self._last_words()}") from error
        raise Ended(self._last_words())

    def _last_words(self) -> str:
        try:
            code = self.process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join([f"the process of this test ended with {code}; the last it wrote:", *lines[-60:]])

    def close(self) -> None:
        """Let it stop its servers and end; kill it when it does not."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._last_words()
        self._answers.close()
        self._socket.close()


class Course:
    """How far a run of tests is, told by the threads that each drive one process."""

    def __init__(self, waiting: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._waiting = list(reversed(waiting))
        self._running: dict[str, float] = {}
        self.tests = len(waiting)
        self.began = time.monotonic()
        self.became: list[Became] = []
        self.seconds: dict[str, float] = {}
        self.processor_time: dict[str, float] = {}
        """Seconds, of each test's process and those that ended meanwhile: not of servers that several tests share."""

    def take(self) -> str | None:
        """The next test."""
        with self._lock:
            if not self._waiting:
                return None
            test = self._waiting.pop()
            self._running[test] = time.monotonic()
            return test

    def tell(self, became: Became) -> None:
        with self._lock:
            self.became.append(became)

    def end(self, test: str) -> None:
        with self._lock:
            self.seconds[test] = time.monotonic() - self._running.pop(test)

    def break_off(self) -> list[str]:
        """Take no more; what runs now."""
        with self._lock:
            self._waiting.clear()
            return list(self._running)

    @property
    def wrong(self) -> list[Became]:
        with self._lock:
            return [each for each in self.became if each.what in WRONG]

    @property
    def passed(self) -> float:
        """Seconds."""
        return time.monotonic() - self.began

    @property
    def news(self) -> str:
        """How it goes, and what it waits for."""
        wrong = len(self.wrong)
        with self._lock:
            now = time.monotonic()
            oldest = sorted(self._running.items(), key=lambda each: each[1])[:2]
            names = [f"{short(test)} ({now - began:.0f} s)" for test, began in oldest]
        waiting = f"; waiting for {', '.join(names)}" if names else ""
        return f"{wrong} failed, {self.passed:.0f} s{waiting}"


def short(test: str) -> str:
    """A test's name without what each has in front."""
    return test.removeprefix("tests.").removeprefix("integration.").removeprefix("unit.")


class Suite:
    """One run: lists the tests, lets the processes take them, and writes down what came of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        coverage = ["-m", "coverage", "run"] if options.coverage else []
        self._argv = [options.python, *coverage, "-m", "rig.suite_worker"]
        self._folder: Path = options.results / options.name
        self._times_file = options.results.parent / ".test-times.json"
        self._numbers = count()
        self._workers: list[Worker] = []
        self._left_out: Counter[str] = Counter()

    def run(self) -> int:
        """The exit code: 0 when all is well."""
        self._folder.mkdir(parents=True)
        first = self._start_worker()
        course = self._listed(first)
        drivers = [threading.Thread(target=self._drive, args=(course, first), daemon=True)]
        for _ in range(min(self._options.jobs, course.tests) - 1):
            drivers.append(threading.Thread(target=self._drive, args=(course, None), daemon=True))
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            for driver in drivers:
                driver.start()
            self._watch(course, drivers)
        except KeyboardInterrupt:
            for test in course.break_off():
                course.tell(Became(test, "errors", "the run was broken off while this was running"))
            for worker in self._workers:
                worker.process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + FAREWELL
            for driver in drivers:
                driver.join(max(0.0, deadline - time.monotonic()))
            self._write_down(course)
            return INTERRUPTED
        return 0 if self._write_down(course) else 1

    def _start_worker(self) -> Worker:
        environment = {**os.environ, ROUNDS: "all" if self._options.all else "few"}
        worker = Worker(self._argv, self._folder / f"worker-{next(self._numbers)}", environment)
        self._workers.append(worker)
        return worker

    def _listed(self, worker: Worker) -> Course:
        tests: list[tuple[str, str]] = []
        broken: list[Became] = []
        try:
            for told in worker.do(list=self._options.names):
                if "tests" in told:
                    tests = told["tests"]
                elif "became" in told:
                    broken.append(Became(told["test"], told["became"], told["text"]))
        except Ended as ended:
            broken.append(Became("all tests", "errors", str(ended)))
        times = self._times()
        self._left_out.update(why for _, why in tests if why and not self._options.all)
        chosen = [test for test, why in tests if self._options.all or not why]
        course = Course(sorted(chosen, key=lambda test: -times.get(test, UNKNOWN)))
        course.became.extend(broken)
        return course

    def _drive(self, course: Course, worker: Worker | None) -> None:
        while (test := course.take()) is not None:
            worker = worker or self._start_worker()
            try:
                for told in worker.do(run=test):
                    if "became" in told:
                        course.tell(Became(told["test"], told["became"], told["text"]))
                    else:
                        course.processor_time[test] = told["processor_time"]
            except Ended as ended:
                course.tell(Became(test, "errors", str(ended)))
                worker = None
            course.end(test)
        if worker is not None:
            worker.close()

    def _watch(self, course: Course, drivers: Sequence[threading.Thread]) -> None:
        told = 0
        name = f"{self._options.name:24} "
        display = Display(sys.stdout)
        display.next_line = LINE_INTERVAL
        try:
            while any(driver.is_alive() for driver in drivers):
                for each in course.wrong[told:]:
                    display.say(f"{name}FAILED {each.test}")
                    told += 1
                done, news = len(course.seconds), course.news
                frame = bar(done, course.tests, f"{self._options.name}, {news}")
                display.show(frame, f"{name}{done} of {course.tests} tests, {news}", course.passed, LINE_INTERVAL)
                time.sleep(0.2)
        finally:
            display.stop()

    def _written(self, kind: str) -> Path:
        return self._folder.with_name(f"{self._folder.name}.{kind}")

    def _times(self) -> dict[str, float]:
        """How long each test took the last time, in seconds."""
        return json.loads(self._times_file.read_text()) if self._times_file.exists() else {}

    def _write_down(self, course: Course) -> bool:
        results = Counter(each.what for each in course.became)
        wrong, missing = course.wrong, course.tests - len(course.seconds)
        if not wrong and (missing or not course.tests):
            told = f"{missing} tests were never run" if missing else "there are no such tests"
            wrong = [Became("all tests", "errors", told)]
            results["errors"] += 1
        numbers = ", ".join(f"{what}={number}" for what, number in sorted(results.items()) if number)
        summary = f"{'FAILED' if wrong else 'PASSED'} ({numbers})"

        slowest = sorted(course.seconds.items(), key=lambda each: -each[1])[:SLOWEST]
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        lines = ["the slowest tests, and their processor time without that of servers they share:"]
        lines += [f"{seconds:7.1f} s {course.processor_time.get(test, 0):7.1f} s  {test}" for test, seconds in slowest]
        total = used.ru_utime + used.ru_stime
        lines.append(f"in all {course.passed:.0f} s in {self._options.jobs} processes, processor time {total:.0f} s")
        for each in course.became:
            if each.what != "successes":
                label = "[SKIPPED]" if each.what == "skips" else f"[{each.what.upper()}]"
                lines += [RULE, label, each.text, "", each.test]
        lines += [THIN_RULE, f"Ran {len(course.seconds)} of {course.tests} tests in {course.passed:.3f}s", "", summary]
        self._written("log").write_text("".join(f"{line}\n" for line in lines))
        if wrong:
            self._written("failed").write_text("".join(f"{line}\n" for line in digest(wrong)))
        if self._left_out:
            left_out = (f"{number} tests {why}\n" for why, number in self._left_out.items())
            self._written("left-out").write_text("".join(left_out))
        times = {**self._times(), **{test: round(seconds, 1) for test, seconds in course.seconds.items()}}
        self._times_file.write_text(json.dumps(times, indent=0, sort_keys=True))

        verdict = Text("FAILED", "red") if wrong else Text("ok", "green")
        said = Text.assemble(f"{self._options.name:24} ", verdict, f"  {course.passed:.0f} s  {summary}")
        Display(sys.stdout).console.print(said, soft_wrap=True)
        return not wrong


def digest(wrong: Sequence[Became]) -> list[str]:
    """Each failure's name with the last lines of what it said, so few that all fit on a screen."""
    length = max(1, min(12, 30 // len(wrong) - 1))
    lines = []
    for each in wrong[:15]:
        said = [line for line in each.text.splitlines() if line.strip()]
        lines += [f"FAILED {each.test}", *(f"    {line[:200]}" for line in said[-length:])]
    return lines if len(wrong) <= 15 else [*lines, f"and {len(wrong) - 15} more"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m rig.suite", description="Run tests side by side.")
    parser.add_argument("--name", default="tests", help="of this run; what it writes is .test-results/NAME…")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the tests")
    jobs = 2 * (os.cpu_count() or 1) + 1  # more would save nothing: by then the processors have no rest
    parser.add_argument("--jobs", type=int, default=jobs, help="processes; one more than two for each core unless said")
    parser.add_argument("--all", action="store_true", help="those too that are marked for it (rig.selection)")
    parser.add_argument("--coverage", action="store_true", help="measure it")
    results = ROOT / ".test-results"
    parser.add_argument("--results", type=Path, default=results, help="the folder for what is written")
    parser.add_argument("names", nargs="+", help="as trial takes them")
    sys.exit(Suite(parser.parse_args()).run())


if __name__ == "__main__":
    main()
