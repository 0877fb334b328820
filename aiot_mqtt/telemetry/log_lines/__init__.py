"""Every line this service logs, in Chinese as its operators grep for it and in English.

A line is its Chinese text, which is also its key: code logs ``log_lines.X`` with named fields, and the observer shows
the English one instead when ``LOG_LANGUAGE=en``. So no code that logs knows about languages. The modules here say which
lines are about what; all of them are reached as ``log_lines.X``.
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
