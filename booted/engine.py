"""A container engine with a store of its own: podman, with runc."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from .machine import Failed

LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=10000:10000")
"""An engine may not raise those of this machine."""


class Engine:
    """Podman; ``options`` come before any command of its."""

    def __init__(self, folder: Path) -> None:
        # Not below the folder: podman takes no runroot of more than 50 characters, wherever the project lies.
        self._run = tempfile.mkdtemp(prefix="aiot-", dir="/run")
        self._store = ("--root", str(folder / "store"), "--runroot", self._run)
        self.options = (*self._store, "--runtime", "runc", "--cgroup-manager=cgroupfs")

    def podman(self, *arguments: str, ends_with: int | None = 0, stdin: IO[bytes] | None = None) -> str:
        """What a command of it prints. :raises Failed: it ends with another code."""
        return _output(["podman", *self.options, *arguments], ends_with, stdin or subprocess.DEVNULL)

    def is_healthy(self, container: str) -> bool:
        """Whether the HEALTHCHECK is passed, now."""
        command = ["podman", *self.options, "healthcheck", "run", container]
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode == 0

    def import_root(self, root: Path, image: str) -> None:
        """Make an image of a folder."""
        with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
            self.podman("import", "-q", "--change", "ENV=PATH=/usr/bin:/usr/sbin", "-", image, stdin=tar.stdout)

    def build(self, context: Path, image: str, *options: str) -> None:
        """Make an image by the Dockerfile of a folder."""
        way = ("--runtime", "runc", "--format", "docker", "--pull-never", "--network", "host")
        _output(["buildah", *self._store, "bud", *way, *options, "-t", image, str(context)])

    def close(self) -> None:
        """End what runs, and delete all of it."""
        self.podman("rm", "--all", "--force", "--time=1", ends_with=None)
        self.podman("network", "prune", "--force", ends_with=None)
        self.podman("system", "reset", "--force", ends_with=None)
        shutil.rmtree(self._run, ignore_errors=True)


def _output(command: Sequence[str], ends_with: int | None = 0, stdin: IO[bytes] | int = subprocess.DEVNULL) -> str:
    done = subprocess.run(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ends_with is not None and done.returncode != ends_with:
        raise Failed(f"{' '.join(command)[:300]}: exit code {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout
