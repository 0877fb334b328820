"""Why something was refused or failed, in both languages: for log lines, ``status`` and mistakes in settings.

Formats, each filled with its fields where it is raised. Words that somebody else wrote, a server, a driver or the
system's libraries, are quoted in them as they are. TLS has its own, as tables: ``tls.refusal`` and ``tls.faults``.
"""

# ruff: noqa: F403

from __future__ import annotations

from .broker import *
from .database import *
from .presence import *
from .reports import *
from .settings import *
from .spool import *
