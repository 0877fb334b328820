"""The devices: whether they have rows, how they publish, how often they report."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pymysql

from ..settings.settings import Settings
from ..table.contract import StoreError
from ..table.errors import error_words
from ..table.statements import TableShape, quote
from .database import Database
from .findings import Findings
from .listening import Heard
from .local import Service
from .texts import devices as texts

ASKED_AT_MOST = 500  # uuids that are looked up
ASKED_FOR = 2.0  # s in which they are
SHOWN = 3
FEW = 1  # percent of the messages at QoS 0 that nobody need worry about
REPORTS_IN_TIMEOUT = 3  # that a device should manage in HEARTBEAT_TIMEOUT


def probe_unknown(
    database: Database, shape: TableShape, service: Service | None, heard: Heard, findings: Findings
) -> None:
    """Which of those that were heard have no row: by ourselves, and in the last ten minutes by a running service."""
    names = () if service is None else service.unknown_names
    told = 0 if service is None else service.unknown
    if not heard.uuids and not told:
        findings.unknown("devices.unknown", texts.NOBODY_CAME)
        return
    until = time.monotonic() + ASKED_FOR
    asked, unknown = 0, []
    try:
        for uuid in [*names, *sorted(heard.uuids - {*names})][:ASKED_AT_MOST]:
            if time.monotonic() > until:
                break
            asked += 1
            if not _has_row(database, shape, uuid):
                unknown.append(uuid)
    except (pymysql.err.Error, StoreError) as error:
        findings.unknown("devices.unknown", texts.NOT_ASKED, words=error_words(error))
        return
    # A row may have been added since the service heard of its device.
    count = max(len(unknown), told - sum(name not in unknown for name in names))
    values = {"count": count, "examples": ", ".join(_shown(unknown[:SHOWN])), "asked": asked}
    if unknown:
        findings.warning("devices.unknown", texts.UNKNOWN, **values)
    elif count:
        findings.warning("devices.unknown", texts.UNKNOWN_TOLD, **values)
    else:
        findings.ok("devices.unknown", texts.KNOWN, count=asked)


def _has_row(database: Database, shape: TableShape, uuid: str) -> bool:
    if not uuid or len(uuid) > 255:
        return False
    statement = f"SELECT 1 FROM {shape.target} WHERE d.uuid = {shape.uuid_in_list.format(quote(uuid))} LIMIT 1"  # noqa: S608
    error = database.error_of(statement)
    # A column with a type for UUIDs has an error for what is none.
    return error is None and bool(database.rows(statement))


def _shown(uuids: Iterable[str]) -> list[str]:
    return [uuid if uuid.isprintable() and len(uuid) <= 40 else ascii(uuid[:40]) for uuid in uuids]


def probe_qos(heard: Heard, findings: Findings) -> None:
    """How many of the messages are lost when anything is interrupted."""
    if not heard.messages:
        findings.unknown("devices.qos", texts.QOS_UNKNOWN)
        return
    percent = round(100 * heard.at_qos_0 / heard.messages)
    if percent > FEW:
        findings.warning("devices.qos", texts.QOS_0, percent=percent)
    else:
        findings.ok("devices.qos", texts.QOS)


def probe_timeout(settings: Settings, service: Service | None, findings: Findings) -> None:
    """Whether devices report often enough for ``HEARTBEAT_TIMEOUT``; only a running service has learnt that."""
    timeout = settings.heartbeat_timeout
    flapping = None if service is None else service.flapping
    if not timeout:
        findings.ok("devices.timeout", texts.TIMEOUT_OFF)
    elif flapping is None:
        findings.unknown("devices.timeout", texts.TIMEOUT_UNKNOWN, timeout=timeout)
    elif flapping[0]:
        count, interval = flapping
        findings.warning(
            "devices.timeout", texts.TIMEOUT_SHORT,
            count=count, interval=interval, timeout=timeout, wanted=REPORTS_IN_TIMEOUT * interval,
        )  # fmt: skip
    else:
        findings.ok("devices.timeout", texts.TIMEOUT, timeout=timeout)
