"""Asks the broker every second whether it is there, and knows what its answers prove."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..telemetry import log_lines, reasons

# s. Far more often than keep-alive asks for: who counts silence against devices must know within seconds whether the
# broker is there, and a PINGREQ costs two bytes.
PING_INTERVAL = 1.0
HEARD_LATELY = 3.0  # s
# s without a PINGREQ after which this process cannot have run: it was frozen, or something held it up.
UNATTENDED = 3.0


class KeepAlive:
    """Of one connection. A broker answers PINGREQ packets in order, and none once somebody else has the session."""

    _log = Logger()

    def __init__(
        self, seconds: float, clock: IReactorTime, *, ping: Callable[[float], None], give_up: Callable[[str], None]
    ) -> None:
        """
        :param seconds: the keep-alive period.
        :param ping: sends a PINGREQ; called with the time.
        :param give_up: called with the reason where the broker was silent for one and a half periods.
        """
        self._seconds = seconds
        self._clock = clock
        self._ping, self._give_up = ping, give_up
        self._asking = LoopingCall(self._ask)
        self._asking.clock = clock
        self._heard_at = 0.0
        self._is_deaf = False
        self._sent_at = self._answered_at = float("-inf")
        self._sent: deque[float] = deque()  # those that are not answered
        self._answered = 0
        self._doubt: int | None = None  # which of them must be answered
        self._waiting: deque[tuple[int, Deferred[bool]]] = deque()

    @property
    def silent_for(self) -> float:
        """Seconds since something came."""
        return self._clock.seconds() - self._heard_at

    @property
    def is_silent(self) -> bool:
        """Whether nothing came for a while although it would have been read: the broker is frozen, or the way to it."""
        return not self._is_deaf and self.silent_for >= HEARD_LATELY

    @property
    def ours_at(self) -> float:
        """The last moment at which the broker took this connection for its client's, as far as was looked.

        That is when the last PINGREQ was sent; but after a time without any, or in which nothing came, until one that
        was sent since is answered, when the last one was sent that is. (Answers come behind messages: to wait for each
        would take too long.) And while nothing comes, when something last did: the end of it would not come, either.
        """
        if self._doubt is not None:
            return self._answered_at
        return self._heard_at if self.is_silent else self._sent_at

    def heard(self, now: float) -> None:
        """Something came. After a silence it may have been sent before that, and so proves nothing of now."""
        if now - self._heard_at >= HEARD_LATELY and self._sent and not self._is_deaf:
            self._doubt = self._answered + len(self._sent)
        self._heard_at = now

    def listen(self, does: bool) -> None:
        """Whether what comes is read; while it is not, silence is no sign."""
        if does:
            self._heard_at = self._clock.seconds()
        self._is_deaf = not does

    def start(self, seconds: float) -> None:
        """CONNACK came, which is as good as an answer: begin to ask. :param seconds: the broker's period; 0: ours."""
        self._seconds = seconds or self._seconds  # 0 would mean none; ours does no harm then
        self._sent_at = self._answered_at = self._heard_at
        asking = self._asking.start(min(PING_INTERVAL, self._seconds / 2), now=False)
        asking.addErrback(self._failed)

    def stop(self) -> None:
        """The connection is gone."""
        if self._asking.running:
            self._asking.stop()
        while self._waiting:
            self._waiting.popleft()[1].callback(False)

    def ask_now(self) -> Deferred[bool]:
        """Ask at once; fires with True when that is answered, with False when the connection ends before."""
        self._send(self._clock.seconds())
        answered: Deferred[bool] = Deferred()
        self._waiting.append((self._answered + len(self._sent), answered))
        return answered

    def answered(self) -> None:
        """A PINGRESP came; one that nobody asked for says nothing."""
        if not self._sent:
            return
        self._answered_at = self._sent.popleft()
        self._answered += 1
        if self._doubt is not None and self._doubt <= self._answered:
            self._doubt = None
        while self._waiting and self._waiting[0][0] <= self._answered:
            self._waiting.popleft()[1].callback(True)

    def trust(self) -> None:
        """It is ours although no answer has come: there was time to read of its end."""
        self._doubt = None

    def _send(self, now: float) -> None:
        self._sent.append(now)
        if now - self._sent_at >= UNATTENDED:
            self._doubt = self._answered + len(self._sent)
        self._sent_at = now
        self._ping(now)

    def _ask(self) -> None:
        now = self._clock.seconds()
        silent = 0.0 if self._is_deaf else now - self._heard_at
        if silent >= 1.5 * self._seconds:
            self._give_up(reasons.BROKER_SILENT.fill(seconds=round(silent)))
        else:
            self._send(now)

    def _failed(self, failure: Failure) -> None:
        """A fault of ours, and nobody would notice a dead broker any more."""
        self._log.failure(log_lines.SUBSCRIBER_FAILED_UNEXPECTEDLY, failure)
        self._give_up(reasons.KEEP_ALIVE_FAILED)
