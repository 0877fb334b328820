"""The fault "a hostile broker": mutated packet streams on real connections, by the hundred thousand.

python -m fuzz.hostile_broker --streams 200000 --seed 1
python -m fuzz.hostile_broker --repeat STREAM_SEED
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from random import Random
from types import FrameType
from typing import NamedTuple

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner, globalLogPublisher
from zope.interface import provider

from aiot_mqtt.mqtt.errors import ProtocolViolation
from aiot_mqtt.mqtt.packets import variable_byte_integer
from rig.display import counting
from rig.proc import memory

from .decoding import MAX_FINDINGS, Finding, shortest
from .giant_publish import refuse_giant
from .packet_streams import Step, Stream, make_stream
from .victim import MAX_LINE, Victim, Wrong

PATIENCE = 5.0  # s of CPU time that a stream may take; it takes about a millisecond
TRIES = 300  # to shorten the steps of a stream, and as many for its bytes


@dataclass(frozen=True, slots=True)
class StreamsResult:
    """What a run of ``run_streams`` saw."""

    streams: int
    endings: dict[str, int]
    """How often each sort of end was the reason of ``closed``."""
    received: int
    """PUBLISH packets that reached ``Ingest``."""
    max_held: int
    """Bytes of incomplete packets that a connection held at one time."""
    slowest: float
    """Seconds of CPU time that a stream took at most."""
    seconds: float
    memory_growth: int
    """Bytes by which the process grew."""
    findings: tuple[Finding, ...]


class _Stuck(BaseException):
    """The patience is at its end. No Exception, so that nobody who catches those goes on."""


class Outcome(NamedTuple):
    """What a stream led to."""

    problem: str | None
    """What is wrong, beginning with a word and a colon; None where nothing is."""
    reason: str = ""
    """Why the connection ended."""
    received: int = 0
    max_held: int = 0
    seconds: float = 0.0
    """Of CPU time."""


def play(stream: Stream) -> Outcome:
    """Let a stream happen to a victim of its own. In the main thread, which is where Python handles signals."""
    with _patience(), _errors_logged() as errors:
        began = time.process_time()
        gc.disable()  # so that all that the stream leaves behind is young
        try:
            outcome = _play(stream)
        finally:
            gc.enable()
        outcome = outcome._replace(seconds=time.process_time() - began)
        gc.collect(0)  # a Deferred whose failure nobody heard says so when it is thrown away
        if outcome.problem is None and errors:
            return outcome._replace(problem=f"logged: {errors[0]}")
        return outcome


def _play(stream: Stream) -> Outcome:
    lost = ConnectionLost("reset") if stream.ends_by_reset else ConnectionDone()
    try:
        victim = Victim(mqtt5=stream.mqtt5, max_payload=stream.max_payload)
        for step in stream.steps:
            victim.do(step)
            victim.check()
            if stream.is_lost_at_once and victim.transport.is_closed:
                victim.lose(lost)
        victim.lose(lost)
        victim.check()
        victim.end()
    except Wrong as wrong:
        return Outcome(str(wrong))
    except _Stuck as stuck:
        return Outcome(f"stuck: {_where(stuck)}")
    except Exception as error:
        return Outcome(f"raised: {error!r} {_where(error)}")
    return Outcome(None, victim.reason, victim.counters.received, victim.max_held)


@contextmanager
def _patience() -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise _Stuck

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE, PATIENCE)  # again, should it be caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _errors_logged() -> Iterator[list[str]]:
    """What is logged meanwhile and should not be: exceptions, and lines that are no lines."""
    errors: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        line = formatEvent(event)
        if "log_failure" in event or event["log_level"] is LogLevel.critical:
            errors.append(f"{line} {event.get('log_failure', '')}")
        elif len(line) > MAX_LINE or not line.isprintable():
            errors.append(f"a line of {len(line)} characters: {line[:200]!r}")

    globalLogPublisher.addObserver(observe)
    try:
        yield errors
    finally:
        globalLogPublisher.removeObserver(observe)


def _where(error: BaseException) -> str:
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[:-6:-1])


def shorten(stream: Stream, problem: str) -> Stream:
    """A stream with fewer steps and bytes that goes wrong in the same way."""
    sort = problem.partition(":")[0]

    def is_wrong(steps: Sequence[Step]) -> bool:
        return (play(replace(stream, steps=tuple(steps))).problem or "").startswith(sort)

    # With a read for each packet, as far as that can be told: whole ones are left out more easily.
    steps: tuple[Step, ...] = ()
    for action, group in groupby(stream.steps, key=lambda step: step.action):
        if action == "read":
            steps += tuple(Step("read", one) for one in _packets(b"".join(step.data for step in group)))
        else:
            steps += tuple(group)
    steps = shortest(steps if is_wrong(steps) else stream.steps, is_wrong, TRIES)
    for at in range(len(steps)):
        before, step, after = steps[:at], steps[at], steps[at + 1 :]
        tries = TRIES // len(steps)
        data = shortest(step.data, lambda less: is_wrong((*before, Step("read", less), *after)), tries)  # noqa: B023, at once
        steps = (*before, step._replace(data=data), *after)
    return replace(stream, steps=steps)


def _packets(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        try:
            size, body = variable_byte_integer(data, at + 1)
        except ProtocolViolation:
            body = 0
        end = body + size if body else len(data)
        yield data[at:end]
        at = end


def run_streams(seed: int, count: int, progress: Callable[[int], None] = lambda _done: None) -> StreamsResult:
    """Play this many streams; the same seed, the same streams. In the main thread.

    What the service has to say about it goes to Twisted's global log, as ever.

    :param progress: called now and then with how many were played.
    """
    random = Random(seed)
    endings: Counter[str] = Counter()
    findings: list[Finding] = []
    received = max_held = 0
    slowest = 0.0
    began, before = time.monotonic(), memory(os.getpid()).peak
    for number in range(count):
        stream_seed = random.getrandbits(48)
        stream = make_stream(stream_seed)
        outcome = play(stream)
        if outcome.problem and len(findings) < MAX_FINDINGS:
            findings.append(Finding(stream_seed, outcome.problem, described(shorten(stream, outcome.problem))))
        endings[re.sub(r"\(.*\)|\d+", "…", outcome.reason)] += 1
        received += outcome.received
        max_held, slowest = max(max_held, outcome.max_held), max(slowest, outcome.seconds)
        if not number % 1000:
            progress(number)
    progress(count)
    return StreamsResult(
        streams=count,
        endings=dict(endings.most_common()),
        received=received,
        max_held=max_held,
        slowest=slowest,
        seconds=time.monotonic() - began,
        memory_growth=memory(os.getpid()).peak - before,
        findings=tuple(findings),
    )


def described(stream: Stream) -> str:
    """The steps in one line, what arrives in hexadecimal; ``74*65535`` is one byte many times."""

    def in_hex(data: bytes) -> str:
        return re.sub(r"((..)\2{15,})", lambda run: f" {run[2]}*{len(run[1]) // 2} ", data.hex())

    steps = ", ".join(f"{action} {in_hex(data) or seconds or ''}".strip() for action, data, seconds in stream.steps)
    return f"MQTT {'5' if stream.mqtt5 else '3.1.1'}, payloads up to {stream.max_payload}: {steps}"


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.hostile_broker", description="Play mutated packet streams.")
    parser.add_argument("--streams", type=int, default=200_000, metavar="N", help="how many (200000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, other streams (1)")
    parser.add_argument(
        "--repeat", type=int, metavar="STREAM_SEED", help="play only this stream, shortened if it is wrong"
    )
    options = parser.parse_args(arguments)
    if options.repeat is not None:
        stream = make_stream(options.repeat)
        outcome = play(stream)
        print(outcome)
        print(described(shorten(stream, outcome.problem) if outcome.problem else stream))
        return 1 if outcome.problem else 0
    result = run_streams(options.seed, options.streams, counting("streams", options.streams))
    print(f"{result.streams} streams in {result.seconds:.0f} s, {result.received} PUBLISH packets received")
    print(f"the slowest took {1000 * result.slowest:.0f} ms of CPU time")
    print(f"held at most {result.max_held} bytes, memory grew by {result.memory_growth / 2**20:.1f} MiB")
    for reason, times in result.endings.items():
        print(f"{times:8} {reason}")
    for is_cut_off in (False, True):
        print(refuse_giant(is_cut_off=is_cut_off))
    for finding in result.findings:
        print(f"WRONG: stream {finding.seed}: {finding.problem}\n  {finding.shortened}")
    return 1 if result.findings else 0


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    sys.exit(main(sys.argv[1:]))
