"""Texts that somebody else wrote, made fit to stand in a log line."""

from __future__ import annotations

SHOWN = 100  # characters of a payload or a name that are shown


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
