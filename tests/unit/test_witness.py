"""The second connection that tells whether the broker is there, on a clock that the test moves."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.witness import TIMEOUT, Witness
from tests.unit.test_subscriber import CONNACK5, Broker

SECONDS = 30.0


class WitnessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.broker = Clock(), Broker()
        self.witness = Witness(self.broker, ConnectOptions("service"), self.clock)  # type: ignore[arg-type]
        self.addCleanup(self.witness.stop)

    def test_it_sees_a_broker_that_accepts_it_and_leaves_in_time(self) -> None:
        seen = self.witness.watch(SECONDS)
        self.assertNoResult(seen)
        self.assertFalse(self.witness.sees_broker)
        self.assertNotIn(b"service", self.broker.sent())  # its name is its own
        self.broker.say(CONNACK5)
        self.assertTrue(self.successResultOf(seen))
        self.assertTrue(self.witness.sees_broker)
        self.assertTrue(self.successResultOf(self.witness.watch(SECONDS)))
        self.assertEqual(self.broker.dials, 1)
        self.clock.advance(SECONDS)
        self.assertFalse(self.witness.sees_broker)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_sees_none_where_nobody_listens(self) -> None:
        self.broker.outcomes = [ConnectError()]
        self.assertFalse(self.successResultOf(self.witness.watch(SECONDS)))
        seen = self.witness.watch(SECONDS)  # and looks again when it is asked again
        self.broker.say(CONNACK5)
        self.assertTrue(self.successResultOf(seen))

    def test_it_sees_none_that_says_nothing(self) -> None:
        seen, again = self.witness.watch(SECONDS), self.witness.watch(SECONDS)
        self.clock.advance(TIMEOUT)
        self.assertFalse(self.successResultOf(seen))
        self.assertFalse(self.successResultOf(again))

    def test_it_sees_it_go(self) -> None:
        self.witness.watch(SECONDS)
        self.broker.say(CONNACK5)
        self.broker.close()
        self.assertFalse(self.witness.sees_broker)

    def test_who_stops_it_while_it_dials_is_told_too(self) -> None:
        self.broker.outcomes = [Deferred()]
        seen = self.witness.watch(SECONDS)
        self.witness.stop()
        self.assertFalse(self.successResultOf(seen))
        self.assertEqual(self.clock.getDelayedCalls(), [])
