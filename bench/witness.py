"""A TCP proxy between broker and subscriber that notes how long each PUBLISH waits for its PUBACK.

    python -m bench.witness BROKER_PORT RATE

Prints the port it listens on, and at SIGTERM what it saw, as JSON. ``RATE`` is that of the publisher, in messages a
second; 0 for none.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

from aiot_mqtt.mqtt.packets import variable_byte_integer
from rig import servers
from rig.programs import Program
from rig.servers import Mosquitto

from .figures import quantile

PUBACK = 0x40
PUBLISH_AT_QOS_1, FLAGS_THAT_MATTER = 0x32, 0xF6  # not whether it is retained, or comes again
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}


class Sightings:
    """PUBLISH packets at QoS 1 on their way, and the times of those that came back.

    It looks at no more than where a packet ends and which identifier it has: a proxy that took as long for a message
    as the service does would measure itself.
    """

    def __init__(self, rate: float = 0.0) -> None:
        """:param rate: how many are published a second; 0 for no steady rate."""
        self._rate = rate
        self._waiting = bytearray()
        """Packet identifiers in the order they passed, two bytes each."""
        self._published = array("d")
        """When each PUBLISH passed."""
        self._acknowledged = array("d")
        """When each PUBACK passed: they come in the order of what they acknowledge."""
        self.out_of_order = 0
        """Reads with PUBACKs that were not for the oldest PUBLISH packets."""

    def published(self, identifiers: bytes, now: float) -> None:
        """PUBLISH packets pass to the subscriber."""
        self._waiting += identifiers
        self._published.extend([now] * (len(identifiers) // 2))

    def acknowledged(self, identifiers: bytes, now: float) -> None:
        """PUBACKs pass to the broker."""
        self.out_of_order += self._waiting[: len(identifiers)] != identifiers
        del self._waiting[: len(identifiers)]
        self._acknowledged.extend([now] * (len(identifiers) // 2))

    def waits(self) -> list[float]:
        """Seconds from each PUBLISH to its PUBACK."""
        return [until - since for since, until in zip(self._published, self._acknowledged, strict=False)]

    def waits_since_due(self) -> list[float]:
        """The same from the moment at which each PUBLISH should have passed, by the one that was the least late.

        What holds up the publisher or the broker because of a slow answer cannot hide in these.
        """
        due = [number / self._rate for number in range(len(self._published))]
        began = min((at - after for at, after in zip(self._published, due, strict=True)), default=0.0)
        return [until - began - after for after, until in zip(due, self._acknowledged, strict=False)]

    def summary(self) -> dict[str, float]:
        """Times in milliseconds."""
        seen: dict[str, float] = {
            "acknowledged": len(self._acknowledged),
            "unacknowledged": len(self._waiting) // 2,
            "out_of_order": self.out_of_order,
        }
        if waits := self.waits():
            seen |= {name: 1000 * quantile(waits, share) for name, share in QUANTILES.items()}
            if self._rate:
                seen["p99_since_due"] = 1000 * quantile(self.waits_since_due(), QUANTILES["p99"])
        return seen


class Direction:
    """One direction of one connection, however the network cuts it."""

    def __init__(self, first: int, passed: Callable[[bytes, float], None]) -> None:
        """:param first: the first byte of the packets whose identifiers are handed on, as they pass."""
        self._first = first
        self._handed_on = passed
        self._rest = b""

    def passed(self, data: bytes) -> None:
        """These bytes pass now."""
        data = self._rest + data
        identifiers = bytearray()
        at, end, wanted = 0, len(data), self._first
        while end - at >= 2:
            length, body = data[at + 1], at + 2
            if length & 0x80:
                length, body = variable_byte_integer(data, at + 1)
                if not body:
                    break
            if body + length > end:
                break
            if data[at] & FLAGS_THAT_MATTER == wanted:
                here = body if wanted == PUBACK else body + 2 + (data[body] << 8 | data[body + 1])
                identifiers += data[here : here + 2]
            at = body + length
        self._rest = data[at:]
        self._handed_on(bytes(identifiers), time.monotonic())


def proxy(broker_port: int, sightings: Sightings) -> ProxyFactory:
    """Connections from a subscriber, each forwarded to the broker, of which the first is looked at.

    The service opens another one later, for what the broker says of itself.
    """
    looked_at = chain([sightings], repeat(Sightings()))

    class FromBroker(ProxyClient):
        def connectionMade(self) -> None:
            _transport(self).setTcpNoDelay(True)
            subscriber: Any = self.peer
            self._direction = Direction(PUBLISH_AT_QOS_1, subscriber.sightings.published)
            super().connectionMade()

        def dataReceived(self, data: bytes) -> None:
            # As the service does: Mosquitto's Nagle would else hold each message back until the PUBACK of the one
            # before, and the slower the answers, the fewer messages there would be to wait for them.
            _transport(self).socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            self._direction.passed(data)
            super().dataReceived(data)

    class FromBrokerFactory(ProxyClientFactory):
        protocol = FromBroker

    class FromSubscriber(ProxyServer):
        clientProtocolFactory = FromBrokerFactory  # noqa: N815 Twisted's name

        def connectionMade(self) -> None:
            _transport(self).setTcpNoDelay(True)
            self.sightings = next(looked_at)
            self._direction = Direction(PUBACK, self.sightings.acknowledged)
            super().connectionMade()

        def dataReceived(self, data: bytes) -> None:
            self._direction.passed(data)
            super().dataReceived(data)

    factory = ProxyFactory("127.0.0.1", broker_port)
    factory.protocol = FromSubscriber
    return factory


def _transport(protocol: Any) -> Any:
    return protocol.transport


class Witness:
    """The proxy as a process of its own, in front of a broker."""

    def __init__(self, rate: float = 0.0) -> None:
        """:param rate: as that of ``Sightings``."""
        self._rate = rate
        self.summary: dict[str, float] = {}
        """What it saw, once it has ended: see ``Sightings.summary``."""

    @contextlib.contextmanager
    def watch(self, broker: Mosquitto) -> Iterator[int]:
        """Watch what goes through a port, as long as the block lasts."""
        argv = [sys.executable, "-m", "bench.witness", str(broker.port), str(self._rate)]
        with contextlib.closing(Program(argv, {}, folder=servers.ROOT)) as process:
            yield int(process.wait_for(""))
            process.stop()
            self.summary = json.loads(process.lines[-1])


def main() -> None:
    """See the module."""
    from twisted.internet import reactor  # noqa: PLC0415 whoever starts the process needs none

    sightings = Sightings(float(sys.argv[2]))
    loop: Any = reactor
    port = loop.listenTCP(0, proxy(int(sys.argv[1]), sightings), interface="127.0.0.1")
    loop.callWhenRunning(lambda: print(port.getHost().port, flush=True))
    loop.run()
    print(json.dumps(sightings.summary()), flush=True)


if __name__ == "__main__":
    main()
