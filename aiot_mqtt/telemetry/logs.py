"""How log events become lines: language, format, level, and where they go. Always UTF-8, whatever the locale says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import IO, Any

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from .log_lines import ENGLISH

LEVELS = {"DEBUG": LogLevel.debug, "INFO": LogLevel.info, "WARNING": LogLevel.warn, "ERROR": LogLevel.error}
NAMES = {level: name for name, level in LEVELS.items()} | {LogLevel.critical: "ERROR"}
LOG_FILE_BYTES = 10 * 1024 * 1024  # one file, before it is rotated
LOG_FILES_KEPT = 10
# Twisted tells at INFO what only its own developers need to know.
QUIET_NAMESPACES = ("twisted.internet", "twisted.application", "twisted.scripts", "stdout", "stderr")

Formatter = Callable[[LogEvent], str]


def text_line(event: LogEvent) -> str:
    """Time with zone, level, message, and a traceback behind it where there is one."""
    when = datetime.fromtimestamp(event["log_time"]).astimezone().isoformat(" ", "seconds")
    level = NAMES.get(event.get("log_level", LogLevel.info), "INFO")
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    return f"{when} [{level}] {text}"


def json_line(event: LogEvent) -> str:
    """One JSON object: ``time``, ``level``, ``logger``, ``message``, the message's own fields, ``traceback``."""
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event["log_time"]).astimezone().isoformat(),
        "level": NAMES.get(event.get("log_level", LogLevel.info), "INFO"),
        "logger": event.get("log_namespace"),
        "message": formatEvent(event),
    }
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


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as a line to some streams. A stream that cannot be written to stops only itself."""

    def __init__(self, streams: list[IO[bytes] | LogFile], line: Formatter) -> None:
        self._streams = streams
        self._line = line

    def __call__(self, event: LogEvent) -> None:
        try:
            data = (self._line(event) + "\n").encode("utf-8", "backslashreplace")
        except Exception as error:
            data = f"an event could not be formatted: {error!r}\n".encode()
        for stream in self._streams:
            try:
                stream.write(data)
                stream.flush()
            except (OSError, ValueError):  # a full disk, a closed pipe: nothing to tell, and nobody to tell it to
                continue


def make_observer(streams: list[IO[bytes] | LogFile], *, level: str, log_format: str, language: str) -> ILogObserver:
    """An observer as the settings of those names want it."""
    formatter = json_line if log_format == "json" else text_line
    line = (lambda event: formatter(in_english(event))) if language == "en" else formatter
    lowest = LogLevelFilterPredicate(defaultLogLevel=LEVELS[level])
    if level != "DEBUG":
        for namespace in QUIET_NAMESPACES:
            lowest.setLogLevelForNamespace(namespace, max(LogLevel.warn, LEVELS[level]))
    return FilteringLogObserver(LineObserver(streams, line), [lowest])


def open_streams(log_file: str, *, on_terminal: bool) -> list[IO[bytes] | LogFile]:
    """Where lines go.

    :param log_file: a path, or empty.
    :param on_terminal: whether standard output is ours, which it is not in a daemon.
    :raises OSError: the file cannot be opened.
    """
    streams: list[IO[bytes] | LogFile] = [sys.stdout.buffer] if on_terminal else []
    if log_file:
        streams.append(LogFile.fromFullPath(log_file, rotateLength=LOG_FILE_BYTES, maxRotatedFiles=LOG_FILES_KEPT))
    return streams
