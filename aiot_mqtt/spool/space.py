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


def space(path: Path) -> Space:
    """How it is now.

    :param path: ``SPOOL_FILE``.
    :raises OSError: the folder cannot be looked at.
    """
    system = os.statvfs(path.parent)
    used = 0
    for file in files_of(path):
        with suppress(FileNotFoundError):
            used += file.stat().st_size
    return Space(used, system.f_bavail * system.f_frsize)
