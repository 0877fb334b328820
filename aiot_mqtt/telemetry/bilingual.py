"""Texts that are part of a log line and stand in both languages, as the lines themselves do."""

from __future__ import annotations


class Bilingual(str):
    """A text in English, and in Chinese for a log in Chinese; ``str(error)`` of an exception that holds one keeps both.

    Whatever else is made of it, such as an f-string, is the English one.
    """

    chinese: str

    def __new__(cls, english: str, chinese: str) -> Bilingual:
        text = super().__new__(cls, english)
        text.chinese = chinese
        return text

    def __str__(self) -> str:
        return self  # str's own would make a plain str of it
