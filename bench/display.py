"""What a benchmark shows: what is under way on standard error, so that the tables on standard output can be piped."""

from __future__ import annotations

import sys
import time

from rich import box
from rich.table import Table

from rig import display

from .results import HEADINGS, Record, figures, rooms, spread, subject_cells, wanted

PIPED_COLUMNS = 120


class Display(display.Display):
    """Progress through the items of a benchmark."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._began = time.monotonic()
        self.items = self.done = 0
        """How many there are, and how many of them are done."""

    def begin(self, what: str) -> None:
        """This is under way."""
        # Drawn once for each step and no more: it would take its time from the same cores.
        self.show(display.bar(self.done, self.items, what), what, time.monotonic() - self._began)

    def say(self, line: str) -> None:
        """A line that stays."""
        super().say(f"bench: {line}")


def show_results(results: Record) -> None:
    """All that came out."""
    console = display.Display(sys.stdout, piped_columns=PIPED_COLUMNS).console
    for name, item in results["items"].items():
        if item["subjects"]:
            console.print(_subjects(name, item))
    if found := rooms(results):
        shares = ", ".join(f"{room} {share:.0%}" for room, share in found.items())
        console.print(f"where the service's time goes: {shares}\n")
    console.print(_figures(results))
    for name, item in results["items"].items():
        for failure in item["failures"]:
            console.print(f"FAILED {name}: {failure}")


def _subjects(name: str, item: Record) -> Table:
    cells = {subject: subject_cells(runs) for subject, runs in item["subjects"].items()}
    table = Table(title=name, title_justify="left", box=box.SIMPLE)
    table.add_column("")
    shown = [number for number, _ in enumerate(HEADINGS) if any(row[number] for row in cells.values())]
    for number in shown:
        table.add_column(HEADINGS[number], justify="right")
    for subject, row in cells.items():
        table.add_row(subject, *(row[number] for number in shown))
    return table


def _figures(results: Record) -> Table:
    table = Table("", "", title="figures", title_justify="left", box=box.SIMPLE)
    for heading in ("measured", "wanted"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for figure in figures(results):
        verdict = {True: "ok", False: "MISSED", None: ""}[figure["is_met"]]
        measured = spread(figure["values"], figure["unit"], figure["median"])
        table.add_row(figure["number"], figure["name"], measured, wanted(figure), verdict)
    return table
