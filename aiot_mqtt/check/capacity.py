"""What the database must take: binary log a day, and messages a second that window and commit time allow."""

from __future__ import annotations

from ..settings.settings import Settings
from .database import Database, is_on
from .findings import Findings
from .listening import Heard
from .local import Service
from .table import Table
from .texts import database as texts

MUCH_BINLOG = 5.0  # GB a day
USUAL_ROW = 400  # bytes of a row, where the table is too small to tell
MINIMAL_CHANGE = 300  # bytes that a changed row takes with binlog_row_image=MINIMAL
EVENT = 100  # bytes around the images of a row
DAY = 86400  # s
GB = 1024**3
SYNCED_COMMIT = 0.005  # s; an SSD takes 1 ms, a disk that turns 10
UNSYNCED_COMMIT = 0.0005  # s
NO_LIMIT = 100_000  # messages/s, more than a database writes
CROWDED = 0.5  # of what the window allows


def probe_binlog(database: Database, table: Table, heard: Heard, findings: Findings) -> None:
    """How much of it there is a day, at the rate at which messages were heard."""
    if not is_on(database.variable("log_bin")):
        findings.ok("database.binlog", texts.NO_BINLOG)
        return
    if not heard.messages:
        findings.unknown("database.binlog", texts.BINLOG_UNKNOWN)
        return
    is_minimal = str(database.variable("binlog_row_image")).upper() == "MINIMAL"
    gigabytes = binlog_a_day(heard.rate, table.average_row or USUAL_ROW, is_minimal=is_minimal)
    is_much = gigabytes > MUCH_BINLOG
    tell = findings.warning if is_much else findings.ok
    text = texts.BINLOG_LARGE if is_much else texts.BINLOG
    tell("database.binlog", text, rate=heard.rate, gigabytes=gigabytes)


def binlog_a_day(rate: float, row: int, *, is_minimal: bool) -> float:
    """GB a day. :param rate: messages per second. :param row: bytes of a row, which FULL has twice."""
    change = MINIMAL_CHANGE if is_minimal else 2 * row
    return rate * DAY * (change + EVENT) / GB


def probe_throughput(
    database: Database, settings: Settings, service: Service | None, heard: Heard, findings: Findings
) -> None:
    """What the window allows: each commit can only answer for what was in it."""
    window = findings.value("broker.login", "window") or settings.mqtt_receive_maximum
    measured = None if service is None else service.commit_seconds
    is_synced = str(database.variable("innodb_flush_log_at_trx_commit")) == "1"
    commit = measured or (SYNCED_COMMIT if is_synced else UNSYNCED_COMMIT)
    source, _ = (texts.MEASURED if measured else texts.ASSUMED).filled({})
    rate = round(window / commit)
    values = {"window": window, "milliseconds": 1000 * commit, "rate": rate, "came": heard.rate}
    values |= {"source": source, "is_measured": bool(measured)}
    if heard.rate > CROWDED * rate:
        findings.warning("database.throughput", texts.THROUGHPUT_LOW, **values)
    else:
        text = texts.THROUGHPUT if rate < NO_LIMIT else texts.THROUGHPUT_AMPLE
        findings.ok("database.throughput", text, **values)
