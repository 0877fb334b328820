"""Looks on at the status topic, on a connection of its own that no flow control holds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..mqtt.connection import MqttConnection
from ..mqtt.dial import answered_in_time, dial
from ..mqtt.errors import MqttError
from ..mqtt.options import ConnectOptions
from ..mqtt.reason_codes import FAILURE, suback_reason
from ..mqtt.receiver import Acknowledger
from ..mqtt.versions import ProtocolChoice
from ..telemetry import log_lines
from ..telemetry.reasons import standby as reasons
from ..telemetry.survive import go_on, start
from .beat import MAX_PAYLOAD, Beat, decode

TIMEOUT = 3.0  # s for each of: name look-up with TCP and TLS, CONNACK, SUBACK
RETRY = 1.0  # s
DENIED_RETRY = 5.0  # s
# s; a connection that is silent for one and a half of it is given up, and what we say comes back twice a second.
KEEPALIVE = 2


class Observer(Service):
    """Stays subscribed to the status topic."""

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        options: ConnectOptions,
        topic: str,
        protocol: str,
        clock: IReactorTime,
        *,
        seen: Callable[[Beat, bool], None],
        looks: Callable[[bool], None],
    ) -> None:
        """
        :param options: its client identifier is one that nobody else has.
        :param protocol: see ``Subscriber``.
        :param seen: called with what came, and whether it was retained.
        :param looks: called with whether we look on from now on.
        """
        self._endpoint = endpoint
        self._options = replace(
            options,
            session_expiry=0,
            keepalive=KEEPALIVE,
            receive_maximum=100,
            max_payload=MAX_PAYLOAD,
            wants_retained=True,
        )
        self._topic = topic
        self._choice = ProtocolChoice(protocol)
        self._clock = clock
        self._seen = seen
        self._looks = looks
        self._connection: MqttConnection | None = None
        self._work: Deferred[None] | None = None
        self._acknowledger: Acknowledger | None = None
        self._unacknowledged: list[int] = []
        self._told = ""
        self.trouble: str | None = reasons.NOT_CONNECTED_YET
        """Why it does not look on, in words; None: it does."""

    def startService(self) -> None:
        """Begin to look on; a broker that is down is waited for."""
        super().startService()
        line = log_lines.STANDBY_FAILED_UNEXPECTEDLY
        self._work = start(go_on(self._stay, self._clock, self._log, line), self._log, line)

    def stopService(self) -> None:
        """Look on no more."""
        super().stopService()
        if self._connection is not None:
            self._connection.disconnect()
        if self._work is not None:
            self._work.cancel()

    @property
    def is_looking(self) -> bool:
        """Whether what comes on the topic comes to us."""
        return self.trouble is None

    def say(self, payload: bytes) -> None:
        """Publish on the topic, for those who are there now."""
        if self._connection is not None and self.is_looking:
            self._connection.publish(self._topic.encode(), payload, retain=False)

    async def _stay(self) -> None:
        while self.running:
            delay = RETRY
            try:
                delay = await self._look_on()
            except MqttError as error:
                if self._choice.failed(error):
                    continue
                self._cannot(str(error))
            await deferLater(self._clock, delay)

    async def _look_on(self) -> float:
        """Until the end of the connection; returns the seconds to wait then.

        :raises MqttError: there is none.
        """
        connection = MqttConnection(replace(self._options, mqtt5=self._choice.mqtt5), self, self._clock)
        await dial(self._endpoint, connection, self._clock, TIMEOUT)
        self._connection = connection
        try:
            await answered_in_time(connection, connection.accepted, self._clock, TIMEOUT, reasons.NO_ANSWER)
            self._choice.accepted()
            asked = connection.subscribe([self._topic])
            codes = await answered_in_time(connection, asked, self._clock, TIMEOUT, reasons.NO_ANSWER)
            if not codes or codes[0] >= FAILURE:
                self._cannot(reasons.DENIED.fill(topic=self._topic, reason=suback_reason((codes or [FAILURE])[0])))
                return DENIED_RETRY
            self.trouble, self._told = None, ""
            self._looks(True)
            self._cannot(await connection.closed, is_told=False)
            self._choice.connection_ended()
        finally:
            self._connection = None
            connection.disconnect()
        return RETRY

    def _cannot(self, reason: str, *, is_told: bool = True) -> None:
        """We do not look on, for a reason that is told once in a row."""
        was_looking, self.trouble = self.is_looking, reason
        if was_looking:
            self._looks(False)
        if is_told and reason != self._told and self.running:
            self._told = reason
            self._log.error(log_lines.STANDBY_BLIND, reason=reason, topic=self._topic)

    # What the connection calls.

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""
        self._acknowledger, self._unacknowledged = connection, []

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """See ``PublishReceiver``."""
        if packet_id:
            self._unacknowledged.append(packet_id)
        if topic == self._topic.encode() and (beat := decode(payload)) is not None:
            try:
                self._seen(beat, retain)
            except Exception:
                self._log.failure(log_lines.STANDBY_FAILED_UNEXPECTEDLY)

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:  # noqa: ARG002
        """See ``PublishReceiver``; none of ours."""
        if packet_id:
            self._unacknowledged.append(packet_id)

    def read_finished(self) -> None:
        """See ``Receiver``."""
        if self._acknowledger is not None and self._unacknowledged:
            self._acknowledger.acknowledge(self._unacknowledged)
            self._unacknowledged = []
