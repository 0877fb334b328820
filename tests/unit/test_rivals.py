"""Two instances with one client id at a broker that gives the session to the last, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.reason_codes import SESSION_TAKEN_OVER
from aiot_mqtt.mqtt.reconnect_delay import MAX_RIVAL_DELAY, RIVAL_DELAY, ReconnectDelay
from aiot_mqtt.mqtt.rivals import GOING_AWAY, SETTLING, STANDING, Rivals
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.outage import Outage
from tests.log_events import collect_events

AGREED = 10.0  # s after which two instances have agreed


class Witness:
    """Is there as soon as it is wanted, as long as the broker is."""

    def __init__(self) -> None:
        self.is_there = self.is_wanted = False

    @property
    def sees_broker(self) -> bool:
        return self.is_there and self.is_wanted

    def watch(self, seconds: float) -> None:
        self.is_there = self.is_wanted = True

    def stop(self) -> None:
        self.is_wanted = False


def ended_connection(*, code: int | None = None, by_peer: bool = True) -> Any:
    return SimpleNamespace(disconnect_code=code, is_closed_by_peer=by_peer and code is None)


class RivalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.witness = Clock(), Witness()
        self.clock.advance(1000)
        self.rivals = Rivals(self.witness, self.clock)  # type: ignore[arg-type]
        self.told: list[str] = []
        self.rivals.serve(abandoned=[lambda: self.told.append("abandoned")], wake=lambda: self.told.append("wake"))

    def ended(self, *, was_subscribed: bool = True, **how: Any) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.rivals.ended(ended_connection(**how), was_subscribed=was_subscribed))

    def test_alone_nothing_waits_and_nothing_is_forgotten(self) -> None:
        for is_present in (False, True, True):
            self.rivals.began(is_present=is_present, is_known=True)
            self.assertTrue(self.rivals.may_write())
            self.clock.advance(3)
            self.assertFalse(self.successResultOf(self.ended(by_peer=False)))
            self.assertTrue(self.rivals.may_write())
        self.assertEqual(self.told, ["wake"])  # for what came before the broker's answer was looked at

    def test_a_session_of_somebody_elses_is_written_a_moment_later(self) -> None:
        self.rivals.began(is_present=True, is_known=False)
        self.clock.advance(SETTLING - 0.01)
        self.assertFalse(self.rivals.may_write())
        self.clock.advance(0.02)
        self.assertTrue(self.rivals.may_write())
        self.assertEqual(self.told, ["wake"])

    def test_who_stops_meanwhile_wakes_nobody(self) -> None:
        self.rivals.began(is_present=True, is_known=False)
        self.rivals.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_goes_before_that_is_somebody_elses_still(self) -> None:
        self.rivals.began(is_present=True, is_known=False)
        self.clock.advance(SETTLING / 2)
        self.assertFalse(self.successResultOf(self.ended(by_peer=False)))
        self.assertEqual(self.told, ["abandoned"])
        self.assertFalse(self.rivals.may_write())
        self.rivals.began(is_present=True, is_known=True)
        self.assertFalse(self.rivals.may_write())

    def test_where_the_broker_says_so_what_is_not_acknowledged_is_forgotten_at_once(self) -> None:
        self.rivals.began(is_present=False, is_known=True)
        self.clock.advance(STANDING)
        self.assertTrue(self.successResultOf(self.ended(code=SESSION_TAKEN_OVER)))
        self.assertEqual(self.told, ["wake", "abandoned"])
        self.assertTrue(self.rivals.has_standing)
        self.assertFalse(self.rivals.may_write())

    def test_where_it_does_not_a_witness_tells_it_from_a_broker_that_goes_away(self) -> None:
        for goes_away in (False, True):
            self.setUp()
            self.rivals.began(is_present=True, is_known=True)
            self.clock.advance(STANDING)
            self.assertFalse(self.successResultOf(self.ended()))  # nobody was there to see
            self.assertTrue(self.rivals.may_write())  # it may be our only one, if the broker keeps nothing
            self.rivals.began(is_present=True, is_known=True)
            self.clock.advance(1)
            ended = self.ended()
            self.assertNoResult(ended)
            self.witness.is_there = not goes_away
            self.clock.advance(GOING_AWAY)
            self.assertEqual(self.successResultOf(ended), not goes_away)
            self.assertEqual("abandoned" in self.told, not goes_away)

    def test_a_broker_that_closes_at_subscribe_is_no_rival(self) -> None:
        self.witness.watch(60)
        self.rivals.began(is_present=True, is_known=True)
        self.assertFalse(self.successResultOf(self.ended(was_subscribed=False)))

    def test_who_has_no_standing_waits_longer_each_time_and_says_so(self) -> None:
        delay, outage = ReconnectDelay(Logger(), lambda: 0.0), Outage(Logger(), self.clock, "still", "back")
        events = collect_events(self)
        waits = []
        for _ in range(8):
            self.rivals.began(is_present=True, is_known=True)
            self.clock.advance(1)
            self.assertTrue(self.successResultOf(self.ended(code=SESSION_TAKEN_OVER)))
            waits.append(self.rivals.delay(delay, outage, "service", {"host": "b", "port": 1883}))
            self.assertFalse(self.rivals.is_on_turn)  # so that nobody takes the wait for a service that hangs
            outage.ended()
            self.clock.advance(waits[-1])
            self.assertTrue(self.rivals.is_on_turn)
        self.assertEqual(waits[0], RIVAL_DELAY + delay.backoff(0))
        self.assertEqual(sorted(waits), waits)
        self.assertEqual(waits[-1], MAX_RIVAL_DELAY + delay.backoff(0))
        self.assertIn(log_lines.SESSION_LEFT, [event["log_format"] for event in events])


@dataclass
class Broker:
    """Gives the session to the last one, and says to the one before that it did, or not."""

    clock: Clock
    says: bool
    owner: Instance | None = None
    changes: int = 0

    def connect(self, instance: Instance) -> None:
        former, self.owner = self.owner, instance
        self.changes += 1
        if former is not None:
            code = SESSION_TAKEN_OVER if self.says else None
            self.clock.callLater(0.001, former.lost, ended_connection(code=code))


class Instance:
    def __init__(self, name: str, broker: Broker, clock: Clock, jitter: float) -> None:
        self.name, self.broker, self.clock = name, broker, clock
        self.rivals = Rivals(Witness(), clock)  # type: ignore[arg-type]
        self.has_memory = False
        self.rivals.serve(abandoned=[self.abandon], wake=lambda: None)
        self.delay = ReconnectDelay(Logger(), lambda: jitter)
        self.outage = Outage(Logger(), clock, "still", "back")
        self.is_fresh, self.began_at = True, 0.0

    def abandon(self) -> None:
        self.has_memory = False

    def dial(self) -> None:
        self.began_at = self.clock.seconds()
        self.broker.connect(self)
        self.rivals.began(is_present=self.broker.changes > 1, is_known=not self.is_fresh or self.broker.changes == 1)
        self.is_fresh, self.has_memory = False, True

    def lost(self, connection: Any) -> None:
        lasted = self.clock.seconds() - self.began_at
        ended = Deferred.fromCoroutine(self.rivals.ended(connection, was_subscribed=True))
        ended.addCallback(self._again, lasted)

    def _again(self, is_taken: bool, lasted: float) -> None:
        if is_taken:
            wait = self.rivals.delay(self.delay, self.outage, "id", {"host": "b", "port": 1883})
        else:
            wait = self.delay.after_session(lasted)
        self.clock.callLater(wait, self.dial)


class AgreementTests(SynchronousTestCase):
    @given(st.booleans(), st.floats(0.0, 200.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
    def test_they_agree_and_who_was_there_for_long_goes_on(
        self, says: bool, later: float, jitter_a: float, jitter_b: float
    ) -> None:
        clock = Clock()
        broker = Broker(clock, says)
        a, b = (Instance(name, broker, clock, jitter) for name, jitter in (("a", jitter_a), ("b", jitter_b)))
        clock.advance(1000)
        a.dial()
        clock.pump([0.1] * int(later * 10))
        b.dial()
        for _ in range(int(AGREED * 100)):
            clock.advance(0.01)
            both = a.has_memory and b.has_memory and a.rivals.may_write() and b.rivals.may_write()
            self.assertFalse(both and says, "two write at a time")
        agreed, owner = broker.changes, broker.owner
        clock.pump([0.1] * 450)  # until the other one tries again
        self.assertEqual(broker.changes, agreed)
        assert owner is not None
        if later > STANDING + 1:
            self.assertEqual(owner.name, "a")
        for _ in range(3600):
            clock.advance(1)
        self.assertIs(broker.owner, owner)  # and each try ended as the first one
        self.assertLess(broker.changes - agreed, 2 * 12)
