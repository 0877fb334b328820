"""The service under test as its runner sees it: its lines, its figures, its memory and its end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from rig import servers

FIGURES = "📊 Figures: "
STARTED = "🚀 MQTT service started"
_OWN_PREFIXES = (
    *("MQTT_", "DB_", "LOG_", "DEVICE_", "STATS_", "SHUTDOWN_", "HEARTBEAT_", "LAST_SEEN_", "SPOOL_", "STATE_"),
    "FAULTS",
)


class ServiceProcess(ProcessProtocol):
    """One run of ``faults.service``.

    :ivar ended: fires with the signal's number when one killed it, else with the negative exit code.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.figures: dict[str, int] = {}
        """Of its last line with figures."""
        self.ended: Deferred[int] = Deferred()
        self.is_running = True
        self.peak_memory = 0
        """Bytes, as far as it was looked at."""
        self.memory: list[int] = []
        """Bytes that are resident, at each look."""
        self._unfinished = b""
        self._waiting: list[tuple[str, Deferred[str]]] = []

    @classmethod
    def start(cls, reactor: Any, settings: Mapping[str, str], folder: Path) -> ServiceProcess:
        """Start it with these settings, and none of the machine's own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_PREFIXES)}
        service = cls()
        reactor.spawnProcess(
            service,
            sys.executable,
            [sys.executable, "-m", "faults.service"],
            env={**environment, "PYTHONPATH": str(servers.ROOT), **settings},
            path=str(folder),
            childFDs={0: "w", 1: "r", 2: "r"},
        )
        return service

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self.transport.pid)  # type: ignore[union-attr]

    def tell(self, command: str) -> Deferred[str]:
        """A command of ``faults.service``; fires once it is carried out."""
        done = self.next_line(f"faults: {command}")
        self.transport.write(f"{command}\n".encode())  # type: ignore[union-attr]
        return done

    def next_line(self, text: str) -> Deferred[str]:
        """Fires with the next line that has this text; fails with ``EOFError`` when the process ends instead."""
        line: Deferred[str] = Deferred(lambda line: self._waiting.remove((text, line)))
        self._waiting.append((text, line))
        return line

    def count(self, text: str) -> int:
        """How many of its lines have this text."""
        return sum(text in line for line in self.lines)

    def signal(self, number: int) -> None:
        """Send it a signal; nothing once it has ended."""
        if self.is_running:
            os.kill(self.pid, number)

    def stop(self) -> Deferred[int]:
        """SIGTERM; fires as ``ended`` does."""
        self.signal(signal.SIGTERM)
        return self.ended

    def look_at_memory(self) -> None:
        """Note how much of it is resident, and its peak."""
        if not self.is_running:
            return
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:  # it has just ended
            return
        sizes = {name: value for name, _, value in (line.partition(":") for line in status.splitlines())}
        if "VmHWM" in sizes:
            self.peak_memory = max(self.peak_memory, int(sizes["VmHWM"].split()[0]) * 1024)
            self.memory.append(int(sizes["VmRSS"].split()[0]) * 1024)

    # Called by Twisted.

    def childDataReceived(self, child_fd: int, data: bytes) -> None:  # noqa: ARG002
        """Its output, cut anywhere."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            self._line_received(line.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and all it said was read."""
        self.is_running = False
        waiting, self._waiting = self._waiting, []
        for text, line in waiting:
            line.errback(EOFError(f"the service ended without a line with {text!r}:\n" + "\n".join(self.lines[-20:])))
        value = reason.value
        assert isinstance(value, ProcessDone | ProcessTerminated)
        self.ended.callback(value.signal or -(value.exitCode or 0))

    def _line_received(self, line: str) -> None:
        self.lines.append(line)
        if FIGURES in line:
            pairs = (word.partition("=") for word in line.partition(FIGURES)[2].split())
            self.figures = {name: int(value) for name, _, value in pairs}
        due = [(text, waiting) for text, waiting in self._waiting if text in line]
        for text, waiting in due:
            self._waiting.remove((text, waiting))
            waiting.callback(line)
