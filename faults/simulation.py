"""``scripts/faults --simulate N``: the whole service in a seeded simulation, N courses of it.

Beside the rounds on real servers: here thousands of faults meet in every order, and a seed repeats what one has found.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from twisted.logger import globalLogBeginner

from rig.display import Display, counting

from .simulated.campaign import Failed, run
from .simulated.course import Course

COURSES = 20_000
MAX_SHOWN = 10  # courses that failed


def simulate(courses: int, seed: int, *, shows_traces: bool = False) -> bool:
    """Play courses, tell of them, and return whether no promise was broken and every kind of fault took effect.

    :param seed: of the first course; the next one's is one more.
    """
    # What the service logs is part of a trace, and of nothing else.
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    display = Display(sys.stdout)
    progress = counting("courses", courses, display)
    failures = 0

    def played(course: Course, failed: Failed | None) -> None:
        nonlocal failures
        if failed is not None:
            failures += 1
            if failures <= MAX_SHOWN:
                display.say(f"seed {failed.seed}: {failed.reason}")
        if shows_traces:
            print("\n".join(course.trace))
        else:
            progress(course.seed - seed + 1)

    shared = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        campaign = run(range(seed, seed + courses), Path(folder), played)
    if not shows_traces:
        for effect, count in sorted(campaign.effects.items()):
            display.say(f"{count:9} {effect}")
        display.say(f"{courses} courses, {len(campaign.failed)} failed")
    if campaign.missing and not shows_traces:
        display.say(f"never took effect: {', '.join(campaign.missing)}")
    return not campaign.failed and (shows_traces or not campaign.missing)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m faults.simulation", description=__doc__)
    parser.add_argument("--courses", type=int, default=COURSES, metavar="N", help=f"how many ({COURSES})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first one (0)")
    parser.add_argument("--trace", action="store_true", help="say all that happens, as for one course that failed")
    options = parser.parse_args()
    sys.exit(0 if simulate(options.courses, options.seed, shows_traces=options.trace) else 1)


if __name__ == "__main__":
    main()
