"""Old messages that a broker sends again behind newer ones leave the rows as each message once, in order, would."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import ReportRules
from aiot_mqtt.ingest import anew, ingest
from aiot_mqtt.ingest.anew import REMEMBERED
from aiot_mqtt.ingest.ingest import Ingest
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from tests.doubles import RecordingConnection

Message = tuple[str, bytes]
messages = st.lists(
    st.tuples(
        st.sampled_from(("a", "b")),
        st.sampled_from(
            (
                ("data", b'{"n": %d}'),
                ("data", b"not json %d"),
                ("status", b'{"status": "s%d"}'),
                ("status", b'{"status": "offline", "n": %d}'),
                ("status", b'{"status": [], "n": %d}'),
                ("status", b'{"n": %d}'),
                ("heartbeat", b"%d"),
            )
        ),
    ),
    max_size=8,
).map(lambda each: [(f"devices/{d}/{kind}", payload % n) for n, (d, (kind, payload)) in enumerate(each)])


class Rows:
    """What an ingest makes of the columns that say something of the device, where each batch is committed."""

    def __init__(self) -> None:
        clock = Clock()
        self.counters = Counters()
        self.pending = PendingUpdates()
        self.connection = RecordingConnection()
        self.wall = 1_700_000_000.0
        self.ingest = Ingest(
            ReportRules(),
            self.pending,
            self.counters,
            Refusals(self.counters, clock),
            table_zone=ZoneInfo("UTC"),
            writer=self,
            foreign_topics=self,
            wall_clock=lambda: self.wall,
        )
        self.rows: dict[str, dict[str, Any]] = {}
        self.ingest.connection_started(self.connection)
        self.packet_id = 0

    def wake(self) -> None:
        """See ``PendingListener``: nothing is written but by ``commit``."""

    def foreign_topic_received(self, topic: str) -> None:
        raise AssertionError(topic)

    def receive(self, message: Message, *, dup: bool = False) -> None:
        self.packet_id += 1
        received = self.ingest.redelivery_received if dup else self.ingest.publish_received
        received(message[0].encode(), message[1], self.packet_id, False)

    def commit(self) -> None:
        batch = self.pending.take()
        for update in batch.updates:
            row = self.rows.setdefault(update.uuid, {})
            row["is_online"] = update.is_online
            if update.last_heartbeat is not None:
                row["heard"] = True
            for name in ("document", "status"):
                if (value := getattr(update, name)) is not None:
                    row[name] = value
            self.counters.stored += update.deliveries
        batch.acknowledge()


class LateTests(SynchronousTestCase):
    @given(messages, st.data())
    def test_in_any_order_that_a_broker_may_send_them(self, sent: list[Message], data: st.DataObject) -> None:
        late = range(data.draw(st.integers(0, len(sent))))  # what was not acknowledged when a node died
        order = [(number, False) for number in range(len(late), len(sent))]
        at = 0
        for number in late:
            # All of it first, or anywhere behind the first new one.
            if number == 0 or at > number:
                at = data.draw(st.integers(at, len(order)))
            order.insert(at, (number, True))
            at += 1
        inorder, as_came = Rows(), Rows()
        for message in sent:
            inorder.receive(message)
        inorder.commit()
        for number, dup in order:
            as_came.receive(sent[number], dup=dup)
            if data.draw(st.booleans()):
                as_came.commit()
        as_came.commit()
        self.assertEqual(as_came.rows, inorder.rows)
        self.assertEqual(as_came.connection.acknowledged, list(range(1, len(sent) + 1)))
        self.assertEqual(as_came.counters.balance(0).difference, 0)

    def test_what_is_sent_again_first_is_written_as_ever(self) -> None:
        rows = Rows()
        for number in range(3):
            rows.receive(("devices/a/data", b'{"n": %d}' % number), dup=True)
        rows.receive(("devices/a/data", b'{"n": 3}'))
        rows.commit()
        self.assertEqual((rows.rows["a"]["document"], rows.counters.stale), (b'{"n": 3}', 0))

    def test_what_is_marked_so_behind_newer_ones_counts_where_it_began_with_the_old_ones(self) -> None:
        rows = Rows()
        for number, dup in ((1, True), (2, False), (3, True)):  # RabbitMQ gave the third to a dead connection first
            rows.receive(("devices/a/data", b'{"n": %d}' % number), dup=dup)
        rows.commit()
        self.assertEqual((rows.rows["a"]["document"], rows.counters.stale), (b'{"n": 3}', 0))

    def test_an_old_one_is_counted_and_acknowledged_and_on_a_new_connection_all_begins_anew(self) -> None:
        rows = Rows()
        rows.receive(("devices/a/data", b'{"n": 2}'))
        rows.receive(("devices/a/data", b'{"n": 1}'), dup=True)
        rows.commit()
        self.assertEqual((rows.rows["a"]["document"], rows.counters.stale), (b'{"n": 2}', 1))
        self.assertEqual(rows.connection.acknowledged, [1, 2])
        rows.ingest.connection_started(rows.connection)
        rows.receive(("devices/a/data", b'{"n": 2}'), dup=True)
        self.assertEqual(rows.counters.stale, 1)

    def test_it_is_forgotten_after_a_while_also_where_nothing_came_for_long_before(self) -> None:
        rows = Rows()
        rows.receive(("devices/a/data", b'{"n": 1}'))
        rows.wall += 1000
        rows.ingest.connection_started(rows.connection)
        for later, stale in ((1, 1), (REMEMBERED - 1, 2), (2, 2)):
            rows.wall += later
            if later == 1:
                rows.receive(("devices/a/data", b'{"n": 2}'))
            rows.receive(("devices/a/data", b'{"n": 2}'), dup=True)
            self.assertEqual(rows.counters.stale, stale, later)

    def test_memory_is_bounded(self) -> None:
        for module in (anew, ingest):
            self.patch(module, "MAX_REMEMBERED", 2)
        rows = Rows()
        for device in "abca":
            rows.receive((f"devices/{device}/data", b'{"n": 2}'))
        for number in range(9):  # nor do names that send what is refused
            rows.receive((f"devices/r{number}/data", b"not json"))
        assert rows.ingest._anew is not None
        self.assertEqual(len(rows.ingest._anew), 2)
        for device in "abc":
            rows.receive((f"devices/{device}/data", b'{"n": 1}'), dup=True)
        rows.commit()
        self.assertEqual(rows.counters.stale, 2)

    def test_a_late_heartbeat_counts_where_none_came_anew(self) -> None:
        rows = Rows()
        rows.receive(("devices/a/status", b"offline"))
        rows.receive(("devices/a/heartbeat", b""), dup=True)
        rows.commit()
        self.assertEqual((rows.rows["a"]["is_online"], rows.rows["a"]["heard"]), (False, True))
        rows.receive(("devices/a/heartbeat", b""))
        rows.receive(("devices/a/heartbeat", b""), dup=True)
        self.assertEqual(rows.counters.stale, 1)
