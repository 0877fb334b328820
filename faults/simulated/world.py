"""Everything around the service: what a seed lets happen, and what must hold after every step.

What is excepted, and no more than that: rows of which a file of the spool held a state while a process that could not
see that file wrote to their table (it started blind, the folder was swapped, other settings were in force), or to
another one after the clock was set back, because the file's states are later told from newer ones, and from those of
the next file, by ``last_seen`` alone; and rows of two processes of which one has no lock. A broker that is restored
from an older snapshot is not simulated, nor is a power cut of the machine.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, cast
from zoneinfo import ZoneInfo

from twisted.logger import ILogObserver, globalLogPublisher

from aiot_mqtt.devices.update import table_time
from aiot_mqtt.spool.names import files_of
from aiot_mqtt.table.memory import Row
from aiot_mqtt.telemetry import log_lines

from .broker import Broker
from .clock import SimulatedClock
from .database import Call, Database, PoisonedTable, differences
from .disk import DiskWeather
from .messages import Message, Receipt, RowHistory, Violation
from .process import Process, Variant

SPOOL = "spool"  # the name of its first file
BEGINNING = 1_795_400_000  # s since the epoch
ROUNDING = 3.0  # s by which silence may be told too long: whole seconds, and steps of the clock that are let pass
INITIAL = Row()


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What a file of the spool says of one device."""

    path: Path
    table: str
    prefix: str
    zone: str
    uuid: str
    document: str | None
    status: str | None
    last_seen: str


