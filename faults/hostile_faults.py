"""Bytes that nobody well-behaved sends: each run in a process of its own, because it must not share a reactor."""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.internet.threads import deferToThread

from rig.programs import environment

from .rounds import Outcome
from .scene import Scene

STREAMS, INPUTS = 200_000, 1_000_000
QUICK_SHARE = 100  # a quick run is so many times shorter


async def hostile_broker(scene: Scene, seed: int) -> Outcome:
    """Mutated packet streams on real connections."""
    return await _run("hostile-broker", "fuzz.hostile_broker", "--streams", STREAMS, scene, seed)


async def hostile_device(scene: Scene, seed: int) -> Outcome:
    """Mutated topics and payloads."""
    return await _run("hostile-device", "fuzz.decoding", "--inputs", INPUTS, scene, seed)


async def _run(fault: str, module: str, option: str, count: int, scene: Scene, seed: int) -> Outcome:
    count = count // QUICK_SHARE if scene.quick else count
    arguments = ["-m", module, option, str(count), "--seed", str(seed)]
    program = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment({"PYTHONIOENCODING": "utf-8"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        output, errors = await deferToThread(program.communicate)
    finally:
        program.kill()  # should it still run, because nobody waits for it any more
    text = output.decode("utf-8", "replace")
    outcome = Outcome(fault=fault, seed=seed, messages=count, log=text.splitlines())
    if program.returncode:
        wrong = re.findall(r"^WRONG.*\n?.*", text, re.MULTILINE)
        outcome.wrong += wrong or [errors.decode("utf-8", "replace")[-2000:]]
    return outcome
