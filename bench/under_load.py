"""Items with a publisher that publishes as fast as the broker takes it."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rig import servers
from rig.programs import Program
from rig.servers import unavailable

from . import noted_service
from .bare import BareLoop
from .figures import Figure, Outcome, by_name, quantile, ratios
from .items import Bench
from .noted_service import TICKS, TRANSACTIONS, read_notes
from .rooms import by_room, sample
from .runs import Run, measure
from .stage import RABBITMQ, RunFailed
from .subjects import ALL, CEILINGS, PAHO_5, SERVICE, SUB, Make, missing, service
from .witness import Witness

WINDOW_OF_311 = 20  # Mosquitto's own, for a client that cannot ask for another
KEEPS_WINDOW = "2.1"  # Mosquitto 2.0.11 miscounts what is in flight under load, and so keeps to none
MILLI = 1000
BROKERS = {"Mosquitto 2.1": "2.1", "Mosquitto 2.0": "2.0", "RabbitMQ 4": RABBITMQ}
"""What versions of the stage's broker are called, the one that others are compared with first."""


def _steps(bench: Bench, subjects: Mapping[str, Make], count: int, **how: Any) -> dict[str, Callable[[], Run]]:
    def step(name: str, make: Make) -> Run:
        messages = bench.scale.by_peer.get(name, count)
        return measure(bench.stage, make, bench.stage.plan(messages, **how))

    return {name: functools.partial(step, name, make) for name, make in subjects.items() if not missing(name)}


def throughput(bench: Bench) -> Outcome:
    """How many messages a second, and what each costs, beside the ceilings and the others."""
    bench.stage.fill(bench.scale.devices)
    outcome = bench.rounds("throughput", _steps(bench, ALL, bench.scale.messages))
    outcome.notes["missing"] = {name: reason for name in ALL if (reason := missing(name))}
    outcome.figures = [
        Figure("1", "messages/s, of mosquitto_sub's", ratios(outcome, SERVICE, SUB, "rate"), "×", at_least=0.8),
        Figure(
            "2", "CPU a message, of an idle paho 5's", ratios(outcome, SERVICE, PAHO_5, "cpu_micros"), "×", at_most=0.4
        ),
        Figure("3", "messages/s, of the ORM service's", ratios(outcome, SERVICE, "ORM", "rate"), "×", at_least=100),
        Figure("3", "messages/s, of asyncio's", ratios(outcome, SERVICE, "asyncio", "rate"), "×", at_least=8),
    ]
    if "Node-RED" not in outcome.notes["missing"]:
        node_red = ratios(outcome, SERVICE, "Node-RED", "rate")
        outcome.figures.insert(3, Figure("3", "messages/s, of Node-RED's", node_red, "×", at_least=8))
    return outcome


def large(bench: Bench) -> Outcome:
    """The same with payloads of 1 KiB."""
    bench.stage.fill(bench.scale.devices)
    subjects = {**CEILINGS, SERVICE: ALL[SERVICE]}
    steps = _steps(bench, subjects, bench.scale.large_messages, payload_bytes=bench.scale.large_payload)
    outcome = bench.rounds("1 KiB", steps)
    outcome.figures = [
        Figure("1", "messages/s at 1 KiB, of mosquitto_sub's", ratios(outcome, SERVICE, SUB, "rate"), "×"),
        Figure("2", "CPU a message at 1 KiB, of an idle paho 5's", ratios(outcome, SERVICE, PAHO_5, "cpu_micros"), "×"),
    ]
    return outcome


def brokers(bench: Bench) -> Outcome:
    """How many messages a second go through each broker into the table."""
    bench.stage.fill(bench.scale.devices)

    def step(version: str) -> Run:
        return measure(bench.stage, service, bench.stage.plan(bench.scale.messages), broker_version=version)

    there = {name: version for name, version in BROKERS.items() if not unavailable(version.lower())}
    outcome = bench.rounds("brokers", {name: functools.partial(step, version) for name, version in there.items()})
    outcome.notes["missing"] = {name: unavailable(BROKERS[name].lower()) for name in BROKERS.keys() - there.keys()}
    usual, *others = BROKERS
    outcome.figures = [
        Figure("15", f"messages/s with {name}, of {usual}'s", ratios(outcome, name, usual, "rate"), "×")
        for name in others
        if name in there
    ]
    return outcome


