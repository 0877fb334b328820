"""Who reads the page: in which language, and by which clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from ..telemetry.bilingual import in_chinese
from ..telemetry.durations import duration
from . import words

LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class Reader:
    """Puts things as somebody reads them."""

    language: str
    """One of ``LANGUAGES``."""
    zone: tzinfo
    now: float
    """Seconds since the epoch."""

    def says(self, text: str, **fields: str) -> str:
        """A text in this language; ``fields`` are put in as they are."""
        said = in_chinese(text) if self.language == "zh" else text[:]
        return said.format(**fields) if fields else said

    def lasts(self, seconds: float) -> str:
        """A length of time."""
        return self.says(duration(max(0.0, seconds)))

    def ago(self, time: float) -> str:
        """How long ago that was. :param time: seconds since the epoch."""
        if self.now - time < 1:
            return self.says(words.JUST_NOW)
        return self.says(words.AGO, lasts=self.lasts(self.now - time))

    def clock(self, time: float) -> str:
        """A time as the clock of the table shows it, with its date where that is not today's."""
        then, now = (datetime.fromtimestamp(each, self.zone) for each in (time, self.now))
        return then.strftime("%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def language_of(asked: str, accepted: str, default: str) -> str:
    """The language to answer in.

    :param asked: what the address says; empty: nothing.
    :param accepted: the header ``Accept-Language``.
    :param default: where neither says one that we have.
    """
    for wanted in (asked, *_in_order(accepted)):
        if (language := wanted.strip().lower()[:2]) in LANGUAGES:
            return language
    return default


def _in_order(accepted: str) -> Sequence[str]:
    """The languages of the header, the most wanted first (RFC 9110, 12.5.4)."""
    wanted = []
    for each in accepted[:1000].split(","):
        name, _, weight = each.partition(";")
        try:
            wanted.append((float(weight.strip().removeprefix("q=") or 1), name))
        except ValueError:
            continue
    return [name for weight, name in sorted(wanted, key=lambda each: -each[0]) if weight > 0]
