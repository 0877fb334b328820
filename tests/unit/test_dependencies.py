"""What an installation is made of: bounds, the lock file and the list of licences say the same as the packages do."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BUILD = "setuptools"
# Of these more is used than what they document, or what TLS promises depends on them.
BOUNDED = {"twisted", "paho-mqtt", "pymysql", "cryptography", "pyopenssl", "service-identity"}


@dataclass
class Locked:
    name: str
    version: str
    marker: Marker | None
    hashes: list[str]

    def is_for(self, python: str) -> bool:
        environment: dict[str, Any] = {**default_environment(), "python_version": python}
        environment["python_full_version"] = f"{python}.0"
        return self.marker is None or self.marker.evaluate(environment)


def locked() -> list[Locked]:
    entries = []
    text = (ROOT / "requirements.lock").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            specified, _, hashes = line.partition(" --hash=")
            requirement = Requirement(specified.strip())
            [pinned] = requirement.specifier
            assert pinned.operator == "=="
            found = re.findall(r"sha256:([0-9a-f]{64})\b", hashes)
            entries.append(Locked(canonicalize_name(requirement.name), pinned.version, requirement.marker, found))
    return entries


def wanted() -> list[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return [Requirement(line) for line in setup["options"]["install_requires"].split("\n") if line]


@cache
def bill_of_materials() -> dict[str, dict[str, Any]]:
    """What ``scripts/sbom`` says of this environment, by name."""
    script = [sys.executable, str(ROOT / "scripts" / "sbom")]
    done = subprocess.run(script, capture_output=True, text=True, check=True, cwd=ROOT)
    document: dict[str, Any] = json.loads(done.stdout)
    return {canonicalize_name(item["name"]): item for item in document["components"] if item["type"] == "library"} | {
        "": document
    }


class BoundsTests(SynchronousTestCase):
    def test_every_dependency_has_a_lower_bound_and_those_that_are_leant_on_an_upper_one(self) -> None:
        for requirement in wanted():
            operators = {bound.operator for bound in requirement.specifier}
            self.assertIn(">=", operators, requirement)
            self.assertTrue("<" in operators or canonicalize_name(requirement.name) not in BOUNDED, requirement)
        self.assertEqual(BOUNDED - {canonicalize_name(requirement.name) for requirement in wanted()}, set())


class LockTests(SynchronousTestCase):
    def test_every_dependency_is_locked_at_a_version_that_is_allowed_on_every_python(self) -> None:
        for python in PYTHONS:
            versions = {entry.name: entry.version for entry in locked() if entry.is_for(python)}
            for requirement in wanted():
                self.assertIn(versions.get(canonicalize_name(requirement.name), ""), requirement.specifier, python)
            self.assertIn(BUILD, versions)

    def test_each_is_locked_once_on_every_python_and_with_hashes(self) -> None:
        for python in PYTHONS:
            names = [entry.name for entry in locked() if entry.is_for(python)]
            self.assertEqual(len(names), len(set(names)), python)
        for entry in locked():
            self.assertGreater(len(entry.hashes), 0, entry)

    def test_it_names_no_place_to_fetch_from(self) -> None:
        text = (ROOT / "requirements.lock").read_text("utf-8")
        for place in ("://", "--index", "--find-links", "--extra", "--trusted"):
            self.assertNotIn(place, text)

    def test_what_the_locked_packages_need_is_locked_too_and_nothing_else_is(self) -> None:
        """Seen where the locked ones are installed, as they are unless the oldest are being tested."""
        here = {entry.name: entry.version for entry in locked() if entry.is_for(THIS_PYTHON)}
        here.pop(BUILD)
        installed = {name: item["version"] for name, item in bill_of_materials().items() if name}
        if installed != here:
            for requirement in wanted():
                [oldest] = [bound.version for bound in requirement.specifier if bound.operator == ">="]
                self.assertEqual(version(requirement.name), oldest, "neither the locked nor the oldest is installed")


class ThirdPartyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = (ROOT / "THIRD-PARTY.md").read_text("utf-8")
        rows = re.findall(r"^\| \[?([\w.-]+)\]?(?:\([^)]*\))? \| ([^|]+) \| ([^|]+) \|", self.text, re.MULTILINE)
        self.rows: dict[str, tuple[str, str]] = {
            canonicalize_name(name): (found, licence) for name, found, licence in rows if name != "Package"
        }

    def test_it_lists_what_is_locked_and_in_that_version(self) -> None:
        newest = {entry.name: entry.version for entry in locked() if entry.is_for(PYTHONS[-1])}
        for entry in locked():
            newest.setdefault(entry.name, entry.version)
        self.assertIn(f"{BUILD} {newest.pop(BUILD)} (", self.text)
        self.assertEqual({name: found for name, (found, _) in self.rows.items()}, newest)

    def test_each_licence_is_what_the_package_states(self) -> None:
        """Of those that are installed in that version."""
        stated = {
            name: (item["version"], item["licenses"][0]["expression"])
            for name, item in bill_of_materials().items()
            if name and item["version"] == self.rows.get(name, ("", ""))[0]
        }
        self.assertGreater(len(stated), 5)
        self.assertEqual(stated, {name: self.rows[name] for name in stated})


class BillOfMaterialsTests(SynchronousTestCase):
    def test_it_holds_the_service_each_package_and_who_needs_whom(self) -> None:
        items = dict(bill_of_materials())
        document = items.pop("")
        self.assertEqual((document["bomFormat"], document["specVersion"]), ("CycloneDX", "1.6"))
        self.assertEqual(document["metadata"]["component"]["name"], "aiot-mqtt")
        for name, item in items.items():
            self.assertEqual(item["purl"], f"pkg:pypi/{name}@{version(name)}")
        references = {item["bom-ref"] for item in items.values()} | {document["metadata"]["component"]["bom-ref"]}
        self.assertEqual({entry["ref"] for entry in document["dependencies"]}, references)
        needed = {other for entry in document["dependencies"] for other in entry["dependsOn"]}
        self.assertEqual(references - needed, {document["metadata"]["component"]["bom-ref"]})

    def test_it_holds_no_tool_of_development(self) -> None:
        for name in ("ruff", "mypy", "coverage", "pip"):
            try:
                version(name)
            except PackageNotFoundError:
                continue
            self.assertNotIn(name, bill_of_materials())
