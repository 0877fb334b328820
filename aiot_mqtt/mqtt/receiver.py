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


class SessionConnection(Protocol):
    """The connection that has the session."""

    def publish(self, topic: bytes, payload: bytes, *, retain: bool) -> None:
        """PUBLISH at QoS 0; nothing once the connection is gone."""
        ...

    def abort(self, reason: str) -> None:
        """Close at once, without a word to the broker."""
        ...


class SessionTurn(Protocol):
    """Who decides whether the session may be taken, where several instances share one (``standby``)."""

    async def may_dial(self) -> None:
        """Waited for before each attempt to connect."""
        ...

    def connected(self, connection: SessionConnection, is_present: bool) -> None:
        """The broker has accepted. :param is_present: whether it had kept the session."""
        ...

    def disconnected(self) -> None:
        """An attempt failed, or the connection is gone."""
        ...
