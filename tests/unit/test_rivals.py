"""Two instances with one client id at a broker that gives the session to the last, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt import lease
from aiot_mqtt.mqtt.keep_alive import UNATTENDED
from aiot_mqtt.mqtt.lease import PATIENCE, Lease
from aiot_mqtt.mqtt.reason_codes import SESSION_TAKEN_OVER
from aiot_mqtt.mqtt.reconnect_delay import MAX_RIVAL_DELAY, RIVAL_DELAY, ReconnectDelay
from aiot_mqtt.mqtt.rivals import GOING_AWAY, MAX_CUT_SHORT, SETTLING, STANDING, Rivals
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.outage import Outage
from tests.log_events import collect_events

AGREED = 10.0  # s after which two instances have agreed
LONGEST_FIRST_DELAY = 2.0  # s: a second, and the jitter


class Witness:
    """Is there once it is wanted, as long as the broker is."""

    def __init__(self) -> None:
        self.is_there = self.is_wanted = False
        self.sees: Deferred[bool] | None = None

    @property
    def sees_broker(self) -> bool:
        return self.is_there and self.is_wanted

    def watch(self, seconds: float) -> Deferred[bool]:
        if self.sees is not None:
            return self.sees
        self.is_there = self.is_wanted = True
        return succeed(True)

    def stop(self) -> None:
        self.is_wanted = False


def ended_connection(*, code: int | None = None, by_peer: bool = True, ours_at: float = float("inf")) -> Any:
    return SimpleNamespace(disconnect_code=code, is_closed_by_peer=by_peer and code is None, ours_at=ours_at)


class Reactor(Clock):
    """In whose thread everything runs."""

    def callFromThread(self, call: Callable[[], object]) -> None:
        call()


class Connection:
    """One whose broker answers when the test says so."""

    def __init__(self, ours_at: float) -> None:
        self.ours_at = ours_at
        self.asked = 0
        self.answer: Deferred[bool] = Deferred()
        self.is_silent = False

    def ask(self) -> Deferred[bool]:
        self.asked += 1
        return self.answer

    def trust(self) -> None:
        self.ours_at = float("inf")


class Keeper:
    """Says what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def set_aside(self) -> None:
        self.told.append("aside")

    def release(self, *, is_ours: bool) -> None:
        self.told.append("taken back" if is_ours else "forgotten")

    def abandon(self) -> None:
        self.told.append("abandoned")

    def wake(self) -> None:
        self.told.append("wake")


class RivalsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.witness = Reactor(), Witness()
        self.clock.advance(1000)
        self.rivals = Rivals(self.witness, self.clock)  # type: ignore[arg-type]
        self.keeper = Keeper()
        self.told = self.keeper.told
        self.rivals.serve(self.keeper, doubted=[lambda: self.told.append("doubted")])

    def began(self, *, is_present: bool = True, is_known: bool = True) -> Connection:
        connection = Connection(self.clock.seconds())
        self.rivals.began(connection, is_present=is_present, is_known=is_known)  # type: ignore[arg-type]
        return connection

    def ended(self, *, was_subscribed: bool = True, **how: Any) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.rivals.ended(ended_connection(**how), was_subscribed=was_subscribed))

    def test_alone_nothing_waits_and_nothing_is_forgotten(self) -> None:
        for is_present in (True, False, False):
            self.began(is_present=is_present)
            self.assertTrue(self.rivals.may_write())
            self.clock.advance(1)
            self.assertFalse(self.successResultOf(self.ended(by_peer=False)))
            self.assertTrue(self.rivals.may_write())  # what came before may be its only one, if the broker keeps none
        # For what came before the broker's answer was looked at; and there is nothing to forget.
        self.assertEqual(self.told, ["forgotten", "taken back", "wake"])

    @given(st.booleans(), st.booleans())
    def test_a_session_that_may_have_been_somebody_elses_is_written_a_moment_later(
        self, by_peer: bool, is_known: bool
    ) -> None:
        self.setUp()
        if is_known:
            self.began()
            self.clock.advance(1)
            self.assertFalse(self.successResultOf(self.ended(by_peer=by_peer)))
            self.clock.advance(SETTLING)
        del self.told[:]
        self.began(is_known=is_known)
        self.assertEqual(self.told, ["forgotten", "doubted"])
        self.clock.advance(SETTLING - 0.01)
        self.assertFalse(self.rivals.may_write())
        self.clock.advance(0.02)
        self.assertTrue(self.rivals.may_write())
        self.assertEqual(self.told[2:], ["taken back", "wake"])

    @given(st.one_of(st.none(), st.just(SESSION_TAKEN_OVER)), st.booleans())
    def test_who_is_back_before_anybody_else_may_have_written_goes_on_at_once(
        self, code: int | None, by_peer: bool
    ) -> None:
        self.setUp()
        self.began()
        self.clock.advance(60)
        self.successResultOf(self.ended(code=code, by_peer=by_peer))
        self.clock.advance(SETTLING - 0.01)
        self.began()
        self.assertTrue(self.rivals.may_write())

    def test_what_counts_is_when_the_session_was_certainly_ours(self) -> None:
        self.began()
        self.clock.advance(60)
        self.successResultOf(self.ended(ours_at=self.clock.seconds() - SETTLING))  # frozen, say
        self.began()
        self.assertFalse(self.rivals.may_write())

    @given(st.floats(0.0, 2 * STANDING), st.booleans(), st.booleans(), st.booleans())
    def test_whatever_ends_a_connection_that_was_silent_for_long_what_came_on_it_waits_for_the_next_one(
        self, silent: float, by_peer: bool, is_broker_there: bool, is_present: bool
    ) -> None:
        """Frozen until the broker gave it up, cut off until we did: somebody else may have written."""
        self.setUp()
        self.witness.sees = succeed(is_broker_there)
        self.began(is_present=False)
        self.clock.advance(60)
        ended_at = self.clock.seconds() - silent
        self.assertFalse(self.successResultOf(self.ended(code=None if by_peer else 0x8D, ours_at=ended_at)))
        is_old = silent >= UNATTENDED
        self.assertEqual("aside" in self.told, is_old or by_peer)
        if is_old:
            self.assertFalse(self.rivals.may_write())
        del self.told[:]
        self.began(is_present=is_present)
        if is_old:  # the broker sends it again, or has lost it
            self.assertEqual(self.told[0], "forgotten" if is_present else "taken back")
        self.assertEqual(self.rivals.may_write(), not is_present or silent < SETTLING)

    def test_one_that_the_broker_has_lost_is_nobody_elses(self) -> None:
        self.began()
        self.assertFalse(self.successResultOf(self.ended()))
        del self.told[:]
        self.began(is_present=False)
        self.assertTrue(self.rivals.may_write())
        self.assertEqual(self.told, ["taken back", "wake"])

    def test_who_stops_meanwhile_wakes_nobody(self) -> None:
        self.began(is_known=False)
        self.rivals.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_whose_end_was_not_told_leaves_nothing_behind(self) -> None:
        self.began(is_known=False)
        self.clock.advance(SETTLING - 1)
        self.began(is_known=False)
        self.clock.advance(SETTLING - 1)
        self.assertFalse(self.rivals.may_write())
        self.clock.advance(1)
        self.assertTrue(self.rivals.may_write())

    def test_one_that_goes_before_that_is_open_still(self) -> None:
        self.began(is_known=False)
        self.clock.advance(SETTLING / 2)
        self.assertFalse(self.successResultOf(self.ended(by_peer=False)))
        self.clock.advance(SETTLING)
        self.assertFalse(self.rivals.may_write())
        self.began()
        self.assertFalse(self.rivals.may_write())

    def test_a_network_that_breaks_every_connection_holds_nothing_up_for_ever(self) -> None:
        self.began(is_known=False)
        for times in range(1, 2 * MAX_CUT_SHORT):
            self.clock.advance(0.1)
            self.assertFalse(self.successResultOf(self.ended(by_peer=False)))
            self.began()
            self.assertEqual(self.rivals.may_write(), times >= MAX_CUT_SHORT)
        self.clock.advance(SETTLING)  # one that lasts: the next is looked at again
        self.assertFalse(self.successResultOf(self.ended(by_peer=False)))
        self.clock.advance(SETTLING)
        self.began()
        self.assertFalse(self.rivals.may_write())

    def test_where_the_broker_says_so_what_is_not_acknowledged_is_forgotten_at_once(self) -> None:
        self.began(is_present=False)
        self.clock.advance(STANDING)
        self.assertTrue(self.successResultOf(self.ended(code=SESSION_TAKEN_OVER)))
        self.assertEqual(self.told, ["taken back", "wake", "abandoned"])
        self.assertTrue(self.rivals.has_standing)
        self.assertFalse(self.rivals.may_write())

    def test_where_it_does_not_a_witness_tells_it_from_a_broker_that_goes_away(self) -> None:
        for goes_away in (False, True):
            self.setUp()
            self.began()
            self.clock.advance(STANDING)
            self.assertFalse(self.successResultOf(self.ended()))  # nobody was there to see
            self.assertFalse(self.rivals.may_write())  # but the broker is there, and sends it again
            self.assertEqual(self.told[-1], "aside")
            self.began()
            self.clock.advance(1)
            ended = self.ended()
            self.assertNoResult(ended)
            self.witness.is_there = not goes_away
            self.clock.advance(GOING_AWAY)
            self.assertEqual(self.successResultOf(ended), not goes_away)
            self.assertEqual("abandoned" in self.told, not goes_away)

    @given(st.booleans(), st.booleans())
    def test_what_a_broker_may_have_lost_that_is_away_is_written(self, is_there: bool, is_back: bool) -> None:
        self.setUp()
        self.witness.sees = Deferred()
        self.began()
        self.assertFalse(self.successResultOf(self.ended()))
        self.assertFalse(self.rivals.may_write())
        if is_back:
            self.clock.advance(SETTLING)
            self.began()
        self.witness.sees.callback(is_there)
        self.assertEqual(self.rivals.may_write(), not is_there and not is_back)
        self.assertEqual("taken back" in self.told[self.told.index("aside") :], not is_there and not is_back)

    def test_a_broker_that_closes_at_subscribe_is_no_rival(self) -> None:
        self.witness.watch(60)
        self.began()
        self.assertFalse(self.successResultOf(self.ended(was_subscribed=False)))

    def test_who_has_no_standing_waits_longer_each_time_and_says_so(self) -> None:
        delay, outage = ReconnectDelay(Logger(), lambda: 0.0), Outage(Logger(), self.clock, "still", "back")
        events = collect_events(self)
        waits = []
        for _ in range(8):
            self.began()
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


class LeaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.lease = Lease(self.reactor)

    def began(self) -> Connection:
        connection = Connection(self.reactor.seconds())
        self.lease.began(connection)  # type: ignore[arg-type]
        return connection

    def prover(self) -> Callable[[], bool]:
        prove = self.lease.prover()
        assert prove is not None
        return prove

    def test_what_came_on_a_connection_that_is_looked_after_is_kept_without_a_question(self) -> None:
        connection = self.began()
        prove = self.prover()
        for _ in range(2):
            self.reactor.advance(UNATTENDED - 0.01)
            self.assertTrue(prove())
            self.assertTrue(self.lease.is_held())
            connection.ours_at = self.reactor.seconds()
        self.assertEqual(connection.asked, 0)

    def test_while_the_broker_says_nothing_there_is_no_proof_to_be_had(self) -> None:
        connection = self.began()
        begun = self.prover()
        self.reactor.advance(UNATTENDED)
        connection.is_silent = True
        self.patch(lease, "PATIENCE", 0.001)
        self.assertFalse(begun())
        self.assertFalse(self.lease.is_held())
        self.reactor.advance(PATIENCE)
        self.assertFalse(self.lease.is_held())
        self.assertEqual(connection.ours_at, 0.0)  # not trusted
        self.assertIsNone(self.lease.prover())
        connection.is_silent, connection.ours_at = False, self.reactor.seconds()
        self.assertTrue(self.prover()())
        self.lease.ended()
        connection.is_silent = True
        self.assertIsNotNone(self.lease.prover())  # there is none that could be silent

    @given(st.one_of(st.none(), st.booleans()))
    def test_after_that_the_broker_is_asked_before_a_commit(self, answer: bool | None) -> None:
        self.setUp()
        self.patch(lease, "PATIENCE", 0.001)
        connection = self.began()
        prove = self.prover()
        self.reactor.advance(UNATTENDED)
        if answer is not None:
            connection.answer.callback(answer)
        self.assertEqual(prove(), answer is not False)  # something comes, and its end would have come behind that
        self.assertEqual(connection.asked, 1)
        self.assertEqual(connection.ours_at == float("inf"), answer is None)  # nobody waits for the next one

    @given(st.one_of(st.none(), st.booleans()))
    def test_and_before_anything_is_kept_on_disk(self, answer: bool | None) -> None:
        self.setUp()
        connection = self.began()
        self.reactor.advance(UNATTENDED)
        for _ in range(3):
            self.assertFalse(self.lease.is_held())
        self.assertEqual(connection.asked, 1)
        if answer is None:
            self.reactor.advance(PATIENCE)
        else:
            connection.ours_at = self.reactor.seconds() if answer else connection.ours_at
            connection.answer.callback(answer)
        connection.answer = Deferred()
        self.assertEqual(self.lease.is_held(), answer is not False)
        connection.ours_at = self.reactor.seconds()  # it answers again
        connection.answer.callback(True)
        self.assertTrue(self.lease.is_held())
        self.reactor.advance(UNATTENDED)
        self.assertFalse(self.lease.is_held())

    def test_what_came_on_another_connection_is_not_kept(self) -> None:
        self.began()
        prove = self.prover()
        self.lease.ended()
        self.assertFalse(prove())
        away = self.prover()
        self.assertTrue(away())  # it is written while the broker is away
        self.assertTrue(self.lease.is_held())
        self.began()
        self.assertFalse(away())
        self.assertFalse(prove())


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
            code, ours_at = SESSION_TAKEN_OVER if self.says else None, self.clock.seconds()
            awakes = max(0.0, former.frozen_until - self.clock.seconds())
            self.clock.callLater(awakes + 0.001, former.lost, ended_connection(code=code, ours_at=ours_at))


