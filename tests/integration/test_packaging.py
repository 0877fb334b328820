"""However it is installed, twistd knows the subcommand."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rig import servers

HELP = [
    "-c",
    "from twisted.scripts.twistd import run; run()",
    "--help",
]
# What a source checkout holds that is not source.
NOT_SOURCE = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "_trial_temp*", "__pycache__", "dropin.cache")


class PackagingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.source = self.folder / "source"
        shutil.copytree(servers.ROOT, self.source, ignore=NOT_SOURCE)
        self.python = self.make_environment()

    def make_environment(self) -> str:
        """A new environment that sees this one's dependencies, but not the project that is installed in it."""
        environment = self.folder / "environment"
        venv.create(environment, with_pip=False, symlinks=True)
        (site_packages,) = environment.glob("lib/python*/site-packages")
        (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        return str(environment / "bin" / "python")

    def run_python(self, *arguments: str, folder: Path | None = None) -> str:
        argv = [self.python, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=folder or self.folder, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def install(self, *what: str) -> None:
        self.assertNotIn("aiot-mqtt ", self.run_python(*HELP))
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
        self.run_python("-m", "pip", "install", *options, *what)
        self.assertIn("aiot-mqtt ", self.run_python(*HELP))
        output = self.run_python("-m", "aiot_mqtt", "--version")
        self.assertRegex(output, r"^aiot-mqtt \d")
        # Beside what can be imported.
        static = self.source / "aiot_mqtt" / "page" / "static"
        names = "from importlib.resources import files; print(*(each.name for each in files('aiot_mqtt.page')"
        shown = self.run_python("-c", f"{names}.joinpath('static').iterdir()))")
        self.assertEqual(sorted(shown.split()), sorted(each.name for each in static.iterdir()))

    def build(self, kind: str) -> Path:
        self.run_python("-m", "build", "--no-isolation", kind, "--outdir", str(self.folder / "dist"), str(self.source))
        (built,) = (self.folder / "dist").iterdir()
        return built

    def test_from_the_checkout(self) -> None:
        self.install(str(self.source))

    def test_editable(self) -> None:
        self.install("-e", str(self.source))

    def test_from_the_wheel(self) -> None:
        self.install(str(self.build("--wheel")))

    def test_from_the_sdist(self) -> None:
        self.install(str(self.build("--sdist")))

    def test_help_imports_nothing_of_the_package(self) -> None:
        program = (
            "import sys; from twisted.plugin import getPlugins; from twisted.application.service import IServiceMaker\n"
            "names = [plugin.tapname for plugin in getPlugins(IServiceMaker)]\n"
            "assert 'aiot-mqtt' in names, names\n"
            "assert 'aiot_mqtt.tap' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=servers.ROOT)
