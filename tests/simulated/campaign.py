"""Many courses, and whether each kind of fault took effect in some of them."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from aiot_mqtt.spool import disk

from .course import Course
from .messages import Violation

COLLECT_EVERY = 50  # courses


@dataclass(slots=True)
class Failed:
    """A course that broke a promise."""

    seed: int
    reason: str
    trace: list[str]


@dataclass(slots=True)
class Campaign:
    """What came of some courses."""

    effects: Counter[str] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)


@contextmanager
def in_private() -> Iterator[None]:
    """Without waiting for the disk or for locks, and without collecting what was killed in the middle of a course."""
    collects = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    hook = sys.unraisablehook
    try:
        with (
            patch.object(disk, "SYNCHRONOUS", "OFF"),
            patch.object(disk, "LOCK_TIMEOUT", 0.0),
            patch.object(os, "fsync", lambda _descriptor: None),
        ):
            yield
    finally:
        bury()
        sys.unraisablehook = hook
        gc.unfreeze()
        if collects:
            gc.enable()


def bury() -> None:
    """Collect the processes that were killed: their coroutines run their finally clauses now, which means nothing."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _unraisable: None
    gc.collect()
    sys.unraisablehook = hook


def play(seed: int, folder: Path, course: Callable[[int, Path], Course] = Course) -> tuple[Course, Failed | None]:
    """Play one course, in a folder that is made for it and removed."""
    played = course(seed, folder)
    failed = None
    try:
        played.run()
    except Violation as violation:
        failed = Failed(seed, str(violation), played.trace)
    except Exception as error:
        failed = Failed(seed, repr(error), played.trace)
    finally:
        shutil.rmtree(folder)
    return played, failed


def run(seeds: Iterable[int], folder: Path, played: Callable[[Course, Failed | None], None]) -> Campaign:
    """Play courses one after the other."""
    campaign = Campaign()
    with in_private():
        for count, seed in enumerate(seeds, 1):
            course, failed = play(seed, folder / str(seed))
            campaign.effects += course.effects
            if failed is not None:
                campaign.failed.append(failed)
            played(course, failed)
            del course
            if not count % COLLECT_EVERY:
                bury()
    return campaign
