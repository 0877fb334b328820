"""A database proxy on loopback that answers what sets a session, and does not pass it on."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from .relay import end_sockets

QUERY = 3  # COM_QUERY
IN_ITS_PLACE = b"DO 0"


class ForgetfulProxy:
    """Forwards connections to ``target_port``; a server behind it keeps its own defaults in every session."""

    host = "127.0.0.1"

    def __init__(self, target_port: int, *, forgets: bytes = b"SET SESSION") -> None:
        """:param forgets: how the statements begin that are lost."""
        self._target_port = target_port
        self._forgets = forgets
        self.ends_at = b""
        """A statement that holds this ends its connection, as one does that is too long for a proxy; empty: none."""
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and close every connection."""
        end_sockets(self._listener, *list(self._sockets))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self.host, self._target_port))
                self._sockets |= {client, server}
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pump, args=(client, server, self._edited), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, _anything), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, read: Callable[[socket.socket], bytes]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := read(source):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _edited(self, source: socket.socket) -> bytes:
        """The client's next packet, or another statement in its place."""
        header = _exactly(source, 4)
        payload = _exactly(source, int.from_bytes(header[:3], "little"))
        if self.ends_at and self.ends_at in payload:
            raise EOFError
        if payload[:1] == bytes([QUERY]) and payload[1:].startswith(self._forgets):
            payload = bytes([QUERY]) + IN_ITS_PLACE
        return len(payload).to_bytes(3, "little") + header[3:] + payload


def _anything(source: socket.socket) -> bytes:
    return source.recv(65536)


def _exactly(source: socket.socket, size: int) -> bytes:
    """:raises EOFError: there is no more."""
    data = b""
    while len(data) < size:
        piece = source.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
