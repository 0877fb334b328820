"""Two instances with one client id, by mistake: noticed, told, and kept out of each other's rows.

A broker gives the session to whoever connected last, and closes the connection that had it. On MQTT 5 it mostly says
so (0x8E); Mosquitto 2.0 and MQTT 3.1.1 do not, and there a ``Witness`` tells: a second connection of ours that lives on
when the first one is closed, so the broker did not go away.

Without a word to each other two instances agree by one rule: who has had the session for a while takes it back at once,
who has not lets it be and tries again a minute later, and ever more seldom. What one has not acknowledged goes to the
other with the session; so who lost it forgets that, and who got it waits a moment with the first write, in which what
the other has under way ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from ..telemetry import log_lines, reasons
from ..telemetry.outage import Outage
from ..telemetry.printable import shorten
from .connection import MqttConnection
from .reason_codes import SESSION_TAKEN_OVER
from .reconnect_delay import ReconnectDelay
from .witness import Witness

# s of a session, with gaps no longer than that, after which it is ours: a rival's are shorter, because we take it back.
STANDING = 30.0
# s before the first write in a session that was, or may have been, somebody else's until now; more than what a
# transaction should take, and than the first delay before a session is taken back.
SETTLING = 2.0
# s after which a broker that goes away has closed its other connections, too.
GOING_AWAY = 0.3


class Rivals:
    """What a subscriber tells of its sessions, and what follows for it and for who writes."""

    def __init__(self, witness: Witness | None, clock: IReactorTime) -> None:
        """:param witness: None: none but the broker's own word counts."""
        self._witness = witness
        self._clock = clock
        self._abandoned: Sequence[Callable[[], object]] = ()
        self._wake: Callable[[], None] = lambda: None
        self._since = self._lost_at = float("-inf")
        self._is_taken = False
        self._writes_from = float("inf")  # messages may come in the same read as CONNACK
        self._gives_way_until = float("-inf")
        self._waking: IDelayedCall | None = None

    def serve(self, *, abandoned: Sequence[Callable[[], object]], wake: Callable[[], None]) -> None:
        """Say who writes; to be called before the first connection.

        :param abandoned: called when somebody else has the session: they forget what is not acknowledged.
        :param wake: called when there may be something to write.
        """
        self._abandoned, self._wake = abandoned, wake

    def may_write(self) -> bool:
        """Whether what was received may be written yet."""
        return self._clock.seconds() >= self._writes_from

    @property
    def is_on_turn(self) -> bool:
        """Whether the session is ours to dial for, and not left to somebody else for now."""
        return self._clock.seconds() >= self._gives_way_until

    @property
    def has_standing(self) -> bool:
        """Whether the session was ours for long enough to be taken back."""
        return self._lost_at - self._since >= STANDING

    def began(self, *, is_present: bool, is_known: bool) -> None:
        """The broker has accepted a connection.

        :param is_present: whether it had kept a session. :param is_known: whether that was ours, as far as we know.
        """
        now = self._clock.seconds()
        if now - self._lost_at >= STANDING:
            self._since = now
        if is_present and (self._is_taken or not is_known):
            self._writes_from = now + SETTLING
            self._waking = self._clock.callLater(SETTLING, self._wake)
        elif not self.may_write():
            self._writes_from = float("-inf")
            self._wake()

    async def ended(self, connection: MqttConnection, *, was_subscribed: bool) -> bool:
        """The connection has ended; returns whether that is because somebody else has taken the session.

        :param was_subscribed: before that, a broker closes connections that ask for what they must not have.
        """
        now = self._lost_at = self._clock.seconds()
        was_settling = now < self._writes_from
        code = connection.disconnect_code
        is_taken = code == SESSION_TAKEN_OVER
        if code is None and connection.is_closed_by_peer and self._witness is not None:
            if was_subscribed and self._witness.sees_broker:
                await deferLater(self._clock, GOING_AWAY)
                is_taken = self._witness.sees_broker
            self._witness.watch(STANDING)
        if is_taken or was_settling:
            self._is_taken = True
            self._writes_from = float("inf")
            for told in self._abandoned:
                told()
        return is_taken

    def delay(self, delay: ReconnectDelay, outage: Outage, client_id: str, where: Mapping[str, Any]) -> float:
        """Tell that somebody else has taken the session; returns how many seconds to wait before it is dialled for.

        :param where: what log lines call the broker.
        """
        named = {"client_id": shorten(client_id), **where}
        if self.has_standing:
            outage.failed(log_lines.SESSION_TAKEN_BACK, reasons.SESSION_TAKEN, **named)
            return delay.backoff(0)
        seconds = delay.after_rival()
        self._gives_way_until = self._clock.seconds() + seconds
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
        if self._waking is not None and self._waking.active():
            self._waking.cancel()
        if self._witness is not None:
            self._witness.stop()
