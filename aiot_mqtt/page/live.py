"""Sends what changes to whoever watches: one look a second for all of them, and none while nobody watches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from twisted.application.service import Service
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.http import Request
from zope.interface import implementer

from ..telemetry import log_lines

LOOK_INTERVAL = 1.0  # s
MAX_VIEWERS = 50
NOT_READING = 10.0  # s after which a viewer that takes nothing is let go


class View(NamedTuple):
    """What a viewer may see, and in which language."""

    language: str
    shows_devices: bool


class Shown(NamedTuple):
    """What there is to see of one moment."""

    state: str
    title: str
    sentence: str
    parts: Mapping[str, str]


@implementer(IPushProducer)
@dataclass(eq=False)
class _Viewer:
    """One stream. What it holds is bounded: while the peer takes nothing, nothing is written."""

    request: Request
    view: View
    gone: Callable[[_Viewer], None]
    is_paused: bool = False
    paused_for: float = 0.0
    has: Mapping[str, str] = field(default_factory=dict)
    """What was sent last, by its part."""

    def send(self, word: bytes, parts: Mapping[str, str]) -> None:
        """Write this, after which the peer has these parts."""
        self.request.write(word)
        self.has = parts

    def pauseProducing(self) -> None:
        """The peer does not read, or not as fast."""
        self.is_paused = True

    def resumeProducing(self) -> None:
        """It has read what there was."""
        self.is_paused, self.paused_for = False, 0.0

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.gone(self)


class Live(Service):
    """All streams."""

    _log = Logger()

    def __init__(self, look: Callable[[View], Shown], clock: IReactorTime) -> None:
        """:param look: what a view shows now; asked once a second for each that somebody has."""
        self._look = look
        self._viewers: set[_Viewer] = set()
        self._looking = LoopingCall(self._tick)
        self._looking.clock = clock

    @property
    def viewers(self) -> int:
        """Those that watch."""
        return len(self._viewers)

    @property
    def is_full(self) -> bool:
        """Whether nobody else is taken."""
        return not self.running or len(self._viewers) >= MAX_VIEWERS

    def stopService(self) -> None:
        """End all streams at once."""
        super().stopService()
        for viewer in list(self._viewers):
            self._end(viewer)

    def add(self, request: Request, view: View) -> None:
        """Send to this request until its connection ends; its headers are set."""
        shown = self._look(view)
        viewer = _Viewer(request, view, self._forget)
        self._viewers.add(viewer)
        request.notifyFinish().addErrback(lambda _failure: self._forget(viewer))
        request.registerProducer(viewer, True)
        viewer.send(_word(shown, {}), shown.parts)
        if not self._looking.running:
            self._looking.start(LOOK_INTERVAL, now=False)

    def _tick(self) -> None:
        shown: dict[View, Shown] = {}
        words: dict[tuple[View, int], bytes] = {}  # by what those who get them have already
        for viewer in list(self._viewers):
            if viewer.is_paused:
                viewer.paused_for += LOOK_INTERVAL
                if viewer.paused_for >= NOT_READING:
                    self._end(viewer)
                continue
            try:
                if viewer.view not in shown:
                    shown[viewer.view] = self._look(viewer.view)
                having = viewer.view, id(viewer.has)
                if having not in words:
                    words[having] = _word(shown[viewer.view], viewer.has)
                viewer.send(words[having], shown[viewer.view].parts)
            except Exception:  # the next look may be better, and the others have theirs
                self._log.failure(log_lines.PAGE_FAILED_UNEXPECTEDLY)
                self._end(viewer)

    def _end(self, viewer: _Viewer) -> None:
        self._forget(viewer)
        transport: Any = viewer.request.transport
        if transport is not None:
            transport.abortConnection()

    def _forget(self, viewer: _Viewer) -> None:
        self._viewers.discard(viewer)
        if not self._viewers and self._looking.running:
            self._looking.stop()


def _word(shown: Shown, has: Mapping[str, str]) -> bytes:
    """What is sent to who has this already."""
    news = {name: text for name, text in shown.parts.items() if has.get(name) != text}
    message = {"state": shown.state, "title": shown.title, "said": shown.sentence, "parts": news}
    # JSON has no line break but between its parts, where json.dumps puts none.
    return f"data: {json.dumps(message, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
