"""What a benchmark shows on a terminal: what is under way, and tables at the end."""

from __future__ import annotations

from statistics import median

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from .results import Record, figures, spread, wanted


class Display:
    """Progress on standard error, so that the tables on standard output can be piped on."""

    def __init__(self) -> None:
        self._progress = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._tables = Console(highlight=False, markup=False, emoji=False)
        self._status: Status | None = None

    def begin(self, what: str) -> None:
        """This is under way."""
        if self._progress.is_terminal:
            if self._status is None:
                # Redrawn rarely: it takes its time from the same cores.
                self._status = self._progress.status(what, refresh_per_second=2)
                self._status.start()
            self._status.update(Text(what))

    def say(self, line: str) -> None:
        """A line that stays."""
        self._progress.print(f"bench: {line}", soft_wrap=True)

    def finish(self, results: Record) -> None:
        """All that came out."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        for name, item in results["items"].items():
            if item["subjects"]:
                self._tables.print(self._subjects(name, item))
        self._tables.print(self._figures(results))
        for name, item in results["items"].items():
            for failure in item["failures"]:
                self._tables.print(f"FAILED {name}: {failure}")

    def _subjects(self, name: str, item: Record) -> Table:
        table = Table(title=name, title_justify="left", box=box.SIMPLE)
        table.add_column("")
        for heading in ("messages", "messages/s", "µs of CPU each", "rows each", "binlog bytes each", "wrong rows"):
            table.add_column(heading, justify="right")
        for subject, runs in item["subjects"].items():
            rows = [run["rows_per_message"] for run in runs]
            binlog = [run["binlog_bytes_per_message"] for run in runs if run["binlog_bytes_per_message"]]
            wrong = max(run["wrong_rows"] for run in runs)
            table.add_row(
                subject,
                f"{runs[0]['messages']:,}",
                spread([run["rate"] for run in runs]),
                spread([run["cpu_micros"] for run in runs]) if any(run["cpu_micros"] for run in runs) else "",
                f"{median(rows):.2f}" if any(rows) else "",
                f"{median(binlog):.0f}" if binlog else "",
                f"{wrong:,}" if wrong else "",
            )
        return table

    def _figures(self, results: Record) -> Table:
        table = Table(title="figures", title_justify="left", box=box.SIMPLE)
        table.add_column("")
        table.add_column("")
        table.add_column("measured", justify="right")
        table.add_column("wanted", justify="right")
        table.add_column("")
        for figure in figures(results):
            verdict = {True: "ok", False: "MISSED", None: ""}[figure["is_met"]]
            table.add_row(
                figure["number"], figure["name"], spread(figure["values"], figure["unit"]), wanted(figure), verdict
            )
        return table
