"""What an operator is told beside the sweeps: that silence is not judged for long, and who has come back."""

from __future__ import annotations

from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.bilingual import Bilingual
from ..telemetry.counters import Counters
from ..telemetry.durations import duration

NOT_JUDGED = 600.0  # s without judging after which somebody should know that dead devices stay online
MANY = 20  # devices that fall silent in one sweep
MANY_PERCENT = 10  # of all that are known


class Judging:
    """Tells once when silence was not judged for long, and once when it is judged again.

    Told of time, never asks for it.
    """

    def __init__(self, log: Logger, counters: Counters) -> None:
        self._log = log
        self._counters = counters
        self._stopped_at: float | None = None
        self._is_told = False
        self._came_back = 0

    def observed(self, now: float, hindrance: Bilingual | None) -> None:
        """To be called each second. :param hindrance: why nobody is judged; None: they are."""
        if hindrance is None:
            if self._is_told and self._stopped_at is not None:
                self._log.info(log_lines.JUDGING_AGAIN, lasts=duration(now - self._stopped_at))
            self._stopped_at, self._is_told = None, False
            return
        if self._stopped_at is None:
            self._stopped_at = now
        if not self._is_told and now - self._stopped_at >= NOT_JUDGED:
            self._is_told = True
            self._log.warn(log_lines.NOT_JUDGING, lasts=duration(now - self._stopped_at), reason=hindrance)

    def swept(self, result: str, seconds: float, now: float) -> None:
        """A sweep has ended. :param result: one of ``SWEPT``. :param now: seconds since the epoch."""
        self._counters.sweeps[result] += 1
        if result == "done":
            self._counters.last_sweep_at, self._counters.last_sweep_seconds = now, seconds

    def tell_returns(self) -> None:
        """Tell how many devices that a sweep had set offline were heard again, since this was last called."""
        came_back = self._counters.came_back
        if came_back > self._came_back:
            self._log.info(log_lines.DEVICES_BACK, count=came_back - self._came_back)
        self._came_back = came_back

    def tell_offline(self, count: int, known: int, devices: str, cutoff: str) -> None:
        """Tell of those that one sweep has set offline.

        :param known: how many there are, these included, as far as this process knows.
        :param cutoff: since when they are silent, as the table has it.
        """
        percent = round(100 * count / max(known, count))
        if count > MANY and percent >= MANY_PERCENT:
            self._log.warn(log_lines.MANY_DEVICES_OFFLINE, count=count, percent=percent, devices=devices, cutoff=cutoff)
        else:
            self._log.info(log_lines.DEVICES_OFFLINE, count=count, devices=devices, cutoff=cutoff)
