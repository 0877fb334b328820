"""The service as an operator runs it, ``twistd -n --pidfile= aiot-mqtt``, save that it does what it is told to suffer.

Commands come in the variable FAULTS, separated by ``;``, before anything starts, and as lines on standard input later.
Each is confirmed by a line ``faults: COMMAND``. Where standard input is a pipe and ends, so does the process.

    die STEP N        SIGKILL itself at the N-th passing of a step from now on
    clock SECONDS     set the wall clock, as this process sees it, off by so much
    hurry             make the service's own long waits short
    raise decode      a RuntimeError for each message of a device whose name begins with ``victim``
    raise counter     now and then, from the counter of superseded messages
    raise observer    from a log observer, for every event
    raise PART N      at each N-th call of a part in which nobody foresees it, a few times: see ``PARTS``
    unset             leave each database session's settings as the server has them, as behind a proxy that loses ours
    traceable         let a process trace this one that did not start it, where the kernel's Yama would not
    lie               acknowledge on receipt; to see that the campaign finds it
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import itertools
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

STEPS = (
    *("before_receipt", "after_receipt", "before_merge", "after_merge", "before_commit", "after_commit"),
    *("before_acknowledgement", "after_acknowledgement"),
    *("before_spool_write", "inside_spool_creation", "inside_spool_write", "after_spool_write"),
    *("after_spool_read", "before_spool_removal", "after_spool_removal"),
    # A file and its journal are deleted, one after the other.
    *("before_spool_deletion", "inside_spool_deletion", "after_spool_deletion"),
)
PARTS = {
    "writer": ("writing.chunks", "Chunks", "write"),
    "listener": ("ingest.committed_times", "CommittedTimes", "rows_committed"),
    "saver": ("writing.saver", "Saver", "_save"),
    "spool-save": ("spool.spool", "Spool", "save"),
    "spool-read": ("spool.spool", "Spool", "read"),
    "spool-written": ("spool.spool", "Spool", "written"),
    "table": ("table.mysql", "DeviceTable", "_write"),
    "subscriber": ("mqtt.subscriber", "Subscriber", "_serve"),
    "sweep": ("presence.monitor", "PresenceMonitor", "_set_silent_offline"),
}
"""Rooms in which a fault of ours may be, and the function that has it then."""
COUNTER_RAISES_EACH = 50
MAX_RAISED = 2
PR_SET_PTRACER = 0x59616D61
ON_PURPOSE = "a fault that somebody made on purpose"

Passed = Callable[[str], None]


def _room(name: str) -> Any:
    """A module of the service, imported only after the clock was replaced, and open to be changed."""
    return importlib.import_module(f"aiot_mqtt.{name}")


class _Fate:
    """Counts the passings of a step until the one that is the last; called in the reactor's and the pool's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._step = ""
        self._left = 0

    def decide(self, step: str, passings: int) -> None:
        if step not in STEPS:
            raise ValueError(f"no such step: {step}")
        with self._lock:
            self._step, self._left = step, passings

    def passed(self, step: str) -> None:
        if step != self._step:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _watch(owner: Any, name: str, before: str, after: str, passed: Passed) -> None:
    """Tell of the passings around a method; of one that returns a Deferred, when that has fired."""
    method = getattr(owner, name)

    @wraps(method)
    def watched(*arguments: Any, **named: Any) -> Any:
        passed(before)
        result = method(*arguments, **named)
        if not hasattr(result, "addCallback"):
            passed(after)
            return result

        def fired(value: Any) -> Any:
            passed(after)
            return value

        return result.addCallback(fired)

    setattr(owner, name, watched)


def _watch_steps(passed: Passed) -> None:
    def acknowledged(step: str) -> None:
        if step == "after_acknowledgement":
            # By the next turn of the reactor the PUBACKs have left for the network.
            reactor: Any = importlib.import_module("twisted.internet.reactor")
            reactor.callLater(0, passed, step)
        else:
            passed(step)

    _watch(_room("ingest.ingest").Ingest, "publish_received", "before_receipt", "after_receipt", passed)
    _watch(_room("ingest.pending").PendingUpdates, "merge", "before_merge", "after_merge", passed)
    _watch(_room("table.mysql").DeviceTable, "_write", "", "before_commit", passed)
    _watch(_room("table.mysql").DeviceTable, "write", "", "after_commit", passed)
    _watch(
        _room("ingest.pending").Batch, "acknowledge", "before_acknowledgement", "after_acknowledgement", acknowledged
    )
    spool, disk = _room("spool.spool").Spool, _room("spool.disk").Disk
    _watch(spool, "save", "before_spool_write", "after_spool_write", passed)
    _watch(disk, "create", "", "inside_spool_creation", passed)
    _watch(disk, "commit", "inside_spool_write", "", passed)
    _watch(spool, "read", "", "after_spool_read", passed)
    _watch(spool, "written", "before_spool_removal", "after_spool_removal", passed)
    _watch(spool, "_remove", "before_spool_deletion", "after_spool_deletion", passed)
    _watch(disk, "remove", "", "inside_spool_deletion", passed)  # of the spool first, then of its journal


SHORT_STANDING = 8.0  # s; longer than it takes on a busy machine to be back


