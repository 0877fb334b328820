"""Galera: a cluster of MariaDBs, each of which takes writes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql

from .cluster import NODES, Cluster, unfinished_folder, until
from .servers import MariaDB, ServerFailed, Tree, free_port

_TRANSFER = "aiot"
# How a node is told where to begin or is sent everything, which Galera leaves to a program. The one that sends it is
# locked meanwhile, and for as long as there is a file, as where there is more to send than here.
_TRANSFER_PROGRAM = """#!/bin/sh
parent=$PPID
while [ $# -gt 0 ]; do
    case $1 in
    --role) role=$2 ;;
    --address) address=$2 ;;
    --datadir) datadir=${2%/} ;;
    --gtid) gtid=$2 ;;
    --parent) parent=$2 ;;
    --bypass) bypass=yes ;;
    esac
    shift
done
pause() {
    kill -0 "$parent" || exit 3
    sleep 0.05
}
if [ "$role" = joiner ]; then
    told=$datadir.from
    rm -f "$told"
    echo "ready $told"
    while [ ! -s "$told" ]; do pause; done
    cat "$told"
else
    if [ "$bypass" != yes ]; then
        echo "flush tables"
        while ! grep -qs : "$datadir/tables_flushed"; do pause; done
        gtid=$(cat "$datadir/tables_flushed")
        rm "$datadir/tables_flushed"
        set -- --exclude=galera.cache --exclude=grastate.dat --exclude=gvwstate.dat
        tar -C "$datadir" "$@" -cf - . | tar -C "${address%.from}" -xf - || exit 1
        while [ -e "$datadir.hold" ]; do pause; done
        echo continue
    fi
    echo "$gtid" >"$address.new"
    mv "$address.new" "$address"
    echo "done $gtid"
fi
"""


class GaleraNode(MariaDB):
    """A MariaDB that belongs to a Galera cluster; ``group`` is where all of its nodes listen for each other."""

    def __init__(self, name: str, group_port: int, *, settings: Sequence[str] = ()) -> None:
        self.name = name
        self.group_port = group_port
        self.seeds: Sequence[int] = ()
        """The group ports of the nodes that it joins; none: it begins a cluster of its own."""
        self.donor = ""
        """The name of the node that sends it everything where it has nothing; empty: any."""
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
            f"--wsrep-sst-donor={self.donor}",
            *([f"--wsrep-start-position={self._position}"] if self._position else []),
        ]

    def lose_data(self, donor: GaleraNode) -> None:
        """End it in order, and set it up anew: started again, it is sent everything by the donor.

        In order, because the others would wait for one that dies, and not only the donor would be silent.
        """
        self.stop()
        shutil.rmtree(self.data)
        self.data.mkdir()
        self.donor = donor.name

    @contextlib.contextmanager
    def long_transfers(self) -> Iterator[None]:
        """Within this, what it sends to a node that has nothing takes until the end of this."""
        hold = self.data.with_name(f"{self.data.name}.hold")
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def status(self, name: str) -> str:
        """One of its figures; empty where it cannot be asked."""
        with contextlib.suppress(pymysql.MySQLError):
            return str(self.query(f"SHOW GLOBAL STATUS LIKE '{name}'", database=None)[0][1])
        return ""

    @property
    def is_synced(self) -> bool:
        """Whether it belongs to the primary component, and keeps up."""
        return (self.status("wsrep_ready"), self.status("wsrep_local_state_comment")) == ("ON", "Synced")


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
        with unfinished_folder(folder) as unfinished:
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
        until(lambda: node.is_synced, lambda: f"a node is not synced:\n{node.log_tail()}")

    def until_donor(self, node: GaleraNode) -> None:
        """Wait until a node sends another one everything."""
        until(
            lambda: node.status("wsrep_local_state_comment") == "Donor/Desynced",
            lambda: f"a node is no donor:\n{node.log_tail()}",
        )

    def until_size(self, node: GaleraNode, size: int) -> None:
        """Wait until so many nodes are left, as one of them sees it."""
        until(lambda: node.status("wsrep_cluster_size") == str(size), lambda: f"not {size} nodes:\n{node.log_tail()}")

    def isolate(self, node: GaleraNode) -> None:
        """Cut a node off from the others, who go on; it takes no statement until ``heal``."""
        node.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'", database=None)

    def until_cut_off(self, node: GaleraNode) -> None:
        """Wait until a node knows that it is not with most of the others."""
        until(lambda: node.status("wsrep_ready") == "OFF", lambda: f"a node takes statements:\n{node.log_tail()}")

    def heal(self, node: GaleraNode) -> None:
        """Let it find the others again."""
        node.query("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'", database=None)
