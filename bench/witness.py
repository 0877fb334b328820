"""A TCP proxy between broker and subscriber that notes how long each PUBLISH waits for its PUBACK.

    python -m bench.witness BROKER_PORT

Prints the port it listens on, and at SIGTERM what it saw, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections import deque
from typing import Any

from twisted.internet import reactor
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

from aiot_mqtt.packets import PacketReader

PUBACK = 4
MOST_PAYLOAD = 2**28  # bytes


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
        waits = sorted(self.waits)

        def quantile(share: float) -> float:
            return 1000 * waits[min(len(waits) - 1, int(share * len(waits)))] if waits else 0.0

        return {
            "acknowledged": len(waits),
            "unacknowledged": len(self._waiting),
            "out_of_order": self.out_of_order,
            "p50": quantile(0.5),
            "p99": quantile(0.99),
            "p999": quantile(0.999),
            "max": 1000 * waits[-1] if waits else 0.0,
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


def main() -> None:
    """See the module."""
    sightings = Sightings()
    loop: Any = reactor
    port = loop.listenTCP(0, proxy(int(sys.argv[1]), sightings), interface="127.0.0.1")
    loop.callWhenRunning(lambda: print(port.getHost().port, flush=True))
    loop.run()
    print(json.dumps(sightings.summary()), flush=True)


if __name__ == "__main__":
    main()
