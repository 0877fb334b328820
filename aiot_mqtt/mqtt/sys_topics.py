"""What a broker says of itself, as Mosquitto does; some others say other things there, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .receiver import Acknowledger


class SysTopics:
    """Receives what a broker says of itself."""

    VERSION = "$SYS/broker/version"
    DROPPED = "$SYS/broker/publish/messages/dropped"
    DROPPED_A_MINUTE = "$SYS/broker/load/publish/dropped/1min"
    ALL = (VERSION, DROPPED, DROPPED_A_MINUTE)

    def __init__(self, complete: Callable[[], None], topics: Sequence[str] = ALL) -> None:
        """
        :param complete: called each time that something came and all is there.
        :param topics: which of them are asked for.
        """
        self._complete = complete
        self._topics = topics
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
        if all(topic in self._values for topic in self._topics):
            self._complete()

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:  # noqa: ARG002
        """See ``PublishReceiver``."""
        if packet_id:
            self._unacknowledged.append(packet_id)
        name = topic.decode("utf-8", "replace")
        if name in self._topics:
            self._values[name] = payload[:100].decode("utf-8", "replace")

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:  # noqa: ARG002
        """See ``PublishReceiver``; not worth more than an acknowledgement."""
        if packet_id:
            self._unacknowledged.append(packet_id)
