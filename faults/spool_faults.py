"""What happens to the file that keeps what the database cannot take."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from .world import SPOOLING, World

FAILED = "Nothing can be kept on this host"
WORKS_AGAIN = "The spool works again"
ROOM_AT_FIRST = 40 * 1024  # bytes: the file can be made, and hardly filled
UNWRITABLE = Path("/sys")  # where nobody can make a file, root included


async def full(world: World) -> None:
    """No room for a longer file: first while it is filled, then, once it holds something, while it is emptied.

    A limit on the size of files stands for the full disk: it takes no rights, and SQLite is told much the same.
    """
    _limit_files(world, ROOM_AT_FIRST)
    failed = world.service.next_line(FAILED)
    await world.thread(world.database.stop)
    await world.within(failed, "the service says that its disk is full")
    await world.sleep(5, quick=1)
    works_again = world.service.next_line(WORKS_AGAIN)
    _limit_files(world, resource.RLIM_INFINITY)
    await world.within(works_again, "the spool takes over")
    await world.sleep(5, quick=1)
    _limit_files(world, max(path.stat().st_size for path in world.spool_files))
    await world.thread(world.database.start)
    world.mended()
    await world.until(lambda: not world.spool_files, "the spool is emptied on the full disk")
    _limit_files(world, resource.RLIM_INFINITY)


async def read_only(world: World) -> None:
    """The folder of the file cannot be written to."""
    folder = world.spool.parent
    shutil.rmtree(folder)
    folder.symlink_to(UNWRITABLE)
    failed = world.service.next_line(FAILED)
    await world.thread(world.database.stop)
    await world.within(failed, "the service says that it can write no file")
    await world.sleep(5, quick=1)
    works_again = world.service.next_line(WORKS_AGAIN)
    folder.unlink()
    folder.mkdir()
    await world.within(works_again, "the spool takes over")
    await world.thread(world.database.start)


async def damaged(world: World) -> None:
    """Bytes of the file overwritten while the service is down; what it held is lost, and said."""
    await world.thread(world.database.stop)
    await world.until(lambda: world.service.count(SPOOLING), "the spool takes over")
    await world.sleep(3, quick=1)
    world.before_restart = lambda: _damage(world)
    await world.kill_service()
    await world.until(lambda: world.service.count("and was renamed to"), "the service sets the file aside")
    await world.thread(world.database.start)


async def absent(world: World) -> None:
    """The database stopped, and no file to keep anything in."""
    await world.thread(world.database.stop)
    await world.sleep(10, quick=2)
    await world.thread(world.database.start)


def _limit_files(world: World, size: int) -> None:
    """Let no file of the service grow beyond this."""
    _, hard = resource.prlimit(world.service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(world.service.pid, resource.RLIMIT_FSIZE, (size, hard))


def _damage(world: World) -> None:
    """Overwrite the beginning, or something in each page, or cut the file in half."""
    path = world.random.choice(world.spool_files)
    data = bytearray(path.read_bytes())
    way = world.random.randrange(3)
    world.details["damage"] = ("beginning", "pages", "half")[way]
    if way == 0:
        data[:100] = world.random.randbytes(100)
    elif way == 1:
        for page in range(4096, len(data), 4096):
            data[page + 8 : page + 72] = world.random.randbytes(64)
    else:
        del data[len(data) // 2 :]
    path.write_bytes(data)
    # Killed in the middle of a save, it has left a journal from which SQLite would mend the pages.
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
