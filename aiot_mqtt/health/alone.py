"""What disk and table tell by themselves, while the service does not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime

from ..spool.space import space
from ..table.contract import StoreError
from ..table.mysql import DeviceTable
from ..telemetry.bilingual import Bilingual
from .status_words import size

T = TypeVar("T")
TIMEOUT = 10.0  # s


async def ask_table(
    table: DeviceTable, ask: Callable[[DeviceTable], Deferred[T]], clock: IReactorTime
) -> tuple[T | None, str]:
    """An answer of the table's, or None, and why there is none.

    :param table: that nobody has started.
    """
    table.startService()
    try:
        return await ask(table).addTimeout(TIMEOUT, clock), ""
    except NotInTime:
        return None, f"no answer within {TIMEOUT:.0f} s"
    except StoreError as error:
        return None, str(error)


def spool_alone(path: str) -> Bilingual:
    """What the disk tells by itself. :param path: ``SPOOL_FILE``."""
    if not path:
        return Bilingual("Spool      — (SPOOL_FILE is empty)", "暂存      —（未启用 SPOOL_FILE）")
    path = str(Path(path).absolute())
    try:
        used = space(Path(path)).used
    except OSError:
        return Bilingual(f"Spool      — ({path} cannot be looked at)", f"暂存      —（无法查看 {path}）")
    if not used:
        return Bilingual(f"Spool      empty ({path})", f"暂存      空（{path}）")
    return Bilingual(
        f"Spool      {size(used)} in {path}, see aiot-mqtt spool",
        f"暂存      {path} 有 {size(used)}，见 aiot-mqtt spool",
    )


def table_alone(counted: tuple[int, int] | None, reason: str) -> Bilingual:
    """What the table tells by itself. :param counted: online, and all."""
    if counted is None:
        return Bilingual(f"Devices    — (the table cannot be read: {reason})", f"设备      —（读不到表：{reason}）")
    online, every = counted
    return Bilingual(
        f"Devices    online {online:,} · offline {every - online:,}, by the table, which nobody keeps now",
        f"设备      在线 {online:,} · 离线 {every - online:,}（仅凭表，目前无人更新）",
    )
