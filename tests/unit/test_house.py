"""Which room may know which: data flows one way, and the parts that are easy to swap are known in one place only."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import aiot_mqtt

PACKAGE = Path(aiot_mqtt.__file__).parent
STANDARD_LIBRARY = sys.stdlib_module_names

# A room, the rooms it may import, and the packages beside the standard library.
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "__init__": (set(), set()),
    "env_file": (set(), {"dotenv"}),
    "config": ({"env_file"}, set()),
    "log_lines": (set(), set()),
    "logs": ({"log_lines"}, {"twisted.logger", "twisted.python.logfile", "zope.interface"}),
    "report": (set(), {"orjson"}),
    "store": (set(), {"twisted.internet.defer"}),
    "counters": (set(), set()),
    "pending": ({"report", "store"}, set()),
    "outage": (set(), {"twisted.internet.interfaces", "twisted.logger"}),
    "refusals": ({"counters", "log_lines"}, {"twisted.internet.interfaces", "twisted.logger"}),
    "committed_times": ({"store"}, set()),
    "ingest": (
        {"committed_times", "counters", "log_lines", "pending", "refusals", "report", "store"},
        {"twisted.logger"},
    ),
    "isolation": ({"report", "store"}, set()),
    "attempts": (
        {"counters", "log_lines", "outage", "store"},
        {"twisted.application", "twisted.internet", "twisted.logger"},
    ),
    "spool": ({"store"}, set()),
    "spooler": ({"counters", "log_lines", "outage", "spool", "store"}, {"twisted.internet", "twisted.logger"}),
    "backlog": ({"pending"}, set()),
    "overflow": (
        {"backlog", "counters", "log_lines", "spool", "spooler"},
        {"twisted.internet", "twisted.logger"},
    ),
    "writer": (
        {
            *("attempts", "backlog", "counters", "isolation", "log_lines", "overflow", "pending", "refusals"),
            *("spooler", "store"),
        },
        {"twisted.application", "twisted.internet", "twisted.logger"},
    ),
    # The only four that know PyMySQL, and one of them adbapi.
    "update_statement": ({"store"}, {"pymysql.converters"}),
    "database_errors": ({"store"}, {"pymysql"}),
    "connection_pool": ({"store"}, {"pymysql", "twisted.enterprise", "twisted.internet.defer"}),
    "device_table": (
        {"connection_pool", "database_errors", "store", "update_statement"},
        {"pymysql", "twisted.application.service", "twisted.internet.defer"},
    ),
    "listened_time": (set(), set()),
    "regularity": (set(), set()),
    "presence": (
        {"counters", "listened_time", "log_lines", "regularity", "store", "writer"},
        {"twisted.application", "twisted.internet", "twisted.logger", "twisted.python.failure"},
    ),
    "memory_table": ({"store"}, {"twisted.internet.defer"}),
    "packets": (set(), set()),
    "reason_codes": (set(), {"paho.mqtt"}),
    "paho_transport": ({"packets", "pending", "reason_codes"}, {"paho", "twisted.internet", "twisted.python.failure"}),
    "subscriber": (
        {"ingest", "log_lines", "outage", "paho_transport", "reason_codes", "refusals", "report"},
        {"twisted.application", "twisted.internet", "twisted.logger"},
    ),
    "fleet": (set(), set()),
    "publisher": (
        {"fleet", "packets", "paho_transport", "reason_codes"},
        {"paho", "twisted.internet", "twisted.python.failure", "zope.interface"},
    ),
    "simulation": ({"fleet", "paho_transport", "publisher"}, {"twisted.internet", "twisted.python.failure"}),
    "simulate": ({"config", "fleet", "paho_transport", "publisher", "simulation"}, {"twisted.internet"}),
    "__main__": ({"__init__", "simulate", "tap"}, {"twisted.scripts"}),
}
ASSEMBLY = "tap"  # puts the rooms together, so it may know all


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The rooms and the other modules that a file imports, at whatever depth."""
    rooms: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            others |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            rooms |= {node.module} if node.module else {_room(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            others.add(node.module or "")
    return rooms, {name for name in others if name.partition(".")[0] not in STANDARD_LIBRARY}


def _room(name: str) -> str:
    return name if (PACKAGE / f"{name}.py").exists() else "__init__"


class HouseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = {path.stem: path for path in PACKAGE.glob("*.py")}

    def test_every_room_imports_only_what_it_may(self) -> None:
        self.assertEqual(set(MAY_IMPORT) | {ASSEMBLY}, set(self.files), "a room is missing in the table, or gone")
        for room, (rooms_allowed, packages_allowed) in MAY_IMPORT.items():
            rooms, others = imports(self.files[room])
            self.assertEqual(rooms - rooms_allowed, set(), room)
            foreign = {
                name for name in others if not any(f"{name}.".startswith(f"{allowed}.") for allowed in packages_allowed)
            }
            self.assertEqual(foreign, set(), room)

    def test_the_table_allows_nothing_that_is_not_used(self) -> None:
        for room, (rooms_allowed, packages_allowed) in MAY_IMPORT.items():
            rooms, others = imports(self.files[room])
            self.assertEqual(rooms_allowed - rooms, set(), room)
            unused = {
                allowed
                for allowed in packages_allowed
                if not any(f"{name}.".startswith(f"{allowed}.") for name in others)
            }
            self.assertEqual(unused, set(), room)

    def test_there_is_no_cycle(self) -> None:
        left = {room: rooms - {ASSEMBLY} for room, (rooms, _) in MAY_IMPORT.items()}
        while left:
            free = {room for room, rooms in left.items() if not rooms & set(left)}
            self.assertTrue(free, f"a cycle among {sorted(left)}")
            left = {room: rooms for room, rooms in left.items() if room not in free}

    def test_only_the_assembly_sees_the_environment_and_the_global_reactor(self) -> None:
        for room, path in self.files.items():
            text = path.read_text("utf-8")
            for forbidden in ("os.environ", "import reactor", "os.getenv"):
                self.assertTrue(room == ASSEMBLY or forbidden not in text, f"{forbidden} in {room}")

    def test_every_room_can_be_read_in_one_sitting(self) -> None:
        for room, path in self.files.items():
            self.assertLess(len(path.read_text("utf-8").splitlines()), 420, room)
