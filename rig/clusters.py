"""Clusters of three databases on loopback: Galera of MariaDBs, and Group Replication of MySQLs.

Each node is a server as in ``servers``, with a folder and ports of its own. All begin with copies of one data folder,
so that no node has to be sent the whole of another's data: that takes seconds, where a state transfer takes minutes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

import pymysql

from .servers import Database, MariaDB, MySQL, ServerFailed, Tree, free_port, guard, remove_folder

NODES = 3
JOIN_TIMEOUT = 120.0  # s: a loaded machine with slow disks
LOOK_INTERVAL = 0.05  # s
GROUP = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
_RECOVERY_USER = "recovery"
_TRANSFER = "aiot"
# How a node that lacks a little is told where to begin, which Galera leaves to a program: what lacks more, it refuses.
_TRANSFER_PROGRAM = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
    --role) role=$2 ;;
    --address) address=$2 ;;
    --datadir) datadir=$2 ;;
    --gtid) gtid=$2 ;;
    --parent) parent=$2 ;;
    --bypass) bypass=yes ;;
    esac
    shift
done
if [ "$role" = joiner ]; then
    told=${datadir%/}.from
    rm -f "$told"
    echo "ready $told"
    while [ ! -s "$told" ]; do
        kill -0 "$parent" || exit 3
        sleep 0.05
    done
    cat "$told"
else
    [ "$bypass" = yes ] || exit 1
    echo "$gtid" >"$address.new"
    mv "$address.new" "$address"
    echo "done $gtid"
fi
"""

Node = TypeVar("Node", bound=Database)


