"""The service, with notes of when messages came and what each batch of them cost where.

    python -m bench.noted_service FILE

As ``twistd -n aiot-mqtt``; when it ends, it writes ``Notes`` to ``FILE`` as JSON. Only what is done once for a read, a
batch or a statement is noted, so messages cost what they always cost.
"""

from __future__ import annotations

import json
import pkgutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.scripts import twistd

from aiot_mqtt.ingest.ingest import Ingest

from .steps import STEPS

MILLI = 1000

Read = tuple[float, float, int]
"""When one was through, in seconds of the machine's monotonic clock and of CPU of the reactor's thread; and how many
messages were pending then."""
Span = tuple[str, float, float, float, float, int]
"""Of which step; from when until when, in seconds of the clock, and in seconds of CPU of the thread it was in; and how
many messages are acknowledged in it."""


class Notes:
    """What is noted."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.spans: list[Span] = []

    def install(self) -> None:
        """Note whatever this process does from now on."""
        for name, step in STEPS.items():
            if step.timed:
                self._wrap(step.timed, name)
        reads, read_finished = self.reads, Ingest.read_finished

        def noting(self: Ingest) -> None:
            reads.append((time.monotonic(), time.thread_time(), self._pending.unacknowledged))
            read_finished(self)

        Ingest.read_finished = noting  # type: ignore[method-assign]

    def _wrap(self, method: str, step: str) -> None:
        owner, _, name = method.rpartition(".")
        holder: Any = pkgutil.resolve_name(owner)
        original: Callable[..., Any] = getattr(holder, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            count = min(len(arguments[0].packet_ids), arguments[1]) if step == "puback" else 0
            began, cpu_began = time.monotonic(), time.thread_time()
            try:
                return original(*arguments, **named)
            finally:
                self.spans.append((step, began, time.monotonic(), cpu_began, time.thread_time(), count))

        setattr(holder, name, timed)


def cpu_seconds_by_step(reads: Sequence[Read], spans: Sequence[Span]) -> tuple[dict[str, float], float]:
    """CPU that was used in each step that is timed, and by the reactor's thread in all, since the first read."""
    since, reactor_since, _ = reads[0]
    used: defaultdict[str, float] = defaultdict(float)
    reactor_until = reactor_since
    for step, began, _, cpu_began, cpu_ended, _ in spans:
        if began >= since:
            used[step] += cpu_ended - cpu_began
            if step == "update":
                used["sql"] -= cpu_ended - cpu_began  # which is timed around it
            if step == "puback":
                reactor_until = cpu_ended
    return dict(used), reactor_until - reactor_since


def transaction_times(spans: Sequence[Span]) -> list[float]:
    """Seconds that each UPDATE and its COMMIT waited for their answers."""
    taken: list[float] = []
    updating = 0.0
    for step, began, ended, *_ in sorted(spans, key=lambda span: span[1]):
        if step == "update":
            updating = ended - began
        elif step == "commit" and updating:
            taken.append(updating + ended - began)
            updating = 0.0
    return taken


def mean_waits(reads: Sequence[Read], spans: Sequence[Span]) -> dict[str, float]:
    """Milliseconds that the mean message spends in each step, from the end of its read to its PUBACK.

    One batch is in flight at a time, so whatever is between a ``take`` and a ``puback`` behind it is what the messages
    that this acknowledges have waited for, and what no span covers is the way to the thread and back.
    """
    total: defaultdict[str, float] = defaultdict(float)
    batch: defaultdict[str, float] = defaultdict(float)
    messages = at = 0
    taken = 0.0
    for step, began, ended, _, _, count in sorted(spans, key=lambda span: span[1]):
        if step == "take":
            batch, taken, in_batch = defaultdict(float), ended, 0
            while at < len(reads) and reads[at][0] <= began:
                came, _, pending = reads[at]
                total["take"] += (pending - in_batch) * (ended - came)
                in_batch, at = pending, at + 1
            continue
        batch[step] += ended - began
        if step == "update":
            batch["sql"] -= ended - began  # which is timed around it
        if count:
            for name, seconds in batch.items():
                total[name] += count * seconds
            total["hand_over"] += count * (ended - taken - sum(batch.values()))
            messages += count
    return {name: MILLI * seconds / messages for name, seconds in total.items()}


def main() -> None:
    """See the module."""
    from twisted.internet import reactor  # noqa: PLC0415 whoever only reads notes needs none

    path, notes = Path(sys.argv[1]), Notes()
    notes.install()
    loop: Any = reactor
    loop.addSystemEventTrigger("after", "shutdown", lambda: path.write_text(json.dumps(vars(notes))))
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
    twistd.run()


if __name__ == "__main__":
    main()
