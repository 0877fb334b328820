"""What counts as no progress: the whole service on a clock, with parts of it made to hang or to die."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.pace import Pace
from aiot_mqtt.health.progress import MAX_ATTEMPT, MAX_TURN, Part, Progress
from aiot_mqtt.mqtt.subscriber import State
from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.spool.disk import SpoolError, SpoolInUse
from aiot_mqtt.spool.spooler import RunInThread
from aiot_mqtt.table.contract import StoreUnavailable
from tests.unit.test_service import PUBLISH, TableOfOnesOwn
from tests.unit.test_spooling import Held
from tests.unit.test_subscriber import Broker

PINGRESP = b"\xd0\x00"
FROZEN = 40.0  # s in which an attempt at a frozen database is given up
LONG = 3 * MAX_ATTEMPT


class SlowTable(TableOfOnesOwn):
    """A table whose calls wait until the test lets them happen."""

    def __init__(self) -> None:
        super().__init__(["a"])
        self.held = Held()

    def write(self, *arguments: Any) -> Deferred[Any]:
        return self.held.call(self._write, *arguments)

    def find_silent(self, *arguments: Any) -> Deferred[Any]:
        return self.held.call(self._find_silent, *arguments)


def call_failing_disk(error: SpoolError, run: Callable[..., Any], *_arguments: Any) -> Deferred[Any]:
    """In place of the spool's thread: what is called there fails."""

    def call() -> None:
        raise error

    return maybeDeferred(run, call, ())


