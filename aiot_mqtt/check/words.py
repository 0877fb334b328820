"""Small pieces of sentences that several probes need."""

from __future__ import annotations

from collections.abc import Iterator

from ..telemetry.bilingual import Bilingual


def both(words: object) -> Bilingual:
    """Somebody's words, in both languages where they have them."""
    return words if isinstance(words, Bilingual) else Bilingual(str(words), str(words))


_ADVICE = " What to do: "


def has_advice(words: str) -> bool:
    """Whether a sentence of ours says what is to be done."""
    return _ADVICE in words


def with_advice(words: str) -> tuple[Bilingual, Bilingual]:
    """A sentence of ours, apart from what it says is to be done: behind "What to do:", or the last Chinese sentence."""
    english, mark, advice = str.partition(words, _ADVICE)
    chinese = both(words).chinese
    before, full_stop, chinese_advice = chinese.removesuffix("。").rpartition("。")
    if not mark:
        return both(words), Bilingual("see its log", "查看对方的日志")
    if not full_stop:
        before, chinese_advice = chinese, chinese
    return Bilingual(english.rstrip(". "), before), Bilingual(advice, chinese_advice)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
