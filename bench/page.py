"""The results as docs/performance.md has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .results import HEADINGS, Record, figures, rooms, spread, subject_cells, wanted

BEGIN, END = "<!-- results: written by scripts/bench -->", "<!-- end of results -->"
TITLES = {
    "throughput": "Payloads of about 40 bytes",
    "large": "Payloads of 1 KiB",
    "latency": "At 1,000 messages a second, from PUBLISH to PUBACK",
    "distinct": "Every message of another device",
    "distance": "The same with the database far away",
    "backlog": "A backlog",
    "order": "A backlog of a table that the buffer pool does not hold",
    "scaling": "Several instances, and what was foretold",
    "brokers": "Through other brokers",
    "resolution": "A binary log, and heartbeats that need no write",
}


def results_as_markdown(results: Record) -> str:
    """All that was measured, as tables."""
    parts = [conditions(results, results["scale"]["messages"])]
    if "throughput" in results["items"]:
        parts.append("![Messages a second of each subject; the tables below hold the numbers](performance.svg)")
    parts.append(_figures(results))
    for name, title in TITLES.items():
        if item := results["items"].get(name):
            parts.append(f"**{title}**\n\n{_subjects(item)}")
    if found := rooms(results):
        shown = [[f"`{name}`" if name.islower() else name, f"{share:.0%}"] for name, share in found.items()]
        few = [row for row in shown if row[1] != "0%"]
        parts.append(f"**Where the service's time goes**\n\n{table(['', 'share'], few)}")
    return "\n\n".join(parts) + "\n"


def conditions(results: Record, messages: int) -> str:
    """Where and how it was measured, with so many messages in each round."""
    machine, versions, scale = results["machine"], results["versions"], results["scale"]
    return (
        f"{results['date']}. {machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}; the disk answers an `fdatasync` in {machine['sync_micros']} µs (median); "
        "everything on this one machine. "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}. "
        f"{scale['rounds']} rounds; {messages:,} messages from {scale['devices']:,} devices in each. "
        "Medians, in brackets the lowest and the highest."
    )


def _figures(results: Record) -> str:
    body = [
        [
            figure["number"],
            figure["name"],
            spread(figure["values"], figure["unit"], figure["median"]),
            wanted(figure),
            {True: "✓", False: "missed", None: ""}[figure["is_met"]],
        ]
        for figure in figures(results)
    ]
    return table(["", "", "measured", "wanted", ""], body)


def _subjects(item: Record) -> str:
    cells = {subject: subject_cells(runs) for subject, runs in item["subjects"].items()}
    shown = [number for number, _ in enumerate(HEADINGS) if any(row[number] for row in cells.values())]
    head = ["", *(HEADINGS[number] for number in shown)]
    return table(head, [[subject, *(row[number] for number in shown)] for subject, row in cells.items()])


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