class Instance:
    def __init__(self, name: str, broker: Broker, clock: Clock, jitter: float) -> None:
        self.name, self.broker, self.clock = name, broker, clock
        self.rivals = Rivals(Witness(), clock)  # type: ignore[arg-type]
        self.has_memory = False
        keeper = Keeper()
        keeper.abandon = self.abandon  # type: ignore[method-assign]
        self.rivals.serve(keeper)
        self.delay = ReconnectDelay(Logger(), lambda: jitter)
        self.outage = Outage(Logger(), clock, "still", "back")
        self.is_fresh, self.began_at, self.frozen_until = True, 0.0, 0.0

    def abandon(self) -> None:
        self.has_memory = False

    def dial(self) -> None:
        self.began_at = self.clock.seconds()
        self.broker.connect(self)
        self.rivals.began(
            Connection(self.began_at),  # type: ignore[arg-type]
            is_present=self.broker.changes > 1,
            is_known=not self.is_fresh or self.broker.changes == 1,
        )
        self.is_fresh, self.has_memory = False, True

    def lost(self, connection: Any) -> None:
        self.frozen_until = 0.0
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
    @given(st.booleans(), st.floats(0.0, 200.0), st.floats(0.0, 200.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
    @example(False, 32.0, 24.0, 1.0, 1.0)  # the newcomer has standing when it has lost it for the second time
    @example(False, 0.0, 26.0, 1.0, 1.0)  # both have had it for long, or so each thinks
    def test_they_agree_and_who_was_there_for_long_goes_on(
        self, says: bool, later: float, frozen: float, jitter_a: float, jitter_b: float
    ) -> None:
        clock = Reactor()
        broker = Broker(clock, says)
        a, b = (Instance(name, broker, clock, jitter) for name, jitter in (("a", jitter_a), ("b", jitter_b)))
        clock.advance(1000)
        a.dial()
        clock.pump([0.1] * int(later * 10))
        a.frozen_until = clock.seconds() + frozen
        b.dial()
        clock.pump([1.0] * int(frozen))
        clock.advance(frozen % 1)
        for _ in range(int(AGREED * 100)):
            clock.advance(0.01)
            both = a.has_memory and b.has_memory and a.rivals.may_write() and b.rivals.may_write()
            # Awake and not told yet, it has a lease that has run out.
            self.assertFalse(both and not a.frozen_until, "two write at a time")
        agreed, owner = broker.changes, broker.owner
        clock.pump([0.1] * 450)  # until the other one tries again
        self.assertEqual(broker.changes, agreed)
        assert owner is not None
        if frozen > STANDING + 1:
            self.assertEqual(owner.name, "b")
        elif later > STANDING + 1 and frozen < STANDING - 3 * LONGEST_FIRST_DELAY - 1:
            # On a silent broker neither sees at the first change that it was one, so it changes three times at most
            # before one that was there for less than standing takes gives way; meanwhile the newcomer's time grows.
            self.assertEqual(owner.name, "a")
        for _ in range(3600):
            clock.advance(1)
        self.assertIs(broker.owner, owner)  # and each try ended as the first one
        self.assertLess(broker.changes - agreed, 2 * 12)
