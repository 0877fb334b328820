"""The cost model of docs/scaling.md: what it foretells for this machine, beside what is measured then."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from aiot_mqtt.writing.chunk_size import ChunkSize
from rig.proc import cpu_seconds
from rig.relay import Relay

from .figures import Figure, Outcome
from .items import Bench
from .runs import Run, load
from .stage import RunFailed, Stage, dropped
from .subjects import SERVICE, running, service

MICRO = 1e6
PARTS = ("publisher", "broker", "service", "database")
KEPT = "costs, from a backlog"
TWO, AWAY = "aiot-mqtt, two prefixes", "aiot-mqtt, database 20 ms away"
PREFIXES = ("devices", "others")
DISTANCE = 0.020  # s there and back
# Of the cores that such a chain of processes keeps busy: each waits for another one now and then. Of several chains one
# has always something to do (two prefixes on two cores: 1.56 x what a share of 0.75 foretells).
BUSY = 0.75
WITHIN = 0.2
"""By how much a prediction may be wrong."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What one message costs where each is of another device, so that it is a row."""

    cpu: Mapping[str, float]
    """Seconds of CPU, by the names in ``PARTS``."""
    cores: int

    def one(self) -> float:
        """Messages a second of one instance: as many as the cores take, or as its slowest process, which has one."""
        of_a_core = max(self.cpu[part] for part in ("broker", "service"))
        return 1 / max(sum(self.cpu.values()) / (BUSY * self.cores), of_a_core)

    def several(self, instances: int) -> float:
        """The same of several that share the fleet, on the same machine."""
        of_a_core = max(self.cpu["broker"], self.cpu["service"] / instances)
        return 1 / max(sum(self.cpu.values()) / self.cores, of_a_core)

    def away(self, seconds: float, messages: int) -> float:
        """Messages a second of one instance whose database is so far away, there and back, until all are stored.

        Each chunk waits twice, for its UPDATE and its COMMIT, and chunks grow as ``ChunkSize`` has them.
        """
        size, left, passed = ChunkSize(), messages, 0.0
        while left:
            rows = min(size.rows, left)
            took = rows / self.one() + 2 * seconds
            size.written(rows, took)
            left -= rows
            passed += took
        return messages / passed


def scaling(bench: Bench) -> Outcome:
    """Costs from a backlog; then one instance, two prefixes, and a database that is far away, under load."""
    stage, count = bench.stage, bench.scale.many_devices
    stage.fill(count)
    seen: list[Costs] = []
    steps = {
        KEPT: lambda: _costs(bench, count, seen),
        SERVICE: lambda: _measured(stage, count),
        TWO: lambda: _measured(stage, count, prefixes=PREFIXES),
        AWAY: lambda: _from_afar(stage, count),
    }
    outcome = bench.rounds("scaling", steps)
    if not seen:
        return outcome
    costs = replace(seen[0], cpu={part: median(each.cpu[part] for each in seen) for part in PARTS})
    foretold = {SERVICE: costs.one(), TWO: costs.several(len(PREFIXES)), AWAY: costs.away(DISTANCE, count)}
    outcome.notes["costs"] = {part: round(seconds * MICRO, 2) for part, seconds in costs.cpu.items()}
    outcome.notes["foretold"] = {name: round(rate) for name, rate in foretold.items()}
    bench.say(f"scaling: µs of CPU a message: {outcome.notes['costs']}")
    for name, rate in foretold.items():
        values = tuple(done[name].rate / rate for done in outcome.rounds if name in done)
        title = f"{name}: messages/s, of {rate:,.0f} foretold"
        outcome.figures.append(Figure("14", title, values, "×", at_least=1 - WITHIN, at_most=1 + WITHIN))
    return outcome


def _costs(bench: Bench, count: int, seen: list[Costs]) -> Run:
    """First all is published, then all is stored, so that what each costs shows by itself."""
    stage = bench.stage
    plan = stage.plan(count)
    with stage.broker() as broker, load(broker, plan) as publisher:
        pids = {"publisher": publisher.pid, "broker": broker.pid, "database": stage.database.pid}
        subject = service(stage, broker, count, HEARTBEAT_TIMEOUT="0")
        with running(stage, broker, subject) as program:
            program.stop()
        before = {part: cpu_seconds(pid) for part, pid in pids.items()}
        publisher.publish()
        published = cpu_seconds(pids["publisher"]) - before["publisher"]
        with running(stage, broker, subject) as again:
            pids["service"] = again.process.pid
            began = time.monotonic()
            ended = stage.wait_until_stored(plan)
            after = {part: cpu_seconds(pid) for part, pid in pids.items() if part != "publisher"}
    spent = {part: after[part] - before.get(part, 0.0) for part in after} | {"publisher": published}
    seen.append(Costs({part: spent[part] / count for part in PARTS}, len(os.sched_getaffinity(0))))
    return Run(count, began, ended, spent["service"])


def _measured(
    stage: Stage, count: int, *, prefixes: tuple[str, ...] = PREFIXES[:1], database_port: int | None = None
) -> Run:
    """Under load until each row is stored, with an instance for each prefix.

    :raises RunFailed: a message was lost.
    """
    plan = stage.plan(count, prefixes=prefixes)
    port = {} if database_port is None else {"DB_PORT": str(database_port)}
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(stage.broker())
        programs = []
        for prefix in prefixes:
            own = {"MQTT_TOPIC_PREFIX": prefix, "MQTT_CLIENT_ID": prefix}
            programs.append(stack.enter_context(running(stage, broker, service(stage, broker, count, **own, **port))))
        publisher = stack.enter_context(load(broker, plan))
        rows = stage.status("Handler_update")
        cpu = sum(cpu_seconds(program.process.pid) for program in programs)
        began, _ = publisher.publish()
        ended = stage.wait_for_status("Handler_update", rows + count)
        cpu = sum(cpu_seconds(program.process.pid) for program in programs) - cpu
        if lost := dropped(broker):
            raise RunFailed(f"the broker dropped {lost:,} messages")
        if wrong := stage.wrong_rows(plan):
            raise RunFailed(f"{wrong:,} rows do not hold the last report of their device")
        return Run(count, began, ended, cpu)


def _from_afar(stage: Stage, count: int) -> Run:
    with Relay(stage.database.port) as relay:
        relay.delay(DISTANCE / 2)
        return _measured(stage, count, database_port=relay.port)
