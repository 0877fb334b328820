"""``scripts/try-systemd``: install by the README under a real systemd, and let there happen what happens to services.

After each, every row is held against what was published. Needs root, systemd-nspawn and debootstrap.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiot_mqtt.telemetry import log_lines
from rig.load import Load, encode
from rig.servers import free_port
from rig.strace import strace_argv

from . import documents
from .documents import statement
from .machine import FOLDER, ROOT, Failed, Machine, download_wheels, let, make_root, until, why_not

UNIT = "mqtt-service"
DEVICES = 300
RATE = 2000.0  # messages a second
HOME = "/opt/mqtt-service"
STATE = "/var/lib/mqtt-service"
WATCHDOG = 6  # s, instead of the unit's minute
PASSWORD = "pass word"
README = (ROOT / "README.md").read_text("utf-8")


class Trial:
    """An installed service, with a broker and a database beside it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.broker_port, self.database_port, self.http_port = free_port(), free_port(), free_port()
        self.number = 0
        self.newest: dict[str, int] = {}

    # Around the service.

    def set_up_servers(self) -> None:
        """Mosquitto as Debian has it, told to keep what it is given; MariaDB with a table and its devices."""
        machine, etc = self.machine, self.machine.root / "etc"
        (etc / "mosquitto/conf.d/aiot.conf").write_text(
            f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n"
        )
        (etc / "mysql/mariadb.conf.d/99-aiot.cnf").write_text(
            f"[mysqld]\nport={self.database_port}\nbind-address=127.0.0.1\n"
        )
        machine.run("systemctl", "restart", "mosquitto", "mariadb")
        table = (ROOT / "rig/device_main.sql").read_text()
        rows = ",".join(f"('device-{number:03}','d{number}','d','s')" for number in range(DEVICES))
        rows += ",('test-device-uuid','test-device','d','s')"
        insert = f"INSERT INTO device_main (uuid, device_id, name, device_secret) VALUES {rows};"
        user = statement(README, "CREATE USER").replace("your_password", PASSWORD)
        self.sql(f"CREATE DATABASE aiot_admin; USE aiot_admin; {table}; {insert} {user} {statement(README, 'GRANT')}")

    def sql(self, statements: str) -> str:
        return self.machine.run("mariadb", "-N", "--default-character-set=utf8mb4", stdin=statements)

    def install(self) -> None:
        """What the README says, command by command."""
        machine = self.machine
        subprocess.run(
            ["git", "clone", "-q", "--bare", "--no-local", ROOT, machine.root / "srv/repository.git"], check=True
        )
        wheels = machine.root / "srv/wheels"
        version = machine.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
        download_wheels(wheels, version)
        (machine.root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /srv/wheels\n")
        for command in documents.commands(documents.section("README.md", "Install and run")):
            if command.startswith("sudo git clone"):
                machine.shell(command.replace("<repository>", "/srv/repository.git"))
            elif command == "sudo nano .env":
                self.write_settings()
            elif command == "sudo venv/bin/aiot-mqtt --try":
                self.try_it()
            else:
                if "enable --now" in command:
                    self.hurry()
                machine.shell(f"cd {HOME}; {command}")

    def write_settings(self, **more: str) -> None:
        path = self.machine.root / HOME[1:] / ".env"
        settings = {
            "MQTT_BROKER": "127.0.0.1",
            "MQTT_PORT": str(self.broker_port),
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.database_port),
            "DB_USER": "aiot",
            "DB_PASSWORD": f"'{PASSWORD}'",
            "HTTP_LISTEN": f"tcp:{self.http_port}:interface=127.0.0.1",
            **more,
        }
        lines = [line for line in path.read_text().splitlines() if line.split("=")[0] not in settings]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in settings.items())]) + "\n")

    def try_it(self) -> None:
        said = self.machine.shell(
            f"cd {HOME}; timeout --preserve-status -s INT 8 venv/bin/aiot-mqtt --try 2>&1", ends_with=None
        )
        for line in ("🚀 MQTT服务已启动", "✅ 数据库已连接"):
            if line not in said:
                raise Failed(f"aiot-mqtt --try does not say {line}:\n{said}")

    def hurry(self) -> None:
        """Let the watchdog wait seconds instead of a minute: what is tried is that it bites, not when."""
        folder = self.machine.root / f"etc/systemd/system/{UNIT}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "quick.conf").write_text(f"[Service]\nWatchdogSec={WATCHDOG}\n")

    # What is published, and what became of it.

    def publish(self, seconds: float) -> None:
        """Reports of all devices at ``RATE``; returns once the broker has acknowledged them."""
        messages = []
        for _ in range(int(seconds * RATE)):
            self.number += 1
            device = f"device-{self.number % DEVICES:03}"
            self.newest[device] = self.number
            messages.append((f"devices/{device}/data".encode(), b'{"n": %d}' % self.number))
        load = Load(self.broker_port, f"load-{self.number}")
        try:
            load.publish(encode(messages), rate=RATE)
        finally:
            load.close()

    def under_load(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen while devices report; then hold every row against what was published."""
        failed: list[BaseException] = []

        def report() -> None:
            try:
                self.publish(seconds)
            except BaseException as error:
                failed.append(error)

        reporting = threading.Thread(target=report)
        reporting.start()
        time.sleep(1)  # so that there is a load
        try:
            event()
        finally:
            reporting.join()
        if failed:
            raise Failed(f"the load: {failed[0]}")
        self.expect_all_stored()

    def stored(self) -> dict[str, int]:
        told = "last_report_data IS NOT NULL AND uuid LIKE 'device-%'"
        rows = self.sql(f"SELECT uuid, last_report_data FROM aiot_admin.device_main WHERE {told}")
        return {uuid: json.loads(report)["n"] for uuid, report in (row.split("\t") for row in rows.splitlines())}

    def expect_all_stored(self) -> None:
        until(lambda: self.stored() == self.newest, "every row holds what was published last", 90)

    # The service.

    def shown(self, name: str) -> str:
        return self.machine.run("systemctl", "show", UNIT, f"--property={name}", "--value").strip()

    @property
    def pid(self) -> int:
        return int(self.shown("MainPID"))

    def expect_active(self, but_not: int = 0) -> None:
        until(lambda: self.shown("ActiveState") == "active" and self.pid not in (0, but_not), f"{UNIT} is active")

    def journal(self, since: float) -> str:
        return self.machine.run("journalctl", "-u", UNIT, "--since", f"@{int(since)}", "-o", "cat", "--no-pager")

    def told(self) -> str:
        """What the operator would look at."""
        journal = self.machine.run("journalctl", "-u", UNIT, "-n", "40", "-o", "cat", "--no-pager")
        return journal + self.machine.run("systemctl", "status", "--no-pager", UNIT, ends_with=None)

    def expect_in_journal(self, text: str, since: float) -> None:
        until(lambda: text in self.journal(since), f"the journal says {text}")


# What happens to services.


def installed(trial: Trial) -> None:
    """Install by the README, enable: it is ready, and systemctl status says in a sentence how it is"""
    trial.install()
    trial.expect_active()
    until(lambda: trial.shown("StatusText").startswith("正常："), "systemctl status says that all is well")
    trial.under_load(3, lambda: None)


def read_on(trial: Trial) -> None:
    """Everything else that the README and the operator's document tell to type does what they say"""
    machine = trial.machine
    after = README.split("## Install and run", 1)[1].split("\n## ", 1)[1]
    told = [*documents.commands(after), *documents.named_commands(README)]

    def type_it(command: str, ends_with: int | None = 0) -> str:
        asked = documents.typed(
            command, broker_port=trial.broker_port, database_port=trial.database_port, password=PASSWORD
        )
        return machine.shell(f"cd {HOME}; {asked}", ends_with=ends_with)

    for command in told:
        if documents.FOR_DEVELOPERS.fullmatch(command) or "apt install" in command or command == documents.CHECK:
            continue
        if command.startswith("mosquitto_sub"):
            [publish] = [other for other in told if other.startswith("mosquitto_pub")]
            if "temperature" not in type_it(f"timeout 60 {command} -C 1 & sleep 2; {publish}; wait $!"):
                raise Failed(f"{command} does not show what is published")
        elif command in documents.WITHOUT_END:
            if "MQTT" not in type_it(f"timeout 3 {command}", ends_with=124):
                raise Failed(f"{command} shows no line of the service")
        else:
            type_it(command)
    until(lambda: "25.5" in trial.sql(f"USE aiot_admin; {statement(README, 'SELECT')}"), "the README's SELECT shows it")
    with urllib.request.urlopen(f"http://127.0.0.1:{trial.http_port}/", timeout=30) as page:
        if b"aiot-mqtt" not in page.read():
            raise Failed("there is no page")
    machine.run("systemctl", "stop", UNIT)
    for command in documents.commands(documents.section("docs/operations.md", "The spool by hand")):
        type_it(command)
    machine.run("systemctl", "start", UNIT)

    def upgrade() -> None:
        for command in documents.commands(documents.section("docs/operations.md", "Upgrade without loss")):
            type_it(command)

    trial.under_load(20, upgrade)


def checked(trial: Trial) -> None:
    """The check says what both READMEs show: all is well, save for one device that is not in the table"""
    stranger = Load(trial.broker_port, "stranger")
    stop = threading.Event()

    def report() -> None:
        while not stop.wait(0.5):
            trial.publish(0.5)
            stranger.publish(encode([(b"devices/device-999/data", b"{}")]), rate=RATE)

    def look(name: str, language: str) -> None:
        [shown] = documents.blocks((ROOT / name).read_text("utf-8"), "console")
        command = documents.CHECK.replace("sudo", f"sudo LOG_LANGUAGE={language}")
        said = trial.machine.shell(f"cd {HOME}; {command}", ends_with=1)
        lines = iter(documents.without_numbers(said))  # on a busy machine it may have more to say
        if missing := [line for line in documents.without_numbers(shown) if line not in lines]:
            raise Failed(f"{name} shows {missing[0]}, and not this:\n{said}")

    reporting = threading.Thread(target=report)
    reporting.start()
    try:
        look("README.md", "en")
        look("README.zh-CN.md", "zh")
    finally:
        stop.set()
        reporting.join()
        stranger.close()
    trial.expect_all_stored()


def restarted(trial: Trial) -> None:
    """Restart it three times under load"""

    def restart() -> None:
        for _ in range(3):
            trial.machine.run("systemctl", "restart", UNIT)
            time.sleep(1)

    trial.under_load(10, restart)


def killed(trial: Trial) -> None:
    """kill -9 under load: it comes back by itself"""
    was = trial.pid

    def kill() -> None:
        trial.machine.run("systemctl", "kill", "-s", "KILL", UNIT)
        trial.expect_active(but_not=was)

    trial.under_load(8, kill)


def stopped_by_signal(trial: Trial) -> None:
    """SIGSTOP under load: the watchdog finds it, and a new process goes on"""
    was, began = trial.pid, time.time()

    def stop() -> None:
        trial.machine.run("kill", "-STOP", str(was))
        trial.expect_active(but_not=was)

    trial.under_load(5, stop)
    trial.expect_in_journal("Watchdog timeout", began)


def hung(trial: Trial) -> None:
    """The reactor's thread hangs, the others live: the watchdog finds it, and the journal says where it hung"""
    was, began = trial.pid, time.time()
    outside = trial.machine.pid_outside(was)
    # Only the main thread, whose every wait for something to do takes twelve seconds from now on.
    delay = "inject=epoll_wait,epoll_pwait,poll,select:delay_enter=12000000"
    strace = subprocess.Popen(
        [*strace_argv(), "-qqq", "-o/dev/null", "-e", delay, "-p", str(outside)], stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: trial.pid != was, "the watchdog ends the process", WATCHDOG + 60)
    finally:
        strace.kill()
        strace.wait()
    trial.expect_active(but_not=was)
    trial.under_load(2, lambda: None)
    for text in ("Watchdog timeout", "Fatal Python error: Aborted"):
        trial.expect_in_journal(text, began)


def wrongly_set(trial: Trial) -> None:
    """Wrong settings: the start ends with every mistake in the journal, and is not tried again"""
    began = time.time()
    trial.write_settings(MQTT_PORT="many", DB_POOL_SIZE="0")
    trial.machine.run("systemctl", "restart", UNIT, ends_with=1)
    time.sleep(3)  # in which a restart would have been seen
    if (found := (trial.shown("ActiveState"), trial.shown("ExecMainStatus"))) != ("failed", "78"):
        raise Failed(f"{UNIT} is {found}")
    for name in ("MQTT_PORT", "DB_POOL_SIZE"):
        trial.expect_in_journal(name, began)
    trial.write_settings(DB_POOL_SIZE="2")
    trial.machine.run("systemctl", "start", UNIT)
    trial.expect_active()


def rotated(trial: Trial) -> None:
    """logrotate takes the log away under load: the service goes on in a new file, and no line is missing"""
    machine, log = trial.machine, "/var/log/mqtt-service/mqtt_service.log"
    trial.write_settings(LOG_ROTATE="external", LOG_LEVEL="DEBUG")
    machine.run("systemctl", "restart", UNIT)
    trial.expect_active()
    machine.run("install", "-m", "0644", f"{HOME}/deploy/logrotate/{UNIT}", "/etc/logrotate.d/")
    began = time.time()

    def rotate() -> None:
        machine.run("logrotate", "--force", f"/etc/logrotate.d/{UNIT}")

    trial.under_load(3, rotate)
    new = machine.run("cat", log)
    if log_lines.LOG_REOPENED.format(signal="SIGUSR1") not in new:
        raise Failed(f"the new file begins with {new[:500]}")
    said = {*machine.run("cat", f"{log}.1").splitlines(), *new.splitlines()}
    ours = [line for line in trial.journal(began).splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]
    if missing := [line for line in ours if line not in said]:
        raise Failed(f"{len(missing)} lines of the journal are in no file, such as {missing[0]}")
    trial.write_settings(LOG_ROTATE="size", LOG_LEVEL="INFO")
    machine.run("systemctl", "restart", UNIT)
    trial.expect_active()


def full_disk(trial: Trial) -> None:
    """The database is away and the disk of the spool is full: a fault that says so; nothing is lost"""
    machine = trial.machine
    machine.run("systemctl", "stop", UNIT)
    machine.shell(f"mount -t tmpfs -o size=1m,mode=0700,uid=$(id -u aiot-mqtt),gid=$(id -g aiot-mqtt) none {STATE}")
    machine.shell(f"head -c 2M /dev/zero >{STATE}/full || true")
    machine.run("systemctl", "start", UNIT)
    until(lambda: trial.shown("StatusText").startswith("正常："), "it listens")

    def outage() -> None:
        machine.run("systemctl", "stop", "mariadb")
        until(lambda: trial.shown("StatusText").startswith("故障："), "systemctl status says that it is a fault", 90)
        machine.run("rm", f"{STATE}/full")
        machine.run("systemctl", "start", "mariadb")

    trial.under_load(3, outage)
    machine.run("systemctl", "stop", UNIT)
    machine.run("umount", STATE)
    machine.run("systemctl", "start", UNIT)
    trial.expect_active()


def rebooted(trial: Trial) -> None:
    """Reboot the machine: all of it comes back by itself"""
    machine = trial.machine
    machine.run("systemctl", "reboot", ends_with=None)
    machine.wait_for_end()
    machine.boot()
    trial.expect_active()
    until(lambda: trial.shown("StatusText").startswith("正常："), "it listens")
    trial.under_load(2, lambda: None)


def confined(trial: Trial) -> None:
    """What systemd-analyze security says of the unit"""
    said = trial.machine.run("systemd-analyze", "security", "--no-pager", "--threshold=20", UNIT, ends_with=None)
    [exposure] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    if float(exposure) > 2.0:
        raise Failed(f"exposure level {exposure}")


EVENTS: tuple[Callable[[Trial], None], ...] = (
    *(installed, checked, read_on, restarted, killed, stopped_by_signal, hung, wrongly_set, rotated, full_disk),
    *(confined, rebooted),
)


def main(arguments: Any = None) -> int:
    """Returns the exit code: 0 where all went as it should, 1 where not, 2 where it cannot be tried here."""
    parser = argparse.ArgumentParser(prog="scripts/try-systemd", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the machine's folder there when something failed")
    options = parser.parse_args(arguments)
    if (reason := why_not()) is not None:
        print(f"systemd cannot be tried here: {reason}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="aiot-booted-", dir=FOLDER.parent))
    log = folder / "log"
    print(f"a Debian with systemd, Mosquitto and MariaDB (log: {log})", flush=True)
    root = make_root(log)
    machine = Machine(root, folder, log)
    code = 0
    try:
        machine.boot()
        trial = Trial(machine)
        trial.set_up_servers()
        for event in EVENTS:
            code = let(event, trial, trial.told)
            if code:
                break
    finally:
        if code and options.keep:
            print(f"left there: {folder}, process {machine.leader}")
        else:
            machine.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
