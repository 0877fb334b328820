"""What the disk does below SQLite, what lies there by the spool's name, and who else uses it."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from twisted.internet.threads import deferToThread

from aiot_mqtt.spool.spool import Spool
from rig.servers import DATABASE
from rig.spool_files import OWNER, update_of
from rig.strace import strace_argv

from .disk_calls import ERRORS, play_all, spool_paths
from .process import STARTED, ServiceProcess
from .rounds import Outcome
from .scene import Scene
from .world import SPOOLING, VICTIMS, World

INJECTED = ("pwrite64", "fdatasync", "openat", "unlink", "fcntl", "fsync", "pread64")
IN_USE = "The spool is in use"
FOREIGN = "is not the spool of this service"
OTHER_TABLE = "device_test"
REPORT, LATER_REPORT = b'{"seq": 0, "n": 1}', b'{"seq": 0, "n": 2}'


async def every_call(scene: Scene, seed: int) -> Outcome:
    """Every system call of saving, emptying, deleting and setting aside, of a small process, with every error."""
    took_effect, wrong = await deferToThread(play_all, 2, all_errors=not scene.quick)
    return Outcome(
        fault="disk-calls",
        seed=seed,
        messages=took_effect.total(),
        wrong=wrong[:20],
        details=dict(sorted(took_effect.items())),
    )


async def errors(world: World) -> None:
    """Calls of the running service's spool fail, some in a row, through outages of the database."""
    injected = 0
    for call in world.random.sample(INJECTED, 1 if world.scene.quick else len(INJECTED)):
        error, first = world.random.choice(ERRORS), 1 + world.random.randrange(4)
        log = world.folder / "strace"
        options = ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={first}..{first + 2}"]
        argv = [*strace_argv(), "-f", "-qqq", "-o", str(log), *options, *spool_paths(world.spool)]
        with subprocess.Popen([*argv, "-p", str(world.service.pid)], stderr=subprocess.DEVNULL) as strace:
            try:
                spooling = world.service.count(SPOOLING)
                await world.thread(world.database.stop)
                await world.until(
                    lambda spooling=spooling: world.service.count(SPOOLING) > spooling,  # type: ignore[misc]
                    f"the spool takes over, though {call} fails with {error}",
                )
                await world.sleep(2, quick=0.5)
                await world.thread(world.database.start)
                await world.until(lambda: not world.spool_files, f"it is emptied, though {call} fails with {error}")
            finally:
                strace.send_signal(signal.SIGINT)
        injected += log.read_text(errors="replace").count("(INJECTED)")
    world.details["injected"] = injected
    if not injected:
        world.findings.append("no call failed")


async def foreign(world: World) -> None:
    """A file that is for another table lies where the spool's should be, then a link, then one that all may write."""
    precious = world.folder / "precious"
    place = world.spool

    def another_tables() -> None:
        nonlocal place
        free = {world.spool, world.spool.with_name(f"{world.spool.name}.2")} - set(world.spool_files)
        place = min(free)  # what the service could not write before its end is in the other one
        spool = Spool(world.folder / "planted", replace(OWNER, table=OTHER_TABLE))
        spool.look()
        spool.save([update_of(device.uuid, number, number) for number, device in enumerate(world.fleet.devices, 1)])
        spool.close()
        (world.folder / "planted").rename(place)

    def link() -> None:
        place.rename(precious)
        place.symlink_to(precious)

    def open_to_all() -> None:
        place.unlink()
        precious.rename(place)
        place.chmod(0o666)

    for plant in (another_tables, link) if world.scene.quick else (another_tables, link, open_to_all):
        await world.restart_service(plant)
        await world.until(lambda: world.service.count(FOREIGN), "the service says whose it is")
        before = place.read_bytes() if place.is_file() else b""
        await world.thread(world.database.stop)
        await world.until(lambda: world.service.count(SPOOLING), "another name is used")
        await world.sleep(2, quick=0.5)
        await world.thread(world.database.start)
        await world.until(lambda: world.spool_files == [place], "what is ours is emptied")
        if place.is_file() and place.read_bytes() != before:
            world.findings.append("what is somebody else's was changed")


