"""The table of the last campaign in ``docs/guarantees.md``, between two marks; the text around it is by hand."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

from rig import servers

from .rounds import Fault, Outcome
from .scene import Scene

DOCUMENT = servers.ROOT / "docs" / "guarantees.md"
BEGIN = "<!-- written by scripts/faults --document -->"
END = "<!-- end of what is written -->"


def campaign_in_words(scene: Scene, faults: Sequence[Fault], outcomes: Sequence[Outcome], seconds: float) -> str:
    """When, of what and with what it was played, and what came of it."""
    told = [outcome for outcome in outcomes if not outcome.void]
    wrong = [outcome for outcome in told if not outcome.is_right]
    database = {"mariadb": "MariaDB", "mysql": "MySQL"}[scene.database]
    verdict = (
        f"**{len(wrong)} rounds were wrong**: {', '.join(sorted({outcome.fault for outcome in wrong}))}."
        if wrong
        else "Nothing was lost, and no row moved back."
    )
    return (
        f"On {time.strftime('%Y-%m-%d')}, whole, at commit {_commit()}, with Mosquitto {scene.broker} and {database},"
        f" in {seconds / 60:.0f} minutes: {len(faults)} faults, {len(told)} rounds. {verdict}\n\n"
    )


def _commit() -> str:
    """The commit, and whether anything differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
