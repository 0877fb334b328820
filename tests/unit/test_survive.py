"""Work that goes on whatever fails, and how long it waits before that."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry.backoff import MAX_DELAY, MAX_JITTER, backoff
from aiot_mqtt.telemetry.survive import FAULT_DELAY, go_on, start

LINE = "it failed"


class SurviveTests(SynchronousTestCase):
    log = Logger()

    def test_work_that_meets_a_fault_begins_again_after_a_moment(self) -> None:
        clock, faults = Clock(), [ValueError(), KeyError()]

        async def work() -> str:
            if faults:
                raise faults.pop()
            return "done"

        ended = Deferred.fromCoroutine(go_on(work, clock, self.log, LINE))
        clock.pump([FAULT_DELAY / 2] * 3)
        self.assertNoResult(ended)
        clock.advance(FAULT_DELAY / 2)
        self.assertEqual(self.successResultOf(ended), "done")
        self.assertEqual(len(self.flushLoggedErrors(ValueError, KeyError)), 2)

    def test_work_that_is_started_tells_how_it_ended_only_where_that_is_a_fault(self) -> None:
        async def ends(waited: Deferred[None]) -> None:
            await waited

        waited: list[Deferred[None]] = [Deferred(), Deferred(), Deferred()]
        with capturedLogs() as events:
            fine, cancelled, failed = (start(ends(each), self.log, LINE) for each in waited)
            waited[0].callback(None)
            cancelled.cancel()
            self.assertEqual(events, [])
            waited[2].errback(ValueError())
        for work in (fine, cancelled, failed):
            self.assertIsNone(self.successResultOf(work))
        self.assertEqual([event["log_format"] for event in events], [LINE])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_waits_grow_from_one_second_to_thirty_and_never_beyond(self) -> None:
        self.assertEqual([backoff(lambda: 0.0)(failures) for failures in (0, 1, 2, 3)], [1, 2, 4, 8])
        self.assertEqual(backoff(lambda: MAX_JITTER)(1000), MAX_DELAY)
