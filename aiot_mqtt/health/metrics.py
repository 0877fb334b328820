"""``/metrics``: one moment of the service as Prometheus reads it.

Every figure of a scrape is of one turn of the reactor, so the sum of deliveries holds in each. Nothing is counted here
and nothing costs anything per message: the figures are translated when somebody asks. Every label value is there from
the start, at 0; no label names a device, a topic or a host.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from platform import python_version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

import twisted

from .. import __version__
from ..telemetry.counters import OUTCOMES, REFUSED_FOR, RETRIED_FOR
from .figures import Figures
from .state import State, judge

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "aiot_mqtt_"
_PAGE = os.sysconf("SC_PAGE_SIZE")


def exposition(figures: Figures) -> bytes:
    """One moment in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Moment(figures))
    return generate_latest(registry)


class _Moment:
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """What ``prometheus_client`` calls."""
        yield from _state(self._figures)
        yield from _broker(self._figures)
        yield from _deliveries(self._figures)
        yield from _database_and_spool(self._figures)
        yield from _presence(self._figures)
        yield from _process()


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, value=value)


def _counters(name: str, text: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _state(figures: Figures) -> Iterator[Metric]:
    build = GaugeMetricFamily(
        PREFIX + "build_info", "1, with the versions as labels", labels=["version", "python", "twisted"]
    )
    build.add_metric([__version__, python_version(), twisted.__version__], 1)
    yield build
    yield _gauge("start_time_seconds", "Unix time at which the service started", figures.time - figures.uptime)
    now = judge(figures).state
    state = GaugeMetricFamily(PREFIX + "state", "1 for the present state, 0 for the others", labels=["state"])
    for each in State:
        state.add_metric([each.value], each is now)
    yield state


def _broker(figures: Figures) -> Iterator[Metric]:
    broker = figures.broker
    yield _gauge("subscribed", "1 while every topic is granted", broker.is_subscribed)
    yield _gauge(
        "broker_heard", "1 while something came from the broker within 3 s, if only a PINGRESP", broker.is_heard
    )
    yield _gauge("receive_window", "Messages that may be unacknowledged", broker.window)
    yield _gauge("unacknowledged", "Messages that are unacknowledged", broker.unacknowledged)
    yield _gauge(
        "oldest_unacknowledged_seconds", "Age of the oldest unacknowledged message; 0 if there is none",
        broker.oldest_unacknowledged,
    )  # fmt: skip
    yield _gauge(
        "last_message_timestamp_seconds", "Unix time of the last message; 0 before the first", broker.last_message_at
    )
    yield _counter(
        "sessions_lost_total", "The broker had no session for us: what was published meanwhile is lost",
        broker.sessions_lost,
    )  # fmt: skip
    yield _gauge("broker_stats_readable", "1 if $SYS can be read at the broker", broker.dropped is not None)
    yield _gauge(
        "broker_dropped_messages", "Messages that the broker says it has dropped, of all its clients; its own count",
        broker.dropped or 0,
    )  # fmt: skip


def _deliveries(figures: Figures) -> Iterator[Metric]:
    counts = figures.counters
    yield _counter("messages_received_total", "PUBLISH packets received", counts.received)
    yield _counter("messages_recovered_total", "Messages found in the spool at start", counts.recovered)
    outcomes = counts.balance(figures.pending + figures.spool.deliveries).outcomes
    settled = {outcome: outcomes[outcome] for outcome in OUTCOMES}
    yield _counters("messages_settled_total", "What became of messages", "outcome", settled)
    refused = dict.fromkeys(REFUSED_FOR, 0) | dict(counts.refused)
    yield _counters("messages_refused_total", "Refused messages by reason", "reason", refused)
    pending = GaugeMetricFamily(
        PREFIX + "messages_pending", "received + recovered = settled + pending, each summed", labels=["where"]
    )
    pending.add_metric(["memory"], figures.pending)
    pending.add_metric(["spool"], figures.spool.deliveries)
    yield pending
    yield _counter("status_ignored_total", "Statuses not put in device_status", counts.status_ignored)


def _database_and_spool(figures: Figures) -> Iterator[Metric]:
    database, spool, counts = figures.database, figures.spool, figures.counters
    yield _gauge(
        "database_up", "1 if the last attempt at the database worked", database.is_seen and database.trouble is None
    )
    retries = dict.fromkeys(RETRIED_FOR, 0) | dict(counts.retries)
    yield _counters("retries_total", "Attempts at database and disk that were repeated", "reason", retries)
    yield _gauge("spool_enabled", "1 if SPOOL_FILE is set", spool.is_enabled)
    yield _gauge(
        "spool_up",
        "1 unless the disk failed the last time; 0 without a spool",
        spool.is_enabled and spool.trouble is None,
    )
    yield _gauge("spool_devices", "Devices whose state waits on disk", spool.devices)


def _presence(figures: Figures) -> Iterator[Metric]:
    presence, counts = figures.presence, figures.counters
    yield _gauge("listening", "1 while a device that reports would be heard and stored at once", presence.is_listening)
    yield _counter("went_silent_total", "Devices set offline because they were not heard", counts.went_silent)
    yield _counter("came_back_total", "Devices heard again after that", counts.came_back)
    yield _counter(
        "odd_last_seen_total", "Devices set offline whose last_seen was missing or in the future", counts.odd_last_seen
    )
    yield _counter(
        "sweep_failures_total", "Sweeps that failed, and rows that a sweep could not set", counts.sweep_failures
    )


def _process() -> Iterator[Metric]:
    """Under ``ProcSubset=pid`` there is no ``/proc/stat``, and prometheus_client's own collector returns nothing."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield CounterMetricFamily(
        "process_cpu_seconds_total", "User and system CPU time", value=usage.ru_utime + usage.ru_stime
    )
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory", value=resident)
    yield GaugeMetricFamily("process_open_fds", "Open file descriptors", value=len(os.listdir("/proc/self/fd")))
