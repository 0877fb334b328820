"""``scripts/try-containers``: build the image with a real engine, and run it as the compose file does.

What the Dockerfile begins with is stood in for by the same Debian with the same Python, because no registry is needed
then. Broker and database run on this machine, and the container shares its network; at the end all three run as the
compose file has them. Needs root, podman with its network, buildah and runc.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rig.load import publish
from rig.programs import STARTED
from rig.servers import MariaDB, Mosquitto, free_port

from .composed import COMPOSED, Composed
from .engine import LIMITS, Engine
from .machine import FOLDER, ROOT, Failed, download_wheels, let, make_python_root, make_root, until

BASE = "docker.io/library/python:3.13-slim"
TOOLS = (
    "debootstrap",
    "podman",
    "buildah",
    "runc",
    "iptables",
    "/usr/lib/podman/netavark",
    "/usr/lib/podman/aardvark-dns",
)
PACKAGES = "debootstrap podman buildah runc netavark aardvark-dns iptables"
NAME = "aiot-mqtt-tried"
IMAGE = "mqtt-service"
# As x-hardened in docker-compose.yml.
HARDENED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--ulimit=core=0")


def why_not() -> str | None:
    """Why it cannot be tried here; None: it can."""
    if os.geteuid() != 0:
        return "this needs root"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)}: not installed (apt-get install {PACKAGES})"
    return None


class Trial:
    """The image, with a broker and a database beside it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.broker = Mosquitto(persistence=True, settings=["max_queued_messages 100000"])
        self.database = MariaDB()
        self.number = 0
        self.http = free_port()

    def run(self, spool: str | None = None, *options: str) -> None:
        """As the compose file does; or with the spool elsewhere, as nobody should."""
        settings = {
            "MQTT_BROKER": self.broker.host,
            "MQTT_PORT": str(self.broker.port),
            "DB_HOST": self.database.host,
            "DB_PORT": str(self.database.port),
            "DB_USER": self.database.service_user,
            "DB_PASSWORD": self.database.service_password,
            "HTTP_LISTEN": f"tcp:{self.http}:interface=127.0.0.1",
        }
        if spool is not None:
            settings["SPOOL_FILE"] = spool
        environment = [f"--env={name}={value}" for name, value in settings.items()]
        volume = f"--volume={NAME}:/var/lib/mqtt-service"
        way = (*HARDENED, volume) if spool is None else options
        self.engine.podman("run", "--detach", f"--name={NAME}", "--network=host", *LIMITS, *way, *environment, IMAGE)

    def report(self, devices: int = 50) -> None:
        self.number += 1
        payload = json.dumps({"n": self.number})
        publish(self.broker.port, [(f"devices/device-{device}/data", payload) for device in range(devices)])

    def expect_stored(self, devices: int = 50) -> None:
        wanted = {f"device-{device}": {"n": self.number} for device in range(devices)}

        def is_stored() -> bool:
            rows = self.database.query("SELECT uuid, last_report_data FROM device_main")
            return all(json.loads(dict(rows)[uuid] or "{}") == report for uuid, report in wanted.items())

        until(is_stored, "every row holds what was published last")

    def is_healthy(self) -> bool:
        return self.engine.is_healthy(NAME)

    def logs(self) -> str:
        return self.engine.podman("logs", NAME)


# What happens to containers.


def hardened(trial: Trial) -> None:
    """Run it read-only, without capabilities and privileges: it stores, and its HEALTHCHECK says that it lives"""
    trial.run()
    until(lambda: STARTED in trial.logs(), "it has subscribed")
    trial.report()
    trial.expect_stored()
    until(trial.is_healthy, "the HEALTHCHECK is passed")
    if (user := trial.engine.podman("exec", NAME, "id", "-u").strip()) == "0":
        raise Failed(f"it runs as user {user}")


def frozen(trial: Trial) -> None:
    """SIGSTOP: the HEALTHCHECK fails, and is passed again after SIGCONT"""
    trial.engine.podman("kill", "--signal=STOP", NAME)
    if trial.is_healthy():
        raise Failed("the HEALTHCHECK is passed by a process that stands still")
    trial.engine.podman("kill", "--signal=CONT", NAME)
    until(trial.is_healthy, "the HEALTHCHECK is passed again")
    trial.report()
    trial.expect_stored()


def killed(trial: Trial) -> None:
    """The database is away, the container is killed: what was acknowledged is on the volume, and gets to the table"""
    trial.database.stop()
    trial.report()
    until(lambda: "💾" in trial.logs(), "the spool takes over")
    trial.engine.podman("kill", "--signal=KILL", NAME)
    trial.engine.podman("start", NAME)
    trial.database.start()
    trial.expect_stored()


def replaced(trial: Trial) -> None:
    """Stopped in order, thrown away, and another one run on its volume: nothing is lost, the exit code is 0"""
    trial.engine.podman("stop", "--time=20", NAME)
    code = trial.engine.podman("inspect", "--format={{.State.ExitCode}}", NAME).strip()
    if code != "0":
        raise Failed(f"exit code {code}")
    trial.engine.podman("rm", NAME)
    trial.report()
    trial.run()
    trial.expect_stored()


def short_lived(trial: Trial) -> None:
    """A spool on the container's own layer, or in memory: the log says that it is lost with it"""
    trial.engine.podman("rm", "--force", "--time=20", NAME)
    for place, more in (("/tmp", ()), ("/spool", ("--tmpfs=/spool:mode=1777",))):
        trial.run(f"{place}/spool", *more)
        until(lambda place=place: f"⚠️ 本机暂存 {place}/spool 保留不久" in trial.logs(), "the log says so")
        trial.engine.podman("rm", "--force", "--time=20", NAME)


EVENTS: tuple[Callable[[Trial], None], ...] = (hardened, frozen, killed, replaced, short_lived)


def main() -> int:
    """Returns the exit code: 0 where all went as it should, 1 where not, 2 where it cannot be tried here."""
    if (reason := why_not()) is not None:
        print(f"containers cannot be tried here: {reason}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="aiot-containers-", dir=FOLDER.parent))
    log = folder / "log"
    engine = Engine(folder)
    trial: Trial | None = None
    try:
        began = time.monotonic()
        print(f"an image by the Dockerfile, on Debian's Python (log: {log})", flush=True)
        engine.import_root(make_python_root(log), BASE)
        source, wheels = folder / "source", folder / "wheels"
        subprocess.run(["git", "clone", "-q", "--no-local", ROOT, source], check=True)
        download_wheels(wheels, "3.13")
        configuration = wheels / "pip.conf"
        configuration.write_text(f"[global]\nno-index = true\nfind-links = {wheels}\n")
        mounts = (f"--volume={wheels}:{wheels}:ro", f"--volume={configuration}:/etc/pip.conf:ro")
        engine.build(source, IMAGE, *mounts)
        print(f"ok     Built  {time.monotonic() - began:.0f} s", flush=True)
        trial = Trial(engine, folder)
        trial.broker.start()
        trial.database.start()
        trial.database.create_device_table()
        trial.database.grant()
        trial.database.add_devices(f"device-{device}" for device in range(50))
        if any(let(event, trial, trial.logs) for event in EVENTS):
            return 1
        evaluation = Composed(engine, source / "docker-compose.yml", IMAGE)
        evaluation.make_images(folder, make_root(log))
        return int(any(let(event, evaluation, evaluation.logs) for event in COMPOSED))
    finally:
        engine.close()
        if trial is not None:
            trial.broker.stop()
            trial.database.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
