"""What happens to the service itself."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from .service import STEPS
from .world import SPOOLING, VICTIMS, World

SPOOL_STEPS = tuple(step for step in STEPS if "spool" in step)
ORDINARY_STEPS = tuple(step for step in STEPS if step not in SPOOL_STEPS)
MAX_PASSINGS = {"receipt": 3000, "merge": 3000}


async def kill(world: World) -> None:
    """SIGKILL at a random moment."""
    await world.kill_service()


async def kill_steps(world: World) -> None:
    """SIGKILL before and after receipt, merge, commit and acknowledgement, one after the other in any order."""
    for step in world.random.sample(ORDINARY_STEPS, len(ORDINARY_STEPS)):
        most = MAX_PASSINGS.get(step.partition("_")[2], 30)
        await world.service_dies(step, 1 + world.random.randrange(most))


async def kill_spool_steps(world: World) -> None:
    """SIGKILL at each step of writing to the spool and of emptying it, one after the other in any order.

    In a short form at some of them.
    """
    for step in world.random.sample(SPOOL_STEPS, 3 if world.scene.quick else len(SPOOL_STEPS)):
        if "write" in step or "creation" in step:
            # Before the database is away: MySQL takes its time to stop, and the spool has its file by then.
            times = 1 if "creation" in step else 1 + world.random.randrange(5)
            dying = Deferred.fromCoroutine(world.service_dies(step, times))
            await world.thread(world.database.stop)
            await dying
            await world.thread(world.database.start)
        else:
            await world.thread(world.database.stop)
            await world.until(lambda: world.service.count(SPOOLING), "the spool takes over")
            await world.sleep(1 + world.random.random())  # for more devices than one transaction writes
            dying = Deferred.fromCoroutine(world.service_dies(step, 1))
            await world.thread(world.database.start)
            await dying
        await world.until(lambda: not world.spool_files, "the spool is emptied")


async def clock_set(world: World) -> None:
    """The wall clock an hour back and right again, then a day ahead and right again; some devices die meanwhile."""
    devices = world.fleet.devices

    async def set_clock(seconds: int, dying: slice) -> None:
        for device in devices[dying]:
            device.is_silent = True
        await world.sleep(0.5)  # what they published is on its way
        await world.within(world.service.tell(f"clock {seconds}"), "the clock is set")
        await world.sleep(10, quick=1)

    await set_clock(-3600, slice(0, 3))
    await set_clock(0, slice(0, 0))
    await set_clock(86400, slice(3, 6))
    await set_clock(0, slice(6, 9))
    await world.until(
        lambda: not any(world.table.rows[device.uuid].is_online for device in devices if device.is_silent),
        "the dead devices are offline",
    )
    await world.sleep(2, quick=1)
    figures = world.service.figures
    if figures["came_back"]:
        world.findings.append(f"{figures['came_back']} devices were set offline though they were heard")
    if figures["went_silent"] > sum(device.is_silent for device in devices):
        world.findings.append(f"more devices went silent than did: {figures['went_silent']}")


async def faults_inside(world: World) -> None:
    """Code of the service raises where nobody expects it, and its log file cannot be written."""
    for number in range(20):
        world.fleet.speak(VICTIMS[0], "data", b'{"seq": %d}' % number)
    await world.thread(world.database.freeze)  # so that messages are superseded, and counted as such
    await world.sleep(1)
    world.database.thaw()
    await world.sleep(2, quick=1.5)
    world.details["internal_errors"] = raised = world.service.figures.get("refused_internal_error", 0)
    if raised <= 20:
        world.findings.append("nothing was raised")
