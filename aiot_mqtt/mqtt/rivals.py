"""Two instances with one client id, by mistake: noticed, told, and kept out of each other's rows.

A broker gives the session to whoever connected last, and closes the connection that had it. On MQTT 5 it mostly says
so (0x8E); Mosquitto 2.0 and MQTT 3.1.1 do not, and there a ``Witness`` tells: a second connection of ours that lives on
when the first one is closed, so the broker did not go away.

Without a word to each other two instances agree by one rule: who has had the session for a while takes it back at once,
who has not lets it be and tries again a minute later, and ever more seldom.

What one has not acknowledged goes to the other with the session. So that no row moves back, who writes has a ``Lease``,
and whoever gets a session that somebody else may have had waits for longer than that before the first write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from ..telemetry import log_lines, reasons
from ..telemetry.outage import Outage
from ..telemetry.printable import shorten
from .connection import MqttConnection
from .keep_alive import UNATTENDED
from .lease import Lease
from .reason_codes import SESSION_TAKEN_OVER
from .reconnect_delay import ReconnectDelay
from .witness import Witness

# s of a session, with gaps no longer than that, after which it is ours: a rival's are shorter, because we take it back.
STANDING = 30.0
# s of a session that was taken back, before the end of which somebody else with standing has taken it back, too: as
# where one of us was frozen for about as long as standing takes. Then who has lost it first lets it be.
CONTESTED = 5.0
# s before the first write in a session that was, or may have been, somebody else's until now: ``UNATTENDED``, and two
# more for the way of a COMMIT. More than the first delay before a session is taken back, so who had it until then knows
# that nobody else has written.
SETTLING = 5.0
# Sessions in a row that ended before that, without a rival's being seen, after which a network that keeps breaking
# connections is taken for what it is.
MAX_CUT_SHORT = 3
# s after which a broker that goes away has closed its other connections, too.
GOING_AWAY = 0.3


class State(Enum):
    """Whose what was received is."""

    UNKNOWN = auto()
    """There is no connection, and it is being looked at, or left to the next one: nothing is written."""
    SETTLING = auto()
    """Ours, once what a rival may have under way has ended."""
    OURS = auto()
    LOST = auto()
    """A rival's."""


class Keeper(Protocol):
    """Who keeps what was received and is not acknowledged, and writes it."""

    def set_aside(self) -> None:
        """Write nothing of it; ``release`` or ``abandon`` follows."""
        ...

    def release(self, *, is_ours: bool) -> None:
        """Write what was set aside, or forget it."""
        ...

    def abandon(self) -> None:
        """The broker sends it to somebody else, who may have written newer already than what is on disk."""
        ...

    def wake(self) -> None:
        """There may be something to write."""
        ...


