"""When a connection is read: not while its owner has enough, nor while the broker reads nothing of what we answer."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from zope.interface import implementer


@implementer(IPushProducer)
class Reading:
    """Reads from a transport, with two who may have it stop: the owner, and the transport when too much is unsent."""

    def __init__(self, transport: ITransport) -> None:
        self._transport = transport
        self.is_paused = False
        """By the owner."""
        self.is_write_full = False
        """So much is written and not sent that nothing may be read that would want an answer."""
        cast(IConsumer, transport).registerProducer(self, streaming=True)

    def pause(self) -> None:
        """Read nothing more until ``resume``."""
        if not self.is_paused:
            self.is_paused = True
            self._stop()

    def resume(self) -> None:
        """Read on, as far as the owner is concerned."""
        self.is_paused = False
        self._go_on()

    def close(self) -> None:
        """The transport is about to be closed, in order: TLS waits for this before it does."""
        cast(IConsumer, self._transport).unregisterProducer()

    # What the transport calls.

    def pauseProducing(self) -> None:
        """Too much is written and not sent."""
        self.is_write_full = True
        self._stop()

    def resumeProducing(self) -> None:
        """It is sent."""
        self.is_write_full = False
        self._go_on()

    def stopProducing(self) -> None:
        """The transport is gone, which ``connectionLost`` tells too."""

    def _stop(self) -> None:
        cast(IPushProducer, self._transport).pauseProducing()

    def _go_on(self) -> None:
        if not (self.is_paused or self.is_write_full):
            cast(IPushProducer, self._transport).resumeProducing()


def acknowledge_at_once(transport: Any) -> None:
    """Have the kernel send its TCP acknowledgement now, and not with our next PUBACK; it forgets, so after each read.

    Mosquitto leaves Nagle's algorithm on (its ``set_tcp_nodelay``): while a small packet is not acknowledged it sends
    no other. So of a window of 20 messages one would come, and the others after its commit.
    """
    tcp = getattr(transport, "transport", transport)  # TLS has TCP beneath it
    with contextlib.suppress(AttributeError, OSError):  # no socket in a test, no such option, or closed
        tcp.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
