"""A database in memory that answers, refuses, hangs, or does what it was asked and loses the reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute, succeed
from twisted.python.failure import Failure

from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreNotOurs,
    StoreRefused,
    StoreUnavailable,
    Written,
)
from aiot_mqtt.table.memory import MemoryTable, Row

if TYPE_CHECKING:
    from .process import Process
    from .world import World

READ_TIMEOUT = 20.0  # s after which the service gives a silent server up, as the real table's driver does
CERTAIN, UNCERTAIN, DEADLY = "poison-c", "poison-u", "poison-d"
"""In a value: the table refuses it; it refuses it in words that nobody knows; its connection is gone."""


class PoisonedTable(MemoryTable):
    """Refuses what a real table may refuse: values, every update of some rows, or every update."""

    def __init__(self, uuids: Sequence[str], effects: dict[str, int], *, tells_case: bool) -> None:
        super().__init__(uuids, tells_case=tells_case)
        self._effects = effects
        self.closed: set[str] = set()
        """Keys of rows that take no update."""
        self.takes_times = True

    def write(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None = None) -> Deferred[Written]:
        """See ``Store``."""
        return execute(self._judged, updates, unless_heard_until)

    def _judged(self, updates: Sequence[DeviceUpdate], unless_heard_until: str | None) -> Written:
        self._judge(updates)
        return self._write(updates, unless_heard_until)

    def why_no_times(self, update: DeviceUpdate) -> Deferred[str | None]:
        """See ``Store``."""
        if not self.takes_times:
            return succeed("last_seen: Incorrect datetime value (1292)")
        others = [key for key in self.rows if key not in self.closed and key != self.key(update.uuid)]
        return succeed(None if others else "there is no other row")

    def _judge(self, updates: Sequence[DeviceUpdate]) -> None:
        if not self.takes_times:
            self._effects["times refused"] += 1
            raise StoreRefused("Incorrect datetime value (1292)", is_certain=False)
        for update in updates:
            if self.key(update.uuid) not in self.rows:
                continue
            if self.key(update.uuid) in self.closed:
                self._effects["row refused"] += 1
                raise StoreRefused("trigger says no (1644)")
            values = (update.document or b"").decode().partition('"x": ')[2] + (update.status or "")
            if DEADLY in values:
                self._effects["connection ended by a value"] += 1
                raise StoreUnavailable("Lost connection (2013)")
            if UNCERTAIN in values:
                self._effects["value refused in unknown words"] += 1
                raise StoreRefused("something odd (9999)", is_certain=False)
            if CERTAIN in values:
                self._effects["value refused"] += 1
                raise StoreRefused("bad value (3140)")


@dataclass(eq=False, slots=True)
class Call:
    """One call of a process."""

    process: Process
    table: PoisonedTable
    name: str
    arguments: tuple[Any, ...]
    answer: Deferred[Any]
    made_at: float
    session: object
    """The broker's that the process had then; see ``table.fence``."""

    @property
    def uuids(self) -> list[str]:
        """The devices that a write is about."""
        return [update.uuid for update in self.arguments[0]] if self.name == "write" else []


