"""What only a running service knows, for ``aiot-mqtt check``: part of the answer at ``/readyz``."""

from __future__ import annotations

from typing import Any

from .. import __version__
from .figures import Figures


def particulars(figures: Figures) -> dict[str, Any]:
    """In a form that is stable, and only added to."""
    count, interval = figures.presence.flapping
    return {
        "version": __version__,
        "uptime_seconds": round(figures.uptime, 1),
        "unknown_uuids": figures.unknown_uuids,
        "taken_over": figures.broker.taken_over,
        "commit_seconds": figures.database.commit_seconds,
        "flapping": {"devices": count, "interval_seconds": interval} if figures.presence.is_enabled else None,
    }
