"""Who is offline: devices that were not heard for long enough while this service listened."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from math import inf

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..devices.update import table_time
from ..table.contract import PresenceStore, Silence, SilentDevice, StoreError
from ..telemetry import log_lines
from ..telemetry.bilingual import Bilingual
from ..telemetry.counters import Counters
from ..telemetry.durations import duration
from ..telemetry.reasons import presence as reasons
from ..telemetry.survive import start
from ..writing.writer import Writer
from .flips import Flips
from .heard_devices import HeardDevices, Known
from .judging import Judging
from .listened_time import ListenedTime
from .subscription import Subscription
from .sweep import Sweep, SweepEnded, Sweeper

OBSERVE_INTERVAL = 1.0  # s
MAX_AGE = 5.0  # s that the oldest unacknowledged message may have waited while we still listen
# PUBLISH packets that may be unacknowledged while we still listen, where that is less than half of the window: a batch
# in flight is no backlog.
IN_FLIGHT = 1000
FUTURE = 300.0  # s ahead of now that a last_seen may be; a later one is a mistake
LINE_INTERVAL = 600.0  # s between two lines about rows that cannot be set, or that others write
DAY = 86400.0  # s


class PresenceMonitor(Service):
    """Sets silent devices offline, and learns what timeout the fleet's own intervals support."""

    _log = Logger()

    def __init__(
        self,
        table: PresenceStore,
        writer: Writer,
        heard: HeardDevices,
        counters: Counters,
        clock: IReactorTime,
        *,
        subscription: Subscription,
        timeout: float,
        check_interval: float,
        table_zone: tzinfo,
        resolution: float = 0,
        row_changes: Callable[[str], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
        log_devices: bool = False,
    ) -> None:
        """
        :param heard: told by the writer of all that is committed.
        :param clock: monotonic.
        :param timeout: seconds of silence, while we listened, after which a device is offline.
        :param check_interval: seconds between two sweeps.
        :param table_zone: the zone of the naive times in the table.
        :param resolution: seconds by which a ``last_seen`` in the table may be older than what was heard.
        :param row_changes: called with the key of each device whose row is about to say something else than what was
            written last, or does so already.
        :param wall_clock: seconds since the epoch; the one that writes ``last_seen``.
        :param log_devices: log each device at DEBUG; a call to a logger that then drops it costs 5 µs.
        """
        self._writer = writer
        self._heard = heard
        self._counters = counters
        self._clock = clock
        self._subscription = subscription
        self._timeout = timeout
        self._max_silence = timeout + resolution  # by the table: whoever is over it was silent for the timeout
        self._table_zone = table_zone
        self._wall_clock = wall_clock
        self._log_devices = log_devices
        self._listened = ListenedTime(self._max_silence)
        self._was_listening = False
        self._judging = Judging(self._log, counters)
        self._unheard = 0  # of those that the sweep has set offline
        self._sweeping: Deferred[None] | None = None
        self._last_failure = ""
        self._told_at: dict[str, float] = {}
        self._sweeper = Sweeper(
            table,
            writer,
            heard,
            clock,
            row_changes=row_changes or (lambda _device: None),
            set_offline=self._set_offline,
            now=self._table_now,
            retry_delay=check_interval,
        )
        self._loops = [
            (LoopingCall(self._guarded, self._observe), OBSERVE_INTERVAL),
            (LoopingCall(self._sweep), check_interval),
            (LoopingCall(self._guarded, self._tell_evidence), DAY),
        ]

    def startService(self) -> None:
        """Begin to observe; the first sweep that can find anything comes after ``timeout`` seconds of listening,
        and ``resolution`` more.
        """
        super().startService()
        self._listened.forget()
        self._sweeper.forget()
        for loop, interval in self._loops:
            loop.clock = self._clock
            loop.start(interval, now=False)

    def stopService(self) -> None:
        """Stop observing, and a sweep where it is."""
        super().stopService()
        for loop, _ in self._loops:
            if loop.running:
                loop.stop()
        if self._sweeping is not None:
            self._sweeping.cancel()

    @property
    def flips(self) -> Flips:
        """The newest changes between online and offline."""
        return self._heard.flips

    def is_listening(self) -> bool:
        """Whether a device that reports now would be heard, and seen in the table, at once."""
        return self._hindrance() is None

    def is_judging(self) -> bool:
        """Whether a sweep could set somebody offline now: it listens, and has for long enough."""
        return self._listened.cutoff(self._max_silence) is not None and self.is_listening()

    def _hindrance(self) -> Bilingual | None:
        """What is in the way of hearing a device at once; None: nothing."""
        writer = self._writer
        if not self._subscription.is_listening:
            return reasons.NOT_LISTENING
        if writer.unacknowledged > max(IN_FLIGHT, self._subscription.window / 2):
            return reasons.TOO_MANY_WAIT.fill(count=writer.unacknowledged)
        if writer.oldest_age >= MAX_AGE:
            return reasons.OLDEST_WAITS.fill(lasts=duration(writer.oldest_age))
        return None if writer.is_accepted else reasons.TABLE_BEHIND

    def session_lost(self) -> None:
        """What was published while we were away is lost: silence before and after that cannot be added up."""
        self._listened.forget()

    def _guarded(self, work: Callable[[], None]) -> None:
        """A LoopingCall ends for good when its call fails."""
        try:
            work()
        except Exception:
            self._log.failure(log_lines.SWEEP_FAILED_UNEXPECTEDLY)

    def _observe(self) -> None:
        now, wall = self._clock.seconds(), self._wall_clock()
        if self._heard.is_renamed():
            self._listened.forget()
        if self._listened.is_stepped(now, wall):
            self._sweeper.forget()  # the times in it are from before the step
        hindrance = self._hindrance()
        listening = hindrance is None
        self._judging.observed(now, hindrance)
        silent_for = self._subscription.silent_for
        # A broker that says nothing is taken for there for a while; when that was wrong, nobody was heard meanwhile.
        self._listened.observe(now, wall, listening, doubtful=0.0 if silent_for == inf else silent_for)
        if self._was_listening and not listening:
            self._heard.regularity.interrupted()
        self._was_listening = listening
        if (cutoff := self._listened.cutoff(self._timeout)) is not None:
            self._heard.forget_before(cutoff.monotonic)

    def _sweep(self) -> Deferred[None]:
        """One sweep; the next one begins after it."""
        self._sweeping = start(self._set_silent_offline(), self._log, log_lines.SWEEP_FAILED_UNEXPECTEDLY)
        return self._sweeping

    async def _set_silent_offline(self) -> None:
        self._observe()
        self._judging.tell_returns()
        listened = self._listened
        cutoff, heard_cutoff = listened.cutoff(self._max_silence), listened.cutoff(self._timeout)
        if cutoff is None or heard_cutoff is None or not self.is_listening():
            self._counters.sweeps["paused"] += 1
            return
        beginnings = listened.beginnings

        def holds() -> bool:
            is_stepped = listened.is_stepped(self._clock.seconds(), self._wall_clock())
            return not is_stepped and listened.beginnings == beginnings and self.is_listening()

        silence = Silence(self._table_time(cutoff.wall), self._table_time(self._wall_clock() + FUTURE))
        sweep = Sweep(silence, heard_cutoff.monotonic, holds)
        result, began = "failed", self._clock.seconds()
        try:
            await self._sweeper.run(sweep)
            self._last_failure = ""
            result = "done"
        except (StoreError, SweepEnded) as error:
            if not str(error):
                result = "paused"
            self._tell_failure(str(error))
        finally:
            self._judging.swept(result, self._clock.seconds() - began, self._wall_clock())
            self._tell_sweep(sweep)

    def _table_now(self) -> str:
        return self._table_time(self._wall_clock())

    def _table_time(self, seconds: float) -> str:
        return table_time(seconds, self._table_zone)

    def _set_offline(self, rows: Sequence[SilentDevice]) -> None:
        self._unheard += sum(self._heard.last_heard(row.uuid) is None for row in rows)
        self._heard.set_offline([row.uuid for row in rows])
        self._counters.went_silent += len(rows)
        if self._log_devices:
            for row in rows:
                self._log.debug(log_lines.DEVICE_OFFLINE, device=row.uuid, last_seen=row.last_seen or "NULL")

    def _tell_sweep(self, sweep: Sweep) -> None:
        self._counters.odd_last_seen += sweep.odd
        self._counters.sweep_failures += sweep.refused
        if sweep.count:
            names = ", ".join(sweep.names) + ("…" if sweep.count > len(sweep.names) else "")
            known, self._unheard = self._heard.count + self._unheard, 0
            self._judging.tell_offline(sweep.count, known, names, sweep.silence.cutoff)
        if (row := sweep.first_odd) is not None:
            self._log.warn(log_lines.ODD_LAST_SEEN, count=sweep.odd, device=row.uuid, last_seen=row.last_seen or "NULL")
        if (row := sweep.first_altered) is not None and self._is_time_for(log_lines.LAST_SEEN_ALTERED):
            self._log.warn(
                log_lines.LAST_SEEN_ALTERED, count=sweep.altered, device=row.uuid, last_seen=row.last_seen or "NULL"
            )
        if sweep.first_refused is not None and self._is_time_for(log_lines.ROWS_NOT_SET):
            device, reason = sweep.first_refused
            self._log.warn(log_lines.ROWS_NOT_SET, count=sweep.refused, device=device, reason=reason)

    def flapping(self) -> tuple[int, int]:
        """How many devices report so seldom that they go offline between two reports, and their usual interval, in s.

        Goes through all devices that are watched for that: for who asks once in a while.
        """
        return self._heard.regularity.flapping(self._timeout)

    def known(self, device: str) -> Known:
        """What is known of one device."""
        return self._heard.known(device)

    def listened_since(self, moment: float) -> float:
        """Seconds since a moment of the clock that is never set in which somebody listened, as far as remembered."""
        return self._listened.listened_since(moment)

    def _is_time_for(self, line: str) -> bool:
        """Whether a line may be said that each sweep would have reason to say."""
        now = self._clock.seconds()
        if now - self._told_at.get(line, -LINE_INTERVAL) < LINE_INTERVAL:
            return False
        self._told_at[line] = now
        return True

    def _tell_failure(self, reason: str) -> None:
        """Say once why sweeps fail, where somebody should know; the next one is tried all the same."""
        if reason:
            self._counters.sweep_failures += 1
            if reason != self._last_failure:
                self._last_failure = reason
                self._log.warn(log_lines.SWEEP_FAILED, reason=reason)

    def _tell_evidence(self) -> None:
        """Once a day: what timeout the fleet's own intervals support."""
        self._sweeper.forget()  # rows come and go, and pieces shrink: cut the table anew
        evidence = self._heard.regularity.evidence(self._timeout)
        if evidence is None:
            return
        self._log.info(
            log_lines.REGULARITY,
            usual=evidence.usual,
            timeout=round(self._timeout),
            late=max(0, round(self._max_silence) - evidence.usual),
            intervals=evidence.intervals,
        )
        if evidence.flapping:
            self._log.warn(
                log_lines.FLAPPING,
                count=evidence.flapping,
                interval=evidence.flapping_interval,
                timeout=round(self._timeout),
            )
