"""The status topic of several instances: whether what is said there comes back (``HA_MODE``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one

from ..mqtt.connection import MqttConnection
from ..mqtt.errors import MqttError
from ..mqtt.options import ConnectOptions
from ..mqtt.reason_codes import FAILURE, suback_reason
from ..mqtt.receiver import Acknowledger
from .findings import Findings
from .texts import broker as texts
from .words import both

SAID = b'{"aiot-mqtt":"check"}'  # which instances take no notice of
TIMEOUT = 3.0  # s


async def probe_status_topic(
    topic: str,
    options: ConnectOptions,
    connect: Callable[[MqttConnection], Any],
    leave: Callable[[MqttConnection], Any],
    *,
    found: Findings,
    reactor: Any,
) -> None:
    """Say something there, and see whether it comes back.

    :param options: of a connection whose client identifier nobody else has.
    :param connect: waits until a connection is accepted. :param leave: ends it.
    """
    heard = _Heard(topic.encode())
    connection = MqttConnection(replace(options, receive_maximum=10), heard, reactor)
    try:
        await connect(connection)
        codes = await connection.subscribe([topic]).addTimeout(TIMEOUT, reactor)
        if not codes or codes[0] >= FAILURE:
            reason = both(suback_reason((codes or [FAILURE])[0]))
            found.error("broker.standby", texts.STANDBY_DENIED, topic=topic, reason=reason)
            return
        connection.publish(topic.encode(), SAID, retain=False)
        await heard.came.addTimeout(TIMEOUT, reactor)
        found.ok("broker.standby", texts.STANDBY_HEARD, topic=topic)
    except NotInTime:
        found.error("broker.standby", texts.STANDBY_UNHEARD, topic=topic)
    except MqttError as error:
        found.error("broker.standby", texts.STANDBY_DENIED, topic=topic, reason=both(str(error)))
    finally:
        await leave(connection)


class _Heard:
    """A ``Receiver`` that waits for what was said."""

    def __init__(self, topic: bytes) -> None:
        self.came: Deferred[None] = Deferred()
        self._topic = topic

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:  # noqa: ARG002
        """See ``PublishReceiver``."""
        if topic == self._topic and payload == SAID and not self.came.called:
            self.came.callback(None)

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        """See ``PublishReceiver``."""

    def read_finished(self) -> None:
        """See ``Receiver``."""