def waiting(bench: Bench) -> Outcome:
    """How long the oldest message waits for its acknowledgement, seen by a proxy; these runs are not timed."""
    if reason := unavailable(KEEPS_WINDOW):
        return Outcome(notes={"missing": {SERVICE: reason}})
    bench.stage.fill(bench.scale.devices)
    longest: list[float] = []

    def step() -> Run:
        witness, plan = Witness(), bench.stage.plan(bench.scale.messages)
        run = measure(bench.stage, service, plan, broker_version=KEEPS_WINDOW, watch=witness.watch)
        seen = witness.summary
        if seen["acknowledged"] != plan.count or seen["unacknowledged"] or seen["out_of_order"]:
            raise RunFailed(f"of {plan.count:,} messages: {seen}")
        longest.append(seen["max"] / MILLI)
        return run

    outcome = bench.rounds("oldest unacknowledged", {SERVICE: step})
    outcome.figures = [Figure("1", "oldest unacknowledged message", tuple(longest), "s", at_most=2)]
    return outcome


def mqtt311(bench: Bench) -> Outcome:
    """MQTT 3.1.1, where the broker's window of 20 is the limit."""
    if reason := unavailable(KEEPS_WINDOW):
        return Outcome(notes={"missing": {SERVICE: reason}})
    stage, count = bench.stage, bench.scale.mqtt311_messages
    stage.fill(bench.scale.devices)
    path = servers.private_folder() / "notes"
    of_its_own: list[float] = []
    of_a_bare_one: list[float] = []

    def says_so(program: Program) -> None:
        if not any("max_inflight_messages" in line for line in program.lines):
            raise RunFailed("the log does not say what limits MQTT 3.1.1, and which setting lifts it")

    def step() -> Run:
        with contextlib.closing(BareLoop(stage)) as loop:
            taken = loop.transactions(WINDOW_OF_311, 200)
        make = functools.partial(service, argv=noted_service.argv(TRANSACTIONS, path), MQTT_PROTOCOL="3.1.1")
        run = measure(stage, make, stage.plan(count), broker_version=KEEPS_WINDOW, meanwhile=says_so)
        with contextlib.closing(BareLoop(stage)) as loop:
            taken += loop.transactions(WINDOW_OF_311, 200)
        of_a_bare_one.append(run.rate / (WINDOW_OF_311 / median(taken)))
        of_its_own.append(run.rate / (WINDOW_OF_311 / median(read_notes(path))))
        return run

    outcome = bench.rounds("MQTT 3.1.1", {SERVICE: step})
    servers.remove_folder(path.parent)
    commits = [done[SERVICE].messages / done[SERVICE].commits for done in outcome.rounds if SERVICE in done]
    outcome.notes["messages_per_commit"] = commits
    outcome.figures = [
        Figure("8", "messages/s on MQTT 3.1.1, of 20 / median commit time", tuple(of_its_own), "×", at_least=0.7),
        Figure("8", "the same, of a bare loop's commit time", tuple(of_a_bare_one), "×"),
    ]
    return outcome


def turns(bench: Bench) -> Outcome:
    """How long the reactor is away at a time, by a ticker of 1 ms in the service's own process."""
    stage = bench.stage
    stage.fill(bench.scale.devices)
    path = servers.private_folder() / "ticks"
    usual: list[float] = []
    worst: list[float] = []

    def step() -> Run:
        make = functools.partial(service, argv=noted_service.argv(TICKS, path))
        run = measure(stage, make, stage.plan(bench.scale.messages))
        gaps = _gaps(path, run)
        usual.append(quantile(gaps, 0.999) * MILLI)
        worst.append(max(gaps) * MILLI)
        return run

    outcome = bench.rounds("reactor turns", {SERVICE: step})
    servers.remove_folder(path.parent)
    outcome.figures = [
        Figure("9", "reactor turns under load, 99.9 %", tuple(usual), "ms", at_most=50),
        Figure("9", "reactor turns under load, the longest", tuple(worst), "ms"),
    ]
    return outcome


def _gaps(path: Path, run: Run) -> list[float]:
    """Seconds between ticks while there was load."""
    under_load = [tick for tick in read_notes(path) if run.began <= tick <= run.ended]
    return [after - before for before, after in itertools.pairwise(under_load)]


def where_time_goes(bench: Bench) -> Outcome:
    """A sampling profile of the service, by room."""
    stage = bench.stage
    stage.fill(bench.scale.devices)
    shares: list[dict[str, float]] = []

    def look(program: Program) -> None:
        shares.append(by_room(sample(program.process.pid, bench.scale.profile_seconds)))

    def step() -> Run:
        return measure(stage, service, stage.plan(bench.scale.profile_messages), meanwhile=look)

    outcome = bench.rounds("profile", {SERVICE: step})
    medians = {room: median(values) for room, values in by_name(shares).items()}
    outcome.notes["rooms"] = dict(sorted(medians.items(), key=lambda item: -item[1]))
    return outcome
