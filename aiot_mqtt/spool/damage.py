"""How it is told that a file of the spool is not what was written to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from .disk import SpoolError


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
