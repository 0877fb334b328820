"""Publishes as fast as a broker takes it, or at a steady rate, and blocks until all is acknowledged."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from array import array
from collections.abc import Iterable
from typing import NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from aiot_mqtt.mqtt.encoding import encode_publish
from aiot_mqtt.simulate.publisher import PublisherOptions, encode_connect

PUBACK_BYTES = 4  # of MQTT 3.1.1, which knows no reasons
MAX_BYTES = 256 * 1024  # in one call of send
PATIENCE = 120.0  # s without any progress
ALL = 2**62


class Packets(NamedTuple):
    """Encoded before the clock starts, so that publishing costs next to nothing."""

    data: bytes
    ends: array[int]
    """Where each of them ends."""
    at_qos_1: int
    """How many of them are acknowledged: the first ones."""


def encode(messages: Iterable[tuple[bytes, bytes]], at_qos_1: int = ALL) -> Packets:
    """Topics and payloads as packets.

    :param at_qos_1: how many of them; those behind are at QoS 0.
    """
    data, ends = bytearray(), array("Q")
    for index, (topic, payload) in enumerate(messages):
        packet_id = index % 65535 + 1 if index < at_qos_1 else 0
        data += encode_publish(topic, payload, packet_id, retain=False, mqtt5=False)
        ends.append(len(data))
    return Packets(bytes(data), ends, min(len(ends), at_qos_1))


class Load:
    """A connection of MQTT 3.1.1 with a clean session that only publishes."""

    def __init__(self, port: int, client_id: str = "load") -> None:
        """
        :param port: of the broker, on 127.0.0.1.
        :raises ConnectionError: it does not accept.
        """
        self._broker = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._broker.sendall(encode_connect(PublisherOptions(client_id, mqtt5=False)))
        if self._broker.recv(4, socket.MSG_WAITALL)[3:] != b"\0":
            raise ConnectionError("the broker refused the connection")

    def publish(self, packets: Packets, window: int = 1000, rate: float = 0.0) -> tuple[float, float]:
        """Publish all; returns when the first was sent and when the last was sent and acknowledged, in seconds of the
        monotonic clock.

        :param window: packets that may be unacknowledged at one time.
        :param rate: packets a second; 0 for as fast as the broker takes them.
        :raises ConnectionError: the broker closed the connection.
        :raises TimeoutError: it says nothing more.
        """
        data, ends, at_qos_1 = packets
        view, count, awaited = memoryview(data), len(ends), at_qos_1 * PUBACK_BYTES
        broker = self._broker
        sent = answered = 0
        broker.setblocking(False)
        began = time.monotonic()
        while answered < awaited or sent < len(data):
            allowed = min(count, answered // PUBACK_BYTES + window)
            timeout = PATIENCE
            if rate:
                due = int((time.monotonic() - began) * rate) + 1
                allowed = min(allowed, due)
                timeout = max(0.0, began + due / rate - time.monotonic())
            end = min(ends[allowed - 1], sent + MAX_BYTES)
            readable, writable, _ = select.select([broker], [broker] if sent < end else [], [], timeout)
            if not (readable or writable or rate):
                raise TimeoutError(f"the broker acknowledged {answered // PUBACK_BYTES} of {at_qos_1} and no more")
            if readable:
                answer = broker.recv(65536)
                if not answer:
                    raise ConnectionError("the broker closed the connection")
                answered += len(answer)
            if writable:
                sent += broker.send(view[sent:end])
        return began, time.monotonic()

    def close(self) -> None:
        """DISCONNECT in order."""
        self._broker.setblocking(True)
        with contextlib.suppress(OSError):  # the broker may have closed it
            self._broker.sendall(b"\xe0\x00")
        self._broker.close()


def publish(port: int, messages: Iterable[tuple[str, str]], qos: int = 1) -> None:
    """Publish over a connection of its own, and return once the broker has acknowledged all."""
    if qos == 2:
        _publish_at_qos_2(port, messages)
        return
    load = Load(port, f"load-{time.monotonic_ns()}")
    encoded = ((topic.encode(), payload.encode()) for topic, payload in messages)
    load.publish(encode(encoded, ALL if qos else 0))
    load.close()


def _publish_at_qos_2(port: int, messages: Iterable[tuple[str, str]]) -> None:
    """The same with both its halves, which ``Load`` does not speak."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish(topic, payload, 2) for topic, payload in messages]:
        sent.wait_for_publish(PATIENCE)
    client.disconnect()
    client.loop_stop()
