"""Which tests only ``scripts/test --all`` runs. By name, ``scripts/test NAME…``, every test runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

OTHER_SERVERS = "on the other server pair, MySQL and Mosquitto 2.1"
"""What is tested on MariaDB and Mosquitto 2.0 in each run."""
LONG_ROUND = "long rounds"
"""What a shorter round tries in each run."""
OTHER_WAYS = "further ways to the same promise"
"""What is tried in one way in each run."""

ROUNDS = "AIOT_TEST_ROUNDS"
"""The environment variable that says how many rounds of chance there are; "few" in a run without ``--all``."""
FEWER = 5
"""All rounds are so many times the few."""

T = TypeVar("T", bound=Callable[..., Any])
Case = TypeVar("Case")


def only_in_all(why: str) -> Callable[[T], T]:
    """Leave a test, or all tests of a class and its subclasses, to ``--all``; ``why`` is one of those above."""

    def mark(marked: T) -> T:
        marked.only_in_all = why  # type: ignore[attr-defined]
        return marked

    return mark


in_each_run = only_in_all("")
"""What no other class tries, in one that is marked."""


def some(cases: Sequence[Case]) -> Sequence[Case]:
    """All of these cases, or each fifth in a run without ``--all``."""
    return cases[::FEWER] if os.environ.get(ROUNDS) == "few" else cases


def rounds(many: int) -> int:
    """How many rounds of chance to play: ``many``, or a fifth of them in a run without ``--all``."""
    return len(some(range(many)))


def why_only_in_all(test: Any) -> str:
    """Why this test is left to ``--all``; "" when it is not."""
    method = getattr(test, test.id().rpartition(".")[2], None)
    return str(getattr(method, "only_in_all", getattr(test, "only_in_all", "")))
