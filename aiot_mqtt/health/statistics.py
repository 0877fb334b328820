"""The figures in the log: each ``STATS_INTERVAL``, and once more when the service stops."""

from __future__ import annotations

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..writing.writer import Writer

_log = Logger()


def log_figures(counters: Counters, writer: Writer) -> None:
    """Write the line of this moment."""
    figures = {**counters.as_dict(), "pending": writer.deliveries}
    _log.info(log_lines.STATISTICS, figures=" ".join(f"{name}={value}" for name, value in figures.items()))


class Statistics(TimerService):
    """Writes the line where something was received since the last one."""

    def __init__(self, counters: Counters, writer: Writer, interval: float, clock: IReactorTime) -> None:
        """
        :param interval: seconds between two lines.
        """
        super().__init__(interval, self._log_what_came)
        self.clock = clock
        self._counters = counters
        self._writer = writer
        self._received_at_last = 0

    def _log_what_came(self) -> None:
        if self._counters.received != self._received_at_last:
            self._received_at_last = self._counters.received
            log_figures(self._counters, self._writer)
