"""What the demo shows while it runs: a table that is redrawn on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rig import display
from rig.drawing import write_picture

from .ledger import DeviceRow

RECENT = 1.5  # s that a row is shown as just heard
LINE_INTERVAL = 2.0  # s between lines where nothing can be redrawn
PICTURE_COLUMNS = 104
LINES_AROUND = 11  # of the terminal, for what stands above and below the rows
TITLE = "scripts/demo at work: devices, who is online, their last report, and what became of every message"


@dataclass(frozen=True, slots=True)
class Moment:
    """All that is shown at one time."""

    elapsed: float
    """Seconds since the fleet began."""
    broker: str
    table: str
    published: int
    acknowledged: int
    received: int
    figures: Mapping[str, int]
    """What became of the received ones; they add up."""
    warning: str
    """The service's last warning, or empty."""
    rows: Sequence[DeviceRow]
    now: datetime
    """Naive, in the table's time zone."""


class Display(display.Display):
    """Shows moments on one stream, in what that stream can show."""

    def __init__(self, stream: IO[str], *, is_utf8: bool, can_redraw: bool | None = None) -> None:
        """
        :param is_utf8: whether more than ASCII can be shown.
        :param can_redraw: as the base's.
        """
        super().__init__(stream, can_redraw=can_redraw, piped_columns=PICTURE_COLUMNS, is_transient=False)
        self._is_utf8 = is_utf8
        self._overflow: Literal["ellipsis", "crop"] = "ellipsis" if is_utf8 else "crop"

    def show_moment(self, moment: Moment) -> None:
        """Show how fleet, service and table stand."""
        max_rows = max(1, self.console.height - LINES_AROUND)
        frame = self._frame(moment, self.console.width, max_rows)
        self.show(frame, self._line(moment), moment.elapsed, LINE_INTERVAL)

    def finish(self, moment: Moment) -> None:
        """The last moment, with every row where there is no terminal that they might not fit on."""
        if self._live is not None:
            self.show_moment(moment)
            self.stop()
        else:
            self.console.print(self._table(moment, PICTURE_COLUMNS, len(moment.rows)))

    def picture(self, moment: Moment, path: Path) -> None:
        """Write the moment as an SVG that stands alone."""
        frame = self._frame(moment, PICTURE_COLUMNS, len(moment.rows))
        write_picture(frame, path, "scripts/demo", PICTURE_COLUMNS, TITLE)

    def _line(self, moment: Moment) -> str:
        online = sum(row.is_online for row in moment.rows)
        return (
            f"{moment.elapsed:6.1f} s  online {online} of {len(moment.rows)}  published {moment.published}"
            f"  received {moment.received} = {_sum(moment.figures)}"
        )

    def _frame(self, moment: Moment, width: int, max_rows: int) -> RenderableType:
        rows = len(moment.rows)
        parts: list[RenderableType] = [
            self._text(f"{moment.broker}  ->  aiot-mqtt  ->  {moment.table}", "bold"),
            self._table(moment, width, max_rows),
        ]
        if rows > max_rows:
            parts.append(self._text(f"and {rows - max_rows} more devices", "dim"))
        parts += [
            self._text(f"fleet     published {moment.published}, acknowledged {moment.acknowledged}"),
            self._text(f"service   received {moment.received} = {_sum(moment.figures)}"),
            self._text(f"warning   {moment.warning or 'none'}", "yellow" if moment.warning else "dim"),
            self._text(f"{moment.elapsed:.0f} s; Ctrl-C ends it", "dim"),
        ]
        return Group(*parts)

    def _text(self, text: str, style: str = "") -> Text:
        if not self._is_utf8:
            text = text.encode("ascii", "ignore").decode()
        return Text(text, style, no_wrap=True, overflow=self._overflow)

    def _table(self, moment: Moment, width: int, max_rows: int) -> Table:
        overflow = self._overflow
        table = Table(
            box=box.SIMPLE_HEAD if self._is_utf8 else box.ASCII2, expand=True, pad_edge=False, header_style="bold cyan"
        )
        has_report, has_status = width >= 60, width >= 90
        table.add_column(
            "device", no_wrap=True, overflow=overflow, width=14 if has_report else None, ratio=None if has_report else 1
        )
        table.add_column("online", no_wrap=True, overflow=overflow, width=7)
        if has_status:
            table.add_column("status", no_wrap=True, overflow=overflow, width=8)
        if has_report:
            table.add_column("last report", no_wrap=True, overflow=overflow, ratio=1)
        table.add_column("last heard", no_wrap=True, overflow=overflow, width=10)
        for row in moment.rows[:max_rows]:
            age = _age(row, moment.now)
            online = Text("online", "green") if row.is_online else Text("offline", "red")
            cells: list[RenderableType] = [row.uuid, online if row.last_seen else Text("-", "dim")]
            if has_status:
                cells.append(row.status)
            if has_report:
                cells.append(row.report or "-")
            cells.append("-" if age is None else f"{age:.0f} s ago" if age > RECENT else "just now")
            is_dim = not row.is_online or age is None
            table.add_row(*cells, style="dim" if is_dim else "bold" if age is not None and age <= RECENT else "")
        return table


def _sum(figures: Mapping[str, int]) -> str:
    return " + ".join(f"{name} {count}" for name, count in figures.items())


def _age(row: DeviceRow, now: datetime) -> float | None:
    if row.last_seen is None:
        return None
    return max(0.0, (now - datetime.strptime(row.last_seen, "%Y-%m-%d %H:%M:%S")).total_seconds())


def naive_now(zone: tzinfo) -> datetime:
    """Now, as the table's columns hold it."""
    return datetime.now(zone).replace(tzinfo=None)
