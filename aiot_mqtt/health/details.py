"""What ``/status`` tells beside ``/readyz``, for ``aiot-mqtt status``: figures of one moment, and names that knock."""

from __future__ import annotations

from typing import Any

from ..telemetry.bilingual import Bilingual
from ..telemetry.outage import Trouble
from .figures import Figures
from .metrics import Beside


def details(figures: Figures, beside: Beside, newest_strangers: list[str]) -> dict[str, Any]:
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
        "devices": None if devices is None else {"online": devices[0], "all": devices[1]},
        "sum": {"deliveries": balance.deliveries, "outcomes": balance.outcomes},
        "newest_unknown_uuids": newest_strangers,
    }


def _trouble(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    reason = trouble.reason
    chinese = reason.chinese if isinstance(reason, Bilingual) else reason
    next_in = None if trouble.next_in is None else round(trouble.next_in, 1)
    return {"reason": {"en": str(reason), "zh": chinese}, "seconds": round(trouble.seconds, 1), "next_in": next_in}
