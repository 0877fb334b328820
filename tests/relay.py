"""A TCP relay on loopback that can fail the way networks do, which a server being stopped or frozen does not show."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class _Link:
    """A client's connection and ours to the target, if any; ``mute`` once, a link stays mute."""

    def __init__(self, client: socket.socket, target: socket.socket | None) -> None:
        self.sockets = [client] if target is None else [client, target]
        self.mute = target is None

    def shut(self) -> None:
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Relay:
    """Forwards connections made to ``port`` to ``target_port``, both on 127.0.0.1, until it is told to misbehave."""

    host = "127.0.0.1"

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self._delay = 0.0
        self._cut = False
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """Forward nothing more, neither data nor a close: what either side sends is taken and lost.

        New connections are accepted and hear nothing.
        """
        with self._lock:
            self._cut = True
            for link in self._links:
                link.mute = True

    def restore(self) -> None:
        """Forward new connections again. Those that were cut have lost data and stay mute, until ``close_all``."""
        with self._lock:
            self._cut = False

    def delay(self, seconds: float) -> None:
        """Hold back each piece of data for so long, either way, from now on; 0 for no more."""
        self._delay = seconds

    def close_all(self) -> None:
        """Close every connection towards both of its sides; new ones are served."""
        with self._lock:
            for link in self._links:
                link.shut()

    def close(self) -> None:
        """Stop listening and close every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            target = None if self._cut else socket.create_connection((self.host, self.target_port))
        except OSError:
            client.close()
            return
        link = _Link(client, target)
        with self._lock:
            link.mute = link.mute or self._cut
            self._links.add(link)
        if target is None:
            self._pump(link, client, None)
        else:
            other = threading.Thread(target=self._pump, args=(link, target, client), daemon=True)
            other.start()
            self._pump(link, client, target)
            other.join()
        with self._lock:
            self._links.discard(link)
        for each in link.sockets:
            each.close()

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket | None) -> None:
        try:
            while data := source.recv(65536):
                if self._delay:
                    time.sleep(self._delay)
                if sink is not None and not link.mute:
                    sink.sendall(data)
            if sink is not None and not link.mute:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            if not link.mute:
                link.shut()
