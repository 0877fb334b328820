"""What came anew on a connection, to tell an old message that comes late from one that comes in its turn.

A broker sends again what was not acknowledged when a connection ended, and most do so first. RabbitMQ with quorum
queues sends it among newer messages or behind them, up to a minute after a node has died, and says no more than DUP.
Written then, it would move the row back. So where something newer of the same device came anew before on this
connection, only those columns of it count that nothing newer has assigned. With a broker that sends it first that
changes nothing: nothing has come anew by then.

With DUP comes also what RabbitMQ gave to the dead connection when its node was back, for seconds, and takes back: no
PUBLISH of it was here before, and it is newer. That is so behind a node that was killed, whose old messages come first,
all at once. So a connection that begins with old ones brings none late, and nothing is remembered on it.
"""

from __future__ import annotations

from ..devices.report import HEARTBEAT, DeviceReport

REMEMBERED = 120  # s from the beginning of a connection; twice the longest that was seen
MAX_REMEMBERED = 200_000  # devices; each takes some 100 bytes
_DOCUMENT, _STATUS, _HEARTBEAT, _ONLINE, _HEARD = 1, 2, 4, 8, 16
BROUGHT = _DOCUMENT | _STATUS | _HEARTBEAT
"""Of a set of columns those that stay in it whatever comes later."""
BY_DATA = _DOCUMENT | _ONLINE | _HEARD

Columns = dict[int, int]
"""Which columns came without DUP on one connection, as a set of bits, by the hash of the device as it spells itself.

``Ingest`` notes them itself: a call a message would be a tenth of what it costs there.
"""


def note(anew: Columns, report: DeviceReport) -> None:
    """This came without DUP. (For reports of any kind; ``Ingest`` has it in place where each message passes.)"""
    name = hash(report.device)
    before = anew.get(name, 0)
    if before or len(anew) < MAX_REMEMBERED:
        anew[name] = before & BROUGHT | columns_of(report)


def columns_of(report: DeviceReport) -> int:
    """What a report assigns; ``BY_DATA`` is that of any data."""
    columns = _HEARD | _ONLINE if report.is_online else _HEARD
    if report.document is not None:
        columns |= _DOCUMENT
    if report.status is not None:
        columns |= _STATUS
    return columns | _HEARTBEAT if report.kind == HEARTBEAT else columns


def without_newer(anew: Columns, report: DeviceReport) -> DeviceReport | None:
    """What still counts of a report that came with DUP; None: nothing, because all of it came newer."""
    columns = anew.get(hash(report.device), 0)
    if not columns:
        return report
    document = None if columns & _DOCUMENT else report.document
    status = None if columns & _STATUS else report.status
    is_newer = columns & _HEARTBEAT if report.kind == HEARTBEAT else document is None and status is None
    if is_newer:
        return None
    return report._replace(document=document, status=status, is_online=bool(columns & _ONLINE))
