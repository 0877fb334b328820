"""Takes one moment of the service when it is asked for, and knows since when nothing came or nobody listened.

Once a second it looks whether the counters have moved: nothing is added to the way of a message.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..mqtt.broker_drops import BrokerDrops
from ..mqtt.keep_alive import HEARD_LATELY
from ..mqtt.subscriber import State as Subscribed
from ..mqtt.subscriber import Subscriber
from ..presence.monitor import PresenceMonitor
from ..spool.spooler import Spooler
from ..standby.standing import Standing
from ..table.contract import TableDescription
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.durations import duration
from ..telemetry.outage import Trouble
from ..telemetry.reasons import database as reasons
from ..telemetry.remembered import Remembered
from ..writing.writer import Writer
from .figures import BrokerFigures, DatabaseFigures, Figures, PresenceFigures, SpoolFigures
from .overload import OverloadWatch
from .room import Room
from .state import SILENCE

LOOK_INTERVAL = 1.0  # s
TAKEN_OVER_WITHIN = 600.0  # s
RIVALLED_WITHIN = 660.0  # s; a rival that waits comes back each ten minutes
MAX_UNANSWERED = 5.0  # s for what the table was sent; after as long the spool takes what waits
FLAPPING_EACH = 10.0  # s between two looks at how often devices report, which goes through all that are watched
RATE_LOOKS = 11  # looks, so ten seconds, that a rate is taken over
REMINDER = 86400.0  # s between two lines about a silence that lasts


class Watch(Service):
    """Watches the parts of the service; changes none."""

    _log = Logger()

    def __init__(
        self,
        *,
        subscriber: Subscriber,
        writer: Writer,
        spooler: Spooler | None,
        presence: PresenceMonitor | None,
        counters: Counters,
        clock: IReactorTime,
        addresses: tuple[str, str],
        room: Room,
        overload: OverloadWatch | None = None,
        drops: BrokerDrops | None = None,
        remembered: Remembered | None = None,
        standing: Standing | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param addresses: what the operator calls broker and database.
        :param room: told each second that it may look; so is ``overload``.
        :param presence: None where nobody is set offline.
        :param standing: None where there is one instance only.
        :param wall_clock: seconds since the epoch.
        """
        self._subscriber = subscriber
        self._writer = writer
        self._spooler = spooler
        self._counters = counters
        self._clock = clock
        self._broker, self._database = addresses
        self._presence = presence
        self._standing = standing
        self._drops = drops
        self._room = room
        self._overload = overload
        self._remembered = remembered or Remembered()
        self._came: deque[tuple[float, int]] = deque(maxlen=RATE_LOOKS)
        self._spool_since: float | None = None
        self._wall_clock = wall_clock
        self._started_at = self._listened_at = clock.seconds()
        self._is_table_seen = False
        self._received = 0
        self._came_at: float | None = None
        self._subscribed_at: float | None = None
        self._told_silence_at: float | None = None
        self._taken_over = self._rivals = 0
        self._rivalled_at = float("-inf")
        self._taken_over_at: deque[float] = deque(maxlen=1000)
        self._flapping, self._flapping_at = (0, 0), float("-inf")
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._started_at = self._listened_at = self._clock.seconds()
        self._looking.start(LOOK_INTERVAL)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def table_described(self, _description: TableDescription) -> None:
        """The table was looked at (a ``TableListener``)."""
        self._is_table_seen = True

    def figures(self) -> Figures:
        """This moment."""
        self._look()
        now = self._clock.seconds()
        subscriber, writer, spooler = self._subscriber, self._writer, self._spooler
        came_at = self._came_at
        broker = BrokerFigures(
            self._broker,
            is_subscribed=subscriber.state is Subscribed.SUBSCRIBED,
            is_heard=subscriber.silent_for < HEARD_LATELY,
            trouble=subscriber.outage.trouble,
            window=subscriber.window,
            unacknowledged=writer.unacknowledged,
            oldest_unacknowledged=writer.oldest_age,
            silent_for=self._silence(now),
            last_message_at=0.0 if came_at is None else self._wall_clock() - (now - came_at),
            rate=self._rate(now),
            dropped=None if self._drops is None else self._drops.dropped,
            sessions_lost=subscriber.tally.sessions_lost,
            taken_over=sum(now - at < TAKEN_OVER_WITHIN for at in self._taken_over_at),
            is_rivalled=now - self._rivalled_at < RIVALLED_WITHIN,
        )
        spool = SpoolFigures()
        if spooler is not None:
            spool = SpoolFigures(
                True,
                spooler.trouble,
                spooler.devices,
                spooler.deliveries,
                self._spool_since or None,
                self._room.outlook(),
            )
        return Figures(
            time=self._wall_clock(),
            uptime=now - self._started_at,
            broker=broker,
            database=DatabaseFigures(
                self._database,
                self._is_table_seen,
                database_trouble(writer),
                None if self._overload is None else self._overload.current,
                writer.chunks.size.quickest,
            ),
            spool=spool,
            presence=PresenceFigures(
                self._presence is not None,
                self._listened_at == now,
                now - self._listened_at,
                self._devices_flapping(now),
                is_judging=self._presence is not None and self._presence.is_judging(),
            ),
            counters=self._counters,
            unknown_uuids=self._remembered.strangers(now),
            pending=writer.deliveries - writer.spooled,
            standby=None if self._standing is None else self._standing.told(),
        )

    def _silence(self, now: float) -> float | None:
        if self._subscribed_at is None:
            return None
        return now - max(self._subscribed_at, self._came_at or 0.0)

    def _rate(self, now: float) -> float:
        """Messages a second, by the looks of the last ten seconds."""
        if not self._came or now <= self._came[0][0]:
            return 0.0
        return (self._counters.received - self._came[0][1]) / (now - self._came[0][0])

    def _devices_flapping(self, now: float) -> tuple[int, int]:
        if self._presence is not None and now - self._flapping_at >= FLAPPING_EACH:
            self._flapping, self._flapping_at = self._presence.flapping(), now
        return self._flapping

    def _look(self) -> None:
        now = self._clock.seconds()
        if not self._came or now - self._came[-1][0] >= LOOK_INTERVAL / 2:
            self._came.append((now, self._counters.received))
        if self._spooler is not None and self._spooler.devices:
            if self._spool_since is None:  # 0: it held something when we began to look
                self._spool_since = self._wall_clock() if now - self._started_at > 2 * LOOK_INTERVAL else 0.0
        else:
            self._spool_since = None
        if self._overload is not None:
            self._overload.look()
        self._room.look(can_count=self._is_table_seen and self._writer.outage.trouble is None)
        if self._counters.received != self._received:
            self._received, self._came_at, self._told_silence_at = self._counters.received, now, None
        while self._taken_over < self._subscriber.tally.taken_over:
            self._taken_over += 1
            self._taken_over_at.append(now)
        if self._subscriber.tally.rivals != self._rivals:
            self._rivals, self._rivalled_at = self._subscriber.tally.rivals, now
        if self._subscriber.state is not Subscribed.SUBSCRIBED:
            self._subscribed_at = None
        elif self._subscribed_at is None:
            self._subscribed_at = now
        if self._presence is not None and self._presence.is_listening():
            self._listened_at = now
        silence = self._silence(now)
        told = self._told_silence_at
        if silence is not None and silence >= SILENCE and (told is None or now - told >= REMINDER):
            self._told_silence_at = now
            self._log.warn(log_lines.NO_MESSAGES, lasts=duration(silence))


def database_trouble(writer: Writer) -> Trouble | None:
    """What is the matter with the database: what the last attempt met, or that this one has no answer for long.

    An attempt is given up after tens of seconds only, and "the database answers" would be untrue until then.
    """
    silent_for = writer.chunks.unanswered_for
    if writer.outage.trouble is None and silent_for >= MAX_UNANSWERED:
        return Trouble(reasons.NO_ANSWER_YET, silent_for)
    return writer.outage.trouble
