"""How log events become lines: language, format, level, and where they go. Always UTF-8, whatever the locale says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
)
from zope.interface import implementer

from .bilingual import Bilingual
from .log_lines import ENGLISH, EVENTS
from .streams import Outlet, Stream

LEVELS = {"DEBUG": LogLevel.debug, "INFO": LogLevel.info, "WARNING": LogLevel.warn, "ERROR": LogLevel.error}
NAMES = {level: name for name, level in LEVELS.items()} | {LogLevel.critical: "ERROR"}
# Twisted tells at INFO what only its own developers need to know.
QUIET_NAMESPACES = ("twisted.internet", "twisted.application", "twisted.scripts", "log_legacy", "stdout", "stderr")

Formatter = Callable[[LogEvent], str]


def text_line(event: LogEvent) -> str:
    """Time with zone, level, message, and a traceback behind it where there is one."""
    when = datetime.fromtimestamp(event["log_time"]).astimezone().isoformat(" ", "seconds")
    level = NAMES.get(event.get("log_level", LogLevel.info), "INFO")
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return f"{when} [{level}] {text}"


def json_line(event: LogEvent) -> str:
    """One JSON object: ``time``, ``level``, ``logger``, ``message``, the message's own fields, ``traceback``.

    With ``event`` where the line is one of ours: the name that it keeps whatever its words become.
    """
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event["log_time"]).astimezone().isoformat(),
        "level": NAMES.get(event.get("log_level", LogLevel.info), "INFO"),
        "logger": event.get("log_namespace"),
    }
    if (name := EVENTS.get(str(event.get("log_format")))) is not None:
        line["event"] = name
    line["message"] = formatEvent(event)
    for name, value in event.items():
        if isinstance(value, str | int | float | bool) and not name.startswith("log_") and name not in line:
            line[name] = value
    if (failure := event.get("log_failure")) is not None:
        line["traceback"] = failure.getTraceback()
    return json.dumps(line, ensure_ascii=False)


def in_english(event: LogEvent) -> LogEvent:
    """The event with the English line instead of the Chinese one; others as they are."""
    english = ENGLISH.get(str(event.get("log_format")))
    return event if english is None else {**event, "log_format": english}


def in_chinese(event: LogEvent) -> LogEvent:
    """The event with the Chinese one of each text that is part of its line and stands in both languages."""
    chinese = {name: value.chinese for name, value in event.items() if isinstance(value, Bilingual)}
    return {**event, **chinese} if chinese else event


@implementer(ILogObserver)
class LineObserver:
    """Hands each event on as a line in UTF-8, whatever it holds."""

    def __init__(self, write: Sequence[Callable[[bytes], object]], line: Formatter) -> None:
        self._write = write
        self._line = line

    def __call__(self, event: LogEvent) -> None:
        data = _encoded(event, self._line)
        for write in self._write:
            write(data)


def _encoded(event: LogEvent, line: Formatter) -> bytes:
    try:
        return (line(event) + "\n").encode("utf-8", "backslashreplace")
    except Exception as error:
        return f"an event could not be formatted: {error!r}\n".encode()


class Log:
    """All lines of a process, as the settings of these names want them, on their way to some streams.

    :ivar observer: what Twisted is given.
    """

    def __init__(self, streams: Sequence[Stream], *, level: str, log_format: str, language: str) -> None:
        formatter = json_line if log_format == "json" else text_line
        translated = in_english if language == "en" else in_chinese

        def line(event: LogEvent) -> str:
            return formatter(translated(event))

        def warning(log_format: str, **fields: Any) -> bytes:
            own = {"log_time": time.time(), "log_level": LogLevel.warn, "log_namespace": __name__}
            return _encoded({**own, "log_format": log_format, **fields}, line)

        def put(data: bytes) -> None:
            for outlet in self._outlets:
                outlet.put(data)

        self._outlets = [Outlet(stream, warning, put) for stream in streams]
        lowest = LogLevelFilterPredicate(defaultLogLevel=LEVELS[level])
        if level != "DEBUG":
            for namespace in QUIET_NAMESPACES:
                lowest.setLogLevelForNamespace(namespace, max(LogLevel.warn, LEVELS[level]))
        lines = LineObserver([put], line)
        self.observer: ILogObserver = FilteringLogObserver(lines, [lowest])

    def start(self) -> None:
        """Begin to write; until then lines wait. A daemon has forked by then."""
        for outlet in self._outlets:
            outlet.start()

    def reopen(self) -> None:
        """Open files anew: they were moved away."""
        for outlet in self._outlets:
            outlet.reopen()

    def finish(self, seconds: float) -> None:
        """Wait for what is not written, each stream no longer than this, because the process is about to end."""
        for outlet in self._outlets:
            outlet.finish(seconds)
