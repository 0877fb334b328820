"""What is known of one device, put together when somebody asks: from memory, from disk and from the table."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime

from ..devices.report import KINDS, is_device
from ..presence.monitor import PresenceMonitor
from ..spool.spooler import Spooler
from ..table.contract import StoreError, StoreService
from ..table.device_row import DeviceRow, Found
from ..table.mysql import DeviceTable
from ..telemetry.asked import Asked, Attention
from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import shorten
from ..telemetry.remembered import Remembered
from ..writing.writer import Writer
from .device import DeviceFacts, Noted, Row, Waiting
from .watch import database_trouble

T = TypeVar("T")

DEADLINE = 4.0  # s for the table, and for the disk: who asks has five
_NOT_IN_TIME = Bilingual(f"no answer within {DEADLINE:.0f} s", f"{DEADLINE:.0f} 秒内没有应答")
_BUSY = Bilingual("it has not answered the question before", "上一次查询还没有应答")
_NO_TABLE = Bilingual("this store cannot be asked", "无法查询这种存储")


class DeviceAsk:
    """Asks about one device; the table is asked one question at a time, beside whatever is written."""

    def __init__(
        self,
        *,
        table: StoreService,
        writer: Writer,
        spooler: Spooler | None,
        presence: PresenceMonitor | None,
        remembered: Remembered,
        asked: Asked,
        clock: IReactorTime,
        name: str,
        timeout: float,
        zone: tzinfo,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param name: of the table.
        :param timeout: seconds of silence by which a row goes offline; 0: none does.
        :param zone: of the table's times.
        :param wall_clock: seconds since the epoch.
        """
        self._table = table
        self._writer = writer
        self._spooler = spooler
        self._presence = presence
        self._remembered = remembered
        self._asked = asked
        self._clock = clock
        self._name = name
        self._timeout = timeout
        self._zone = zone
        self._wall_clock = wall_clock
        self._started_at = wall_clock()
        self._is_asking = False

    async def facts(self, uuid: str) -> DeviceFacts:
        """All that is known now."""
        is_possible = is_device(uuid)
        found: Found | None = None
        no_answer: str | None = None
        on_disk: tuple[str, int] | None = None
        if is_possible:
            found, no_answer = await self._row(uuid)
            on_disk = await self._on_disk(uuid)
        now, wall = self._clock.seconds(), self._wall_clock()
        offset = wall - now
        known = None if self._presence is None else self._presence.known(uuid)
        waiting = None
        kinds_waiting = 0
        if on_disk is not None:
            waiting, kinds_waiting = Waiting(epoch(on_disk[0], self._zone), is_on_disk=True), on_disk[1]
        key = self._writer.backlog.pending.key(uuid)
        in_memory = self._writer.backlog.find(key)
        if in_memory is not None:
            waiting = Waiting(epoch(in_memory.last_seen, self._zone), is_on_disk=False)
            kinds_waiting |= in_memory.kinds
        attention = self._asked.ask(key) if is_possible else None
        refusal = self._remembered.refusal(uuid)
        knocks = self._remembered.knocks(uuid, now)
        heard_at = None if known is None or known.heard_at is None else min(known.heard_at + offset, wall)
        row = None if found is None or found.row is None else row_of(found.row, self._zone)
        times = [heard_at, None if row is None else row.last_seen]
        seen_at = max((at for at in times if at is not None), default=None)
        if heard_at is not None and row is not None and row.last_seen is not None:
            # A commit is known to the second; a time other than the row's own would look like another message.
            heard_at = row.last_seen if 0.0 <= heard_at - row.last_seen <= 1.0 else heard_at
        listened = None
        if self._presence is not None and seen_at is not None:
            listened = self._presence.listened_since(seen_at - offset)
        return DeviceFacts(
            shorten(uuid),
            wall,
            self._started_at,
            is_possible=is_possible,
            table=self._name,
            timeout=self._timeout,
            zone=self._zone,
            row=row,
            no_answer=no_answer,
            similar=() if found is None else found.similar,
            heard_at=heard_at,
            waiting=waiting,
            database=database_trouble(self._writer),
            is_set_offline=known is not None and known.is_set_offline,
            listened=listened,
            is_listening=self._presence is not None and self._presence.is_listening(),
            usual_interval=None if known is None else known.usual_interval,
            noted_since=None if attention is None else attention.since + offset,
            kinds={} if attention is None else _kinds(attention, kinds_waiting, offset),
            refusal=None if refusal is None else refusal._replace(at=refusal.at + offset),
            knocks=None if knocks is None else knocks._replace(since=knocks.since + offset, last=knocks.last + offset),
        )

    async def _row(self, uuid: str) -> tuple[Found | None, str | None]:
        """What the table says, or why it says nothing."""
        if not isinstance(self._table, DeviceTable):
            return None, _NO_TABLE
        if self._is_asking:  # a thread of the pool still waits for it, and no more of them shall
            return None, _BUSY
        self._is_asking = True

        def answered(result: T) -> T:
            self._is_asking = False
            return result

        asking = self._table.find_device(uuid)
        asking.addBoth(answered)
        try:
            return await _within(asking, self._clock), None
        except NotInTime:
            return None, _NOT_IN_TIME
        except StoreError as error:
            return None, str(error)

    async def _on_disk(self, uuid: str) -> tuple[str, int] | None:
        spooler = self._spooler
        if spooler is None or not spooler.devices:
            return None
        try:
            return await _within(spooler.find(self._writer.backlog.pending.key(uuid)), self._clock)
        except Exception:  # a disk that does not say is told of elsewhere
            return None


def _kinds(attention: Attention, waiting: int, offset: float) -> dict[str, Noted]:
    """What came of each kind. :param waiting: the kinds that are not in the table yet."""
    came = {KINDS[kind.bit_length() - 1]: (kind, each) for kind, each in attention.came.items()}
    return {
        name: Noted(each.at + offset, each.qos, is_written=not kind & waiting) for name, (kind, each) in came.items()
    }


def row_of(row: DeviceRow, zone: tzinfo) -> Row:
    """The same, with times since the epoch."""
    seen, heartbeat = (None if time is None else epoch(time, zone) for time in (row.last_seen, row.last_heartbeat))
    return Row(shorten(row.uuid), row.is_online, seen, heartbeat, row.device_status, row.says_offline)


def epoch(table_time: str, zone: tzinfo) -> float:
    """A time of the table in seconds since the epoch; what is no time, such as 0000-00-00, is the beginning."""
    try:
        return datetime.fromisoformat(table_time).replace(tzinfo=zone).timestamp()
    except ValueError:
        return 0.0


def _within(asking: Deferred[T], clock: IReactorTime) -> Deferred[T]:
    """Fires with the answer, or with ``NotInTime``; what is asked goes on, because a thread cannot be stopped."""
    waiting: Deferred[T] = Deferred()
    asking.addCallbacks(
        lambda result: None if waiting.called else waiting.callback(result),
        lambda failure: None if waiting.called else waiting.errback(failure),
    )
    return waiting.addTimeout(DEADLINE, clock)
