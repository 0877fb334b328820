"""The names of the spool's files: all of them stand beside ``SPOOL_FILE`` and begin as it does."""

from __future__ import annotations

import time
from pathlib import Path

from .disk import Disk

SUFFIXES = ("", ".2", ".3", ".4")
"""Of the files, should somebody else's have one of these names; no more than two are ours at one time."""
LOCK_SUFFIX = ".lock"
JOURNAL_SUFFIX = "-journal"
"""SQLite's, for what a transaction that did not end has to undo (file format, 3)."""
ASIDE = ".damaged-"  # and the time


def files_of(path: Path) -> list[Path]:
    """The names that the spool's files may have. :param path: ``SPOOL_FILE``."""
    return [path.with_name(path.name + suffix) for suffix in SUFFIXES]


def lock_of(path: Path) -> Path:
    """The name of the file that is locked. :param path: ``SPOOL_FILE``."""
    return path.with_name(path.name + LOCK_SUFFIX)


def journal_of(file: Path) -> Path:
    """The name of the journal that SQLite keeps beside a file."""
    return file.with_name(file.name + JOURNAL_SUFFIX)


def is_set_aside(file: Path) -> bool:
    """Whether a file has the name of a damaged one."""
    return ASIDE in file.name


def set_aside(file: Path, disk: Disk) -> Path:
    """Give a damaged file another name, which is returned.

    :raises OSError: the disk does not let it.
    """
    stem = f"{file.name}{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}"
    names = (file.with_name(stem + suffix) for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    aside = next(name for name in names if disk.find(name) is None)
    disk.rename(file, aside)
    if disk.find(journal_of(file)) is not None:
        disk.rename(journal_of(file), journal_of(aside))
    disk.sync_folder(file.parent)
    return aside


def remove_with_journal(file: Path, disk: Disk) -> None:
    """Delete a file, and what SQLite would play into the next one of its name.

    :raises OSError: the disk does not let it.
    """
    for name in (file, journal_of(file)):
        disk.remove(name)
