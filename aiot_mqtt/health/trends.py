"""What ``/metrics`` tells of the time before the scrape: looked at each second, and at each commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from ..devices.report import DATA, HEARTBEAT, STATUS
from ..devices.update import DeviceUpdate
from ..presence.flips import Flips
from ..writing.writer import Writer
from .history import History
from .peak import Peak

LOOK_INTERVAL = 1.0  # s
PEAK_SECONDS = 600.0
LAG_SECONDS = 60.0
KINDS = {"data": DATA, "status": STATUS, "heartbeat": HEARTBEAT}


class Trends(Service):
    """Remembers a few figures; a ``CommitListener``."""

    def __init__(
        self,
        writer: Writer,
        is_listening: Callable[[], bool],
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        *,
        history: History | None = None,
        flips: Flips | None = None,
    ) -> None:
        """
        :param is_listening: whether a device that reports now would be heard, and seen in the table, at once.
        :param wall_clock: seconds since the epoch.
        :param history: looks each second, too.
        :param flips: told of what is committed.
        """
        self._flips = flips
        self._history = history
        self._writer = writer
        self._is_listening = is_listening
        self._clock = clock
        self._wall_clock = wall_clock
        self._unacknowledged = Peak(PEAK_SECONDS)
        self._lag = Peak(LAG_SECONDS)
        self._looked_at: float | None = None
        self.started_at = wall_clock()
        """Seconds since the epoch; the same for as long as the process runs, wherever the clock is set to."""
        self.listened_seconds = 0.0
        self.committed_at = 0.0
        """Seconds since the epoch of the last commit of rows; 0 before the first."""
        self.stored_at = dict.fromkeys(KINDS, 0.0)
        """The same of the last one with a message of that kind in it."""
        self.said_offline = 0
        """Rows set offline because the device said so, or its will did."""
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._looked_at = None
        self._looking.start(LOOK_INTERVAL)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    @property
    def unacknowledged_peak(self) -> float:
        """The most messages that were unacknowledged in the last ten minutes, looked at each second."""
        self._unacknowledged.note(self._writer.unacknowledged, self._clock.seconds())
        return self._unacknowledged.value(self._clock.seconds())

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait in memory, an estimate."""
        return self._writer.backlog.size

    @property
    def pending_limit(self) -> int:
        """Bytes of what is not being written yet, above which messages at QoS 0 are dropped."""
        return self._writer.backlog.pending.bound

    @property
    def reactor_lag(self) -> float:
        """The most seconds of the last minute by which the reactor was late."""
        return self._lag.value(self._clock.seconds())

    def rows_committed(self, updates: Sequence[DeviceUpdate], *, is_spooled: bool) -> None:  # noqa: ARG002 committed is committed
        """See ``CommitListener``."""
        now = self.committed_at = self._wall_clock()
        kinds, offline = 0, []
        for update in updates:
            kinds |= update.kinds
            if not update.is_online:
                offline.append(update)
        self.said_offline += len(offline)
        if self._flips is not None:
            self._flips.committed(updates, offline)
        for name, kind in KINDS.items():
            if kinds & kind:
                self.stored_at[name] = now

    def row_refused(self, update: DeviceUpdate) -> None:
        """See ``CommitListener``; it is counted elsewhere."""

    def _look(self) -> None:
        now = self._clock.seconds()
        if self._history is not None:
            self._history.look(now)
        if self._looked_at is not None:
            passed = now - self._looked_at
            self._lag.note(max(0.0, passed - LOOK_INTERVAL), now)
            if self._is_listening():
                self.listened_seconds += passed
        self._looked_at = now
        self._unacknowledged.note(self._writer.unacknowledged, now)
