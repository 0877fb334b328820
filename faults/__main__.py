"""``scripts/faults``: a campaign of faults against the service, on private real servers."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.task import LoopingCall

from rig.display import LINE_INTERVAL
from rig.document import fill_in
from rig.narrator import Narrator
from rig.run import run
from rig.servers import ServerFailed, ServersMissing

from .catalogue import FAULTS
from .display import Display, ProgressOf
from .document import BEGIN, DOCUMENT, END, rows_in, tables
from .replay import EXIT_INTERRUPTED, EXIT_WRONG, replay
from .results import Played, commit, gathered, write
from .rounds import Fault, play
from .scene import Scene
from .simulation import simulate
from .soak import INTERVAL, soak
from .world import World

SHOW_INTERVAL = 0.5  # s
MAX_VOID = 3  # rounds in a row that are repeated because the broker itself dropped something
REPEATED = 1000  # what a repeated round's seed is larger by


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Make every fault that can be made on one machine happen to the service, and hold each row against"
        " the last message that the broker acknowledged to its device.",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[fault.name for fault in FAULTS], default=[])
    parser.add_argument(
        "--story",
        metavar="NAME",
        choices=[fault.name for fault in FAULTS],
        help="play one round of this fault and tell what is done and seen, with the address of the page",
    )
    parser.add_argument("--language", choices=("en", "zh"), help="of the story (LOG_LANGUAGE, or the locale's)")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="one long run instead, with a fault a minute")
    parser.add_argument("--simulate", type=int, metavar="N", help="N courses of the seeded simulation instead")
    parser.add_argument("--rounds", type=int, metavar="N", help="of each fault, instead of its own number")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first round; the next is one more (1)")
    parser.add_argument("--quick", action="store_true", help="seconds where it would be a minute, and one round each")
    parser.add_argument("--mysql", action="store_true", help="with MySQL instead of MariaDB")
    parser.add_argument("--mosquitto", choices=("2.0", "2.1"), default="2.0", help="version of the broker (2.0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="rounds at a time, but for heavy ones (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of each round")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the documents")
    parser.add_argument(
        "--document", action="store_true", help="put what was played into the tables of docs/guarantees.md"
    )
    parser.add_argument(
        "--from",
        dest="files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="play nothing, and take the rounds from files of --json: of rounds with the same fault and seed the"
        " newest, others are added up",
    )
    parser.add_argument("--list", action="store_true", help="name the faults, and do nothing")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be above 0")
    if options.simulate is not None and options.simulate < 1:
        parser.error("--simulate must be above 0")
    if options.jobs < 1:
        parser.error("--jobs must be above 0")
    if options.story and (options.only or options.soak or options.simulate or options.rounds or options.document):
        parser.error("--story is of one round, by itself")
    if options.document and (options.soak or _scene(options) != Scene()):
        parser.error("--document is of whole rounds on MariaDB and Mosquitto 2.0")
    if options.files is not None and (options.story or options.soak or options.simulate or options.rounds):
        parser.error("--from plays nothing")
    if options.soak is not None and options.soak < INTERVAL:
        parser.error(f"--soak must be at least {INTERVAL:.0f} seconds")
    return options


def _scene(options: argparse.Namespace) -> Scene:
    return Scene(database="mysql" if options.mysql else "mariadb", broker=options.mosquitto, quick=options.quick)


def _tell(options: argparse.Namespace, display: Display, faults: Sequence[Fault], played: Sequence[Played]) -> None:
    """Show the table of what was played, and write what was asked for."""
    outcomes = [each.outcome for each in played]
    faults = [fault for fault in faults if any(each.fault == fault.name for each in outcomes)]
    display.finish(faults, outcomes)
    if options.json:
        write(options.json, _scene(options), played)
    if options.markdown:
        options.markdown.write_text(tables(faults, played, {}), "utf-8")


def _document(played: Sequence[Played]) -> None:
    text = DOCUMENT.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    fill_in(DOCUMENT, BEGIN, END, f"\n{tables(FAULTS, played, rows_in(text))}\n")


def _gather(options: argparse.Namespace, display: Display) -> int:
    """Tell what came of the rounds in files; returns the exit code."""
    faults = _chosen(options)
    names = {fault.name for fault in faults}
    try:
        found = gathered(options.files, _scene(options))
    except ValueError as error:
        display.say(f"faults: FAILED: {error}")
        return EXIT_WRONG
    for name in sorted({each.outcome.fault for each in found} - {fault.name for fault in FAULTS}):
        display.say(f"faults: left out, because there is no such fault any more: {name}")
    played = [each for each in found if each.outcome.fault in names]
    _tell(options, display, faults, played)
    if options.document:
        _document(played)
    return _exit_code(played)


def _chosen(options: argparse.Namespace) -> list[Fault]:
    return [fault for fault in FAULTS if not options.only or fault.name in options.only]


def _exit_code(played: Sequence[Played]) -> int:
    return 0 if all(each.outcome.is_right for each in played if not each.outcome.void) else EXIT_WRONG


class Campaign:
    """Plays the rounds, one after the other or a few at a time."""

    def __init__(self, options: argparse.Namespace, display: Display, reactor: Any) -> None:
        self._options = options
        self._display = display
        self._reactor = reactor
        self._scene = _scene(options)
        self._faults = [soak(options.soak)] if options.soak else _chosen(options)
        self._rounds = sum(map(self._rounds_of, self._faults))
        self._commit = commit()
        self.played: list[Played] = []

    async def run(self) -> int:
        """Returns the exit code."""
        try:
            for is_heavy in (False, True):  # what is heavy comes last, when nothing else is on the way
                faults = [fault for fault in self._faults if fault.is_heavy is is_heavy]
                await self._play(faults, 1 if is_heavy else self._options.jobs)
        except (ServerFailed, ServersMissing) as error:
            self._display.say(f"faults: FAILED: {error}")
            return EXIT_WRONG
        except CancelledError:
            self._display.say("faults: interrupted")
            return EXIT_INTERRUPTED
        finally:
            _tell(self._options, self._display, self._faults, self.played)
        if self._options.document:
            _document(self.played)
        return _exit_code(self.played)

    def _rounds_of(self, fault: Fault) -> int:
        return self._options.rounds or (1 if self._options.quick else fault.rounds)

    async def _play(self, faults: Sequence[Fault], jobs: int) -> None:
        """Play all rounds of these, so many at a time."""
        waiting: deque[tuple[Fault, int, int]] = deque()
        for fault in faults:
            rounds = self._rounds_of(fault)
            waiting += [(fault, number, rounds) for number in range(1, rounds + 1)]

        async def work() -> None:
            while waiting:
                await self._play_until_it_tells(*waiting.popleft())

        workers = [Deferred.fromCoroutine(work()) for _ in range(jobs)]
        try:
            await gatherResults(workers, consumeErrors=True)
        except FirstError as error:
            waiting.clear()
            for worker in workers:
                worker.cancel()
            await DeferredList(workers, consumeErrors=True)
            error.subFailure.raiseException()

    async def _play_until_it_tells(self, fault: Fault, number: int, rounds: int) -> None:
        """Play a round, again where the broker itself made it void."""
        for attempt in range(MAX_VOID):
            seed = self._options.seed + number - 1 + attempt * REPEATED
            began = self._reactor.seconds()
            showing = LoopingCall(lambda: None)

            def begun(world: World, showing: LoopingCall = showing, seed: int = seed) -> None:
                progress = ProgressOf(fault, number, rounds, seed, world)
                showing.f = lambda: self._display.show_round(progress.look(), len(self.played), self._rounds)
                showing.clock = self._reactor
                showing.start(SHOW_INTERVAL)

            try:
                outcome = await play(fault, self._scene, seed, self._reactor, begun)
            finally:
                if showing.running:
                    showing.stop()
            self.played.append(Played(outcome, datetime.now(timezone.utc), self._commit))
            self._display.round_ended(outcome, self._reactor.seconds() - began)
            if not outcome.void:
                return


def main() -> None:
    """Run, with Ctrl-C as an early end."""
    options = _options()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if options.simulate:
        sys.exit(0 if simulate(options.simulate, options.seed) else EXIT_WRONG)
    display = Display(sys.stdout)
    display.next_line = LINE_INTERVAL
    if options.list:
        for fault in FAULTS:
            display.say(f"{fault.name:22} {fault.description}")
        return

    if options.files is not None:
        sys.exit(_gather(options, display))
    if options.story:
        narrator = Narrator(sys.stdout, language=options.language)
        fault = next(fault for fault in FAULTS if fault.name == options.story)
        run(lambda reactor: replay(fault, _scene(options), options.seed, narrator, reactor))
    run(lambda reactor: Campaign(options, display, reactor).run())


if __name__ == "__main__":
    main()
