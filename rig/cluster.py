"""What clusters of databases on loopback have in common, of whatever engine.

Each node is a server as in ``servers``, with a folder and ports of its own. All begin with copies of one data folder,
so that no node has to be sent the whole of another's data: that takes seconds, where a state transfer takes minutes.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import pymysql

from .servers import Database, ServerFailed, guard, remove_folder

NODES = 3
JOIN_TIMEOUT = 120.0  # s: a loaded machine with slow disks
LOOK_INTERVAL = 0.05  # s

Node = TypeVar("Node", bound=Database)


def until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something holds. :param what: says what does not. :raises ServerFailed: it did not in time."""
    deadline = time.monotonic() + JOIN_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(what())
        time.sleep(LOOK_INTERVAL)


@contextlib.contextmanager
def unfinished_folder(folder: Path) -> Iterator[Path]:
    """A folder beside others that is gone in the end, whatever happens."""
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
    guard.tell("add", "folder", unfinished)
    try:
        yield unfinished
    finally:
        remove_folder(unfinished)


class Cluster(Generic[Node]):
    """What both kinds have: nodes, and an empty device table with the rights of the service user in it."""

    nodes: list[Node]

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start all nodes, and make the table; returns once each has it."""
        raise NotImplementedError

    def take_part(self, node: Node) -> None:
        """Have a node that runs belong to the cluster again; returns once it does."""
        raise NotImplementedError

    def may_be_written_to(self, node: Node) -> bool:
        """Whether a node takes writes now, as a proxy has to know it; False where it does not say so within a second.

        A login alone would not tell: a node that is without most of the others takes it, too.
        """
        with contextlib.suppress(pymysql.MySQLError, OSError):
            connection = pymysql.connect(
                unix_socket=str(node.socket), user="root", connect_timeout=1, read_timeout=1, write_timeout=1
            )
            with contextlib.closing(connection), connection.cursor() as cursor:
                return self._takes_writes(cursor)
        return False

    def _takes_writes(self, cursor: pymysql.cursors.Cursor) -> bool:
        raise NotImplementedError

    @property
    def addresses(self) -> str:
        """What ``DB_HOST`` may hold: every node."""
        return ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def until_seen(self, uuid: str) -> None:
        """Wait until every node that runs has a device's row."""
        sql = f"SELECT COUNT(*) FROM device_main WHERE uuid = '{uuid}'"
        for node in self.nodes:
            until(lambda: node.query(sql)[0][0] == 1, lambda: f"{uuid} did not come:\n{node.log_tail()}")  # noqa: B023

    def close(self) -> None:
        """Kill them, and remove their folders."""
        for node in self.nodes:
            node.close()

    def _make_table(self, node: Database) -> None:
        node.create_device_table()
        node.grant()
        sql = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'device_main'"
        for each in self.nodes:
            until(lambda: each.query(sql)[0][0] == 1, lambda: f"a node has no table:\n{each.log_tail()}")  # noqa: B023
        rights = "SHOW GRANTS FOR %s@'%%'"
        for each in self.nodes:
            until(
                lambda: len(each.query(rights, (node.service_user,))) > 1,  # noqa: B023
                lambda: "a node has no rights",
            )