def _until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + JOIN_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(what())
        time.sleep(LOOK_INTERVAL)


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A folder beside others that is gone in the end, whatever happens."""
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
    guard.tell("add", "folder", unfinished)
    try:
        yield unfinished
    finally:
        remove_folder(unfinished)


class GaleraNode(MariaDB):
    """A MariaDB that belongs to a Galera cluster; ``group`` is where all of its nodes listen for each other."""

    def __init__(self, name: str, group_port: int, *, settings: Sequence[str] = ()) -> None:
        self.name = name
        self.group_port = group_port
        self.seeds: Sequence[int] = ()
        """The group ports of the nodes that it joins; none: it begins a cluster of its own."""
        self._increment_port = free_port()
        self._position = ""
        self._galera = Tree("clusters").usr / "lib" / "galera" / "libgalera_smm.so"
        super().__init__(settings=settings)
        program = self.folder / f"wsrep_sst_{_TRANSFER}"
        program.write_text(_TRANSFER_PROGRAM)
        program.chmod(0o700)

    def start(self) -> None:
        """See ``Server``; one that was killed first finds out up to where it has the cluster's data, as systemd has it
        done."""
        state = self.data / "grastate.dat"
        self._position = ""
        if state.exists() and re.search(r"^seqno:\s+-1$", state.read_text(), re.MULTILINE):
            argv = [*self._argv(), "--wsrep-recover"]
            done = subprocess.run(argv, capture_output=True, check=False, cwd=self.folder)
            found = re.search(rb"Recovered position:\s*(\S+)", done.stdout + done.stderr)
            if found is None:
                raise ServerFailed(
                    f"a node does not know where it was:\n{(done.stdout + done.stderr).decode()[-4000:]}"
                )
            self._position = found[1].decode()
        super().start()

    def _more_environment(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{os.environ.get('PATH', os.defpath)}"}

    def _argv(self) -> list[str]:
        options = {
            "gmcast.listen_addr": f"tcp://{self.host}:{self.group_port}",
            "ist.recv_addr": f"{self.host}:{self._increment_port}",
            "gcache.size": "64M",
            "pc.recovery": "false",
        }
        return [
            *super()._argv(),
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            f"--wsrep-provider={self._galera}",
            "--wsrep-cluster-name=aiot",
            f"--wsrep-cluster-address=gcomm://{','.join(f'{self.host}:{port}' for port in self.seeds)}",
            f"--wsrep-node-name={self.name}",
            f"--wsrep-node-address={self.host}:{self.group_port}",
            f"--wsrep-provider-options={';'.join(f'{name}={value}' for name, value in options.items())}",
            f"--wsrep-sst-method={_TRANSFER}",
            *([f"--wsrep-start-position={self._position}"] if self._position else []),
        ]

    def status(self, name: str) -> str:
        """One of its figures; empty where it cannot be asked."""
        with contextlib.suppress(pymysql.MySQLError):
            return str(self.query(f"SHOW GLOBAL STATUS LIKE '{name}'", database=None)[0][1])
        return ""

    @property
    def is_synced(self) -> bool:
        """Whether it belongs to the primary component, and keeps up."""
        return (self.status("wsrep_ready"), self.status("wsrep_local_state_comment")) == ("ON", "Synced")


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
        _until(lambda: self.state == "ONLINE", lambda: f"a node did not come ONLINE:\n{self.log_tail()}")


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
            _until(lambda: node.query(sql)[0][0] == 1, lambda: f"{uuid} did not come:\n{node.log_tail()}")  # noqa: B023

    def close(self) -> None:
        """Kill them, and remove their folders."""
        for node in self.nodes:
            node.close()

    def _make_table(self, node: Database) -> None:
        node.create_device_table()
        node.grant()
        sql = "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'device_main'"
        for each in self.nodes:
            _until(lambda: each.query(sql)[0][0] == 1, lambda: f"a node has no table:\n{each.log_tail()}")  # noqa: B023
        rights = "SHOW GRANTS FOR %s@'%%'"
        for each in self.nodes:
            _until(
                lambda: len(each.query(rights, (node.service_user,))) > 1,  # noqa: B023
                lambda: "a node has no rights",
            )


class Galera(Cluster[GaleraNode]):
    """Three MariaDBs, each of which takes writes."""

    def __init__(self, *, settings: Sequence[str] = ()) -> None:
        """:param settings: further command line options of each node."""
        self.group_ports = [free_port() for _ in range(NODES)]
        self.nodes = [GaleraNode(f"n{number}", port, settings=settings) for number, port in enumerate(self.group_ports)]
        template = self._template()
        for node in self.nodes:
            shutil.rmtree(node.data)
            shutil.copytree(template, node.data)

    def _template(self) -> Path:
        """A data folder that knows the cluster's state, so that a node with a copy of it needs no state transfer."""
        folder = Tree("clusters").folder
        node = self.nodes[0]
        template = folder / f"template-{node.template.name}"
        if template.exists():
            return template
        with _unfinished(folder) as unfinished:
            node.start()
            node.stop()
            shutil.copytree(node.data, unfinished / "data")
            with contextlib.suppress(OSError):  # another process was faster, with the same result
                (unfinished / "data").rename(template)
        return template

    def start(self) -> None:
        """See ``Cluster``."""
        first, *others = self.nodes
        first.start()
        for node in self.nodes:
            node.seeds = self.group_ports
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda node: node.start(), others))
        for node in self.nodes:
            self.until_synced(node)
        self._make_table(first)

    def take_part(self, node: GaleraNode) -> None:
        """See ``Cluster``."""
        self.until_synced(node)

    def _takes_writes(self, cursor: pymysql.cursors.Cursor) -> bool:
        cursor.execute("SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')")
        return dict(cursor.fetchall()) == {"wsrep_ready": "ON", "wsrep_local_state": "4"}

    def until_synced(self, node: GaleraNode) -> None:
        """Wait until a node takes part again."""
        _until(lambda: node.is_synced, lambda: f"a node is not synced:\n{node.log_tail()}")

    def until_size(self, node: GaleraNode, size: int) -> None:
        """Wait until so many nodes are left, as one of them sees it."""
        _until(lambda: node.status("wsrep_cluster_size") == str(size), lambda: f"not {size} nodes:\n{node.log_tail()}")

    def isolate(self, node: GaleraNode) -> None:
        """Cut a node off from the others, who go on; it takes no statement until ``heal``."""
        node.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'", database=None)

    def until_cut_off(self, node: GaleraNode) -> None:
        """Wait until a node knows that it is not with most of the others."""
        _until(lambda: node.status("wsrep_ready") == "OFF", lambda: f"a node takes statements:\n{node.log_tail()}")

    def heal(self, node: GaleraNode) -> None:
        """Let it find the others again."""
        node.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'", database=None)


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
        with _unfinished(template.parent) as unfinished:
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
        _until(
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

        _until(is_found, lambda: "the group has no primary")
        return found[0]
