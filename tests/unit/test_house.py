"""Which room may know which: data flows one way, and the parts that are easy to swap are known in one place only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import aiot_mqtt

PACKAGE = Path(aiot_mqtt.__file__).parent
STANDARD_LIBRARY = sys.stdlib_module_names

# A room, the rooms it may import, and the packages beside the standard library and Twisted.
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "devices": (set(), {"orjson"}),
    "telemetry": (set(), {"zope"}),
    "settings": (set(), {"dotenv"}),
    "tls": ({"settings", "telemetry"}, {"OpenSSL", "cryptography"}),
    "table": ({"devices", "settings", "telemetry", "tls"}, {"OpenSSL", "cryptography", "pymysql"}),
    "spool": ({"devices", "telemetry"}, set()),
    "ingest": ({"devices", "table", "telemetry"}, set()),
    "writing": ({"devices", "ingest", "spool", "table", "telemetry"}, {"automat"}),
    "presence": ({"devices", "table", "telemetry", "writing"}, set()),
    "mqtt": ({"devices", "ingest", "settings", "telemetry", "tls"}, {"OpenSSL", "paho", "zope"}),
    "simulate": ({"mqtt", "settings"}, {"paho", "zope"}),
}
PURE = {"devices", "settings", "tls"}  # without Twisted
ASSEMBLY = {"tap", "service", "process", "commands"}  # put the rooms together and to work, so they may know all
SIMULATION = "simulate"  # which the service never needs


def files(room: str) -> list[Path]:
    """The modules of a room."""
    return sorted((PACKAGE / room).glob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports at whatever depth: of its own the room, of others the package; one of each pair is empty."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (("", alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield "", (node.module or "").partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level == 2:  # beyond the room
            yield (node.module or "").partition(".")[0] or "__init__", ""


class HouseTests(SynchronousTestCase):
    def test_every_room_imports_only_what_it_may_and_the_table_allows_nothing_unused(self) -> None:
        self.assertEqual(set(MAY_IMPORT), {path.parent.name for path in PACKAGE.glob("*/__init__.py")})
        for room, (rooms_allowed, packages_allowed) in MAY_IMPORT.items():
            found = {pair for path in files(room) for pair in imports(path)}
            self.assertEqual({own for own, _ in found if own} - {"__init__"}, rooms_allowed, room)
            others = {package for _, package in found if package} - STANDARD_LIBRARY
            self.assertEqual(others - {"twisted"}, packages_allowed, room)
            self.assertFalse(room in PURE and "twisted" in others, room)

    def test_there_is_no_cycle(self) -> None:
        left = {room: rooms for room, (rooms, _) in MAY_IMPORT.items()}
        while left:
            free = {room for room, rooms in left.items() if not rooms & set(left)}
            self.assertTrue(free, f"a cycle among {sorted(left)}")
            left = {room: rooms for room, rooms in left.items() if room not in free}

    def test_the_service_does_without_the_simulation(self) -> None:
        for room, (rooms, _) in MAY_IMPORT.items():
            self.assertTrue(SIMULATION not in rooms, room)

    def test_only_the_assembly_sees_the_environment_and_the_global_reactor(self) -> None:
        for path in PACKAGE.rglob("*.py"):
            text = path.read_text("utf-8")
            for forbidden in ("os.environ", "import reactor", "os.getenv"):
                self.assertTrue(path.stem in ASSEMBLY or forbidden not in text, f"{forbidden} in {path}")

    def test_every_module_can_be_read_in_one_sitting(self) -> None:
        for path in PACKAGE.rglob("*.py"):
            self.assertLess(len(path.read_text("utf-8").splitlines()), 420, path)
