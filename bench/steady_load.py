"""Publishes a plan at its rate, however long it is: packets are encoded as they are due.

    python -m bench.steady_load PORT PLAN

As ``bench.load``, which encodes all of them first and so costs less while it publishes.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import islice

from rig.load import Load, encode

from .messages import Plan, messages

PIECE = 0.25  # s of messages at a time


def main() -> None:
    """See the module."""
    port, plan = int(sys.argv[1]), Plan(**json.loads(sys.argv[2]))
    coming, size = messages(plan), max(1, round(plan.rate * PIECE))
    load = Load(port)
    packets, sent = encode(islice(coming, size)), 0
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    while count := len(packets.ends):
        load.publish(packets, plan.window)
        sent += count
        packets = encode(islice(coming, size))
        time.sleep(max(0.0, began + sent / plan.rate - time.monotonic()))
    load.close()
    print(json.dumps({"began": began, "ended": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main()
