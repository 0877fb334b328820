"""Tells systemd that the service runs, how it is in a sentence, and that it makes progress (sd_notify(3)).

``READY`` means that the settings are good and the reactor runs; broker and database are waited for afterwards.
``systemctl status`` shows the sentence. The watchdog is fed from the reactor and only while every part makes progress,
as ``/healthz`` says it, because a hang is what ``Restart=`` cannot see.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.printable import printable
from .progress import Stalled
from .state import State, Verdict

INTERVAL = 1.0  # s between two looks
STATUS_INTERVAL = 10.0  # s between two sentences of one state
WATCHDOG_SHARE = 2  # of them in the time that systemd waits for one
MAX_STATUS = 500  # characters; systemd shows one line


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Where systemd listens, and how often it wants to hear."""

    address: str
    """A path, or with ``@`` a name in the abstract namespace."""
    watchdog: float = 0.0
    """Seconds after which it ends a process that says nothing; 0: it does not."""


def supervisor_of(environ: MutableMapping[str, str], process_id: int) -> Supervisor | None:
    """Who listens, as the environment says; what it says is taken out, so that no child speaks for this process."""
    address = environ.pop("NOTIFY_SOCKET", "")
    microseconds = environ.pop("WATCHDOG_USEC", "")
    whose = environ.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")):
        return None
    is_watched = microseconds.isascii() and microseconds.isdecimal() and whose in ("", str(process_id))
    return Supervisor(address, int(microseconds) / 1e6 if is_watched else 0.0)


def status_line(verdict: Verdict, language: str) -> str:
    """The state in a word, and the sentence, on the one line that systemd shows."""
    word, sentence = verdict.state.word, verdict.sentence
    text = f"{word.chinese}：{sentence.chinese}" if language == "zh" else f"{word}: {sentence}"
    return printable(" ".join(text.split()), MAX_STATUS)


class Systemd(Service):
    """Speaks as long as the service runs."""

    _log = Logger()

    def __init__(
        self,
        supervisor: Supervisor,
        verdict: Callable[[], Verdict],
        stalled: Callable[[], tuple[Stalled, ...]],
        clock: IReactorTime,
        *,
        language: str,
        stop_within: float,
    ) -> None:
        """
        :param verdict: how the service is, now.
        :param stalled: what makes no progress; then the watchdog goes hungry.
        :param language: of the sentence.
        :param stop_within: seconds that stopping may take.
        """
        self._supervisor = supervisor
        self._verdict = verdict
        self._stalled = stalled
        self._clock = clock
        self._language = language
        self._stop_within = stop_within
        self._socket: socket.socket | None = None
        self._is_ready_told = False
        self._told: tuple[State | None, str, float] = (None, "", 0.0)
        self._fed_at = clock.seconds()
        self._is_hungry = False
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """Say that it is ready, as soon as the reactor runs."""
        super().startService()
        # Not what blocks: were systemd too slow to listen, it would be this process that is held up.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._clock.callLater(0, self._ready)

    def stopService(self) -> None:
        """Say that it stops, and how long that may take."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        # More than TimeoutStopSec= where SHUTDOWN_TIMEOUT is (systemd 236 and later).
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round((self._stop_within + 5) * 1e6)}")
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ready(self) -> None:
        if self.running:
            self._looking.start(INTERVAL)

    def _look(self) -> None:
        try:
            self._look_now()
        except Exception:  # a fault in what only tells must not have the process ended
            self._log.failure(log_lines.SYSTEMD_FAILED_UNEXPECTEDLY)

    def _look_now(self) -> None:
        # What is not taken now, because systemd has much to read, is told the next time. Without READY it would end us.
        self._is_ready_told = self._is_ready_told or self._tell("READY=1")
        if stalled := self._stalled():
            if not self._is_hungry and self._supervisor.watchdog:
                name, seconds = stalled[0].name, round(stalled[0].seconds)
                self._log.error(log_lines.WATCHDOG_HUNGRY, name=name, seconds=seconds)
            self._is_hungry = True
        else:
            self._is_hungry = False
            now = self._clock.seconds()
            if (
                self._supervisor.watchdog
                and now - self._fed_at >= self._supervisor.watchdog / WATCHDOG_SHARE - INTERVAL
            ):
                self._fed_at = now if self._tell("WATCHDOG=1") else self._fed_at
        verdict = self._verdict()
        state, told, told_at = self._told
        is_time = verdict.state is not state or self._clock.seconds() - told_at >= STATUS_INTERVAL
        if is_time and (line := status_line(verdict, self._language)) != told and self._tell(f"STATUS={line}"):
            self._told = (verdict.state, line, self._clock.seconds())

    def _tell(self, assignments: str) -> bool:
        """Whether systemd has it."""
        if self._socket is None:
            return False
        address = self._supervisor.address
        try:
            self._socket.sendto(assignments.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:  # it is not there, or has too much to read
            return False
        return True
