"""Items in which messages are paced, held up, or cannot be merged."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from rig.proc import cpu_seconds
from rig.proc import memory as memory_of
from rig.programs import Program
from rig.relay import Relay
from rig.servers import Mosquitto

from .bare import BareLoop
from .figures import Figure, Outcome, quantile, ratios
from .items import Bench
from .messages import Plan
from .runs import Run, load, measure
from .stage import RunFailed, Stage, dropped
from .subjects import ALL, PAHO_5, SERVICE, Subject, running, service
from .witness import Witness

RATE = 1000.0  # messages a second
FLEET_RATE = 2000.0  # messages a second; a device's next one then comes seconds after the last was written
RESOLUTION = 60  # s
MILLI = 1000
MEGABYTE = 1_000_000
AT_QOS_1 = 65_000  # of what is to be pending: the window holds no more, so the others come at QoS 0
BACKLOG, BARE, BARE_ROW = "aiot-mqtt, from a backlog", "bare PyMySQL loop", "bare UPDATE and COMMIT"
RELAY = "aiot-mqtt, a relay before the database"
DISTANCES = ((20, 0.8), (50, 0.5))  # ms there and back, and what is wanted of the messages/s beside the database
CONNECTED = "🎉 MQTT连接成功"
SIGNS_OF_TROUBLE = ("❌", "📴", "⚠️")


def latency(bench: Bench) -> Outcome:
    """From PUBLISH to PUBACK at a steady rate, beside one UPDATE of one row with its COMMIT."""
    stage, count = bench.stage, bench.scale.paced_messages
    stage.fill(bench.scale.devices)

    def bare() -> Run:
        with contextlib.closing(BareLoop(stage)) as loop:
            taken, since_due = loop.single_rows(count, RATE)
        p50, p99 = (quantile(taken, share) * MILLI for share in (0.5, 0.99))
        p99_since_due = quantile(since_due, 0.99) * MILLI
        return Run(count, 0.0, max(sum(taken), count / RATE), 0.0, p50=p50, p99=p99, p99_since_due=p99_since_due)

    outcome = bench.rounds("latency", {BARE_ROW: bare, SERVICE: lambda: paced(bench, service)})
    title = f"PUBLISH to PUBACK at {RATE:,.0f}/s"
    outcome.figures = [
        Figure("4", f"{title}, {name}, of a bare UPDATE's", ratios(outcome, SERVICE, BARE_ROW, name), "×", at_most=3)
        for name in ("p50", "p99")
    ]
    since_due = ratios(outcome, SERVICE, BARE_ROW, "p99_since_due")
    outcome.figures.append(Figure("4", "the same, p99, each counted from when it was due", since_due, "×"))
    return outcome


def paced(bench: Bench, make: Callable[..., Subject]) -> Run:
    """A service at a steady rate that it does not govern, watched.

    :raises RunFailed: not every message was acknowledged.
    """
    count, witness = bench.scale.paced_messages, Witness(RATE)
    run = measure(bench.stage, make, bench.stage.plan(count, rate=RATE), watch=witness.watch)
    seen = witness.summary
    if seen["acknowledged"] != count or seen["out_of_order"]:
        raise RunFailed(f"of {count:,} messages: {seen}")
    return replace(run, p50=seen["p50"], p99=seen["p99"], p99_since_due=seen["p99_since_due"])


def memory(bench: Bench) -> Outcome:
    """The most memory while the database is frozen and each of many devices has a report pending."""
    stage, scale = bench.stage, bench.scale
    stage.fill(scale.many_devices)
    peaks: list[float] = []

    def step() -> Run:
        plan = stage.plan(scale.pending_devices, payload_bytes=200, window=scale.pending_devices, at_qos_1=AT_QOS_1)
        with _service(bench, STATS_INTERVAL="1") as (broker, program), load(broker, plan) as publisher:
            pid = program.process.pid
            cpu_before = cpu_seconds(pid)
            stage.database.freeze()
            try:
                thaw_at = time.monotonic() + scale.frozen_seconds
                began, _ = publisher.publish()
                time.sleep(max(0.0, thaw_at - time.monotonic()))
            finally:
                stage.database.thaw()
            ended = stage.wait_until_stored(plan)
            run = Run(plan.count, began, ended, cpu_seconds(pid) - cpu_before)
            peak = memory_of(pid).peak / MEGABYTE
            _check(bench, broker, plan)
        figures = [line.rpartition("pending=")[2].split()[0] for line in program.lines if "pending=" in line]
        pending = max(map(int, figures), default=0)
        if pending < 0.99 * plan.count:
            raise RunFailed(f"only {pending:,} of {plan.count:,} devices were pending")
        peaks.append(peak)
        return run

    outcome = bench.rounds("memory", {SERVICE: step})
    name = f"peak memory with {scale.pending_devices:,} devices pending, database frozen"
    outcome.figures = [Figure("6", name, tuple(peaks), "MB", at_most=150)]
    return outcome


def backlog(bench: Bench) -> Outcome:
    """What the broker kept while the service was away, against the sustained rate."""
    stage, scale = bench.stage, bench.scale
    stage.fill(scale.devices)
    outcome = bench.rounds(
        "backlog",
        {
            SERVICE: lambda: measure(stage, service, stage.plan(scale.messages)),
            BACKLOG: lambda: _drained(bench, stage.plan(scale.backlog)),
        },
    )
    name = f"a backlog of {scale.backlog:,}, messages/s, of the sustained rate"
    outcome.figures = [Figure("7", name, ratios(outcome, BACKLOG, SERVICE, "rate"), "×", at_least=0.8)]
    return outcome


def distinct(bench: Bench) -> Outcome:
    """Every message of another device, so that nothing can be merged; also without a publisher beside."""
    stage, count = bench.stage, bench.scale.many_devices
    stage.fill(count)

    def bare() -> Run:
        plan = stage.plan(count)
        with contextlib.closing(BareLoop(stage)) as loop:
            return Run(count, 0.0, count / loop.rows_per_second(plan), 0.0)

    outcome = bench.rounds(
        "distinct devices",
        {
            PAHO_5: lambda: measure(stage, ALL[PAHO_5], stage.plan(count)),
            SERVICE: lambda: measure(stage, service, stage.plan(count)),
            BACKLOG: lambda: _drained(bench, stage.plan(count)),
            BARE: bare,
        },
    )
    cpu = ratios(outcome, SERVICE, PAHO_5, "cpu_micros")
    outcome.figures = [
        Figure("2", f"CPU a message with {count:,} devices, of an idle paho 5's", cpu, "×", at_most=0.6),
        Figure(
            "5",
            "rows/s with every device distinct, of a bare loop's",
            ratios(outcome, SERVICE, BARE, "rate"),
            "×",
            at_least=0.6,
        ),
        Figure("5", "the same from a backlog, with nobody publishing", ratios(outcome, BACKLOG, BARE, "rate"), "×"),
    ]
    return outcome


def distance(bench: Bench) -> Outcome:
    """Every message of another device, with the way to the database longer and longer."""
    bench.stage.fill(bench.scale.distant_devices)
    away = {milliseconds: f"aiot-mqtt, database {milliseconds} ms away" for milliseconds, _ in DISTANCES}
    steps: dict[str, Callable[[], Run]] = {
        SERVICE: lambda: measure(bench.stage, service, bench.stage.plan(bench.scale.distant_devices)),
        RELAY: functools.partial(from_afar, bench, service, 0),
        **{name: functools.partial(from_afar, bench, service, milliseconds) for milliseconds, name in away.items()},
    }
    outcome = bench.rounds("distance", steps)
    for milliseconds, wanted in DISTANCES:
        name = away[milliseconds]
        title = f"messages/s with the database {milliseconds} ms away, of those beside it"
        beside, behind = (ratios(outcome, name, other, "rate") for other in (SERVICE, RELAY))
        outcome.figures += [
            Figure("11", title, beside, "×", at_least=wanted),
            Figure("11", "the same, of those with a relay that does not delay", behind, "×"),
        ]
    return outcome


def from_afar(bench: Bench, make: Callable[..., Subject], milliseconds: int) -> Run:
    """A service whose database is so far away, there and back. The way is long, not narrow: whatever the amount, it
    comes through as late.
    """
    stage = bench.stage
    with Relay(stage.database.port) as relay:
        relay.delay(milliseconds / MILLI / 2)
        make = functools.partial(make, DB_PORT=str(relay.port))
        return measure(stage, make, stage.plan(bench.scale.distant_devices))


def resolution(bench: Bench) -> Outcome:
    """Binary log and rows with ``LAST_SEEN_RESOLUTION``, beside none, in the usual mix and with heartbeats only.

    Each device sends ten messages: what is written is what a fleet writes in one resolution in which each device does.
    """
    scale, flavour = bench.scale, bench.stage.database.flavour
    # A server of its own, because MariaDB has no binary log by default.
    stage = Stage(flavour, bench.stage.broker_version, ["--log-bin"])
    try:
        stage.fill(scale.resolution_devices)
        mixes = {"": False, ", heartbeats only": True}

        def step(only_heartbeats: bool, seconds: int) -> Run:
            plan = stage.plan(scale.resolution_messages, rate=FLEET_RATE, only_heartbeats=only_heartbeats)
            return measure(stage, functools.partial(service, LAST_SEEN_RESOLUTION=str(seconds)), plan)

        outcome = bench.rounds(
            "resolution",
            {
                f"LAST_SEEN_RESOLUTION={seconds}{mix}": functools.partial(step, only_heartbeats, seconds)
                for mix, only_heartbeats in mixes.items()
                for seconds in (0, RESOLUTION)
            },
        )
    finally:
        stage.close()
    for mix in mixes:
        without, coarse = (f"LAST_SEEN_RESOLUTION={seconds}{mix}" for seconds in (0, RESOLUTION))
        for name, title in (("binlog_bytes", "binlog bytes"), ("rows", "rows")):
            of = ratios(outcome, coarse, without, name)
            outcome.figures.append(Figure("10", f"{title} at {coarse}, of those at 0", of, "×"))
    return outcome


def _drained(bench: Bench, plan: Plan) -> Run:
    """From CONNACK on, until the service has stored what the broker kept for it.

    :raises RunFailed: a device was shown offline meanwhile, or the connection did not hold.
    """
    stage = bench.stage
    with _service(bench) as (broker, program):
        program.stop()
        with load(broker, plan) as publisher:
            publisher.publish()
        # Everybody would be offline by now, and the last device speaks last: if time in which nothing could be heard
        # counted against a device, it would be set offline before.
        stage.database.query("UPDATE device_main SET is_online = 1, last_seen = NOW() - INTERVAL 1 HOUR")
        sensitive = {"HEARTBEAT_TIMEOUT": "5", "HEARTBEAT_CHECK_INTERVAL": "1", "MQTT_KEEPALIVE": "5"}
        subject = service(stage, broker, plan.count, **sensitive)
        with running(stage, broker, subject._replace(says=(CONNECTED,))) as again:
            began, cpu_before = time.monotonic(), cpu_seconds(again.process.pid)
            ended = stage.wait_until_stored(plan)
            cpu = cpu_seconds(again.process.pid) - cpu_before
            lines = [*again.lines]  # now, because all are silent from here on
            _check(bench, broker, plan)
    trouble = [line for line in lines if any(sign in line for sign in SIGNS_OF_TROUBLE)]
    if trouble or sum(CONNECTED in line for line in lines) != 1:
        raise RunFailed("presence or keep-alive did not hold: " + "; ".join(trouble or lines)[:500])
    return Run(plan.count, began, ended, cpu)


@contextlib.contextmanager
def _service(bench: Bench, **settings: str) -> Iterator[tuple[Mosquitto, Program]]:
    with bench.stage.broker() as broker:
        subject = service(bench.stage, broker, 0, **settings)
        with running(bench.stage, broker, subject) as program:
            yield broker, program


def _check(bench: Bench, broker: Mosquitto, plan: Plan) -> None:
    if lost := dropped(broker):
        raise RunFailed(f"the broker dropped {lost:,} messages")
    if wrong := bench.stage.wrong_rows(plan):
        raise RunFailed(f"{wrong:,} rows do not hold the last report of their device")
