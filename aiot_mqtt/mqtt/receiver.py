"""Who PUBLISH packets are handed to, as a connection sees it."""

from __future__ import annotations

from typing import Protocol

from ..ingest.pending import Acknowledger
from .packets import PublishReceiver


class Receiver(PublishReceiver, Protocol):
    """Who PUBLISH packets are handed to. None of these may raise."""

    def connection_started(self, connection: Acknowledger) -> None:
        """The PUBLISH packets that follow come on this connection."""
        ...

    def read_finished(self) -> None:
        """Every PUBLISH of one read was handed over."""
        ...