class ProgressTests(SynchronousTestCase):
    def test_a_part_is_stalled_only_where_it_has_work_and_nothing_came_of_it_for_too_long(self) -> None:
        progress = Progress(100.0)
        for second, has_work, sign in ((0, True, 1), (5, True, 1), (9, False, 1), (12, True, 1), (15, True, 2)):
            progress.note([Part("part", has_work, sign, max_time=6.0)], 100.0 + second)
            progress.turned(100.0 + second)
            self.assertEqual(progress.stalled(100.0 + second), ())
        progress.note([Part("part", True, 2, max_time=6.0)], 121.5)
        progress.turned(121.5)
        self.assertEqual([(each.name, each.seconds) for each in progress.stalled(121.5)], [("part", 6.5)])

    @given(frozen=st.floats(0, 10 * MAX_ATTEMPT))
    def test_a_part_is_not_blamed_for_time_in_which_nobody_looked(self, frozen: float) -> None:
        """The process was frozen, or is asked between two looks."""
        progress = Progress(0.0)
        for second in range(5):
            progress.note([Part("part", True, "sign")], float(second))
        now = 4 + frozen
        progress.turned(now)
        self.assertEqual(progress.stalled(now), ())
        progress.note([Part("part", True, "sign")], now)
        self.assertEqual(progress.stalled(now), ())
        while not (stalled := progress.stalled(now)):
            now += 1
            progress.note([Part("part", True, "sign")], now)
            progress.turned(now)
        self.assertEqual([each.name for each in stalled], ["part"])
        self.assertLessEqual(now - 4 - frozen, MAX_ATTEMPT)

    def test_a_reactor_that_does_not_turn_is_stalled(self) -> None:
        progress = Progress(0.0)
        self.assertEqual(progress.stalled(MAX_TURN), ())
        self.assertEqual([each.name for each in progress.stalled(MAX_TURN + 1)], ["reactor"])


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.broker, self.table = Clock(), Broker(), SlowTable()

    def start(self, run_in_spool_thread: RunInThread | None = None, **settings: Any) -> None:
        spool_file = "" if run_in_spool_thread is None else str(Path(self.mktemp()))
        self.service = AiotMqttService(
            Settings(**{"spool_file": spool_file, "stats_interval": 0, "http_listen": None, **settings}),
            self.clock,
            table=self.table,
            endpoint=self.broker,  # type: ignore[arg-type]
            run_in_spool_thread=run_in_spool_thread,
            wall_clock=self.clock.seconds,
            jitter=lambda: 0.0,
        )
        (self.pace,) = [child for child in self.service if isinstance(child, Pace)]
        self.service.startService()

    def connect(self) -> None:
        self.broker.accept()
        self.broker.sent()

    def stalled(self, seconds: float, each_second: Callable[[int], None] = lambda _second: None) -> list[str]:
        """What ever was, within that time."""
        names = set()
        for second in range(round(seconds)):
            self.clock.advance(1)
            if self.service.subscriber.state is State.SUBSCRIBED:
                self.broker.say(PINGRESP)
            each_second(second)
            names |= {each.name for each in self.pace.stalled()}
        self.flushLoggedErrors()
        return sorted(names)

    def test_a_service_with_nothing_to_do_is_well(self) -> None:
        self.start()
        self.connect()
        self.assertEqual(self.stalled(LONG), [])
        self.service.stopService()
        self.clock.advance(MAX_TURN + 1)
        self.assertEqual(self.pace.stalled(), ())

    def test_a_broker_that_is_away_is_tried_and_one_that_hangs_is_given_up(self) -> None:
        self.broker.outcomes = [ConnectError() if number % 2 else Deferred() for number in range(1000)]
        self.start()
        self.assertEqual(self.stalled(LONG), [])

    def test_a_subscriber_that_has_died_is_stalled(self) -> None:
        self.start()
        self.connect()
        self.broker.close()
        self.service.subscriber._work.cancel()  # type: ignore[union-attr]
        self.assertEqual(self.service.subscriber.state, State.STOPPED)
        self.assertEqual(self.stalled(LONG), ["subscriber"])

    def test_a_frozen_database_is_tried_again_and_again(self) -> None:
        self.start()
        self.connect()
        self.table.held.is_holding = True
        self.broker.say(PUBLISH)

        def give_up(second: int) -> None:
            if second % FROZEN == 0 and self.table.held.calls:
                self.table.held.release(StoreUnavailable("timed out"))

        self.assertEqual(self.stalled(LONG, give_up), [])

    def test_a_write_that_never_comes_back_is_stalled(self) -> None:
        self.start()
        self.connect()
        self.table.held.is_holding = True
        self.broker.say(PUBLISH)
        self.assertEqual(self.stalled(MAX_ATTEMPT), [])
        self.assertEqual(self.stalled(60), ["writer"])
        self.table.held.release()
        self.assertEqual(self.stalled(2)[1:], [])
        self.assertEqual(self.pace.stalled(), ())

    def test_a_write_that_never_comes_back_is_stalled_though_the_spool_takes_all(self) -> None:
        self.start(maybeDeferred)
        self.connect()
        self.table.held.is_holding = True

        def publish(second: int) -> None:
            # Now and then of another device, which the spool then holds, too.
            topic = PUBLISH[:-5].replace(b"/a/", b"/%c/" % (97 + second // 100))
            self.broker.say(topic + (1 + second).to_bytes(2, "big") + PUBLISH[-3:])

        self.assertEqual(self.stalled(MAX_ATTEMPT, publish), [])
        self.assertEqual(self.service.writer.unacknowledged, 0)
        self.assertGreater(self.service.writer.spooled, 0)
        self.assertEqual(self.stalled(60, publish), ["writer"])

    def test_a_sweep_that_never_comes_back_is_stalled(self) -> None:
        self.start(heartbeat_timeout=10, heartbeat_check_interval=1)
        self.connect()
        self.assertEqual(self.stalled(LONG), [])
        self.table.held.is_holding = True
        self.assertEqual(self.stalled(LONG), ["sweep"])

    def test_sweeps_wait_for_a_database_that_is_away(self) -> None:
        self.start(heartbeat_timeout=10, heartbeat_check_interval=1)
        self.connect()
        self.stalled(60)
        self.table.failures = [StoreUnavailable("down")] * 10000
        self.broker.say(PUBLISH)
        self.assertEqual(self.stalled(LONG), [])

    def test_a_disk_that_fails_is_tried_and_so_is_one_that_another_process_has(self) -> None:
        for error in (SpoolError("I/O error"), SpoolInUse("in use")):
            self.start(partial(call_failing_disk, error))
            self.assertEqual(self.stalled(LONG), [])

    def test_a_call_to_the_disk_that_never_comes_back_is_stalled(self) -> None:
        self.start(lambda *_call: Deferred())
        self.assertEqual(self.stalled(MAX_ATTEMPT), [])
        self.assertEqual(self.stalled(60), ["spool"])
