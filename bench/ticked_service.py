"""The service with a ticker beside it: how long the reactor is away at a time.

    python -m bench.ticked_service FILE

As ``twistd -n aiot-mqtt``; when it ends, it writes the moment of each tick to ``FILE``, as doubles, in seconds of the
machine's monotonic clock.
"""

from __future__ import annotations

import sys
import time
from array import array
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from twisted.scripts import twistd

INTERVAL = 0.001  # s


def main() -> None:
    """See the module."""
    path = Path(sys.argv[1])
    ticks = array("d")
    ticker = LoopingCall(lambda: ticks.append(time.monotonic()))
    loop: Any = reactor
    loop.callWhenRunning(ticker.start, INTERVAL)
    loop.addSystemEventTrigger("after", "shutdown", lambda: path.write_bytes(ticks.tobytes()))
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
    twistd.run()


if __name__ == "__main__":
    main()
