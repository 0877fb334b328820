"""The steps of a message from PUBLISH to PUBACK, as docs/life-of-a-message.md tells them, and which work is whose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One of them. Functions are named as ``pkgutil.resolve_name`` takes them."""

    title: str
    functions: tuple[str, ...]
    """Where it happens, the best place to begin reading first. What they call is part of it, unless it is another
    step's."""
    timed: str = ""
    """The method that lasts as long as the messages of a batch wait in this step, and that does its work."""
    in_thread: bool = False
    """Whether it runs beside the reactor, in a thread of the connection pool."""


STEPS = {
    "read": Step(
        "read from the socket",
        ("aiot_mqtt.mqtt.connection:MqttConnection.dataReceived", "twisted.internet.tcp:Connection.doRead"),
    ),
    "cut": Step(
        "cut into packets", ("aiot_mqtt.mqtt.packets:PacketReader._parse", "aiot_mqtt.mqtt.packets:PacketReader.feed")
    ),
    "head": Step("read the head", ("aiot_mqtt.mqtt.packets:_publish_head",)),
    "receive": Step("take it in, and owe a PUBACK", ("aiot_mqtt.ingest.ingest:Ingest.publish_received",)),
    "decode": Step("find the device in the topic", ("aiot_mqtt.devices.report:decode",)),
    "judge": Step("judge the JSON", ("aiot_mqtt.devices.report:parse_json",)),
    "merge": Step("merge into what is pending", ("aiot_mqtt.ingest.pending:PendingUpdates.merge",)),
    "wake": Step(
        "wake the writer", ("aiot_mqtt.writing.writer:Writer.wake", "aiot_mqtt.ingest.ingest:Ingest.read_finished")
    ),
    "take": Step(
        "take the batch",
        ("aiot_mqtt.writing.backlog:Backlog.begin_batch",),
        "aiot_mqtt.ingest.pending:PendingUpdates.take",
    ),
    "hand_over": Step(
        "hand it to a thread, and back",
        ("aiot_mqtt.writing.writer:Writer._write", "aiot_mqtt.writing.writer:Writer._write_all"),
    ),
    "sql": Step(
        "make the SQL",
        (
            "aiot_mqtt.table.statements:update_statements",
            "aiot_mqtt.table.statements:_literals",
            "aiot_mqtt.table.mysql:DeviceTable._write",
        ),
        "aiot_mqtt.table.mysql:DeviceTable._write",
        in_thread=True,
    ),
    "update": Step(
        "UPDATE",
        ("aiot_mqtt.table.transaction:write_updates",),
        "pymysql.connections:Connection.query",
        in_thread=True,
    ),
    "commit": Step(
        "COMMIT",
        ("aiot_mqtt.table.pool:ConnectionPool._runWithConnection", "aiot_mqtt.table.pool:ConnectionPool._attempt"),
        "pymysql.connections:Connection.commit",
        in_thread=True,
    ),
    "settle": Step(
        "count it as stored",
        ("aiot_mqtt.writing.settlement:Settlement.settle",),
        "aiot_mqtt.writing.settlement:Settlement._count",
    ),
    "puback": Step(
        "acknowledge",
        ("aiot_mqtt.mqtt.connection:MqttConnection.acknowledge",),
        "aiot_mqtt.ingest.pending:Batch._acknowledge",
    ),
}

# A frame as py-spy writes it; with the class or without, as the version of Python allows.
_FRAME = re.compile(r"(?:.*\.)?(\w+) \(.*/((?:aiot_mqtt|pymysql|twisted)/.+)\.py:\d+\)")


def _place(function: str) -> tuple[str, str]:
    module, _, name = function.partition(":")
    return name.rpartition(".")[2], module.replace(".", "/")


_STEP_AT = {_place(function): name for name, step in STEPS.items() for function in step.functions}


def step_of(frames: Sequence[str]) -> str | None:
    """The step that a stack, outermost frame first, is at: the innermost function that is a step's decides."""
    for frame in reversed(frames):
        if (found := _FRAME.match(frame)) and (step := _STEP_AT.get((found[1], found[2]))):
            return step
    return None
