"""Texts that somebody else wrote, made fit to stand in a log line."""

from __future__ import annotations

import json
from urllib.parse import quote

SHOWN = 100  # characters of a payload or a name that are shown
SHORTEST_MASKED = 4  # characters; to mask a shorter password would tell it, by what is missing everywhere


def escaped(text: str) -> str:
    """The text in printable characters: line breaks, control characters and those that turn the direction of writing
    stand as escapes.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable(text: str, most: int) -> str:
    """The text as ``escaped``, in at most ``most`` characters; … stands for what is left out."""
    shown = escaped(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def shorten(text: bytes | str) -> str:
    """The first ``SHOWN`` characters of a payload, a topic or a name, as ``escaped``; … says that there are more."""
    if isinstance(text, bytes):
        text = text[: 4 * (SHOWN + 1)].decode("utf-8", "backslashreplace")
    shown = escaped(text[:SHOWN])
    return shown if len(text) <= SHOWN else shown + "…"


def masked(text: str, password: str) -> str:
    """The text of a peer that knows a password, without that, in the forms in which servers repeat what they got."""
    if len(password) < SHORTEST_MASKED:
        return text
    encoded = password.encode("utf-8", "surrogateescape")
    forms = [
        password,
        repr(password)[1:-1],
        ascii(password)[1:-1],
        repr(encoded)[2:-1],
        password.replace("\\", "\\\\").replace("'", "\\'"),  # as SQL has it
        password.replace("'", "''"),
        password.replace('"', '""'),
        json.dumps(password)[1:-1],
        quote(password, safe=""),
        encoded.decode("latin-1"),
        password.encode("latin-1", "replace").decode("utf-8", "replace"),
    ]
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text
