"""A Debian of its own, booted by systemd-nspawn, with a broker and a database in it.

Made once, from the mirror that this machine's apt uses, and copied for each run. It shares the machine's network, so
everything in it listens on ports that were free.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".servers" / "booted"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "git", "ca-certificates", "procps", "sudo")
SERVERS = ("mosquitto", "mosquitto-clients", "mariadb-server", "logrotate", "iproute2")
PYTHON = ("ca-certificates", "python3", "python3-venv", "python3-pip")
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter")
BOOT_TIMEOUT = 120.0  # s
COMMAND_TIMEOUT = 300.0  # s
HYBRID = {} if Path("/sys/fs/cgroup/cgroup.controllers").exists() else {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"}
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}


class Failed(Exception):
    """A command in the machine ended as it should not; the text says which, and how."""


def why_not() -> str | None:
    """Why no machine can be booted here; None: one can."""
    if os.geteuid() != 0:
        return "this needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)}: not installed (apt-get install systemd-container debootstrap)"
    return None


def make_root(log: Path) -> Path:
    """The root that runs are copied from, made if it is not there: some two minutes."""
    root = FOLDER / "root"
    if not _is_made(root, (*PACKAGES, *SERVERS)):
        bootstrap(root, PACKAGES, log)
        no_start = root / "usr/sbin/policy-rc.d"  # before it is booted
        no_start.write_text("#!/bin/sh\nexit 101\n")
        no_start.chmod(0o755)
        _run(log, "chroot", str(root), "apt-get", "-q", "update")
        _run(log, "chroot", str(root), "apt-get", "-qy", "--no-install-recommends", "install", *SERVERS)
        no_start.unlink()
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        _note_made(root, (*PACKAGES, *SERVERS))
    return root


def make_python_root(log: Path) -> Path:
    """What stands in for the image that the Dockerfile begins with: the same Debian and Python."""
    root = FOLDER / "python"
    if not _is_made(root, PYTHON):
        bootstrap(root, PYTHON, log, suite="trixie")
        (root / "usr/bin/python").symlink_to("python3")
        for managed in root.glob("usr/lib/python3.*/EXTERNALLY-MANAGED"):
            managed.unlink()
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        _note_made(root, PYTHON)
    return root


def bootstrap(root: Path, packages: Sequence[str], log: Path, suite: str = "") -> None:
    """A Debian from the mirror that this machine's apt uses, trusting whom this machine trusts."""
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    mirror, own_suite = _mirror()
    include = f"--include={','.join(packages)}"
    _run(log, "debootstrap", "--variant=minbase", include, suite or own_suite, str(root), mirror)
    _take_along(root, with_sources=not suite)


def _is_made(root: Path, packages: Sequence[str]) -> bool:
    complete = root.with_suffix(".complete")
    return complete.exists() and complete.read_text() == " ".join(packages)


def _note_made(root: Path, packages: Sequence[str]) -> None:
    root.with_suffix(".complete").write_text(" ".join(packages))


def _run(log: Path, *command: str) -> None:
    environ = {**CLEAN, "DEBIAN_FRONTEND": "noninteractive", **_proxies()}
    with log.open("ab") as output:
        subprocess.run(command, check=True, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environ)


def _mirror() -> tuple[str, str]:
    """Where this machine's apt gets its own Debian from, and which that is."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release["VERSION_CODENAME"].strip('"')
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for line in said.splitlines():
        uri, suite, component = line.split()
        if suite in (codename, "stable", "oldstable") and component == "main":
            return uri, codename
    raise Failed("apt-get indextargets names no Debian mirror with component main")


def _proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _take_along(root: Path, *, with_sources: bool) -> None:
    """What this machine's apt goes by, and whom it trusts."""
    sources = ("sources.list", "sources.list.d") if with_sources else ()
    for name in (*sources, "apt.conf.d", "auth.conf.d", "preferences.d"):
        here, there = Path("/etc/apt") / name, root / "etc/apt" / name
        if here.is_dir():
            shutil.copytree(here, there, dirs_exist_ok=True)
        elif here.exists():
            shutil.copy(here, there)
    for path in ("etc/ssl/certs/ca-certificates.crt", "etc/resolv.conf", "etc/hosts"):
        if (Path("/") / path).exists():
            (root / path).unlink(missing_ok=True)
            shutil.copy(Path("/") / path, root / path)
    shutil.copytree("/usr/share/keyrings", root / "usr/share/keyrings", dirs_exist_ok=True)


