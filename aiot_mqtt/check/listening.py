"""What comes from the broker while the check listens. Bounded in memory."""

from __future__ import annotations

from ..devices.report import split_prefixes
from ..mqtt.receiver import Acknowledger

MAX_UUIDS = 10_000
MAX_UUID = 64  # characters that are kept of one; none of a device is as long


class Heard:
    """Receives what devices publish, and acknowledges it at once: under this client id nobody else waits for it."""

    def __init__(self, prefix: str) -> None:
        """:param prefix: ``MQTT_TOPIC_PREFIX``."""
        self._prefixes = [each + "/" for each in split_prefixes(prefix)]
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
        if len(self.uuids) < MAX_UUIDS:
            name = topic.decode("utf-8", "replace")
            # The longest, because one may be another's beginning.
            prefix = max((each for each in self._prefixes if name.startswith(each)), key=len, default="")
            self.uuids.add(name[len(prefix) :].partition("/")[0][:MAX_UUID])

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:  # noqa: ARG002
        """See ``PublishReceiver``."""
        self.publish_received(topic, b"", packet_id, False)
