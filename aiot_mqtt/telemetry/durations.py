"""Lengths of time in words."""

from __future__ import annotations

from .bilingual import Bilingual

_UNITS = (
    (86400, 3600, ("d", "天", "h", "小时")),
    (3600, 60, ("h", "小时", "min", "分")),
    (60, 1, ("min", "分", "s", "秒")),
)


def duration(seconds: float) -> Bilingual:
    """A time in the two largest units that say something."""
    whole = round(seconds)
    for size, smaller, names in _UNITS:
        if whole >= size:
            big, small = divmod(whole, size)
            small //= smaller
            english, chinese = f"{big} {names[0]}", f"{big} {names[1]}"
            return Bilingual(
                f"{english} {small} {names[2]}" if small else english,
                f"{chinese} {small} {names[3]}" if small else chinese,
            )
    return Bilingual(f"{whole} s", f"{whole} 秒")
