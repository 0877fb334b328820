"""A long run: a million devices with one message a minute each; what is lost, who is shown offline, and by how much
rows and memory lag.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from rig import servers
from rig.proc import cpu_seconds, memory
from rig.programs import Program
from rig.servers import DEVICE_TABLE
from rig.stage import answered

from .figures import quantile
from .messages import LAST_UUID, Plan, next_report, turns, uuids
from .runs import Load
from .stage import Stage
from .subjects import running, service

INTERVAL = 60.0  # s between two messages of a device
SILENT = 1000  # devices that never say anything
TIMEOUT = 180  # s of silence, HEARTBEAT_TIMEOUT
SHORTEST = 300  # s that it lasts, so that who is silent is set offline
LOOK = 5.0  # s
SAMPLED = 200  # devices whose rows are looked at
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen at one time."""

    seconds: float
    """Since the first message."""
    memory: int
    """Bytes of the service that are resident."""
    lag: float
    """Seconds by which the row of the device that is worst off lags behind what it has published, of those sampled."""
    spooled: int
    """Devices whose state waits on disk."""
    unacknowledged: float
    """Seconds that the oldest message has waited for its acknowledgement."""
    offline: int
    """Rows that say offline."""
    dropped: int = 0
    """Messages that the broker has dropped, as the service heard from it."""


@dataclass(slots=True)
class Soak:
    """What came of it."""

    devices: int
    rate: float
    messages: int = 0
    outage: float = 0.0
    """Seconds for which the database was frozen, after a quarter of the time."""
    moments: list[Moment] = field(default_factory=list)
    wrong_rows: int = 0
    offline: int = 0
    """Rows that say offline at the end; right are those of the silent devices."""
    offline_silent: int = 0
    seconds_behind: float = 0.0
    """From the last message until all rows were right."""
    cpu_micros: float = 0.0
    """Of the service, a message."""
    peak_memory: int = 0
    lines: list[str] = field(default_factory=list)
    """Warnings and errors of the service."""

    @property
    def faults(self) -> list[str]:
        """What must not be; none: it is right."""
        found = []
        if self.wrong_rows:
            found.append(f"{self.wrong_rows:,} rows do not hold the last report of their device")
        if dropped := max((each.dropped for each in self.moments), default=0):
            found.append(f"the broker dropped {dropped:,} messages")
        # Time in which the table is behind is held against nobody, so that after an outage they may not be judged yet.
        expected = self.offline_silent if self.outage else SILENT
        if self.offline_silent != expected or self.offline != expected:
            found.append(
                f"{self.offline:,} rows say offline, {self.offline_silent:,} of them of {SILENT:,} that are silent"
            )
        if (most := max((each.offline for each in self.moments), default=0)) > SILENT:
            found.append(f"meanwhile {most:,} rows said offline")
        return found

    def summary(self) -> list[str]:
        """In lines for people."""
        lags = [each.lag for each in self.moments] or [0.0]
        return [
            f"{self.messages:,} messages of {self.devices:,} devices at {self.rate:,.0f}/s, {SILENT:,} devices silent",
            f"rows lag: median {quantile(lags, 0.5):.1f} s, 95 % {quantile(lags, 0.95):.1f} s, worst {max(lags):.1f} s;"
            f" all were right {self.seconds_behind:.1f} s after the last message",
            f"memory: at most {self.peak_memory / MEGABYTE:.0f} MB; CPU {self.cpu_micros:.1f} µs a message",
            f"most on disk at a time: {max((each.spooled for each in self.moments), default=0):,} devices",
            *(f"WRONG: {fault}" for fault in self.faults),
            *(f"said: {line}" for line in self.lines[:20]),
        ]


class _Steady(Load):
    """The same, encoded as it is due."""

    module = "bench.steady_load"


