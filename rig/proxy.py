"""One address before a cluster: HAProxy, which asks each node how it is.

A database is asked about over HTTP, of a small program beside it; a broker itself, with a CONNECT.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .brokers import RabbitMQ
from .cluster import Cluster
from .servers import START_TIMEOUT, Server, ServerFailed, Tree

CHECK_INTERVAL = 1  # s
LOOK_INTERVAL = 0.05  # s


class HealthCheck:
    """Answers 200 where a node may be written to, and 503 where it may not."""

    def __init__(self, is_writable: Callable[[], bool]) -> None:
        """:param is_writable: asked in threads of its own."""

        class Answer(BaseHTTPRequestHandler):
            def do_OPTIONS(self) -> None:
                """What HAProxy asks with."""
                with contextlib.suppress(OSError):  # it does not wait for the answer any longer
                    self.send_response(200 if is_writable() else 503)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class HAProxy(Server):
    """Sends each connection to the first node that is well; one whose node no longer is, it closes."""

    _ready = re.compile(r"Using (\w+)\(\) as the polling mechanism")

    def __init__(self, nodes: Iterable[Server], check: Sequence[str], ports: Sequence[int] = ()) -> None:
        """
        :param check: lines of its configuration that say how it asks.
        :param ports: where it asks about each node, where that is not the node itself.
        """
        super().__init__("clusters")
        backends = [
            f"  server n{number} {node.host}:{node.port} check"
            f"{f' port {ports[number]}' if ports else ''}{' backup' if number else ''}"
            for number, node in enumerate(nodes)
        ]
        lines = [
            *("global", "  maxconn 500", "defaults", "  mode tcp", "  timeout connect 2s", "  timeout client 1h"),
            *("  timeout server 1h", "listen cluster", f"  bind {self.host}:{self.port}"),
            *(f"  {line}" for line in check),
            f"  default-server inter {CHECK_INTERVAL}s fall 2 rise 2 on-marked-down shutdown-sessions",
            *backends,
        ]
        self._configuration = self.folder / "haproxy.cfg"
        self._configuration.write_text("".join(f"{line}\n" for line in lines))

    def start(self) -> None:
        """See ``Server``; it says that it is ready a moment before it listens."""
        super().start()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            if time.monotonic() > deadline:
                raise ServerFailed(f"HAProxy does not listen:\n{self.log_tail()}")
            time.sleep(LOOK_INTERVAL)

    def _argv(self) -> list[str]:
        # In the foreground, in one process: what it started itself would lack the tree's dynamic loader.
        return [*Tree("clusters").argv("sbin/haproxy"), "-V", "-db", "-f", str(self._configuration)]


class DatabasesProxy(HAProxy):
    """Before a cluster of databases, for whoever writes."""

    def __init__(self, cluster: Cluster[Any]) -> None:
        self._checks = [HealthCheck(lambda node=node: cluster.may_be_written_to(node)) for node in cluster.nodes]  # type: ignore[misc]
        super().__init__(cluster.nodes, ["option httpchk"], [check.port for check in self._checks])

    def close(self) -> None:
        """See ``Server``."""
        super().close()
        for check in self._checks:
            check.close()


class BrokersProxy(HAProxy):
    """Before nodes of a cluster of brokers. One that hangs takes connections, too, so each is asked in MQTT."""

    _CONNECT = "100c00044d515454040200050000"  # 3.1.1, a clean session without a name
    _CONNACK = "20020000"

    def __init__(self, nodes: Iterable[RabbitMQ]) -> None:
        ask = ("connect", f"send-binary {self._CONNECT}", f"expect binary {self._CONNACK}")
        super().__init__(nodes, ["option tcp-check", *(f"tcp-check {step}" for step in ask)])
