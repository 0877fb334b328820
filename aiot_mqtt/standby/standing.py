"""Whether this instance is the one that writes: watches, takes the session, holds it, and lets it go.

What makes that safe is the ``Proof``, and not the times here: these decide only how soon somebody takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ..mqtt.options import Will
from ..mqtt.receiver import SessionConnection
from ..telemetry import log_lines
from ..telemetry.reasons import standby as reasons
from .beat import Beat, Kind, encode
from .observer import Observer
from .proof import Proof
from .role import Event, Role, RoleEvents, Roles
from .sight import BEAT_INTERVAL, PATIENCE, Sight, Why
from .told import WORDS, Told

TICK = 0.1  # s
# s after the connection before the first write, where another one may have had the session until then. Nothing rests on
# it with a broker that is one process; one of several nodes may close the other connection a moment later.
SETTLING = 1.0
# s that times of receipt are ahead of the clock at first, so that they come after those of the instance before, whose
# clock may be ahead of ours by nearly as much.
AHEAD = 2.0
UNHEARD_UNTOLD = 5.0  # s for what we say to come back, before that is told


class Standing(Service):
    """Decides when the subscriber may dial, and what may be written."""

    _log = Logger()

    def __init__(
        self,
        *,
        name: str,
        run: str,
        topic: str,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        observer: Callable[[Callable[[Beat, bool], None], Callable[[bool], None]], Observer],
        in_reactor: Callable[[Callable[[], None]], None],
        jitter: float = 0.0,
    ) -> None:
        """
        :param name: what the operator calls this instance.
        :param run: what no other run of any instance is called.
        :param observer: makes the observer, from who is told what it sees and whether it looks on.
        :param in_reactor: has something called in the reactor's thread, from any.
        :param jitter: see ``Sight``.
        """
        self._name = name
        self._run = run
        self._topic = topic
        self._clock = clock
        self._wall_clock = wall_clock
        self._sight = Sight(run, jitter)
        self._observer = observer(self._seen, self._looks)
        self._roles = Roles()
        self.proof = Proof(lambda: in_reactor(self._beat))
        self._abandoned: Sequence[Callable[[], object]] = ()
        self._wake: Callable[[], None] = lambda: None
        self._connection: SessionConnection | None = None
        self._dialling: Deferred[None] | None = None
        self._said = 0
        self._said_at = self._came_back_at = float("-inf")
        self._is_ours_at, self._settles = float("inf"), 0.0
        self._stamps_from = float("-inf")
        self._began_at = self._changed_at = self._looks_at = 0.0
        self._yielded_to: str | None = None
        self._told_claim: tuple[Why, str | None] | None = None
        self._is_unheard = self._should_be_kept = self._is_same_name_told = False
        self._ticking = LoopingCall(self._guarded_tick)
        self._ticking.clock = clock

    def serve(self, *, abandoned: Sequence[Callable[[], object]], wake: Callable[[], None]) -> None:
        """Say who writes; to be called before the service starts.

        :param abandoned: called when somebody else has, or may have, the session: they forget what is not acknowledged.
        :param wake: called when there may be something to write.
        """
        self._abandoned, self._wake = abandoned, wake

    # For whoever asks.

    def will(self) -> Will:
        """What the broker says for us when our connection to the session breaks."""
        return Will(self._topic, self._encoded(Kind.GONE))

    @property
    def is_on_turn(self) -> bool:
        """Whether it has, or dials for, the session."""
        return self._roles.now is not Role.WATCHING

    def may_write(self) -> bool:
        """Whether the session is ours, as far as we know."""
        return self._connection is not None and self._clock.seconds() >= self._is_ours_at

    def stamps(self) -> float:
        """The time of receipt, in seconds since the epoch."""
        return max(self._wall_clock(), self._stamps_from)

    def told(self) -> Told:
        """This moment."""
        now, other, role = self._clock.seconds(), self._sight.other, self._roles.now
        active = self._name if role is Role.ACTIVE else None
        if active is None and other is not None and other.left is None:
            active = other.name
        trouble = self._observer.trouble
        if trouble is None and self._is_unheard:
            trouble = reasons.NOT_HEARD
        since, alone = now - self._changed_at, self._sight.alone_for(now, self._changed_at)
        return Told(self._name, role, active, tuple(self._sight.standbys(now)), since, alone, trouble)

    # The service.

    def startService(self) -> None:
        """Begin to look on."""
        super().startService()
        self._roles = Roles()
        self._changed_at = self._clock.seconds()
        self._abandon()  # what is on disk is of another run
        self._observer.startService()
        self._ticking.start(TICK, now=False)

    def stopService(self) -> None:
        """Say that the session is let go, and look on no more; the writer has ended, and the subscriber has not."""
        super().stopService()
        if self._ticking.running:
            self._ticking.stop()
        connection, was_ours = self._connection, self._roles.now is Role.ACTIVE
        if self._roles.now is not Role.RELEASED:
            self._happens(RoleEvents.released)
        self.proof.disconnected()
        if connection is not None and was_ours:
            connection.publish(self._topic.encode(), self._encoded(Kind.RELEASED), retain=True)
            self._log.info(log_lines.STANDBY_RELEASED, name=self._name)
        self._observer.stopService()

    # What the subscriber asks and tells (``mqtt.receiver.SessionTurn``).

    async def may_dial(self) -> None:
        """Wait until we may take the session."""
        dialling = self._dialling = Deferred()
        try:
            await dialling
        finally:
            self._dialling = None

    def connected(self, connection: SessionConnection, is_present: bool) -> None:
        """The broker has given us the session."""
        now = self._clock.seconds()
        if self._should_be_kept and not is_present:
            self._log.error(log_lines.SESSION_LOST_WHILE_AWAY)
        self._connection = connection
        self._came_back_at = now
        self._sight.held(now)
        self.proof.connected()
        self._is_ours_at = now + self._settles
        self._beat(retain=True)
        self._clock.callLater(self._settles, self._wake)

    def disconnected(self) -> None:
        """There is no connection to the session, or none any more."""
        if self._connection is not None:
            self._sight.lost(self._clock.seconds())
        self._connection, self._is_ours_at = None, float("inf")
        self.proof.disconnected()
        was_active = self._roles.now is Role.ACTIVE
        self._happens(RoleEvents.lost)
        if was_active and self.running:
            reason = reasons.NOT_HEARD if self._is_unheard else reasons.CONNECTION_GONE
            self._log.warn(log_lines.STANDBY_LOST, name=self._name, reason=reason)

    # What the observer tells.

    def _looks(self, does: bool) -> None:
        now = self._clock.seconds()
        if does:
            self._looks_at = now
            self._sight.looks(now)
        else:
            self._sight.blind()

    def _seen(self, beat: Beat, retained: bool) -> None:
        now = self._clock.seconds()
        self._sight.seen(beat, now, retained=retained)
        if beat.run == self._run:
            if beat.kind is Kind.ACTIVE and not retained and self._connection is not None:
                self._came_back(beat.number, now)
            return
        is_there = not retained and beat.kind in (Kind.ACTIVE, Kind.STANDBY)
        if is_there and beat.name == self._name and not self._is_same_name_told:
            self._is_same_name_told = True
            self._log.warn(log_lines.STANDBY_SAME_NAME, name=self._name)
        if beat.kind is Kind.ACTIVE and self._roles.now is Role.WATCHING and self._yielded_to != beat.run:
            self._abandon()
            if not retained:
                self._yielded_to = beat.run
                self._log.info(log_lines.STANDBY_WAITS, name=self._name, active=beat.name)

    def _came_back(self, number: int, now: float) -> None:
        """What we said on the session's connection was passed on."""
        if not self.proof.came_back(number):
            return  # somebody else's word
        self._came_back_at = now
        self._is_unheard = False
        if self._happens(RoleEvents.proved):
            self._told_claim = None
            seconds = round(now - self._began_at, 1)
            self._log.info(log_lines.STANDBY_ACTIVE, name=self._name, seconds=seconds)

    # Ours.

    def _abandon(self) -> None:
        for told in self._abandoned:
            told()

    def _guarded_tick(self) -> None:
        """A LoopingCall ends for good when its call fails."""
        try:
            self._tick()
        except Exception:
            self._log.failure(log_lines.STANDBY_FAILED_UNEXPECTEDLY)

    def _tick(self) -> None:
        now = self._clock.seconds()
        if self._connection is not None:
            if now - self._came_back_at >= PATIENCE:
                # Nothing can be written, and others may see that we are there: leave it to who can.
                self._is_unheard, self._is_ours_at = True, float("inf")
                self.proof.disconnected()
                self._connection.abort(reasons.NOT_HEARD)
            elif now - self._said_at >= BEAT_INTERVAL:
                self._said_at = now
                self._beat(retain=True)
            return
        if self._observer.is_looking and now - self._said_at >= BEAT_INTERVAL:
            self._said_at = now
            self._said += 1
            self._sight.sent(self._said, now)
            self._observer.say(encode(Beat(Kind.STANDBY, self._name, self._run, self._said)))
        self._tell_unheard(now)
        if self._dialling is not None and (why := self._sight.may_claim(now)) is not None:
            self._claim(why, now)

    def _claim(self, why: Why, now: float) -> None:
        other = self._sight.other
        told = (why, None if other is None else other.run)
        if told != self._told_claim:  # else the broker refuses it again and again, which is told
            self._told_claim = told
            words = WORDS[why].fill(name="" if other is None else other.name)
            self._log.info(log_lines.STANDBY_CLAIMS, name=self._name, why=words)
        self._yielded_to = None
        is_continued = why is Why.OWN and self._sight.had_within(PATIENCE, now)
        if not is_continued:
            self._abandon()
            self._stamps_from = float(ceil(self._wall_clock() + AHEAD))
        self._began_at = now
        self._should_be_kept = why not in (Why.NOBODY, Why.OWN)  # of our own the subscriber tells
        self._settles = SETTLING if why in (Why.SILENT, Why.GONE) else 0.0
        self._happens(RoleEvents.claims)
        dialling, self._dialling = self._dialling, None
        assert dialling is not None
        dialling.callback(None)

    def _beat(self, *, retain: bool = False) -> None:
        """Say on the session's connection that we have it; retained so often only that a broker can keep it on disk."""
        if self._connection is not None:
            beat = self._encoded(Kind.ACTIVE, self.proof.next_number())
            self._connection.publish(self._topic.encode(), beat, retain=retain)

    def _encoded(self, kind: Kind, number: int = 0) -> bytes:
        return encode(Beat(kind, self._name, self._run, number))

    def _tell_unheard(self, now: float) -> None:
        """Tell, once, that what we say does not come back although we look on."""
        if self._sight.is_confirmed:
            self._is_unheard = False
        elif not self._observer.is_looking:
            return
        elif now - self._looks_at >= UNHEARD_UNTOLD and not self._is_unheard:
            self._is_unheard = True
            self._log.error(log_lines.STANDBY_UNHEARD, topic=self._topic)

    def _happens(self, event: Event) -> bool:
        has_changed = self._roles.happens(event)
        if has_changed:
            self._changed_at = self._clock.seconds()
        return has_changed
