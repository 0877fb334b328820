"""Programs as processes of their own, the service as an operator runs it among them."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiot_mqtt.settings.names import OWN_PREFIXES

from . import servers
from .servers import Database, Server

LINE_TIMEOUT = 120.0  # s, for a busy machine
STARTED = "🚀 MQTT服务已启动"
START_LINES = (
    "📡 订阅主题: devices/+/data",
    "📡 订阅主题: devices/+/status",
    "📡 订阅主题: devices/+/heartbeat",
    STARTED,
)


def settings_for(broker: Server | None, database: Database | None) -> dict[str, str]:
    """Environment variables that name these servers; none of the machine's own settings."""
    settings = {"MQTT_CLIENT_ID": "service", "HTTP_LISTEN": ""}
    if broker is not None:
        settings |= {"MQTT_BROKER": broker.host, "MQTT_PORT": str(broker.port)}
    if database is not None:
        settings |= {
            "DB_HOST": database.host,
            "DB_PORT": str(database.port),
            "DB_USER": database.service_user,
            "DB_PASSWORD": database.service_password,
        }
    return settings


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """These settings, and of the environment nothing that would be one."""
    own = (*OWN_PREFIXES, "STATE_DIRECTORY", "FAULTS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, "PYTHONPATH": str(servers.ROOT), **settings}


class Program:
    """A process whose lines are read as they come, in a thread of their own."""

    def __init__(
        self,
        argv: Sequence[str],
        settings: Mapping[str, str],
        *,
        folder: Path,
        extra: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        heard: Callable[[str | None], None] | None = None,
    ) -> None:
        """
        :param stdin: ``subprocess.PIPE`` where it is to be told something.
        :param heard: called in that thread with each line, and with None when there is no more; where it is None,
            ``wait_for`` and ``wait`` read the lines.
        """
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._heard = heard or self._queue.put
        self.process = subprocess.Popen(
            argv,
            env=environment({**settings, **(extra or {})}),
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._heard(line.decode("utf-8", "replace").rstrip("\n"))
        self._heard(None)

    def tell(self, line: str) -> None:
        """A line to its standard input; nothing where it does not read that."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()

    def wait_for(self, *texts: str, timeout: float = LINE_TIMEOUT) -> str:
        """Read on until lines with these texts have come, in this order; returns the last.

        :param timeout: seconds until the next line.
        :raises AssertionError: they do not come; with all the lines there were.
        """
        line: str | None = ""
        for text in texts:
            while True:
                try:
                    line = self._queue.get(timeout=timeout)
                except queue.Empty:
                    line = None
                if line is None:
                    raise AssertionError(f"no line with {text!r}:\n" + "\n".join(self.lines))
                self.lines.append(line)
                if text in line:
                    break
        return line or ""

    def wait_for_each(self, *texts: str) -> None:
        """Read on until a line with each of these texts has come, in any order."""
        missing = set(texts)
        while missing:
            self.wait_for("")
            missing -= {text for text in missing if text in self.lines[-1]}

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout: float = LINE_TIMEOUT) -> int:
        """Wait for its end and read all it said; returns the exit code."""
        code = self.process.wait(timeout)
        self._reader.join()
        with contextlib.suppress(queue.Empty):
            while (line := self._queue.get_nowait()) is not None:
                self.lines.append(line)
        return code

    def close(self) -> None:
        """Kill it, should it still run."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
FOREGROUND = [*TWISTD, "-n", "--pidfile=", "aiot-mqtt"]
