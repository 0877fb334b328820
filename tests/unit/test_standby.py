"""Who of several instances is active: what they say, what they make of it, and what is proved by it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.settings.instance import name_or_host, topic_or_usual
from aiot_mqtt.spool.disk import SpoolError
from aiot_mqtt.standby.beat import MAX_NAME, MAX_PAYLOAD, Beat, Kind, decode, encode
from aiot_mqtt.standby.proof import Proof
from aiot_mqtt.standby.proven_spooler import ProvenSpooler
from aiot_mqtt.standby.role import WAYS, Role, RoleEvents, Roles
from aiot_mqtt.standby.sight import COURTESY, FRESH, PATIENCE, Sight, Why
from aiot_mqtt.standby.standing import AHEAD, SETTLING, Standing
from aiot_mqtt.table.contract import StoreNotOurs
from aiot_mqtt.table.fence import Fence
from aiot_mqtt.telemetry import log_lines
from tests.log_events import collect_events

A, B, C = "a" * 16, "b" * 16, "c" * 16
NAMES = st.text(min_size=1, max_size=MAX_NAME).filter(str.isprintable)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=5,
)


class BeatTests(SynchronousTestCase):
    @given(st.sampled_from(Kind), NAMES, st.integers(0, 2**53))
    def test_what_is_said_is_what_is_understood(self, kind: Kind, name: str, number: int) -> None:
        said = Beat(kind, name, A, number)
        self.assertEqual(decode(encode(said)), said)
        self.assertLessEqual(len(encode(said)), MAX_PAYLOAD)

    @given(st.binary(max_size=600))
    def test_whatever_is_published_there_is_taken_or_not(self, payload: bytes) -> None:
        decode(payload)

    @given(ANYTHING, st.sampled_from(["aiot-mqtt", "name", "run", "n"]))
    def test_each_part_is_looked_at(self, value: Any, part: str) -> None:
        said = {"aiot-mqtt": "active", "name": "a", "run": A, "n": 1, part: value}
        beat = decode(json.dumps(said).encode())
        self.assertTrue(beat is None or getattr(beat, {"aiot-mqtt": "kind", "n": "number"}.get(part, part)) is not None)
        if beat is not None:
            self.assertIn(
                beat, [Beat(Kind.ACTIVE, beat.name, beat.run, beat.number), *(Beat(kind, "a", A, 1) for kind in Kind)]
            )

    def test_what_is_none_of_ours(self) -> None:
        for payload in (
            b"",
            b"[]" * 10,
            b"[" * 500,
            b"null",
            b'{"aiot-mqtt":"active"}',
            b'{"aiot-mqtt":"king","name":"a","run":"%s","n":1}' % A.encode(),
            b'{"aiot-mqtt":[],"name":"a","run":"%s","n":1}' % A.encode(),
            b'{"aiot-mqtt":"active","name":"a\\n","run":"%s","n":1}' % A.encode(),
            b'{"aiot-mqtt":"active","name":"%s","run":"%s","n":1}' % (b"x" * 65, A.encode()),
            b'{"aiot-mqtt":"active","name":"a","run":"A","n":1}',
            b'{"aiot-mqtt":"active","name":"a","run":"%s","n":true}' % A.encode(),
            b'{"aiot-mqtt":"active","name":"a","run":"%s","n":1e99}' % A.encode(),
            b'{"aiot-mqtt":"active","name":"a","run":"%s","n":-1}' % A.encode(),
            encode(Beat(Kind.ACTIVE, "a", A, 1)) + b" " * MAX_PAYLOAD,
        ):
            self.assertIsNone(decode(payload), payload)

    def test_names(self) -> None:
        self.assertEqual(name_or_host("", "h\n"), "h\\n")
        self.assertEqual(name_or_host("n", "h"), "n")
        self.assertEqual(topic_or_usual("", "a/+#b"), "aiot-mqtt/a___b/active")
        self.assertEqual(topic_or_usual("t", "a"), "t")


class SightTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sight = Sight(A)
        self.now = 100.0
        self.number = 0

    def wait(self, seconds: float, *, others: str = "", comes_back: bool = True) -> None:
        """Let time pass, in which we say something each half second, and perhaps another one does."""
        for _ in range(round(seconds * 2)):
            self.number += 1
            self.sight.sent(self.number, self.now)
            if comes_back:
                self.see(Kind.STANDBY, A, number=self.number)
            self.now += 0.5
            if others:
                self.see(Kind.ACTIVE, others)

    def see(self, kind: Kind, run: str, *, retained: bool = False, number: int = 0) -> None:
        self.sight.seen(Beat(kind, f"host-{run[0]}", run, number), self.now, retained=retained)

    def may(self) -> Why | None:
        return self.sight.may_claim(self.now)

    def test_where_nobody_is_heard_it_waits_for_a_while(self) -> None:
        self.wait(60)
        self.assertIsNone(self.may(), "it does not look on")
        self.sight.looks(self.now)
        self.wait(PATIENCE)
        self.assertIsNone(self.may())
        self.wait(1)
        self.assertEqual(self.may(), Why.NOBODY)

    def test_of_two_that_start_at_once_one_is_first(self) -> None:
        self.sight = Sight(A, jitter=1.0)
        self.sight.looks(self.now)
        self.wait(PATIENCE + 1)
        self.assertIsNone(self.may())
        self.wait(0.5)
        self.assertEqual(self.may(), Why.NOBODY)

    def test_silence_counts_only_where_what_we_say_comes_back(self) -> None:
        self.sight.looks(self.now)
        self.wait(10, others=B)
        self.assertIsNone(self.may())
        self.wait(60, comes_back=False)
        self.assertIsNone(self.may())
        self.wait(PATIENCE + 0.5)
        self.assertEqual(self.may(), Why.SILENT)
        self.assertEqual(self.sight.other and self.sight.other.name, "host-b")

    def test_one_that_was_frozen_itself_hears_first_what_came_meanwhile(self) -> None:
        self.sight.looks(self.now)
        self.wait(10, others=B)
        self.now += 60
        self.assertIsNone(self.may(), "what came back was sent before")
        self.wait(0.5, others=B)
        self.assertIsNone(self.may())

    def test_what_came_back_must_be_fresh(self) -> None:
        self.sight.looks(self.now)
        self.wait(PATIENCE + 1)
        self.now += FRESH
        self.assertIsNone(self.may())

    def test_a_will_or_an_orderly_end_is_not_waited_for(self) -> None:
        for kind, why in ((Kind.GONE, Why.GONE), (Kind.RELEASED, Why.RELEASED)):
            self.sight = Sight(A)
            self.sight.looks(self.now)
            self.wait(1, others=B)
            self.see(kind, B)
            self.assertEqual(self.may(), why)
            self.wait(1, others=B)
            self.assertIsNone(self.may(), "it is back")

    def test_the_will_of_one_whose_session_was_taken_says_nothing_of_who_has_it(self) -> None:
        self.sight.looks(self.now)
        self.wait(1, others=B)
        self.see(Kind.GONE, C)
        self.assertIsNone(self.may())
        self.sight.held(self.now)
        self.see(Kind.GONE, B)
        self.sight.lost(self.now)
        self.wait(COURTESY)
        self.assertIsNone(self.may())
        self.wait(0.5)
        self.assertEqual(self.may(), Why.OWN)

    def test_our_own_session_is_left_to_one_that_waits(self) -> None:
        self.sight.looks(self.now)
        self.sight.held(self.now)
        self.wait(5)
        self.sight.lost(self.now)
        self.assertTrue(self.sight.had_within(PATIENCE, self.now))
        self.wait(1, others=B)
        self.wait(PATIENCE - 0.5)
        self.assertIsNone(self.may())
        self.assertFalse(self.sight.had_within(PATIENCE, self.now))

    def test_what_is_retained_may_be_of_one_that_is_there(self) -> None:
        self.sight.looks(self.now)
        self.see(Kind.ACTIVE, B, retained=True)
        self.wait(PATIENCE)
        self.assertIsNone(self.may())
        self.wait(1)
        self.assertEqual(self.may(), Why.SILENT)

    def test_on_a_new_connection_the_other_one_gets_time_again(self) -> None:
        self.sight.looks(self.now)
        self.wait(5, others=B)
        self.sight.blind()
        self.now += 60
        self.assertIsNone(self.may())
        self.sight.looks(self.now)
        self.wait(PATIENCE - 0.5)
        self.assertIsNone(self.may())

    def test_those_that_wait_are_known_by_name(self) -> None:
        self.see(Kind.STANDBY, C)
        self.see(Kind.STANDBY, B, retained=True)
        self.assertEqual(self.sight.standbys(self.now), ["host-c"])
        self.assertEqual(self.sight.standbys(self.now + 10), [])
        self.assertEqual(self.sight.alone_for(self.now + 10, self.now - 50), 10)
        self.assertEqual(self.sight.alone_for(self.now + 10, self.now + 5), 5)

    @given(
        st.lists(
            st.tuples(st.sampled_from(Kind), st.sampled_from([A, B, C]), st.booleans(), st.floats(0, 4)), max_size=30
        )
    )
    def test_whoever_was_heard_just_now_keeps_the_session(self, course: list[tuple[Kind, str, bool, float]]) -> None:
        sight, now = Sight(A), 0.0
        sight.looks(now)
        for number, (kind, run, retained, seconds) in enumerate(course):
            now += seconds
            sight.sent(number, now)
            sight.seen(Beat(Kind.STANDBY, "a", A, number), now, retained=False)
            sight.seen(Beat(kind, "x", run, number + 1000), now, retained=retained)
            if kind is Kind.ACTIVE and run != A:
                self.assertIsNone(sight.may_claim(now))


class ProofTests(SynchronousTestCase):
    def test_only_what_was_said_after_the_question_proves_anything(self) -> None:
        asked: list[None] = []
        proof = Proof(lambda: asked.append(None))
        proof.connected()
        before = proof.next_number()
        proved = proof.proved()
        self.assertEqual(len(asked), 1)
        proof.came_back(before)
        self.assertNoResult(proved)
        proof.came_back(proof.next_number())
        self.assertTrue(self.successResultOf(proved))

    def test_a_number_that_nobody_said_proves_nothing(self) -> None:
        proof = Proof(lambda: None)
        proof.connected()
        said = proof.next_number()
        proved = proof.proved()
        for forged in range(said + 1, said + 1000):
            self.assertFalse(proof.came_back(forged))
        self.assertNoResult(proved)
        later = proof.next_number()
        self.assertGreater(later, said)
        self.assertTrue(proof.came_back(later))
        self.assertTrue(self.successResultOf(proved))

    def test_without_a_connection_nothing_is_ours(self) -> None:
        proof = Proof(lambda: None)
        self.assertFalse(self.successResultOf(proof.proved()))
        self.assertFalse(proof.prover()())
        proof.connected()
        proved = proof.proved()
        proof.disconnected()
        self.assertFalse(self.successResultOf(proved))
        proof.connected()
        proof.came_back(proof.next_number())
        self.assertFalse(self.successResultOf(proved))

    def test_what_was_received_in_another_session_is_not_proved_by_this_one(self) -> None:
        def say() -> None:
            proof.came_back(proof.next_number())

        proof = Proof(say)
        proof.connected()
        prove = proof.prover()
        self.assertTrue(prove())
        proof.disconnected()
        proof.connected()
        self.assertFalse(prove())
        self.assertTrue(proof.prover()())

    def test_in_a_thread_it_is_waited_for(self) -> None:
        asked = threading.Event()
        proof = Proof(asked.set)
        proof.connected()
        results: list[bool] = []
        prove = proof.prover()
        for does_come_back in (True, False):
            asked.clear()
            thread = threading.Thread(target=lambda: results.append(prove()))
            thread.start()
            self.assertTrue(asked.wait(60))
            if does_come_back:
                proof.came_back(proof.next_number())
            else:
                proof.disconnected()
            thread.join(60)
        self.assertEqual(results, [True, False])

    def test_the_fence_stands_behind_the_work(self) -> None:
        for is_ours in (True, False):
            course: list[str] = []

            def work(_connection: object, what: str, course: list[str] = course) -> str:
                course.append(what)
                return what

            def prove(is_ours: bool = is_ours, course: list[str] = course) -> bool:
                course.append("asked")
                return is_ours

            def prover(prove: Callable[[], bool] = prove, course: list[str] = course) -> Callable[[], bool]:
                course.append("begun")
                return prove

            fenced = Fence(prover).around(work)
            self.assertEqual(course, ["begun"])
            if is_ours:
                self.assertEqual(fenced(None, "written"), "written")
            else:
                self.assertRaises(StoreNotOurs, fenced, None, "written")
            self.assertEqual(course, ["begun", "written", "asked"])

    def test_a_fence_that_is_shut_costs_the_table_nothing(self) -> None:
        fenced = Fence(lambda: None).around(lambda *_arguments: self.fail("written"))
        self.assertRaises(StoreNotOurs, fenced, None, "written")


class RoleTests(SynchronousTestCase):
    def test_every_way_leads_where_it_says(self) -> None:
        before = {
            Role.WATCHING: [],
            Role.CLAIMING: [RoleEvents.claims],
            Role.ACTIVE: [RoleEvents.claims, RoleEvents.proved],
            Role.RELEASED: [RoleEvents.released],
        }
        for old, event, new in WAYS:
            roles = Roles()
            for step in before[old]:
                roles.happens(step)
            self.assertEqual(roles.now, old)
            self.assertEqual(roles.happens(event), old is not new)
            self.assertEqual(roles.now, new)


class FakeConnection:
    """The session's connection; what is published on it comes back where a broker is there that passes it on."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing
        self.said: list[Beat] = []
        self.aborted = ""
        self.retained = 0
        self.is_passed_on = True

    def publish(self, topic: bytes, payload: bytes, *, retain: bool) -> None:
        assert topic == b"status"
        self.retained += retain
        beat = decode(payload)
        assert beat is not None
        self.said.append(beat)
        if self.is_passed_on:
            self.standing._seen(beat, False)

    def abort(self, reason: str) -> None:
        self.aborted = reason
        self.standing.disconnected()


