"""What the spool holds, in figures, and what a look at the disk found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .chunk import Chunk


@dataclass(frozen=True, slots=True)
class Held:
    """What is on disk and not in the table."""

    devices: int = 0
    deliveries: int = 0

    def __add__(self, other: Held) -> Held:
        return Held(self.devices + other.devices, self.deliveries + other.deliveries)

    def __sub__(self, other: Held) -> Held:
        return Held(self.devices - other.devices, self.deliveries - other.deliveries)


NOTHING = Held()


@dataclass(slots=True)
class Looked:
    """What a look at the disk found."""

    is_empty: bool = True
    """There is no file that may hold something of ours."""
    found: Held = NOTHING
    """What this process neither saved nor knew of."""
    lost: Held = NOTHING
    """What this process knew of, in files that are gone or damaged."""
    is_saved: bool = False
    """The save that failed is on disk all the same."""
    superseded: int = 0
    """How many deliveries that one superseded."""
    passed_over: Chunk | None = None
    """The same of a save of what was left of a chunk."""
    set_aside: list[tuple[Path, Path, str]] = field(default_factory=list)
    """Damaged files: their name before and now, and what is wrong with them."""
    foreign: list[tuple[Path, str]] = field(default_factory=list)
    """Files by the spool's names that are somebody else's, and why: neither written nor deleted."""
