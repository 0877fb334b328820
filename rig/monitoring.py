"""Prometheus and its tools, from the tree that scripts/fetch-servers made."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from .servers import START_TIMEOUT, TREES, Server, ServersMissing

TREE = TREES / "monitoring"


def tool_argv(program: str) -> list[str]:
    """The command that runs ``promtool``, ``amtool`` or another program of the tree.

    :raises ServersMissing: it was not fetched.
    """
    libraries = TREE / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    loader = next(libraries.glob("ld-linux*.so.*"), None)
    if loader is None:
        raise ServersMissing(f"{TREE} is missing: run scripts/fetch-servers")
    return [str(loader), "--library-path", str(libraries), str(TREE / "usr" / "bin" / program)]


def run_tool(program: str, arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code, and all that it said."""
    done = subprocess.run(
        [*tool_argv(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=START_TIMEOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode()


class Prometheus(Server):
    """Scrapes one target each second, and evaluates rules as often."""

    _ready: ClassVar[re.Pattern[str]] = re.compile(r"(Server is ready) to receive")

    def __init__(self, target: str, rules: Sequence[Path] = ()) -> None:
        """:param target: host and port; the job is called as the rules want it."""
        super().__init__("prometheus")
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [{"job_name": "aiot-mqtt", "static_configs": [{"targets": [target]}]}],
        }
        self._config = self.folder / "prometheus.yml"
        self._config.write_text(json.dumps(config))  # which is YAML, too

    def _argv(self) -> list[str]:
        return [
            *tool_argv("prometheus"),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an instant query gives: objects with ``metric`` and ``value``."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=60) as response:
            answer = json.load(response)
        return list(answer["data"]["result"])
