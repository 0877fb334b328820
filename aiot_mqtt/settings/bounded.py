"""Reading files that an operator named, which may be anything."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def read_bounded(path: Path, most: int) -> bytes:
    """What a file, a pipe or a device holds up to its end.

    :param most: bytes that it may hold; a device such as ``/dev/zero`` has no end.
    :raises OSError: it cannot be read, or holds more.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def is_missing(path: Path) -> bool:
    """Whether it is certain that nothing has that name, not even a link that leads nowhere."""
    try:
        path.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False
