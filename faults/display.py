"""What a campaign shows: one line that is redrawn while it runs, a table at the end; plain lines without a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .rounds import Fault, Outcome
from .world import World

LINE_INTERVAL = 10.0  # s between lines about one round where nothing can be redrawn
LINE_WIDTH = 110  # of a table where there is no terminal
MIB = 1024 * 1024
COLUMNS = ("fault", "rounds", "messages", "lost", "moved back", "recovery s", "memory MiB", "void")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign is."""

    fault: str
    round: int
    rounds: int
    seed: int
    elapsed: float
    """Seconds of this round."""
    rate: float
    """Messages a second that were acknowledged lately."""
    published: int
    acknowledged: int
    spooled: int
    """Bytes of the spool's file."""
    pending: int
    """Deliveries, those in the spool among them."""

    def __str__(self) -> str:
        return (
            f"{self.fault} {self.round}/{self.rounds} (seed {self.seed}) {self.elapsed:.0f} s  {self.rate:.0f}/s"
            f"  published {self.published}, acknowledged {self.acknowledged}"
            f"  spool {self.spooled / MIB:.1f} MiB, pending {self.pending}"
        )


class ProgressOf:
    """How the present round goes, asked for again and again."""

    def __init__(self, fault: Fault, number: int, rounds: int, seed: int, world: World) -> None:
        self._place = (fault.name, number, rounds, seed)
        self._world = world
        self._began = self._looked_at = world.now
        self._acknowledged = 0
        self._rate = 0.0

    def look(self) -> Progress:
        """How it stands now."""
        world = self._world
        load, service = getattr(world, "load", None), getattr(world, "service", None)
        acknowledged = load.acknowledged if load is not None else 0
        figures = service.figures if service is not None else {}
        if (passed := world.now - self._looked_at) > 0:
            self._rate = (acknowledged - self._acknowledged) / passed
        self._looked_at, self._acknowledged = world.now, acknowledged
        return Progress(
            *self._place,
            elapsed=world.now - self._began,
            rate=self._rate,
            published=load.published if load is not None else 0,
            acknowledged=acknowledged,
            spooled=world.spooled,
            pending=figures.get("pending", 0),
        )


class Display:
    """Shows a campaign on one stream."""

    def __init__(self, stream: IO[str], *, can_redraw: bool) -> None:
        """:param can_redraw: whether it is a terminal that can be written over."""
        width = None if can_redraw else LINE_WIDTH
        self._console = Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=True, width=width)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if can_redraw else None
        self._next_line = LINE_INTERVAL

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line)

    def show(self, progress: Progress) -> None:
        """How the present round goes."""
        if self._live is not None:
            if not self._live.is_started:
                self._live.start()
            self._live.update(Text(str(progress), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif progress.elapsed >= self._next_line:
            self._next_line += LINE_INTERVAL
            self.say(f"     {progress}")

    def round_ended(self, outcome: Outcome, elapsed: float) -> None:
        """What came of a round."""
        self._next_line = LINE_INTERVAL
        verdict = "VOID " if outcome.void else "ok   " if outcome.is_right else "WRONG"
        self.say(
            f"{verdict} {outcome.fault} (seed {outcome.seed}) {elapsed:.0f} s: {outcome.messages} messages,"
            f" {outcome.lost} lost, {outcome.moved_back} moved back, recovered in {outcome.recovery:.1f} s,"
            f" at most {outcome.peak_memory / MIB:.0f} MiB{_listed(outcome.details)}"
        )
        for text in [outcome.void] if outcome.void else outcome.wrong:
            self.say(f"      {text}")

    def finish(self, faults: Sequence[Fault], outcomes: Sequence[Outcome]) -> None:
        """The table of a whole campaign."""
        if self._live is not None:
            self._live.stop()
        table = Table(*COLUMNS, box=box.SIMPLE_HEAD)
        for column in table.columns:
            column.no_wrap = True
            column.justify = "left" if column.header == "fault" else "right"
        for fault in faults:
            of_fault = [outcome for outcome in outcomes if outcome.fault == fault.name]
            is_right = all(outcome.is_right for outcome in of_fault if not outcome.void)
            table.add_row(*summary(fault, of_fault), style="" if is_right else "bold red")
        self._console.print(table)


def summary(fault: Fault, outcomes: Iterable[Outcome]) -> list[str]:
    """The rounds of one fault, as a line of the table."""
    outcomes = list(outcomes)
    told = [outcome for outcome in outcomes if not outcome.void]
    return [
        fault.name,
        str(len(told)),
        f"{sum(outcome.messages for outcome in told):,}",
        str(sum(outcome.lost for outcome in told)),
        str(sum(outcome.moved_back for outcome in told)),
        f"{max((outcome.recovery for outcome in told), default=0.0):.1f}",
        f"{max((outcome.peak_memory for outcome in told), default=0) / MIB:.0f}",
        str(len(outcomes) - len(told)),
    ]


def markdown(faults: Sequence[Fault], outcomes: Sequence[Outcome]) -> str:
    """The table for the documents, with each fault in words."""
    lines = [f"| {' | '.join(('fault', 'what happens', *COLUMNS[1:]))} |", "|---|---|" + "--:|" * (len(COLUMNS) - 1)]
    for fault in faults:
        name, *figures = summary(fault, (outcome for outcome in outcomes if outcome.fault == fault.name))
        lines.append(f"| `{name}` | {' | '.join((fault.description, *figures))} |")
    return "\n".join(lines) + "\n"


def _listed(details: dict[str, object]) -> str:
    return "".join(f", {name.replace('_', ' ')} {value}" for name, value in details.items() if isinstance(value, int))
