"""What was published, what became of each message, and what the rows of a table must hold because of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .process import Process


@dataclass(eq=False, slots=True)
class Message:
    """One PUBLISH of a device."""

    number: int
    """Its place among all that were published."""
    device: str
    """As the device spells itself."""
    topic: str
    prefix: str
    payload: bytes
    kind: str
    qos: int = 1
    retain: bool = False
    """It is told with the retain flag, so says nothing about now."""
    document: str | None = None
    status: str | None = None
    is_online: bool = True
    is_refused: bool = False
    """The service takes its times alone."""
    poison: str | None = None
    """Which of its values the table refuses: ``document`` or ``status``."""
    receipts: list[Receipt] = field(default_factory=list)
    acknowledged_by: Process | None = None
    """Who has sent a PUBACK that is not known to be lost."""

    def __repr__(self) -> str:
        return f"#{self.number} {self.topic} {self.payload[:60]!r}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message was handed to a process."""

    place: int
    """Among all receipts of all processes."""
    process: Process
    wall: int
    """Seconds since the epoch, as the process takes it."""
    monotonic: float


class Violation(AssertionError):
    """The service broke a promise."""


class RowHistory:
    """One row: what was received for it, and what it was seen to hold."""

    def __init__(self, table: str, key: str) -> None:
        self.table = table
        self.name = f"{table}.{key}"
        self.messages: list[Message] = []
        """Received for this row, or for its device before there was a row; in the order of publication."""
        self.added_at = 0
        """The number of the last message published before the row was there."""
        self.is_closed = False
        """It takes no update at all."""
        self.known_limit: str | None = None
        """Why states of this row may come in another order than they were received in."""
        self._seen = {"document": 0, "status": 0}

    def received(self, message: Message) -> None:
        """A message for this row was handed to a process that serves its table."""
        if message not in self.messages:
            self.messages.append(message)
            self.messages.sort(key=lambda message: message.number)

    def holds(self, column: str, value: str) -> None:
        """The row was given another value: it must come from a later receipt than the one before.

        :raises Violation: the row moved back.
        """
        if self.is_closed:
            raise Violation(f"{self.name} takes no updates, and was given {column} {value}")
        places = sorted(
            receipt.place
            for message in self.messages
            if getattr(message, column) == value
            for receipt in message.receipts
        )
        if not places:
            raise Violation(f"{self.name}.{column} is {value}, which nobody received")
        later = [place for place in places if place > self._seen[column]]
        if later:
            self._seen[column] = later[0]
        elif self.known_limit is None:
            raise Violation(
                f"{self.name}.{column} moved back to {value}, received at {places}, after {self._seen[column]}"
            )
        else:
            self._seen[column] = places[-1]

    def newest(self, column: str, *, acknowledged: bool) -> Message | None:
        """The message published last that brings a value of a column, of those with a PUBACK or of all."""
        for message in reversed(self.messages):
            if message.number <= self.added_at:
                break
            if (
                getattr(message, column) is not None
                and message.poison != column
                and (not acknowledged or self.is_acknowledged(message))
            ):
                return message
        return None

    def is_acknowledged(self, message: Message) -> bool:
        """Whether somebody who serves this table has sent a PUBACK for it that is not known to be lost."""
        return message.acknowledged_by is not None and message.acknowledged_by.table == self.table

    def is_poisoned_after(self, column: str, number: int) -> bool:
        """Whether a value that the table refuses came later: it may have been merged over what came before."""
        return any(message.poison == column and message.number > number for message in self.messages)
