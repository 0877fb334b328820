"""Runs ``ALERT_COMMAND`` when the state has changed, with what ``/readyz`` says on its standard input."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..settings.parsers import COMMAND_PATH
from ..telemetry import log_lines
from ..telemetry.outage import Outage
from .state import State
from .status_words import ICONS, WORDS

LOOK_INTERVAL = 1.0  # s
DAMPING = 30.0  # s that a state must last before it is told
RUN_INTERVAL = 60.0  # s between two runs, from the beginning of one to that of the next
RUN_TIMEOUT = 30.0  # s after which a run is killed
LINGER = 1.0  # s after its end in which what it said may still come
MAX_TOLD = 300  # characters of what it wrote
RESULTS = ("ok", "failed", "suppressed")
# Not our own environment: the passwords may be in that.
ENVIRONMENT = {"PATH": COMMAND_PATH, "LANG": "C.UTF-8"}


def alert_text(status: Mapping[str, Any], host: str, language: str) -> str:
    """What a person is told.

    :param status: what ``/readyz`` says.
    :param language: ``zh`` or ``en``.
    """
    state = status["state"]
    return f"{ICONS[state]} {WORDS[state][language]} {host}: {status['sentence'][language]}"


def as_line(status: Mapping[str, Any]) -> str:
    """One line of JSON; what comes first in it stays there, for who reads it with sed."""
    return json.dumps(status, ensure_ascii=False) + "\n"


class AlertCommand(Service):
    """Tells each state that lasts, once. A run that fails is tried again after a minute, with the state of then.

    A process that has just started has told nothing yet, and takes it that what was told last was ok.
    """

    _log = Logger()

    def __init__(self, argv: Sequence[str], status: Callable[[], dict[str, Any]], reactor: Any) -> None:
        """
        :param argv: the program and its arguments.
        :param status: what ``/readyz`` says, and whatever else is to be told; ``state`` is in it.
        :param reactor: ``IReactorProcess`` and ``IReactorTime``.
        """
        self._argv = argv
        self._status = status
        self._reactor = reactor
        self.results = Counter(dict.fromkeys(RESULTS, 0))
        """Runs by how they ended; ``suppressed``: changes that were over before they were told."""
        self._outage = Outage(self._log, reactor, log_lines.ALERT_STILL_FAILING, log_lines.ALERT_WORKS_AGAIN)
        self._told = self._state = State.OK.value
        self._since = self._ran_at = float("-inf")
        self._run: _Run | None = None
        self._looking = LoopingCall(self._guarded)
        self._looking.clock = reactor

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._looking.start(LOOK_INTERVAL, now=False)

    def stopService(self) -> None:
        """Look no more, and end a run that there is."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        if self._run is not None:
            self._run.kill("the service stops")

    def _guarded(self) -> None:
        """A LoopingCall ends for good when its call fails."""
        try:
            self._look()
        except Exception:
            self._log.failure(log_lines.ALERT_FAILED_UNEXPECTEDLY)

    def _look(self) -> None:
        now = self._reactor.seconds()
        status = self._status()
        state = status["state"]
        if state != self._state:
            self.results["suppressed"] += self._state not in (self._told, self._being_told)
            self._state, self._since = state, now
        is_news = state != self._told and now - self._since >= DAMPING
        if is_news and self._run is None and now - self._ran_at >= RUN_INTERVAL:
            self._ran_at = now
            self._run = _Run(state, as_line(status), self._ended, self._reactor)
            try:
                self._reactor.spawnProcess(self._run, self._argv[0], self._argv, env=ENVIRONMENT)
            except OSError as error:  # no more processes
                self._ended(state, str(error))

    @property
    def _being_told(self) -> str | None:
        return None if self._run is None else self._run.state

    def _ended(self, state: str, trouble: str | None) -> None:
        self._run = None
        if trouble is None:
            self._told = state
            self.results["ok"] += 1
            self._outage.ended()
        else:
            self.results["failed"] += 1
            if self.running:
                self._outage.failed(log_lines.ALERT_FAILED, trouble, program=self._argv[0])


class _Run(ProcessProtocol):
    """One run."""

    def __init__(self, state: str, text: str, ended: Callable[[str, str | None], None], reactor: Any) -> None:
        self.state = state
        self._text = text
        self._ended = ended
        self._reactor = reactor
        self._timeout: IDelayedCall | None = None
        self._said = b""
        self._trouble: str | None = None

    def connectionMade(self) -> None:
        """It runs: hand it the text."""
        too_long = f"not done within {RUN_TIMEOUT:.0f} s"
        self._timeout = self._reactor.callLater(RUN_TIMEOUT, self.kill, too_long)
        transport: Any = self.transport
        transport.write(self._text.encode())
        transport.closeStdin()

    def outReceived(self, data: bytes) -> None:  # noqa: N802 Twisted's name
        """What it says is shown where it fails."""
        self._said = (self._said + data)[-MAX_TOLD:]

    def errReceived(self, data: bytes) -> None:  # noqa: N802 Twisted's name
        """The same."""
        self.outReceived(data)

    def kill(self, why: str) -> None:
        """End it."""
        self._trouble = self._trouble or why
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess(signal.SIGKILL.name.removeprefix("SIG"))
        transport.loseConnection()

    def processExited(self, _reason: Failure = connectionDone) -> None:  # noqa: N802 Twisted's name
        """It has ended; what it has started may hold its output open."""
        self._stop_waiting()
        transport: Any = self.transport
        self._timeout = self._reactor.callLater(LINGER, transport.loseConnection)

    def processEnded(self, reason: Failure = connectionDone) -> None:  # noqa: N802 Twisted's name
        """It has ended, and all that it said is here."""
        self._stop_waiting()
        if self._trouble is None and reason.check(ProcessDone) is None:
            said = self._said.decode("utf-8", "replace").strip().replace("\n", " | ")
            self._trouble = f"{reason.getErrorMessage()}{': ' if said else ''}{said}"
        self._ended(self.state, self._trouble)

    def _stop_waiting(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()
