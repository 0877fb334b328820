"""What comes of the few devices that somebody asks about: of each kind the last message, its time and its QoS.

Of every device that would cost a million of them 113 to 150 MB, and each message 90 ns; so it begins with the question.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime

MAX_DEVICES = 100
LASTS = 600.0  # s after the last question


class Came(NamedTuple):
    """The last message of one kind."""

    at: float
    """By a clock that is never set."""
    qos: int


class Attention:
    """What is noted of one device."""

    __slots__ = ("asked_at", "came", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        """When it was first asked for; by a clock that is never set."""
        self.asked_at = now
        self.came: dict[int, Came] = {}
        """By the bit of its kind."""


class Asked:
    """Told of messages by ingest, and asked by who explains a device."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.devices: dict[str, Attention] = {}
        """By ``DeviceUpdate.key``; always the same dict, so that an empty one costs a message next to nothing."""

    def ask(self, key: str) -> Attention:
        """What came since this was first asked; from now on it is noted, for ten minutes at least."""
        now = self._clock.seconds()
        self.forget()
        found = self.devices.pop(key, None) or Attention(now)
        found.asked_at = now
        self.devices[key] = found
        if len(self.devices) > MAX_DEVICES:
            del self.devices[next(iter(self.devices))]
        return found

    def note(self, key: str, kind: int, qos: int) -> None:
        """A message came and was taken."""
        attention = self.devices.get(key)
        if attention is not None:
            attention.came[kind] = Came(self._clock.seconds(), qos)

    def forget(self) -> None:
        """Forget those that nobody has asked for lately."""
        now = self._clock.seconds()
        for key in [key for key, each in self.devices.items() if now - each.asked_at > LASTS]:
            del self.devices[key]
