"""One PUBLISH in: decode it, count it, merge it into what is pending, and note the acknowledgement it is owed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import tzinfo

from twisted.logger import Logger

from ..devices.report import (
    DATA,
    HEARTBEAT,
    DeviceReport,
    ForeignTopic,
    Refused,
    ReportRules,
    UnknownDevice,
    decode,
    source_of,
)
from ..devices.update import table_time, uuid_key
from ..mqtt.receiver import Acknowledger
from ..table.contract import TableDescription
from ..telemetry import log_lines, reasons
from ..telemetry.asked import Asked
from ..telemetry.counters import Counters
from ..telemetry.printable import shorten
from ..telemetry.refusals import Refusals
from .anew import BROUGHT, BY_DATA, MAX_REMEMBERED, REMEMBERED, Columns, columns_of, note, without_newer
from .committed_times import CommittedTimes
from .listeners import ForeignTopicListener, PendingListener, UnchangedListener
from .pending import PendingUpdates


class Ingest:
    """Where PUBLISH packets enter. Nothing it does can raise into the connection that calls it."""

    _log = Logger()

    def __init__(
        self,
        rules: ReportRules,
        pending: PendingUpdates,
        counters: Counters,
        refusals: Refusals,
        *,
        table_zone: tzinfo,
        writer: PendingListener,
        foreign_topics: ForeignTopicListener,
        wall_clock: Callable[[], float] = time.time,
        log_messages: bool = False,
        committed_times: CommittedTimes | None = None,
        heard: UnchangedListener | None = None,
        asked: Asked | None = None,
    ) -> None:
        """
        :param table_zone: the zone of the naive times in the table.
        :param writer: woken when there may be something to write.
        :param foreign_topics: told of each topic that is none of ours.
        :param wall_clock: seconds since the epoch.
        :param log_messages: log each message at DEBUG; a call to a logger that then drops it costs 5 µs a message.
        :param committed_times: says which heartbeats need no write; None: all need one.
        :param heard: told of each device whose heartbeat needs none.
        :param asked: told what comes of the few devices that somebody asks about.
        """
        self._rules = rules
        self._pending = pending
        self._counters = counters
        self._refusals = refusals
        self._table_zone = table_zone
        self._writer = writer
        self._foreign_topics = foreign_topics
        self._wall_clock = wall_clock
        self._log_messages = log_messages
        self._committed_times = committed_times
        self._unchanged_listener = heard
        self._asked = asked
        self._asked_devices: Mapping[str, object] = {} if asked is None else asked.devices
        self._same_characters: Mapping[str, str] = {}
        self._second = -1
        self._now = ""
        self._taking = True
        self._anew: Columns | None = None
        self._anew_since = 0
        self._is_redelivery = False

    def table_described(self, description: TableDescription) -> None:
        """The table was seen: judge a status by its column, and tell devices apart as the table does."""
        self._rules = replace(
            self._rules, status_length=description.status_length, status_words=description.status_words
        )
        if description.same_characters != self._same_characters:
            self._same_characters = description.same_characters
            self._counters.superseded += self._pending.keys_are(uuid_key(description.same_characters))
            if self._committed_times is not None:
                self._committed_times.forget()  # it knows them by other keys

    def connection_started(self, connection: Acknowledger) -> None:
        """PUBLISH packets come on a new connection from now on."""
        self._pending.start_connection(connection)
        self._anew, self._anew_since = {}, int(self._wall_clock())

    def start(self) -> None:
        """Take messages; so it does from the beginning, and again after ``stop``."""
        self._taking = True

    def stop(self) -> None:
        """Take no more: what still arrives stays unacknowledged, so the broker keeps it."""
        self._taking = False

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """One PUBLISH arrived.

        :param packet_id: 0 at QoS 0, which is owed no acknowledgement.
        """
        if not self._taking:
            return
        counters = self._counters
        counters.received += 1
        if packet_id:
            self._pending.owe_acknowledgement(packet_id)
        else:
            counters.received_at_qos_0 += 1  # the rarer sort: those at QoS 1 are the rest
        try:
            if self._log_messages:
                self._log_message(topic, payload, packet_id, retain)
            if retain:
                counters.retained += 1
                return
            report = decode(topic, payload, self._rules)
            if not packet_id and self._pending.size > self._pending.bound:
                self._refusals.drop()
                return
            second = int(self._wall_clock())
            if second != self._second:
                self._is_second(second)
            if self._asked_devices:
                self._note_asked(report, packet_id)
            if (anew := self._anew) is not None:
                if not self._is_redelivery:
                    name = hash(report.device)
                    before = anew.get(name, 0)
                    if before or len(anew) < MAX_REMEMBERED:
                        brought = BY_DATA if report.kind == DATA else columns_of(report)
                        anew[name] = before & BROUGHT | brought
                elif (remaining := without_newer(anew, report)) is None:
                    counters.stale += 1
                    return
                else:
                    report = remaining
            if self._committed_times is not None and self._needs_no_write(report, self._committed_times):
                return
            if self._pending.merge(report, self._now):
                counters.superseded += 1
        except Refused as refused:
            self._refuse(refused, topic, payload)
            self._heard(topic)
        except Exception:
            self._refusals.internal_error()
            self._tell_fault(topic)
        else:
            if report.ignored_status is not None:
                self._warn_of_status(report.device, report.ignored_status, payload)

    def redelivery_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """One PUBLISH arrived that the broker may have sent before."""
        if not self._anew:
            # It begins with these, so what it marks so later was not ours before and is in its turn.
            self._anew = None
        self._is_redelivery = True
        try:
            self.publish_received(topic, payload, packet_id, retain)
        finally:
            self._is_redelivery = False

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        """A PUBLISH was skipped as it arrived, because its payload of ``size`` bytes is over ``most``."""
        if not self._taking:
            return
        self._counters.received += 1
        if packet_id:
            self._pending.owe_acknowledgement(packet_id)
        else:
            self._counters.received_at_qos_0 += 1
        self._refuse(Refused("too_large", reasons.TOO_LARGE.fill(size=size, most=most)), topic, b"")
        self._heard(topic)

    def read_finished(self) -> None:
        """All PUBLISH packets of one read from the network were handed over."""
        try:
            self._writer.wake()
        except Exception:
            self._tell_fault(b"")

    def _is_second(self, second: int) -> None:
        """It has become another second, since the epoch."""
        self._second = second
        if not 0 <= second - self._anew_since <= REMEMBERED:
            self._anew = None
        if self._asked_devices and self._asked is not None:
            self._asked.forget()
        self._now = table_time(second, self._table_zone)
        if self._committed_times is not None:
            too_old = table_time(second - self._committed_times.resolution, self._table_zone)
            self._committed_times.time_is(self._now, too_old)

    def _note_asked(self, report: DeviceReport, packet_id: int) -> None:
        """Somebody asks about a few devices, and this may be of one of them."""
        assert self._asked is not None
        self._asked.note(self._pending.key(report.device), report.kind, 1 if packet_id else 0)

    def _needs_no_write(self, report: DeviceReport, committed_times: CommittedTimes) -> bool:
        """Whether the row says it all already; then it is done with."""
        key = self._pending.key(report.device)
        if report.kind == HEARTBEAT and committed_times.are_recent(key):
            if self._unchanged_listener is not None:
                self._unchanged_listener.heard_unchanged(key)
            self._counters.unchanged += 1
            return True
        committed_times.unsettle(key)
        return False

    def _heard(self, topic: bytes) -> None:
        """A PUBLISH on this topic was refused: if it is a device's own, that device is alive all the same."""
        try:
            if (source := source_of(topic, self._rules)) is None or self._pending.size > self._pending.bound:
                return
            self._is_second(int(self._wall_clock()))
            device, kind = source
            # Whatever it said: the device was there, and if that was long ago, what it said since counts.
            if (anew := self._anew) is not None:
                heard = DeviceReport(device, kind)
                if not self._is_redelivery:
                    note(anew, heard)
                elif without_newer(anew, heard) is None:
                    return
            if self._committed_times is not None:
                self._committed_times.unsettle(self._pending.key(device))
            self._pending.heard(device, kind, self._now)
        except Exception:
            self._tell_fault(topic)

    def _refuse(self, refused: Refused, topic: bytes, payload: bytes) -> None:
        """Count and tell a refusal; where that fails, count it all the same."""
        counted = self._counters.refused
        before = counted.total()
        try:
            if isinstance(refused, UnknownDevice):
                self._refusals.unknown_device(refused.device)
            elif isinstance(refused, ForeignTopic):
                self._refusals.foreign_topic()
                self._foreign_topics.foreign_topic_received(refused.topic)
            else:
                name = topic.decode("utf-8", "backslashreplace")
                self._refusals.refuse(refused.reason, name, refused.detail, payload)
        except Exception:
            if counted.total() == before:
                self._refusals.internal_error()
            self._tell_fault(topic)

    def _warn_of_status(self, device: str, reason: str, payload: bytes) -> None:
        try:
            self._refusals.ignored_status(device, reason, payload)
        except Exception:
            self._tell_fault(device.encode())

    def _tell_fault(self, topic: bytes) -> None:
        """A fault of ours: called where an exception is handled."""
        self._log.failure(log_lines.RECEIVE_FAILED_UNEXPECTEDLY, topic=shorten(topic))

    def _log_message(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        self._log.debug(
            log_lines.MESSAGE_RECEIVED,
            topic=shorten(topic),
            payload=shorten(payload),
            qos=1 if packet_id else 0,
            retain=int(retain),
        )