async def late(world: World) -> None:
    """The spool's disk is mounted only after the service has begun without it, and goes and comes while it runs."""
    folder = world.spool.parent
    disk, other = folder.with_name("disk"), folder.with_name("mount-point")

    def mount(target: Path) -> None:
        if not folder.is_symlink():
            folder.rename(disk)
            other.mkdir()
        else:
            folder.unlink()
        folder.symlink_to(target)

    await world.thread(world.database.stop)
    await world.until(lambda: world.service.count(SPOOLING), "the spool takes over")
    for uuid in VICTIMS:
        world.fleet.speak(uuid, "data", REPORT)
    await world.sleep(3, quick=1.5)
    world.before_restart = lambda: mount(other)
    await world.kill_service()
    await world.thread(world.database.start)
    await world.until(lambda: world.service.count(STARTED), "the service runs without its disk")
    await world.recovered(is_all_kept=False)
    world.fleet.speak(VICTIMS[0], "data", LATER_REPORT)
    await world.until(lambda: world.table.rows[VICTIMS[0]].report, "a victim speaks meanwhile")
    mount(disk)
    world.mended()
    await world.until(lambda: world.service.count("holds the states of"), "the service finds what turned up")
    await world.until(lambda: not world.spool_files, "and writes it")
    await world.until(lambda: world.table.rows[VICTIMS[-1]].report, "who was not heard since has what it said before")
    for uuid, report in zip(VICTIMS, (LATER_REPORT, *[REPORT] * (len(VICTIMS) - 1)), strict=True):
        if (found := world.table.rows[uuid].report) is None or json.loads(found) != json.loads(report):
            world.findings.append(f"{uuid} should have {report!r}, and has {found!r}")


async def two_processes(world: World) -> None:
    """A second process of the service is started before the first one has ended, in an outage."""
    await world.thread(world.database.stop)
    await world.until(lambda: world.service.count(SPOOLING), "the spool takes over")
    rival = ServiceProcess(world.reactor, world.service_settings(), world.folder)
    world.rivals.append(rival)
    await world.until(lambda: rival.count(IN_USE), "the second one says that it waits")
    await world.sleep(3, quick=1)
    if rival.count(STARTED):
        world.findings.append("the second process took the session while the first had the spool")
    await world.thread(world.database.start)
    await world.until(lambda: not world.spool_files, "the first one empties it")
    await world.thread(world.database.stop)
    await world.sleep(6, quick=2)
    # The first one is killed, and the second has taken over before it is back.
    world.is_started_again = False
    world.service.signal(signal.SIGKILL)
    await world.until(lambda: rival.count(STARTED), "the second one takes over")
    world.is_started_again = True
    world.start_service()
    await world.thread(world.database.start)
    await world.until(lambda: not world.spool_files, "and empties what was left")
    await world.within(rival.stop(), "the second one has stopped")
    await world.until(lambda: world.service.count(STARTED), "the first one is back")


async def other_settings(world: World) -> None:
    """Between two runs of the service DB_TABLE is another one, and then the same again."""
    query = world.database.query
    await world.thread(query, f"CREATE TABLE {OTHER_TABLE} LIKE device_main")
    await world.thread(query, f"INSERT INTO {OTHER_TABLE} SELECT * FROM device_main")
    await world.thread(query, f"UPDATE {OTHER_TABLE} SET last_report_data = NULL")
    await world.thread(lambda: world.database.grant(table=OTHER_TABLE))
    await world.thread(world.database.stop)
    await world.until(lambda: world.service.count(SPOOLING), "the spool takes over")
    await world.within(world.fleet.pause(), "all that was published is acknowledged")
    world.overrides["DB_TABLE"] = OTHER_TABLE
    await world.restart_service()
    await world.thread(world.database.start)
    await world.until(lambda: world.service.count(FOREIGN) and world.service.count(STARTED), "the service says so")
    await world.sleep(2, quick=1)
    [(reports,)] = await world.thread(query, f"SELECT COUNT(last_report_data) FROM {OTHER_TABLE}")
    if reports:
        world.findings.append(f"{reports} rows of another table got what was saved for {DATABASE}.device_main")
    world.overrides.clear()
    await world.restart_service()
    world.fleet.resume()
