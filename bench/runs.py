"""One run: a subject, a load, and what it took."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from rig import servers
from rig.proc import cpu_seconds
from rig.programs import Program
from rig.servers import Mosquitto

from .messages import Plan
from .stage import MAX_PATIENCE, PATIENCE, RunFailed, Stage, dropped
from .subjects import EXIT, LAST_ROW, Make, running


@dataclass(frozen=True, slots=True)
class Run:
    """What a run took."""

    messages: int
    began: float
    """The first PUBLISH, on the monotonic clock."""
    ended: float
    """The last row was stored, or the last message received."""
    cpu_seconds: float
    """Of the subject's process, in that time."""
    rows: int = 0
    """Changed in the database."""
    commits: int = 0
    binlog_bytes: int | None = None
    wrong_rows: int = 0
    """Devices whose row does not hold their last report."""
    p50: float | None = None
    """Milliseconds from PUBLISH to PUBACK, where somebody watched."""
    p99: float | None = None
    p99_since_due: float | None = None
    """From the moment at which the rate had it due."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_micros(self) -> float:
        """Of CPU a message."""
        return self.cpu_seconds / self.messages * 1e6


class Load:
    """A publisher as a process of its own, ready to begin."""

    module = "bench.load"

    def __init__(self, broker: Mosquitto, plan: Plan) -> None:
        argv = [sys.executable, "-m", self.module, str(broker.port), json.dumps(asdict(plan))]
        self._program = Program(argv, {}, folder=servers.ROOT, stdin=subprocess.PIPE)
        self._wait_for("ready")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._program.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not published all yet."""
        return self._program.process.poll() is None

    def begin(self) -> None:
        """Publish from now on."""
        self._program.tell("")

    def wait(self) -> tuple[float, float]:
        """Wait for its end; returns when it began and when all was published, on the monotonic clock."""
        times = json.loads(self._wait_for('{"began"'))
        return times["began"], times["ended"]

    def publish(self) -> tuple[float, float]:
        """``begin``, then ``wait``, whose result is returned."""
        self.begin()
        return self.wait()

    def _wait_for(self, text: str) -> str:
        try:
            return self._program.wait_for(text, timeout=MAX_PATIENCE)
        except AssertionError as error:
            raise RunFailed(f"the publisher failed: {error}") from None

    def close(self) -> None:
        """Kill it, should it still run."""
        self._program.close()


@contextlib.contextmanager
def load(broker: Mosquitto, plan: Plan) -> Iterator[Load]:
    """A publisher that is gone behind the block."""
    with contextlib.closing(Load(broker, plan)) as publisher:
        yield publisher


def measure(
    stage: Stage,
    make: Make,
    plan: Plan,
    *,
    broker_version: str | None = None,
    watch: Callable[[Mosquitto], contextlib.AbstractContextManager[int]] | None = None,
    meanwhile: Callable[[Program], None] = lambda _program: None,
) -> Run:
    """Start a subject, publish, and wait until it is through.

    :param watch: given the broker, makes the port that the subject connects to instead of the broker's.
    :param meanwhile: called with the subject while it is under load.
    :raises RunFailed: it did not get through, the broker dropped something, or the service lost something. (Others
        may: one that acknowledges on receipt may write one device's messages in the wrong order.)
    """
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(stage.broker(broker_version))
        subject = make(stage, broker, plan.count)
        if watch is not None:
            port = stack.enter_context(watch(broker))
            subject = subject._replace(settings={**subject.settings, "MQTT_PORT": str(port)})
        program = stack.enter_context(running(stage, broker, subject))
        publisher = stack.enter_context(load(broker, plan))
        pid = program.process.pid
        before = _Figures.read(stage)
        cpu_before = cpu_seconds(pid)
        publisher.begin()
        meanwhile(program)
        began, published = publisher.wait()
        if subject.ends_with == EXIT:
            ended = wait_for_exit(pid)
        elif subject.ends_with == LAST_ROW:
            ended = stage.wait_until_stored(plan)
        else:
            ended = stage.wait_for_status(subject.ends_with, before.status[subject.ends_with] + plan.count)
        cpu = cpu_seconds(pid) - cpu_before
        run = Run(plan.count, began, max(ended, published), cpu)
        if lost := dropped(broker):
            raise RunFailed(f"the broker dropped {lost:,} messages")
        if subject.ends_with == EXIT:
            return run
        wrong = stage.wrong_rows(plan)
        if wrong and subject.ends_with == LAST_ROW:
            raise RunFailed(f"{wrong:,} rows do not hold the last report of their device")
        return before.add_to(run, stage, wrong)


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the database server counts, before a run."""

    status: Mapping[str, int]
    binlog_bytes: int | None

    @staticmethod
    def read(stage: Stage) -> _Figures:
        names = ("Com_commit", "Com_update", "Handler_update")
        return _Figures({name: stage.status(name) for name in names}, stage.binlog_bytes())

    def add_to(self, run: Run, stage: Stage, wrong_rows: int) -> Run:
        after = _Figures.read(stage)
        binlog = None
        if self.binlog_bytes is not None and after.binlog_bytes is not None:
            binlog = after.binlog_bytes - self.binlog_bytes
        rows, commits = (after.status[name] - self.status[name] for name in ("Handler_update", "Com_commit"))
        return replace(run, rows=rows, commits=commits, binlog_bytes=binlog, wrong_rows=wrong_rows)


def wait_for_exit(pid: int) -> float:
    """Wait for a process, without taking its exit code; returns when it ended, on the monotonic clock."""
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], PATIENCE)[0]:
            raise RunFailed("not every message was received")
        return time.monotonic()
    finally:
        os.close(handle)
