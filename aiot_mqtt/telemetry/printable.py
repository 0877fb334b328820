"""Texts that somebody else wrote, made fit to stand in a log line."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text in printable characters: line breaks, control characters and those that turn the direction of writing
    stand as escapes.
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable(text: str, most: int) -> str:
    """The same in at most ``most`` characters; … stands for what is left out."""
    shown = escaped(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"
