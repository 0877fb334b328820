"""What the broker says that it drops, asked on a connection of its own and noted over restarts.

A broker whose queue for us is full drops without a word to us, and its own log may be the only other place that has it.
Mosquitto counts in ``$SYS/broker/publish/messages/dropped``, over all of its clients, since it was started. Others have
nothing there, deny it, or close a connection that asks for it (RabbitMQ where its ACL says no); so it is never asked
for where messages come, and who does not answer is left alone for longer and longer.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from math import isfinite
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.survive import go_on, start
from .connection import MqttConnection
from .dial import answered_in_time, dial
from .errors import MqttError
from .keep_alive import HEARD_LATELY
from .options import ConnectOptions
from .reason_codes import FAILURE
from .subscriber import State, Subscriber
from .sys_topics import SysTopics

FIRST_LOOK = 10.0  # s; whoever has just begun has better things to do
SETTLED = 15.0  # s after which what is said is later than the connection: Mosquitto says it each 10 s (sys_interval)
PATIENCE = 60.0  # s for the first figure, which Mosquitto retains
TIMEOUT = 10.0  # s for each of: name look-up with TCP and TLS, CONNACK, SUBACK
RETRY = 30.0  # s
MAX_RETRY = 3600.0  # s
TELL_INTERVAL = 600.0  # s between two lines about losses
NOTE_INTERVAL = 60.0  # s between two notes of when the figure was last seen
DISTURBED = 5.0  # s
MAX_DISTURBANCES = 2  # in a row


class BrokerDrops(Service):
    """Watches one figure of the broker's for as long as it runs."""

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        options: ConnectOptions,
        subscriber: Subscriber,
        clock: IReactorTime,
        *,
        name: str,
        note: Path | None,
        in_thread: Callable[[Callable[[], None]], None],
        wall_clock: Callable[[], float] = time.time,
        first_look: float = FIRST_LOOK,
        settled: float = SETTLED,
    ) -> None:
        """
        :param options: as the service's own; client id and session are not taken over.
        :param subscriber: nobody is asked while that is not subscribed.
        :param name: what the broker is called in the note.
        :param note: the file that has what was told, over restarts; None: nothing can be noted on this host.
        :param in_thread: does what may take time.
        :param wall_clock: seconds since the epoch.
        """
        self._endpoint = endpoint
        self._options = options
        self._subscriber = subscriber
        self._clock = clock
        self._name = name
        self._note = note
        self._in_thread = in_thread
        self._wall_clock = wall_clock
        self._first_look = first_look
        self._settled = settled
        self.dropped: int | None = None
        """What the broker said last, since this is read; None: it cannot be read."""
        self._told: int | None = None
        self._seen_at: float | None = None  # when another process saw no more than that, since the epoch
        self._even_at: float | None = None  # when this one did
        self._told_at = float("-inf")
        self._noted_at = float("-inf")
        self._accepted_at = 0.0
        self._is_told_unreadable = False
        self._disturbances = 0
        self._connection: MqttConnection | None = None
        self._work: Deferred[None] | None = None
        self._looking: IDelayedCall | None = None
        self._doubting: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to watch, after a while."""
        super().startService()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = {} if self._note is None else json.loads(self._note.read_text("utf-8"))
            if note["broker"] == self._name:
                self._told, self._seen_at = int(note["dropped"]), float(note["at"])
        work = go_on(self._watch, self._clock, self._log, log_lines.BROKER_DROPS_FAILED_UNEXPECTEDLY)
        self._work = start(work, self._log, log_lines.BROKER_DROPS_FAILED_UNEXPECTEDLY)

    def stopService(self) -> None:
        """Leave, and note until when the figure was seen."""
        super().stopService()
        for call in (self._looking, self._doubting):
            if call is not None and call.active():
                call.cancel()
        if self.dropped is not None and self.dropped == self._told:
            self._even_at = self._wall_clock()
        if note := self._noted():
            _write(self._note, note)
        connection, work = self._connection, self._work
        if connection is not None:
            connection.disconnect()
        if work is not None:
            work.cancel()

    async def _watch(self) -> None:
        await deferLater(self._clock, self._first_look)
        delay = RETRY
        while self._disturbances < MAX_DISTURBANCES:
            if self._subscriber.state is not State.SUBSCRIBED:
                await deferLater(self._clock, self._first_look)
                continue
            with contextlib.suppress(MqttError, NotInTime):
                await self._listen()
            was_read, self.dropped = self.dropped is not None, None
            delay = RETRY if was_read else min(2 * delay, MAX_RETRY)
            is_served = self._subscriber.state is State.SUBSCRIBED and self._subscriber.silent_for < HEARD_LATELY
            if not was_read and not self._is_told_unreadable and is_served:
                self._is_told_unreadable = True
                self._log.info(log_lines.BROKER_DROPS_UNREADABLE, topic=SysTopics.DROPPED)
            await deferLater(self._clock, delay)
        self._log.info(log_lines.BROKER_DROPS_GIVEN_UP, topic=SysTopics.DROPPED)

    async def _listen(self) -> None:
        """Until the connection ends, by whoever.

        :raises MqttError: the broker cannot be reached, or refuses.
        :raises NotInTime: it says nothing.
        """
        came: Deferred[None] = Deferred()

        def read() -> None:
            count = heard.number(SysTopics.DROPPED)
            if count is not None and isfinite(count) and count >= 0:
                self._is_now(int(count))
                if not came.called:
                    came.callback(None)

        def ended(reason: str) -> str:
            if not came.called:
                came.errback(MqttError(reason))
            return reason

        heard = SysTopics(read, [SysTopics.DROPPED])
        # The subscriber has found out which version the broker speaks.
        mqtt5 = self._subscriber.tally.accepted["5"] > 0
        client_id = f"aiot-broker-{secrets.token_hex(4)}"
        options = replace(self._options, client_id=client_id, mqtt5=mqtt5, session_expiry=0, receive_maximum=10)
        connection = MqttConnection(options, heard, self._clock)
        await dial(self._endpoint, connection, self._clock, TIMEOUT)
        self._connection = connection
        try:
            await answered_in_time(connection, connection.accepted, self._clock, TIMEOUT)
            self._accepted_at = self._clock.seconds()
            self._doubting = self._clock.callLater(DISTURBED, self._look_for_disturbance, self._failures)
            asked = connection.subscribe([SysTopics.DROPPED])
            codes = await answered_in_time(connection, asked, self._clock, TIMEOUT)
            if codes and codes[0] < FAILURE:
                connection.closed.addCallback(ended)
                await came.addTimeout(PATIENCE, self._clock)
                await connection.closed
        finally:
            self._connection = None
            connection.disconnect()

    @property
    def _failures(self) -> int:
        return self._subscriber.tally.failures.total()

    def _look_for_disturbance(self, failures: int) -> None:
        """Some brokers let a user have one connection, and end the one that was there: rather that one than ours."""
        self._disturbances = self._disturbances + 1 if self._failures > failures else 0
        if self._disturbances >= MAX_DISTURBANCES and self._connection is not None:
            self._connection.disconnect()

    def _is_now(self, dropped: int) -> None:
        """The broker has said how many."""
        self.dropped = dropped
        if self._told is not None and dropped < self._told:
            self._told, self._seen_at = 0, None  # it was started anew, and counts anew
        if self._looking is None or not self._looking.active():
            self._look_after(self._settled)
        elif dropped != self._told and self._may_tell:
            self._looking.cancel()
            self._look()

    @property
    def _may_tell(self) -> bool:
        now = self._clock.seconds()
        return now >= self._accepted_at + self._settled and now >= self._told_at + TELL_INTERVAL

    def _look_after(self, seconds: float) -> None:
        self._looking = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        dropped = self.dropped
        if dropped is None:
            return
        if dropped != self._told and self._may_tell:
            self._tell(dropped)
        if dropped == self._told:
            self._even_at, self._seen_at = self._wall_clock(), None
        now = self._clock.seconds()
        if now - self._noted_at >= NOTE_INTERVAL and (note := self._noted()):
            self._noted_at = now
            path = self._note
            self._in_thread(lambda: _write(path, note))
        self._look_after(NOTE_INTERVAL)

    def _tell(self, dropped: int) -> None:
        count = dropped - (self._told or 0)
        if count > 0:
            if self._told is None:
                self._log.warn(log_lines.BROKER_HAS_DROPPED, count=count)
            elif self._seen_at is not None:
                at = datetime.fromtimestamp(self._seen_at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
                self._log.warn(log_lines.BROKER_DROPPED_MEANWHILE, count=count, since=at)
            else:
                self._log.warn(log_lines.BROKER_DROPS, count=count, total=dropped)
            self._told_at, self._noted_at = self._clock.seconds(), float("-inf")
        self._told, self._seen_at = dropped, None

    def _noted(self) -> str:
        """What was told, and until when that was all; empty: nothing is known yet."""
        if self._told is None or self._even_at is None:
            return ""
        return json.dumps({"broker": self._name, "dropped": self._told, "at": self._even_at})


def _write(path: Path | None, text: str) -> None:
    """Put a note in its place, whole or not at all; without it the next start knows less."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        new = path.with_name(path.name + ".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, path)
