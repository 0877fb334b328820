"""Where it plays: the database of a benchmark, a broker for each run, and what both say about a run."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import pymysql

from rig.brokers import RabbitMQ
from rig.servers import DATABASE, DEVICE_TABLE, Database, MariaDB, Mosquitto, MySQL

from .messages import LAST_UUID, Plan, last_reports, uuids

# The tests' servers have small buffers. These are the sizes a live one has, or, for the pages, so many that it is
# not the disk that is measured; each commit is on disk before it is answered all the same.
BUFFERS = {
    "mariadb": ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=96M"),
    "mysql": ("--innodb-buffer-pool-size=1G", "--innodb-redo-log-capacity=100M"),
}
# Else a burst would overflow the queue, and Mosquitto drops what does not fit.
BROKER_SETTINGS = (
    "max_queued_messages 10000000",
    "sys_interval 1",
    *(f"log_type {kind}" for kind in ("error", "warning", "notice", "information", "subscribe")),
)
RABBITMQ = "RabbitMQ"
"""Stands for its version, where a broker's is chosen."""
# The largest window that RabbitMQ gives, and 100 times what it gives unless it is told.
RABBITMQ_SETTINGS = ("mqtt.prefetch = 1000",)
PEER = "peer"
"""User and password of the others, who cannot do with the few rights of the service."""
PATIENCE = 120.0  # s without any progress, after which a run has failed
MAX_PATIENCE = 600.0  # s, whatever progress there is: one that reconnects again and again makes some each time
LOOK_INTERVAL = 0.02  # s


class RunFailed(Exception):
    """A run did not come to its end, or not to the right one; the text says what is wrong."""


class Stage:
    """A database with devices that have all reported before."""

    def __init__(self, flavour: str, broker_version: str, settings: Sequence[str] = ()) -> None:
        """
        :param flavour: "mariadb" or "mysql".
        :param broker_version: "2.0" or "2.1".
        :param settings: further command line options of the database server.
        """
        make = MariaDB if flavour == "mariadb" else MySQL
        self.database: Database = make(settings=[*BUFFERS[flavour], *settings])
        self.database.start()
        self.database.create_device_table()
        self.database.grant()
        self.broker_version = broker_version
        self.devices = 0
        self._next_sequence = 1
        self._connection = self.connect()

    def close(self) -> None:
        """Stop the database and remove it."""
        self.database.close()

    def connect(self) -> Any:
        """A connection as the service has it, for one who looks on or competes."""
        return pymysql.connect(
            host=self.database.host,
            port=self.database.port,
            user=self.database.service_user,
            password=self.database.service_password.encode(),
            database=DATABASE,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,
        )

    def fill(self, devices: int) -> None:
        """Make the table anew, with so many devices, unless it has them already."""
        if devices == self.devices:
            return
        database = self.database
        database.create_device_table()
        database.grant()
        database.query(f"CREATE USER IF NOT EXISTS '{PEER}'@'%' IDENTIFIED BY '{PEER}'", database=None)
        database.query(f"GRANT SELECT, UPDATE ON {DATABASE}.{DEVICE_TABLE} TO '{PEER}'@'%'", database=None)
        names = uuids(devices)
        for start in range(0, devices, 20_000):
            database.add_devices(names[start : start + 20_000])
        database.add_device(LAST_UUID)
        database.query(
            f"""UPDATE {DEVICE_TABLE} SET last_report_data = '{{"temperature": 21.5, "humidity": 48, "seq": 0}}',"""
            " device_status = 'active', last_seen = NOW(), last_heartbeat = NOW(), is_online = 1"
        )
        database.query(f"ANALYZE TABLE {DEVICE_TABLE}")
        self.devices = devices

    def plan(self, count: int, **how: Any) -> Plan:
        """A plan for the devices that are there, with sequence numbers that no other has."""
        plan = Plan(count, self.devices, self._next_sequence, **how)
        self._next_sequence += count
        return plan

    def broker(self, version: str | None = None) -> contextlib.AbstractContextManager[Any]:
        """A broker of its own for a run, of this version or of the usual one."""
        if version == RABBITMQ:
            return RabbitMQ(settings=RABBITMQ_SETTINGS)
        return Mosquitto(version or self.broker_version, settings=BROKER_SETTINGS)

    def select(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows, as one who looks on."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall())

    def status(self, name: str) -> int:
        """One of the server's own counters."""
        return int(self.select("SHOW GLOBAL STATUS LIKE %s", name)[0][1])

    def users(self) -> list[str]:
        """Of each connection there is."""
        return [row[1] for row in self.database.query("SHOW PROCESSLIST")]

    def binlog_bytes(self) -> int | None:
        """How long the binary log is; None where there is none."""
        try:
            return sum(int(row[1]) for row in self.database.query("SHOW BINARY LOGS", database=None))
        except pymysql.MySQLError:
            return None

    def wait_until_stored(self, plan: Plan) -> float:
        """Wait for the plan's last report; returns when it was there, on the monotonic clock.

        :raises RunFailed: it does not come.
        """

        def last_sequence() -> int:
            ((document,),) = self.select(f"SELECT last_report_data FROM {DEVICE_TABLE} WHERE uuid = %s", LAST_UUID)
            return int(json.loads(document)["seq"])

        def rows_changed() -> int:
            return self.status("Handler_update")

        return wait_until(lambda: last_sequence() == plan.last, rows_changed, "the last report")

    def wait_for_status(self, name: str, value: int) -> float:
        """Wait until one of the server's counters has come so far; returns when, as above."""
        return wait_until(lambda: self.status(name) >= value, lambda: self.status(name), f"{name} to reach {value:,}")

    def wrong_rows(self, plan: Plan) -> int:
        """How many devices' rows do not hold the last report that was published."""
        rows = self.select(f"SELECT uuid, last_report_data FROM {DEVICE_TABLE}")
        held = {name: json.loads(document)["seq"] for name, document in rows}
        return sum(held.get(name) != sequence for name, sequence in last_reports(plan).items())


def wait_until(is_so: Callable[[], bool], progress: Callable[[], int], what: str) -> float:
    """Wait as long as there is progress; returns when it was so, on the monotonic clock.

    :raises RunFailed: nothing came for too long, or not all in a long time.
    """
    seen, since = -1, time.monotonic()
    began = since
    while not is_so():
        now = time.monotonic()
        if now - since > PATIENCE or now - began > MAX_PATIENCE:
            raise RunFailed(f"waited in vain for {what}, at {seen:,}")
        if now - since > 1 and (at := progress()) != seen:
            seen, since = at, now
        time.sleep(LOOK_INTERVAL)
    return time.monotonic()


def dropped(broker: Mosquitto | RabbitMQ) -> int:
    """How many messages the broker dropped because a queue was full, by its own count; RabbitMQ has none, and what it
    drops is missing from the rows.
    """
    if isinstance(broker, RabbitMQ):
        return 0
    argv = [*broker.client_argv("mosquitto_sub"), "-h", broker.host, "-p", str(broker.port), "-F", "%t %p", "-W", "20"]
    argv += ["-t", "$SYS/broker/publish/messages/dropped", "-t", "$SYS/broker/uptime"]
    count, ticks = -1, 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        for line in watching.stdout:
            topic, _, value = line.partition(" ")
            if topic.endswith("dropped"):
                count = int(value)
            else:
                ticks += 1
            # One that it kept, and two of its own clock: all that happened before is counted then.
            if ticks == 3:
                break
        watching.terminate()
    if count < 0:
        raise RunFailed("the broker did not say how many messages it dropped")
    return count
