"""Real servers: Mosquitto 2.0 and 2.1, MariaDB and MySQL, from the trees that scripts/fetch-servers made.

Each instance has a folder and a loopback port of its own, needs no privileges, and is gone when the test process is,
however that ends. Everything here is synchronous: a test that needs the reactor meanwhile uses ``deferToThread``.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pymysql
import pymysql.cursors

from aiot_mqtt.devices.update import COLUMNS

ROOT = Path(__file__).resolve().parent.parent
TREES = ROOT / ".servers"
DEVICE_TABLE_SQL = Path(__file__).with_name("device_main.sql")
# Each in the first of these that is there.
TREES_OF = {
    "2.0": ("bookworm", "demo"),
    "2.1": ("sid",),
    "rabbitmq": ("trixie",),
    "aedes": ("brokers",),
    "amqtt": ("brokers",),
    "mariadb": ("bookworm",),
    "mysql": ("sid",),
    "clusters": ("clusters",),
}
DATABASE = "aiot_admin"
DEVICE_TABLE = "device_main"
WRITTEN_COLUMNS = ", ".join(COLUMNS.values())
START_TIMEOUT = 120.0  # seconds: a loaded machine with slow disks
STOP_TIMEOUT = 60.0  # seconds


class ServersMissing(Exception):
    """The servers are not there: the text says what to run."""


class ServerFailed(Exception):
    """A server or one of its programs did not do what it was told; the text ends with the last lines it wrote."""


def unavailable(flavour: str) -> str | None:
    """Why Debian unstable could not deliver ``flavour`` ("2.0", "2.1", "mariadb" or "mysql"), for a test to skip with.

    ``None`` when there is no such reason, which does not mean that scripts/fetch-servers has been run.
    """
    marker = TREES / "sid-unavailable"
    if "sid" not in TREES_OF[flavour] or not marker.exists():
        return None
    return f"Debian unstable cannot deliver it: {marker.read_text().strip()}"


_taken_ports: list[socket.socket] = []


def free_port() -> int:
    """A loopback TCP port nobody listens on, and no process gets here again as long as this one lasts.

    So a server that is down for a while finds its port free, whatever other tests start meanwhile. A socket says that
    it is taken, in the namespace that the kernel empties by itself when a process ends.

    Below the range the kernel takes for outgoing connections: a client that keeps dialling a stopped server's port
    would otherwise sooner or later connect to itself, and the server could not have its port back.
    """
    while True:
        port = random.randrange(20000, 32000)
        mark = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            try:
                mark.bind(f"\0aiot-port-{port}")
                probe.bind(("127.0.0.1", port))
            except OSError:
                mark.close()
                continue
        _taken_ports.append(mark)
        return port


def server_folder(flavour: str) -> Path:
    """Where a server was put.

    :raises ServersMissing: it was not.
    """
    folders = [TREES / name for name in TREES_OF[flavour]]
    complete = [folder for folder in folders if (folder / ".complete").exists()]
    if not complete:
        raise ServersMissing(unavailable(flavour) or f"{folders[0]} is missing: run scripts/fetch-servers")
    return complete[0]


class Tree:
    """One of the unpacked Debian trees.

    Raises ``ServersMissing`` when it is not there.
    """

    def __init__(self, flavour: str) -> None:
        self.folder = server_folder(flavour)
        self.usr = self.folder / "usr"
        self._libraries = self.usr / "lib" / f"{platform.machine()}-linux-gnu"
        self._loader = next(self._libraries.glob("ld-linux*.so.*"))

    def argv(self, program: str) -> list[str]:
        """The command that runs ``program``, such as ``sbin/mosquitto``, with the libraries of this tree."""
        return [str(self._loader), "--library-path", str(self._libraries), str(self.usr / program)]


def openssl_argv() -> list[str]:
    """How to run ``openssl``, which came along with the servers."""
    return Tree("2.0").argv("bin/openssl")


class _Guard:
    """Kills the servers and removes their folders when this process ends, also where that runs no ``atexit`` (SIGKILL).

    A process of its own that reads a pipe: the kernel closes our end when we die. Unlike PR_SET_PDEATHSIG that does not
    depend on which of our threads started a server.
    """

    _PROGRAM = """
