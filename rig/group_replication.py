"""Group Replication: a cluster of MySQLs, of which one takes writes, or each."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql

from .cluster import NODES, Cluster, unfinished_folder, until
from .servers import MySQL, free_port

GROUP = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
_RECOVERY_USER = "recovery"


class GroupNode(MySQL):
    """A MySQL that belongs to a group."""

    def __init__(self, number: int, group_ports: Sequence[int], *, settings: Sequence[str] = ()) -> None:
        self.number = number
        self._group_ports = group_ports
        super().__init__(settings=settings)

    def _argv(self) -> list[str]:
        return [
            *super()._argv(),
            f"--server-id={self.number + 1}",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--plugin-load-add=group_replication.so",
            "--performance-schema=ON",  # where the members are told
            f"--report-host={self.host}",
            f"--report-port={self.port}",
            f"--loose-group-replication-group-name={GROUP}",
            "--loose-group-replication-start-on-boot=OFF",
            "--loose-group-replication-member-expel-timeout=0",  # s beside the five that a member may be silent
            f"--loose-group-replication-local-address={self.host}:{self._group_ports[self.number]}",
            f"--loose-group-replication-group-seeds={','.join(f'{self.host}:{port}' for port in self._group_ports)}",
            "--loose-group-replication-recovery-get-public-key=ON",
            "--loose-group-replication-recovery-reconnect-interval=2",  # s, instead of a minute
            *self._settings,
        ]

    @property
    def members(self) -> dict[int, tuple[str, str]]:
        """State and role of each member, by its port, as this node sees them; none where it cannot be asked."""
        sql = (
            "SELECT MEMBER_PORT, MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members"
            " WHERE MEMBER_PORT IS NOT NULL"
        )
        with contextlib.suppress(pymysql.MySQLError):
            return {int(port): (str(state), str(role)) for port, state, role in self.query(sql, database=None)}
        return {}

    @property
    def state(self) -> str:
        """Its own, such as ONLINE; empty where it cannot be asked."""
        return self.members.get(self.port, ("", ""))[0]

    @property
    def is_primary(self) -> bool:
        """Whether it takes writes, as it sees it itself."""
        return self.members.get(self.port) == ("ONLINE", "PRIMARY")

    def begin_group(self) -> None:
        """Be the first of a group."""
        self.query("SET GLOBAL group_replication_bootstrap_group = ON", database=None)
        self.query("START GROUP_REPLICATION", database=None)
        self.query("SET GLOBAL group_replication_bootstrap_group = OFF", database=None)

    def join(self) -> None:
        """Belong to the group again, after a start or after it was expelled; returns once it is ONLINE."""
        with contextlib.suppress(pymysql.MySQLError):  # it does not run
            self.query("STOP GROUP_REPLICATION", database=None)
        self.query("START GROUP_REPLICATION", database=None)
        until(lambda: self.state == "ONLINE", lambda: f"a node did not come ONLINE:\n{self.log_tail()}")


class GroupReplication(Cluster[GroupNode]):
    """Three MySQLs, the first of which is the primary, unless it is a group in which each takes writes."""

    def __init__(self, *, is_multi_primary: bool = False, settings: Sequence[str] = ()) -> None:
        """:param settings: further command line options of each node."""
        ports = [free_port() for _ in range(NODES)]
        mode = [
            f"--loose-group-replication-single-primary-mode={'OFF' if is_multi_primary else 'ON'}",
            f"--loose-group-replication-enforce-update-everywhere-checks={'ON' if is_multi_primary else 'OFF'}",
        ]
        self.nodes = [GroupNode(number, ports, settings=[*mode, *settings]) for number in range(NODES)]
        template = self._template()
        for node in self.nodes:
            shutil.rmtree(node.data)
            shutil.copytree(template, node.data)

    def _template(self) -> Path:
        """A data folder with the user of the group's recovery, and no transaction that others lack."""
        node = self.nodes[0]
        template = node.template.with_name(f"group-{node.template.name}")
        if template.exists():
            return template
        with unfinished_folder(template.parent) as unfinished:
            node.start()
            for sql in (
                f"CREATE USER {_RECOVERY_USER}@'%' IDENTIFIED BY '{_RECOVERY_USER}'",
                f"GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.*"
                f" TO {_RECOVERY_USER}@'%'",
                f"CHANGE REPLICATION SOURCE TO SOURCE_USER = '{_RECOVERY_USER}', SOURCE_PASSWORD = '{_RECOVERY_USER}'"
                " FOR CHANNEL 'group_replication_recovery'",
                "RESET BINARY LOGS AND GTIDS",
            ):
                node.query(sql, database=None)
            node.stop()
            (node.data / "auto.cnf").unlink()  # the identity of one server
            shutil.copytree(node.data, unfinished / "data")
            with contextlib.suppress(OSError):  # another process was faster, with the same result
                (unfinished / "data").rename(template)
        return template

    def start(self) -> None:
        """See ``Cluster``."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda node: node.start(), self.nodes))
        first, *others = self.nodes
        first.begin_group()
        for node in others:
            node.join()
        until(
            lambda: [state for state, _ in first.members.values()] == ["ONLINE"] * NODES,
            lambda: f"the group is not complete: {first.members}\n{first.log_tail()}",
        )
        self._make_table(first)

    def take_part(self, node: GroupNode) -> None:
        """See ``Cluster``: a member has to be told to join again."""
        if node.state != "ONLINE":
            node.join()

    def make_primary(self, node: GroupNode) -> None:
        """Have a node be the one that takes writes; returns once it does."""
        [[uuid]] = node.query("SELECT @@server_uuid", database=None)
        node.query(f"SELECT group_replication_set_as_primary('{uuid}')", database=None)

    def _takes_writes(self, cursor: pymysql.cursors.Cursor) -> bool:
        cursor.execute(
            "SELECT MEMBER_STATE FROM performance_schema.replication_group_members"
            " WHERE MEMBER_ID = @@server_uuid AND NOT @@super_read_only"
        )
        return cursor.fetchall() == (("ONLINE",),)

    @property
    def primary(self) -> GroupNode | None:
        """The node that takes writes now."""
        return next((node for node in self.nodes if node.is_primary), None)

    def until_primary(self, *, other_than: GroupNode | None = None) -> GroupNode:
        """Wait until some node takes writes."""
        found: list[GroupNode] = []

        def is_found() -> bool:
            found[:] = [node for node in self.nodes if node is not other_than and node.is_primary]
            return bool(found)

        until(is_found, lambda: "the group has no primary")
        return found[0]
