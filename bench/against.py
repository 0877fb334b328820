"""This tree's service beside another commit's, under the same loads, in turns in one run.

Of the other only the service is used: its command line, its settings and its two first lines are all it has to share.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rig import servers
from rig.programs import FOREGROUND
from rig.servers import unavailable

from .figures import Figure, Outcome, ratio_of_medians, ratios
from .held_up import DISTANCES, from_afar, paced
from .items import Bench
from .runs import Run, measure
from .stage import RunFailed
from .subjects import SERVICE, Subject, service
from .under_load import KEEPS_WINDOW

LEAST = 0.97  # of the other's messages for each second, and for each second of CPU
THIS = f"{SERVICE}, this tree"

Make = Callable[..., Subject]


class Load(NamedTuple):
    """Something that both are put through."""

    run: Callable[[Bench, Make], Run]
    devices: str = "devices"
    """Which of ``Scale`` says how many devices the table holds."""
    is_paced: bool = False
    """Whether the rate is given, so that it is the waiting that differs."""


def _usual(bench: Bench, make: Make) -> Run:
    return measure(bench.stage, make, bench.stage.plan(bench.scale.messages))


def _large(bench: Bench, make: Make) -> Run:
    scale = bench.scale
    return measure(bench.stage, make, bench.stage.plan(scale.large_messages, payload_bytes=scale.large_payload))


def _mqtt311(bench: Bench, make: Make) -> Run:
    if reason := unavailable(KEEPS_WINDOW):
        raise RunFailed(reason)
    make = functools.partial(make, MQTT_PROTOCOL="3.1.1")
    return measure(bench.stage, make, bench.stage.plan(bench.scale.mqtt311_messages), broker_version=KEEPS_WINDOW)


def _distinct(bench: Bench, make: Make) -> Run:
    return measure(bench.stage, make, bench.stage.plan(bench.scale.many_devices))


# In this order, so that the table is filled with more devices only twice.
LOADS = {
    "throughput": Load(_usual),
    "large": Load(_large),
    "latency": Load(paced, is_paced=True),
    "mqtt311": Load(_mqtt311),
    "distinct": Load(_distinct, "many_devices"),
    **{
        f"distance{milliseconds}": Load(functools.partial(from_afar, milliseconds=milliseconds), "distant_devices")
        for milliseconds, _ in DISTANCES
    },
}


class OtherTree(NamedTuple):
    """The project as it was at another commit."""

    name: str
    make: Make


@contextlib.contextmanager
def other_tree(commit: str, begin: Callable[[str], None]) -> Iterator[OtherTree]:
    """A commit's files in a folder of their own, as long as the block lasts; with an environment of their own where
    they require other packages than this tree does.

    :param begin: told what is under way.
    :raises RunFailed: there is no such commit, or its service cannot be started.
    """
    full = _output(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"], f"no commit {commit}"
    )
    folder = servers.private_folder()
    try:
        tree, archive = folder / "tree", folder / "tar"
        tree.mkdir()
        _output(["git", "archive", f"--output={archive}", full], "git archive")
        _output(["tar", "-x", "-f", str(archive), "-C", str(tree)], "tar")
        python = sys.executable
        if requirements(tree) != requirements(servers.ROOT):
            begin(f"installing what {commit} requires")
            script = '. scripts/python-environment; trust_certificates; create_venv "$1"; "$1/bin/pip" install -q "$2"'
            _output(["bash", "-euc", script, "bash", str(folder / "venv"), str(tree)], "its environment")
            python = str(folder / "venv" / "bin" / "python")
        look = [python, "-c", "import aiot_mqtt.tap; print(aiot_mqtt.__file__)"]
        found = _output(look, "its service", cwd=folder, PYTHONPATH=str(tree))
        if not Path(found).is_relative_to(tree):
            raise RunFailed(f"{commit} would not be measured: Python finds {found}")
        make = functools.partial(service, argv=[python, *FOREGROUND[1:]], PYTHONPATH=str(tree))
        yield OtherTree(f"{SERVICE}, {full[:10]}", make)
    finally:
        servers.remove_folder(folder)


def requirements(tree: Path) -> set[str]:
    """What a tree's setup.cfg has installed with it."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(tree / "setup.cfg", encoding="utf-8")
    return set(setup["options"]["install_requires"].split())


def beside(name: str, other: OtherTree, bench: Bench) -> Outcome:
    """Both under one of ``LOADS``."""
    load = LOADS[name]
    bench.stage.fill(getattr(bench.scale, load.devices))
    steps = {who: functools.partial(load.run, bench, make) for who, make in ((other.name, other.make), (THIS, service))}
    outcome = bench.rounds(name, steps)
    outcome.figures = compare(name, outcome, other.name, is_paced=load.is_paced)
    return outcome


def compare(name: str, outcome: Outcome, other: str, *, is_paced: bool) -> list[Figure]:
    """What this tree's medians are of the other's; in brackets the ratios of the single rounds."""

    def figure(title: str, above: str, below: str, measured: str, least: float | None) -> Figure:
        of_rounds = ratios(outcome, above, below, measured)
        of_medians = ratio_of_medians(outcome, above, below, measured)
        return Figure("12", f"{name}: {title}", of_rounds, "×", at_least=least, of_medians=of_medians)

    found = [figure("messages for each second of CPU", other, THIS, "cpu_micros", LEAST)]
    if is_paced:
        return found + [figure(f"PUBLISH to PUBACK, {part}", THIS, other, part, None) for part in ("p50", "p99")]
    return [figure("messages/s", THIS, other, "rate", LEAST), *found]


def _output(argv: list[str], what: str, cwd: Path = servers.ROOT, **settings: str) -> str:
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-500:]
        raise RunFailed(f"{what}: {said or f'{argv[0]}: exit code {done.returncode}'}")
    return done.stdout.strip()
