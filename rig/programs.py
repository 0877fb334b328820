"""The service as a process of its own, as an operator runs it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from rig import servers
from rig.servers import Database, Mosquitto

LINE_TIMEOUT = 40.0  # s
STARTED = "🚀 MQTT服务已启动"
START_LINES = (
    "📡 订阅主题: devices/+/data",
    "📡 订阅主题: devices/+/status",
    "📡 订阅主题: devices/+/heartbeat",
    STARTED,
)


def settings_for(broker: Mosquitto | None, database: Database | None) -> dict[str, str]:
    """Environment variables that name these servers; none of the machine's own settings."""
    settings = {"MQTT_CLIENT_ID": "service"}
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
    own = ("MQTT_", "DB_", "LOG_", "DEVICE_", "HEARTBEAT_", "LAST_SEEN_", "SPOOL_", "STATS_", "SHUTDOWN_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith((*own, "STATE_DIRECTORY"))}
    return {**kept, "PYTHONPATH": str(servers.ROOT), **settings}


class Program:
    """A process whose lines are read as they come."""

    def __init__(
        self, argv: Sequence[str], settings: Mapping[str, str], *, folder: Path, extra: Mapping[str, str] | None = None
    ) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            argv,
            env=environment({**settings, **(extra or {})}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._queue.put(line.decode().rstrip("\n"))
        self._queue.put(None)

    def wait_for(self, *texts: str) -> str:
        """Read on until lines with these texts have come, in this order; returns the last."""
        line: str | None = ""
        for text in texts:
            while True:
                try:
                    line = self._queue.get(timeout=LINE_TIMEOUT)
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


TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
FOREGROUND = [*TWISTD, "-n", "--pidfile=", "aiot-mqtt"]
