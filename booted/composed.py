"""What ``docker-compose.yml`` describes, run by a real engine: an evaluation on one machine, as a newcomer starts it.

Stand-ins for the images of broker and database are made of the Debian that ``scripts/try-systemd`` boots: they keep to
what the compose file uses of the real ones (users, folders, the script at the first start).
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from aiot_mqtt.telemetry import log_lines
from rig.load import publish
from rig.servers import free_port

from .engine import LIMITS, Engine
from .machine import Failed, until

PROJECT = "aiot"
SERVERS = "localhost/servers"
PORT = "127.0.0.1:1883:1883"
DEVICE = "test-device-uuid"  # docker/evaluation.sql has it
MOSQUITTO = f"""FROM {SERVERS}
RUN install -d -o 1883 -g 1883 /mosquitto/data
CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
"""
# As the image's entrypoint: the first start makes the database, and runs what lies in a folder.
FIRST_START = """#!/bin/bash
set -euo pipefail
serve="mariadbd --no-defaults --datadir=/var/lib/mysql"
if [[ ! -d /var/lib/mysql/mysql ]]; then
    mariadb-install-db --no-defaults --datadir=/var/lib/mysql --auth-root-authentication-method=normal >/dev/null
    $serve --skip-networking &
    until mariadb-admin --no-defaults -uroot ping; do sleep 0.2; done
    mariadb --no-defaults -uroot -e "CREATE DATABASE $MARIADB_DATABASE"
    cat /docker-entrypoint-initdb.d/*.sql | mariadb --no-defaults -uroot "$MARIADB_DATABASE"
    mariadb-admin --no-defaults -uroot shutdown
    wait
fi
exec $serve --bind-address=0.0.0.0
"""
MARIADB = f"""FROM {SERVERS}
COPY first-start /first-start
RUN rm -rf /var/lib/mysql && install -d -o 999 -g 999 /var/lib/mysql && chmod 0755 /first-start
CMD ["/first-start"]
"""


class Composed:
    """All three services."""

    def __init__(self, engine: Engine, file: Path, image: str) -> None:
        """
        :param file: the compose file, which is changed: its port may be taken here.
        :param image: of the service.
        """
        self._engine = engine
        self._file = file
        self._image = image
        self.port = free_port()

    def make_images(self, folder: Path, root: Path) -> None:
        """The stand-ins, by the names that the compose file has."""
        self._engine.import_root(root, SERVERS)
        for image, recipe in (("eclipse-mosquitto:2", MOSQUITTO), ("mariadb:11.4", MARIADB)):
            context = folder / image.partition(":")[0]
            context.mkdir()
            (context / "Dockerfile").write_text(recipe)
            (context / "first-start").write_text(FIRST_START)
            self._engine.build(context, f"docker.io/library/{image}")
        self._engine.podman("tag", self._image, f"localhost/{PROJECT}_mqtt-service")
        text = self._file.read_text("utf-8")
        if text.count(PORT) != 1:
            raise Failed(f"{self._file.name} does not publish {PORT}")
        self._file.write_text(text.replace(PORT, f"127.0.0.1:{self.port}:1883"), "utf-8")

    def compose(self, *arguments: str) -> str:
        """Have the compose file followed."""
        options = [f"--podman-args={shlex.join(self._engine.options)}", "--podman-run-args=" + shlex.join(LIMITS)]
        command = [sys.executable, "-m", "podman_compose", *options, "-p", PROJECT, "-f", str(self._file), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failed(
                f"podman-compose {' '.join(arguments)}: {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}"
            )
        return done.stdout

    def logs(self) -> str:
        return self._engine.podman("logs", f"{PROJECT}_mqtt-service_1")

    def row(self) -> dict[str, int] | None:
        """What the device has reported last, by the table; None: the table cannot be asked."""
        query = f"SELECT last_report_data FROM aiot_admin.device_main WHERE uuid = '{DEVICE}'"
        asked = ("mariadb", "--no-defaults", "-uroot", "-N", "-e", query)
        said = self._engine.podman("exec", f"{PROJECT}_mariadb_1", *asked, ends_with=None).strip()
        found: dict[str, int] | None = json.loads(said) if said.startswith("{") else None
        return found

    def report(self, number: int) -> None:
        publish(self.port, [(f"devices/{DEVICE}/data", json.dumps({"n": number}))])

    def expect(self, number: int) -> None:
        until(lambda: self.row() == {"n": number}, "the row holds what was published last")


def composed(evaluation: Composed) -> None:
    """docker-compose.yml as it stands: broker, database and service come up, find each other by name, and store"""
    evaluation.compose("up", "-d", "--no-build")
    until(lambda: log_lines.STARTED in evaluation.logs(), "the service has subscribed")
    evaluation.report(1)
    evaluation.expect(1)


def database_restarted(evaluation: Composed) -> None:
    """Its database is stopped, the service killed and started again: what was acknowledged is stored afterwards"""
    evaluation.compose("stop", "mariadb")
    evaluation.report(2)
    until(lambda: "💾" in evaluation.logs(), "the spool takes over")
    evaluation.compose("kill", "mqtt-service")
    evaluation.compose("start", "mqtt-service")
    evaluation.compose("start", "mariadb")
    evaluation.expect(2)


def renewed(evaluation: Composed) -> None:
    """All taken down and brought up anew: the volumes keep the session, the table and what is published meanwhile"""
    evaluation.compose("stop", "mqtt-service")
    evaluation.report(3)
    evaluation.compose("down")
    evaluation.compose("up", "-d", "--no-build")
    evaluation.expect(3)
    evaluation.compose("down", "--volumes")


COMPOSED: tuple[Callable[[Composed], None], ...] = (composed, database_restarted, renewed)
