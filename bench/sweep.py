"""Measure what the offline sweep costs a table of a million devices, and the service itself.

    .venv/bin/python -m bench.sweep [--devices N] [--seconds S] [--faster F] [--interval I]

For each server that scripts/fetch-servers brought: the sweep's own statements, timed; then the service's own sweep for
some time in which nobody dies, with devices that report, and the CPU that its connection takes in the database server.
Last, what the service remembers of a million devices. docs/presence.md holds a result.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import threading
import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pymysql
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater, react

from aiot_mqtt.devices.update import DeviceUpdate, table_time
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.presence.heard_devices import HeardDevices
from aiot_mqtt.presence.last_heard import SHARDS
from aiot_mqtt.presence.monitor import PresenceMonitor
from aiot_mqtt.presence.sweep import READ, SET
from aiot_mqtt.table.address import DatabaseAddress
from aiot_mqtt.table.contract import RowKey, Silence
from aiot_mqtt.table.mysql import DeviceTable
from aiot_mqtt.table.sweep import SweepStatements
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from aiot_mqtt.writing.writer import Writer
from rig.display import counting
from rig.proc import cpu_seconds, memory
from rig.servers import DATABASE, Database, MariaDB, MySQL, unavailable

RUNS = 5
TIMEOUT, CHECK_INTERVAL = 300.0, 30.0  # s, the defaults
ZONE = ZoneInfo("Asia/Shanghai")
SILENCE = Silence("2026-11-23 10:00:00", "2026-11-23 10:10:00")
BEFORE, AFTER = "2026-11-23 09:00:00", "2026-11-23 10:05:00"


def connect(database: Database) -> Any:
    return pymysql.connect(
        host=database.host,
        port=database.port,
        user=database.service_user,
        password=database.service_password.encode(),
        database=DATABASE,
        ssl_disabled=True,
    )


def set_all(database: Database, devices: int, assignments: str) -> None:
    """Assign columns of all rows, in chunks that no server takes long for."""
    with database._connect() as connection, connection.cursor() as cursor:
        for first in range(0, devices, 10_000):
            cursor.execute(f"UPDATE device_main SET {assignments} WHERE id > {first} AND id <= {first + 10_000}")


def measure_statements(database: Database, devices: int) -> Iterator[tuple[str, list[float]]]:
    """Name and seconds of each measurement: the service's own statements, run in this thread."""
    statements = SweepStatements(DATABASE, "device_main")
    connection = connect(database)
    thread = thread_of(database)

    def read_all() -> tuple[list[float], list[RowKey]]:
        times, silent, after = [], [], None
        while True:
            began = time.perf_counter()
            read = statements.find_silent(connection, SILENCE, after, None, READ)
            connection.commit()
            times.append(time.perf_counter() - began)
            silent += [row.key for row in read.silent]
            if read.reached is None:
                return times, silent
            after = read.reached

    set_all(database, devices, f"is_online = 1, last_seen = '{AFTER}'")
    before = cpu_seconds(database.pid, thread)
    runs = [read_all()[0] for _ in range(RUNS)]
    cpu = (cpu_seconds(database.pid, thread) - before) / RUNS
    yield f"all rows, nobody silent ({cpu:.2f} s of CPU in the server)", [sum(run) for run in runs]
    yield f"a piece of {READ:,} of them", [each for run in runs for each in run]
    set_all(database, devices, f"last_seen = IF(id % 1000 = 0, '{BEFORE}', last_seen)")
    yield "all rows, one in 1,000 silent", [sum(read_all()[0]) for _ in range(RUNS)]
    times = []
    for _ in range(RUNS):
        set_all(database, devices, f"is_online = 1, last_seen = IF(id % 1000 = 0, '{BEFORE}', last_seen)")
        keys = read_all()[1][:SET]
        began = time.perf_counter()
        statements.set_offline(connection, keys, SILENCE)
        connection.commit()
        times.append(time.perf_counter() - began)
    yield f"setting {len(keys):,} of these offline", times
    connection.close()


