"""Texts that are part of a log line and stand in both languages, as the lines themselves do."""

from __future__ import annotations

from collections.abc import Callable


class Bilingual(str):
    """A text in English, and in Chinese for a log in Chinese; ``str(error)`` of an exception that holds one keeps both.

    Whatever else is made of it, such as an f-string, is the English one. It may be a format: see ``fill``.
    """

    chinese: str

    def __new__(cls, english: str, chinese: str) -> Bilingual:
        text = super().__new__(cls, english)
        text.chinese = chinese
        return text

    def __str__(self) -> str:
        return self  # str's own would make a plain str of it

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # so that it can be copied
        return self[:], self.chinese

    def fill(self, **fields: object) -> Bilingual:
        """The text with its fields filled in; a field that is bilingual, or an error that holds one, stays so."""
        shown = {name: value if isinstance(value, str) else str(value) for name, value in fields.items()}
        chinese = {name: in_chinese(text) for name, text in shown.items()}
        return Bilingual(self.format(**shown), self.chinese.format(**chinese))


def in_chinese(text: str) -> str:
    """The Chinese one of a text that stands in both languages; any other as it is."""
    return text.chinese if isinstance(text, Bilingual) else text


def in_both(text: str, change: Callable[[str], str]) -> str:
    """What a function makes of a text, in both languages where it has two."""
    return Bilingual(change(text[:]), change(text.chinese)) if isinstance(text, Bilingual) else change(text)


def listed(texts: list[Bilingual], between: str = ", ", between_chinese: str = "、") -> Bilingual:
    """Texts in a row, as each language puts them."""
    return Bilingual(between.join(texts), between_chinese.join(text.chinese for text in texts))
