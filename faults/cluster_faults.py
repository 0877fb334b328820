"""What happens to a cluster of databases, all of whose addresses the service has."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

import pymysql
from twisted.internet.task import LoopingCall

from rig.servers import DATABASE, Database

from .onlookers import read_rows
from .world import VICTIMS, World

LOOK_INTERVAL = 0.1  # s
AGAIN = 6.0  # s after which the service must write, from when the cluster takes a write of anybody
WRITES_OF_SECOND_WRITER = 190.0  # transactions a second, at most
BLOCKED = 8.0  # s


Happening = Callable[[World], Awaitable[None]]


def watched(happen: Happening) -> Happening:
    """Tell how long nothing newer was stored, too."""

    @wraps(happen)
    async def is_watched(world: World) -> None:
        await _watch(world, happen(world))

    return is_watched


@watched
async def killed(world: World) -> None:
    """The node that is written to is killed; it comes back later."""
    node = world.cluster.nodes[0]
    await world.thread(node.kill)
    await _written_again(world)
    await world.sleep(5, quick=1)
    await world.thread(_come_back, world, node)


@watched
async def frozen(world: World) -> None:
    """The node that is written to is frozen, as a host that hangs."""
    node = world.cluster.nodes[0]
    node.freeze()
    await _written_again(world)
    await world.sleep(15, quick=1)
    node.thaw()
    await world.thread(world.cluster.take_part, node)


@watched
async def majority_frozen(world: World) -> None:
    """All nodes but the one that is written to are frozen: nobody can commit until they are back."""
    _, *others = world.cluster.nodes
    for node in others:
        node.freeze()
    await world.sleep(20, quick=8)
    for node in others:
        node.thaw()
    await _written_again(world)
    for node in world.cluster.nodes:
        await world.thread(world.cluster.take_part, node)


async def _in_turn(world: World, end: Callable[[Database], None]) -> None:
    """Each node ended and started again, one after the other."""
    for node in world.cluster.nodes:
        await world.thread(end, node)
        if node is not world.cluster.nodes[-1]:  # which is the one that is looked at
            await _written_again(world)
        await world.sleep(2, quick=0.5)
        await world.thread(_come_back, world, node)
    await _written_again(world)


@watched
async def rolling_restart(world: World) -> None:
    """Each node stopped and started in turn, as for an update."""
    await _in_turn(world, lambda node: node.stop())


@watched
async def killed_in_turn(world: World) -> None:
    """Each node killed and started again in turn."""
    await _in_turn(world, lambda node: node.kill())


@watched
async def schema_change(world: World) -> None:
    """A column is added, and dropped again."""
    query = world.cluster.nodes[0].query
    await world.thread(query, "ALTER TABLE device_main ADD COLUMN added int NOT NULL DEFAULT 0 FIRST")
    await world.sleep(5, quick=1)
    await world.thread(query, "ALTER TABLE device_main DROP COLUMN added")


@watched
async def isolated(world: World) -> None:
    """Galera: the node that is written to is cut off from the others."""
    node = world.cluster.nodes[0]
    await world.thread(world.cluster.isolate, node)
    await _written_again(world)
    await world.sleep(12, quick=1)
    await world.thread(world.cluster.heal, node)
    await world.thread(world.cluster.until_synced, node)


@watched
async def donating(world: World) -> None:
    """Galera: the node that is written to sends all of its data to one that lost its own: it is locked meanwhile."""
    donor, other, *_ = world.cluster.nodes
    await world.thread(other.lose_data, donor)
    with donor.long_transfers():
        joined = world.thread(_come_back, world, other)
        await world.thread(world.cluster.until_donor, donor)
        await _written_again(world)
        await world.sleep(BLOCKED, quick=3)
    await joined
    await world.thread(world.cluster.until_synced, donor)


@watched
async def switched_over(world: World) -> None:
    """Group Replication: another node is made the primary."""
    await world.thread(world.cluster.make_primary, world.cluster.nodes[1])
    await _written_again(world)


def second_writer(rows: int) -> Happening:
    """Another program writes so many rows in each transaction, on another node, as often as that goes."""
    return partial(_second_writer, rows=rows)


async def _second_writer(world: World, rows: int) -> None:
    longest = await _watch(world, _write_beside(world, rows))
    if longest > AGAIN and not world.scene.quick:
        world.findings.append(f"nothing was stored for {longest:.1f} s beside a second writer")


async def _write_beside(world: World, rows: int) -> None:
    ended = threading.Event()
    writing = world.thread(_write_rows, world, world.cluster.nodes[1], rows, ended)
    began = world.now
    await world.sleep(12, quick=6)
    ended.set()
    world.details["writes_of_the_other"], world.details["conflicts_of_the_other"] = await writing
    world.details["conflicts"] = world.service.figures.get("retries_conflict", 0)
    world.details["seconds"] = round(world.now - began, 1)


async def _watch(world: World, happening: Awaitable[None]) -> float:
    """Returns the longest time in which nothing newer was stored, to a second: as often the service tells its figures.

    It is over when something is stored again.
    """
    stored, since, longest = -1, world.now, 0.0

    def look() -> None:
        nonlocal stored, since, longest
        if (now_stored := world.service.figures.get("stored", 0)) != stored:
            stored, since = now_stored, world.now
        longest = max(longest, world.now - since)

    looking = LoopingCall(look)
    looking.clock = world.reactor
    looking.start(LOOK_INTERVAL)
    try:
        await happening
        before = world.service.figures.get("stored", 0)
        await world.until(lambda: world.service.figures.get("stored", 0) != before, "the service writes again")
    finally:
        looking.stop()
    world.details["longest_without_a_write"] = round(longest, 1)
    return longest


def _write_rows(world: World, node: Database, rows: int, ended: threading.Event) -> tuple[int, int]:
    """Blocks until told to end; returns how many transactions were committed, and how many gave way."""
    committed = conflicts = 0
    ids = [row[0] for row in node.query("SELECT id FROM device_main")]
    with pymysql.connect(unix_socket=str(node.socket), user="root", database=DATABASE) as connection:
        while not ended.is_set():
            some = ", ".join(map(str, sorted(world.random.sample(ids, rows))))
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"UPDATE device_main SET total_reports = total_reports + 1 WHERE id IN ({some})")
                connection.commit()
                committed += 1
            except pymysql.MySQLError:  # a deadlock, or what certification found
                connection.rollback()
                conflicts += 1
            ended.wait(1 / WRITES_OF_SECOND_WRITER)
    return committed, conflicts


async def _written_again(world: World) -> None:
    """Wait until somebody else can write, then until the service has; it must not take long."""
    await world.thread(_until_written, world)
    began = world.now
    rows = await world.thread(read_rows, world.database)
    seen = {uuid: (row.sequence, row.last_seen) for uuid, row in rows.items() if uuid not in VICTIMS}

    def has_written() -> bool:
        now = world.table.rows
        return any((now[uuid].sequence, now[uuid].last_seen) != seen[uuid] for uuid in seen if uuid in now)

    await world.until(has_written, "the service writes again")
    took = world.now - began
    world.details["wrote_again_after"] = max(round(took, 1), world.details.get("wrote_again_after", 0.0))
    if took > AGAIN and not world.scene.quick:
        world.findings.append(f"the service wrote {took:.1f} s after the cluster took a write of somebody else")


def _until_written(world: World) -> None:
    """Blocks until one of the nodes takes a write, or the proxy before them."""
    written = threading.Event()
    node = world.cluster.nodes[0]
    who = {"user": node.service_user, "password": node.service_password.encode(), "database": DATABASE}
    ports = [node.port for node in world.cluster.nodes] if world.proxy is None else [world.proxy.port]

    def write(port: int) -> None:
        while not written.is_set():
            with contextlib.suppress(pymysql.MySQLError, OSError):
                connection = pymysql.connect(host=node.host, port=port, **who, **_IMPATIENT)
                with contextlib.closing(connection), connection.cursor() as cursor:
                    cursor.execute("UPDATE device_main SET last_seen = NOW() WHERE uuid = %s", (VICTIMS[-1],))
                    connection.commit()
                    written.set()
                    return
            written.wait(0.1)

    for port in ports:
        threading.Thread(target=write, args=(port,), daemon=True).start()
    written.wait(120)


_IMPATIENT: dict[str, Any] = {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2, "ssl_disabled": True}


def _come_back(world: World, node: Any) -> None:
    node.start()
    world.cluster.take_part(node)