class Fleet(threading.Thread):
    """Devices that report every ``interval`` seconds, each at a moment of its own.

    In the place of a service that writes: rows by the thousand, in the order of the primary key, because in a random
    one a small buffer pool would not take as many. Each gets a time of the last half interval, twice in an interval.
    """

    def __init__(self, database: Database, devices: int, interval: float) -> None:
        super().__init__(daemon=True)
        self._database = database
        self._devices = devices
        self._interval = interval
        self._ended = threading.Event()
        self.late = 0.0
        """Seconds that the last round took too long."""

    def run(self) -> None:
        half = self._interval / 2
        chunks = range(0, self._devices, 1000)
        with self._database._connect() as connection, connection.cursor() as cursor:
            while not self._ended.is_set():
                began = time.monotonic()
                for number, first in enumerate(chunks):
                    now = table_time(time.time(), ZONE)
                    cursor.execute(
                        f"UPDATE device_main SET is_online = 1, last_seen = '{now}' - INTERVAL RAND() * {half} SECOND"
                        f" WHERE id > {first} AND id <= {first + 1000}"
                    )
                    if self._ended.wait(max(0.0, began + (number + 1) * half / len(chunks) - time.monotonic())):
                        return
                self.late = time.monotonic() - began - half

    def end(self) -> None:
        self._ended.set()
        self.join()


class Subscription:
    """One that the broker grants, and that nothing comes over."""

    is_listening = True
    silent_for = 0.0
    window = 65535

    def pause_reading(self) -> None:
        """There is no connection that could be read."""


def thread_of(database: Database) -> int:
    """The thread of the database server that serves the service's connection."""
    sql = (
        "SELECT tid FROM information_schema.processlist WHERE user = %s"
        if database.flavour == "mariadb"
        else "SELECT thread_os_id FROM performance_schema.threads WHERE processlist_user = %s"
    )
    ((thread,),) = database.query(sql, (database.service_user,))
    return int(thread)


async def sweep_for(database: Database, devices: int, options: argparse.Namespace) -> str:
    """Let the service's own sweep run while nobody dies; says what that cost."""
    timeout, check_interval = TIMEOUT / options.faster, CHECK_INTERVAL / options.faster
    fleet = Fleet(database, devices, options.interval / options.faster)
    fleet.start()
    address = DatabaseAddress(database.host, database.port, DATABASE, database.service_user, "device_main")
    # One connection, so that all of the sweep is on it; it is not replaced either.
    table = DeviceTable(address, database.service_password, reactor, pool_size=1, max_overflow=0, pool_recycle=1e9)
    counters, pending, subscription = Counters(), PendingUpdates(), Subscription()
    writer = Writer(
        table,
        pending,
        counters,
        Refusals(counters, reactor),
        reactor,
        latest=lambda: table_time(time.time(), ZONE),
        flow_control=subscription,
    )
    heard = HeardDevices(counters, reactor, pending, ZONE)
    writer.add_listener(heard)
    presence = PresenceMonitor(
        table,
        writer,
        heard,
        counters,
        reactor,
        subscription=subscription,
        timeout=timeout,
        check_interval=check_interval,
        table_zone=ZONE,
    )
    read = 0
    find_silent = table.find_silent

    def counted(*arguments: Any) -> Any:
        nonlocal read
        read += 1
        return find_silent(*arguments)

    table.find_silent = counted  # type: ignore[method-assign, assignment]
    for service in (table, writer, presence):
        service.startService()
    await deferLater(reactor, timeout - 5)
    await table.describe()  # every few seconds, so that the connection is never idle for so long that it is replaced
    thread = thread_of(database)
    own_before = resource.getrusage(resource.RUSAGE_SELF)
    before, began, read = cpu_seconds(database.pid, thread), time.monotonic(), 0
    progress = counting("s of sweeping", int(options.seconds))
    while time.monotonic() - began < options.seconds:
        await deferLater(reactor, 5)
        await table.describe()
        progress(min(int(time.monotonic() - began), int(options.seconds)))
    passed = time.monotonic() - began
    assert thread_of(database) == thread, "the connection was replaced"
    cost = cpu_seconds(database.pid, thread) - before
    own = resource.getrusage(resource.RUSAGE_SELF).ru_utime - own_before.ru_utime
    presence.stopService()
    await writer.stopService()
    fleet.end()
    await table.stopService()
    assert counters.went_silent == 0, counters.went_silent
    pieces = len(presence._sweeper._pieces)
    return (
        f"{passed:.0f} s with a timeout of {timeout:.0f} s, a sweep each {check_interval:.0f} s and reports each"
        f" {options.interval / options.faster:.0f} s (the last round was {fleet.late:.0f} s late): {cost:.2f} s of CPU"
        f" for {read} pieces read of {pieces}, {cost / passed / options.faster:.2%} of a core"
        f"{' at the default timeout' if options.faster != 1 else ''}; the service itself and the fleet {own:.1f} s"
    )


