"""What only a running service knows, for ``aiot-mqtt check``: part of the answer at ``/readyz``."""

from __future__ import annotations

from typing import Any

from .. import __version__
from ..standby.told import Told
from .figures import Figures
from .outlook import Outlook, in_words


def particulars(figures: Figures) -> dict[str, Any]:
    """In a form that is stable, and only added to."""
    count, interval = figures.presence.flapping
    return {
        "version": __version__,
        "uptime_seconds": round(figures.uptime, 1),
        "unknown_uuids": figures.unknown_uuids,
        "taken_over": figures.broker.taken_over,
        "rival": figures.broker.is_rivalled,
        "commit_seconds": figures.database.commit_seconds,
        "outlook": _outlook(figures.spool.outlook),
        "standby": _standby(figures.standby),
        "flapping": {"devices": count, "interval_seconds": interval} if figures.presence.is_enabled else None,
    }


def _outlook(outlook: Outlook | None) -> dict[str, Any] | None:
    if outlook is None:
        return None
    words = in_words(outlook)
    return {
        "suffices": outlook.suffices,
        "more_devices": outlook.more_devices,
        "full_in_seconds": None if outlook.full_in is None else round(outlook.full_in),
        "words": {"en": str(words), "zh": words.chinese},
    }


def _standby(told: Told | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "role": told.role.value,
        "name": told.name,
        "active": told.active,
        "standbys": [*told.standbys],
        "since_seconds": round(told.since, 1),
    }
