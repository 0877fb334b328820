"""What runs the tests side by side counts them right, whatever becomes of them, and so does what sums the runs up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from rig import servers

SAMPLE = """
import os, time
from pathlib import Path
from twisted.trial.unittest import SkipTest, SynchronousTestCase
from rig.selection import in_each_run, only_in_all

class Tests(SynchronousTestCase):
    def test_passes(self):
        print("this is for the log")
    def test_fails(self):
        self.assertEqual("this", "that")
    def test_raises(self):
        raise ValueError("out of tea")
    def test_is_skipped(self):
        raise SkipTest("no tea today")
    def test_ends_its_process(self):
        os.write(2, b"last words\\n")
        os._exit(3)

@only_in_all("for later")
class LaterTests(SynchronousTestCase):
    def test_later(self):
        pass
    @in_each_run
    def test_now(self):
        pass

class HangingTests(SynchronousTestCase):
    def test_hangs(self):
        Path("hangs").touch()
        time.sleep(3600)
"""


class SuiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        (self.folder / "sample.py").write_text(SAMPLE)
        self.results = self.folder / "results"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "rig.suite", "--results", str(self.results), *arguments],
            cwd=servers.ROOT,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def written(self, kind: str, name: str = "tests") -> str:
        return (self.results / f"{name}.{kind}").read_text()

    def test_everything_is_counted_and_told(self) -> None:
        process = self.start("--jobs", "2", "sample.Tests", "sample.LaterTests", "sample.Nothing")
        output, _ = process.communicate(timeout=servers.START_TIMEOUT)
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("FAILED sample.Tests.test_fails", output)
        log = self.written("log")
        self.assertEqual(log.splitlines()[-1], "FAILED (errors=3, failures=1, skips=1, successes=2)", log)
        self.assertIn("[SKIPPED]\nno tea today\n", log)
        for said in ("ended with 3", "last words", "ValueError: out of tea", "sample.Nothing"):
            self.assertIn(said, self.written("failed"))
        self.assertEqual(self.written("left-out"), "1 tests for later\n")

    def test_with_all_the_rest_too(self) -> None:
        process = self.start("--name", "on-3.13", "--all", "sample.LaterTests")
        output, _ = process.communicate(timeout=servers.START_TIMEOUT)
        self.assertEqual(process.returncode, 0, output)
        self.assertEqual(self.written("log", "on-3.13").splitlines()[-1], "PASSED (successes=2)")
        self.assertFalse((self.results / "on-3.13.left-out").exists())

    def test_no_tests_are_not_enough(self) -> None:
        process = self.start("json")
        output, _ = process.communicate(timeout=servers.START_TIMEOUT)
        self.assertEqual(process.returncode, 1, output)

    def test_a_run_that_is_broken_off_says_what_it_was_waiting_for(self) -> None:
        process = self.start("sample.HangingTests", "sample.LaterTests")
        while not list(self.results.glob("*/*/hangs")):
            self.assertIs(process.poll(), None)
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=servers.START_TIMEOUT)
        self.assertEqual(process.returncode, 130, output)
        self.assertIn("HangingTests.test_hangs\n    the run was broken off", self.written("failed"))


class ContinuousIntegrationTests(SynchronousTestCase):
    """``.ci/run`` over runs whose results are made up."""

    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        (self.folder / "scripts").mkdir()
        (self.folder / ".ci").mkdir()
        shutil.copy(servers.ROOT / ".ci" / "run", self.folder / ".ci")

    def run_with(self, code: int = 0, failed: tuple[str, ...] = (), **logs: str) -> tuple[str, int]:
        """Its last line and exit code. :param failed: steps, and of suites those that say so."""
        made = self.folder / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        (made / "suites").write_text("".join(f"{name}\n" for name in logs))
        for name, log in logs.items():
            if log:
                (made / f"{name}.log").write_text(log)
        for name in failed:
            with (made / "failed").open("a") as file:
                file.write(f"{name}\n")
        script = self.folder / "scripts" / "test"
        script.write_text(f"#!/bin/sh\n[ $1 = --all ] && mv made .test-results && exit {code}\n")
        script.chmod(0o755)
        done = subprocess.run([self.folder / ".ci" / "run"], stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout.splitlines()[-1], done.returncode

    def test_what_all_runs_have_is_summed(self) -> None:
        self.assertEqual(
            self.run_with(tests="PASSED (successes=1000)\n", oldest="PASSED (successes=234)\n"),
            ("1234 passed, 0 failed, 0 skipped", 0),
        )

    def test_whatever_is_wrong_is_a_failure(self) -> None:
        failed = "FAILED (errors=2, failures=1, skips=1, successes=5)\n"
        for expected, arguments in (
            ("5 passed, 3 failed, 1 skipped", {"tests": failed, "failed": ("tests",), "code": 1}),
            ("5 passed, 4 failed, 1 skipped", {"tests": failed, "failed": ("tests", "mypy"), "code": 1}),
            ("1 passed, 1 failed, 0 skipped", {"tests": "PASSED (successes=1)\n", "oldest": "", "code": 124}),
            ("1 passed, 1 failed, 0 skipped", {"tests": "PASSED (successes=1)\n", "failed": ("tests",), "code": 1}),
            ("1 passed, 1 failed, 0 skipped", {"tests": "PASSED (successes=1)\n", "code": 1}),
            ("0 passed, 1 failed, 0 skipped", {"failed": ("install .venv",), "code": 1}),
            ("0 passed, 1 failed, 0 skipped", {}),
        ):
            self.assertEqual(self.run_with(**arguments), (expected, 1), arguments)  # type: ignore[arg-type]

    def test_only_what_debian_cannot_deliver_may_be_skipped(self) -> None:
        skipped = "[SKIPPED]\n{}\n\ntests.some\n\nPASSED (skips=1, successes=1)\n"
        debians = skipped.format("Debian unstable cannot deliver it: so it is")
        self.assertEqual(self.run_with(tests=debians), ("1 passed, 0 failed, 1 skipped", 1))
        (self.folder / ".servers").mkdir()
        (self.folder / ".servers" / "sid-unavailable").write_text("so it is\n")
        self.assertEqual(self.run_with(tests=debians), ("1 passed, 0 failed, 1 skipped", 0))
        self.assertEqual(
            self.run_with(tests=debians, oldest=skipped.format("no tea today")), ("2 passed, 0 failed, 2 skipped", 1)
        )
