"""Who PUBLISH packets are handed to, who acknowledges them, and who hears what became of the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .packets import PublishReceiver


class Acknowledger(Protocol):
    """The connection that PUBLISH packets came on."""

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send a PUBACK for each, in this order; does nothing once the connection is gone."""
        ...


class Receiver(PublishReceiver, Protocol):
    """Who PUBLISH packets are handed to. None of these may raise."""

    def connection_started(self, connection: Acknowledger) -> None:
        """The PUBLISH packets that follow come on this connection."""
        ...

    def read_finished(self) -> None:
        """Every PUBLISH of one read was handed over."""
        ...


class SessionListener(Protocol):
    """Who wants to hear what became of the session."""

    def session_lost(self) -> None:
        """What was published while no connection was there is lost."""
        ...
