"""Collects what ``/metrics`` tells and no verdict depends on, from those who know it."""

from __future__ import annotations

from twisted.internet.interfaces import IStreamClientEndpoint

from ..mqtt.subscriber import State as Subscribed
from ..mqtt.subscriber import Subscriber
from ..mqtt.tls_endpoint import TlsEndpoint
from ..table.contract import StoreService
from ..table.mysql import DeviceTable
from .alert_command import RESULTS, AlertCommand
from .line_tally import LineTally
from .metrics import Beside, Past
from .pace import Pace
from .room import Room
from .trends import Trends


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
        room: Room,
        table: StoreService,
        endpoint: IStreamClientEndpoint,
    ) -> None:
        """:param endpoint: dialled for the broker."""
        self._subscriber = subscriber
        self._pace = pace
        self._trends = trends
        self._lines = lines
        self._alerts = alerts
        self._room = room
        self._broker_tls = endpoint.tls if isinstance(endpoint, TlsEndpoint) else None
        self._table = table if isinstance(table, DeviceTable) else None

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
            database_server=None if self._table is None else self._table.server_in_use,
            space=self._room.space(),
            devices=self._room.devices(),
            counted_ago=self._room.counted_ago,
            lines=self._lines.lines,
            faults=self._lines.faults,
            certificates=self._certificates(),
            alerts=dict.fromkeys(RESULTS, 0) if self._alerts is None else self._alerts.results,
        )

    def _certificates(self) -> dict[str, float]:
        """When each ends; 0: none is known."""
        tls_of = {"broker": self._broker_tls, "database": None if self._table is None else self._table.tls}
        ends = {name: 0.0 if tls is None else tls.peer_ends_at for name, tls in tls_of.items()}
        own = [tls.own_ends_at for tls in tls_of.values() if tls is not None and tls.own_ends_at]
        return {**ends, "client": min(own, default=0.0)}