def soak(stage: Stage, devices: int, seconds: float, begin: Callable[[str], None], *, outage: float = 0.0) -> Soak:
    """Play it.

    :param begin: told what is under way. :param outage: seconds for which the database is frozen, after a quarter.
    """
    begin(f"a table of {devices:,} rows")
    stage.fill(devices)
    talking = devices - SILENT
    rate = talking / INTERVAL
    count = max(talking, round(rate * seconds))
    plan = Plan(count, talking, first=1, rate=rate, is_scattered=True)
    result = Soak(devices, rate, count, outage)
    port = servers.free_port()
    settings = {
        "HEARTBEAT_TIMEOUT": str(TIMEOUT),
        "HTTP_LISTEN": f"tcp:{port}:interface=127.0.0.1",
        "LOG_LANGUAGE": "en",
    }
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(stage.broker())
        subject = service(stage, broker, count, **settings)._replace(says=())
        program = stack.enter_context(running(stage, broker, subject))
        publisher = stack.enter_context(contextlib.closing(_Steady(broker, plan)))
        cpu = cpu_seconds(program.process.pid)
        publisher.begin()
        if outage:
            for at, act in ((seconds / 4, stage.database.freeze), (seconds / 4 + outage, stage.database.thaw)):
                timer = threading.Timer(at, act)
                stack.callback(timer.cancel)
                timer.start()
        watch = _Watch(stage, plan, program, port, time.monotonic())
        while publisher.is_running:
            result.moments.append(watch.look())
            seen = result.moments[-1]
            begin(
                f"{seen.seconds:,.0f} of {seconds:,.0f} s: rows lag {seen.lag:.1f} s, {seen.memory / MEGABYTE:.0f} MB,"
                f" {seen.spooled:,} devices on disk, {seen.offline:,} offline"
            )
            time.sleep(LOOK)
        _, ended = publisher.wait()
        result.seconds_behind = stage.wait_until_stored(plan) - ended
        while watch.look().spooled:
            time.sleep(LOOK / 5)
        begin("looking at every row")
        result.wrong_rows = stage.wrong_rows(plan)
        result.offline, result.offline_silent = watch.offline(), watch.offline_silent()
        result.cpu_micros = (cpu_seconds(program.process.pid) - cpu) / count * 1e6
        result.peak_memory = memory(program.process.pid).peak
        program.stop()
        result.lines = [line for line in program.lines if any(sign in line for sign in ("⚠️", "❌", "WARN", "ERROR"))]
    return result


class _Watch:
    """Looks from beside."""

    def __init__(self, stage: Stage, plan: Plan, program: Program, port: int, began: float) -> None:
        names = turns(plan)
        picked = Random(3).sample(range(plan.devices), min(SAMPLED, plan.devices))
        self._places = {names[place]: place for place in picked}
        self._silent = uuids(stage.devices)[plan.devices :]
        self._stage = stage
        self._plan = plan
        self._program = program
        self._port = port
        self._began = began

    def look(self) -> Moment:
        """Now."""
        told: dict[str, Any] = json.loads(answered(self._port, "/status")[1])
        now = time.monotonic() - self._began
        return Moment(
            round(now, 1),
            memory(self._program.process.pid).resident,
            round(self._lag(now), 1),
            told["spool"]["devices"],
            told["broker"]["oldest_unacknowledged_seconds"],
            self.offline(),
            told["broker"]["dropped"] or 0,
        )

    def offline(self) -> int:
        """How many rows say offline."""
        sql = f"SELECT COUNT(*) FROM {DEVICE_TABLE} WHERE is_online = 0 AND uuid <> '{LAST_UUID}'"  # it speaks but once
        return int(self._stage.select(sql)[0][0])

    def offline_silent(self) -> int:
        """How many of those that never said anything."""
        names = ", ".join(f"'{name}'" for name in self._silent)
        sql = f"SELECT COUNT(*) FROM {DEVICE_TABLE} WHERE is_online = 0 AND uuid IN ({names})"
        return int(self._stage.select(sql)[0][0])

    def _lag(self, now: float) -> float:
        """A row lags since the first report that it does not hold was due; a heartbeat leaves no number in it."""
        names = ", ".join(f"'{name}'" for name in self._places)
        rows = self._stage.select(f"SELECT uuid, last_report_data FROM {DEVICE_TABLE} WHERE uuid IN ({names})")
        worst = 0.0
        for name, document in rows:
            held = int(json.loads(document)["seq"])
            missing = next_report(self._plan, self._places[name], held)
            if missing is not None:
                worst = max(worst, now - missing / self._plan.rate)
        return worst
