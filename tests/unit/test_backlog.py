"""What is pending, in any order of what may happen to it: nothing is lost, and nothing is acknowledged out of turn."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS, DeviceReport
from aiot_mqtt.devices.update import DeviceUpdate, uuid_key
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.writing.backlog import Backlog
from rig.selection import rounds
from tests.doubles import OrderedConnection

DEVICES = st.sampled_from(("a", "A", "b", "c"))
CASE = {"A": "a"}


class BacklogMachine(RuleBasedStateMachine):
    """Receives, writes and saves; each may fail, connections end, and somebody else may have the session meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.key = uuid_key({})
        self.pending = PendingUpdates()
        self.backlog = Backlog(self.pending)
        self.number = self.received = self.superseded = self.done = 0
        self.newest: dict[str, tuple[int, bytes]] = {}
        """Of each device the last document that was received."""
        self.kept: dict[str, int] = {}
        """Of each device the number of the document that the table or the disk has."""
        self.is_described = self.is_aside = False
        self.connect()

    @rule()
    def connect(self) -> None:
        self.connection = OrderedConnection()
        self.pending.start_connection(self.connection)

    @rule(device=DEVICES, kind=st.sampled_from((DATA, STATUS, HEARTBEAT)))
    def receive(self, device: str, kind: int) -> None:
        self.number += 1
        self.received += 1
        document = None if kind == HEARTBEAT else b"%d" % self.number
        self.connection.received.append(self.number)
        self.pending.owe_acknowledgement(self.number)
        self.superseded += self.pending.merge(DeviceReport(device, kind, document), "2026-11-23 10:00:00")
        if document is not None:
            self.newest[device.lower()] = (self.number, document)

    @rule()
    def learn_spellings(self) -> None:
        self.key, self.is_described = uuid_key(CASE), True
        self.superseded += self.pending.keys_are(self.key)

    # Nothing is written before the table has said which spellings are one device to it.
    @precondition(lambda self: self.is_described and not self.is_aside)
    @precondition(lambda self: self.backlog.in_flight is None and self.pending)
    @rule()
    def begin_batch(self) -> None:
        self.backlog.begin_batch()

    @precondition(lambda self: self.backlog.in_flight is not None and not self.backlog.is_being_saved)
    @rule(count=st.integers(1, 3), is_all=st.booleans())
    def write(self, count: int, is_all: bool) -> None:
        batch = self.backlog.in_flight
        assert batch is not None
        if not self.backlog.is_in_flight_saved:
            written = batch.updates if is_all else batch.updates[:count]
            self.done += sum(update.deliveries for update in written)
            self.keep(written)
            batch.remove_first(len(written))
        if not batch.updates or self.backlog.is_in_flight_saved:
            batch.acknowledge()
            self.backlog.end_batch()

    @precondition(lambda self: self.backlog.in_flight is not None and not self.backlog.is_being_saved)
    @rule()
    def fail_to_write(self) -> None:
        self.superseded += self.backlog.put_back()

    @rule()
    def set_aside(self) -> None:
        self.is_aside = True
        self.backlog.set_aside()
        self.connect()

    @precondition(lambda self: self.is_aside)
    @rule()
    def take_back(self) -> None:
        self.is_aside = False
        self.superseded += self.backlog.take_back()

    @precondition(lambda self: self.is_aside)
    @rule()
    def forget(self) -> None:
        self.is_aside = False
        self.superseded += self.backlog.abandon()
        for device, (number, _document) in sorted(self.newest.items()):
            if number not in self.connection.received and self.kept.get(device, 0) < number:
                self.receive(device, DATA)  # by the broker, again

    @precondition(lambda self: not self.is_aside)
    @precondition(lambda self: self.backlog.needs_saving and not self.backlog.is_being_saved)
    @rule(is_saved=st.booleans(), meanwhile=st.lists(DEVICES, max_size=3))
    def save(self, is_saved: bool, meanwhile: list[str]) -> None:
        updates = self.backlog.begin_to_save()
        for device in meanwhile:
            self.receive(device, DATA)
        if is_saved:
            self.done += sum(update.deliveries for update in updates)
            self.keep(updates)
            self.backlog.saved()
        else:
            self.superseded += self.backlog.not_saved()

    def keep(self, updates: Sequence[DeviceUpdate]) -> None:
        for update in sorted(updates, key=lambda update: update.document_order):
            if update.document is not None:
                self.kept[update.uuid.lower()] = int(update.document)

    @invariant()
    def every_delivery_is_somewhere_and_once(self) -> None:
        assert self.received == self.superseded + self.done + self.backlog.deliveries

    @invariant()
    def what_is_acknowledged_is_kept(self) -> None:
        for device, (number, _document) in self.newest.items():
            if number in self.connection.acknowledged:
                assert self.kept.get(device, 0) >= number

    def teardown(self) -> None:
        """With nothing failing, all is kept and acknowledged."""
        self.learn_spellings()
        if self.is_aside:
            self.take_back()
        while self.backlog.in_flight is not None or self.pending:
            if self.backlog.in_flight is None:
                self.backlog.begin_batch()
            self.write(1, True)
        assert self.connection.acknowledged == self.connection.received
        assert self.kept == {device: number for device, (number, _document) in self.newest.items()}
        assert self.backlog.deliveries == 0


class BacklogTests(SynchronousTestCase):
    def test_in_any_order(self) -> None:
        chosen = settings(
            max_examples=rounds(150), stateful_step_count=40, deadline=None, derandomize=True, database=None
        )
        run_state_machine_as_test(BacklogMachine, settings=chosen)
