"""Publishes a plan as a process of its own.

    python -m bench.load PORT PLAN

``PLAN`` is a ``Plan`` as JSON. Prints ``ready``, waits for a line, publishes, and prints when it began and ended, in
seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import sys

from rig.load import Load, encode

from .messages import Plan, messages


def main() -> None:
    """See the module."""
    port, plan = int(sys.argv[1]), Plan(**json.loads(sys.argv[2]))
    packets = encode(messages(plan), plan.at_qos_1)
    load = Load(port)
    print("ready", flush=True)
    sys.stdin.readline()
    began, ended = load.publish(packets, plan.window, plan.rate)
    load.close()
    print(json.dumps({"began": began, "ended": ended}), flush=True)


if __name__ == "__main__":
    main()
