"""A table that the database's buffer pool does not hold: what waits on disk, written in the table's order and not."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from pathlib import Path

from rig import servers
from rig.proc import cpu_seconds
from rig.programs import FOREGROUND

from .figures import Figure, Outcome, ratios
from .items import Bench
from .runs import Run, load
from .stage import RunFailed, Stage, dropped
from .subjects import running, service

POOL = "128M"  # both servers' default
IN_ORDER, AS_SAVED = "aiot-mqtt, in the table's order", "the same, as it came"
_NEVER_ARRANGES = (
    "from aiot_mqtt.writing import table_order; table_order.LARGE = 2**60;from twisted.scripts.twistd import run; run()"
)
AS_SAVED_ARGV = [sys.executable, "-c", _NEVER_ARRANGES, *FOREGROUND[-3:]]


def order(bench: Bench) -> Outcome:
    """A large backlog on this host's disk, of devices in no order, with the buffer pool that servers have by default.

    Beside the same service that does not ask where the table keeps its rows.
    """
    stage = Stage(bench.stage.database.flavour, bench.stage.broker_version, [f"--innodb-buffer-pool-size={POOL}"])
    try:
        bench.begin(f"a table of {bench.scale.large_table:,} rows")
        stage.fill(bench.scale.large_table)
        steps = {
            AS_SAVED: functools.partial(_emptied, stage, bench.scale.large_backlog, AS_SAVED_ARGV),
            IN_ORDER: functools.partial(_emptied, stage, bench.scale.large_backlog, FOREGROUND),
        }
        outcome = bench.rounds("order", steps)
    finally:
        stage.close()
    name = (
        f"rows/s from {bench.scale.large_backlog:,} of {bench.scale.large_table:,} rows on disk, of those as they came"
    )
    outcome.figures = [Figure("13", name, ratios(outcome, IN_ORDER, AS_SAVED, "rate"), "×", at_least=3)]
    return outcome


def _emptied(stage: Stage, count: int, argv: list[str]) -> Run:
    """From the start of a service that finds a full spool until the table has all of it.

    :raises RunFailed: something was lost.
    """
    plan = stage.plan(count, is_scattered=True)
    folder = servers.private_folder()
    settings = {"SPOOL_FILE": str(Path(folder) / "spool"), "HEARTBEAT_TIMEOUT": "0", "STATS_INTERVAL": "1"}
    try:
        with stage.broker() as broker:
            make = functools.partial(service, stage, broker, count, argv=argv, **settings)
            with running(stage, broker, make()) as program, load(broker, plan) as publisher:
                stage.database.freeze()
                try:
                    publisher.publish()
                    program.wait_for(f"pending={count}")
                    program.stop()
                finally:
                    stage.database.thaw()
            if lost := dropped(broker):
                raise RunFailed(f"the broker dropped {lost:,} messages")
            with running(stage, broker, make()) as again:
                began, pid = time.monotonic(), again.process.pid
                cpu_before = cpu_seconds(pid)
                ended = stage.wait_until_stored(plan)
                cpu = cpu_seconds(pid) - cpu_before
        if wrong := stage.wrong_rows(plan):
            raise RunFailed(f"{wrong:,} rows do not hold the last report of their device")
        return Run(count, began, ended, cpu)
    finally:
        with contextlib.suppress(OSError):
            servers.remove_folder(folder)
