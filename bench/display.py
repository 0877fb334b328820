"""What a benchmark shows on a terminal: what is under way, and tables at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from .results import HEADINGS, Record, figures, rooms, spread, subject_cells, wanted

PIPED_COLUMNS = 120


class Display:
    """Progress on standard error, so that the tables on standard output can be piped on."""

    def __init__(self) -> None:
        self._progress = Console(stderr=True, highlight=False, markup=False, emoji=False)
        width = None if sys.stdout.isatty() else PIPED_COLUMNS
        self._tables = Console(highlight=False, markup=False, emoji=False, width=width)
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
        if found := rooms(results):
            shares = ", ".join(f"{room} {share:.0%}" for room, share in found.items())
            self._tables.print(f"where the service's time goes: {shares}\n")
        if steps := results["items"].get("profile", {}).get("notes", {}).get("step_micros"):
            self._tables.print(f"a message's work in µs of CPU: {_medians(steps)}\n")
        for when, steps in results["items"].get("waits", {}).get("notes", {}).get("step_milliseconds", {}).items():
            self._tables.print(f"a message's waiting {when} in ms: {_medians(steps)}\n")
        self._tables.print(self._figures(results))
        for name, item in results["items"].items():
            for failure in item["failures"]:
                self._tables.print(f"FAILED {name}: {failure}")

    def _subjects(self, name: str, item: Record) -> Table:
        cells = {subject: subject_cells(runs) for subject, runs in item["subjects"].items()}
        table = Table(title=name, title_justify="left", box=box.SIMPLE)
        table.add_column("")
        shown = [number for number, _ in enumerate(HEADINGS) if any(row[number] for row in cells.values())]
        for number in shown:
            table.add_column(HEADINGS[number], justify="right")
        for subject, row in cells.items():
            table.add_row(subject, *(row[number] for number in shown))
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
            measured = spread(figure["values"], figure["unit"], figure["median"])
            table.add_row(figure["number"], figure["name"], measured, wanted(figure), verdict)
        return table


def _medians(steps: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{name} {spread([median(values)])}" for name, values in steps.items())
