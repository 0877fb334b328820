"""A long run: a steady fleet, and every minute something goes wrong, chosen by the seed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median

from . import broker_faults as broker
from . import data_faults as data
from . import database_faults as database
from . import network_faults as network
from . import service_faults as service
from .rounds import Fault
from .scene import Layout
from .world import World

INTERVAL = 60.0  # s between the beginnings of two faults
SHORTEST, LONGEST = 3.0, 25.0  # s that an outage lasts
SETTLED_AFTER = 30  # looks at a service's memory, before it counts: its caches fill, and its pool
MIN_LOOKS = 240  # of a service, for its memory to be compared; there are two a second
GROWTH = 1.15  # of the later median over the earlier one, above which memory is not flat

Happen = Callable[[World], Awaitable[None]]


def soak(seconds: float) -> Fault:
    """The whole run as one fault of one round."""

    async def happen(world: World) -> None:
        await _go_wrong_again_and_again(world, seconds)

    return Fault(
        "soak",
        f"{seconds:.0f} s with a fault a minute",
        happen,
        rounds=1,
        layout=Layout(relayed=frozenset({"broker", "database"}), persistence=True, settings={"MQTT_KEEPALIVE": "5"}),
    )


async def _database_stopped(world: World) -> None:
    await world.thread(world.database.stop)
    await _last(world)
    await world.thread(world.database.start)


async def _database_frozen(world: World) -> None:
    await world.thread(world.database.freeze)
    await _last(world)
    world.database.thaw()


async def _clock_set(world: World) -> None:
    for seconds in (-3600, 0, 86400, 0):
        await world.within(world.service.tell(f"clock {seconds}"), "the clock is set")
        await world.sleep(2)


async def _last(world: World) -> None:
    await world.sleep(SHORTEST + world.random.random() * (LONGEST - SHORTEST))


HAPPENINGS: tuple[tuple[str, Happen], ...] = (
    ("kill", service.kill),
    ("db-killed", database.killed),
    ("db-stopped", _database_stopped),
    ("db-frozen", _database_frozen),
    ("db-read-only", database.read_only),
    ("db-connections-killed", database.connections_killed),
    ("db-rights", database.rights),
    ("net-broker-cut", network.broker_cut),
    ("net-db-cut", network.database_cut),
    ("net-db-cut-commit", network.database_cut_at_commit),
    ("broker-restart", broker.restarted),
    ("rival-once", broker.visited),
    ("second-writer", data.second_writer),
    ("clock", _clock_set),
)


async def _go_wrong_again_and_again(world: World, seconds: float) -> None:
    ends = world.now + seconds
    happened: dict[str, int] = {}
    turns: list[tuple[str, Happen]] = []
    while world.now + INTERVAL <= ends:
        next_at = world.now + INTERVAL
        # Each of them in turn, in another order each time round.
        turns = turns or world.random.sample(HAPPENINGS, len(HAPPENINGS))
        name, happen = turns.pop()
        await happen(world)
        await world.recovered()
        world.fleet.report_anew()
        happened[name] = happened.get(name, 0) + 1
        world.details["faults"] = sum(happened.values())
        await world.sleep(max(0.0, next_at - world.now))
    world.details["happened"] = dict(sorted(happened.items()))
    _compare_memory(world)


def _compare_memory(world: World) -> None:
    """Hold what a service took in the last quarter of its life against the first one."""
    lives = [run.memory[SETTLED_AFTER:] for run in world.services if len(run.memory) > SETTLED_AFTER + MIN_LOOKS]
    for memory in lives:
        quarter = len(memory) // 4
        first, last = median(memory[:quarter]), median(memory[-quarter:])
        told = f"{first / 2**20:.0f} MiB, then {last / 2**20:.0f} MiB, in a life of {len(memory) / 2:.0f} s"
        world.details.setdefault("memory", []).append(told)
        if last > GROWTH * first:
            world.findings.append(f"the memory of the service grew: {told}")
