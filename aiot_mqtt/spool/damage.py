"""How it is told that a file of the spool is not what was written to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..telemetry.network import os_reason
from ..telemetry.reasons import spool as reasons
from .disk import SpoolError, SpoolInUse


class SpoolDamaged(SpoolError):
    """The file is not what was written to it, or the disk does not give it: SQLite does not tell these apart."""


@contextmanager
def damage() -> Iterator[None]:
    """Tell what SQLite, and a look at a row, say of a file that is not what was written.

    :raises SpoolDamaged: they said so. All other errors pass as they are.
    """
    try:
        yield
    except ValueError as error:
        raise SpoolDamaged(str(error)) from error
    except sqlite3.DatabaseError as error:
        # "malformed", "not a database", "too big"; what the disk and other processes do are of other subclasses.
        if type(error) in (sqlite3.DatabaseError, sqlite3.DataError):
            raise SpoolDamaged(str(error)) from error
        raise


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Say in words what went wrong, and where. :raises SpoolError: something did."""
    try:
        yield
    except SpoolInUse:
        raise
    except SpoolDamaged as error:
        raise SpoolDamaged(reasons.AT_PATH.fill(path=path, reason=error)) from error
    except SpoolError as error:
        raise SpoolError(reasons.AT_PATH.fill(path=path, reason=error)) from error
    except sqlite3.Error as error:
        # SQLite's "database is locked" would be taken for the database.
        if "locked" in str(error):
            raise SpoolInUse(reasons.AT_PATH.fill(path=path, reason=reasons.OPEN_ELSEWHERE)) from error
        raise SpoolError(reasons.AT_PATH.fill(path=path, reason=error)) from error
    except OSError as error:
        raise SpoolError(reasons.AT_PATH.fill(path=error.filename or path, reason=os_reason(error))) from error
