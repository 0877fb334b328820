"""What comes from the broker while the check listens. Bounded in memory."""

from __future__ import annotations

from collections.abc import Callable

from ..mqtt.receiver import Acknowledger

MAX_UUIDS = 10_000
MAX_UUID = 64  # characters that are kept of one; none of a device is as long


class Heard:
    """Receives what devices publish, and acknowledges it at once: under this client id nobody else waits for it."""

    def __init__(self, prefix: str) -> None:
        """:param prefix: ``MQTT_TOPIC_PREFIX``."""
        self._levels = prefix.count("/") + 1
        self._connection: Acknowledger | None = None
        self._unacknowledged: list[int] = []
        self.messages = 0
        """Without retained ones."""
        self.at_qos_0 = 0
        self.uuids: set[str] = set()
        self.seconds = 0.0
        """How long was listened."""
        self.is_subscribed = False

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds if self.seconds else 0.0

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""
        self._connection = connection

    def read_finished(self) -> None:
        """See ``Receiver``."""
        if self._connection is not None and self._unacknowledged:
            self._connection.acknowledge(self._unacknowledged)
            self._unacknowledged = []

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:  # noqa: ARG002
        """See ``PublishReceiver``."""
        if packet_id:
            self._unacknowledged.append(packet_id)
        if retain:
            return
        self.messages += 1
        self.at_qos_0 += not packet_id
        levels = topic.decode("utf-8", "replace").split("/")
        if len(levels) > self._levels and len(self.uuids) < MAX_UUIDS:
            self.uuids.add(levels[self._levels][:MAX_UUID])

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:  # noqa: ARG002
        """See ``PublishReceiver``."""
        self.publish_received(topic, b"", packet_id, False)


class SysTopics:
    """Receives what a broker says of itself."""

    VERSION = "$SYS/broker/version"
    DROPPED = "$SYS/broker/publish/messages/dropped"
    DROPPED_A_MINUTE = "$SYS/broker/load/publish/dropped/1min"
    ALL = (VERSION, DROPPED, DROPPED_A_MINUTE)

    def __init__(self, complete: Callable[[], None]) -> None:
        """:param complete: called each time that something came and all is there."""
        self._complete = complete
        self._connection: Acknowledger | None = None
        self._unacknowledged: list[int] = []
        self._values: dict[str, str] = {}

    def text(self, topic: str) -> str:
        """What was said there; empty: nothing."""
        return self._values.get(topic, "")

    def number(self, topic: str) -> float | None:
        """The same as a number; None: nothing, or none."""
        try:
            return float(self.text(topic))
        except ValueError:
            return None

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""
        self._connection = connection

    def read_finished(self) -> None:
        """See ``Receiver``."""
        if self._connection is not None and self._unacknowledged:
            self._connection.acknowledge(self._unacknowledged)
            self._unacknowledged = []
        if all(topic in self._values for topic in self.ALL):
            self._complete()

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:  # noqa: ARG002
        """See ``PublishReceiver``."""
        if packet_id:
            self._unacknowledged.append(packet_id)
        name = topic.decode("utf-8", "replace")
        if name in self.ALL:
            self._values[name] = payload[:100].decode("utf-8", "replace")

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:  # noqa: ARG002
        """See ``PublishReceiver``; not worth more than an acknowledgement."""
        if packet_id:
            self._unacknowledged.append(packet_id)