class Rivals:
    """What a subscriber tells of its sessions, and what follows for it and for who writes."""

    def __init__(self, witness: Witness | None, reactor: Any) -> None:
        """
        :param witness: None: none but the broker's own word counts.
        :param reactor: an ``IReactorTime`` and ``IReactorFromThreads``.
        """
        self._witness = witness
        self._reactor = reactor
        self._keeper: Keeper | None = None
        self._doubted: Sequence[Callable[[], object]] = ()
        self._lease = Lease(reactor)
        self._state = State.UNKNOWN  # messages may come in the same read as CONNACK
        self._was_connected = self._was_writing = False
        self._cut_short = 0  # sessions in a row
        self._has_taken_back = False
        self._since = self._began_at = self._lost_at = float("-inf")
        self._gives_way_until = float("-inf")
        self._settling: IDelayedCall | None = None

    def serve(self, keeper: Keeper, *, doubted: Sequence[Callable[[], object]] = ()) -> None:
        """Say who writes; to be called before the first connection.

        :param doubted: called when somebody else may have written.
        """
        self._keeper, self._doubted = keeper, doubted

    def may_write(self) -> bool:
        """Whether what was received may be written yet."""
        return self._state is State.OURS

    def may_save(self) -> bool:
        """Whether it may be kept on disk yet; where that is not known, look again."""
        return self.may_write() and self._lease.is_held()

    def prover(self) -> Callable[[], bool] | None:
        """See ``Lease.prover``."""
        return self._lease.prover()

    @property
    def is_on_turn(self) -> bool:
        """Whether the session is ours to dial for, and not left to somebody else for now."""
        return bool(self._reactor.seconds() >= self._gives_way_until)

    @property
    def has_standing(self) -> bool:
        """Whether the session was ours for long enough to be taken back."""
        return self._lost_at - self._since >= STANDING

    def began(self, connection: MqttConnection, *, is_present: bool, is_known: bool) -> None:
        """The broker has accepted a connection.

        :param is_present: whether it had kept a session. :param is_known: whether that was ours, as far as we know.
        """
        now = self._began_at = self._reactor.seconds()
        self._lease.began(connection)
        self._cancel_settling()  # of one whose end was not told, for a fault of ours
        if now - self._lost_at >= STANDING:
            self._since = now
        if is_present:
            self._served.release(is_ours=False)  # the broker sends it again
        is_continued = self._was_writing and now - self._lost_at < SETTLING
        is_doubtful = (self._was_connected and not is_continued) or not is_known
        if is_present and is_doubtful and self._cut_short < MAX_CUT_SHORT:
            for told in self._doubted:
                told()
            self._state = State.SETTLING
            self._settling = self._reactor.callLater(SETTLING, self._becomes_ours)
        else:
            self._becomes_ours()
        self._was_connected = True

    async def ended(self, connection: MqttConnection, *, was_subscribed: bool) -> bool:
        """The connection has ended; returns whether that is because somebody else has taken the session.

        :param was_subscribed: before that, a broker closes connections that ask for what they must not have.
        """
        now = self._reactor.seconds()
        # One that was frozen had it only until then.
        self._lost_at = max(self._began_at, min(now, connection.ours_at))
        self._lease.ended()
        if now - self._began_at >= CONTESTED:
            self._has_taken_back = False
        if now - self._began_at >= SETTLING:
            self._cut_short = 0
        elif self._state is State.SETTLING:
            self._cut_short += 1
        self._cancel_settling()
        code, self._was_writing = connection.disconnect_code, self._state is State.OURS
        is_taken = code == SESSION_TAKEN_OVER
        witness = self._witness if code is None and connection.is_closed_by_peer else None
        # So long ago that somebody else may have it since, and whatever has ended the connection says nothing of that.
        is_old = now - self._lost_at >= UNATTENDED
        if witness is not None or is_old:
            self._state = State.UNKNOWN
        if self._state is not State.OURS:
            self._served.set_aside()
        if witness is not None:
            if was_subscribed and witness.sees_broker:
                await deferLater(self._reactor, GOING_AWAY)
                is_taken = witness.sees_broker
            seen = witness.watch(STANDING)
            if self._was_writing and not is_taken and not is_old:
                seen.addCallback(self._looked)
        if is_taken:
            self._cut_short = 0
            self._state = State.LOST
            self._served.abandon()
        return is_taken

    def _looked(self, is_there: bool) -> None:
        """Where the broker is away, nobody else writes, and it may have lost what we have: write that."""
        if not is_there and self._state is State.UNKNOWN:
            self._becomes_ours()

    def _becomes_ours(self) -> None:
        if self._state is not State.OURS:
            self._state = State.OURS
            self._served.release(is_ours=True)
            self._served.wake()

    @property
    def _served(self) -> Keeper:
        assert self._keeper is not None, "serve comes first"
        return self._keeper

    def _cancel_settling(self) -> None:
        if self._settling is not None and self._settling.active():
            self._settling.cancel()

    def delay(self, delay: ReconnectDelay, outage: Outage, client_id: str, where: Mapping[str, Any]) -> float:
        """Tell that somebody else has taken the session; returns how many seconds to wait before it is dialled for.

        :param where: what log lines call the broker.
        """
        named = {"client_id": shorten(client_id), **where}
        if self.has_standing and not self._has_taken_back:
            self._has_taken_back = True
            outage.failed(log_lines.SESSION_TAKEN_BACK, reasons.SESSION_TAKEN, **named)
            return delay.backoff(0)
        seconds = delay.after_rival()
        self._gives_way_until = self._reactor.seconds() + seconds
        outage.failed(
            log_lines.SESSION_LEFT,
            reasons.SESSION_TAKEN,
            still_down=log_lines.SESSION_LEFT_STILL,
            **named,
            seconds=round(seconds),
        )
        return seconds

    def stop(self) -> None:
        """Look no more, and wake nobody."""
        self._cancel_settling()
        if self._witness is not None:
            self._witness.stop()
