"""Files with secrets that other users of this host may read or write."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from .settings import Texts


def exposed_files(texts: Texts) -> Iterator[tuple[str, str, int]]:
    """Of the files that hold the settings, a password or a key, those whose own mode is open to others.

    As with ssh, a folder that keeps them out is no excuse: it may be another one tomorrow.
    Returns for each what it is called, its path, and its mode.
    """
    files = {} if texts.file is None else {str(texts.file): texts.file}
    files |= {name: Path(path) for name, path in texts.by_name.items() if path and _names_secret_file(name)}
    for name, file in files.items():
        try:
            status = file.stat()
        except OSError:  # it is gone by now
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            yield name, str(file), stat.S_IMODE(status.st_mode)


def _names_secret_file(setting: str) -> bool:
    return setting.endswith(("_PASSWORD_FILE", "_KEY_FILE", "_TOKEN_FILE")) and "_PUBLIC_" not in setting