class Machine:
    """One run's copy of the root: boots, obeys, and is gone after ``close``."""

    def __init__(self, root: Path, folder: Path, log: Path) -> None:
        """:param folder: of this run, and nothing else's; deleted with ``close``."""
        self.root = folder / "root"
        self._folder = folder
        self._log = log
        self._nspawn: subprocess.Popen[bytes] | None = None
        subprocess.run(["cp", "-a", "--reflink=auto", root, self.root], check=True)

    def boot(self) -> None:
        """Boot it, and wait until everything that is enabled was started."""
        with self._log.open("ab") as output:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", "-q", "-D", str(self.root), "--register=no", "--keep-unit", "-b"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **HYBRID},
                start_new_session=True,
            )
        until(lambda: self.state() in ("running", "degraded"), "the machine has booted", BOOT_TIMEOUT)

    def state(self) -> str:
        """What systemd says of the whole machine; "" where it says nothing yet."""
        if not self.leader:
            return ""
        return self._run(["systemctl", "is-system-running"]).stdout.strip()

    @property
    def leader(self) -> int:
        """The process that is the machine's first, by its number outside; 0: there is none."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return 0
        pid = self._nspawn.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return 0
        return int(children[0]) if children else 0

    def run(self, *command: str, ends_with: int | None = 0, stdin: str = "") -> str:
        """Run a command in it, as root; returns what it wrote.

        :param ends_with: the exit code that it must have; None: any.
        :raises Failed: it has another one.
        """
        done = self._run(command, stdin)
        if ends_with is not None and done.returncode != ends_with:
            raise Failed(f"{' '.join(command)[:300]}: exit code {done.returncode}\n{done.stdout[-3000:]}")
        return done.stdout

    def _run(self, command: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", *command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=CLEAN,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )

    def shell(self, script: str, ends_with: int | None = 0) -> str:
        """Run a script in it, which ends at the first command that fails."""
        return self.run("bash", "-euc", script, ends_with=ends_with)

    def pid_outside(self, pid_inside: int) -> int:
        """The number that a process of the machine has on this one."""
        ours = os.readlink(f"/proc/{self.leader}/ns/pid")
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                if os.readlink(status.parent / "ns/pid") != ours:
                    continue
                numbers = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()
            except (OSError, StopIteration):
                continue
            if int(numbers[-1]) == pid_inside:
                return int(numbers[1])
        raise Failed(f"no process {pid_inside} in the machine")

    def wait_for_end(self) -> None:
        """Wait until it has shut down."""
        assert self._nspawn is not None
        self._nspawn.wait(BOOT_TIMEOUT)

    def close(self) -> None:
        """Shut it down, or end it, and delete it."""
        nspawn = self._nspawn
        if nspawn is not None and nspawn.poll() is None:
            if leader := self.leader:
                os.kill(leader, signal.SIGRTMIN + 4)  # to systemd: power off
            try:
                nspawn.wait(20)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def until(is_so: object, what: str, timeout: float = 60.0) -> None:
    """Ask again until it is so.

    :param is_so: called with nothing.
    :raises Failed: it is not, in time.
    """
    assert callable(is_so)
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.2)


def download_wheels(folder: Path, version: str) -> None:
    """What the lock file names, for that version of Python, so that installing needs no network."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "-q", "--require-hashes", "-r", str(ROOT / "requirements.lock")),
            *("-d", str(folder), "--only-binary", ":all:", "--python-version", version),
        ],
        check=True,
    )


def let(event: Callable[[T], None], trial: T, told: Callable[[], str]) -> int:
    """Let something happen, and say what became of it; returns 1 where it went wrong, else 0.

    :param event: its docstring says what happens, and what is expected.
    :param told: what the service has said, for when it went wrong.
    """
    began = time.monotonic()
    try:
        event(trial)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED {event.__doc__}\n{error}", flush=True)
        with contextlib.suppress(Failed, OSError, subprocess.SubprocessError):
            print(told(), flush=True)
        return 1
    print(f"ok     {event.__doc__}  {time.monotonic() - began:.0f} s", flush=True)
    return 0
