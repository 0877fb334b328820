"""What came anew on a connection, to tell an old message that comes late from one that comes in its turn.

A broker sends again what was not acknowledged when a connection ended, and most do so first. RabbitMQ with quorum
queues sends it among newer messages or behind them, up to a minute after a node has died, and says no more than DUP.
Written then, it would move the row back. So where something newer of the same device came anew before on this
connection, only those columns of it count that nothing newer has assigned. With a broker that sends it first that
changes nothing: nothing has come anew by then.
"""

from __future__ import annotations

from ..devices.report import HEARTBEAT, DeviceReport

REMEMBERED = 120  # s from the beginning of a connection; twice the longest that was seen
MAX_REMEMBERED = 200_000  # devices; each takes some 100 bytes
_DOCUMENT, _STATUS, _HEARTBEAT, _ONLINE, _HEARD = 1, 2, 4, 8, 16
_BROUGHT = _DOCUMENT | _STATUS | _HEARTBEAT


class ReceivedAnew:
    """Which columns of which devices came without DUP on one connection. A device is named by the hash of its key."""

    def __init__(self) -> None:
        self._columns: dict[int, int] = {}

    def note(self, key: str, report: DeviceReport) -> None:
        """This was accepted, and came without DUP."""
        _, kind, document, status, is_online, _ = report
        columns, name = self._columns, hash(key)
        before = columns.get(name, 0)
        if not before and len(columns) >= MAX_REMEMBERED:
            return
        now = _HEARD | _ONLINE if is_online else _HEARD
        if document is not None:
            now |= _DOCUMENT
        if status is not None:
            now |= _STATUS
        if kind == HEARTBEAT:
            now |= _HEARTBEAT
        columns[name] = before & _BROUGHT | now

    def without_newer(self, key: str, report: DeviceReport) -> DeviceReport | None:
        """What still counts of a report that came with DUP; None: nothing, because all of it came newer."""
        # Before the table has said which spellings are one device, its name is how it spells itself.
        spelled = self._columns.get(hash(report.device), 0)
        columns = (self._columns.get(hash(key), 0) or spelled) | spelled & _BROUGHT
        if not columns:
            return report
        document = None if columns & _DOCUMENT else report.document
        status = None if columns & _STATUS else report.status
        is_newer = columns & _HEARTBEAT if report.kind == HEARTBEAT else document is None and status is None
        if is_newer:
            return None
        return report._replace(document=document, status=status, is_online=bool(columns & _ONLINE))
