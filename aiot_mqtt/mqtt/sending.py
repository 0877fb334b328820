"""Writing to a broker that may not read, and the kernel's own acknowledgements."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport, ITransport
from zope.interface import implementer

# bytes written after the transport has said that too much is unsent. A broker that keeps to its window never has that
# much to read: for 65,535 messages there are as many answers of four bytes, and at QoS 2 a second one.
MAX_UNSENT = 1024 * 1024


@implementer(IPushProducer)
class Sending:
    """Writes to a transport, and knows how much of it the other side does not take.

    Reading is not stopped for that: in TLS, to write one may have to read first.
    """

    def __init__(self, transport: ITransport) -> None:
        self._transport = transport
        self._is_full = False
        self._unsent = 0

    @property
    def is_stuck(self) -> bool:
        """Whether more is unsent than a broker that reads can ever leave."""
        return self._unsent > MAX_UNSENT

    def open(self) -> None:
        """Be told by the transport when too much is unsent, and have it send each write at once."""
        # A PUBACK must not wait for the TCP acknowledgement of the one before (Nagle's algorithm).
        cast(ITCPTransport, self._transport).setTcpNoDelay(True)
        cast(IConsumer, self._transport).registerProducer(self, streaming=True)

    def write(self, data: bytes) -> None:
        """Send this, behind all that was written before."""
        if self._is_full:
            self._unsent += len(data)
        self._transport.write(data)

    def close(self) -> None:
        """The transport is about to be closed, in order: TLS waits for this before it does."""
        cast(IConsumer, self._transport).unregisterProducer()

    # What the transport calls.

    def pauseProducing(self) -> None:
        """See ``IPushProducer``: more was written than the network takes."""
        self._is_full = True

    def resumeProducing(self) -> None:
        """See ``IPushProducer``: all that was written is sent."""
        self._is_full = False
        self._unsent = 0

    def stopProducing(self) -> None:
        """See ``IProducer``: the transport is gone, which ``connectionLost`` tells too."""


def acknowledge_at_once(transport: Any) -> None:
    """Have the kernel send its TCP acknowledgement now, and not with our next PUBACK; it forgets, so after each read.

    Mosquitto leaves Nagle's algorithm on (its ``set_tcp_nodelay``): while a small packet is not acknowledged it sends
    no other. So of a window of 20 messages one would come, and the others after its commit.
    """
    tcp = getattr(transport, "transport", transport)  # TLS has TCP beneath it
    with contextlib.suppress(AttributeError, OSError):  # no socket in a test, no such option, or closed
        tcp.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
