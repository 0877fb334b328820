"""``/metrics``: one moment of the service as Prometheus reads it.

Every figure of a scrape is of one turn of the reactor, so the sum of deliveries holds in each. Nothing is counted here
and nothing costs anything per message: the figures are translated when somebody asks. Every label value is there from
the start, at 0; no label names a device, a topic or a host. What each means, is in ``catalogue``.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from platform import python_version
from typing import NamedTuple

from paho.mqtt import __version__ as paho_version
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

import twisted

from .. import __version__
from ..mqtt.tally import FAILED_FOR, ConnectionTally
from ..spool.space import Space
from ..standby.role import Role
from ..telemetry.counters import OUTCOMES, REFUSED_FOR, RETRIED_FOR, SWEPT
from ..telemetry.histogram import Histogram
from .catalogue import COUNTER, GAUGE, METRICS, Described
from .figures import Figures
from .state import State, judge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE = os.sysconf("SC_PAGE_SIZE")

Value = float | Mapping[str, float] | Histogram
"""By the values of the one label where there is one."""


class Past(NamedTuple):
    """What ``Trends`` remembers."""

    started_at: float = 0.0
    listened_seconds: float = 0.0
    unacknowledged_peak: float = 0.0
    reactor_lag: float = 0.0
    committed_at: float = 0.0
    stored_at: Mapping[str, float] = {}
    pending_bytes: int = 0
    pending_limit: int = 0
    said_offline: int = 0


@dataclass(frozen=True, slots=True)
class Beside:
    """What the verdict does not depend on."""

    makes_progress: bool = True
    is_connected: bool = False
    tally: ConnectionTally = field(default_factory=ConnectionTally)
    past: Past = field(default_factory=Past)
    database_server: str | None = None
    """Host and port of the one that is in use; None: there is but one."""
    space: Space | None = None
    """None: it was not looked at yet, or there is no spool."""
    devices: tuple[int, int] | None = None
    """Online, and all; None: they were not counted yet."""
    counted_ago: float | None = None
    """Seconds since they were counted."""
    lines: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    certificates: Mapping[str, float] = field(default_factory=dict)
    alerts: Mapping[str, int] = field(default_factory=dict)


def exposition(figures: Figures, beside: Beside) -> bytes:
    """One moment in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Moment(measured(figures, beside)))
    return generate_latest(registry)


class _Moment:
    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        """What ``prometheus_client`` calls."""
        return [_family(METRICS[name], value) for name, value in self._values.items()]


def _family(described: Described, value: Value) -> Metric:
    name, text, labels = described.full_name, described.help, described.labels
    if isinstance(value, Histogram):
        return HistogramMetricFamily(name, text, buckets=value.cumulative(), sum_value=value.sum)
    of_sort: dict[str, Callable[..., CounterMetricFamily | GaugeMetricFamily]]
    of_sort = {COUNTER: CounterMetricFamily, GAUGE: GaugeMetricFamily}
    if not isinstance(value, Mapping):
        return of_sort[described.sort](name, text, value=value)
    family = of_sort[described.sort](name, text, labels=labels)
    for label_values, each in value.items():
        family.add_metric(label_values.split(" ") if len(labels) > 1 else [label_values], each)
    return family


def measured(figures: Figures, beside: Beside) -> dict[str, Value]:
    """The values of one moment, by the names in ``METRICS``; with several labels, theirs stand with blanks between."""
    return {
        **_service(figures, beside),
        **_broker(figures, beside),
        **_messages(figures, beside),
        **_database(figures, beside),
        **_spool(figures, beside),
        **_presence(figures, beside),
        **_process(beside),
    }


def _service(figures: Figures, beside: Beside) -> dict[str, Value]:
    now = judge(figures).state
    return {
        "build_info": {" ".join((__version__, python_version(), twisted.__version__, paho_version)): 1},
        "start_time_seconds": beside.past.started_at,
        "state": {each.value: float(each is now) for each in State},
        "progress": float(beside.makes_progress),
        "ha_role": {each.value: float(figures.standby is not None and figures.standby.role is each) for each in Role},
        "reactor_lag_seconds": beside.past.reactor_lag,
        "log_lines_total": beside.lines,
        "internal_errors_total": beside.faults,
        "certificate_expiry_timestamp_seconds": {peer: end or nan for peer, end in beside.certificates.items()},
        "alert_commands_total": beside.alerts,
    }


