"""Every metric: its name, sort, labels and what it means. ``docs/metrics.md`` shows this, and a test holds it to it.

What is on ``/metrics`` stays: others build alarms on it. New ones may come.
"""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "aiot_mqtt_"
GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


class Described(NamedTuple):
    """A metric."""

    name: str
    """Without ``PREFIX``, unless it is one that every process has."""
    sort: str
    labels: tuple[str, ...]
    help: str

    @property
    def full_name(self) -> str:
        """As it is scraped."""
        return self.name if self.name.startswith("process_") else PREFIX + self.name


def _described(*rows: tuple[str, str, str, str]) -> dict[str, Described]:
    return {name: Described(name, sort, tuple(labels.split()), text) for name, sort, labels, text in rows}


METRICS = _described(
    ("build_info", GAUGE, "version python twisted paho", "1, with the versions as labels"),
    ("start_time_seconds", GAUGE, "", "Unix time at which the service started"),
    ("state", GAUGE, "state", "1 for the present state, 0 for the others"),
    ("progress", GAUGE, "", "1 while the service makes progress, as /healthz says"),
    (
        "ha_role",
        GAUGE,
        "role",
        "1 for this instance's role where there are several; all 0: there is one only",
    ),
    # The broker.
    ("broker_connected", GAUGE, "", "1 while there is a connection that the broker has accepted"),
    ("broker_heard", GAUGE, "", "1 while something came from the broker within 3 s, if only a PINGRESP"),
    ("subscribed", GAUGE, "", "1 while every topic is granted"),
    ("listening", GAUGE, "", "1 while a device that reports would be heard and stored at once"),
    ("listened_seconds_total", COUNTER, "", "Time in which listening was 1"),
    ("broker_connections_total", COUNTER, "protocol", "Accepted connections, by the version of MQTT"),
    ("broker_failures_total", COUNTER, "reason", "Attempts to connect that failed, and connections that ended"),
    ("receive_window", GAUGE, "", "Messages that may be unacknowledged"),
    ("unacknowledged", GAUGE, "", "Messages that are unacknowledged"),
    ("unacknowledged_peak", GAUGE, "", "The most of the last 10 minutes, looked at each second"),
    ("oldest_unacknowledged_seconds", GAUGE, "", "Age of the oldest unacknowledged message; 0 if there is none"),
    ("last_message_timestamp_seconds", GAUGE, "", "Unix time of the last message; 0 before the first"),
    ("subscriptions_denied_total", COUNTER, "", "Topics that the broker denied, each time they were asked for"),
    ("sessions_lost_total", COUNTER, "", "The broker had no session for us: what was published meanwhile is lost"),
    ("broker_stats_readable", GAUGE, "", "1 if $SYS can be read at the broker"),
    ("broker_dropped_messages", GAUGE, "", "What the broker says it has dropped, of all its clients: its own count"),
    # Messages.
    ("messages_received_total", COUNTER, "qos", "PUBLISH packets received"),
    ("messages_recovered_total", COUNTER, "", "Messages found in the spool at start"),
    ("messages_settled_total", COUNTER, "outcome", "What became of messages"),
    ("messages_refused_total", COUNTER, "reason", "Refused messages by reason"),
    ("messages_pending", GAUGE, "where", "received + recovered = settled + pending, each summed"),
    ("pending_bytes", GAUGE, "", "Bytes of states that wait in memory, an estimate"),
    ("pending_limit_bytes", GAUGE, "", "Beyond that QoS 0 messages are dropped; the spool takes over at half of it"),
    ("status_ignored_total", COUNTER, "", "Statuses not put in device_status"),
    ("unknown_uuids", GAUGE, "", "Names that no row has and that sent something in the last 10 minutes, up to 5000"),
    # The database.
    ("database_up", GAUGE, "", "1 unless the last attempt at the database failed, or this one waits 5 s for an answer"),
    ("retries_total", COUNTER, "reason", "Attempts at database and disk that were repeated"),
    ("last_commit_timestamp_seconds", GAUGE, "", "Unix time of the last commit of rows; 0 before the first"),
    ("last_stored_timestamp_seconds", GAUGE, "kind", "The same of the last commit with a message of this kind in it"),
    ("commit_duration_seconds", HISTOGRAM, "", "UPDATE and COMMIT of a chunk of rows"),
    ("batch_rows", HISTOGRAM, "", "Rows of a chunk; the sum is the rows that were written"),
    ("acknowledge_delay_seconds", HISTOGRAM, "", "What the oldest message of a chunk waited from receipt to commit"),
    # The spool.
    ("spool_enabled", GAUGE, "", "1 if SPOOL_FILE is set"),
    ("spool_up", GAUGE, "", "1 unless the disk failed the last time; 0 without a spool"),
    ("spool_devices", GAUGE, "", "Devices whose state waits on disk"),
    (
        "spool_since_timestamp_seconds",
        GAUGE,
        "",
        "Unix time at which it began to fill; 0: empty, or before the start",
    ),
    ("spool_bytes", GAUGE, "", "Size of the spool's files; 0 without any"),
    ("spool_limit_bytes", GAUGE, "", "What that may be at most"),
    ("spool_free_bytes", GAUGE, "", "Free space where the spool is; NaN as long as it was not looked at"),
    # Presence.
    ("presence_judging", GAUGE, "", "1 while silence can be judged: enough was listened to, and listening is 1"),
    (
        "devices",
        GAUGE,
        "state",
        "Rows of the table, counted each few seconds, a large table each minute at most; NaN before the first count",
    ),
    ("went_silent_total", COUNTER, "", "Devices set offline because they were not heard"),
    ("came_back_total", COUNTER, "", "Devices heard again after that"),
    ("said_offline_total", COUNTER, "", "Rows set offline because the device said so, or its will did, each time"),
    ("odd_last_seen_total", COUNTER, "", "Devices set offline whose last_seen was missing or in the future"),
    ("sweeps_total", COUNTER, "result", "Sweeps; paused: silence could not be judged"),
    ("sweep_failures_total", COUNTER, "", "Sweeps that failed, and rows that a sweep could not set"),
    ("sweep_duration_seconds", GAUGE, "", "How long the last sweep took that was done"),
    ("last_sweep_timestamp_seconds", GAUGE, "", "Unix time at which that one ended; 0 before the first"),
    ("flapping_devices", GAUGE, "", "Devices that report so seldom that they go offline in between"),
    # The service itself.
    ("reactor_lag_seconds", GAUGE, "", "The most by which the reactor was late in the last minute"),
    ("log_lines_total", COUNTER, "level", "Warnings and errors, whatever LOG_LEVEL shows"),
    ("internal_errors_total", COUNTER, "where", "Faults of the service itself: lines that ask to be reported"),
    ("certificate_expiry_timestamp_seconds", GAUGE, "peer", "Unix time at which a certificate ends; NaN: none known"),
    ("alert_commands_total", COUNTER, "result", "Runs of ALERT_COMMAND"),
    ("process_resident_memory_bytes", GAUGE, "", "Resident memory"),
    ("process_cpu_seconds_total", COUNTER, "", "User and system CPU time"),
    ("process_open_fds", GAUGE, "", "Open file descriptors"),
    ("process_start_time_seconds", GAUGE, "", "Unix time at which the service started"),
)
