"""Whom ingest tells what it finds, beside what it makes pending."""

from __future__ import annotations

from typing import Protocol


class PendingListener(Protocol):
    """Who writes what is pending."""

    def wake(self) -> None:
        """There may be something to write."""
        ...


class ForeignTopicListener(Protocol):
    """Who may undo the subscription that brings what nobody wants."""

    def foreign_topic_received(self, topic: str) -> None:
        """A message came on a topic that is none of ours."""
        ...


class UnchangedListener(Protocol):
    """Who wants to hear of devices that the table hears nothing of."""

    def heard_unchanged(self, key: str) -> None:
        """A heartbeat needs no write. :param key: the device's, as ``PendingUpdates.key`` gives it."""
        ...