class World:
    """Broker, database, disk and clocks, and the processes among them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.random = self.random_for("course")
        self.effects: Counter[str] = Counter()
        self.trace: list[str] = []
        self.clock = SimulatedClock(self.random_for("clock"))
        self.slowness = self.random.choice((0.0, 0.1, 1.0, 1.0, 3.0))
        self.wall_offset = 0.0
        self.was_set_back = False
        self.mount, self.away = folder / "disk", folder / "away"
        self.mount.mkdir(parents=True)
        self.spool_path = self.mount / SPOOL
        self.disk = DiskWeather(self, self.random_for("disk"))
        self.database = Database(self, self.random_for("database"))
        self.broker = Broker(self, self.random_for("broker"))
        self.histories: dict[tuple[str, str], RowHistory] = {}
        self.strangers: dict[tuple[str, str], RowHistory] = {}
        self.by_value: dict[tuple[str, str], list[Message]] = {}
        self.processes: list[Process] = []
        self.dead: list[Process] = []  # kept: a coroutine that is collected runs what one that is killed does not
        self.published = 0
        self._receipts = 0
        self._disk_contents: list[OnDisk] | None = None
        self._is_unchecked = False
        self._fault: str | None = None
        self._doomed: Process | None = None

    def random_for(self, name: str) -> Random:
        """Numbers that nothing else draws from, so that one thing more here changes little there."""
        return Random(f"{self.seed} {name} {len(self.dead) if hasattr(self, 'dead') else 0}")

    def wall(self) -> float:
        """The wall clock, which may be set."""
        return BEGINNING + self.clock.seconds() + self.wall_offset

    def note(self, what: str, *details: object) -> None:
        """Add to the trace."""
        self.trace.append(f"{self.clock.seconds():9.3f} {what} {' '.join(map(str, details))}")

    # What happens to messages.

    def add_table(self, name: str, uuids: list[str], *, tells_case: bool) -> PoisonedTable:
        """A table with rows."""
        table = self.database.tables[name] = PoisonedTable(uuids, self.effects, tells_case=tells_case)
        for key in table.rows:
            self.histories[name, key] = RowHistory(name, key)
        return table

    def add_row(self, name: str, uuid: str) -> None:
        """Somebody adds a device."""
        table = self.database.tables[name]
        key = table.key(uuid)
        table.rows[key] = INITIAL
        history = self.histories[name, key] = self.strangers.pop((name, key), RowHistory(name, key))
        history.added_at = self.published
        for process in self.processes:
            self.note_limits(process)
        self.note("row added", name, uuid)

    def publish(self, message: Message) -> None:
        """A device publishes."""
        for column in ("document", "status"):
            if (value := getattr(message, column)) is not None:
                self.by_value.setdefault((column, value), []).append(message)
        self.note("PUBLISH", message, "" if self.broker.publish(message) else "(lost)")

    def received(self, message: Message, process: Process) -> None:
        """A PUBLISH is handed to a process."""
        self.note("received", message, "by", process)
        self._note_two_writers()
        if message.retain:
            self.effects["retained"] += 1
            return
        if message.prefix != process.variant.prefix:
            self.effects["foreign topic"] += 1
            return
        self._receipts += 1
        message.receipts.append(Receipt(self._receipts, process, int(self.wall()), self.clock.seconds()))
        table = self.database.tables[process.table]
        place = process.table, table.key(message.device)
        history = self.histories.get(place)
        if history is None:
            self.effects["unknown device"] += 1
            self.strangers.setdefault(place, RowHistory(*place)).received(message)
        else:
            history.received(message)
            if history.messages[0].device != message.device:
                self.effects["another spelling of a device"] += 1
            if message.is_refused:
                self.effects["payload refused, device heard"] += 1
            if not message.qos:
                self.effects["QoS 0"] += 1

    def acknowledged(self, message: Message, process: Process) -> None:
        """A process sends a PUBACK."""
        self.note("PUBACK", message, "by", process)
        self._is_unchecked = True
        if not message.retain and message.prefix == process.variant.prefix:
            message.acknowledged_by = process

    def comes_again(self, message: Message) -> None:
        """A broker is about to hand a message over once more."""
        if message.acknowledged_by is not None:
            self.effects["lost PUBACK"] += 1
            message.acknowledged_by = None

    def rows_changed(self, call: Call, before: dict[str, Row]) -> None:
        """A call was done."""
        self._note_two_writers()
        table = call.process.table
        for key, row in call.table.rows.items():
            if row == (old := before.get(key, INITIAL)):
                continue
            self._is_unchecked = True
            history = self.histories[table, key]
            changes = differences(old, row)
            self.note("row", history.name, call.process, call.name, changes, row.is_online, row.last_seen)
            for column, value in changes.items():
                history.holds(column, value)
            if history.is_closed:
                raise Violation(f"{history.name} takes no updates, and was changed")
            if call.name != "write":
                self._check_silence(history, call)

    def _check_silence(self, history: RowHistory, call: Call) -> None:
        """A sweep has set a device offline."""
        self.effects["set offline"] += 1
        since = call.made_at - call.process.variant.timeout + ROUNDING
        for message in history.messages:
            for receipt in message.receipts:
                if receipt.process is call.process and since < receipt.monotonic < call.made_at:
                    raise Violation(f"{history.name} is set offline, though {message} was heard at {receipt.monotonic}")

    # Processes.

    def start(self, variant: Variant) -> Process:
        """Start the service."""
        process = Process(self, variant, len(self.dead) + len(self.processes) + 1)
        self.processes.append(process)
        self.note("started", process, variant)
        self.note_limits(process)
        return process

    def process_ended(self, process: Process) -> None:
        """A process is gone, in whatever way."""
        self.processes.remove(process)
        self.dead.append(process)
        self.disk_changed()

    def note_limits(self, process: Process) -> None:
        """What is on disk and not for this process to see, though its table is the one that it belongs in: what comes
        of it later is told from what is newer only by ``last_seen``, or not at all.
        """
        variant = process.variant
        is_blind = process.is_blind
        for state in self.disk_contents():
            is_seen = (
                state.path.parent == self.mount
                and not is_blind
                and variant.has_spool
                and (variant.table, variant.prefix, variant.zone) == (state.table, state.prefix, state.zone)
            )
            key = self.database.tables[state.table].key(state.uuid)
            may_differ = state.table == process.table or self.was_set_back
            if not is_seen and may_differ and (state.table, key) in self.histories:
                self.histories[state.table, key].known_limit = "a file that is not seen holds an older state"

    def _note_two_writers(self) -> None:
        """Where no lock can be made, or the folder with the lock was swapped, two processes may write at once; so may
        they where one began without being able to look whether the other has the spool.
        """
        if len(self.processes) > 1 and any(process.is_unlocked or process.is_blind for process in self.processes):
            for history in self.histories.values():
                history.known_limit = "two processes, and nothing that keeps one of them out"

    def observe(self, event: Any) -> None:
        """See ``ILogObserver``."""
        line = str(event.get("log_format"))
        self.note("log", line[:40].replace("\n", " "))
        if "log_failure" in event:
            self._fault = f"{line}: {event['log_failure'].getTraceback()}"
        elif line == log_lines.SPOOL_BLIND:
            self.effects["started without being able to look at the disk"] += 1
        elif line == log_lines.SPOOL_FOREIGN:
            self.effects["foreign file"] += 1
        elif line == log_lines.SPOOL_IN_USE:
            self.effects["spool locked by another process"] += 1
        elif line == log_lines.SPOOLING:
            self.effects["spool begun"] += 1
        elif line == log_lines.SPOOL_EMPTIED:
            self.effects["spool emptied"] += 1
        elif line == log_lines.SPOOL_FOUND:
            self.effects["file found"] += 1

    # The disk.

    def disk_changed(self) -> None:
        """What is on disk may be something else."""
        self._disk_contents = None
        self._is_unchecked = True

    def disk_contents(self) -> list[OnDisk]:
        """All that is in files of the spool, wherever they are."""
        if self._disk_contents is None:
            self._disk_contents = [
                state
                for folder in (self.mount, self.away)
                for file in files_of(folder / SPOOL)
                for state in self._read(file)
            ]
            if len({state.path.name for state in self._disk_contents}) > 1:
                self.effects["two files"] += 1
        return self._disk_contents

    def _read(self, path: Path) -> list[OnDisk]:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return []
        identity = (found.st_dev, found.st_ino)
        connections = [process.disk.connection_to(identity) for process in self.processes]
        connection = next((connection for connection in connections if connection is not None), None)
        own = None
        if connection is None:
            connection = own = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0)
        try:
            (owner,) = connection.execute("SELECT owner FROM spool").fetchone()
            rows = connection.execute("SELECT uuid, document, status, last_seen FROM device_update").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []  # a process was about to make it
        finally:
            if own is not None:
                own.close()
        whose = json.loads(owner)
        return [
            OnDisk(
                path,
                whose["table"],
                whose["topic_prefix"],
                whose["time_zone"],
                uuid,
                document and document.decode(),
                *rest,
            )
            for uuid, document, *rest in rows
        ]

    def about_to_delete(self, path: Path) -> None:
        """A process deletes a file: what was acknowledged because of it must be in the table or in another file, or be
        older than what is there.
        """
        files = files_of(path.with_name(SPOOL))
        kept = [state for other in files if other != path and other.exists() for state in self._read(other)]
        for state in self._read(path) if path in files else ():
            table = self.database.tables[state.table]
            place = state.table, table.key(state.uuid)
            history, row = self.histories.get(place), table.rows.get(place[1])
            if history is None or row is None or history.is_closed or history.known_limit is not None:
                continue
            if (row.last_seen or "") > state.last_seen:
                continue
            for column, held in (("document", row.last_report_data), ("status", row.device_status)):
                value = getattr(state, column)
                brought = [message for message in history.messages if getattr(message, column) == value]
                if value is None or len(brought) != 1:
                    continue  # where several said the same, nobody can tell whose it is
                [message] = brought
                elsewhere = {getattr(each, column) for each in kept if (each.table, table.key(each.uuid)) == place}
                newest = max(
                    (each.number for each in history.messages if getattr(each, column) in {held, *elsewhere}), default=0
                )
                if newest >= message.number or history.is_poisoned_after(column, message.number - 1):
                    continue
                # Before there was a row, maybe until its write was on its way back, it was refused.
                if message.number > history.added_at and history.is_acknowledged(message):
                    self._fault = f"{path} is deleted, with {message}, and {history.name} has {held}"

    # What must hold.

    def kill_when_busy(self, process: Process) -> None:
        """As soon as its thread is at something, or it waits for a commit."""
        self._doomed = process

    def step(self) -> None:
        """One call, and then a look at everything.

        :raises Violation: a promise is broken.
        """
        if not self.clock.step():
            raise Violation("nothing is to come any more")
        if self._fault is not None:
            raise Violation(self._fault)
        if self._doomed is not None and (self._doomed.is_dead or self._doomed.is_busy):
            self._doomed.die()
            self._doomed = None
        self._note_two_writers()
        for process in self.processes:
            process.check()
            if process.is_blind:
                self.note_limits(process)
        if self._is_unchecked:
            self._is_unchecked = False
            self._check_acknowledged()

    def _check_acknowledged(self) -> None:
        """What was acknowledged is in the table or on disk, or something newer is, or it was refused."""
        for (table_name, key), history in self.histories.items():
            if history.is_closed or history.known_limit is not None:
                continue
            row = self.database.tables[table_name].rows[key]
            for column, value in (("document", row.last_report_data), ("status", row.device_status)):
                newest = history.newest(column, acknowledged=True)
                if newest is None or value == getattr(newest, column) or self._number(column, value) > newest.number:
                    continue  # the row has it, or something newer
                if history.is_poisoned_after(column, newest.number):
                    continue
                if self._is_on_disk(table_name, key, column, newest):
                    continue
                raise Violation(f"{newest} was acknowledged by {newest.acknowledged_by}, and is nowhere")

    def _number(self, column: str, value: str | None) -> int:
        if value is None:
            return 0
        return max((message.number for message in self.by_value.get((column, value), ())), default=0)

    def _is_on_disk(self, table: str, key: str, column: str, newest: Message) -> bool:
        own_key = self.database.tables[table].key
        return any(
            self._number(column, getattr(state, column)) >= newest.number
            for state in self.disk_contents()
            if state.table == table and own_key(state.uuid) == key
        )

    def check_rows(self) -> None:
        """At the end: every row is what processing each delivered message once, in order, leaves.

        :raises Violation: one is not.
        """
        for (table, key), history in self.histories.items():
            row = self.database.tables[table].rows[key]
            if history.is_closed:
                if row != INITIAL:
                    raise Violation(f"{history.name} takes no updates, and is {row}")
            elif history.known_limit is not None:
                self.effects["row within a known limit"] += 1
            else:
                self.effects["row checked"] += 1
                self._check_value(history, "document", row.last_report_data, INITIAL.last_report_data)
                self._check_value(history, "status", row.device_status, INITIAL.device_status)
                self._check_online(history, row)
                self._check_time(history, "last_seen", row.last_seen)
                self._check_time(history, "last_heartbeat", row.last_heartbeat)

    def _check_value(self, history: RowHistory, column: str, value: str | None, initial: str | None) -> None:
        certain = history.newest(column, acknowledged=True)
        number = 0 if certain is None else certain.number
        may_be = {initial if certain is None else getattr(certain, column)}
        is_poisoned = history.is_poisoned_after(column, number)
        for message in history.messages:
            if message.poison != column and (message.number > number or is_poisoned):
                may_be.add(getattr(message, column))
        if is_poisoned:
            may_be.add(initial)
        if value not in may_be:
            raise Violation(f"{history.name}.{column} is {value}, not one of {may_be}")

    def _certain_receipt(self, history: RowHistory, messages: list[Message]) -> Receipt | None:
        """The last receipt of what was acknowledged."""
        receipts = [
            receipt
            for message in messages
            if history.is_acknowledged(message) and message.number > history.added_at
            for receipt in message.receipts[-1:]
        ]
        return max(receipts, key=lambda receipt: receipt.place, default=None)

    def _check_online(self, history: RowHistory, row: Row) -> None:
        certain = self._certain_receipt(history, history.messages)
        place = 0 if certain is None else certain.place
        may_be = {False} if certain is None else set()
        heard = [self.clock.seconds()]
        for message in history.messages:
            for receipt in message.receipts:
                if receipt.place >= place:
                    may_be.add(message.is_online)
                    heard.append(receipt.monotonic)
        # What came after a silence need not be in the table, if nobody who serves it has acknowledged it.
        heard.sort()
        silence = max((later - earlier for earlier, later in pairwise(heard)), default=heard[0])
        timeouts = [process.variant.timeout for process in (*self.processes, *self.dead) if process.variant.timeout]
        if timeouts and silence >= min(timeouts) - ROUNDING:
            may_be.add(False)
        if row.is_online not in may_be:
            raise Violation(f"{history.name}.is_online is {row.is_online}")

    def _check_time(self, history: RowHistory, column: str, value: str | None) -> None:
        messages = [message for message in history.messages if column == "last_seen" or message.kind == "heartbeat"]
        certain = self._certain_receipt(history, messages)
        place = 0 if certain is None else certain.place
        may_be: set[str | None] = {None} if certain is None else set()
        for message in messages:
            for receipt in message.receipts:
                lag = 0 if certain is None else certain.wall - receipt.wall
                resolution = max(each.process.variant.resolution for each in (receipt, certain or receipt))
                if receipt.place >= place or 0 <= lag < resolution:
                    may_be.add(table_time(receipt.wall, ZoneInfo(receipt.process.variant.zone)))
        if value not in may_be:
            raise Violation(f"{history.name}.{column} is {value}, not one of {sorted(map(str, may_be))}")

    def watch(self) -> None:
        """Listen to the log."""
        globalLogPublisher.addObserver(cast(ILogObserver, self.observe))

    def end(self) -> None:
        """Let nothing go on."""
        globalLogPublisher.removeObserver(cast(ILogObserver, self.observe))
        for process in list(self.processes):
            process.die()
