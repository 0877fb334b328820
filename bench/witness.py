"""A TCP proxy between broker and subscriber that notes how long each PUBLISH waits for its PUBACK.

    python -m bench.witness BROKER_PORT

Prints the port it listens on, and at SIGTERM what it saw, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from typing import Any

from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

from aiot_mqtt.packets import PacketReader
from tests import servers
from tests.servers import Mosquitto

from .figures import quantile

PUBACK = 4
MOST_PAYLOAD = 2**28  # bytes
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}


class Sightings:
    """PUBLISH packets at QoS 1 on their way, and the times of those that came back."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, float]] = deque()
        self._now = 0.0
        self.waits = array("d")
        """Seconds from PUBLISH to PUBACK."""
        self.out_of_order = 0
        """PUBACKs that were not for the oldest PUBLISH."""

    def reader(self) -> PacketReader:
        """Takes one direction of one connection."""
        return PacketReader(self, self._control_packet, mqtt5=True, max_payload=MOST_PAYLOAD)

    def passed(self, reader: PacketReader, data: bytes) -> None:
        """These bytes pass now."""
        self._now = time.monotonic()
        reader.feed(data)

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """See ``PublishReceiver``."""
        del topic, payload, retain
        if packet_id:
            self._waiting.append((packet_id, self._now))

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        """See ``PublishReceiver``; nothing is that long."""

    def _control_packet(self, packet: bytes, body: bytes) -> None:
        if packet[0] >> 4 == PUBACK:
            packet_id, since = self._waiting.popleft()
            self.out_of_order += packet_id != (body[0] << 8 | body[1])
            self.waits.append(self._now - since)

    def summary(self) -> dict[str, float]:
        """Times in milliseconds."""
        waits = self.waits or [0.0]
        return {
            "acknowledged": len(self.waits),
            "unacknowledged": len(self._waiting),
            "out_of_order": self.out_of_order,
            **{name: 1000 * quantile(waits, share) for name, share in QUANTILES.items()},
        }


def proxy(broker_port: int, sightings: Sightings) -> ProxyFactory:
    """Connections from a subscriber, each forwarded to the broker."""

    class FromBroker(ProxyClient):
        def connectionMade(self) -> None:
            _transport(self).setTcpNoDelay(True)
            self._reader = sightings.reader()
            super().connectionMade()

        def dataReceived(self, data: bytes) -> None:
            sightings.passed(self._reader, data)
            super().dataReceived(data)

    class FromBrokerFactory(ProxyClientFactory):
        protocol = FromBroker

    class FromSubscriber(ProxyServer):
        clientProtocolFactory = FromBrokerFactory  # noqa: N815 Twisted's name

        def connectionMade(self) -> None:
            _transport(self).setTcpNoDelay(True)
            self._reader = sightings.reader()
            super().connectionMade()

        def dataReceived(self, data: bytes) -> None:
            sightings.passed(self._reader, data)
            super().dataReceived(data)

    factory = ProxyFactory("127.0.0.1", broker_port)
    factory.protocol = FromSubscriber
    return factory


def _transport(protocol: Any) -> Any:
    return protocol.transport


class Witness:
    """The proxy as a process of its own, in front of a broker."""

    def __init__(self) -> None:
        self.summary: dict[str, float] = {}
        """What it saw, once it has ended: see ``Sightings.summary``."""

    @contextlib.contextmanager
    def watch(self, broker: Mosquitto) -> Iterator[int]:
        """Watch what goes through a port, as long as the block lasts."""
        argv = [sys.executable, "-m", "bench.witness", str(broker.port)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=servers.ROOT)
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
            process.terminate()
            self.summary = json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """See the module."""
    from twisted.internet import reactor  # noqa: PLC0415 whoever starts the process needs none

    sightings = Sightings()
    loop: Any = reactor
    port = loop.listenTCP(0, proxy(int(sys.argv[1]), sightings), interface="127.0.0.1")
    loop.callWhenRunning(lambda: print(port.getHost().port, flush=True))
    loop.run()
    print(json.dumps(sightings.summary()), flush=True)


if __name__ == "__main__":
    main()
