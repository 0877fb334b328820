"""Holds what is logged while tests run to what it looks like: ❌ is ERROR, ⚠️ is WARNING, and nothing else is."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.python import log as legacy_log
from zope.interface import implementer

from aiot_mqtt.telemetry.log_lines import EVENTS

ERROR, WARNING = "❌", "⚠️"
LEVELS = {LogLevel.critical: ERROR, LogLevel.error: ERROR, LogLevel.warn: WARNING}


class WrongLevel(Exception):
    """A line of ours says with its icon what its level denies."""


def wrong_level(event: LogEvent) -> str | None:
    """What is wrong with the level of an event; None: nothing, or it is none of ours."""
    line = str(event.get("log_format"))
    if line not in EVENTS:
        return None
    level = event["log_level"]
    icon = next((icon for icon in (ERROR, WARNING) if line.startswith(icon)), "")
    return None if LEVELS.get(level, "") == icon else f"{EVENTS[line]} at {level.name}: {line}"


@implementer(ILogObserver)
def _check(event: LogEvent) -> None:
    if (wrong := wrong_level(event)) is not None:
        legacy_log.err(WrongLevel(wrong))  # fails the test that is running


def watch_levels() -> None:
    """From now on, a line at another level than its icon's fails the test in which it is logged."""
    globalLogPublisher.addObserver(_check)
