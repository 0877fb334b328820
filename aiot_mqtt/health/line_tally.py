"""How many warnings and errors were logged, and how many of these are faults of ours."""

from __future__ import annotations

from collections import Counter

from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from ..telemetry import log_lines

LEVELS = {LogLevel.warn: "warning", LogLevel.error: "error", LogLevel.critical: "error"}
FAULTS_IN = {
    log_lines.RECEIVE_FAILED_UNEXPECTEDLY: "receive",
    log_lines.WRITE_FAILED_UNEXPECTEDLY: "write",
    log_lines.LISTENER_FAILED_UNEXPECTEDLY: "write",
    log_lines.SPOOL_FAILED_UNEXPECTEDLY: "spool",
    log_lines.SWEEP_FAILED_UNEXPECTEDLY: "sweep",
    log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY: "connection",
    log_lines.STANDBY_FAILED_UNEXPECTEDLY: "connection",
    log_lines.BROKER_DROPS_FAILED_UNEXPECTEDLY: "connection",
    log_lines.WHY_FAILED_UNEXPECTEDLY: "connection",
    log_lines.PAGE_FAILED_UNEXPECTEDLY: "connection",
    log_lines.HTTP_FAILED_UNEXPECTEDLY: "health",
    log_lines.PROGRESS_FAILED_UNEXPECTEDLY: "health",
    log_lines.ALERT_FAILED_UNEXPECTEDLY: "health",
    log_lines.SYSTEMD_FAILED_UNEXPECTEDLY: "health",
    log_lines.STOP_FAILED_UNEXPECTEDLY: "stop",
}
"""The lines that ask to be reported, and which part of the service each is about."""


@implementer(ILogObserver)
class LineTally(Service):
    """Counts while it runs: also what ``LOG_LEVEL`` leaves out."""

    def __init__(self) -> None:
        self.lines = Counter(dict.fromkeys(LEVELS.values(), 0))
        self.faults = Counter(dict.fromkeys(FAULTS_IN.values(), 0))

    def startService(self) -> None:
        """Begin to count."""
        super().startService()
        globalLogPublisher.addObserver(self)

    def stopService(self) -> None:
        """Count no more."""
        super().stopService()
        globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """See ``ILogObserver``."""
        if (level := LEVELS.get(event.get("log_level", LogLevel.info))) is not None:
            self.lines[level] += 1
            if (part := FAULTS_IN.get(str(event.get("log_format")))) is not None:
                self.faults[part] += 1
