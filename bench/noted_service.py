"""The service, with notes that can only be taken in its own process.

    python -m bench.noted_service ticks|transactions FILE

As ``twistd -n aiot-mqtt``; when it ends, it writes its notes to ``FILE``, as doubles. ``ticks``: when a ticker of 1 ms
beside it had its turn, in seconds of the machine's monotonic clock, so that one sees how long the reactor is away.
``transactions``: how many seconds each UPDATE and its COMMIT waited for their answers.
"""

from __future__ import annotations

import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

from pymysql.connections import Connection
from twisted.internet.task import LoopingCall
from twisted.scripts import twistd

TICKS, TRANSACTIONS = "ticks", "transactions"
INTERVAL = 0.001  # s


def argv(what: str, path: Path) -> list[str]:
    """How to start it."""
    return [sys.executable, "-m", "bench.noted_service", what, str(path)]


def read_notes(path: Path) -> array[float]:
    """What a service noted, in seconds: moments of the monotonic clock, or how long each transaction took."""
    notes = array("d")
    notes.frombytes(path.read_bytes())
    return notes


def note_transactions(notes: array[float]) -> None:
    """Note each transaction of this process from now on that has an UPDATE of rows."""
    query, commit = Connection.query, Connection.commit
    updating = threading.local()

    def timed_query(self: Any, sql: Any, unbuffered: bool = False) -> Any:
        began = time.monotonic()
        try:
            return query(self, sql, unbuffered)
        finally:
            if sql[:6] in (b"UPDATE", "UPDATE"):
                updating.seconds = getattr(updating, "seconds", 0.0) + time.monotonic() - began

    def timed_commit(self: Any) -> None:
        began = time.monotonic()
        commit(self)
        if seconds := getattr(updating, "seconds", 0.0):
            notes.append(seconds + time.monotonic() - began)
            updating.seconds = 0.0

    Connection.query, Connection.commit = timed_query, timed_commit  # type: ignore[method-assign]


def main() -> None:
    """See the module."""
    from twisted.internet import reactor  # noqa: PLC0415 whoever only reads notes needs none

    what, path, notes = sys.argv[1], Path(sys.argv[2]), array("d")
    loop: Any = reactor
    if what == TICKS:
        loop.callWhenRunning(LoopingCall(lambda: notes.append(time.monotonic())).start, INTERVAL)
    else:
        note_transactions(notes)
    loop.addSystemEventTrigger("after", "shutdown", lambda: path.write_bytes(notes.tobytes()))
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
    twistd.run()


if __name__ == "__main__":
    main()
