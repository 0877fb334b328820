"""Every line this service logs, in Chinese as its operators grep for it and in English.

A line is its Chinese text, which is also its key: code logs ``log_lines.X`` with named fields, and the observer shows
the English one instead when ``LOG_LANGUAGE=en``. So no code that logs knows about languages. The modules here say which
lines are about what; all of them are reached as ``log_lines.X``. ``docs/log-messages.md`` says what each means.

Its first character says its level: ❌ is ERROR, ⚠️ is WARNING, anything else is INFO or DEBUG.
"""

# ruff: noqa: F403

from __future__ import annotations

from .broker import *
from .contract import *
from .database import *
from .health import *
from .languages import ENGLISH as ENGLISH
from .messages import *
from .presence import *
from .process import *
from .spool import *
from .standby import *

EVENTS: dict[str, str] = {
    text: name
    for name, chinese in sorted(globals().items())
    if name.isupper() and isinstance(chinese, str) and chinese in ENGLISH
    for text in (chinese, ENGLISH[chinese])
}
"""What each line is called, whatever its language and its words: the name of its constant, by its format."""
