"""Files that the service writes: their names, and that nothing else is to have one of these."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..telemetry.reasons import settings as reasons

LONGEST_SUFFIX = ".4.damaged-20260101-000000-999-journal"
"""Nothing that the spool puts behind ``SPOOL_FILE`` is longer."""
MAX_NAME = 255  # bytes; NAME_MAX of Linux
MAX_PATH = 511  # bytes that SQLite takes of a whole path, on any system with files like Unix's (MAX_PATHNAME)

_NAMES_BEHIND = {
    "SPOOL_FILE": re.compile(r"(\.[234])?(-journal|\.damaged-.*)?|\.lock|\.session|\.broker"),
    "LOG_FILE": re.compile(r"(\.[0-9]+)?"),
}
"""What stands behind the name of a file that is written, in the names of those that are kept beside it."""


def new_file(text: str) -> str:
    """The path of a file that may not be there yet; its folder has to be, and have room for what stands beside it."""
    if not text:
        return text
    if not os.path.isdir(os.path.dirname(text) or "."):
        raise ValueError(reasons.NO_FOLDER)
    if os.path.exists(text) and not os.path.isfile(text):
        raise ValueError(reasons.NO_PLAIN_FILE)
    longest = os.path.abspath(text + LONGEST_SUFFIX)
    if len(os.fsencode(longest)) > MAX_PATH or len(os.fsencode(os.path.basename(longest))) > MAX_NAME:
        raise ValueError(reasons.FILE_NAME_LENGTH)
    return text


def shared_files(values: Mapping[str, Any], texts: Mapping[str, str], env_file: Path | None) -> list[str]:
    """Settings, two at a time, that lead to one file, where what one of them writes would destroy the other's.

    :param values: those that are well, by their names in small letters.
    :param texts: all as they were set: what a ``…_PASSWORD_FILE`` names is no value.
    :param env_file: which holds the settings.
    """
    files = {} if env_file is None else {str(env_file): str(env_file)}
    files |= {name: text for name, text in texts.items() if name.endswith("_FILE")}
    files |= {name.upper(): text for name, text in values.items() if name.endswith("_file")}
    places = {name: os.path.realpath(text) for name, text in files.items() if text and _may_be_plain(text)}
    found = []
    for written, behind in _NAMES_BEHIND.items():
        own = places.get(written)
        for other, place in places.items():
            is_same = own is not None and place.startswith(own) and behind.fullmatch(place[len(own) :])
            if is_same and other != written and f"{written}, {other}" not in found:
                found.append(f"{other}, {written}")
    return found


def _may_be_plain(path: str) -> bool:
    return os.path.isfile(path) or not os.path.exists(path)
