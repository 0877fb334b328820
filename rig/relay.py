"""A TCP relay on loopback that can fail the way networks do, which a server being stopped or frozen does not show."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque

PIECE = 65536  # bytes read at a time
MAX_WAITING = 65536  # bytes that a slow link holds before its sender has to wait, as a network's buffers would
TRICKLED_EACH = 0.1  # s between two pieces of a trickle


def end_sockets(*sockets: socket.socket) -> None:
    """Close them under whatever thread waits at one."""
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


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
        self._rate = 0.0
        self._cut = False
        self._pattern = b""
        self._pattern_passed = threading.Event()
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

    def cut_when(self, pattern: bytes) -> threading.Event:
        """Cut the one connection on which the client sends these bytes next, before they are forwarded.

        :param pattern: short enough to arrive in one piece, on a connection that is not encrypted.
        Returns what is set when that has happened. Other connections, also new ones, are served.
        """
        self._pattern_passed = threading.Event()
        self._pattern = pattern
        return self._pattern_passed

    def restore(self) -> None:
        """Forward new connections again. Those that were cut have lost data and stay mute, until ``close_all``."""
        with self._lock:
            self._cut = False

    def delay(self, seconds: float) -> None:
        """Let each piece of data take so long, either way, from now on; 0 for no more, also for what is on its way.

        So a long delay, and then none, is a network that drops all packets for a while: nothing is lost, all is late.
        """
        self._delay = seconds

    def trickle(self, bytes_per_second: float) -> None:
        """Forward no more than this on each connection, either way, from now on; 0 for as much as comes."""
        self._rate = bytes_per_second

    def close_all(self) -> None:
        """Close every connection towards both of its sides; new ones are served."""
        with self._lock:
            for link in self._links:
                link.shut()

    def close(self) -> None:
        """Stop listening and close every connection."""
        end_sockets(self._listener)
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
        for each in link.sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
            if sink is None:
                while source.recv(PIECE):
                    pass
                return
            self._forward(link, source, sink)
            if not link.mute:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            if not link.mute:
                link.shut()

    def _forward(self, link: _Link, source: socket.socket, sink: socket.socket) -> None:
        """Forward one direction until its end; each piece waits here until it is due, and so does the end.

        :raises OSError: it was broken, or the other one is.
        """
        waiting: deque[tuple[float, bytes]] = deque()  # when it came, and the piece
        held, free_at, is_open = 0, 0.0, True
        broken: OSError | None = None
        while is_open or waiting:
            pause = None
            if waiting:
                came_at, piece = waiting[0]
                rate = self._rate
                pause = max(came_at + self._delay, free_at if rate else 0.0) - time.monotonic()
                if pause <= 0:
                    waiting.popleft()
                    held -= len(piece)
                    free_at = time.monotonic() + (len(piece) / rate if rate else 0.0)
                    if not link.mute:
                        sink.sendall(piece)
                    continue
            if not is_open or (self._rate and held >= MAX_WAITING):
                time.sleep(min(pause or 0.0, TRICKLED_EACH))
                continue
            if not select.select([source], [], [], None if pause is None else min(pause, TRICKLED_EACH))[0]:
                continue
            try:
                data = source.recv(PIECE)
            except OSError as error:
                broken, data = error, b""
            is_open = bool(data)
            self._look_for_pattern(link, source, data)
            size = max(1, int(self._rate * TRICKLED_EACH)) if self._rate else PIECE
            waiting.extend((time.monotonic(), data[at : at + size]) for at in range(0, max(1, len(data)), size))
            held += len(data)
        if broken is not None:
            raise broken

    def _look_for_pattern(self, link: _Link, source: socket.socket, data: bytes) -> None:
        if not self._pattern or source is not link.sockets[0] or self._pattern not in data:
            return
        with self._lock:
            if self._pattern and self._pattern in data:
                self._pattern = b""
                link.mute = True
                self._pattern_passed.set()
