"""Who is offline: devices that were not heard for long enough while this service listened.

The sweep reads its candidates beside the writer and sets them offline through it, between two batches and only where
the row still says what the candidate said. So a device that is heard while its sweep runs is written before the sweep,
which then finds it alive, or after it, and then is online again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import partial

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..devices.update import DeviceUpdate, table_time
from ..table.contract import PresenceStore, Silence, SilentDevice, StoreConflict, StoreError, StoreRefused
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..writing.writer import Writer
from .listened_time import ListenedTime
from .regularity import Regularity

OBSERVE_INTERVAL = 1.0  # s
CHUNK = 1000  # rows of one transaction
MOST_AGE = 5.0  # s that the oldest unacknowledged message may have waited while we still listen
FUTURE = 300.0  # s ahead of now that a last_seen may be
NAMES_SHOWN = 5
MOST_REMEMBERED = 100_000  # devices set offline whose return is counted; each costs about 100 bytes
DAY = 86400.0  # s


@dataclass(slots=True)
class _Sweep:
    """What one sweep did, for its line in the log."""

    count: int = 0
    names: list[str] = field(default_factory=list)
    odd: int = 0
    first_odd: SilentDevice | None = None


class PresenceMonitor(Service):
    """Sets silent devices offline, and learns what timeout the fleet's own intervals support."""

    _log = Logger()

    def __init__(
        self,
        table: PresenceStore,
        writer: Writer,
        counters: Counters,
        clock: IReactorTime,
        *,
        is_subscribed: Callable[[], bool],
        window: Callable[[], int],
        timeout: float,
        check_interval: float,
        table_zone: tzinfo,
        resolution: float = 0,
        wall_clock: Callable[[], float] = time.time,
        log_devices: bool = False,
    ) -> None:
        """
        :param clock: monotonic.
        :param is_subscribed: whether every topic is granted now, and the broker holds no message back.
        :param window: how many messages may be unacknowledged at one time.
        :param timeout: seconds of silence, while we listened, after which a device is offline.
        :param check_interval: seconds between two sweeps.
        :param table_zone: the zone of the naive times in the table.
        :param resolution: seconds by which a ``last_seen`` in the table may be older than what was heard.
        :param wall_clock: seconds since the epoch; the one that writes ``last_seen``.
        :param log_devices: log each device at DEBUG; a call to a logger that then drops it costs 5 µs.
        """
        self._table = table
        self._writer = writer
        self._counters = counters
        self._clock = clock
        self._is_subscribed = is_subscribed
        self._window = window
        self._timeout = timeout
        self._most_silence = timeout + resolution  # by the table: whoever is over it was silent for the timeout
        self._table_zone = table_zone
        self._wall_clock = wall_clock
        self._log_devices = log_devices
        self._listened = ListenedTime(self._most_silence)
        self._was_listening = False
        self._regularity = Regularity()
        self._silent: set[str] = set()
        self._sweeping: Deferred[None] | None = None
        self._last_failure = ""
        self._loops = [
            (LoopingCall(self._observe), OBSERVE_INTERVAL),
            (LoopingCall(self._sweep), check_interval),
            (LoopingCall(self._tell_evidence), DAY),
        ]
        writer.add_listener(self)
        self.goes_offline: Callable[[str], None] = lambda _device: None
        """Called with each device whose row a sweep is about to set."""

    def startService(self) -> None:
        """Begin to observe; the first sweep that can find anything comes after ``timeout`` seconds of listening,
        and ``resolution`` more.
        """
        super().startService()
        self._listened.forget()
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

    def is_listening(self) -> bool:
        """Whether a device that reports now would be heard, and seen in the table, at once."""
        writer = self._writer
        return (
            self._is_subscribed()
            and writer.unacknowledged < max(CHUNK, self._window() / 2)
            and writer.oldest_age < MOST_AGE
            and writer.is_accepted
        )

    def rows_committed(self, updates: Sequence[DeviceUpdate]) -> None:
        """These were committed: learn from it, and count those that come back."""
        now = self._clock.seconds()
        heard = self._regularity.heard
        for update in updates:
            heard(update.uuid, now)
        if self._silent:
            returned = self._silent.intersection(update.uuid.lower() for update in updates if update.is_online)
            self._silent -= returned
            self._counters.came_back += len(returned)

    def heard_unchanged(self, device: str) -> None:
        """This one was heard, and its row need not change: learn from it."""
        self._regularity.heard(device, self._clock.seconds())

    def session_lost(self) -> None:
        """What was published while we were away is lost: silence before and after that cannot be added up."""
        self._listened.forget()

    def _observe(self) -> None:
        listening = self.is_listening()
        self._listened.observe(self._clock.seconds(), self._wall_clock(), listening)
        if self._was_listening and not listening:
            self._regularity.interrupted()
        self._was_listening = listening

    def _sweep(self) -> Deferred[None]:
        """One sweep; never fails, because a LoopingCall ends for good when its call does."""
        self._sweeping = Deferred.fromCoroutine(self._set_silent_offline())

        def failed(failure: Failure) -> None:
            self._log.failure(log_lines.SWEEP_FAILED_UNEXPECTEDLY, failure)

        def ended(_result: object) -> None:
            self._sweeping = None

        sweeping = self._sweeping
        sweeping.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        sweeping.addErrback(self._tell_failure).addErrback(failed).addBoth(ended)
        return sweeping

    async def _set_silent_offline(self) -> None:
        self._observe()
        cutoff = self._listened.cutoff(self._most_silence)
        if cutoff is None or not self.is_listening():
            return
        silence = Silence(
            table_time(cutoff, self._table_zone), table_time(self._wall_clock() + FUTURE, self._table_zone)
        )
        after_id = 0
        sweep = _Sweep()
        try:
            while candidates := await self._table.find_silent(silence, after_id, CHUNK):
                if not self.is_listening():
                    break
                after_id = candidates[-1].id
                await self._set_offline(candidates, silence, sweep)
            self._last_failure = ""
        finally:
            self._tell_sweep(sweep, silence)

    async def _set_offline(self, candidates: list[SilentDevice], silence: Silence, sweep: _Sweep) -> None:
        """Set those offline that are still silent once everything pending now is written.

        A row that the table refuses, or that somebody holds locked, is left alone, and only that one.
        """
        todo = [candidates]  # a stack, the first part on top
        while todo:
            part = todo.pop()
            try:
                silent = await self._writer.between_batches(partial(self._set_rows_offline, part, silence))
            except (StoreRefused, StoreConflict) as error:
                if len(part) > 1:
                    half = len(part) // 2
                    todo += [part[half:], part[:half]]
                    continue
                self._counters.sweep_failures += 1
                self._tell_reason(f"{part[0].uuid}: {error}")
            else:
                self._note([device for device in part if device.id in silent], silence, sweep)

    def _set_rows_offline(self, devices: list[SilentDevice], silence: Silence) -> Deferred[frozenset[int]]:
        for device in devices:
            self.goes_offline(device.uuid.lower())
        return self._table.set_offline([device.id for device in devices], silence)

    def _note(self, offline: list[SilentDevice], silence: Silence, sweep: _Sweep) -> None:
        self._counters.went_silent += len(offline)
        sweep.count += len(offline)
        sweep.names += [device.uuid for device in offline[: NAMES_SHOWN - len(sweep.names)]]
        odd = [device for device in offline if device.last_seen is None or device.last_seen > silence.future]
        self._counters.odd_last_seen += len(odd)
        sweep.odd += len(odd)
        sweep.first_odd = sweep.first_odd or (odd[0] if odd else None)
        room = MOST_REMEMBERED - len(self._silent)
        self._silent.update(device.uuid.lower() for device in offline[:room])
        if self._log_devices:
            for device in offline:
                self._log.debug(log_lines.DEVICE_OFFLINE, device=device.uuid, last_seen=device.last_seen or "NULL")

    def _tell_sweep(self, sweep: _Sweep, silence: Silence) -> None:
        if sweep.count:
            names = ", ".join(sweep.names) + ("…" if sweep.count > len(sweep.names) else "")
            self._log.info(log_lines.DEVICES_OFFLINE, count=sweep.count, devices=names, cutoff=silence.cutoff)
        if sweep.first_odd is not None:
            first = sweep.first_odd
            self._log.warn(
                log_lines.ODD_LAST_SEEN, count=sweep.odd, device=first.uuid, last_seen=first.last_seen or "NULL"
            )

    def _tell_failure(self, failure: Failure) -> None:
        """Say once why sweeps fail; the next one is tried all the same."""
        failure.trap(StoreError)
        self._counters.sweep_failures += 1
        self._tell_reason(failure.getErrorMessage())

    def _tell_reason(self, reason: str) -> None:
        if reason != self._last_failure:
            self._last_failure = reason
            self._log.warn(log_lines.SWEEP_FAILED, reason=reason)

    def _tell_evidence(self) -> None:
        """Once a day: what timeout the fleet's own intervals support."""
        evidence = self._regularity.evidence(self._timeout)
        if evidence is None:
            return
        self._log.info(
            log_lines.REGULARITY,
            usual=evidence.usual,
            timeout=round(self._timeout),
            late=max(0, round(self._most_silence) - evidence.usual),
            intervals=evidence.intervals,
        )
        if evidence.flapping:
            self._log.warn(
                log_lines.FLAPPING,
                count=evidence.flapping,
                interval=evidence.flapping_interval,
                timeout=round(self._timeout),
            )
