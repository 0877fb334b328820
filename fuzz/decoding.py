"""The fault "a hostile device": fuzzes ``report.decode`` and ``Ingest``, guided by the lines that run.

Each answer is held against a second opinion.

    python -m fuzz.decoding --inputs 1000000 --seed 1
    python -m fuzz.decoding --atheris -max_total_time=60 -seed=1     # by atheris, where it is installed
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timezone
from pathlib import Path
from random import Random
from types import FrameType, FunctionType
from typing import Any, NoReturn, TypeVar

from twisted.internet.task import Clock
from twisted.logger import globalLogBeginner

from aiot_mqtt.devices import report
from aiot_mqtt.devices.report import ReportRules
from aiot_mqtt.ingest import ingest
from aiot_mqtt.ingest.ingest import Ingest
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.refusals import Refusals
from rig.display import counting
from rig.proc import memory

from .inputs import PAYLOADS, TOKENS, TOPICS, changed, report_payload
from .second_opinion import judge

MAX_FINDINGS = 20
TRIES = 1000  # to shorten an input
Parts = TypeVar("Parts", bytes, tuple[Any, ...])
SEEDS = tuple((topic, payload) for topic in TOPICS for payload in PAYLOADS)


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that was not dealt with as it must be."""

    seed: int
    """What brings it about again."""
    problem: str
    shortened: str
    """The shortest input found that still brings it about, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """What a run of ``fuzz_decoding`` saw."""

    inputs: int
    accepted: int
    refused: dict[str, int]
    """By reason."""
    reached: int
    """Pairs of lines of ``report`` and ``ingest`` that ran one after the other, and sorts of answers."""
    kept: int
    """Inputs that were kept because they reached something new."""
    seconds: float
    memory_growth: int
    """Bytes by which the process grew."""
    findings: tuple[Finding, ...]


def sum_is_wrong(counters: Counters, pending: PendingUpdates) -> str | None:
    """What is wrong with the sum in which each delivery counts once; None where nothing is."""
    if not counters.balance(pending.deliveries).difference and not counters.refused["internal_error"]:
        return None
    return f"received {counters.received}, {counters.as_dict()}, pending {pending.deliveries}"


class _Nobody:
    """Whom ingest tells what it finds."""

    def wake(self) -> None:
        """Nothing is written."""

    def foreign_topic_received(self, topic: str) -> None:
        """No subscription is undone."""


def fuzz_decoding(seed: int, count: int, progress: Callable[[int], None] = lambda _done: None) -> DecodingResult:
    """Try this many inputs on ``decode`` and on one ``Ingest``; the same seed, the same inputs.

    :param progress: called now and then with how many were tried.
    """
    random = Random(seed)
    rules = (ReportRules(), ReportRules(status_values=frozenset({"online", "offline", "5"}), status_length=7))
    counters, pending = Counters(), PendingUpdates(10_000)
    # Its bound is reached all the time, so that QoS 0 messages are dropped as well.
    nobody = _Nobody()
    entry = Ingest(rules[0], pending, counters, Refusals(counters, Clock()), table_zone=timezone.utc,
                   writer=nobody, foreign_topics=nobody, wall_clock=lambda: 1.8e9)  # fmt: skip
    corpus = [*SEEDS]
    reached: set[object] = set()
    arcs: set[object] = set()
    outcomes: Counter[str] = Counter()
    findings: list[Finding] = []
    began, before = time.monotonic(), memory(os.getpid()).peak
    for number in range(count):
        topic, payload = SEEDS[number] if number < len(SEEDS) else _next(random, corpus)
        packet_id, retain, chosen = random.choice((0, 1, 65535)), random.random() < 0.05, rules[number & 1]
        with _recorded(arcs):
            verdict = judge(topic, payload, chosen)
            entry.publish_received(topic, payload, packet_id, retain)
        outcomes[verdict.outcome] += 1
        problem = verdict.problem or sum_is_wrong(counters, pending)
        if problem and len(findings) < MAX_FINDINGS:
            short = _shortened(topic, payload, chosen) if verdict.problem else (topic, payload)
            findings.append(Finding(seed, problem, f"{short[0].hex()} {short[1].hex()}"))
        # orjson cannot be watched inside, but each of its complaints is another path through it.
        seen = arcs | {(verdict.outcome, re.sub(r"\d+", "", verdict.detail))}
        if not seen <= reached:
            reached |= seen
            corpus.append((topic, payload))
        arcs.clear()
        if not number % 64:
            batch = pending.take()
            counters.stored += sum(update.deliveries for update in batch.updates)
        if not number % 10_000:
            progress(number)
    progress(count)
    return DecodingResult(
        inputs=count,
        accepted=outcomes.pop("accepted", 0),
        refused=dict(sorted(outcomes.items())),
        reached=len(reached),
        kept=len(corpus) - len(SEEDS),
        seconds=time.monotonic() - began,
        memory_growth=memory(os.getpid()).peak - before,
        findings=tuple(findings),
    )


def _next(random: Random, corpus: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    topic, payload = random.choice(corpus)
    choice = random.random()
    if choice < 0.1:
        return changed(random, topic, TOPICS), payload
    if choice < 0.8:
        topic = random.choice((b"devices/d1/data", b"devices/d1/status"))  # where payloads are parsed
    if choice < 0.3:
        payload = report_payload(random)
    return topic, payload if choice < 0.2 else changed(random, payload, [random.choice(corpus)[1]])


@contextmanager
def _recorded(arcs: set[object]) -> Iterator[None]:
    """Note which line of the watched modules ran after which."""
    watched = {report.__file__, ingest.__file__}

    def entered(frame: FrameType, _event: str, _argument: object) -> Any:
        code, before = frame.f_code, 0
        if code.co_filename not in watched:
            return None

        def stepped(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal before
            if event == "line":
                arcs.add((code.co_name, before, frame.f_lineno))
                before = frame.f_lineno
            return stepped

        return stepped

    of_others = sys.gettrace()  # a debugger's, or that of coverage
    sys.settrace(entered)
    try:
        yield
    finally:
        sys.settrace(of_others)


def _shortened(topic: bytes, payload: bytes, rules: ReportRules) -> tuple[bytes, bytes]:
    payload = shortest(payload, lambda less: judge(topic, less, rules).problem is not None, TRIES)
    return shortest(topic, lambda less: judge(less, payload, rules).problem is not None, TRIES), payload


def shortest(whole: Parts, is_wrong: Callable[[Parts], bool], tries: int) -> Parts:
    """Leave out of something that is wrong whatever can be left out, while it stays wrong."""
    span = len(whole)
    while span:
        at = 0
        while at < len(whole) and tries:
            tries -= 1
            if is_wrong(less := whole[:at] + whole[at + span :]):
                whole = less
            else:
                at += (span + 1) // 2
        span //= 2
    return whole


def fuzz_with_atheris(arguments: Sequence[str]) -> NoReturn:
    """Hand the same judge to atheris, which ends the process itself; an input is a topic, a zero byte and a payload.

    :param arguments: those of libFuzzer.
    """
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed; pip install -e '.[fuzz]' brings it. Without --atheris it is not needed.")
    for function in vars(report).values():
        if isinstance(function, FunctionType) and function.__module__ == report.__name__:
            atheris.instrument_func(function)
    rules = ReportRules()

    def judge_one(data: bytes) -> None:
        topic, _, payload = data.partition(b"\0")
        verdict = judge(topic, payload, rules)
        if verdict.problem:
            raise AssertionError(verdict.problem)

    with tempfile.TemporaryDirectory() as folder:
        corpus, dictionary = Path(folder, "corpus"), Path(folder, "dictionary")
        corpus.mkdir()
        for number, (topic, payload) in enumerate(SEEDS):
            (corpus / str(number)).write_bytes(topic + b"\0" + payload)
        entries = ("".join(f"\\x{byte:02x}" for byte in token) for token in TOKENS if len(token) < 64)
        dictionary.write_text("".join(f'"{entry}"\n' for entry in entries), "ascii")
        atheris.Setup([sys.argv[0], f"-dict={dictionary}", *arguments, str(corpus)], judge_one)
        atheris.Fuzz()
    raise AssertionError("libFuzzer ends the process")


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.decoding", description="Fuzz decoding, guided by coverage.")
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="how many (1000000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other inputs (1)")
    parser.add_argument("--atheris", action="store_true", help="by atheris; further options are those of libFuzzer")
    options, others = parser.parse_known_args(arguments)
    if options.atheris:
        fuzz_with_atheris(others)
    if others:
        parser.error(f"unknown: {' '.join(others)}")
    result = fuzz_decoding(options.seed, options.inputs, counting("inputs", options.inputs))
    print(f"{result.inputs} inputs in {result.seconds:.0f} s: accepted {result.accepted}, refused {result.refused}")
    print(f"kept {result.kept}, reached {result.reached}, memory grew by {result.memory_growth / 2**20:.1f} MiB")
    for finding in result.findings:
        print(f"WRONG: {finding.problem}\n  {finding.shortened}")
    return 1 if result.findings else 0


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    sys.exit(main(sys.argv[1:]))