def _broker(figures: Figures, beside: Beside) -> dict[str, Value]:
    broker, tally = figures.broker, beside.tally
    return {
        "broker_connected": float(beside.is_connected),
        "broker_heard": float(broker.is_heard),
        "subscribed": float(broker.is_subscribed),
        "listening": float(figures.presence.is_listening),
        "listened_seconds_total": beside.past.listened_seconds,
        "broker_connections_total": dict.fromkeys(("5", "3.1.1"), 0) | dict(tally.accepted),
        "broker_failures_total": dict.fromkeys(FAILED_FOR, 0) | dict(tally.failures),
        "receive_window": broker.window,
        "unacknowledged": broker.unacknowledged,
        "unacknowledged_peak": beside.past.unacknowledged_peak,
        "oldest_unacknowledged_seconds": broker.oldest_unacknowledged,
        "last_message_timestamp_seconds": broker.last_message_at,
        "subscriptions_denied_total": tally.subscriptions_denied,
        "sessions_lost_total": broker.sessions_lost,
        "broker_stats_readable": float(broker.dropped is not None),
        "broker_dropped_messages": broker.dropped or 0,
    }


def _messages(figures: Figures, beside: Beside) -> dict[str, Value]:
    counts = figures.counters
    outcomes = counts.balance(figures.pending + figures.spool.deliveries).outcomes
    return {
        "messages_received_total": {"0": counts.received_at_qos_0, "1": counts.received - counts.received_at_qos_0},
        "messages_recovered_total": counts.recovered,
        "messages_settled_total": {outcome: outcomes[outcome] for outcome in OUTCOMES},
        "messages_refused_total": dict.fromkeys(REFUSED_FOR, 0) | dict(counts.refused),
        "messages_pending": {"memory": figures.pending, "spool": figures.spool.deliveries},
        "pending_bytes": beside.past.pending_bytes,
        "pending_limit_bytes": beside.past.pending_limit,
        "unknown_uuids": figures.unknown_uuids,
        "status_ignored_total": counts.status_ignored,
    }


def _database(figures: Figures, beside: Beside) -> dict[str, Value]:
    database, counts = figures.database, figures.counters
    return {
        "database_up": float(database.is_seen and database.trouble is None),
        "retries_total": dict.fromkeys(RETRIED_FOR, 0) | dict(counts.retries),
        "last_commit_timestamp_seconds": beside.past.committed_at,
        "last_stored_timestamp_seconds": beside.past.stored_at,
        "commit_duration_seconds": counts.commit_durations,
        "batch_rows": counts.batch_rows,
        "acknowledge_delay_seconds": counts.acknowledge_delays,
    }


def _spool(figures: Figures, beside: Beside) -> dict[str, Value]:
    spool, space = figures.spool, beside.space
    return {
        "spool_enabled": float(spool.is_enabled),
        "spool_up": float(spool.is_enabled and spool.trouble is None),
        "spool_devices": spool.devices,
        "spool_since_timestamp_seconds": spool.since or 0,
        "spool_bytes": 0 if space is None else space.used,
        "spool_limit_bytes": Space().limit,
        "spool_free_bytes": nan if space is None else space.free,
    }


def _presence(figures: Figures, beside: Beside) -> dict[str, Value]:
    counts = figures.counters
    online, total = beside.devices or (nan, nan)
    return {
        "devices": {"online": online, "offline": total - online},
        "presence_judging": float(figures.presence.is_judging),
        "said_offline_total": beside.past.said_offline,
        "went_silent_total": counts.went_silent,
        "came_back_total": counts.came_back,
        "odd_last_seen_total": counts.odd_last_seen,
        "sweeps_total": dict.fromkeys(SWEPT, 0) | dict(counts.sweeps),
        "sweep_failures_total": counts.sweep_failures,
        "sweep_duration_seconds": counts.last_sweep_seconds,
        "last_sweep_timestamp_seconds": counts.last_sweep_at,
        "flapping_devices": figures.presence.flapping[0],
    }


def _process(beside: Beside) -> dict[str, Value]:
    """Under ``ProcSubset=pid`` there is no ``/proc/stat``, and prometheus_client's own collector returns nothing."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "process_resident_memory_bytes": int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE,
        "process_cpu_seconds_total": usage.ru_utime + usage.ru_stime,
        "process_open_fds": len(os.listdir("/proc/self/fd")),
        "process_start_time_seconds": beside.past.started_at,
    }
