"""What happens to one of two instances, of which one waits (``HA_MODE=standby``)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from aiot_mqtt.spool.names import files_of

from .check import wrong_sum
from .process import ServiceProcess
from .world import SPOOLING, VICTIMS, World

READY = "is ready"  # in the line of one that waits
TAKES_OVER = 10.0  # s in which the other one must have stored something that was published after the fault
NAMES = ("first", "second")


async def killed(world: World) -> None:
    """The active one is killed; started again, it waits until the other one is killed, too."""
    first = world.service
    second = await _second(world)
    await _taken_over(world, lambda: first.signal(signal.SIGKILL))
    await world.until(lambda: world.service is not first and world.service.count(READY), "the killed one waits")
    await world.sleep(world.random.random())
    await _taken_over(world, lambda: second.signal(signal.SIGKILL))


async def frozen(world: World) -> None:
    """The active one is frozen for a minute, and goes on."""
    second = await _second(world)
    first = world.service
    await _taken_over(world, lambda: first.signal(signal.SIGSTOP))
    await world.sleep(60, quick=6)
    first.signal(signal.SIGCONT)
    await _back(world, first, second)


async def cut_off(world: World) -> None:
    """The active one is cut off from the broker, and perhaps from the database, too; neither sees a FIN."""
    second = await _second(world)
    first = world.service
    names: Sequence[str] = [name for name in world.relays if name == "broker" or world.random.random() < 0.5]
    world.details["cut_off_from"] = " ".join(names)
    await _taken_over(world, lambda: _cut(world, names))
    await world.sleep(20, quick=5)
    for name in names:
        world.relays[name].restore()
        world.relays[name].close_all()
    await _back(world, first, second)


async def spooled(world: World) -> None:
    """The active one is killed with a spool that nobody else has, and comes back with it when the other has written.

    Nobody reports meanwhile but one: of a device that does, the row keeps what it holds, whatever kind of message it
    was, so a report in that spool would be lost to the eye.
    """
    second = await _second(world)
    first, (silent, reporting, *_) = world.service, VICTIMS
    await world.thread(world.database.stop)
    await world.until(lambda: first.count(SPOOLING), "the spool takes over")
    for victim in (silent, reporting):
        world.fleet.speak(victim, "data", b'{"seq": 1}')
    await world.sleep(1 + world.random.random())
    await world.within(world.fleet.pause(), "all that was published is acknowledged")
    await world.sleep(1)
    world.is_started_again = False
    first.signal(signal.SIGKILL)
    await world.until(lambda: second.count("takes over"), "the second one takes over")
    world.fleet.speak(reporting, "data", b'{"seq": 2}')
    await world.thread(world.database.start)
    await world.until(lambda: world.table.rows[reporting].sequence == 2, "the second one writes")
    world.is_started_again = True
    world.start_service()
    await world.until(lambda: not world.spool_files, "the spool is emptied")
    await world.until(lambda: world.table.rows[silent].sequence == 1, "who was not heard since has what it said before")
    world.fleet.resume()
    await _back(world, world.service, second)


async def _second(world: World) -> ServiceProcess:
    """Start the one that waits, which reaches broker and database by no relay."""
    disk = _disk_of_second(world)
    folder = disk.parent
    folder.mkdir()
    settings = world.service_settings() | {"SPOOL_FILE": str(disk), "HA_NAME": NAMES[1]}
    settings |= {"MQTT_PORT": str(world.broker.port)}
    if "database" in world.relays:
        settings |= {"DB_PORT": str(world.database.port)}
    second = ServiceProcess(world.reactor, settings, folder)
    world.rivals.append(second)
    await world.until(lambda: second.count(READY), "the second one waits")
    await world.sleep(0.5 + world.random.random())
    return second


def _disk_of_second(world: World) -> Path:
    return world.folder / "second" / "spool"


async def _taken_over(world: World, happens: Callable[[], None]) -> None:
    """Let something happen, and wait until what was published since is stored; that must not take long.

    Not while something waits on a disk, as it does where the machine is busy: it would die with its instance, or come
    later than what the row was told meanwhile, which is what ``spooled`` is about.
    """
    disks = (world.spool, _disk_of_second(world))
    await world.until(lambda: not any(path.exists() for disk in disks for path in files_of(disk)), "no disk holds any")
    stepped_back, began = world.table.stepped_back, world.now
    happens()
    newest = world.fleet.sequence
    await world.until(lambda: _is_stored(world, newest), "the other one writes")
    took = world.now - began
    world.details.setdefault("taken_over_after", []).append(round(took, 1))
    if took > TAKES_OVER and not world.scene.quick:
        world.findings.append(f"the other one wrote {took:.1f} s after")
    if world.table.stepped_back > stepped_back:
        world.findings.append("a row was seen to step back")


def _is_stored(world: World, newest: int) -> bool:
    return any(row.sequence > newest for row in world.table.rows.values())


def _cut(world: World, names: Sequence[str]) -> None:
    for name in names:
        world.relays[name].cut()


async def _back(world: World, first: ServiceProcess, second: ServiceProcess) -> None:
    """Wait until the first one waits, and give the session back to it in order."""
    await world.until(lambda: first.count(READY), "the first one waits")
    await world.sleep(3, quick=1)
    before = world.table.stepped_back
    await world.within(second.stop(), "the second one has stopped")
    if (wrong := wrong_sum(second.figures)) is not None:
        world.findings.append(f"the second one: {wrong}")
    if before:
        world.findings.append(f"rows were seen to step back {before} times")
    world.mended()
