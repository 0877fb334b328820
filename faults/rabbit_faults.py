"""What happens to RabbitMQ: the only node, or of three the one that the service is connected to.

What the service has not acknowledged when its connection goes, RabbitMQ may send after newer messages. So there is
much of that: the database hangs for a moment first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from rig.servers import Server

from .broker_faults import CONNECTED, LOST
from .cluster_faults import watched
from .world import World

UNACKNOWLEDGED = 0.7  # s for which the database hangs: shorter than what makes the spool take over
LATE = 20.0  # s in which something may come late
BACK = "the service is back"
Happening = Callable[[World, Server], Awaitable[None]]


def to_our_node(happen: Happening) -> Callable[[World], Awaitable[None]]:
    """Let it happen to the node that the service is connected to, and wait for what comes late because of it."""

    @wraps(happen)
    async def happens(world: World) -> None:
        back = world.service.next_line(CONNECTED)
        await happen(world, world.brokers.nodes[0] if _is_cluster(world) else world.broker)
        await world.within(back, BACK)
        await world.sleep(LATE, quick=2)
        world.details["stale"] = world.service.figures.get("stale", 0)

    return watched(happens)


@to_our_node
async def killed(world: World, node: Server) -> None:
    """It is killed, and comes back later."""
    await _end(world, node.kill)
    await world.thread(node.start)


@to_our_node
async def restarted(world: World, node: Server) -> None:
    """It is stopped in order and started again."""
    await _end(world, node.stop)
    await world.thread(node.start)


@to_our_node
async def frozen(world: World, node: Server) -> None:
    """It is frozen, as a host that hangs, and goes on later."""
    await _end(world, node.freeze)
    await world.sleep(10, quick=2)
    await world.thread(node.thaw)


async def _end(world: World, end: Callable[[], None]) -> None:
    """End the node, while much of what it sent is not acknowledged; until the service is elsewhere, if it can be."""
    lost, back = world.service.next_line(LOST), world.service.next_line(CONNECTED)
    world.database.freeze()
    await world.sleep(UNACKNOWLEDGED)
    await world.thread(end)
    world.database.thaw()
    if _is_cluster(world):
        await world.within(back, BACK)
    else:
        await world.within(lost, "the service finds its connection lost")
    await world.sleep(5 * world.random.random(), quick=0.5)


def _is_cluster(world: World) -> bool:
    return hasattr(world, "brokers")
