"""How much room the spool takes, and how much is left for it. Blocks, as every look at a disk may."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .disk import MAX_BYTES
from .names import files_of


class Space(NamedTuple):
    """Bytes."""

    used: int = 0
    """By the files of the spool."""
    free: int = 0
    """What its file system has left for this user."""
    limit: int = 2 * MAX_BYTES
    """Of what is used."""
    filled: int = 0
    """Of what is used: the file that takes what comes."""

    @property
    def room(self) -> int:
        """By which that file may still grow."""
        return max(0, MAX_BYTES - self.filled)


def space(path: Path, filled: Path | None = None) -> Space:
    """How it is now.

    :param path: ``SPOOL_FILE``.
    :param filled: the file that takes what comes.
    :raises OSError: the folder cannot be looked at.
    """
    system = os.statvfs(path.parent)
    sizes = {}
    for file in files_of(path):
        with suppress(FileNotFoundError):
            sizes[file] = file.stat().st_size
    filled_size = 0 if filled is None else sizes.get(filled, 0)
    return Space(sum(sizes.values()), system.f_bavail * system.f_frsize, filled=filled_size)
