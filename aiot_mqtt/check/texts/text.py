"""One text of the check: what is said, and what to do, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...telemetry.bilingual import Bilingual


class Text(NamedTuple):
    """What is said of a thing, with ``{name}`` for values; a value that is ``Bilingual`` is put in by language."""

    english: str
    chinese: str
    remedy: str = ""
    """What to do; empty: nothing."""
    remedy_chinese: str = ""

    def filled(self, values: Mapping[str, Any]) -> tuple[Bilingual, Bilingual | None]:
        """The text, and what to do."""
        chinese = {name: value.chinese if isinstance(value, Bilingual) else value for name, value in values.items()}
        message = Bilingual(self.english.format(**values), self.chinese.format(**chinese))
        if not self.remedy:
            return message, None
        return message, Bilingual(self.remedy.format(**values), self.remedy_chinese.format(**chinese))
