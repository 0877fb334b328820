"""Looks at the service for the page, at most once a second, however many ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo

from twisted.internet.interfaces import IReactorTime

from .bar import title
from .document import Kept, live_parts
from .live import Shown, View
from .moment import Moment
from .reader import Reader

MAX_AGE = 0.9  # s that a look may be old


class Looks:
    """The last look, and what of it is shown."""

    def __init__(self, take: Callable[[], Moment], zone: tzinfo, clock: IReactorTime) -> None:
        """:param zone: whose clock times are shown by."""
        self._take = take
        self._zone = zone
        self._clock = clock
        self._moment: Moment | None = None
        self._parts: dict[View, Mapping[str, str]] = {}
        self._kept: dict[View, Kept] = {}

    def at(self, view: View) -> tuple[Moment, Reader, Mapping[str, str]]:
        """What there is to see, who sees it, and its parts."""
        now = self._clock.seconds()
        moment = self._moment
        if moment is None or not 0 <= now - moment.clock < MAX_AGE:
            moment = self._moment = self._take()
            self._parts.clear()
        reader = Reader(view.language, self._zone, moment.figures.time)
        if view not in self._parts:
            self._parts[view] = live_parts(
                moment, reader, self._kept.setdefault(view, {}), shows_devices=view.shows_devices
            )
        return moment, reader, self._parts[view]

    def shown(self, view: View) -> Shown:
        """The same, for a stream."""
        moment, reader, shown = self.at(view)
        verdict = moment.verdict
        sentence = f"{reader.says(verdict.state.word)}: {reader.says(verdict.sentence)}"
        return Shown(verdict.state.value, title(verdict, reader), sentence, shown)
