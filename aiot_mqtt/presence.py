"""Who is offline: devices that were not heard for long enough while this service listened.

The sweep reads its candidates beside the writer and sets them offline through it, between two batches and only where
the row still says what the candidate said. So a device that is heard while its sweep runs is written before the sweep,
which then finds it alive, or after it, and then is online again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from . import log_lines
from .counters import Counters
from .listened_time import ListenedTime
from .regularity import Regularity
from .store import DeviceUpdate, PresenceStore, Silence, SilentDevice, StoreError
from .writer import Writer

OBSERVE_INTERVAL = 1.0  # s
CHUNK = 1000  # rows of one transaction
MOST_AGE = 5.0  # s that the oldest unacknowledged message may have waited while we still listen
FUTURE = 300.0  # s ahead of now that a last_seen may be
NAMES_SHOWN = 5
MOST_REMEMBERED = 100_000  # devices set offline whose return is counted; each costs about 100 bytes
DAY = 86400.0  # s


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
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param clock: monotonic.
        :param is_subscribed: whether every topic is granted now.
        :param window: how many messages may be unacknowledged at one time.
        :param timeout: seconds of silence, while we listened, after which a device is offline.
        :param check_interval: seconds between two sweeps.
        :param table_zone: the zone of the naive times in the table.
        :param wall_clock: seconds since the epoch; the one that writes ``last_seen``.
        """
        self._table = table
        self._writer = writer
        self._counters = counters
        self._clock = clock
        self._is_subscribed = is_subscribed
        self._window = window
        self._timeout = timeout
        self._table_zone = table_zone
        self._wall_clock = wall_clock
        self._listened = ListenedTime(timeout)
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
        writer.devices_heard = self.devices_heard

    def startService(self) -> None:
        """Begin to observe; the first sweep that can find anything comes after ``timeout`` seconds of listening."""
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
            and writer.unacknowledged < self._window() / 2
            and writer.oldest_age < MOST_AGE
            and writer.is_accepted
        )

    def devices_heard(self, updates: Sequence[DeviceUpdate]) -> None:
        """These were committed: learn from it, and count those that come back."""
        now = self._clock.seconds()
        heard = self._regularity.heard
        for update in updates:
            heard(update.uuid, now)
        if self._silent:
            returned = self._silent.intersection(update.uuid.lower() for update in updates if update.is_online)
            self._silent -= returned
            self._counters.came_back += len(returned)

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
        cutoff = self._listened.cutoff(self._timeout)
        if cutoff is None or not self.is_listening():
            return
        silence = Silence(self._table_time(cutoff), self._table_time(self._wall_clock() + FUTURE))
        after_id = 0
        offline: list[SilentDevice] = []
        while candidates := await self._table.find_silent(silence, after_id, CHUNK):
            if not self.is_listening():
                break
            after_id = candidates[-1].id
            offline += await self._set_offline(candidates, silence)
        self._last_failure = ""
        if offline:
            self._tell_sweep(offline, silence)

    async def _set_offline(self, candidates: list[SilentDevice], silence: Silence) -> list[SilentDevice]:
        """Set those offline that are still silent once everything pending now is written; returns them."""
        ids = [device.id for device in candidates]
        silent = await self._writer.between_batches(lambda: self._table.set_offline(ids, silence))
        offline = [device for device in candidates if device.id in silent]
        self._counters.went_silent += len(offline)
        room = MOST_REMEMBERED - len(self._silent)
        self._silent.update(device.uuid.lower() for device in offline[:room])
        return offline

    def _tell_sweep(self, offline: list[SilentDevice], silence: Silence) -> None:
        for device in offline:
            self._log.debug(log_lines.DEVICE_OFFLINE, device=device.uuid, last_seen=device.last_seen or "NULL")
        names = ", ".join(device.uuid for device in offline[:NAMES_SHOWN])
        more = "…" if len(offline) > NAMES_SHOWN else ""
        self._log.info(log_lines.DEVICES_OFFLINE, count=len(offline), devices=names + more, cutoff=silence.cutoff)
        odd = [device for device in offline if device.last_seen is None or device.last_seen > silence.future]
        if odd:
            self._counters.odd_last_seen += len(odd)
            self._log.warn(
                log_lines.ODD_LAST_SEEN, count=len(odd), device=odd[0].uuid, last_seen=odd[0].last_seen or "NULL"
            )

    def _tell_failure(self, failure: Failure) -> None:
        """Say once why sweeps fail; the next one is tried all the same."""
        failure.trap(StoreError)
        reason = failure.getErrorMessage()
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
            late=max(0, round(self._timeout) - evidence.usual),
            intervals=evidence.intervals,
        )
        if evidence.flapping:
            self._log.warn(
                log_lines.FLAPPING,
                count=evidence.flapping,
                interval=evidence.flapping_interval,
                timeout=round(self._timeout),
            )

    def _table_time(self, wall: float) -> str:
        """As the writer's times are made: in the table's zone, whole seconds, truncated."""
        return datetime.fromtimestamp(int(wall), self._table_zone).strftime("%Y-%m-%d %H:%M:%S")
