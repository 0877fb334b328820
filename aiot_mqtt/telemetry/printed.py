"""What a command prints, where that may not be taken."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable


def printed(tell: Callable[[], int], otherwise: int) -> int:
    """The exit code that follows from what is printed, or another where nobody takes it: a full disk, a closed pipe.

    :param tell: prints to standard output and returns the exit code.
    """
    try:
        code = tell()
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"aiot-mqtt: standard output: {error.strerror}\n")
        # Else what is left of it is tried again at the end of the process, which then has an exit code of its own.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return otherwise
    return code
