"""What the operating system does to the process: closed and stalled streams, odd log files, signals, file modes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt import __version__
from rig import servers
from rig.programs import FOREGROUND, LINE_TIMEOUT, TWISTD, environment

# Nobody listens there, which is all that most of this needs.
NOWHERE = {"MQTT_BROKER": "127.0.0.1", "MQTT_PORT": "1", "DB_HOST": "127.0.0.1", "DB_PORT": "1"}
REACTOR_RUNS = "❌ MQTT连接失败"
STOPPED = "MQTT服务已停止"
REOPENED = "收到SIGHUP"


class ProcessTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.log = self.folder / "x.log"

    def start(
        self, argv: Sequence[str] = FOREGROUND, settings: Mapping[str, str] | None = None, **streams: Any
    ) -> subprocess.Popen[bytes]:
        """A process whose streams are the null device, where nothing else is said."""
        chosen = {**NOWHERE, "LOG_FILE": str(self.log), **(settings or {})}
        named = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **streams}
        process = subprocess.Popen(argv, env=environment(chosen), cwd=self.folder, **named)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def text(self) -> str:
        return self.log.read_text("utf-8") if self.log.exists() else ""

    def wait_for(self, text: str) -> None:
        self.wait_until(lambda: text in self.text(), lambda: f"no {text!r} in\n{self.text()}")

    def wait_until(self, condition: Callable[[], object], why: Callable[[], str] = str) -> None:
        deadline = time.monotonic() + LINE_TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), deadline, why())
            time.sleep(0.01)

    def read_until(self, reader: IO[bytes], text: str) -> None:
        self.assertTrue(any(text in line.decode() for line in reader))

    def assert_stops(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(LINE_TIMEOUT), -signal.SIGTERM)

    def full_pipe(self) -> tuple[int, int]:
        """One that takes not a byte more until it is read."""
        read, write = os.pipe()
        for end in (read, write):
            self.addCleanup(_close, end)
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write, b"x" * 4096)
        os.set_blocking(write, True)
        return read, write


class StreamTests(ProcessTestCase):
    def test_with_standard_streams_closed_it_runs_and_stops(self) -> None:
        for closed in ("<&- >&- 2>&-", ">&-", "2>&-"):
            self.log.unlink(missing_ok=True)
            process = self.start(["sh", "-c", f'exec "$@" {closed}', "sh", *FOREGROUND])
            self.wait_for(REACTOR_RUNS)
            self.assert_stops(process)
            self.wait_for(STOPPED)
            self.assertNotIn("Traceback", self.text(), closed)

    def test_as_a_daemon_too(self) -> None:
        daemon = [*TWISTD, "--pidfile=x.pid", "aiot-mqtt"]
        process = self.start(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *daemon])
        self.assertEqual(process.wait(LINE_TIMEOUT), 0)
        self.wait_for(REACTOR_RUNS)
        os.kill(int((self.folder / "x.pid").read_text()), signal.SIGTERM)
        self.wait_for(STOPPED)

    def test_with_a_reader_who_does_not_read_it_runs_and_stops(self) -> None:
        _, full = self.full_pipe()
        process = self.start(stdout=full, stderr=full)
        self.wait_for(REACTOR_RUNS)
        self.assert_stops(process)
        self.wait_for(STOPPED)

    def test_a_reader_who_reads_again_gets_what_waited(self) -> None:
        read, full = self.full_pipe()
        process = self.start(stdout=full)
        os.close(full)
        self.wait_for(REACTOR_RUNS)
        with open(read, "rb", closefd=False) as reader:
            self.read_until(reader, REACTOR_RUNS)
            process.send_signal(signal.SIGTERM)
            self.read_until(reader, STOPPED)

    def test_with_a_reader_who_is_gone_it_runs_and_stops(self) -> None:
        read, write = os.pipe()
        os.close(read)
        process = self.start(stdout=write, stderr=write)
        os.close(write)
        self.wait_for(REACTOR_RUNS)
        self.assert_stops(process)

    def test_mistakes_end_it_with_78_whatever_is_closed_or_stalled(self) -> None:
        processes = [
            self.start(["sh", "-c", f'exec "$@" {closed}', "sh", *FOREGROUND], {"MQTT_PORT": "x"})
            for closed in ("", "<&- >&- 2>&-", "2>&-", ">&-")
        ]
        _, full = self.full_pipe()
        processes.append(self.start(settings={"LOG_FILE": "/no/such/folder/x.log"}, stdout=full, stderr=full))
        self.assertEqual([process.wait(LINE_TIMEOUT) for process in processes], [78] * 5)


class ForgetSessionTests(ProcessTestCase):
    def test_a_broker_that_cannot_be_reached_is_said_in_both_languages(self) -> None:
        for language, words in (("zh", "的会话没有清除"), ("en", "has not forgotten the session")):
            argv = [sys.executable, "-m", "aiot_mqtt", "forget-session"]
            process = self.start(argv, {"LOG_LANGUAGE": language}, stderr=subprocess.PIPE)
            _, said = process.communicate(timeout=LINE_TIMEOUT)
            self.assertEqual(process.returncode, 69)
            self.assertIn(f"127.0.0.1:1 {words}", said.decode())


class LogFileTests(ProcessTestCase):
    def start_with_log(self, log_file: str, **streams: Any) -> subprocess.Popen[bytes]:
        return self.start(settings={"LOG_FILE": log_file}, **streams)

    def test_the_names_of_standard_output_and_error_on_a_pipe(self) -> None:
        for name in ("/dev/stdout", "/proc/self/fd/1", "/dev/stderr"):
            read, write = os.pipe()
            process = self.start_with_log(name, stdout=write, stderr=write)
            os.close(write)
            with open(read, "rb") as reader:
                self.read_until(reader, REACTOR_RUNS)
                self.assert_stops(process)
                rest = reader.read().decode()
            self.assertEqual(rest.count(STOPPED), 1, f"{name}: {rest}")  # not once for each of the two ways

    def test_standard_output_that_is_a_socket_as_systemds_is(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, ours.makefile("rb") as reader:
            process = self.start_with_log("/dev/stdout", stdout=theirs)
            theirs.close()
            self.read_until(reader, REACTOR_RUNS)
            self.assert_stops(process)

    def test_a_named_pipe_and_the_null_device(self) -> None:
        path = self.folder / "pipe"
        os.mkfifo(path)
        for name in (str(path), "/dev/null"):
            read, write = os.pipe()
            process = self.start_with_log(name, stdout=write)
            os.close(write)
            with open(read, "rb") as reader:
                self.read_until(reader, REACTOR_RUNS)
            if name != "/dev/null":
                with path.open("rb") as pipe:  # whose reader comes late
                    self.read_until(pipe, REACTOR_RUNS)
            self.assert_stops(process)

    def test_a_file_that_cannot_be_written_is_a_mistake_that_names_the_option(self) -> None:
        for argv, settings, name in (
            (FOREGROUND, {"LOG_FILE": "/no/such/x.log"}, "LOG_FILE"),
            ([*FOREGROUND[:-1], "--logfile=/no/such/x.log", "aiot-mqtt"], {"LOG_FILE": ""}, "--logfile"),
        ):
            process = self.start(argv, settings, stderr=subprocess.PIPE)
            _, said = process.communicate(timeout=LINE_TIMEOUT)
            self.assertEqual(process.returncode, 78)
            self.assertIn(f"- {name}: 写不进去: 没有那个文件或目录", said.decode())

    def test_so_is_each_certificate_and_all_are_told_together(self) -> None:
        garbage = self.folder / "garbage.pem"
        garbage.write_text("no certificate\n")
        settings = {"LOG_FILE": "/no/such/x.log", "MQTT_TLS": "true", "MQTT_CA_FILE": str(garbage)}
        settings |= {"DB_TLS": "true", "DB_CA_FILE": str(garbage)}
        process = self.start(settings=settings, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=LINE_TIMEOUT)
        self.assertEqual(process.returncode, 78)
        for name in ("LOG_FILE", "MQTT_CA_FILE", "DB_CA_FILE"):
            self.assertIn(f"- {name}", said.decode())


class StartTests(ProcessTestCase):
    def test_the_first_line_says_what_runs_and_with_what_and_no_secret(self) -> None:
        for language, what, offline in (("zh", "启动", "离线 77 秒"), ("en", "starts", "offline after 77 s")):
            settings = {"LOG_LANGUAGE": language, "HEARTBEAT_TIMEOUT": "77", "DB_PASSWORD": "geheim", "DB_TABLE": "t9"}
            process = self.start(
                settings={**settings, "MQTT_TOPIC_PREFIX": "fleet/9", "MQTT_USERNAME": "u", "MQTT_PASSWORD": "geheim"}
            )
            self.wait_until(lambda: "\n" in self.text())
            first = self.text().partition("\n")[0]
            for text in (f"▶️ aiot-mqtt {__version__} {what}", "127.0.0.1:1", "fleet/9", "aiot_admin.t9", offline):
                self.assertIn(text, first)
            self.assert_stops(process)
            self.assertNotIn("geheim", self.text())
            self.log.unlink()


class SignalTests(ProcessTestCase):
    def test_sighup_and_sigusr1_open_the_log_anew_and_end_nothing(self) -> None:
        process = self.start()
        self.wait_for(REACTOR_RUNS)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.log.rename(self.folder / "away")
            process.send_signal(number)
            self.wait_for(told := f"收到{number.name}")
            self.assertNotIn(told, (self.folder / "away").read_text("utf-8"))
            self.assertIsNone(process.poll())
        self.assert_stops(process)
        self.wait_for(STOPPED)

    def test_where_the_log_cannot_be_opened_anew_standard_output_says_so_too(self) -> None:
        process = self.start(stdout=subprocess.PIPE)
        self.wait_for(REACTOR_RUNS)
        self.log.unlink()
        self.log.mkdir()
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        self.read_until(process.stdout, "日志文件不能重新打开，继续写原来的文件: 是一个目录")
        self.assert_stops(process)

    def test_a_file_that_others_rotate_is_never_renamed(self) -> None:
        for rotate, renamed in (("size", True), ("external", False)):
            self.log.write_bytes(b"x" * 11 * 1024 * 1024)
            process = self.start(settings={"LOG_ROTATE": rotate})
            self.wait_for(REACTOR_RUNS)
            self.assertEqual((self.folder / "x.log.1").exists(), renamed)
            self.assert_stops(process)
            for path in self.folder.glob("x.log*"):
                path.unlink()

    def test_sighup_to_a_daemon(self) -> None:
        process = self.start([*TWISTD, "--pidfile=x.pid", "aiot-mqtt"])
        self.assertEqual(process.wait(LINE_TIMEOUT), 0)
        self.wait_for(REACTOR_RUNS)
        pid = int((self.folder / "x.pid").read_text())
        os.kill(pid, signal.SIGHUP)
        self.wait_for(REOPENED)
        os.kill(pid, signal.SIGTERM)
        self.wait_for(STOPPED)

    def test_a_terminal_that_is_closed_stops_it_in_order(self) -> None:
        ours, terminal = pty.openpty()
        # Of a session of its own with that terminal, as a shell's is.
        attach = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
        argv = [sys.executable, "-c", f"{attach}; os.execv(sys.argv[1], sys.argv[1:])", *FOREGROUND]
        process = self.start(argv, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        self.wait_for(REACTOR_RUNS)
        process.send_signal(signal.SIGHUP)  # by hand, while it is open
        self.wait_for(REOPENED)
        os.close(ours)
        self.assertEqual(process.wait(LINE_TIMEOUT), 0)
        self.wait_for("终端已关闭")
        self.wait_for(STOPPED)

    def test_sigterm_ends_it_in_time_whatever_holds_up_the_reactor(self) -> None:
        for stuck in ("time.sleep(3600)", "exec('while True: pass')", "os.read(pipe[0], 1)"):
            self.log.unlink(missing_ok=True)
            program = (
                "import os, time\n"
                "from aiot_mqtt.ingest.ingest import Ingest\n"
                "pipe = os.pipe()\n"
                "from twisted.internet import reactor\n"
                "def start(self):\n"
                "    from twisted.logger import Logger\n"
                f"    reactor.callLater(0.1, lambda: (Logger().error('stuck'), {stuck}))\n"
                "Ingest.start = start\n"
                "from twisted.scripts.twistd import run\n"
                "run()"
            )
            process = self.start([sys.executable, "-c", program, *FOREGROUND[3:]], {"SHUTDOWN_TIMEOUT": "1"})
            self.wait_for("stuck")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(LINE_TIMEOUT), 0, stuck)
            self.wait_for("强制退出")

    def test_a_second_signal_ends_it_at_once(self) -> None:
        program = (
            "import time\n"
            "from aiot_mqtt.ingest.ingest import Ingest\n"
            "Ingest.stop = lambda self: time.sleep(3600)\n"
            "from twisted.scripts.twistd import run\n"
            "run()"
        )
        process = self.start([sys.executable, "-c", program, *FOREGROUND[3:]], {"SHUTDOWN_TIMEOUT": "3600"})
        self.wait_for(REACTOR_RUNS)
        process.send_signal(signal.SIGTERM)
        self.wait_for("正在停止")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(LINE_TIMEOUT), -signal.SIGINT)


class FileModeTests(ProcessTestCase):
    """What it makes is not for others."""

    def modes(self) -> dict[str, int]:
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}

    def test_whatever_the_umask(self) -> None:
        pid_file = self.folder / "x.pid"
        for argv, umask in (
            ([*TWISTD, "--pidfile=x.pid", "aiot-mqtt"], "000"),
            ([*TWISTD, "--pidfile=x.pid", "--umask=000", "aiot-mqtt"], "022"),
            ([*TWISTD, "--nodaemon", "--pidfile=x.pid", "aiot-mqtt"], "000"),
        ):
            self.log.unlink(missing_ok=True)
            process = self.start(["sh", "-c", f'umask {umask}; exec "$@"', "sh", *argv])
            self.wait_for(REACTOR_RUNS)
            self.assertEqual({name: mode & 0o027 for name, mode in self.modes().items() if mode & 0o027}, {}, argv)
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
            self.wait_for(STOPPED)
            process.wait(LINE_TIMEOUT)
            self.wait_until(lambda: not pid_file.exists())

    def test_secrets_that_others_may_read_or_write_are_warned_of(self) -> None:
        files = {name: self.folder / name for name in (".env", "db", "mqtt")}
        lines = {**NOWHERE, "LOG_FILE": str(self.log), "MQTT_USERNAME": "u", "MQTT_PASSWORD_FILE": str(files["mqtt"])}
        files[".env"].write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        for name in ("db", "mqtt"):
            files[name].write_text("s3cret\n")
        for mode, is_exposed in ((0o644, True), (0o602, True), (0o640, False)):
            for path in files.values():
                path.chmod(mode)
            self.log.unlink(missing_ok=True)
            process = self.start(settings={"DB_PASSWORD_FILE": str(files["db"])})
            self.wait_for(REACTOR_RUNS)
            self.assert_stops(process)
            warned = re.findall(r"\[WARNING\] ⚠️ 权限对其他用户开放 (\S+): (\S+)（0(\d+)）", self.text())
            expected = [
                (name, path, f"{mode:o}")
                for name, path in (
                    (".env", ".env"),
                    ("DB_PASSWORD_FILE", str(files["db"])),
                    ("MQTT_PASSWORD_FILE", str(files["mqtt"])),
                )
            ]
            self.assertEqual(sorted(warned), expected if is_exposed else [])
            self.assertNotIn("s3cret", self.text())

    def test_a_password_that_looks_url_encoded_is_warned_of_and_not_shown(self) -> None:
        process = self.start(settings={"DB_PASSWORD": "p%40ss"})
        self.wait_for("[WARNING] ⚠️ DB_PASSWORD看起来经过URL编码")
        self.assert_stops(process)
        self.assertNotIn("p%40ss", self.text())


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)
