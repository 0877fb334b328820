"""What the items of a benchmark have in common: how much they publish, and how they take their rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pymysql

from rig.servers import ServerFailed

from .figures import Outcome
from .runs import Run
from .stage import RunFailed, Stage


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is published."""

    rounds: int = 5
    devices: int = 10_000
    messages: int = 300_000
    large_messages: int = 100_000
    large_payload: int = 1024
    """Bytes."""
    by_peer: Mapping[str, int] = field(default_factory=lambda: {"ORM": 4_000, "asyncio": 30_000, "Node-RED": 30_000})
    """Messages; the slow ones get fewer, because it is their rate that counts."""
    many_devices: int = 200_000
    distant_devices: int = 100_000
    pending_devices: int = 100_000
    frozen_seconds: float = 10.0
    large_table: int = 1_000_000
    large_backlog: int = 300_000
    backlog: int = 1_000_000
    paced_messages: int = 10_000
    resolution_devices: int = 4_000
    resolution_messages: int = 40_000
    mqtt311_messages: int = 20_000
    profile_messages: int = 400_000
    profile_seconds: int = 6


QUICK = Scale(
    rounds=1,
    messages=40_000,
    large_messages=15_000,
    by_peer={"ORM": 400, "asyncio": 4_000, "Node-RED": 4_000},
    many_devices=20_000,
    distant_devices=20_000,
    pending_devices=20_000,
    frozen_seconds=3.0,
    large_table=200_000,
    large_backlog=60_000,
    backlog=100_000,
    paced_messages=2_000,
    resolution_devices=2_000,
    resolution_messages=8_000,
    mqtt311_messages=4_000,
    profile_messages=100_000,
    profile_seconds=1,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every item is given."""

    stage: Stage
    scale: Scale
    begin: Callable[[str], None]
    """Told what is under way."""
    say: Callable[[str], None]
    """Told what came of it."""

    def rounds(self, item: str, steps: Mapping[str, Callable[[], Run]]) -> Outcome:
        """Take every step once in each round.

        Every second round goes backwards: a machine that becomes slower favours nobody.
        """
        outcome = Outcome()
        for number in range(1, self.scale.rounds + 1):
            done: dict[str, Run] = {}
            outcome.rounds.append(done)
            for name, step in list(steps.items())[:: 1 if number % 2 else -1]:
                self.begin(f"{item}, round {number} of {self.scale.rounds}: {name}")
                try:
                    run = done[name] = step()
                except (RunFailed, ServerFailed, OSError, pymysql.MySQLError) as failure:
                    outcome.failures.append(f"{name}: {failure}")
                    self.say(f"{item}: {name} FAILED: {failure}")
                else:
                    self.say(f"{item}: {name}: {run.rate:,.0f}/s, {run.cpu_micros:.1f} µs of CPU a message")
        return outcome
