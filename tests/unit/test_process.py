"""What the service is to the operating system, as far as one process can see it of itself."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt import process
from aiot_mqtt.process import (
    EXIT_CONFIG,
    Process,
    exit_for,
    for_trial,
    keep_files_private,
    open_log,
    open_standard_streams,
    read_settings,
    session_file,
    warn_of_settings,
)
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import ConfigError, Settings, read_texts
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.logs import Log


class RecordedStream:
    def __init__(self) -> None:
        self.written = b""
        self.reopened = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def reopen(self) -> None:
        self.reopened += 1


class PrintedTests(SynchronousTestCase):
    def test_what_a_command_cannot_print_is_told_in_one_line_and_has_the_code_of_what_is_not_known(self) -> None:
        environ = {**os.environ, "MQTT_PORT": "1", "DB_PORT": "1", "HTTP_LISTEN": "tcp:1:interface=127.0.0.1"}
        for arguments, to, code in (
            ("check", ">/dev/full", 3),
            ("check --json", "| true", 3),
            ("why device", ">/dev/full", 2),
            ("status", ">/dev/full", 2),
        ):
            command = f"({sys.executable} -m aiot_mqtt {arguments}; echo $? >&2) {to}"
            ended = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True, check=False)
            said = ended.stderr.splitlines()
            self.assertEqual((said[-1], len(said)), (str(code), 2), ended.stderr)
            self.assertIn("aiot-mqtt: standard output: ", said[0])


class SettingsTests(SynchronousTestCase):
    def test_a_trial_keeps_nothing(self) -> None:
        settings = for_trial(Settings(mqtt_client_id="id", spool_file="/x/spool"))
        self.assertEqual((settings.mqtt_client_id, settings.spool_file, session_file(settings)), ("id-try", "", None))

    def test_the_session_is_noted_beside_the_spool(self) -> None:
        self.assertEqual(session_file(Settings(spool_file="/x/spool")), Path("/x/spool.session"))

    def test_mistakes_are_printed_and_end_it_with_78(self) -> None:
        said: list[str] = []
        self.patch(process, "say", said.append)
        error = self.assertRaises(SystemExit, exit_for, ConfigError(["one", "two"]))
        self.assertEqual(error.code, EXIT_CONFIG)
        self.assertTrue(said[0].endswith(":\n  - one\n  - two"), said)

    def test_the_environment_is_utf_8_whatever_the_locale(self) -> None:
        self.patch(os, "environb", {b"DB_PASSWORD": "é".encode(), b"DB_PORT": b"1", b"\xff": b""})
        settings, texts = read_settings(os.devnull)
        self.assertEqual((settings.db_password.reveal(), settings.db_port, texts.file), ("é", 1, Path(os.devnull)))
        os.environb[b"DB_PORT"] = b"x"
        self.patch(process, "say", lambda _text: None)
        self.assertRaises(SystemExit, read_settings, os.devnull)

    def test_what_is_most_likely_not_meant_is_said(self) -> None:
        path = Path(self.mktemp())
        path.write_text("s3cret")
        path.chmod(0o644)
        with capturedLogs() as events:
            texts = read_texts({"MQTT_PASSWORD_FILE": str(path)}, os.devnull)
            warn_of_settings(Settings(db_password=Secret("p%40ss")), texts)
        lines = [event["log_format"] for event in events]
        self.assertEqual(lines, [log_lines.FILE_EXPOSED, log_lines.PASSWORD_URL_ENCODED])
        self.assertEqual((events[0]["name"], events[0]["mode"]), ("MQTT_PASSWORD_FILE", "0644"))

    def test_what_twistd_makes_is_not_for_others(self) -> None:
        for given, nodaemon, before, expected in (
            (None, True, 0o022, 0o027),
            (None, True, 0o000, 0o027),
            (None, True, 0o077, 0o077),
            (None, False, 0o000, 0o077),
            (0o000, False, 0o022, 0o027),
            (0o007, True, 0o022, 0o027),
        ):
            was = os.umask(before)
            try:
                options: dict[str, Any] = {"umask": given, "nodaemon": nodaemon}
                keep_files_private(options)
                self.assertEqual((options["umask"], os.umask(before)), (expected, expected))
            finally:
                os.umask(was)

    def test_a_daemon_has_a_log_file_and_the_foreground_standard_output(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        here = Path.cwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, here)
        for options, log_file, made in (
            ({}, "", "mqtt_service.log"),
            ({"logfile": "named.log"}, "", "named.log"),
            ({"logfile": "named.log"}, "own.log", "own.log"),
            ({"nodaemon": True, "logfile": "-"}, "", None),
        ):
            open_log(Settings(log_file=log_file), options)
            self.assertEqual([path.name for path in Path().iterdir()], [made] if made else [])
            if made:
                Path(made).unlink()
        with self.assertRaises(ConfigError) as caught:
            open_log(Settings(log_file="no/such"), {})
        self.assertEqual(caught.exception.mistakes, ["LOG_FILE: it cannot be written: No such file or directory"])

    def test_a_stream_that_is_closed_is_the_null_device(self) -> None:
        for name in ("stdin", "stdout", "stderr"):
            self.patch(sys, name, None)
        open_standard_streams()
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            self.addCleanup(stream.close)
            self.assertTrue(os.path.samestat(os.fstat(stream.fileno()), os.stat(os.devnull)))
        print("🎉")
        opened = sys.stdout
        open_standard_streams()
        self.assertIs(sys.stdout, opened)


class SignalTests(SynchronousTestCase):
    """With a reactor that does not run: what is called in which case."""

    def setUp(self) -> None:
        self.handlers: dict[int, Any] = {signal.SIGTERM: self.stopped_by, signal.SIGINT: signal.SIG_IGN}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(signal, "getsignal", self.handlers.get)
        self.patch(atexit, "register", lambda *_call: None)
        self.stops: list[int] = []
        self.stream = RecordedStream()
        self.log = Log([self.stream], level="INFO", log_format="text", language="zh")
        self.reactor = cast(Any, MemoryReactorClock())
        self.reactor.callFromThread = lambda call: call()
        self.reactor.stop = lambda: self.stops.append(0)

    def stopped_by(self, number: int, _frame: object) -> None:
        self.stops.append(number)

    def attach(self, terminals: Callable[[int], bool] = lambda _number: False, **named: Any) -> Process:
        self.patch(os, "isatty", terminals)
        self.patch(Process, "_leave_in_time", lambda _self: None)  # it would be this process that is left
        attached = Process(self.log, 10, is_daemon=named.pop("is_daemon", False))
        attached.attach(self.reactor)
        self.addCleanup(self.log.finish, 20)
        for call, arguments, keywords in self.reactor.whenRunningHooks:
            call(*arguments, **keywords)
        return attached

    def hang_up(self) -> list[LogEvent]:
        with capturedLogs() as events:
            self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        # What is logged later is written later.
        self.log.observer({"log_time": 0.0, "log_format": "later", "log_namespace": "x", "log_level": LogLevel.info})
        self.log.finish(20)
        return [event["log_format"] for event in events]

    def test_the_first_signal_stops_and_the_second_has_its_own_way(self) -> None:
        self.attach()
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual(self.stops, [signal.SIGTERM])
        self.assertEqual(self.handlers[signal.SIGTERM], signal.SIG_DFL)
        self.assertEqual(self.handlers[signal.SIGINT], signal.SIG_DFL)

    def test_a_signal_that_is_ignored_stays_so(self) -> None:
        self.attach()
        self.assertEqual(self.handlers[signal.SIGINT], signal.SIG_IGN)

    def test_sighup_reopens_the_log(self) -> None:
        for terminals in (lambda _number: False, lambda _number: True):
            self.attach(terminals)
            before = self.stream.reopened
            self.assertEqual(self.hang_up(), [log_lines.LOG_REOPENED])
            self.assertEqual((self.stream.reopened, self.stops), (before + 1, []))

    def test_where_the_terminal_is_gone_it_stops(self) -> None:
        self.attach(lambda _number: True)
        self.patch(os, "isatty", lambda _number: False)
        self.assertEqual(self.hang_up(), [log_lines.TERMINAL_CLOSED])
        self.assertEqual((self.stream.reopened, self.stops), (0, [0]))

    def test_a_daemon_has_left_its_terminal_on_purpose(self) -> None:
        self.attach(lambda _number: True, is_daemon=True)
        self.patch(os, "isatty", lambda _number: False)
        self.assertEqual(self.hang_up(), [log_lines.LOG_REOPENED])
        self.assertEqual(self.stops, [])

    def test_when_time_is_up_it_leaves_and_says_so(self) -> None:
        left: list[int] = []
        slept: list[float] = []
        self.patch(os, "_exit", left.append)
        self.patch(time, "sleep", slept.append)
        leaving = Process(self.log, 7, is_daemon=False)
        leaving.stop_began()
        with capturedLogs() as events:
            leaving._leave_in_time()
        self.assertEqual((left, slept), ([0], [7]))
        self.assertEqual(events[0]["log_format"], log_lines.STOP_FORCED)
