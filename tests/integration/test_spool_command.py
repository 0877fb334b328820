"""``aiot-mqtt spool`` as a process: which file it looks at, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.spool import command
from rig.servers import ROOT


class WholeCommandTests(SynchronousTestCase):
    def test_settings_name_the_file(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        env_file = folder / "settings"
        env_file.write_text("SPOOL_FILE=there\n")

        def run(*arguments: str) -> tuple[int, str]:
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPOOL", "STATE"))}
            ended = subprocess.run(
                [sys.executable, "-m", "aiot_mqtt", *arguments],
                env={**environment, "PYTHONPATH": str(ROOT)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return ended.returncode, ended.stdout

        code, said = run("spool", "--env-file", "settings")
        self.assertEqual((code, "/there: nothing is there" in said), (0, True), said)
        self.assertEqual(run("--env-file", "settings", "spool", "--discard")[0], command.EXIT_USAGE)
        env_file.write_text("SPOOL_FILE=\n")
        code, said = run("spool", "--env-file", "settings")
        self.assertEqual((code, "SPOOL_FILE is empty" in said), (78, True), said)
