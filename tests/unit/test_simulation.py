from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from aiot_mqtt.mqtt.errors import MqttError
from aiot_mqtt.simulate.fleet import Fleet, FleetPlan, Message, numbered_uuids
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions
from aiot_mqtt.simulate.simulation import Simulation, Summary
from tests.doubles import Received, Transport
from tests.unit.test_publisher import CONNACK_311, SUCCESSFUL, puback

PLAN = FleetPlan(numbered_uuids(6), rate=100.0)


@implementer(IStreamClientEndpoint)
class Broker:
    """An endpoint whose connections are accepted at once, and answered when the test says so."""

    def __init__(self) -> None:
        self.connections: list[tuple[Publisher, Transport, Received]] = []
        self.failure: Exception | None = None

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.failure is not None:
            return fail(self.failure)
        publisher, transport = factory.buildProtocol(None), Transport()
        publisher.makeConnection(transport)
        transport.clear()
        self.connections.append((publisher, transport, Received(mqtt5=False)))
        publisher.dataReceived(CONNACK_311)
        return succeed(publisher)

    def read(self) -> list[int]:
        """Take in what was sent; returns the number of messages each connection has had so far."""
        for _, transport, received in self.connections:
            received.feed(transport.value())
            transport.clear()
        return [len(received.publishes) for _, _, received in self.connections]

    def acknowledge(self) -> None:
        """Answer everything, and close what disconnects."""
        self.read()
        for publisher, transport, received in self.connections:
            if missing := len(received.publishes) - publisher.acknowledged:
                publisher.dataReceived(puback(*range(1, missing + 1)))
            if transport.disconnecting and not publisher.closed.called:
                publisher.connectionLost(SUCCESSFUL)


class SimulationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.broker = Clock(), Broker()
        self.sent: list[Message] = []

    def start(self, plan: FleetPlan = PLAN, **options: Any) -> tuple[Simulation, Deferred[Summary]]:
        ends = {name: options.pop(name, None) for name in ("most", "seconds")}
        connecting = PublisherOptions("sim", mqtt5=False, **options)
        simulation = Simulation(
            Fleet(plan), self.broker, connecting, self.clock, connections=2, sent=self.sent.append, **ends
        )
        self.successResultOf(Deferred.fromCoroutine(simulation.connect()))
        return simulation, Deferred.fromCoroutine(simulation.run())

    def advance(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds * 100))

    def test_publishes_at_its_rate_over_shared_connections(self) -> None:
        self.start()
        self.advance(2.005)
        self.assertApproximates(sum(self.broker.read()), 200, 2)
        for number, (_, _, received) in enumerate(self.broker.connections):
            devices = {int(topic.split(b"-")[1][:4]) - 1 for topic, _, _, _ in received.publishes}
            self.assertEqual({device % 2 for device in devices}, {number})

    def test_waits_for_room_and_catches_up(self) -> None:
        self.start(window=10)
        self.advance(1)
        self.assertLessEqual(max(self.broker.read()), 10)
        for _ in range(20):
            self.broker.acknowledge()
        self.assertApproximates(sum(self.broker.read()), 100, 2)

    def test_order_and_bytes_are_those_of_the_plan(self) -> None:
        self.start(window=3)
        for _ in range(100):
            self.advance(0.05)
            self.broker.acknowledge()
        fleet = Fleet(PLAN).messages()
        self.assertEqual(self.per_connection(self.sent), self.per_connection([next(fleet) for _ in self.sent]))

    def per_connection(self, messages: list[Message]) -> list[list[Message]]:
        return [[message for message in messages if message.device % 2 == number] for number in range(2)]

    def test_ends_once_what_was_published_is_answered(self) -> None:
        simulation, running = self.start()
        self.advance(1)
        simulation.stop()
        self.advance(1)
        self.assertNoResult(running)
        published = sum(self.broker.read())
        self.broker.acknowledge()
        self.broker.acknowledge()
        summary = self.successResultOf(running)
        self.assertEqual((summary.published, summary.acknowledged, summary.unacknowledged), (published, published, 0))
        self.assertTrue(summary.is_complete)
        self.assertEqual(sum(summary.kinds.values()), published)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ends_by_itself_after_the_wanted_number(self) -> None:
        _, running = self.start(most=25)
        self.advance(1)
        self.assertEqual(sum(self.broker.read()), 25)
        self.broker.acknowledge()
        self.broker.acknowledge()
        self.assertEqual(self.successResultOf(running).acknowledged, 25)

    def test_ends_by_itself_after_some_time_with_all_that_was_due_until_then(self) -> None:
        _, running = self.start(seconds=1.5)
        self.advance(3)
        self.assertEqual(sum(self.broker.read()), 150)
        self.broker.acknowledge()
        self.broker.acknowledge()
        self.assertEqual(self.successResultOf(running).acknowledged, 150)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_retained_messages_are_taken_back_at_the_end(self) -> None:
        simulation, running = self.start(FleetPlan(PLAN.uuids, rate=100.0, chaos=1.0))
        self.advance(1)
        self.broker.acknowledge()
        simulation.stop()
        self.broker.acknowledge()
        self.broker.acknowledge()
        summary = self.successResultOf(running)
        self.assertGreater(summary.sorts["clearing"], 0)
        kept: dict[bytes, bytes] = {}
        for _, _, received in self.broker.connections:
            kept |= {topic: payload for topic, payload, _, retain in received.publishes if retain}
        self.assertEqual(set(kept.values()), {b""})

    def test_a_broker_that_stops_answering_is_given_up(self) -> None:
        simulation, running = self.start()
        self.advance(1)
        simulation.stop()
        self.advance(10.5)
        self.broker.acknowledge()  # too late: only the disconnecting is waited for
        self.broker.acknowledge()
        summary = self.successResultOf(running)
        self.assertGreater(summary.unacknowledged, 90)
        self.assertFalse(summary.is_complete)

    def test_a_lost_connection_ends_the_run_and_is_told(self) -> None:
        _, running = self.start()
        self.advance(1)
        publisher, _, _ = self.broker.connections[0]
        publisher.connectionLost(SUCCESSFUL)
        self.broker.acknowledge()
        self.advance(11)
        for publisher, transport, _ in self.broker.connections[1:]:
            if transport.disconnecting and not publisher.closed.called:
                publisher.connectionLost(SUCCESSFUL)
        summary = self.successResultOf(running)
        self.assertIn("the broker closed the connection", summary.lost)
        self.assertFalse(summary.is_complete)

    def test_a_broker_that_is_not_there_is_told(self) -> None:
        self.broker.failure = Refused("connection refused")
        simulation = Simulation(Fleet(PLAN), self.broker, PublisherOptions("sim"), self.clock, connections=3)
        failure = self.failureResultOf(Deferred.fromCoroutine(simulation.connect()), MqttError)
        self.assertIn("refused", str(failure.value))


class SummaryTests(SynchronousTestCase):
    def test_says_the_same_in_words_and_as_json(self) -> None:
        summary = Summary(
            devices=3,
            seed=7,
            seconds=2.0,
            published=10,
            acknowledged=7,
            unacknowledged=1,
            no_subscriber=4,
            refused=Counter({"Not authorized (135)": 2}),
            kinds=Counter(data=10),
            sorts=Counter(ordinary=9, duplicate=1),
            lost="gone",
        )
        figures = summary.as_dict()
        self.assertEqual(
            (figures["rate"], figures["complete"], figures["refused"]), (5.0, False, {"Not authorized (135)": 2})
        )
        text = "\n".join(summary.lines())
        for part in (
            "published 10, acknowledged 7, unacknowledged 1, refused 2",
            "5 messages/s",
            "duplicate 1",
            "no subscriber for 4",
            "refused 2: Not authorized",
            "ended early: gone",
        ):
            self.assertIn(part, text)
