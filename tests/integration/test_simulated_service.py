"""The whole service in a seeded simulation: no promise is broken, and each fault that is drawn takes effect."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from faults.simulated.campaign import run
from rig.selection import LONG_ROUND, only_in_all, rounds

ROOT = Path(__file__).parents[2]
ALL_COURSES = 200
COURSES = rounds(ALL_COURSES)
MAX_WITHIN_LIMITS = 0.2  # of all rows


class SimulatedServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        # In memory where there is such a place: hundreds of folders come and go.
        shared = "/dev/shm"
        place = tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None)
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def test_no_course_breaks_a_promise_and_each_fault_takes_effect(self) -> None:
        campaign = run(range(COURSES), self.folder)
        self.flushLoggedErrors()  # of processes that were killed; those of a course that runs have failed it
        told = [
            "\n".join([*failed.trace[-40:], f"seed {failed.seed}: {failed.reason}"]) for failed in campaign.failed[:2]
        ]
        self.assertEqual(campaign.failed, [], "\n\n".join(told))
        if COURSES == ALL_COURSES:  # in fewer some faults do not come up
            self.assertEqual(campaign.missing, [])
        effects = campaign.effects
        limited = effects["row within a known limit"]
        self.assertLess(limited, MAX_WITHIN_LIMITS * (limited + effects["row checked"]))

    @only_in_all(LONG_ROUND)
    def test_a_seed_gives_the_same_course_in_every_process(self) -> None:
        traces = [
            subprocess.run(
                [sys.executable, "-m", "faults.simulation", "--courses", "8", "--trace"],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                stdout=subprocess.PIPE,
                check=True,
                timeout=300,
            ).stdout
            for hash_seed in ("1", "2")
        ]
        self.assertGreater(len(traces[0].splitlines()), 500)
        self.assertEqual(traces[0].splitlines(), traces[1].splitlines())
