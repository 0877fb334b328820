"""What instances say of themselves on the status topic. Pure: bytes in, a value out, and the other way round.

Whoever may publish there may write anything, so what comes is taken for what it is or not at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

MAX_PAYLOAD = 512  # bytes; ours have less than 300
MAX_NAME = 64  # characters
MAX_NUMBER = 2**63
_RUN = re.compile(r"[0-9a-f]{16}")


class Kind(Enum):
    """What is said."""

    ACTIVE = "active"
    """It has the session, and says so on the session's own connection."""
    STANDBY = "standby"
    """It looks on, and says so on the connection that it looks on by."""
    GONE = "gone"
    """It had the session, and its connection broke: the last will, which the broker says for it."""
    RELEASED = "released"
    """It had the session, and has ended in order: nothing of it is under way any more."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One of these messages."""

    kind: Kind
    name: str
    """What the operator calls the instance."""
    run: str
    """Which run of the instance; no two are the same, whatever they are called."""
    number: int = 0
    """Counts what a run says of one kind."""


def encode(beat: Beat) -> bytes:
    """As it is published: JSON, so that an operator can read it too."""
    said: dict[str, Any] = {"aiot-mqtt": beat.kind.value, "name": beat.name, "run": beat.run, "n": beat.number}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def decode(payload: bytes) -> Beat | None:
    """What was published, if it is one of ours."""
    if len(payload) > MAX_PAYLOAD:
        return None
    try:
        said = json.loads(payload)
        kind, name, run, number = Kind(said["aiot-mqtt"]), said["name"], said["run"], said["n"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        return None
    if not isinstance(run, str) or not _RUN.fullmatch(run):
        return None
    if type(number) is not int or not 0 <= number <= MAX_NUMBER:
        return None
    return Beat(kind, name, run, number)
