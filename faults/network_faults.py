"""What happens on the way to the broker and to the database; the service reaches both through a relay."""

from __future__ import annotations

from .world import World

COMMIT = b"\x07\x00\x00\x00\x03COMMIT"  # a whole packet of the database's protocol
# The documented bound: the reading of the answer times out, and the server gives up the vanished connection's locks.
COMMIT_RECOVERY = 90.0  # s
SLOW = 4000  # bytes/s


async def broker_cut(world: World) -> None:
    """The way to the broker cut, without a FIN, until the service has noticed."""
    await _cut(world, "broker", "MQTT connection lost")


async def database_cut(world: World) -> None:
    """The way to the database cut, without a FIN, until the service has noticed."""
    await _cut(world, "database", "Database connection failed")


async def database_cut_at_commit(world: World) -> None:
    """A connection to the database cut between UPDATE and COMMIT: its rows stay locked until the server notices."""
    passed = world.relays["database"].cut_when(COMMIT)
    await world.until(passed.is_set, "a COMMIT passes")


async def delayed(world: World) -> None:
    """Half a second each way, to the broker and to the database."""
    for relay in world.relays.values():
        relay.delay(0.5)
    await world.sleep(20, quick=4)
    for relay in world.relays.values():
        relay.delay(0)


async def trickling(world: World) -> None:
    """A few KB a second to the database, then to the broker."""
    for name in ("database", "broker"):
        world.relays[name].trickle(SLOW)
        await world.sleep(20, quick=3)
        world.relays[name].trickle(0)


async def _cut(world: World, name: str, line: str) -> None:
    noticed = world.service.next_line(line)
    relay = world.relays[name]
    relay.cut()
    await world.within(noticed, f"the service notices that the {name} is gone")
    relay.restore()
    relay.close_all()
