"""``scripts/bench``: options, the items in turn, and where their results go."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rig.document import fill_in
from rig.servers import ServerFailed, ServersMissing

from . import held_up, large_table, scaling, soak, under_load
from .against import LOADS, beside, other_tree
from .chart import chart
from .display import Display, show_results
from .figures import Outcome
from .hour_chart import WORDS, hour_chart
from .items import QUICK, Bench, Scale
from .page import BEGIN, END, results_as_markdown
from .results import Record, is_right, record
from .stage import RunFailed, Stage

# In this order, so that the table is filled with more devices only once.
ITEMS: dict[str, Callable[[Bench], Outcome]] = {
    "throughput": under_load.throughput,
    "large": under_load.large,
    "waiting": under_load.waiting,
    "turns": under_load.turns,
    "profile": under_load.where_time_goes,
    "latency": held_up.latency,
    "mqtt311": under_load.mqtt311,
    "backlog": held_up.backlog,
    "distinct": held_up.distinct,
    "memory": held_up.memory,
    "distance": held_up.distance,
    "resolution": held_up.resolution,
    "order": large_table.order,
    "scaling": scaling.scaling,
    "brokers": under_load.brokers,
}

EXIT_INTERRUPTED = 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the service beside what bounds it and beside others that do the same job, with servers of "
        "its own. Figures are ratios of runs that alternate on one machine; docs/performance.md tells what each means.",
    )
    parser.add_argument("--only", metavar="ITEM,…", help=f"only these items: {', '.join(ITEMS)}")
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help=f"this tree's service beside that of another commit, in turns: {', '.join(LOADS)}",
    )
    parser.add_argument(
        "--soak",
        type=float,
        metavar="SECONDS",
        help="one long run instead: a million devices, one message a minute each, watched from beside",
    )
    parser.add_argument("--devices", type=int, default=1_000_000, metavar="N", help="of --soak (1000000)")
    parser.add_argument(
        "--outage", type=float, default=0.0, metavar="SECONDS", help="of --soak: the database is frozen for so long"
    )
    parser.add_argument("--pool", default="1G", metavar="SIZE", help="innodb_buffer_pool_size of --soak (1G)")
    parser.add_argument("--quick", action="store_true", help="one short round of each, to try it; too short to quote")
    parser.add_argument("--runs", type=int, metavar="N", help="how often each is measured (5)")
    parser.add_argument("--mysql", action="store_true", help="with MySQL, whose binary log is on, instead of MariaDB")
    parser.add_argument("--broker", choices=("2.0", "2.1"), default="2.0", help="which Mosquitto (2.0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="measure nothing, show such a file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the results in docs/performance.md")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="draw the throughput, or the long run, in both languages"
    )
    options = parser.parse_args()
    if options.against and (options.source or options.markdown or options.svg):
        parser.error("documents and pictures are of this tree alone: --against goes with --json only")
    items = LOADS if options.against else ITEMS
    options.items = options.only.split(",") if options.only else list(items)
    if unknown := set(options.items) - set(items):
        parser.error(f"no such item: {', '.join(sorted(unknown))}; there are {', '.join(items)}")
    if options.soak is not None and (options.soak < soak.SHORTEST or options.devices <= 2 * soak.SILENT):
        parser.error(f"--soak is for at least {soak.SHORTEST} seconds, with more than {2 * soak.SILENT} --devices")
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def _measure(options: argparse.Namespace, display: Display) -> Record:
    scale = QUICK if options.quick else Scale()
    if options.runs:
        scale = replace(scale, rounds=options.runs)
    with contextlib.ExitStack() as stack:
        items = ITEMS
        if options.against:
            other = stack.enter_context(other_tree(options.against, display.begin))
            items = {name: functools.partial(beside, name, other) for name in LOADS}
        display.begin("starting the database")
        stage = stack.enter_context(contextlib.closing(Stage("mysql" if options.mysql else "mariadb", options.broker)))
        bench = Bench(stage, scale, display.begin, display.say)
        outcomes: dict[str, Outcome] = {}
        display.items = len(options.items)
        try:
            for name, item in items.items():
                if name in options.items:
                    outcomes[name] = item(bench)
                    display.done += 1
        except KeyboardInterrupt:
            if not outcomes:
                raise
            display.say(f"interrupted: what follows is {', '.join(outcomes)} only")
        display.stop()
        return record(stage, scale, outcomes)


def _soak(options: argparse.Namespace, display: Display) -> int:
    """One long run; returns the exit code."""
    flavour, pool = "mysql" if options.mysql else "mariadb", f"--innodb-buffer-pool-size={options.pool}"
    with contextlib.closing(Stage(flavour, options.broker, [pool])) as stage:
        result = soak.soak(stage, options.devices, options.soak, display.begin, outage=options.outage)
    display.stop()
    for line in result.summary():
        display.say(line)
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    if options.svg:
        _draw_hour(options.svg, asdict(result))
    return 1 if result.faults else 0


def _draw_hour(path: Path, soaked: Mapping[str, Any]) -> None:
    """As a file in each language, the other ones with it in their names."""
    for language in WORDS:
        suffix = path.suffix if language == "en" else f".{language}{path.suffix}"
        path.with_suffix(suffix).write_text(hour_chart(soaked, language), encoding="utf-8")


def main() -> None:
    """Measure, or read what was measured, and write it down."""
    options, display = _options(), Display()
    try:
        if options.soak:
            sys.exit(_soak(options, display))
        results = json.loads(options.source.read_text()) if options.source else _measure(options, display)
        if "moments" in results:
            if options.svg:
                _draw_hour(options.svg, results)
            return
    except (RunFailed, ServerFailed, ServersMissing) as error:
        display.stop()
        sys.exit(f"bench: FAILED: {error}")
    except KeyboardInterrupt:
        display.stop()
        display.say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.svg:
        options.svg.write_text(chart(results), encoding="utf-8")
    if options.markdown:
        fill_in(options.markdown, BEGIN, END, results_as_markdown(results))
    show_results(results)
    sys.exit(0 if is_right(results) else 1)


if __name__ == "__main__":
    main()
