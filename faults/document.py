"""The tables in ``docs/guarantees.md`` of what was played, between two marks; the text around them is by hand.

A row stays until its fault was played again, so that no run has to be of all faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from rig import servers

from .display import COLUMNS, summary
from .results import Played
from .rounds import Fault

DOCUMENT = servers.ROOT / "docs" / "guarantees.md"
BEGIN = "<!-- written by scripts/faults --document -->"
END = "<!-- end of what is written -->"
NOT_PLAYED = "not played yet"
NAME, DESCRIPTION, ROUNDS = COLUMNS[0], "what happens", COLUMNS[1]
WRONG, PLAYED = "wrong", "played"
HEADER = (NAME, DESCRIPTION, ROUNDS, WRONG, *COLUMNS[2:], PLAYED)
ONE_SERVER, CLUSTERS = "One server of each kind", "Clusters of databases"
TWO_INSTANCES, OTHER_BROKERS = "Two instances", "Other brokers"
GROUPS = (ONE_SERVER, CLUSTERS, TWO_INSTANCES, OTHER_BROKERS)

Row = Mapping[str, str]
"""What a row says in each column."""


def group_of(fault: Fault) -> str:
    """Under which of the headings it stands."""
    layout = fault.layout
    if "HA_MODE" in (layout.settings or {}):
        return TWO_INSTANCES
    if layout.cluster is not None:
        return CLUSTERS
    return OTHER_BROKERS if fault.name.startswith("rabbit") else ONE_SERVER


def rows_in(text: str) -> dict[str, Row]:
    """The rows of all tables in a text, by the names of their faults."""
    rows: dict[str, Row] = {}
    columns: Sequence[str] = ()
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] == NAME:
            columns = cells
        elif (found := re.fullmatch(r"`([^`]+)`", cells[0] if cells else "")) is not None:
            rows[found[1]] = dict(zip(columns, cells, strict=True))
    return rows


def row_of(fault: Fault, played: Sequence[Played]) -> Row:
    """The row of a fault that was played."""
    outcomes = [each.outcome for each in played]
    figures = dict(zip(COLUMNS, summary(fault, outcomes), strict=True))
    wrong = sum(not outcome.is_right for outcome in outcomes if not outcome.void)
    days = _distinct(f"{each.at:%Y-%m-%d}" for each in played)
    commits = _distinct(each.commit for each in played if each.commit)
    return {**figures, WRONG: str(wrong), PLAYED: ", ".join((*days, *commits))}


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def tables(faults: Sequence[Fault], played: Sequence[Played], before: Mapping[str, Row]) -> str:
    """What was played in words, and a table for each group.

    :param before: the rows that are there now: what one says stays where its fault was not played.
    """
    rows = {fault.name: before.get(fault.name, {ROUNDS: NOT_PLAYED}) for fault in faults}
    for fault in faults:
        of_fault = [each for each in played if each.outcome.fault == fault.name]
        if any(not each.outcome.void for each in of_fault):
            rows[fault.name] = row_of(fault, of_fault)
    parts = [_in_words(rows)]
    for group in GROUPS:
        if lines := [_line(fault, rows[fault.name]) for fault in faults if group_of(fault) == group]:
            begin = [f"### {group}", "", f"| {' | '.join(HEADER)} |", "|---|---|" + "--:|" * (len(HEADER) - 3) + "---|"]
            parts.append("\n".join((*begin, *lines)) + "\n")
    return "\n".join(parts)


def _line(fault: Fault, row: Row) -> str:
    cells = {**row, NAME: f"`{fault.name}`", DESCRIPTION: fault.description}
    return f"| {' | '.join(cells.get(column, '') for column in HEADER)} |"


def _in_words(rows: Mapping[str, Row]) -> str:
    """How much was played, and what came of it."""
    played = {name: row for name, row in rows.items() if row[ROUNDS] != NOT_PLAYED}
    total = sum(int(row[ROUNDS]) for row in played.values())
    wrong = [name for name, row in played.items() if row[WRONG] != "0"]
    verdict = (
        f"**{sum(int(played[name][WRONG]) for name in wrong)} rounds were wrong**: {', '.join(wrong)}."
        if wrong
        else "Nothing was lost, and no row moved back."
    )
    missing = f" Not played yet: {len(rows) - len(played)}." if len(played) < len(rows) else ""
    return f"{len(played)} of {len(rows)} faults, {total:,} rounds. {verdict}{missing}\n"
