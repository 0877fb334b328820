"""A line in two languages: its Chinese text, and what it is in English."""

from __future__ import annotations

ENGLISH: dict[str, str] = {}
"""Chinese format to English format."""


def line(chinese: str, english: str) -> str:
    """A line that is logged, with the same fields in both languages; its key is its Chinese text, which is returned."""
    ENGLISH[chinese] = english
    return chinese