import os, shutil, sys
pids, folders = set(), set()
for line in sys.stdin:
    verb, kind, name = line.rstrip("\\n").split(" ", 2)
    getattr(pids if kind == "pid" else folders, verb)(name)
for pid in pids:
    try:
        os.kill(int(pid), 9)
    except ProcessLookupError:
        pass
for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
"""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, verb: str, kind: str, name: object) -> None:
        with self._lock:
            if self._process is None:
                argv = [sys.executable, "-I", "-S", "-c", self._PROGRAM]
                self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True, cwd="/")
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), f"{verb} {kind} {name}\n".encode())

    def close(self) -> None:
        with self._lock:
            if self._process is not None:
                assert self._process.stdin is not None
                self._process.stdin.close()
                self._process.wait()
                self._process = None


guard = _Guard()
atexit.register(guard.close)


def private_folder() -> Path:
    """A new empty folder that is removed when this process ends. Its path is short enough to hold a unix socket."""
    longest = 60  # characters, of the 107 that a socket's path may have
    default = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="aiot-", dir=default if len(default) < longest else "/tmp"))
    guard.tell("add", "folder", folder)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove what ``private_folder`` made, now."""
    shutil.rmtree(folder, ignore_errors=True)
    guard.tell("discard", "folder", folder)


class Server:
    """A program that runs until it is told to stop, and says in its log when it is ready."""

    host = "127.0.0.1"
    _ready: ClassVar[re.Pattern[str]]
    """What it writes when it can be used; group 1 is its version."""

    def __init__(self, flavour: str, port: int | None = None) -> None:
        self.flavour = flavour
        self.version = ""
        self.port = port or free_port()
        self.folder = private_folder()
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _argv(self) -> list[str]:
        raise NotImplementedError

    def _more_environment(self) -> dict[str, str]:
        return {}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"{self.flavour} is not running:\n{self.log_tail()}")
        return self._process

    @property
    def pid(self) -> int:
        """The process id. Raises ``ServerFailed`` when it does not run."""
        return self._running().pid

    def start(self) -> None:
        """Start it and return once it is ready, on the same port and with the same data as before.

        Raises ``ServerFailed`` when it ends instead, or is not ready in time.
        """
        if self._process is not None and self._process.poll() is None:
            raise ServerFailed(f"{self.flavour} is running already")
        self.kill()
        settled = threading.Event()
        process = subprocess.Popen(
            self._argv(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env={**_environment(self.folder), **self._more_environment()},
            start_new_session=True,  # Ctrl-C is for the tests, which then stop us
        )
        guard.tell("add", "pid", process.pid)
        self._process = process
        self.version = ""
        self._reader = threading.Thread(target=self._read_log, args=(process, settled), daemon=True)
        self._reader.start()
        in_time = settled.wait(START_TIMEOUT)
        if not self.version:
            self.kill()
            raise ServerFailed(f"{self.flavour} {'ended' if in_time else 'was not ready in time'}:\n{self.log_tail()}")

    def _read_log(self, process: subprocess.Popen[bytes], settled: threading.Event) -> None:
        assert process.stdout is not None
        with self.log.open("ab", buffering=0) as log, process.stdout:
            for line in process.stdout:
                log.write(line)
                if not settled.is_set() and (ready := self._ready.search(line.decode(errors="replace"))):
                    self.version = ready[1]
                    settled.set()
        settled.set()

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        with self.log.open(errors="replace") as log:
            return "".join(deque(log, lines))

    def stop(self) -> None:
        """Ask it to end and wait; nothing when it does not run. Raises ``ServerFailed`` when it had to be killed."""
        if self._process is None:
            return
        for each in (signal.SIGTERM, signal.SIGCONT):  # a frozen process hears the first after the second only
            self._process.send_signal(each)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"{self.flavour} did not stop:\n{self.log_tail()}") from None
        self._ended()

    def kill(self) -> None:
        """End it with SIGKILL and wait; nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ended()

    def _ended(self) -> None:
        assert self._process is not None and self._reader is not None
        guard.tell("discard", "pid", self._process.pid)
        self._reader.join()
        self._process = None

    def freeze(self) -> None:
        """Stop all of its threads where they are: connections stay open and nothing answers, until ``thaw``."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on after ``freeze``."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its folder: it cannot be started again."""
        self.kill()
        remove_folder(self.folder)


def _environment(home: Path) -> dict[str, str]:
    """Of the tests' environment only what cannot hurt: LD_PRELOAD, MYSQL_HOME and their like change what servers do."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return {**kept, "LC_ALL": "C", "HOME": str(home)}


