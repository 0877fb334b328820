"""What ``/status`` tells beside ``/readyz``, for ``aiot-mqtt status``: figures of one moment, and names that knock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from ..presence.flips import Flip
from ..telemetry.bilingual import Bilingual
from ..telemetry.outage import Trouble
from ..telemetry.printable import shorten
from .figures import Figures
from .metrics import Beside

SHOWN_FLIPS = 5


def details(figures: Figures, beside: Beside) -> dict[str, Any]:
    """In a form that is stable, and only added to; times in seconds since the epoch. null: it is not known."""
    broker, database, spool = figures.broker, figures.database, figures.spool
    balance = figures.counters.balance(figures.pending + spool.deliveries)
    space, devices = beside.space, beside.devices
    return {
        "time": figures.time,
        "started": figures.time - figures.uptime,
        "broker": {
            "address": broker.address,
            "trouble": _trouble(broker.trouble),
            "messages_per_second": round(broker.rate, 1),
            "last_message": broker.last_message_at or None,
            "oldest_unacknowledged_seconds": round(broker.oldest_unacknowledged, 1),
            "unacknowledged": broker.unacknowledged,
            "unacknowledged_peak": round(beside.past.unacknowledged_peak),
            "window": broker.window,
            "dropped": broker.dropped,
            "sessions_lost": broker.sessions_lost,
        },
        "database": {
            "address": database.address,
            "in_use": beside.database_server,
            "trouble": _trouble(database.trouble),
        },
        "spool": None
        if not spool.is_enabled
        else {
            "devices": spool.devices,
            "since": spool.since,
            "bytes": None if space is None else space.used,
            "free_bytes": None if space is None else space.free,
            "trouble": _trouble(spool.trouble),
        },
        "devices": None
        if devices is None
        else {"online": devices[0], "all": devices[1], "counted_ago": beside.counted_ago},
        "sum": {"deliveries": balance.deliveries, "outcomes": balance.outcomes},
    }


def of_devices(strangers: Sequence[str], flips: Iterable[Flip]) -> dict[str, Any]:
    """What it tells of single devices, in a form that is stable, and only added to.

    :param strangers: names that no row has and that sent something lately. :param flips: the newest first.
    """
    return {
        "newest_unknown_uuids": [*strangers],
        "newest_changes": [
            {"uuid": shorten(each.device), "time": each.at, "online": each.is_online, "own_word": each.is_own_word}
            for each in islice(flips, SHOWN_FLIPS)
        ],
    }


def _trouble(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    reason = trouble.reason
    chinese = reason.chinese if isinstance(reason, Bilingual) else reason
    next_in = None if trouble.next_in is None else round(trouble.next_in, 1)
    return {"reason": {"en": str(reason), "zh": chinese}, "seconds": round(trouble.seconds, 1), "next_in": next_in}
