"""How long is waited before the next attempt at a database that is away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.table.contract import StoreConflict, StoreNotOurs, StoreUnavailable
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.backoff import MAX_DELAY
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.writing.retry import (
    CONFLICT_DELAY,
    CONFLICTS_UNTOLD,
    GIVEN_UP,
    MAX_DELAY_OF_REFUSED,
    MAX_DELAY_OF_SEVERAL,
    Retry,
)
from tests.log_events import collect_events


class RetryTests(SynchronousTestCase):
    @given(
        st.lists(st.tuples(st.booleans(), st.floats(0.0, 30.0), st.floats(0.0, 1.0)), max_size=20),
    )
    def test_where_the_server_answers_or_refuses_it_is_asked_again_within_five_seconds(
        self, attempts: list[tuple[bool, float, float]]
    ) -> None:
        """Whether there is one server, several, or a proxy before them that nobody told us of."""
        clock, jitter = Clock(), 0.0
        retry = Retry(Counters(), clock, database="db:3306/aiot_admin", jitter=lambda: jitter)
        for has_others, lasts, further in attempts:
            jitter = further
            error = StoreUnavailable("down")
            error.has_others = has_others
            before = clock.seconds()
            clock.advance(lasts)
            delay = retry.failed(error, 0)
            was_given_up = before > 0 and clock.seconds() - before >= GIVEN_UP
            most = MAX_DELAY_OF_SEVERAL if has_others else MAX_DELAY_OF_REFUSED
            self.assertLessEqual(delay, MAX_DELAY if was_given_up else most)
            self.assertGreaterEqual(delay, CONFLICT_DELAY)
            waited = Deferred.fromCoroutine(retry.wait(delay))
            clock.advance(delay)
            self.successResultOf(waited)
        retry.worked()

    def test_what_may_be_somebody_elses_is_tried_each_second_and_told_once_and_not_as_an_outage(self) -> None:
        events = collect_events(self)
        retry = Retry(Counters(), Clock(), database="db:3306/aiot_admin", jitter=lambda: 0.0)
        delays = [retry.failed(StoreNotOurs("not ours"), 7) for _ in range(60)]
        self.assertEqual((max(delays), sorted(delays)), (1.0, delays))
        self.assertEqual([event["log_format"] for event in events], [log_lines.NOT_WRITTEN_YET])
        self.assertFalse(retry.is_failing)
        retry.worked()
        self.assertEqual(len(events), 1)

    @given(st.integers(0, 10), st.integers(0, 10), st.booleans())
    def test_what_is_not_ours_and_what_the_database_fails_at_are_counted_and_told_apart(
        self, failures: int, not_ours: int, is_there: bool
    ) -> None:
        events = collect_events(self)
        retry = Retry(Counters(), Clock(), database="db:3306/aiot_admin", jitter=lambda: 0.0)
        for _ in range(failures):
            retry.failed(StoreUnavailable("down"), 0)
        delays = [retry.failed(StoreNotOurs("not ours"), 0, is_there=is_there) for _ in range(not_ours)]
        self.assertEqual(delays, [CONFLICT_DELAY * (number + 1) for number in range(not_ours)])
        lines = [event["log_format"] for event in events]
        self.assertEqual(lines.count(log_lines.NOT_WRITTEN_YET), not_ours > CONFLICTS_UNTOLD)
        # The table was looked at, and it is the broker that is waited for.
        self.assertEqual(retry.is_failing, failures > 0 and not (is_there and not_ours))
        self.assertNotIn(log_lines.ROWS_LOCKED, lines)
        retry.worked()
        retry.failed(StoreConflict("locked"), 0)
        self.assertFalse(retry.is_failing)  # which is told of many only

    def test_one_that_is_silent_is_asked_ever_more_seldom(self) -> None:
        clock = Clock()
        retry = Retry(Counters(), clock, database="db:3306/aiot_admin", jitter=lambda: 0.0)
        delays = []
        for _ in range(7):
            clock.advance(20)
            delays.append(retry.failed(StoreUnavailable("silent"), 0))
            waited = Deferred.fromCoroutine(retry.wait(delays[-1]))
            clock.advance(delays[-1])
            self.successResultOf(waited)
        self.assertEqual(delays, [1, 2, 4, 8, 16, 29, 29])
        retry.worked()
