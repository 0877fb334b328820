"""Looks each second whether the parts of the service make progress: what ``/healthz`` says, and systemd's watchdog."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..mqtt.subscriber import State as Subscribed
from ..mqtt.subscriber import Subscriber
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..writing.data_path import State as DataPath
from ..writing.writer import Writer
from .progress import MAX_ATTEMPT, Part, Progress, Stalled

LOOK_INTERVAL = 1.0  # s
SWEEPS_MISSED = 3


class Pace(Service):
    """Watches what the parts do; changes none."""

    _log = Logger()

    def __init__(
        self,
        subscriber: Subscriber,
        writer: Writer,
        counters: Counters,
        clock: IReactorTime,
        *,
        check_interval: float | None,
        is_on_turn: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        :param check_interval: seconds between two sweeps; None: there are none.
        :param is_on_turn: whether it is this instance's turn to dial the broker, where there are several.
        """
        self._is_on_turn = is_on_turn
        self._subscriber = subscriber
        self._writer = writer
        self._counters = counters
        self._clock = clock
        self._check_interval = check_interval
        self._progress = Progress(clock.seconds())
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._progress = Progress(self._clock.seconds())
        self._looking.start(LOOK_INTERVAL)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def stalled(self) -> tuple[Stalled, ...]:
        """What makes no progress, so that a new process would be better; empty as long as all is well, and while the
        service stops, which has a deadline of its own.
        """
        return self._progress.stalled(self._clock.seconds()) if self.running else ()

    def _look(self) -> None:
        now = self._clock.seconds()
        self._progress.turned(now)
        try:
            self._progress.note(self._parts(), now)
        except Exception:  # a fault in what only looks must not have the process ended
            self._log.failure(log_lines.PROGRESS_FAILED_UNEXPECTEDLY)

    def _parts(self) -> Iterator[Part]:
        subscriber, writer, counters = self._subscriber, self._writer, self._counters
        state, retries = writer.state, counters.retries
        # With a connection it is that one's keep-alive, which has its own deadline. Before the disk is known, it waits
        # for that.
        has_connection = subscriber.state in (Subscribed.SUBSCRIBING, Subscribed.SUBSCRIBED)
        is_known = state in (DataPath.DIRECT, DataPath.EMPTYING)
        has_to_dial = is_known and not has_connection and self._is_on_turn()
        yield Part("subscriber", has_to_dial, subscriber.outage.failures)
        is_at_disk = state in (DataPath.LOOKING, DataPath.SAVING)
        yield Part("spool", is_at_disk, (state, writer.spooled, retries["spool"]))
        # Not what the spool takes meanwhile, nor what is superseded or refused while it is received.
        has_rows = state is not DataPath.LOOKING and (state is not DataPath.DIRECT or bool(writer.unacknowledged))
        settled = (counters.stored, counters.refused["unknown_device"], counters.refused["refused_by_database"])
        sign = (settled, counters.batch_rows.total(), retries.total() - retries["spool"])
        yield Part("writer", has_rows, sign)
        if self._check_interval is not None:
            max_time = max(MAX_ATTEMPT, SWEEPS_MISSED * self._check_interval) + self._check_interval
            yield Part("sweep", writer.is_accepted, counters.sweeps.total(), max_time)