class Mosquitto(Server):
    """A broker that lets anybody in over plain TCP, with Mosquitto's own defaults otherwise.

    ``version`` is "2.0" or "2.1". ``settings`` are further lines of its configuration; those that belong to a listener
    belong to the one on ``port``. With ``persistence`` it keeps sessions and queues over ``stop`` and ``start``; what
    it has not yet written is lost by ``kill``, as with any Mosquitto.
    """

    _ready = re.compile(r"mosquitto version (\S+) running")

    def __init__(
        self,
        version: str = "2.0",
        *,
        settings: Sequence[str] = (),
        persistence: bool = False,
        port: int | None = None,
    ) -> None:
        super().__init__(version, port)
        self._tree = Tree(version)
        data = self.folder / "data"
        data.mkdir()
        lines = [
            "log_dest stderr",
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {data}/",
            *(["user root"] if os.geteuid() == 0 else []),
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            *settings,
        ]
        self.configuration = self.folder / "mosquitto.conf"
        self.configuration.write_text("".join(f"{line}\n" for line in lines))

    def _argv(self) -> list[str]:
        return [*self._tree.argv("sbin/mosquitto"), "-c", str(self.configuration)]

    def client_argv(self, program: str) -> list[str]:
        """How to run ``mosquitto_pub``, ``mosquitto_sub`` or ``mosquitto_passwd`` of the same version."""
        return self._tree.argv(f"bin/{program}")

    def pub(
        self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False, extra: Sequence[str] = ()
    ) -> None:
        """Publish one message with ``mosquitto_pub`` and return when the broker has it.

        ``extra`` are more of its options, such as ``-V mqttv5``. Raises ``ServerFailed`` with what it said on failure.
        """
        data = payload.encode() if isinstance(payload, str) else payload
        argv = [*self.client_argv("mosquitto_pub"), "-h", self.host, "-p", str(self.port), "-t", topic, "-q", str(qos)]
        argv += ["-s" if data else "-n", *(["-r"] if retain else []), *extra]
        done = subprocess.run(
            argv, input=data, capture_output=True, env=_environment(self.folder), timeout=60, check=False
        )
        if done.returncode:
            raise ServerFailed(f"mosquitto_pub: exit code {done.returncode}: {(done.stdout + done.stderr).decode()}")


