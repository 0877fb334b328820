"""Tells what is done to the service and what is seen of it, a sentence at a time, in English or in Chinese."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Group, RenderableType
from rich.text import Text

from aiot_mqtt.health.state import State
from aiot_mqtt.telemetry.bilingual import Bilingual, in_chinese, listed

from . import display
from .drawing import write_picture

AWAY = "away"
"""The state of a service that nobody reaches."""
COLUMNS = 104  # of a picture, and where there is no terminal
COLOURS = {
    State.OK.value: Bilingual("green", "绿色"),
    State.LOOK.value: Bilingual("amber", "黄色"),
    State.PROTECTED.value: Bilingual("blue", "蓝色"),
    State.FAULT.value: Bilingual("red", "红色"),
    AWAY: Bilingual("grey once that lasts 5 s", "持续 5 秒后变灰"),
}
_STYLES = {
    State.OK.value: "green",
    State.LOOK.value: "yellow",
    State.PROTECTED.value: "blue",
    State.FAULT.value: "red",
    AWAY: "dim",
}
_WORDS = {**{state.value: state.word for state in State}, AWAY: Bilingual("No answer", "无应答")}
_OUTCOMES = {
    "received": Bilingual("received", "收到"),
    "recovered": Bilingual("recovered", "找回"),
    "stored": Bilingual("stored", "已存"),
    "superseded": Bilingual("superseded", "被更新的替代"),
    "unchanged": Bilingual("unchanged", "无变化"),
    "refused": Bilingual("refused", "被拒绝"),
    "retained": Bilingual("retained", "保留消息"),
    "stale": Bilingual("stale", "过时重发"),
    "dropped": Bilingual("dropped", "已丢弃"),
    "pending": Bilingual("pending", "等待"),
}
_ALWAYS_TOLD = {"received", "stored", "superseded"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at one time; counts of devices and messages."""

    published: int
    acknowledged: int
    """By the broker, to the devices."""
    deliveries: Mapping[str, int]
    """What the present process of the service counts, since its start; empty while it cannot be asked."""
    outcomes: Mapping[str, int]
    """What became of those."""
    spooled: int
    """Devices whose state waits on disk."""
    online: int
    """As the table shows them."""
    devices: int
    state: str
    """Of the service: a ``State``'s value, or ``AWAY``."""

    def in_words(self) -> list[Bilingual]:
        """Devices and messages in one line; in another, where the service can be asked, its sum."""
        parts = [
            Bilingual(
                f"published {self.published:,}, acknowledged {self.acknowledged:,}",
                f"已发布 {self.published:,}，已确认 {self.acknowledged:,}",
            ),
            Bilingual(f"online {self.online:,} of {self.devices:,}", f"在线 {self.online:,} / {self.devices:,}"),
        ]
        if not self.deliveries:
            return [listed(parts, "; ", "；")]
        parts.append(Bilingual(f"on disk {self.spooled:,} devices", f"本机暂存 {self.spooled:,} 台"))
        return [listed(parts, "; ", "；"), sum_in_words(self.deliveries, self.outcomes)]


def sum_in_words(deliveries: Mapping[str, int], outcomes: Mapping[str, int]) -> Bilingual:
    """Both sides of the sum, without what is 0."""
    sides = []
    for side in (deliveries, outcomes):
        told = [(_OUTCOMES[name], count) for name, count in side.items() if count or name in _ALWAYS_TOLD]
        sides.append(listed([Bilingual(f"{name} {n:,}", f"{name.chinese} {n:,}") for name, n in told], " + ", " + "))
    return listed(sides, " = ", " = ")


def language_of(environment: Mapping[str, str]) -> str:
    """``zh`` or ``en``: as ``LOG_LANGUAGE`` says, or else the locale."""
    if (said := environment.get("LOG_LANGUAGE", "").strip().lower()) in ("zh", "en"):
        return said
    return "zh" if locale_of(environment).startswith("zh") else "en"


def locale_of(environment: Mapping[str, str]) -> str:
    """The locale of texts, in lower case; empty where none is set."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    return next((environment[name] for name in names if environment.get(name)), "").lower()


class Narrator(display.Display):
    """Says sentences that stay, and below them, where that can be redrawn, how things stand."""

    def __init__(self, stream: IO[str], *, language: str | None = None, can_redraw: bool | None = None) -> None:
        """
        :param language: ``zh`` or ``en``; None: see for yourself. Where Chinese cannot be shown it is English.
        :param can_redraw: as the base's.
        """
        super().__init__(stream, can_redraw=can_redraw, piped_columns=COLUMNS)
        self._is_utf8 = "utf" in locale_of(os.environ)
        self._language = (language or language_of(os.environ)) if self._is_utf8 else "en"
        self._steps = 0
        self._told: list[Text] = []

    @property
    def language(self) -> str:
        """``zh`` or ``en``."""
        return self._language

    def tell(self, text: str, style: str = "") -> None:
        """A sentence."""
        self._print(text, style)

    def step(self, text: str) -> None:
        """The next step begins: what is done now."""
        self._steps += 1
        self._print(text, "bold", f"\n{self._steps}. ")

    def done(self, text: str) -> None:
        """Something is done, within a step."""
        self._print(text, "cyan", "   > ")

    def seen(self, text: str) -> None:
        """Something is seen of it."""
        self._print(text, "", "     ")

    def looks(self, standing: Standing) -> None:
        """What the page looks like now, and the figures of this time."""
        colour, word = COLOURS[standing.state], _WORDS[standing.state]
        text = Bilingual(f"Look at the page: {colour}, {word}.", f"看页面：{colour.chinese}，{word.chinese}。")
        self._print(text, _STYLES[standing.state], "     ")
        self.figures(standing)

    def figures(self, standing: Standing) -> None:
        """The figures of this time."""
        for line in standing.in_words():
            self._print(line, "dim", "     ")

    def checked(self, is_right: bool, text: str) -> None:
        """A line of the closing account."""
        self._print(text, "green" if is_right else "bold red", "ok    " if is_right else "WRONG ")

    def show_standing(self, standing: Standing) -> None:
        """How things stand, until the next time; nothing where it cannot be redrawn."""
        if self._live is not None:
            state = Text(f"● {self._in_language(_WORDS[standing.state])}", _STYLES[standing.state])
            lines = [Text(self._in_language(line), "dim") for line in standing.in_words()]
            shown = [self._shown(line) for line in (Text(""), state, *lines)]
            for line in shown:
                line.no_wrap, line.overflow = True, "ellipsis" if self._is_utf8 else "crop"
            self.show(Group(*shown), "", 0.0)

    def picture(self, path: Path, title: str) -> None:
        """Write all that was told as an SVG that stands alone."""
        lines: list[RenderableType] = list(self._told)
        write_picture(Group(*lines), path, title, COLUMNS)

    def _print(self, text: str, style: str, lead: str = "") -> None:
        line = self._shown(Text.assemble(lead, (self._in_language(text), style)))
        self._told.append(line)
        self.console.print(line, soft_wrap=True)

    def _in_language(self, text: str) -> str:
        return in_chinese(text) if self._language == "zh" else text[:]

    def _shown(self, text: Text) -> Text:
        if not self._is_utf8:
            text.plain = text.plain.encode("ascii", "ignore").decode()
        return text
