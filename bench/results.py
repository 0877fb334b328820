"""What came out, as one record that is written as JSON and that tables, chart and document are made from."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import paho.mqtt
import pymysql

import twisted
from aiot_mqtt import __version__
from rig import servers

from .figures import Figure, Outcome
from .items import Scale
from .runs import Run
from .stage import Stage

Record = dict[str, Any]


def record(stage: Stage, scale: Scale, outcomes: Mapping[str, Outcome]) -> Record:
    """Everything, fit for JSON."""
    with stage.broker() as broker:
        broker_version = broker.version
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": {
            "aiot-mqtt": __version__,
            "Python": platform.python_version(),
            "Twisted": twisted.__version__,
            "paho-mqtt": paho.mqtt.__version__,
            "PyMySQL": pymysql.VERSION_STRING,
            "Mosquitto": broker_version,
            {"mariadb": "MariaDB", "mysql": "MySQL"}[stage.database.flavour]: stage.database.version,
        },
        "scale": asdict(scale),
        "items": {name: _item(outcome) for name, outcome in outcomes.items()},
    }


def machine() -> Record:
    """What the figures depend on most."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "sync_micros": round(_sync_seconds() * 1e6),
    }


def _sync_seconds() -> float:
    """How long the disk takes to promise a small write, which is what a COMMIT waits for."""
    folder = servers.private_folder()
    taken = []
    try:
        with (folder / "sync").open("wb", buffering=0) as file:
            for _ in range(200):
                file.write(b"x" * 512)
                since = time.perf_counter()
                os.fdatasync(file.fileno())
                taken.append(time.perf_counter() - since)
    finally:
        servers.remove_folder(folder)
    return median(taken)


def _item(outcome: Outcome) -> Record:
    subjects: dict[str, list[Record]] = {}
    for done in outcome.rounds:
        for name, run in done.items():
            subjects.setdefault(name, []).append(_run(run))
    return {
        "figures": [_figure(figure) for figure in outcome.figures],
        "subjects": subjects,
        "notes": outcome.notes,
        "failures": outcome.failures,
    }


def _figure(figure: Figure) -> Record:
    return {**asdict(figure), "median": figure.median, "is_met": figure.is_met}


def _run(run: Run) -> Record:
    measured = asdict(run)
    del measured["began"], measured["ended"]
    by_message = {
        "rows_per_message": run.rows / run.messages,
        "binlog_bytes_per_message": None if run.binlog_bytes is None else run.binlog_bytes / run.messages,
    }
    return {**measured, "seconds": run.seconds, "rate": run.rate, "cpu_micros": run.cpu_micros, **by_message}


def figures(results: Record) -> list[Record]:
    """Every figure, in the order of their numbers."""
    every = [figure for item in results["items"].values() for figure in item["figures"]]
    return sorted(every, key=lambda figure: int(figure["number"]))


HEADINGS = (
    "messages",
    "messages/s",
    "µs of CPU each",
    "rows each",
    "binlog bytes each",
    "rows out of date",
    "p50, ms",
    "p99, ms",
)


def subject_cells(runs: list[Record]) -> list[str]:
    """What the runs of a subject came to, under ``HEADINGS``; empty where it does not apply."""
    cpu, rows, binlog, p50, p99 = (
        [run[name] for run in runs if run[name]]
        for name in ("cpu_micros", "rows_per_message", "binlog_bytes_per_message", "p50", "p99")
    )
    wrong = max(run["wrong_rows"] for run in runs)
    return [
        f"{runs[0]['messages']:,}",
        spread([run["rate"] for run in runs]),
        spread(cpu) if cpu else "",
        f"{median(rows):.2f}" if rows else "",
        f"{median(binlog):,.0f}" if binlog else "",
        f"{wrong:,}" if wrong else "",
        spread(p50) if p50 else "",
        spread(p99) if p99 else "",
    ]


def rooms(results: Record) -> dict[str, float]:
    """The profile, the largest share first; empty where there is none."""
    found: dict[str, float] = results["items"].get("profile", {}).get("notes", {}).get("rooms", {})
    return found


def is_right(results: Record) -> bool:
    """Whether every run came to its end and lost nothing; a target that is missed is no mistake."""
    return not any(item["failures"] for item in results["items"].values())


def spread(measured: list[float], unit: str = "", middle: float | None = None) -> str:
    """The median, or what stands for it, and between which values it lies, in figures that mean something."""
    if not measured:
        return "not measured"
    low, shown, high = (_number(value) for value in (min(measured), middle or median(measured), max(measured)))
    shown = f"{shown} {unit}".rstrip()
    return shown if len(measured) == 1 else f"{shown} ({low}–{high})"


def wanted(figure: Record) -> str:
    """What a figure should be, in words."""
    if figure["at_least"] is not None:
        return f"≥ {_number(figure['at_least'])} {figure['unit']}".rstrip()
    if figure["at_most"] is not None:
        return f"≤ {_number(figure['at_most'])} {figure['unit']}".rstrip()
    return ""


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
