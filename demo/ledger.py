"""Keeps the books of a run: what was published, and whether broker, service and table agree about it at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiot_mqtt.simulate.fleet import BAD_PAYLOAD, CLEARING, OFFLINE, REFUSED, Message
from aiot_mqtt.simulate.simulation import Summary
from aiot_mqtt.telemetry.counters import Counters


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One row of the table, as it is shown."""

    uuid: str
    is_online: bool
    status: str
    last_seen: str | None
    """``YYYY-MM-DD HH:MM:SS`` in the table's time zone; None: never."""
    report: str | None
    """``last_report_data``."""


class Ledger:
    """The last report and status that each device published, apart from what must be refused."""

    def __init__(self, uuids: Sequence[str]) -> None:
        self._uuids = uuids
        self._reports: dict[str, str] = {}
        self._statuses: dict[str, str] = {}

    def published(self, message: Message) -> None:
        """Take note of a message."""
        if message.sort in REFUSED or message.kind == "heartbeat":
            return
        uuid = self._uuids[message.device]
        payload = b'{"status": "offline"}' if message.payload == OFFLINE else message.payload
        self._reports[uuid] = payload.decode()
        if message.kind == "status":
            self._statuses[uuid] = json.loads(payload)["status"]

    def check(self, summary: Summary, counters: Counters, pending: int, rows: Sequence[DeviceRow]) -> list[Finding]:
        """Compare what the fleet, the service and the table say.

        :param pending: deliveries that the service has not written yet.
        """
        balance = counters.balance(pending)
        refused = balance.outcomes["refused"]
        deliveries = _sum_in_words(balance.deliveries, ("received",))
        outcomes = _sum_in_words(balance.outcomes, ("stored", "superseded", "refused"))
        by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(counters.refused.items())) or "nothing"
        bad = summary.sorts[BAD_PAYLOAD] + summary.sorts[CLEARING]
        return [
            Finding(
                summary.published == summary.acknowledged and not summary.lost,
                f"the fleet published {summary.published}, the broker acknowledged {summary.acknowledged}",
            ),
            Finding(
                counters.received == summary.acknowledged,
                f"the service received {counters.received}, acknowledged to the fleet were {summary.acknowledged}",
            ),
            Finding(not balance.difference and not pending, f"{deliveries} = {outcomes}"),
            Finding(
                refused - counters.refused["unknown_device"] == bad,
                f"refused {refused}: {by_reason}; the fleet published {bad} bad ones",
            ),
            self._compare(rows),
        ]

    def _compare(self, rows: Sequence[DeviceRow]) -> Finding:
        by_uuid: Mapping[str, DeviceRow] = {row.uuid: row for row in rows}
        wrong = [
            uuid
            for uuid in self._uuids
            if uuid not in by_uuid
            or by_uuid[uuid].report != self._reports.get(uuid)
            or by_uuid[uuid].status != self._statuses.get(uuid, by_uuid[uuid].status)
        ]
        if wrong:
            uuid = wrong[0]
            row = by_uuid.get(uuid)
            return Finding(
                False,
                f"{len(wrong)} of {len(self._uuids)} rows do not hold the last acknowledged report; {uuid} should hold"
                f" {self._reports.get(uuid)} and holds {row and row.report}",
            )
        return Finding(True, f"each of the {len(self._uuids)} rows holds its device's last acknowledged report")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the closing summary."""

    is_right: bool
    text: str


def _sum_in_words(parts: Mapping[str, int], always_shown: Sequence[str]) -> str:
    return " + ".join(f"{name} {count}" for name, count in parts.items() if count or name in always_shown)