def measure_memory(devices: int) -> str:
    """What is remembered of so many devices, in this process, told in batches of a thousand."""
    clock, counters = Clock(), Counters()
    heard = HeardDevices(counters, clock, PendingUpdates(), ZONE)
    update_of = [DeviceUpdate(f"device-{number:07}") for number in range(devices)]
    gc.collect()
    gc.freeze()  # as the service does
    before = memory(os.getpid()).resident
    longest, all_commits = 0.0, 0.0
    for turn in range(3):
        clock.advance(60)
        for update in update_of:
            update.last_seen = "2026-11-23 10:00:00"
        for first in range(0, devices, 1000):
            began = time.perf_counter()
            heard.rows_committed(update_of[first : first + 1000], is_spooled=False)
            took = time.perf_counter() - began
            longest, all_commits = max(longest, took), all_commits + (took if turn == 2 else 0)
    after = memory(os.getpid()).resident
    times = []
    for _ in range(SHARDS):
        began = time.perf_counter()
        heard.forget_before(clock.seconds() + 1)
        times.append(time.perf_counter() - began)
    return (
        f"{len(update_of):,} devices heard: {(after - before) / 2**20:.0f} MiB, {all_commits / devices * 1e9:.0f} ns a"
        f" device and commit, {longest * 1000:.1f} ms at most for 1,000; forgetting all of them in {SHARDS} steps of"
        f" {median(times) * 1000:.2f} ms ({max(times) * 1000:.2f} at most)"
    )


async def measure(_reactor: Any, options: argparse.Namespace) -> None:
    print(measure_memory(options.devices), flush=True)
    for server in (MariaDB, MySQL):
        if server is MySQL and (reason := unavailable("mysql")):
            print(reason)
            continue
        with server(settings=["--performance-schema=ON"]) as database:
            print(f"{database.flavour} {database.version}: making {options.devices:,} devices", flush=True)
            database.create_device_table()
            database.grant()
            for first in range(0, options.devices, 100_000):
                numbers = range(first, min(first + 100_000, options.devices))
                database.add_devices(f"device-{number:07}" for number in numbers)
            for name, times in measure_statements(database, options.devices):
                print(
                    f"  {name}: median {median(times) * 1000:.1f} ms"
                    f" ({min(times) * 1000:.1f} to {max(times) * 1000:.1f})",
                    flush=True,
                )
            print(f"  {await sweep_for(database, options.devices, options)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600, help="of sweeping in which nobody dies")
    parser.add_argument("--interval", type=float, default=150, help="s between two reports of a device")
    parser.add_argument(
        "--faster", type=float, default=1, help="all times that many times shorter, and the result divided by it"
    )
    react(measure, [parser.parse_args()])


if __name__ == "__main__":
    main()