class Database:
    """The server: what becomes of a call is drawn."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.random = random
        self.tables: dict[str, PoisonedTable] = {}
        self.is_frozen = False
        self.rates = dict.fromkeys(FAULTS, 0.0)
        self._was_odd = False
        self._limbo: list[Call] = []  # a COMMIT is on its way, and nobody waits for the answer

    def call(self, process: Process, name: str, arguments: tuple[Any, ...]) -> Deferred[Any]:
        """A process asks for something; its answer comes later, whatever it is."""
        answer: Deferred[Any] = Deferred(lambda _answer: None)
        call = Call(
            process, self.tables[process.table], name, arguments, answer, self.world.clock.seconds(), process.session
        )
        process.calls.append(call)
        self.world.clock.callLater(self.latency(), self._arrived, call)
        return answer

    def latency(self) -> float:
        """Seconds that something takes."""
        return self.random.choice((0.0, 0.0, 0.001, 0.05, 0.5, 2.0)) * self.world.slowness

    def abandoned(self, call: Call) -> None:
        """The process that waits for it is gone: it was done, or not, or it will be."""
        process = call.process
        process.calls.remove(call)
        if call.name != "write" or self._is_locked(call):
            return
        fate = self.random.random()
        if fate < 0.4:
            self.world.effects["killed after a commit"] += 1
            self._do(call)
        elif fate < 0.6:
            self._put_in_limbo(call)
        else:
            self.world.effects["killed before a commit"] += 1

    def _arrived(self, call: Call) -> None:
        if call not in call.process.calls:
            return
        if self.is_frozen:
            self.world.effects["database hangs"] += 1
            self.world.clock.callLater(
                READ_TIMEOUT * self.random.random(), self._thawed_or_given_up, call, READ_TIMEOUT
            )
            return
        fault = next((name for name, rate in self.rates.items() if rate and self.random.random() < rate), None)
        if fault is None:
            self._done(call)
        else:
            FAULTS[fault](self, call)

    def _thawed_or_given_up(self, call: Call, left: float) -> None:
        if call not in call.process.calls:
            return
        if not self.is_frozen:
            self._done(call)
        elif left > READ_TIMEOUT / 2:
            self.world.clock.callLater(READ_TIMEOUT / 2, self._thawed_or_given_up, call, 0.0)
        else:
            self._lose(call)

    def _done(self, call: Call) -> None:
        """Do it, and answer in a while."""
        if call not in call.process.calls:  # its process died meanwhile
            return
        if self._is_locked(call):
            self.world.effects["rows locked"] += 1
            self._fail(call, StoreConflict("Lock wait timeout exceeded (1205)"))
            return
        if not self._may_commit(call):
            self.world.effects["rolled back, of a former session"] += 1
            self._fail(call, StoreNotOurs("not ours"))
            return
        result = self._do(call)
        self.world.clock.callLater(self.latency(), self._answer, call, result)

    def _do(self, call: Call) -> Any:
        """What the table makes of it, at once: a result, or a failure."""
        before = dict(call.table.rows)
        results: list[Any] = []
        self.world.note(call.name, call.process, call.uuids)
        getattr(call.table, call.name)(*call.arguments).addBoth(results.append)
        self.world.rows_changed(call, before)
        return results[0]

    def _answer(self, call: Call, result: Any) -> None:
        if call in call.process.calls:
            self.world.note(call.name, call.process, "gets", _in_words(result))
            call.process.calls.remove(call)
            if not call.answer.called:
                call.answer.callback(result)

    def _fail(self, call: Call, error: StoreError) -> None:
        self.world.clock.callLater(self.latency(), self._answer, call, Failure(error))

    # What may go wrong.

    def _refuse(self, call: Call) -> None:
        self.world.effects["database refuses connections"] += 1
        self._fail(call, StoreUnavailable("Can't connect (2003)"))

    def _misconfigured(self, call: Call) -> None:
        self.world.effects["database misconfigured"] += 1
        kind = self.random.choice((StoreMisconfigured, StoreLoginRefused))
        self._fail(call, kind("denied (1142)"))

    def _conflict(self, call: Call) -> None:
        self.world.effects["deadlock"] += 1
        self._fail(call, StoreConflict("Deadlock found (1213)"))

    def _odd(self, call: Call) -> None:
        """The server has trouble of its own: either once, or with whatever it is asked to write."""
        is_lasting = self.rates["odd"] == 1.0
        if call.name == "why_no_times" and is_lasting:
            self.world.clock.callLater(self.latency(), self._answer, call, "out of resources (1041)")
        elif call.name != "write" or (self._was_odd and not is_lasting):
            self._was_odd = False
            self._done(call)
        else:
            self._was_odd = True
            self.world.effects["server's own trouble"] += 1
            self._fail(call, StoreRefused("out of resources (1041)", is_certain=False))

    def _hang(self, call: Call) -> None:
        self.world.effects["database hangs"] += 1
        self.world.clock.callLater(READ_TIMEOUT * self.random.random(), self._done, call)

    def _lose(self, call: Call) -> None:
        """It does what it was asked, or not, and the reply is lost."""
        if self.random.random() < 0.6 and not self._is_locked(call) and self._may_commit(call):
            self._do(call)
            if call.name == "write":
                self.world.effects["lost reply of the database"] += 1
        self._fail(call, StoreUnavailable("Lost connection during query (2013)"))

    def _leave_in_limbo(self, call: Call) -> None:
        if call.name == "write" and not self._is_locked(call) and self._may_commit(call):
            self._put_in_limbo(call)
        self._fail(call, StoreUnavailable("Lost connection during query (2013)"))

    def _put_in_limbo(self, call: Call) -> None:
        """The COMMIT arrives later, or never. Until then the transaction holds its rows locked."""
        updates = [update.copy() for update in call.arguments[0]]
        late = Call(
            call.process, call.table, call.name, (updates, *call.arguments[1:]), Deferred(), call.made_at, call.session
        )
        self._limbo.append(late)
        self.world.clock.callLater(self.random.choice((0.1, 2.0, 30.0)), self._leave_limbo, late)

    def _leave_limbo(self, call: Call) -> None:
        self._limbo.remove(call)
        if self.random.random() < 0.6:
            self.world.effects["late commit"] += 1
            self._do(call)

    def _may_commit(self, call: Call) -> bool:
        """What the fence says, where the process was never frozen."""
        return call.name != "write" or call.session is call.process.session

    def _is_locked(self, call: Call) -> bool:
        locked = {(late.table, late.table.key(uuid)) for late in self._limbo for uuid in late.uuids}
        if call.name == "set_offline" and any(table is call.table for table, _ in locked):
            return True
        return any((call.table, call.table.key(uuid)) in locked for uuid in call.uuids)


FAULTS: dict[str, Callable[[Database, Call], None]] = {
    "refuse": Database._refuse,
    "misconfigured": Database._misconfigured,
    "conflict": Database._conflict,
    "odd": Database._odd,
    "hang": Database._hang,
    "lose": Database._lose,
    "limbo": Database._leave_in_limbo,
}


class TableOfProcess(Service):
    """The table as one process reaches it: every method of the contract is a call to the database."""

    def __init__(self, database: Database, process: Process) -> None:
        self._database = database
        self._process = process

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(MemoryTable, name):
            raise AttributeError(name)
        return lambda *arguments: self._database.call(self._process, name, arguments)

    def __str__(self) -> str:
        return "the simulated database"

    def stopService(self) -> Deferred[None]:
        """See ``IService``."""
        super().stopService()
        return succeed(None)


def _in_words(result: Any) -> object:
    """A result for the trace, the same in each run: sets of texts have another order in each process."""
    if isinstance(result, Failure):
        return result.value
    return sorted(result.unknown | result.newer | result.shared) if isinstance(result, Written) else ""


def differences(before: Row, after: Row) -> dict[str, str]:
    """The document and the status that a row was given."""
    changed = {}
    if after.last_report_data is not None and after.last_report_data != before.last_report_data:
        changed["document"] = after.last_report_data
    if after.device_status != before.device_status:
        changed["status"] = after.device_status
    return changed
