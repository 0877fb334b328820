"""A session that was left alone for long is told of, once, at the first connection of a process."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import cast

from twisted.logger import LogEvent, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.kept_session import KeptSession
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.counters import Counters


class KeptSessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path: Path | None = Path(self.mktemp())
        self.now = 1_000_000.0
        self.counters = Counters()
        self.counters.received = 7
        capture = capturedLogs()
        self.events = cast(list[LogEvent], capture.__enter__())
        self.addCleanup(capture.__exit__, None, None, None)

    def begin(self, name: str = "id broker:1883") -> KeptSession:
        session = KeptSession(self.path, name, self.counters, lambda: self.now)
        session.begin()
        return session

    def test_one_that_somebody_else_has_taken_is_nobodys_to_take_for_granted(self) -> None:
        for is_back in (False, True):
            session = self.begin()
            session.connected(False)
            session.disconnected()
            session.taken()
            if is_back:
                session.connected(True)
            session.end()
            later = self.begin()
            later.connected(True)
            self.assertEqual(later.is_known, is_back)

    def run_once(self, seconds: float = 3600) -> None:
        """A process that connects, and stops in order so much later."""
        session = self.begin()
        session.connected(False)
        session.subscribed()
        self.now += seconds
        session.end()
        self.events.clear()

    def told(self, session: KeptSession, waiting: int = 3, *, is_present: bool = True) -> tuple[str, dict[str, int]]:
        session.connected(is_present)
        self.counters.received += waiting
        session.subscribed()
        events, self.events[:] = [*self.events], []
        self.assertLessEqual(len(events), 1)
        for event in events:
            self.assertEqual(event["log_level"].name, "warn")
            return event["log_format"], {name: event[name] for name in ("seconds", "waiting") if name in event}
        return "", {}

    def test_one_that_was_left_for_long_is_told_of_with_what_waited(self) -> None:
        self.run_once()
        self.now += 120
        self.assertEqual(self.told(self.begin(), 12), (log_lines.SESSION_LEFT_ALONE, {"seconds": 120, "waiting": 12}))

    def test_a_restart_is_not(self) -> None:
        self.run_once()
        self.now += 5
        self.assertEqual(self.told(self.begin(), 499)[0], "")

    def test_a_short_while_is_when_the_queue_may_have_been_full(self) -> None:
        for seconds, waiting, line in (
            (5, 500, log_lines.SESSION_LEFT_ALONE),
            (1, 500, ""),
            (5, 499, ""),
            (10, 0, log_lines.SESSION_LEFT_ALONE),
        ):
            self.run_once()
            self.now += seconds
            self.assertEqual(self.told(self.begin(), waiting)[0], line, (seconds, waiting))

    def test_of_one_that_nobody_knows_the_age_of_that_is_told(self) -> None:
        unknown = (log_lines.SESSION_OF_UNKNOWN_AGE, {"waiting": 3})
        self.assertEqual(self.told(self.begin()), unknown)  # never run here
        self.run_once()
        self.begin()  # takes the note, and is killed
        self.assertEqual(self.told(self.begin()), unknown)
        self.run_once()
        self.now -= 7200  # the clock was set back
        self.assertEqual(self.told(self.begin()), unknown)
        self.run_once()
        self.assertEqual(self.told(self.begin("id other:1883")), unknown)
        self.path = None
        self.run_once()
        self.assertEqual(self.told(self.begin()), unknown)

    def lines(self, session: KeptSession) -> tuple[bool, list[tuple[str, str]]]:
        """What a first connection finds where the broker has no session."""
        is_lost = session.connected(False)
        session.subscribed()
        events, self.events[:] = [*self.events], []
        return is_lost, [(event["log_level"].name, event["log_format"]) for event in events]

    def test_where_the_broker_has_none_it_is_the_first_or_one_is_lost(self) -> None:
        lost = True, [("error", log_lines.SESSION_LOST_WHILE_AWAY)]
        self.assertEqual(self.lines(self.begin()), (False, [("info", log_lines.SESSION_FIRST)]))
        self.assertEqual(self.lines(self.begin()), lost)  # it was killed
        self.run_once()
        self.assertEqual(self.lines(self.begin()), lost)
        other = self.begin("id other:1883")
        self.assertEqual(self.lines(other), (False, [("warn", log_lines.SESSION_OF_OTHER_NAME)]))
        self.assertEqual(self.lines(other), (False, []))
        self.assertEqual(self.lines(self.begin("id other:1883")), lost)

    def test_one_that_never_connected_has_lost_none(self) -> None:
        for _ in range(2):
            self.begin().end()
        self.assertEqual(self.lines(self.begin())[1], [("info", log_lines.SESSION_FIRST)])

    def test_only_the_first_connection_of_a_process_counts(self) -> None:
        session = self.begin()
        self.assertNotEqual(self.told(session)[0], "")
        for _ in range(2):
            session.disconnected()
            self.now += 3600
            self.assertEqual(self.told(session, 5000)[0], "")

    def test_it_counts_from_when_the_last_connection_ended(self) -> None:
        session = self.begin()
        session.connected(False)
        self.events.clear()
        self.now += 100
        session.disconnected()
        self.now += 50
        session.end()
        self.now += 1
        self.assertEqual(self.told(self.begin())[1]["seconds"], 51)

    def test_a_process_that_never_connected_hands_on_what_it_knew(self) -> None:
        self.run_once()
        for _ in range(3):
            self.now += 10
            self.begin().end()
        self.assertEqual(self.told(self.begin())[1]["seconds"], 30)

    def test_a_note_that_cannot_be_read_is_none(self) -> None:
        assert self.path is not None
        for text in (
            "",
            "{",
            "[]",
            '{"session": "id broker:1883"}',
            '{"session": "id broker:1883", "left_at": "x"}',
            "\xff",
        ):
            self.path.write_bytes(text.encode("latin-1"))
            self.assertEqual(self.told(self.begin())[0], log_lines.SESSION_OF_UNKNOWN_AGE, text)

    def test_a_note_that_cannot_be_written_hurts_nobody(self) -> None:
        self.path = Path(self.mktemp()) / "no" / "such"
        self.run_once()
        self.assertEqual(self.told(self.begin())[0], log_lines.SESSION_OF_UNKNOWN_AGE)

    def test_the_note_is_for_nobody_else(self) -> None:
        assert self.path is not None
        self.run_once()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
