"""What came of rounds, kept in files, so that those of several runs are told together."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rig import servers

from .rounds import Outcome
from .scene import Scene


@dataclass(frozen=True, slots=True)
class Played:
    """A round that was played."""

    outcome: Outcome
    at: datetime
    """When it had ended, in UTC."""
    commit: str
    """What was played; "" where nobody wrote it down."""


def commit() -> str:
    """The commit of what is here, and whether anything differs from it; "" where that is unknown."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(command, cwd=servers.ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip()


def write(path: Path, scene: Scene, played: Iterable[Played]) -> None:
    """Write what came of each round."""
    rounds = [
        {
            **asdict(each.outcome),
            "is_right": each.outcome.is_right,
            "at": each.at.isoformat(timespec="seconds"),
            "commit": each.commit,
        }
        for each in played
    ]
    document = {"scene": asdict(scene), "rounds": rounds}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def gathered(paths: Sequence[Path], scene: Scene) -> list[Played]:
    """The rounds of several files. Of those with the same fault and the same seed, only the newest.

    :raises ValueError: a file is none of ``write``, or was played with something else; the text names it.
    """
    newest: dict[tuple[str, int], Played] = {}
    for played in sorted((each for path in paths for each in _read(path, scene)), key=lambda each: each.at):
        newest[played.outcome.fault, played.outcome.seed] = played
    return list(newest.values())


def _read(path: Path, scene: Scene) -> list[Played]:
    try:
        document = json.loads(path.read_text("utf-8"))
        its_scene, rounds = Scene(**document["scene"]), document["rounds"]
        written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        played = [_played(told, written) for told in rounds]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no file of --json: {type(error).__name__}: {error}") from None
    if its_scene != scene:
        raise ValueError(f"{path} was played with {its_scene}, and what is gathered with {scene}")
    return played


def _played(told: dict[str, Any], written: datetime) -> Played:
    """:param written: when the file was, for one that does not say when its rounds were played."""
    at = datetime.fromisoformat(told["at"]).astimezone(timezone.utc) if "at" in told else written
    outcome = Outcome(**{each.name: told[each.name] for each in fields(Outcome)})
    return Played(outcome, at, told.get("commit", ""))
