"""What the monitor needs of the connection to the broker."""

from __future__ import annotations

from typing import Protocol


class Subscription(Protocol):
    """Where messages come from."""

    @property
    def is_listening(self) -> bool:
        """Whether what a device publishes now comes at once."""
        ...

    @property
    def silent_for(self) -> float:
        """Seconds since the broker was heard; inf: there is no connection."""
        ...

    @property
    def window(self) -> int:
        """How many messages may be unacknowledged at one time."""
        ...
