"""Plain loops over PyMySQL: what a client pays that does nothing but send the same SQL and wait."""

from __future__ import annotations

import time
from typing import Any

from aiot_mqtt.devices.report import ReportRules, decode
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.table.session import open_session
from aiot_mqtt.table.shape import read_shape
from aiot_mqtt.table.statements import MAX_STATEMENT, update_statements
from rig.servers import DATABASE, DEVICE_TABLE

from .messages import Plan, messages, uuids
from .stage import Stage

BATCH = 10_000  # messages that are sorted together, as a busy service does with what came during the last commit
ROWS = 1000  # in a statement where many are to be sent: more gain nothing
NOW = "2026-11-25 12:00:00"
ONE_ROW = f"UPDATE {DEVICE_TABLE} SET last_report_data = %s, last_seen = %s, is_online = 1 WHERE uuid = %s"


class BareLoop:
    """A connection with the service's own session settings."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._connection = stage.connect()
        self._connection.autocommit(False)
        open_session(self._connection, DEVICE_TABLE)
        self._cursor: Any = self._connection.cursor()
        self._shape = read_shape(self._cursor, DATABASE, DEVICE_TABLE, "")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def statement(self, updates: list[DeviceUpdate]) -> bytes:
        """The service's own, for these."""
        [(_, statement)] = update_statements(self._shape, updates, MAX_STATEMENT)
        return statement

    def single_rows(self, count: int, rate: float) -> tuple[list[float], list[float]]:
        """Seconds that each of so many single-row UPDATEs takes with its COMMIT, and how long after the moment at
        which it was due it was done: it begins late where the one before took longer than the rate allows.
        """
        names = uuids(self._stage.devices)
        taken: list[float] = []
        since_due: list[float] = []
        began = time.monotonic()
        for index in range(count):
            due = began + index / rate
            time.sleep(max(0.0, due - time.monotonic()))
            since = time.monotonic()
            document = f'{{"temperature": 21.5, "humidity": 48, "seq": {index}}}'
            self._cursor.execute(ONE_ROW, (document, NOW, names[index % len(names)]))
            self._connection.commit()
            now = time.monotonic()
            taken.append(now - since)
            since_due.append(now - due)
        return taken, since_due

    def transactions(self, rows: int, count: int) -> list[float]:
        """Seconds that each of so many transactions takes, of the service's UPDATE for so many rows."""
        statements = self._statements(self._stage.plan(rows * count + 1), rows)[:count]
        return [self._commit(statement) for statement in statements]

    def rows_per_second(self, plan: Plan) -> float:
        """With the service's own UPDATE for many rows, every statement made before the clock starts."""
        statements = self._statements(plan, ROWS)
        return plan.count / sum(self._commit(statement) for statement in statements)

    def _commit(self, statement: bytes) -> float:
        since = time.monotonic()
        self._cursor.execute(statement)
        self._connection.commit()
        return time.monotonic() - since

    def _statements(self, plan: Plan, rows: int) -> list[bytes]:
        rules, statements = ReportRules(), []
        batch = BATCH // rows * rows
        pending = PendingUpdates()
        for number, (topic, payload) in enumerate(messages(plan), 1):
            pending.merge(decode(topic, payload, rules), NOW)
            if number % batch == 0 or number == plan.count:
                updates = pending.take().updates
                statements += [self.statement(updates[at : at + rows]) for at in range(0, len(updates), rows)]
        return statements
