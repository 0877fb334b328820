"""What is read of a file at one time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..devices.update import DeviceUpdate
from .contents import Held
from .reading import Place

if TYPE_CHECKING:
    from .file import SpoolFile


@dataclass(frozen=True, slots=True)
class Chunk:
    """Updates of a file that are to be written next."""

    file: SpoolFile
    updates: list[DeviceUpdate]
    last_version: int
    held: Held
    """What it is of what the file holds; more than ``updates`` where spellings of one device were merged."""
    place: Place | None
    """Where it begins."""

    @property
    def is_next(self) -> bool:
        """Whether all before it is written, and nothing of it."""
        return bool(self.updates) and self.file.is_open and self.place == self.file.reading.place
