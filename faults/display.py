"""What a campaign shows: how its rounds go, what came of each, and a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from rig import display

from .rounds import Fault, Outcome
from .world import World

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
        fleet, service = getattr(world, "fleet", None), getattr(world, "service", None)
        acknowledged = fleet.acknowledged if fleet is not None else 0
        figures = service.figures if service is not None else {}
        if (passed := world.now - self._looked_at) > 0:
            self._rate = (acknowledged - self._acknowledged) / passed
        self._looked_at, self._acknowledged = world.now, acknowledged
        return Progress(
            *self._place,
            elapsed=world.now - self._began,
            rate=self._rate,
            published=fleet.published if fleet is not None else 0,
            acknowledged=acknowledged,
            spooled=world.spooled,
            pending=figures.get("pending", 0),
        )


class Display(display.Display):
    """Shows a campaign on one stream."""

    def show_round(self, progress: Progress, played: int, rounds: int) -> None:
        """How the present round goes, after so many of all rounds."""
        self.show(display.bar(played, rounds, str(progress)), f"     {progress}", progress.elapsed)

    def round_ended(self, outcome: Outcome, elapsed: float) -> None:
        """What came of a round."""
        self.next_line = display.LINE_INTERVAL
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
        self.stop()
        table = Table(*COLUMNS, box=box.SIMPLE_HEAD)
        for column in table.columns:
            column.no_wrap = True
            column.justify = "left" if column.header == "fault" else "right"
        for fault in faults:
            of_fault = [outcome for outcome in outcomes if outcome.fault == fault.name]
            is_right = all(outcome.is_right for outcome in of_fault if not outcome.void)
            table.add_row(*summary(fault, of_fault), style="" if is_right else "bold red")
        self.console.print(table)


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


def _listed(details: dict[str, object]) -> str:
    return "".join(f", {name.replace('_', ' ')} {value}" for name, value in details.items() if isinstance(value, int))
