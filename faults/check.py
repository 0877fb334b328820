"""What a row must hold, given what the broker acknowledged, and whether the service's figures add up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

import orjson

from aiot_mqtt.simulate.fleet import Message
from aiot_mqtt.telemetry.counters import balance

from .fleet import Acknowledged


@dataclass(frozen=True, slots=True)
class Row:
    """The columns that the service writes; times naive, in the table's zone."""

    report: str | None
    status: str
    is_online: bool
    last_seen: datetime | None
    last_heartbeat: datetime | None

    @property
    def sequence(self) -> int:
        """The number in its report; 0 where there is none."""
        return sequence_of(self.report)


def sequence_of(report: bytes | str | None) -> int:
    """The number in a report; 0 where there is none."""
    number = 0 if report is None else orjson.loads(report).get("seq", 0)
    assert isinstance(number, int)
    return number


def wrong_values(device: Acknowledged, row: Row | None, zone: tzinfo) -> list[str]:
    """What is wrong with a row, one text for each column.

    :param zone: of the table's times.
    """
    if row is None:
        return ["there is no row"]
    wrong = []

    def compare(column: str, wanted: object, found: object) -> None:
        if wanted != found:
            wrong.append(f"{column} should be {wanted!r} and is {found!r}")

    def compare_time(column: str, published: float, found: datetime | None) -> None:
        if device.is_silent:  # its last message may have come while the clock was set
            return
        earliest = datetime.fromtimestamp(int(published), zone).replace(tzinfo=None)
        if found is None or found < earliest:
            wrong.append(f"{column} should be {earliest} or later and is {found}")

    last = device.last
    if last is None:
        return []
    if device.report is not None:
        compare("last_report_data", orjson.loads(device.report), row.report and orjson.loads(row.report))
    if device.status is not None:
        compare("device_status", orjson.loads(device.status)["status"], row.status)
    compare("is_online", not (says_offline(last) or device.is_silent), row.is_online)
    compare_time("last_seen", device.heard_at, row.last_seen)
    if device.heartbeat_at is not None:
        compare_time("last_heartbeat", device.heartbeat_at, row.last_heartbeat)
    return wrong


def says_offline(message: Message) -> bool:
    """Whether its device signs off with it."""
    return message.kind == "status" and bool(orjson.loads(message.payload)["status"] == "offline")


def wrong_sum(figures: Mapping[str, int]) -> str | None:
    """Why the figures of a service that has stopped do not add up; None when they do."""
    if not figures:
        return "the service told no figures"
    if (difference := balance(figures).difference) != 0:
        return f"{difference} more deliveries than outcomes: {dict(figures)}"
    if figures["pending"]:
        return f"{figures['pending']} still pending: {dict(figures)}"
    return None
