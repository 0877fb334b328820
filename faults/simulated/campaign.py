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
MANY = 2000  # courses, in which what is rare happens too

EFFECTS = (
    # the broker, and the way there
    *("MQTT 3.1.1", "MQTT 5 refused", "QoS 0", "broker frozen", "broker restarted with sessions"),
    *("broker unreachable", "closed instead of CONNACK", "connection cut", "connection refused", "foreign topic"),
    *("link goes silent", "lost PUBACK", "no CONNACK", "packet cut in two", "redelivery", "retained"),
    *("session lost with messages", "session resumed", "session taken over", "subscription denied"),
    *("window used up",),
    # the database
    *("connection ended by a value", "database hangs", "database misconfigured", "database refuses connections"),
    *("deadlock", "late commit", "lost reply of the database", "row refused", "rows locked", "server's own trouble"),
    *("times refused", "unknown device", "value refused", "value refused in unknown words"),
    # the disk
    *("disk I/O error", "disk forbids", "disk full", "disk hangs", "disk read-only", "failing commit"),
    *("failing connect", "failing find", "failing lock", "failing remove", "failing sync_folder", "file found"),
    *("file turned up late", "foreign file", "lost reply of commit", "lost reply of lock", "lost reply of remove"),
    *("recovered from a file", "spool begun", "spool emptied", "started without being able to look at the disk"),
    *("two files",),
    # processes and clocks
    *("clock set back", "clock set forward", "killed", "killed after a call of the spool", "killed after a commit"),
    *("killed before a commit", "killed inside a call of the spool", "second process", "settings changed"),
    *("spool locked by another process", "stopped", "stopped with a spool", "stopped with messages left"),
    # devices
    *("another spelling of a device", "came back", "heartbeat not written", "older state superseded"),
    *("payload refused, device heard", "row checked", "set offline"),
)
"""What must have taken effect, counted where it does and not where it is drawn."""
RARE = ("end forced", "failing create", "lost reply of create", "lost reply of sync_folder")


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
    courses: int = 0

    @property
    def missing(self) -> list[str]:
        """What never took effect: as to that, nothing was shown."""
        wanted = EFFECTS + RARE if self.courses >= MANY else EFFECTS
        return [effect for effect in wanted if not self.effects[effect]]


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


def run(
    seeds: Iterable[int], folder: Path, played: Callable[[Course, Failed | None], None] = lambda _course, _failed: None
) -> Campaign:
    """Play courses one after the other.

    :param played: told of each.
    """
    campaign = Campaign()
    with in_private():
        for count, seed in enumerate(seeds, 1):
            course, failed = play(seed, folder / str(seed))
            campaign.courses = count
            campaign.effects += course.effects
            if failed is not None:
                campaign.failed.append(failed)
            played(course, failed)
            del course
            if not count % COLLECT_EVERY:
                bury()
    return campaign
