"""Faults of our own: exceptions that nobody foresees, in each room of the service."""

from __future__ import annotations

from functools import partial

from .service import PARTS
from .world import SPOOLING, World

OFTEN = {"writer": 5, "listener": 5, "table": 5, "sweep": 1, "subscriber": 1}
ORDERS = tuple(f"raise {part} {OFTEN.get(part, 2)}" for part in PARTS)
RAISED = "faults: raised in "


async def in_every_room(world: World) -> None:
    """All of them at once: each part raises at each n-th call, through outages, reconnections and sweeps."""
    relay = world.relays["broker"]
    while True:
        spooled = world.service.count(SPOOLING)
        await world.thread(world.database.stop)
        await world.until(partial(_spools_again, world, spooled), "the spool takes over")
        relay.close_all()
        await world.sleep(3, quick=1)
        await world.thread(world.database.start)
        await world.until(lambda: not world.spool_files, "the spool is emptied")
        # A second time, because a part that is called again has survived the first.
        if all(world.service.count(RAISED + part) > 1 for part in PARTS):
            break
        await world.sleep(1)
    world.details["raised"] = world.service.count(RAISED)


def _spools_again(world: World, times: int) -> bool:
    return world.service.count(SPOOLING) > times
