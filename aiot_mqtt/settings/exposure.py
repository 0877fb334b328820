"""Files with secrets that other users of this host may read or write."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from .settings import read_texts


def exposed_files(environ: Mapping[str, str], env_file: str | None = None) -> Iterator[tuple[str, str, int]]:
    """Of the files that hold the settings, a password or a key, those that are open to others.

    :return: for each what it is called, its path, and its mode.
    """
    path, texts, _origin, _mistakes = read_texts(environ, env_file)
    files = {str(path): path} if path is not None else {}
    secret = ("_PASSWORD_FILE", "_KEY_FILE")
    files |= {name: Path(text) for name, text in texts.items() if name.endswith(secret) and text}
    for name, file in files.items():
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & (stat.S_IROTH | stat.S_IWOTH) and _others_get_to(file):
                yield name, str(file), mode
        except OSError:  # it is gone by now
            continue


def _others_get_to(file: Path) -> bool:
    """Whether no folder on the way keeps other users out."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in file.resolve().parents)
