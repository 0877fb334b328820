"""Messages on topics that are none of ours: a kept session may hold subscriptions of an older program."""

from __future__ import annotations

from twisted.logger import Logger

from ..telemetry import log_lines
from ..telemetry.printable import shorten

MAX_FOREIGN_FILTERS = 100  # a connection
MAX_FILTER = 65_535  # bytes
MAX_LEVELS = 8  # above which a wildcard is tried


def likely_filters(topic: str) -> set[str]:
    """Filters that may have brought a message on a topic that is none of ours.

    Nobody tells which one it was, so all that is likely is tried: the topic, one of our form under another prefix, and
    the wildcards above it.
    """
    before, _, kind = topic.rpartition("/")
    prefix = before.rpartition("/")[0]
    levels = before.split("/")
    above = ["#", *("/".join([*levels[:depth], "#"]) for depth in range(1, min(len(levels), MAX_LEVELS) + 1))]
    # Not every topic name makes a filter: that has 1 to 65,535 bytes (section 4.7.3), and some of these are longer
    # than the topic.
    return {name for name in (topic, f"{prefix}/+/{kind}", *above) if 0 < len(name.encode()) <= MAX_FILTER}


class ForeignTopics:
    """What was unsubscribed from on the connection that there is."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._filters: set[str] = set()

    def connection_started(self) -> None:
        """Whatever was done before may be to be done again."""
        self._filters.clear()

    def filters_to_undo(self, topic: str) -> list[str]:
        """A message came on this topic: what to unsubscribe from, of what was not yet; the first time, told."""
        filters = likely_filters(topic) - self._filters
        if not filters or len(self._filters) >= MAX_FOREIGN_FILTERS:
            return []
        if not self._filters:
            self._log.warn(log_lines.FOREIGN_TOPIC, topic=shorten(topic), filters=shorten(" ".join(sorted(filters))))
        self._filters |= filters
        return sorted(filters)
