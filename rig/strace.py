"""Debian's strace, which makes a process's system calls fail or last; on one's own child without privileges."""

from __future__ import annotations

import platform

from . import servers


def strace_argv() -> list[str]:
    """The command, with the libraries that it was made for.

    :raises ServersMissing: it was not fetched.
    """
    usr = servers.TREES / "tools" / "usr"
    libraries = usr / "lib" / f"{platform.machine()}-linux-gnu"
    loader = next(libraries.glob("ld-linux*.so.*"), None)
    if loader is None:
        raise servers.ServersMissing(f"{usr} is missing: run scripts/fetch-servers")
    return [str(loader), "--library-path", str(libraries), str(usr / "bin" / "strace")]
