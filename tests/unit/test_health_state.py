"""The state of the service: the equation of readiness, the root cause in the sentence, both languages."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.figures import (
    BrokerFigures,
    DatabaseFigures,
    Figures,
    PresenceFigures,
    SpoolFigures,
)
from aiot_mqtt.health.outlook import Outlook
from aiot_mqtt.health.overload import Overload
from aiot_mqtt.health.state import MAX_UNACKNOWLEDGED_AGE, SILENCE, State, judge
from aiot_mqtt.standby.role import Role
from aiot_mqtt.standby.told import Told
from aiot_mqtt.telemetry.durations import duration
from aiot_mqtt.telemetry.outage import Trouble
from aiot_mqtt.telemetry.reasons import database as reasons

WELL = Figures(
    time=1e9,
    uptime=100.0,
    broker=BrokerFigures("b:1883", is_subscribed=True, is_heard=True, window=65535, silent_for=1.0),
    database=DatabaseFigures("d:3306", is_seen=True),
    spool=SpoolFigures(is_enabled=True),
)
REFUSED = Trouble("connection refused", 724.0)

WAITS = Told("host-b", Role.WATCHING, "host-a", (), 100.0, 100.0, None)
WORKS = Told("host-b", Role.ACTIVE, "host-b", ("host-a",), 100.0, 0.0, None)

troubles = st.none() | st.builds(Trouble, st.sampled_from(["gone", "no space left"]), st.floats(0, 1e6))
moments = st.builds(
    Figures,
    time=st.just(1e9),
    uptime=st.floats(0, 1e6),
    broker=st.builds(
        BrokerFigures,
        st.just("b:1883"),
        is_subscribed=st.booleans(),
        is_heard=st.booleans(),
        trouble=troubles,
        window=st.sampled_from([20, 65535]),
        unacknowledged=st.integers(0, 65535),
        oldest_unacknowledged=st.floats(0, 100),
        silent_for=st.none() | st.floats(0, 5000),
    ),
    database=st.builds(
        DatabaseFigures,
        st.just("d:3306"),
        is_seen=st.booleans(),
        trouble=troubles,
        overload=st.none() | st.just(Overload(16_700.0, 4_000.0, reasons.NOT_SEEN)),
    ),
    spool=st.builds(SpoolFigures, is_enabled=st.booleans(), trouble=troubles, devices=st.integers(0, 5000)),
    presence=st.builds(
        PresenceFigures, is_enabled=st.booleans(), is_listening=st.booleans(), not_listening_for=st.floats(0, 5000)
    ),
)

ANY_MACHINE = settings(
    max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


class StateTests(SynchronousTestCase):
    @ANY_MACHINE
    @given(moments)
    def test_the_equation_of_readiness_holds(self, moment: Figures) -> None:
        broker, database, spool = moment.broker, moment.database, moment.spool
        database_works = database.is_seen and database.trouble is None
        disk_works = spool.is_enabled and spool.trouble is None
        is_ready = (
            broker.is_subscribed
            and broker.is_heard
            and broker.oldest_unacknowledged < MAX_UNACKNOWLEDGED_AGE
            and (database_works or disk_works)
        )
        verdict = judge(moment)
        self.assertEqual(verdict.is_ready, is_ready)
        if is_ready:
            is_protected = not database_works or spool.devices > 0
            self.assertEqual(verdict.state is State.PROTECTED, is_protected)
            if not is_protected:
                self.assertEqual(verdict.state is State.OK, all(each.is_met for each in verdict.conditions))

    @ANY_MACHINE
    @given(moments)
    def test_whatever_it_is_is_told_in_both_languages(self, moment: Figures) -> None:
        verdict = judge(moment)
        for text in (verdict.state.word, verdict.sentence, *(each.reason for each in verdict.conditions)):
            self.assertTrue(str(text) and text.chinese)
        self.assertRegex(verdict.sentence.chinese, "[\u4e00-\u9fff]")
        self.assertNotRegex(str(verdict.sentence), "[\u4e00-\u9fff]")

    def sentence(self, moment: Figures) -> tuple[State, str]:
        verdict = judge(moment)
        return verdict.state, str(verdict.sentence)

    def test_a_database_that_is_away_is_protected_as_long_as_the_disk_takes_what_comes(self) -> None:
        away = replace(WELL, database=DatabaseFigures("d:3306", is_seen=True, trouble=REFUSED))
        state, sentence = self.sentence(away)
        self.assertEqual(state, State.PROTECTED)
        self.assertIn("is away for 12 min 4 s (connection refused)", sentence)
        self.assertIn("nothing is lost", sentence)
        for spool in (SpoolFigures(), SpoolFigures(is_enabled=True, trouble=Trouble("no space left on device", 3.0))):
            state, sentence = self.sentence(replace(away, spool=spool))
            self.assertEqual(state, State.FAULT)
            self.assertIn("Act now", sentence)
        self.assertIn("no space left on device", sentence)

    def test_a_database_that_takes_less_than_comes_is_told_with_both_figures_and_why(self) -> None:
        slow = replace(WELL, database=replace(WELL.database, overload=Overload(16_700.4, 4_075.0, reasons.NOT_SEEN)))
        state, sentence = self.sentence(slow)
        self.assertEqual(state, State.LOOK)
        self.assertIn("16,700 messages/s come and the database takes 4,075 rows/s: not its buffer pool", sentence)
        state, sentence = self.sentence(replace(slow, spool=SpoolFigures(is_enabled=True, devices=9)))
        self.assertEqual(state, State.PROTECTED)
        self.assertIn("The database is too slow, rows lag: 16,700 messages/s come", sentence)
        self.assertIn("9 devices wait on this host, nothing is lost.", sentence)

    def test_what_the_disk_has_room_for_is_part_of_being_protected(self) -> None:
        away = replace(WELL, database=DatabaseFigures("d:3306", is_seen=True, trouble=REFUSED))
        spool = SpoolFigures(is_enabled=True, devices=9, outlook=Outlook(12_000, 5000, suffices=True))
        verdict = judge(replace(away, spool=spool))
        suffices = "nothing is lost; the disk suffices for all 5,000 devices, however long it lasts."
        self.assertIn(suffices, str(verdict.sentence))
        self.assertIn("未丢失；磁盘够存全部 5,000 台设备，中断多久都够。", verdict.sentence.chinese)
        spool = replace(spool, outlook=Outlook(300, None, full_in=86400 * 9 + 3600.0))
        verdict = judge(replace(away, spool=spool))
        self.assertIn("room for about 300 more devices; at the pace of the last minutes", str(verdict.sentence))
        self.assertIn("9 天 1 小时后写满", verdict.sentence.chinese)

    def test_the_sentence_names_the_cause_and_not_what_follows_from_it(self) -> None:
        deaf = BrokerFigures("b:1883", trouble=REFUSED, oldest_unacknowledged=100.0)
        state, sentence = self.sentence(replace(WELL, broker=deaf, presence=PresenceFigures(True, False, 4000.0)))
        self.assertEqual(state, State.FAULT)
        self.assertIn("No messages for 12 min 4 s from b:1883: connection refused", sentence)

    def test_what_waits_on_disk_protects_until_it_is_written(self) -> None:
        state, sentence = self.sentence(replace(WELL, spool=SpoolFigures(is_enabled=True, devices=12)))
        self.assertEqual(state, State.PROTECTED)
        self.assertIn("12 devices", sentence)

    def test_silence_is_worth_a_look_and_no_fault(self) -> None:
        silent = replace(WELL, broker=replace(WELL.broker, silent_for=SILENCE))
        state, sentence = self.sentence(silent)
        self.assertEqual(state, State.LOOK)
        self.assertIn("no message for 10 min", sentence)

    def test_a_start_says_that_it_is_one(self) -> None:
        state, sentence = self.sentence(Figures(1e9, 0.1, BrokerFigures("b:1883"), DatabaseFigures("d:3306")))
        self.assertEqual(state, State.FAULT)
        self.assertIn("Starting", sentence)

    def test_durations_have_two_units(self) -> None:
        for seconds, english, chinese in (
            (0, "0 s", "0 秒"),
            (59.4, "59 s", "59 秒"),
            (60, "1 min", "1 分"),
            (724, "12 min 4 s", "12 分 4 秒"),
            (7500, "2 h 5 min", "2 小时 5 分"),
            (86400 * 9 + 3600 * 5, "9 d 5 h", "9 天 5 小时"),
        ):
            self.assertEqual((str(duration(seconds)), duration(seconds).chinese), (english, chinese))


class StandbyTests(SynchronousTestCase):
    """One of several instances."""

    DEAF = replace(WELL, broker=BrokerFigures("b:1883"))

    def test_one_that_waits_is_ready_when_it_could_take_over(self) -> None:
        verdict = judge(replace(self.DEAF, standby=WAITS))
        self.assertEqual((verdict.state, verdict.is_ready), (State.OK, True))
        self.assertIn("host-a is active", verdict.sentence)
        self.assertIn("host-a 在工作", verdict.sentence.chinese)
        ids = [condition.id for condition in judge(replace(WELL, standby=WORKS)).conditions]
        self.assertEqual([condition.id for condition in verdict.conditions], ids)

    def test_it_is_a_fault_when_nobody_is_active_or_it_sees_nobody(self) -> None:
        for told in (replace(WAITS, active=None), replace(WAITS, trouble="denied"), replace(WORKS, trouble="denied")):
            verdict = judge(replace(self.DEAF, standby=told))
            self.assertEqual(verdict.state, State.FAULT, told)

    def test_what_would_be_in_its_way_is_worth_a_look(self) -> None:
        away = replace(WELL.database, trouble=REFUSED)
        verdict = judge(replace(self.DEAF, standby=WAITS, database=away))
        self.assertEqual(verdict.state, State.LOOK)
        self.assertIn("connection refused", verdict.sentence)
        verdict = judge(replace(self.DEAF, standby=WAITS, spool=SpoolFigures(True, devices=5)))
        self.assertEqual(verdict.state, State.PROTECTED)

    def test_an_active_one_without_a_standby_is_worth_a_look_after_a_while(self) -> None:
        self.assertEqual(judge(replace(WELL, standby=WORKS)).state, State.OK)
        alone = replace(WORKS, standbys=(), alone=100.0)
        self.assertEqual(judge(replace(WELL, standby=alone)).state, State.LOOK)
        self.assertEqual(judge(replace(WELL, standby=replace(alone, alone=10.0))).state, State.OK)
