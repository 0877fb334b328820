"""Publishes a plan as a process of its own, at next to no cost: every packet is encoded before the clock starts.

    python -m bench.load PORT PLAN

``PLAN`` is a ``Plan`` as JSON. Prints ``ready``, waits for a line, publishes, and prints when it began and ended, in
seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from array import array

from aiot_mqtt.simulate.publisher import PublisherOptions, encode_connect, encode_publish

from .messages import Plan, messages

PUBACK_BYTES = 4  # of MQTT 3.1.1, which knows no reasons
MOST_BYTES = 256 * 1024  # in one call of send


def encode(plan: Plan) -> tuple[bytes, array[int]]:
    """All packets, and where each ends."""
    packets, ends = bytearray(), array("Q")
    for index, (topic, payload) in enumerate(messages(plan)):
        packet_id = index % 65535 + 1 if index < plan.at_qos_1 else 0
        packets += encode_publish(topic, payload, packet_id, retain=False, mqtt5=False)
        ends.append(len(packets))
    return bytes(packets), ends


def publish(broker: socket.socket, plan: Plan, packets: bytes, ends: array[int]) -> tuple[float, float]:
    """Publish all; returns when the first was sent and when the last was sent and acknowledged.

    :raises ConnectionError: the broker closed the connection.
    """
    view = memoryview(packets)
    awaited = min(plan.count, plan.at_qos_1) * PUBACK_BYTES
    sent = answered = 0
    broker.setblocking(False)
    began = time.monotonic()
    while answered < awaited or sent < len(packets):
        allowed = min(plan.count, answered // PUBACK_BYTES + plan.window)
        timeout = None
        if plan.rate:
            due = int((time.monotonic() - began) * plan.rate) + 1
            allowed = min(allowed, due)
            timeout = max(0.0, began + due / plan.rate - time.monotonic())
        end = min(ends[allowed - 1], sent + MOST_BYTES)
        readable, writable, _ = select.select([broker], [broker] if sent < end else [], [], timeout)
        if readable:
            answer = broker.recv(65536)
            if not answer:
                raise ConnectionError("the broker closed the connection")
            answered += len(answer)
        if writable:
            sent += broker.send(view[sent:end])
    return began, time.monotonic()


def main() -> None:
    """See the module."""
    port, plan = int(sys.argv[1]), Plan(**json.loads(sys.argv[2]))
    packets, ends = encode(plan)
    broker = socket.create_connection(("127.0.0.1", port))
    broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    broker.sendall(encode_connect(PublisherOptions("load", mqtt5=False)))
    if broker.recv(4, socket.MSG_WAITALL)[3:] != b"\0":
        sys.exit("the broker refused the connection")
    print("ready", flush=True)
    sys.stdin.readline()
    began, ended = publish(broker, plan, packets, ends)
    broker.sendall(b"\xe0\x00")
    print(json.dumps({"began": began, "ended": ended}), flush=True)


if __name__ == "__main__":
    main()
