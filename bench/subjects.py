"""What is measured: this service, what bounds it, and others that do the same job their own way."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rig import servers
from rig.programs import FOREGROUND, STARTED, Program, settings_for
from rig.servers import DATABASE, Mosquitto

from .stage import PEER, RunFailed, Stage, wait_until

PEERS = Path(__file__).parent / "peers"
NODE_RED = servers.ROOT / ".venv-bench" / "node-red" / "node_modules" / "node-red" / "red.js"
TOPICS = ("devices/+/data", "devices/+/status", "devices/+/heartbeat")
DATABASE_CONNECTED = "✅ 数据库已连接"

# How a subject shows that it is through with all messages; otherwise it is the name of a counter of the database
# server, which then has grown by one for each message.
EXIT = "it ends"
LAST_ROW = "the last row is stored"


class Subject(NamedTuple):
    """A program under measurement."""

    argv: Sequence[str]
    settings: Mapping[str, str]
    ends_with: str = LAST_ROW
    says: tuple[str, ...] = ()
    """Lines to wait for before there is load."""
    database_user: str = ""
    """Whose connection to wait for, where no line tells."""


def service(
    stage: Stage, broker: Mosquitto, count: int, *, argv: Sequence[str] = FOREGROUND, **settings: str
) -> Subject:
    """This service as it is shipped."""
    del count
    return Subject(argv, {**settings_for(broker, stage.database), **settings}, says=(STARTED, DATABASE_CONNECTED))


def mosquitto_sub(stage: Stage, broker: Mosquitto, count: int) -> Subject:
    """Receives, acknowledges, and throws away."""
    del stage
    argv = [*broker.client_argv("mosquitto_sub"), "-h", broker.host, "-p", str(broker.port)]
    argv += ["-V", "mqttv5", "-q", "1", "-c", "-i", "mosquitto-sub", "-C", str(count)]
    argv += ["-D", "connect", "receive-maximum", "65535"]
    for topic in TOPICS:
        argv += ["-t", topic]
    return Subject(["sh", "-c", 'exec "$@" >/dev/null', "sh", *argv], {}, EXIT)


def _idle(protocol: str) -> Callable[[Stage, Mosquitto, int], Subject]:
    def idle(stage: Stage, broker: Mosquitto, count: int) -> Subject:
        del stage
        settings = {"MQTT_PORT": str(broker.port), "COUNT": str(count), "PROTOCOL": protocol}
        return Subject([sys.executable, str(PEERS / "idle_subscriber.py")], settings, EXIT)

    return idle


def orm(stage: Stage, broker: Mosquitto, count: int) -> Subject:
    """A session and a commit a message."""
    del count
    return Subject([sys.executable, str(PEERS / "orm_service.py")], _peer_settings(stage, broker), "Com_commit")


def asyncio(stage: Stage, broker: Mosquitto, count: int) -> Subject:
    """One UPDATE a message, thirty-two at a time."""
    del count
    argv = [sys.executable, str(PEERS / "asyncio_service.py")]
    return Subject(argv, _peer_settings(stage, broker), "Com_update", database_user=PEER)


def node_red(stage: Stage, broker: Mosquitto, count: int) -> Subject:
    """One UPDATE a message from the flow editor's own nodes."""
    del count
    folder = servers.private_folder()
    shutil.copy(PEERS / "node_red_flow.json", folder / "flows.json")
    (folder / "flows_cred.json").write_text(json.dumps({"database": {"user": PEER, "password": PEER}}))
    (folder / "settings.js").write_text(
        'module.exports = { flowFile: "flows.json", credentialSecret: false, uiHost: "127.0.0.1",'
        f" uiPort: {servers.free_port()}, httpAdminRoot: false, httpNodeRoot: false,"
        ' logging: { console: { level: "warn" } } };\n'
    )
    argv = ["node", str(NODE_RED), "--userDir", str(folder)]
    return Subject(argv, _peer_settings(stage, broker), "Com_update", database_user=PEER)


def _peer_settings(stage: Stage, broker: Mosquitto) -> dict[str, str]:
    ports = {"MQTT_PORT": str(broker.port), "DB_PORT": str(stage.database.port)}
    return {**ports, "DB_USER": PEER, "DB_PASSWORD": PEER, "DB_NAME": DATABASE}


Make = Callable[[Stage, Mosquitto, int], Subject]
SERVICE, SUB, PAHO_5 = "aiot-mqtt", "mosquitto_sub", "paho 5, idle"
CEILINGS: dict[str, Make] = {
    SUB: mosquitto_sub,
    "paho 3.1.1, idle": _idle("3.1.1"),
    PAHO_5: _idle("5"),
}
ALL: dict[str, Make] = {
    **CEILINGS,
    SERVICE: service,
    "Node-RED": node_red,
    "asyncio": asyncio,
    "ORM": orm,
}


def missing(name: str) -> str | None:
    """Why a subject cannot be had here; None when it can."""
    if name == "Node-RED" and not (shutil.which("node") and NODE_RED.exists()):
        return "Node.js and npm are not there"
    return None


@contextlib.contextmanager
def running(stage: Stage, broker: Mosquitto, subject: Subject) -> Iterator[Program]:
    """The subject as a process, ready for load.

    :raises RunFailed: it did not become ready.
    """
    folder = servers.private_folder()
    program = Program(subject.argv, subject.settings, folder=folder)
    try:
        try:
            program.wait_for_each(*subject.says)
        except AssertionError as error:
            raise RunFailed(str(error)) from None

        def is_ready() -> bool:
            # RabbitMQ's log does not tell of subscriptions; the service, which is all that runs there, has said so.
            text = broker.log.read_text(errors="replace")
            subscribed = broker.flavour == "rabbitmq" or all(topic in text for topic in TOPICS)
            return subscribed and (not subject.database_user or subject.database_user in stage.users())

        def output() -> int:
            if program.process.poll() is not None:
                program.wait()
                raise RunFailed("it ended before there was load:\n" + "\n".join(program.lines[-30:]))
            return 0

        wait_until(is_ready, output, "its subscriptions")
        yield program
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.stop()
    finally:
        program.close()
        servers.remove_folder(folder)
