"""What happens on the way to the broker and to the database; the service reaches both through a relay."""

from __future__ import annotations

from .world import SPOOLING, World

COMMIT = b"\x07\x00\x00\x00\x03COMMIT"  # a whole packet of the database's protocol
# The documented bound: the reading of the answer times out, and the server gives up the vanished connection's locks.
COMMIT_RECOVERY = 90.0  # s
SLOW = 4000  # bytes/s
NARROW = 100_000  # bytes/s
NARROW_RECOVERY = 240.0  # s: 4 MB take 40, twice where a chunk that began too large was cut off


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


async def distant(world: World) -> None:
    """50 ms to the database and back."""
    world.relays["database"].delay(0.025)
    await world.sleep(20, quick=3)
    await world.recovered()
    world.relays["database"].delay(0)


async def narrow(world: World) -> None:
    """100 KB/s to the database, and reports of 4 KB that wait on disk."""
    world.fleet.padding = 1000 if world.scene.quick else 4000
    await world.thread(world.database.stop)
    await world.until(lambda: world.service.count(SPOOLING), "the spool takes over")
    world.fleet.report_anew()
    await world.sleep(5, quick=1)
    world.fleet.padding = 0
    await world.within(world.fleet.pause(), "all that was published is acknowledged")
    world.relays["database"].trickle(NARROW)
    await world.thread(world.database.start)
    await world.until(lambda: not world.spool_files, "the spool is emptied", NARROW_RECOVERY)
    world.relays["database"].trickle(0)
    world.fleet.resume()


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
