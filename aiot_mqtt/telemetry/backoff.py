"""How long to wait before the next attempt at a broker or a database that is away."""

from __future__ import annotations

from collections.abc import Callable
from random import random

from twisted.application.internet import backoffPolicy

MAX_DELAY = 30.0  # s, jitter included
MAX_JITTER = 1.0  # s


def backoff(jitter: Callable[[], float] = random) -> Callable[[int], float]:
    """A policy of one second, twice as much after each failure, and ``MAX_DELAY`` at most.

    Returns a function from how many attempts in a row had failed before the last one to the seconds to wait.

    :param jitter: seconds added to each delay, up to ``MAX_JITTER``, so that instances do not try again in step.
    """
    return backoffPolicy(1.0, MAX_DELAY - MAX_JITTER, 2.0, jitter)
