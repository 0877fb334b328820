"""The house: which room knows which, how large a module is, and that nothing is kept outside of objects."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent.parent
HOUSE = runpy.run_path(str(ROOT / "scripts" / "house-picture"))
PACKAGE: Path = HOUSE["PACKAGE"]

# A room, the rooms it imports, all of which stand above it, and the packages beside the standard library.
ROOMS = (
    ("telemetry", "", "twisted zope"),
    ("devices", "telemetry", "orjson"),
    ("settings", "devices telemetry", "dotenv"),
    ("tls", "settings telemetry", "OpenSSL cryptography"),
    ("mqtt", "settings telemetry tls", "OpenSSL paho twisted zope"),
    ("table", "devices settings telemetry tls", "OpenSSL cryptography pymysql twisted"),
    ("spool", "devices settings telemetry", "twisted"),
    ("ingest", "devices mqtt table telemetry", "twisted"),
    ("writing", "devices ingest spool table telemetry", "automat twisted"),
    ("standby", "devices ingest mqtt settings spool table telemetry writing", "automat twisted"),
    ("presence", "devices table telemetry writing", "twisted"),
    (
        "health",
        "devices mqtt presence settings spool standby table telemetry writing",
        "paho prometheus_client twisted zope",
    ),
    ("page", "health mqtt presence settings spool standby table telemetry writing", "twisted zope"),
    ("check", "devices health mqtt settings spool table telemetry tls", "cryptography pymysql twisted"),
    ("simulate", "devices mqtt settings telemetry", "paho twisted zope"),
)
SIMULATION = "simulate"  # which the service never needs
ASSEMBLY = {"__init__", "__main__", "commands", "process", "service", "tap"}  # may know all rooms
MAX_LINES = 300
PYTHON_SCRIPT = b"#!/usr/bin/env python3\n"
CHANGES = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popleft", "remove", "setdefault", "update"}
PAHOS = "on_socket_register_write"  # a callback that paho wants to be set
FILLED_AT_IMPORT = {"ENGLISH"}  # the catalogue of log lines

# What is not installed, and which of it each may import: none of them the tests.
BESIDE: dict[str, set[str]] = {
    "rig": set(),
    "fuzz": {"rig"},
    "faults": {"rig"},
    "bench": {"rig"},
    "demo": {"faults", "rig"},
    "booted": {"rig"},
    "scripts": set(),
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def imported(path: Path) -> set[str]:
    """The packages that a file imports, at whatever depth."""
    nodes = list(ast.walk(parsed(path)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def is_python(path: Path) -> bool:
    return path.suffix == ".py" or (not path.suffix and path.is_file() and path.read_bytes().startswith(PYTHON_SCRIPT))


def changed_names(module: ast.Module) -> Iterator[str]:
    """Names that a function changes for all of the module, or what stands there under one."""
    named = {name.id for node in module.body for name in ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign)
             and isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}  # fmt: skip
    for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield from node.names
            holder: ast.expr | None = None
            if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
                holder = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
                holder = node.func.value
            if isinstance(holder, ast.Name) and holder.id in named:
                yield holder.id


def functions_assigned(module: ast.Module, functions: set[str]) -> Iterator[str]:
    """Attributes of other objects that are set to a function, and public ones that wait for that with a lambda."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        is_lambda = isinstance(node.value, ast.Lambda)
        is_method = isinstance(node.value, ast.Attribute) and node.value.attr in functions
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Attribute):
                is_own = isinstance(target.value, ast.Name) and target.value.id == "self"
                is_public = not target.attr.startswith("_")
                if (is_lambda and (is_public or not is_own)) or (is_method and not is_own):
                    yield ast.unparse(node)


class HouseTests(SynchronousTestCase):
    def test_every_room_knows_only_rooms_above_it_and_the_table_allows_nothing_unused(self) -> None:
        found = HOUSE["house"]()
        self.assertEqual({room for room, _, _ in ROOMS}, set(found))
        above: set[str] = set()
        for room, own, others in ROOMS:
            self.assertEqual(found[room], (set(own.split()), set(others.split())), room)
            self.assertLessEqual(set(own.split()), above - {SIMULATION}, room)
            above.add(room)

    def test_beside_the_rooms_there_is_only_the_assembly(self) -> None:
        self.assertEqual({path.stem for path in PACKAGE.glob("*.py")}, ASSEMBLY)
        self.assertLessEqual(len(ASSEMBLY), 6)

    def test_every_room_is_installed(self) -> None:
        setup = ConfigParser()
        setup.read(ROOT / "setup.cfg")
        rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
        self.assertEqual({*setup["options"]["packages"].split()}, {*rooms, "twisted.plugins"})

    def test_only_the_assembly_sees_the_environment_and_the_global_reactor(self) -> None:
        for path in PACKAGE.rglob("*.py"):
            text = path.read_text("utf-8")
            for forbidden in ("os.environ", "import reactor", "os.getenv"):
                self.assertTrue(path.parent == PACKAGE or forbidden not in text, f"{forbidden} in {path}")

    def test_what_lies_beside_the_tests_does_without_them(self) -> None:
        for room, allowed in BESIDE.items():
            found = {package for path in (ROOT / room).rglob("*") if is_python(path) for package in imported(path)}
            self.assertEqual(found & {*BESIDE, "tests"} - {room}, allowed, room)

    def test_every_module_can_be_read_in_one_sitting(self) -> None:
        for path in PACKAGE.rglob("*.py"):
            self.assertLessEqual(len(path.read_text("utf-8").splitlines()), MAX_LINES, path)

    def test_no_module_has_state(self) -> None:
        for path in PACKAGE.rglob("*.py"):
            changed = set(changed_names(parsed(path)))
            self.assertEqual(changed - FILLED_AT_IMPORT, set(), path)

    def test_the_picture_is_that_of_the_imports(self) -> None:
        picture = (ROOT / "docs" / "house.svg").read_text("utf-8")
        self.assertTrue(picture == HOUSE["picture"](), "scripts/house-picture makes it anew")

    def test_nothing_is_assigned_from_outside_to_be_called_back(self) -> None:
        modules = {path: parsed(path) for path in PACKAGE.rglob("*.py")}
        functions = {
            node.name
            for module in modules.values()
            for node in ast.walk(module)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and "property" not in {name.id for name in node.decorator_list if isinstance(name, ast.Name)}
        }
        for path, module in modules.items():
            assigned = [each for each in functions_assigned(module, functions) if PAHOS not in each]
            self.assertEqual(assigned, [], path)
