"""Collects what ``/metrics`` tells and no verdict depends on, from those who know it."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from ..mqtt.subscriber import State as Subscribed
from ..mqtt.subscriber import Subscriber
from ..mqtt.tls_endpoint import TlsEndpoint
from ..spool.space import Space
from ..spool.spooler import Spooler
from ..table.contract import StoreService
from ..table.mysql import DeviceTable
from .alert_command import RESULTS, AlertCommand
from .line_tally import LineTally
from .metrics import Beside, Past
from .pace import Pace
from .refreshed import Refreshed
from .trends import Trends

SPACE_INTERVAL = 10.0  # s between two looks at the room on disk
COUNT_INTERVAL = 60.0  # s between two counts of the devices


class Besides:
    """Knows whom to ask."""

    def __init__(
        self,
        *,
        subscriber: Subscriber,
        pace: Pace,
        trends: Trends,
        lines: LineTally,
        alerts: AlertCommand | None,
        spooler: Spooler | None,
        table: StoreService,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
    ) -> None:
        """:param endpoint: dialled for the broker."""
        self._subscriber = subscriber
        self._pace = pace
        self._trends = trends
        self._lines = lines
        self._alerts = alerts
        self._space: Refreshed[Space | None] | None = None
        if spooler is not None:
            ask: Any = spooler.space
            self._space = Refreshed(ask, None, SPACE_INTERVAL, clock)
        self._devices: Refreshed[tuple[int, int] | None] | None = None
        if isinstance(table, DeviceTable):
            count: Any = table.count_devices
            self._devices = Refreshed(count, None, COUNT_INTERVAL, clock)
        self._tls = {
            "broker": endpoint.tls if isinstance(endpoint, TlsEndpoint) else None,
            "database": table.tls if isinstance(table, DeviceTable) else None,
        }

    def now(self) -> Beside:
        """This moment."""
        trends = self._trends
        return Beside(
            makes_progress=not self._pace.stalled(),
            is_connected=self._subscriber.state in (Subscribed.SUBSCRIBING, Subscribed.SUBSCRIBED),
            tally=self._subscriber.tally,
            past=Past(
                trends.started_at,
                trends.listened_seconds,
                trends.unacknowledged_peak,
                trends.reactor_lag,
                trends.committed_at,
                trends.stored_at,
                trends.pending_bytes,
                trends.pending_limit,
                trends.said_offline,
            ),
            space=None if self._space is None else self._space.value(),
            devices=None if self._devices is None else self._devices.value(),
            lines=self._lines.lines,
            faults=self._lines.faults,
            certificates=self._certificates(),
            alerts=dict.fromkeys(RESULTS, 0) if self._alerts is None else self._alerts.results,
        )

    def _certificates(self) -> dict[str, float]:
        """When each ends; 0: none is known."""
        ends = {name: 0.0 if tls is None else tls.peer_ends_at for name, tls in self._tls.items()}
        own = [tls.own_ends_at for tls in self._tls.values() if tls is not None and tls.own_ends_at]
        return {**ends, "client": min(own, default=0.0)}