class FakeObserver:
    def __init__(self, seen: Any, looks: Any) -> None:
        self.seen, self.looks = seen, looks
        self.trouble: str | None = "dialling"
        self.is_passed_on = True
        self.is_running = False

    @property
    def is_looking(self) -> bool:
        return self.trouble is None

    def begin(self) -> None:
        self.trouble = None
        self.looks(True)

    def end(self) -> None:
        self.trouble = "gone"
        self.looks(False)

    def say(self, payload: bytes) -> None:
        beat = decode(payload)
        assert beat is not None
        if self.is_passed_on:
            self.seen(beat, False)

    def startService(self) -> None:
        self.is_running = True

    def stopService(self) -> None:
        self.is_running = False


class StandingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = 1_000_000.5
        self.course: list[str] = []
        self.standing = Standing(
            name="host-a",
            run=A,
            topic="status",
            clock=self.clock,
            wall_clock=lambda: self.wall + self.clock.seconds(),
            observer=self.make_observer,
            in_reactor=lambda call: call(),
        )
        self.standing.serve(
            abandoned=[lambda: self.course.append("abandoned")], wake=lambda: self.course.append("woken")
        )
        self.events = collect_events(self)
        self.standing.startService()
        self.addCleanup(self.standing.stopService)
        self.turn: Any = None

    def make_observer(self, seen: Any, looks: Any) -> Any:
        self.observer = FakeObserver(seen, looks)
        return self.observer

    def pass_by(self, seconds: float, *, other: Kind | None = None) -> None:
        for number in range(round(seconds * 10)):
            self.clock.advance(0.1)
            if other is not None and not number % 5:
                self.hear(other)

    def hear(self, kind: Kind, run: str = B, *, retained: bool = False) -> None:
        self.observer.seen(Beat(kind, "host-b", run, 1), retained)

    def told(self, line: str) -> int:
        return sum(event.get("log_format") == line for event in self.events)

    def dial(self) -> None:
        """What the subscriber does."""
        self.turn = Deferred.fromCoroutine(self.standing.may_dial())

    def connect(self) -> FakeConnection:
        self.successResultOf(self.turn)
        connection = FakeConnection(self.standing)
        self.standing.connected(connection, True)
        return connection

    def test_alone_it_is_active_after_a_while(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(PATIENCE - 0.5)
        self.assertNoResult(self.turn)
        self.assertEqual(self.standing.told().role, Role.WATCHING)
        self.pass_by(1.5)
        self.assertEqual(self.standing.told().role, Role.CLAIMING)
        self.assertFalse(self.standing.may_write())
        connection = self.connect()
        self.assertTrue(self.standing.may_write())
        told = self.standing.told()
        self.assertEqual((told.role, told.active, told.trouble), (Role.ACTIVE, "host-a", None))
        self.pass_by(2)
        self.assertEqual({beat.kind for beat in connection.said}, {Kind.ACTIVE})
        self.assertGreaterEqual(len(connection.said), 4)
        self.assertEqual(connection.retained, len(connection.said))
        self.assertTrue(self.successResultOf(self.standing.proof.proved()))
        self.assertEqual(connection.retained, len(connection.said) - 1, "a proof is for nobody who comes later")

    def test_it_takes_over_from_one_that_is_silent_and_writes_a_moment_later(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(20, other=Kind.ACTIVE)
        self.assertNoResult(self.turn)
        self.assertEqual(self.standing.told().active, "host-b")
        self.pass_by(PATIENCE + 1)
        self.connect()
        self.assertFalse(self.standing.may_write())
        self.pass_by(SETTLING)
        self.assertTrue(self.standing.may_write())
        self.assertEqual(self.course[-1], "woken")

    def test_its_times_come_after_those_of_the_one_before(self) -> None:
        self.assertEqual(self.standing.stamps(), self.wall)
        self.dial()
        self.observer.begin()
        self.pass_by(1, other=Kind.ACTIVE)
        self.hear(Kind.GONE)
        self.pass_by(0.1)
        before = self.wall + self.clock.seconds()
        self.connect()
        self.assertGreaterEqual(self.standing.stamps(), before + AHEAD)
        self.assertEqual(self.standing.stamps() % 1, 0)
        self.pass_by(AHEAD + 2)
        self.assertEqual(self.standing.stamps(), self.wall + self.clock.seconds())

    def test_one_that_is_replaced_throws_away_what_it_has_and_waits(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(PATIENCE + 1)
        self.connect()
        self.pass_by(0.1)
        self.course.clear()
        self.standing.disconnected()
        self.assertFalse(self.standing.may_write())
        self.assertEqual(self.course, [], "nobody else may have it")
        self.dial()
        self.pass_by(1, other=Kind.ACTIVE)
        self.assertEqual(self.course, ["abandoned"])
        self.pass_by(30, other=Kind.ACTIVE)
        self.assertNoResult(self.turn)
        self.assertEqual(self.course, ["abandoned"])

    def test_after_a_broken_connection_it_goes_on_with_what_it_has(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(PATIENCE + 1)
        self.connect()
        self.pass_by(0.1)
        self.course.clear()
        self.standing.disconnected()
        self.dial()
        self.pass_by(COURTESY - 0.2)
        self.assertNoResult(self.turn)
        self.pass_by(0.9)
        self.connect()
        self.assertTrue(self.standing.may_write())
        self.assertNotIn("abandoned", self.course)

    def test_after_a_long_time_somebody_else_may_have_had_it(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(PATIENCE + 1)
        self.connect()
        self.course.clear()
        self.observer.end()
        self.standing.disconnected()
        self.dial()
        self.pass_by(30)
        self.assertNoResult(self.turn)
        self.observer.begin()
        self.pass_by(PATIENCE + 1)
        self.connect()
        self.assertIn("abandoned", self.course)

    def test_one_that_is_not_heard_leaves_the_session_to_others(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(PATIENCE + 1)
        connection = self.connect()
        connection.is_passed_on = False
        self.pass_by(1)
        proved = self.standing.proof.proved()
        self.assertNoResult(proved)
        self.pass_by(PATIENCE)
        self.assertTrue(connection.aborted)
        self.assertFalse(self.successResultOf(proved))
        self.assertFalse(self.standing.may_write())
        self.assertEqual(self.standing.told().role, Role.WATCHING)

    def test_one_whose_words_do_not_come_back_says_so_and_never_takes_over(self) -> None:
        self.dial()
        self.observer.is_passed_on = False
        self.observer.begin()
        self.pass_by(60)
        self.assertNoResult(self.turn)
        self.assertIsNotNone(self.standing.told().trouble)
        self.assertEqual(self.told(log_lines.STANDBY_UNHEARD), 1)

    def test_at_its_end_it_says_so_and_the_will_is_another_word(self) -> None:
        self.dial()
        self.observer.begin()
        self.pass_by(PATIENCE + 1)
        connection = self.connect()
        self.standing.stopService()
        self.assertEqual(connection.said[-1].kind, Kind.RELEASED)
        self.assertFalse(self.observer.is_running)
        will = decode(self.standing.will().payload)
        self.assertEqual(will, Beat(Kind.GONE, "host-a", A))
        self.standing.disconnected()

    def test_an_attempt_that_is_refused_again_and_again_is_told_of_once(self) -> None:
        self.observer.begin()
        self.hear(Kind.GONE, retained=True)
        for _ in range(5):
            self.dial()
            self.pass_by(2)
            self.successResultOf(self.turn)
            self.standing.disconnected()
        self.assertEqual(self.told(log_lines.STANDBY_CLAIMS), 1)

    def test_two_of_one_name_are_told_of(self) -> None:
        self.observer.begin()
        for _ in range(3):
            self.observer.seen(Beat(Kind.STANDBY, "host-a", C, 1), False)
        self.assertEqual(self.told(log_lines.STANDBY_SAME_NAME), 1)


class ProvenSpoolerTests(SynchronousTestCase):
    def test_nothing_is_saved_that_came_while_the_session_may_have_been_anothers(self) -> None:
        calls: list[object] = []
        clock = Clock()
        proof = Proof(lambda: None)
        spool: Any = type("Spool", (), {"path": "x", "save": None})()

        def run(*arguments: object) -> Deferred[Any]:
            calls.append(arguments)
            return Deferred()

        spooler = ProvenSpooler(proof, spool, run, None, None, clock)
        self.failureResultOf(Deferred.fromCoroutine(spooler.save([])), SpoolError)
        proof.connected()
        saving = Deferred.fromCoroutine(spooler.save([]))
        clock.advance(60)
        self.failureResultOf(saving, SpoolError)
        self.assertEqual(calls, [])
        saving = Deferred.fromCoroutine(spooler.save([]))
        proof.came_back(proof.next_number())
        self.assertNoResult(saving)
        self.assertEqual(len(calls), 1)
