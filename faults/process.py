"""The service under test as its runner sees it: its lines, its figures, its memory and its end."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from rig.proc import memory
from rig.programs import Program

FIGURES = "📊 Figures: "
STARTED = "🚀 MQTT service started"


class ServiceProcess:
    """One run of ``faults.service``, for a runner with a reactor.

    :ivar ended: fires with the signal's number when one killed it, else with the negative exit code.
    """

    def __init__(self, reactor: Any, settings: Mapping[str, str], folder: Path) -> None:
        """Start it with these settings, and none of the machine's own."""
        self.folder = folder
        self.lines: list[str] = []
        self.figures: dict[str, int] = {}
        """Of its last line with figures."""
        self.ended: Deferred[int] = Deferred()
        self.is_running = True
        self.peak_memory = 0
        """Bytes, as far as it was looked at."""
        self.memory: list[int] = []
        """Bytes that are resident, at each look."""
        self._waiting: list[tuple[str, Deferred[str]]] = []
        self._program = Program(
            [sys.executable, "-m", "faults.service"],
            settings,
            folder=folder,
            stdin=subprocess.PIPE,
            heard=lambda line: reactor.callFromThread(self._heard, line),
        )

    @property
    def pid(self) -> int:
        """The process id of the service."""
        return self._program.process.pid

    def tell(self, command: str) -> Deferred[str]:
        """A command of ``faults.service``; fires once it is carried out."""
        done = self.next_line(f"faults: {command}")
        self._program.tell(command)
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
            self._program.process.send_signal(number)

    def stop(self) -> Deferred[int]:
        """SIGTERM; fires as ``ended`` does."""
        self.signal(signal.SIGTERM)
        return self.ended

    def look_at_memory(self) -> None:
        """Note how much of it is resident, and its peak."""
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            now = memory(self.pid)
            self.peak_memory = max(self.peak_memory, now.peak)
            self.memory.append(now.resident)

    def _heard(self, line: str | None) -> None:
        if line is None:
            self._ended()
            return
        self.lines.append(line)
        if FIGURES in line:
            pairs = (word.partition("=") for word in line.partition(FIGURES)[2].rpartition(" | ")[2].split())
            self.figures = {name: int(value) for name, _, value in pairs}
        due = [(text, waiting) for text, waiting in self._waiting if text in line]
        for text, waiting in due:
            self._waiting.remove((text, waiting))
            waiting.callback(line)

    def _ended(self) -> None:
        """All it said was read, so it is ending."""
        self.is_running = False
        code = self._program.process.wait()
        self._program.close()
        waiting, self._waiting = self._waiting, []
        for text, line in waiting:
            line.errback(EOFError(f"the service ended without a line with {text!r}:\n" + "\n".join(self.lines[-20:])))
        self.ended.callback(-code)
