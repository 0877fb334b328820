"""What systemd is told, on a real socket."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from itertools import pairwise
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.progress import Stalled
from aiot_mqtt.health.state import State, Verdict
from aiot_mqtt.health.systemd import MAX_STATUS, Supervisor, Systemd, supervisor_of
from aiot_mqtt.telemetry.bilingual import Bilingual

OK = Verdict(State.OK, (), Bilingual("All is well.", "一切正常。"))
AWAY = Verdict(State.PROTECTED, (), Bilingual("The database\nis away.", "数据库中断。"))


class SupervisorTests(SynchronousTestCase):
    def test_who_listens_is_taken_out_of_the_environment_that_children_get(self) -> None:
        environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
        self.assertEqual(supervisor_of(environ, 7), Supervisor("/run/notify", 60.0))
        self.assertEqual(environ, {"PATH": "/bin"})

    def test_the_watchdog_of_another_process_is_not_fed(self) -> None:
        for usec, process_id in (("60000000", "8"), ("", "7"), ("soon", "7"), ("-1", "7"), ("²", "7"), ("0", "7")):
            environ = {"NOTIFY_SOCKET": "@aiot", "WATCHDOG_USEC": usec, "WATCHDOG_PID": process_id}
            self.assertEqual(supervisor_of(environ, 7), Supervisor("@aiot", 0.0), (usec, process_id))

    def test_without_systemd_there_is_nobody(self) -> None:
        for address in ("", "notify", "vsock:2:1", "tcp://1"):
            self.assertIsNone(supervisor_of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"}, 7), address)


class SystemdTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.verdict = OK
        self.stalled: tuple[Stalled, ...] = ()
        folder = tempfile.TemporaryDirectory()  # the path of a socket must be short
        self.addCleanup(folder.cleanup)
        self.address = str(Path(folder.name) / "notify")

    def listen(self, address: str) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(self.listening.close)
        self.listening.bind("\0" + address[1:] if address[0] == "@" else address)

    def start(self, address: str = "", watchdog: float = 20.0, language: str = "en") -> Systemd:
        systemd = Systemd(
            Supervisor(address or self.address, watchdog),
            lambda: self.verdict,
            lambda: self.stalled,
            self.clock,
            language=language,
            stop_within=10,
        )
        systemd.startService()
        self.addCleanup(systemd.stopService)
        return systemd

    def told(self) -> list[str]:
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(self.listening.recv(4096).decode())
        return told

    def test_it_is_ready_when_the_reactor_runs_and_says_how_it_is(self) -> None:
        self.listen(self.address)
        self.start()
        self.assertEqual(self.told(), [])
        self.clock.advance(0)
        self.assertEqual(self.told(), ["READY=1", "STATUS=OK: All is well."])

    def test_a_name_in_the_abstract_namespace_will_do(self) -> None:
        address = f"@aiot-mqtt-{os.getpid()}"
        self.listen(address)
        self.start(address, language="zh")
        self.clock.advance(0)
        self.assertEqual(self.told(), ["READY=1", "STATUS=正常：一切正常。"])

    def test_another_state_is_told_at_once_and_the_same_one_now_and_then(self) -> None:
        self.listen(self.address)
        self.start(watchdog=0)
        self.clock.advance(0)
        self.clock.pump([1.0] * 9)
        self.assertEqual(len(self.told()), 2)
        self.verdict = AWAY
        self.clock.advance(1)
        self.assertEqual(self.told(), ["STATUS=Protected: The database is away."])
        self.clock.pump([1.0] * 30)
        self.assertEqual(self.told(), [])
        self.verdict = Verdict(State.PROTECTED, (), Bilingual("Away for \x1b1 min.", "x"))
        self.clock.pump([1.0] * 20)
        [status] = self.told()
        self.assertTrue(status.isprintable(), status)

    def test_a_long_sentence_stays_on_one_line(self) -> None:
        self.listen(self.address)
        self.verdict = Verdict(State.FAULT, (), Bilingual("x\r\n" * 1000, "x"))
        self.start()
        self.clock.advance(0)
        [_ready, status] = self.told()
        self.assertEqual(len(status.splitlines()), 1)
        self.assertLessEqual(len(status), len("STATUS=") + MAX_STATUS + 1)  # an ellipsis

    def test_the_watchdog_is_fed_in_half_of_its_time(self) -> None:
        self.listen(self.address)
        self.start(watchdog=20.0)
        self.clock.advance(0)
        fed = []
        for second in range(1, 61):
            self.clock.advance(1)
            fed += [second] * self.told().count("WATCHDOG=1")
        self.assertEqual(len(fed), 6)
        self.assertLessEqual(max(later - earlier for earlier, later in pairwise(fed)), 10)

    def test_it_goes_hungry_where_a_part_makes_no_progress_which_is_said_once(self) -> None:
        self.listen(self.address)
        self.start(watchdog=20.0)
        self.clock.advance(0)
        self.stalled = (Stalled("writer", 301.0),)
        self.clock.pump([1.0] * 60)
        self.assertNotIn("WATCHDOG=1", self.told())
        self.stalled = ()
        self.clock.pump([1.0] * 20)
        self.assertIn("WATCHDOG=1", self.told())

    def test_stopping_is_told_with_the_time_it_may_take(self) -> None:
        self.listen(self.address)
        systemd = self.start()
        self.clock.advance(0)
        self.told()
        systemd.stopService()
        self.assertEqual(self.told(), ["STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_is_never_ready_where_it_stops_before_the_reactor_runs(self) -> None:
        self.listen(self.address)
        self.start().stopService()
        self.clock.advance(60)
        self.assertNotIn("READY=1", self.told())

    def test_nobody_who_listens_and_one_who_does_not_read_hold_nothing_up(self) -> None:
        self.start()  # nobody is there
        self.clock.pump([0.0, *[1.0] * 30])
        self.listen(self.address)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.clock.pump([1.0] * 2000)

    def test_ready_is_told_again_until_it_was_taken(self) -> None:
        self.listen(self.address)
        filling = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(filling.close)
        with contextlib.suppress(BlockingIOError):
            while True:
                filling.sendto(b"x", self.address)
        self.start()
        self.clock.pump([0.0, 1.0, 1.0])
        self.assertNotIn("READY=1", self.told())
        self.clock.advance(1)
        self.assertEqual(self.told(), ["READY=1", "STATUS=OK: All is well."])

    def test_a_fault_of_ours_ends_nothing(self) -> None:
        self.listen(self.address)
        self.start(watchdog=0)
        self.verdict = None  # type: ignore[assignment]
        self.clock.pump([0.0, 1.0, 1.0])
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 3)
        self.verdict = AWAY
        self.clock.advance(1)
        self.assertIn("STATUS=Protected: The database is away.", self.told())
