"""One course of events, repeated by its seed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest.mock import patch

from twisted.internet.error import ConnectionLost

from aiot_mqtt.devices.report import KINDS
from aiot_mqtt.mqtt import keep_alive
from aiot_mqtt.spool.names import files_of
from aiot_mqtt.writing import chunk_size, table_order

from .database import CERTAIN, DEADLY, FAULTS, UNCERTAIN
from .disk import CALLS, WRITES
from .messages import Message, Violation
from .process import Process, Variant
from .world import SPOOL, World

CONVERGE = 600.0  # s, with nothing failing any more, until all must be in the table


class Course(World):
    """Draws what happens, and plays it."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        random = self.random
        self.base = Variant(
            has_spool=random.random() < 0.85,
            resolution=random.choice((0, 0, 3, 60)),
            timeout=random.choice((0, 20, 40)),
            receive_maximum=random.choice((1, 3, 20, 65535)),
            protocol=random.choice(("auto", "auto", "5", "3.1.1")),
        )
        tells_case = random.random() < 0.3
        self.known = ["dev-a", "dev-b", "dev-c", "Dev.D"][: random.randrange(1, 5)]
        self.spellings = [*self.known, *(name.upper() for name in self.known[: random.randrange(5)])]
        self.kinds = random.choice((KINDS, (*KINDS, "data"), (*KINDS, "heartbeat", "heartbeat")))
        rows = [*(self.spellings if tells_case else self.known), "stone", "zero"]
        for name in ("device_main", "device_other"):
            table = self.add_table(name, rows, tells_case=tells_case)
            table.closed.add("stone")
            self.histories[name, "stone"].is_closed = True
        self.broker.speaks_5 = self.base.protocol == "5" or random.random() < 0.8
        self.broker.keeps_retained_back = random.random() < 0.5
        self.actions_left = random.randrange(15, 100)
        self.pace = random.choice((0.3, 1.0, 1.0, 3.0))
        self._is_finishing = self._had_trouble = self._had_refused_times = False
        self._deeds = self._draw_deeds(random)
        self.watch()

    # What may happen.

    def _draw_deeds(self, random: Random) -> list[Callable[[], None]]:
        """What may happen in this course, the likely more often."""
        deeds = [self._publish] * 12 + [self._burst] * 2
        self._possible_alone = (self._publish, self._burst, self._swap_folder, self._change_broker, self._step_clock)
        for deed, times in (
            (self._change_database, 5),
            (self._freeze_database, 1),
            (self._table_refuses_times, 1),
            (self._change_disk, 3),
            (self._lose_disk, 1),
            (self._freeze_disk, 1),
            (self._swap_folder, 5),
            (self._change_broker, 4),
            (self._cut, 2),
            (self._silence, 1),
            (self._freeze_broker, 1),
            (self._restart_broker, 1),
            (self._kill, 3),
            (self._stop, 1),
            (self._second_process, 1),
            (self._step_clock, 1),
            (self._add_row, 1),
        ):
            if random.random() < 0.4:
                deeds += [deed] * times
        if random.random() < 0.3:
            self.clock.pauses = 0.002
        return deeds

    def act(self) -> None:
        """Do something, and again in a while."""
        if not self.actions_left:
            return
        self.actions_left -= 1
        if not self.processes:
            may_swap = self._swap_folder in self._deeds and self.random.random() < 0.4
            alone = [deed for deed in self._deeds if deed in self._possible_alone]
            (self._swap_folder if may_swap else self.random.choice(alone))()
        else:
            self.random.choice(self._deeds)()
        self.clock.callLater(self.random.choice((0.0, 0.0, 0.0, 0.05, 0.5, 2.0, 6.0)) * self.pace, self.act)

    def _publish(self) -> None:
        self.publish(self._message())

    def _burst(self) -> None:
        for _ in range(self.random.randrange(2, 12)):
            self._publish()

    def _message(self) -> Message:
        random = self.random
        self.published = number = self.published + 1
        kind = random.choice(self.kinds)
        prefix = (self.processes[0].variant if self.processes else self.base).prefix
        rare = random.random()
        device, qos = random.choice(self.spellings), 1
        if rare < 0.02:
            device = "stone"
        elif rare < 0.04:
            device = random.choice(("nobody", "late-comer"))
        elif rare < 0.08:
            device, qos = "zero", 0
        message = Message(number, device, f"{prefix}/{device}/{kind}", prefix, b"", kind, qos)
        odd = random.random()
        if kind == "heartbeat":
            message.payload = b"x" * (300 if odd < 0.03 else 0)
            message.is_refused = odd < 0.03
        elif odd < 0.04:
            message.payload = random.choice((b'{"n": NaN}', b"{", b"x" * 300, b"[1]"))
            message.is_refused = True
        else:
            self._fill(message, odd)
        message.retain = random.random() < 0.01
        return message

    def _fill(self, message: Message, odd: float) -> None:
        """Give a message a document, and a status where it is to have one."""
        number, random = message.number, self.random
        poison = random.choice((CERTAIN, UNCERTAIN, DEADLY)) if odd < 0.1 else None
        members = f'"n": {number}'
        if message.kind == "status":
            word = random.random()
            if word < 0.2:
                message.payload = f"s{number}".encode()
                message.status = f"s{number}"
                message.document = f'{{"status": "s{number}"}}'
                return
            if word < 0.4:
                message.status, message.is_online = "offline", False
            elif word < 0.8:
                message.status = f"s{number}"
            if poison is not None and message.status is not None and message.is_online and random.random() < 0.5:
                message.status = f"{poison}-{number}"
                message.poison = "status"
                poison = None
            if message.status is not None:
                members += f', "status": "{message.status}"'
        if poison is not None:
            members += f', "x": "{poison}"'
            message.poison = "document"
        message.document = f"{{{members}}}"
        message.payload = message.document.encode()

    def _change_database(self) -> None:
        rates = self.database.rates
        for fault in FAULTS:
            rates[fault] = 0.0
        if self.random.random() < 0.7:
            rates[self.random.choice(list(FAULTS))] = self.random.choice((0.2, 0.5, 1.0, 1.0))
            rates[self.random.choice(list(FAULTS))] = self.random.choice((0.1, 0.3))
        if 0.3 < rates["odd"] < 1.0:
            rates["odd"] = 0.3  # the same value would meet it each time it is tried
        if rates["odd"] == 1.0:
            # Twice, and it would be over just when that is asked, so what it refuses would be taken for bad values.
            rates["odd"] = 0.0 if self._had_trouble else 1.0
            self._had_trouble = True
        self.note("database", rates)

    def _freeze_database(self) -> None:
        self.database.is_frozen = not self.database.is_frozen
        self.note("database frozen", self.database.is_frozen)

    def _table_refuses_times(self) -> None:
        # Mended once: a table that takes times for just one statement in between is taken to refuse values.
        if self._had_refused_times and all(table.takes_times for table in self.database.tables.values()):
            return
        self._had_refused_times = True
        for table in self.database.tables.values():
            table.takes_times = not table.takes_times
            self.note("takes times", table.takes_times)

    def _change_disk(self) -> None:
        self.disk.calls = self.random.choice((CALLS, WRITES, ("commit",), ("create", "sync_folder", "connect")))
        self.disk.rate = self.random.choice((0.0, 0.02, 0.1, 0.3, 0.6))
        self.disk.error = self.random.choice((errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS))
        self.note("disk", self.disk.rate, self.disk.calls, self.disk.error)

    def _lose_disk(self) -> None:
        self.disk.is_gone = not self.disk.is_gone
        self.note("disk gone", self.disk.is_gone)

    def _freeze_disk(self) -> None:
        self.disk.is_frozen = not self.disk.is_frozen
        self.note("disk frozen", self.disk.is_frozen)

    def _swap_folder(self) -> None:
        """Unmount the disk while nobody has a file on it, or mount it again, under a process that runs."""
        files = [file.name for file in files_of(self.mount / SPOOL) if file.exists()]
        if len(self.processes) > 1:  # each of two would have a lock in a folder of its own
            return
        if self.away.exists():
            if files:
                return
            if self.processes and any(state.path.parent == self.away for state in self.disk_contents()):
                self.effects["file turned up late"] += 1
                if not self._is_finishing and self.random.random() < 0.5:
                    self.database.rates["refuse"] = 1.0  # so that something is saved before anybody looks
                    self._burst()
            shutil.rmtree(self.mount)
            os.rename(self.away, self.mount)
            self.note("mounted")
        else:
            if files and self.processes:
                return
            os.rename(self.mount, self.away)
            self.mount.mkdir()
            self.note("unmounted", files)
        self.disk_changed()

    def _change_broker(self) -> None:
        for fault in self.broker.rates:
            self.broker.rates[fault] = 0.0
        if self.random.random() < 0.7:
            self.broker.rates[self.random.choice(list(self.broker.rates))] = self.random.choice((0.3, 0.7))
        self.note("broker", self.broker.rates)

    def _cut(self) -> None:
        for link in list(self.broker.links):
            self.effects["connection cut"] += 1
            self.note("cut")
            link.cut(ConnectionLost())

    def _silence(self) -> None:
        for link in self.broker.links:
            self.effects["link goes silent"] += 1
            self.note("silent")
            link.is_silent = True

    def _freeze_broker(self) -> None:
        self.broker.is_frozen = not self.broker.is_frozen
        if self.broker.is_frozen:
            self.effects["broker frozen"] += 1
        self.note("broker frozen", self.broker.is_frozen)

    def _restart_broker(self) -> None:
        keeps_sessions = self.random.random() < 0.7
        self.note("broker down", keeps_sessions)
        self.broker.restart(keeps_sessions=keeps_sessions)
        self.clock.callLater(self.random.choice((0.1, 3.0, 20.0)), self._broker_is_back)

    def _broker_is_back(self) -> None:
        self.note("broker back")
        self.broker.is_up = True

    def _kill(self) -> None:
        self.effects["killed"] += 1
        process = self.random.choice(self.processes)
        if self.random.random() < 0.6:
            self.kill_when_busy(process)
        else:
            process.die()

    def _stop(self) -> None:
        process = self.random.choice(self.processes)
        if not process.is_stopping:
            process.stop()

    def _second_process(self) -> None:
        if len(self.processes) == 1 and self.processes[0].variant.has_spool and self.base.has_spool:
            self.effects["second process"] += 1
            self.start(self.processes[0].variant)

    def _step_clock(self) -> None:
        step = self.random.choice((-3600.0, -100.0, -2.0, 2.0, 100.0, 86400.0))
        self.effects["clock set forward" if step > 0 else "clock set back"] += 1
        self.wall_offset += step
        self.was_set_back = self.was_set_back or step < 0
        self.note("clock set", step)

    def _add_row(self) -> None:
        for name, table in self.database.tables.items():
            if "late-comer" not in table.rows:
                self.add_row(name, "late-comer")

    def process_ended(self, process: Process) -> None:
        """Somebody starts it again, in a while."""
        super().process_ended(process)
        if not self.processes and not self._is_finishing:
            if self._swap_folder in self._deeds and self.disk_contents() and self.random.random() < 0.5:
                self._swap_folder()  # the next one starts before the disk is mounted
            self.clock.callLater(self.random.choice((0.0, 0.5, 5.0, 40.0)), self._start_again)

    def _start_again(self) -> None:
        if self.processes or self._is_finishing:
            return
        variant = self.base
        if self.random.random() < (0.6 if self.disk_contents() else 0.2):
            variant = self.random.choice(
                (
                    replace(variant, table="device_other"),
                    replace(variant, prefix="site/devices"),
                    replace(variant, zone="UTC"),
                    replace(variant, has_spool=False),
                    replace(variant, resolution=self.random.choice((0, 3, 60))),
                )
            )
            self.effects["settings changed"] += 1
        self.start(variant)

    # From beginning to end.

    def run(self) -> None:
        """Play it.

        :raises Violation: a promise is broken; the trace says how.
        """
        try:
            with ExitStack() as patches:
                for name in ("USUAL", "ROWS_AFTER_FAILURE", "MAX_ROWS"):
                    patches.enter_context(patch.object(chunk_size, name, (1, 2, 3, 1000)[self.seed % 4]))
                for name, least in (("LARGE", 2), ("PIECE", 3)):  # or nothing would ever be arranged
                    patches.enter_context(patch.object(table_order, name, least))
                patches.enter_context(patch.object(keep_alive, "PING_INTERVAL", 2.5))  # or half of all were pings
                self._run()
        finally:
            self.end()

    def _run(self) -> None:
        self.start(self.base)
        self.clock.callLater(0.0, self.act)
        while self.actions_left:
            self.step()
        self._calm()
        self._converge()
        self.check_rows()

    def _calm(self) -> None:
        """From now on nothing fails."""
        self.note("calm")
        self._is_finishing = True
        self._doomed = None
        self.clock.pauses = 0.0
        self.database.rates = dict.fromkeys(FAULTS, 0.0)
        self.database.is_frozen = self.disk.is_frozen = self.disk.is_gone = self.broker.is_frozen = False
        self.disk.rate = 0.0
        self.broker.rates = dict.fromkeys(self.broker.rates, 0.0)
        self.broker.is_up = True
        for table in self.database.tables.values():
            table.takes_times = True
        for process in self.processes[1:]:
            if not process.is_stopping:
                process.stop()

    def _converge(self) -> None:
        """Start the service for whatever is left on disk, and at last as it was in the beginning."""
        for _ in range(6):  # who is stopped may leave something behind
            self._empty_disk()
            self._only(self.base)
            self._settle()
            if self.away.exists():
                self._discard_empty_files()
                self._swap_folder()
            elif not self.disk_contents():
                return
        raise Violation(f"left on disk: {self.disk_contents()}")

    def _discard_empty_files(self) -> None:
        """Files of another table in which there is nothing: no process that is to come would delete them."""
        for file in files_of(self.mount / SPOOL):
            if file.exists() and not any(state.path == file for state in self.disk_contents()):
                file.unlink()

    def _empty_disk(self) -> None:
        """Start the service for what is on disk, whatever it is set to."""
        while owners := self._owners_on_disk():
            owner = owners[0]
            self._only(owner)
            self._until(lambda: owner not in self._owners_on_disk(), f"the files of {owner} to be emptied")  # noqa: B023
            self._settle()

    def _owners_on_disk(self) -> list[Variant]:
        """Whose files there are where the service sees them."""
        return [
            replace(self.base, table=state.table, prefix=state.prefix, zone=state.zone, has_spool=True)
            for state in self.disk_contents()
            if state.path.parent == self.mount
        ]

    def _settle(self) -> None:
        self._until(lambda: self.processes[0].is_settled and not self.broker.holds, "all to be in the table")

    def _only(self, variant: Variant) -> None:
        """Have one process run, set in a certain way."""
        for process in self.processes:
            if not process.is_stopping and (process.variant != variant or process is not self.processes[0]):
                process.stop()
        self._until(lambda: not any(process.is_stopping for process in self.processes), "the others to end")
        if not self.processes:
            self.start(variant)

    def _until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline, fewest = self.clock.seconds() + CONVERGE, self.broker.holds
        while not is_so():
            if self.broker.holds < fewest:  # slowly, with a window of one and a database far away
                deadline, fewest = self.clock.seconds() + CONVERGE, self.broker.holds
            if self.clock.seconds() > deadline:
                raise Violation(f"waited in vain for {what}")
            self.step()