def _hurry() -> None:
    """Seconds instead of a minute: what is tried is that a wait ends, not how long it is."""
    session = _room("table.session")
    settings = session._SETTINGS.replace("wait_timeout=60", "wait_timeout=7")
    settings = settings.replace("lock_wait_timeout=5", "lock_wait_timeout=1")
    for room, name, value in (
        (_room("writing.retry"), "MISCONFIGURED_DELAY", 1.0),
        (_room("writing.saver"), "PATIENCE", 1.0),
        (_room("writing.saver"), "WATCH_INTERVAL", 2.0),
        (_room("mqtt.rivals"), "STANDING", SHORT_STANDING),
        (_room("mqtt.reconnect_delay"), "SHORT_SESSION", 3.0),
        (session, "_SETTINGS", settings),
    ):
        if getattr(room, name) == value:
            raise ValueError(f"{name} is not what it was")
        setattr(room, name, value)
    _room("table.mysql").DeviceTable.__init__.__kwdefaults__["read_timeout"] = 3


def _raise_in(part: str) -> None:
    if part == "decode":
        ingest = _room("ingest.ingest")
        decode = ingest.decode

        def decode_or_raise(topic: bytes, payload: bytes, rules: Any) -> Any:
            if b"/victim" in topic:
                raise RuntimeError(ON_PURPOSE)
            return decode(topic, payload, rules)

        ingest.decode = decode_or_raise
    elif part == "counter":
        _room("service").Counters = _unreliable(_room("telemetry.counters").Counters)
    elif part == "observer":

        def observe(event: object) -> None:
            raise RuntimeError(f"{ON_PURPOSE}: {type(event)}")

        importlib.import_module("twisted.logger").globalLogPublisher.addObserver(observe)
    else:
        raise ValueError(f"nothing to raise in: {part}")


def _raise_each(part: str, each: int) -> None:
    """A RuntimeError at each ``each``-th call, and a line for each, so that nobody takes silence for survival.

    A few times only: with all parts at it without end nothing would ever be finished.
    """
    room, owner_name, name = PARTS[part]
    owner = getattr(_room(room), owner_name)
    method = getattr(owner, name)
    calls = itertools.count(1)

    def called() -> None:
        call = next(calls)
        if call % each == 0 and call <= each * MAX_RAISED:
            os.write(1, f"faults: raised in {part}\n".encode())
            raise RuntimeError(f"{ON_PURPOSE}, in {part}")

    @wraps(method)
    def unreliable(*arguments: Any, **named: Any) -> Any:
        called()
        return method(*arguments, **named)

    @wraps(method)
    async def unreliable_later(*arguments: Any, **named: Any) -> Any:
        called()
        return await method(*arguments, **named)

    setattr(owner, name, unreliable_later if inspect.iscoroutinefunction(method) else unreliable)


def _unset() -> None:
    session = _room("table.session")
    session._SETTINGS, session._MOODS = "wait_timeout=60", ("wait_timeout=60",)


def _unreliable(counters: Any) -> Any:
    plain = counters.superseded

    def count(self: Any, value: int) -> None:
        self.calls += 1
        if self.calls % COUNTER_RAISES_EACH == 0:
            raise RuntimeError(ON_PURPOSE)
        plain.__set__(self, value)

    return type("Unreliable", (counters,), {"superseded": property(plain.__get__, count), "calls": 0})


def _lie() -> None:
    def acknowledge_at_once(self: Any, packet_id: int) -> None:
        self._acknowledger.acknowledge([packet_id])

    _room("ingest.pending").PendingUpdates.owe_acknowledgement = acknowledge_at_once


class _Commands:
    """Carries out what the runner says."""

    def __init__(self) -> None:
        self._fate = _Fate()
        self._offset = 0.0
        true_time = time.time
        # Before the service is imported: it takes time.time as default arguments.
        time.time = lambda: true_time() + self._offset

    def watch_steps(self) -> None:
        _watch_steps(self._fate.passed)

    def obey(self, command: str) -> None:
        match command.split():
            case ["die", step, passings]:
                self._fate.decide(step, int(passings))
            case ["clock", seconds]:
                self._offset = float(seconds)
            case ["hurry"]:
                _hurry()
            case ["raise", part]:
                _raise_in(part)
            case ["raise", part, each]:
                _raise_each(part, int(each))
            case ["traceable"]:
                ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
            case ["unset"]:
                _unset()
            case ["lie"]:
                _lie()
            case _:
                raise ValueError(f"no such command: {command}")
        os.write(1, f"faults: {command}\n".encode())  # sys.stdout is twistd's by now

    def listen(self) -> None:
        if not stat.S_ISFIFO(os.fstat(0).st_mode):
            return  # nobody is there to say anything
        for line in sys.stdin:
            self.obey(line.strip())
        os._exit(1)  # the runner is gone


def main() -> None:
    """Run, as ``twistd`` does."""
    commands = _Commands()
    for command in filter(None, os.environ.get("FAULTS", "").split(";")):
        commands.obey(command.strip())
    commands.watch_steps()
    threading.Thread(target=commands.listen, daemon=True).start()
    sys.argv = ["twistd", "-n", "--pidfile=", "aiot-mqtt"]
    importlib.import_module("twisted.scripts.twistd").run()


if __name__ == "__main__":
    main()
