"""``scripts/demo``, with a broker and a table of its own, on all sorts of terminals and on none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.simulate.publisher import PublisherOptions, encode_connect
from rig import servers

DEMO = [sys.executable, "-m", "demo"]
ADDS_UP = re.compile(r"demo: [\d.]+ s, first row changed after [\d.]+ s: it all adds up")
BROKER = re.compile(r"Mosquitto \S+ at 127\.0\.0\.1:(\d+)")
PAGE = re.compile(r"http://127\.0\.0\.1:\d+/")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**changed: str) -> dict[str, str]:
    taken_away = ("LC_", "LANG", "TERM", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(taken_away)}
    return {**kept, "PYTHONCOERCECLOCALE": "0", "LANG": "C.UTF-8", **changed}


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv: list[str], *, columns: int, rows: int, **changed: str) -> None:
        self.shown = ""
        process, self._leader = pty.fork()
        if process == 0:
            os.chdir(servers.ROOT)
            os.execvpe(argv[0], argv, environment(**changed))  # never returns
        self._process = process
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, condition: Callable[[str], object]) -> None:
        """Read on until what was shown so far is so, or the program has ended."""
        # Its end reads as an error.
        with contextlib.suppress(OSError):
            while not condition(self.shown):
                data = os.read(self._leader, 65536)
                if not data:
                    return
                self.shown += data.decode("utf-8", "replace")

    def press_control_c(self) -> None:
        os.write(self._leader, b"\x03")

    def wait(self) -> int:
        """Read to the end; returns the exit code."""
        self.read_until(lambda _shown: False)
        _, status = os.waitpid(self._process, 0)
        os.close(self._leader)
        return os.waitstatus_to_exitcode(status)


class CommandCase(SynchronousTestCase):
    def run_to_end(self, argv: Sequence[str], code: int = 0, **changed: str) -> str:
        """Run it, let it end with this exit code, and return all it printed."""
        done = subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=servers.ROOT,
            env=environment(**changed),
            timeout=600,
            check=False,
        )
        output = done.stdout.decode()
        self.assertEqual(done.returncode, code, output)
        self.assertNotIn("Traceback", output)
        return output


class DemoTests(CommandCase):
    def run_demo(self, *options: str, code: int = 0, **changed: str) -> str:
        return self.run_to_end([*DEMO, *options], code, **changed)

    def assert_closing(self, output: str) -> None:
        self.assertRegex(output, ADDS_UP)
        verdicts = re.findall(r"^(ok   |WRONG)", output.replace("\r", ""), re.MULTILINE)
        self.assertEqual(verdicts, ["ok   "] * 5, output)

    def test_ends_by_itself_and_adds_up_in_a_file(self) -> None:
        output = self.run_demo("--for", "4", "--rate", "100")
        self.assert_closing(output)
        self.assertNotIn("\x1b", output)
        self.assertNotIn("\r", output)
        published = re.search(r"the fleet published (\d+), the broker acknowledged (\d+)", output)
        assert published is not None
        self.assertGreaterEqual(int(published[1]), 400)
        self.assertIn("classroom-101", output)

    def test_with_a_real_database(self) -> None:
        output = self.run_demo("--real", "--for", "4", "--rate", "100")
        self.assert_closing(output)
        self.assertIn("starting MariaDB", output)

    def test_the_script_itself(self) -> None:
        output = self.run_to_end(["scripts/demo", "--for", "2"], PYTHON=sys.executable)
        self.assert_closing(output)

    def test_in_the_c_locale_everything_is_ascii(self) -> None:
        for lc_all in ("", "C"):
            output = self.run_demo("--for", "2", LANG="C", LC_ALL=lc_all)
            self.assert_closing(output)
            self.assertTrue(output.isascii(), output)
        terminal = Terminal([*DEMO, "--for", "2"], columns=80, rows=24, LANG="C", TERM="xterm")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.shown.isascii(), terminal.shown)

    def test_in_another_encoding(self) -> None:
        # Where the locale is not installed, Python falls back to UTF-8; neither may fail.
        self.assert_closing(self.run_demo("--for", "2", LANG="zh_CN.GBK"))
        self.assert_closing(self.run_demo("--for", "2", PYTHONIOENCODING="gbk"))

    def test_on_terminals_of_all_widths(self) -> None:
        for columns, rows in ((100, 30), (30, 10), (10, 5)):
            terminal = Terminal([*DEMO, "--for", "2"], columns=columns, rows=rows, TERM="xterm")
            self.assertEqual(terminal.wait(), 0, terminal.shown)
            self.assertIn("\x1b[", terminal.shown)
            self.assertNotIn("Traceback", terminal.shown)
            self.assert_closing(ESCAPE.sub("", terminal.shown))

    def test_on_a_terminal_that_cannot_redraw(self) -> None:
        terminal = Terminal([*DEMO, "--for", "2"], columns=100, rows=30, TERM="dumb")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn("\x1b", terminal.shown)
        self.assert_closing(terminal.shown)

    def test_control_c_ends_it_with_the_summary(self) -> None:
        terminal = Terminal(DEMO, columns=100, rows=30, TERM="xterm")
        terminal.read_until(lambda shown: "just now" in shown)
        found = BROKER.search(ESCAPE.sub("", terminal.shown))
        assert found is not None, terminal.shown
        page = PAGE.search(ESCAPE.sub("", terminal.shown))
        assert page is not None, terminal.shown
        with urllib.request.urlopen(page[0], timeout=60) as answer:
            self.assertIn("text/html", answer.headers["Content-Type"])
        # A client, because by the end another test's server may have the port.
        with socket.create_connection(("127.0.0.1", int(found[1]))) as client:
            client.sendall(encode_connect(PublisherOptions("onlooker", mqtt5=False)))
            self.assertEqual(client.recv(4, socket.MSG_WAITALL)[3:], b"\0")
            terminal.press_control_c()
            self.assertEqual(terminal.wait(), 0)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(client.recv(1), b"")
        self.assert_closing(ESCAPE.sub("", terminal.shown))

    def test_sigterm_ends_it_too(self) -> None:
        with subprocess.Popen(DEMO, stdout=subprocess.PIPE, cwd=servers.ROOT, env=environment()) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if b"online 12 of 12" in line:
                    break
            process.send_signal(signal.SIGTERM)
            self.assert_closing(process.stdout.read().decode())
        self.assertEqual(process.returncode, 0)

    def test_control_c_before_it_began(self) -> None:
        terminal = Terminal([*DEMO, "--real"], columns=100, rows=30, TERM="xterm")
        terminal.read_until(lambda shown: "starting MariaDB" in shown)
        terminal.press_control_c()
        self.assertEqual(terminal.wait(), 130)
        self.assertIn("interrupted", terminal.shown)
        self.assertNotIn("Traceback", terminal.shown)

    def test_a_taken_port_is_no_trouble(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            output = self.run_demo("--for", "2", "--port", str(port))
        self.assertIn(f"port {port} is taken, trying another one", output)
        self.assert_closing(output)

    def test_silent_devices_go_offline_in_front_of_ones_eyes(self) -> None:
        output = self.run_demo("--for", "16")
        self.assert_closing(output)
        online = [int(found) for found in re.findall(r"online (\d+) of 12", output)]
        self.assertEqual(max(online), 12)
        self.assertLess(online[-1], 11, "more than the one that left a last will")

    def test_a_mistaken_option_is_told(self) -> None:
        self.assertIn("--devices", self.run_demo("--devices", "0", code=2))

    def test_the_picture(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        self.run_demo("--for", "3", "--picture", str(folder / "demo.svg"))
        self.assertIn("boiler-room", (folder / "demo.svg").read_text("utf-8"))