class Database(Server):
    """A database server with an empty ``aiot_admin`` and a service user that has no rights yet: MariaDB or MySQL.

    Durable as a live one (each commit is on disk before it is answered), but with small buffers. ``settings`` are
    further command line options and win over ours.
    """

    service_user = "aiot"
    service_password = "p'a\"s #$w{rd é"
    _ready = re.compile(r"Version: '([^']+)'.* port: [1-9]")
    _program: ClassVar[str]
    _options: ClassVar[tuple[str, ...]]

    def __init__(self, flavour: str, *, settings: Sequence[str] = ()) -> None:
        super().__init__(flavour)
        self._tree = Tree(flavour)
        self._settings = list(settings)
        self.socket = self.folder / "sock"
        self._data = self.folder / "data"
        self.template = self._template()
        """The data folder that it began with a copy of."""
        shutil.copytree(self.template, self._data)

    @property
    def data(self) -> Path:
        """Where it keeps its data; only to be touched while it does not run."""
        return self._data

    def _argv(self) -> list[str]:
        network = [
            f"--port={self.port}",
            f"--bind-address={self.host}",
            f"--socket={self.socket}",
            "--skip-name-resolve",
        ]
        return [*self._base_argv(self._data), *network, f"--pid-file={self.folder / 'pid'}", *self._settings]

    def _base_argv(self, data: Path) -> list[str]:
        usr = self._tree.usr
        return [
            *self._tree.argv(self._program),
            "--no-defaults",
            f"--basedir={usr}",
            f"--datadir={data}",
            f"--tmpdir={self.folder}",
            f"--lc-messages-dir={usr}/share/mysql",
            f"--character-sets-dir={usr}/share/mysql/charsets",
            f"--plugin-dir={usr}/lib/mysql/plugin",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=64M",
            "--performance-schema=OFF",
            *(["--user=root"] if os.geteuid() == 0 else []),
            *self._options,
        ]

    def _install(self, data: Path) -> None:
        """Make the system tables in ``data``, with an administrator ``root`` who needs no password on the socket."""
        raise NotImplementedError

    def _template(self) -> Path:
        """A data folder with the service user in it, made at the first need and kept within the tree it belongs to.

        So a new version of the server, which comes as a new tree, never meets the data of an older one.
        """
        template = self._tree.folder / f"template-{self.flavour}-{self._template_version()}"
        if not template.exists():
            unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._tree.folder))
            guard.tell("add", "folder", unfinished)
            try:
                self._data = unfinished / "data"
                self._data.mkdir(mode=0o700)
                self._install(self._data)
                self.start()
                self.query(f"CREATE DATABASE {DATABASE}", database=None)
                self.query("CREATE USER %s@'%%' IDENTIFIED BY %s", (self.service_user, self.service_password), None)
                self.stop()
                (self._data / "auto.cnf").unlink(missing_ok=True)  # the identity of one server
                try:
                    self._data.rename(template)
                except OSError:
                    if not template.exists():  # otherwise another process was faster, with the same result
                        raise
            finally:
                self.kill()
                remove_folder(unfinished)
                self._data = self.folder / "data"
        return template

    def _template_version(self) -> str:
        parts = [*self._options, self.service_user, self.service_password]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]

    def _run_to_end(self, argv: Sequence[str], text: bytes) -> None:
        env = _environment(self.folder)
        done = subprocess.run(argv, input=text, capture_output=True, cwd=self.folder, env=env, check=False)
        if done.returncode:
            tail = (done.stdout + done.stderr).decode(errors="replace")[-4000:]
            raise ServerFailed(f"{self.flavour}: installing the system tables failed:\n{tail}")

    def _connect(self, database: str | None = DATABASE) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            read_timeout=120,
            write_timeout=120,
            ssl_disabled=True,  # nobody is between: a handshake would take most of the time
        )

    def query(self, sql: str, args: Sequence[object] = (), database: str | None = DATABASE) -> list[tuple[Any, ...]]:
        """Run one statement as the administrator, committed at once, and return its rows.

        With ``args`` a literal per cent sign is written ``%%``. Raises ``pymysql.MySQLError``.
        """
        with self._connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(sql, tuple(args) or None)
            return list(cursor.fetchall())

    def create_device_table(
        self, *, collation: str = "utf8mb4_unicode_ci", table: str = DEVICE_TABLE, database: str = DATABASE
    ) -> None:
        """Drop the device table, should it be there, and create it empty; ``database`` is made when missing."""
        sql = DEVICE_TABLE_SQL.read_text(encoding="utf-8")
        sql = sql.replace("COLLATE=utf8mb4_unicode_ci", f"COLLATE={collation}")
        sql = sql.replace("CHARSET=utf8mb4", f"CHARSET={collation.partition('_')[0]}")
        sql = sql.replace("CREATE TABLE `device_main`", f"CREATE TABLE `{table}`")
        self.query(f"CREATE DATABASE IF NOT EXISTS `{database}`", database=None)
        self.query(f"DROP TABLE IF EXISTS `{table}`", database=database)
        self.query(sql, database=database)

    def grant(self, *, table: str = DEVICE_TABLE, database: str = DATABASE) -> None:
        """Give the service user the rights that README names, and no other."""
        self.query(
            f"GRANT SELECT (id, uuid, {WRITTEN_COLUMNS}), UPDATE ({WRITTEN_COLUMNS})"
            f" ON `{database}`.`{table}` TO '{self.service_user}'@'%'",
            database=None,
        )

    def revoke(self) -> None:
        """Take every right from the service user, who can still log in."""
        self.query(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{self.service_user}'@'%'", database=None)

    def add_device(self, uuid: str, **columns: object) -> int:
        """Insert a row, with ``columns`` set as given and the others plausible, and return its id."""
        row = {**_plausible(uuid), **columns}
        sql = f"INSERT INTO {DEVICE_TABLE} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql, tuple(row.values()))
            return int(cursor.lastrowid)

    def add_devices(self, uuids: Iterable[str]) -> None:
        """Insert many rows in one transaction."""
        rows = [tuple(_plausible(uuid).values()) for uuid in uuids]
        with self._connect() as connection, connection.cursor() as cursor:
            connection.autocommit(False)
            cursor.executemany(
                f"INSERT INTO {DEVICE_TABLE} ({', '.join(_plausible(''))}) VALUES (%s, %s, %s, %s)", rows
            )
            connection.commit()

    def row(self, uuid: str) -> dict[str, Any]:
        """All columns of a device. Raises ``KeyError`` when there is none with that uuid."""
        with self._connect() as connection, connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(f"SELECT * FROM {DEVICE_TABLE} WHERE uuid = %s", (uuid,))
            row = cursor.fetchone()
        if row is None:
            raise KeyError(uuid)
        return dict(row)


def _plausible(uuid: str) -> dict[str, object]:
    return {"uuid": uuid, "device_id": f"dev-{uuid}", "name": f"Device {uuid}", "device_secret": f"secret of {uuid}"}


class MariaDB(Database):
    """MariaDB of Debian 12, with its defaults there: no binary log, and the character set of Debian's configuration."""

    _program = "sbin/mariadbd"
    _options = (
        "--innodb-log-file-size=32M",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_general_ci",
    )

    def __init__(self, *, settings: Sequence[str] = ()) -> None:
        super().__init__("mariadb", settings=settings)

    def _install(self, data: Path) -> None:
        # What mariadb-install-db does, less its guest accounts: the script cannot run a mariadbd under another loader.
        parts = ["system_tables", "performance_tables", "system_tables_data", "sys_schema"]
        files = [*(f"mysql_{part}.sql" for part in parts), "maria_add_gis_sp_bootstrap.sql"]
        sql = b"CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
        sql += b"".join((self._tree.usr / "share" / "mysql" / name).read_bytes() for name in files)
        self._run_to_end([*self._base_argv(data), "--bootstrap", "--max-allowed-packet=8M"], sql)


class MySQL(Database):
    """MySQL of Debian unstable, with the binary log on, which is its default."""

    _program = "sbin/mysqld"
    _options = ("--innodb-redo-log-capacity=32M", "--mysqlx=OFF", "--secure-file-priv=NULL")

    def __init__(self, *, settings: Sequence[str] = ()) -> None:
        super().__init__("mysql", settings=settings)

    def _install(self, data: Path) -> None:
        self._run_to_end([*self._base_argv(data), "--initialize-insecure"], b"")


_shared: dict[str, Database] = {}


def shared_database(flavour: str) -> Database:
    """The "mariadb" or "mysql" that tests of this process share, with an empty device table and the rights granted.

    It runs until the process ends (trial has no ``setUpClass``). What a test stops or freezes it must start or thaw.
    """
    if flavour not in _shared:
        database: Database = MariaDB() if flavour == "mariadb" else MySQL()
        database.start()
        _shared[flavour] = database
    _shared[flavour].create_device_table()
    _shared[flavour].grant()
    return _shared[flavour]
