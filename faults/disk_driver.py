"""A process that uses the spool as the service does, to have its system calls fail: ``python -m faults.disk_driver``.

Each line on standard input, ``NAME FOLDER``, makes a child play a story there; it says its process id, waits until it
is traced where the story has faults, and says at the end how it ended. What a child acknowledges and what it writes to
its table stands in ``FOLDER/events``, one line each: that is what a broker and a database would know.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiot_mqtt.spool.contents import Looked
from aiot_mqtt.spool.disk import SpoolError
from aiot_mqtt.spool.spool import Spool
from rig.spool_files import OWNER, update_of

PR_SET_PTRACER = 0x59616D61
LOTS = 1 << 30  # bytes
MAX_LOOKS = 50
SPOOL = "spool"
EVENTS = "events"


class Service:
    """What writer and saver do with the spool, in their order, without time.

    Its way with an error: it ``goes-on`` as the service does, ``dies``, or ``lies`` that all was saved, to see that
    this is found out.
    """

    def __init__(self, folder: Path, way: str = "") -> None:
        self._events = os.open(folder / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._way = way
        self._spool = Spool(folder / SPOOL, OWNER)
        self._order = 0
        self._is_empty = False

    def start(self) -> None:
        """Look at what is there."""
        self._look()

    def save(self, number: int, *devices: str) -> None:
        """Save a report with a number for each device, and acknowledge it: as often as it takes."""
        self._order += 1
        updates = [update_of(device, self._order, number) for device in devices]
        while True:
            try:
                self._spool.save(updates)
            except SpoolError as error:
                if self._failed(error).is_saved or self._way == "lies":
                    break
            else:
                break
        self._is_empty = False
        for device in devices:
            self._say("acknowledged", device, number)

    def write_chunk(self, devices: int = 1000, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Write a chunk of the spool to the table. :param meanwhile: called while the table has it."""
        try:
            chunk = self._spool.read(devices, LOTS, str)
            if chunk is None:
                return
            for update in chunk.updates:
                self._store(update.uuid, update.document)
            meanwhile()
            if chunk.file.is_open:
                self._spool.written(chunk)
            self._is_empty = self._spool.is_empty
        except SpoolError as error:
            self._failed(error)

    def empty(self) -> None:
        """Write all that is on disk to the table."""
        for _ in range(MAX_LOOKS):
            if self._is_empty:
                return
            self.write_chunk()
        raise SystemExit("the spool does not become empty")

    def write(self, number: int, *devices: str) -> None:
        """Write a report to the table, and acknowledge it."""
        self.empty()
        for device in devices:
            self._store(device, b'{"n": %d}' % number)
            self._say("acknowledged", device, number)

    def _failed(self, error: SpoolError) -> Looked:
        self._say("failed", type(error).__name__, 0)
        if self._way == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return self._look()

    def _look(self) -> Looked:
        for _ in range(MAX_LOOKS):
            try:
                looked = self._spool.look()
            except SpoolError as error:
                self._say("failed", type(error).__name__, 1)
                if self._way == "dies":
                    os.kill(os.getpid(), signal.SIGKILL)
                continue
            self._is_empty = looked.is_empty
            if looked.set_aside:
                self._say("set-aside", str(len(looked.set_aside)), 0)
            return looked
        raise SystemExit("the disk cannot be looked at")

    def _store(self, device: str, document: bytes | None) -> None:
        assert document is not None
        self._say("stored", device, int(document[6:-1]))

    def _say(self, what: str, device: str, number: int) -> None:
        os.write(self._events, f"{what} {device} {number}\n".encode())


def outage(service: Service) -> None:
    """Saves, an emptying in parts while the other file is filled, deletions, a write to the table, one more save."""
    service.start()
    service.save(1, "a", "b")
    service.save(2, "a", "c")
    service.write_chunk(2, meanwhile=lambda: service.save(3, "a", "d"))
    service.write(4, "a", "b")
    service.save(5, "a")


def after_damage(service: Service) -> None:
    """A file that is damaged is set aside, one beside it is emptied, and all goes on."""
    service.start()
    service.save(11, "e")
    service.write(12, "e")


def restart(service: Service) -> None:
    """What is there is written to the table."""
    service.start()
    service.empty()


STORIES: dict[str, Callable[[Service], None]] = {
    "outage": outage,
    "after-damage": after_damage,
    "restart": restart,
}


def _prepare_damage(folder: Path) -> None:
    service = Service(folder)
    service.start()
    service.save(1, "lost")
    service.write_chunk(1, meanwhile=lambda: service.save(2, "kept"))
    spool = folder / SPOOL
    if not spool.exists():  # what was emptied is gone, and what is kept is in the other file
        spool.write_bytes(b"damaged" * 1000)
        spool.chmod(0o600)


def _child(name: str, folder: Path) -> None:
    story, _, way = name.partition(":")
    if story == "prepare-damage":
        _prepare_damage(folder)
    else:
        service = Service(folder, way)
        if way:
            _wait_for_tracer()
        STORIES[story](service)
    os.kill(os.getpid(), signal.SIGKILL)  # nothing is closed in order


def _wait_for_tracer() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)  # where Yama would have only a parent do it
    while b"TracerPid:\t0\n" in Path("/proc/self/status").read_bytes():
        time.sleep(0.0005)


def main(lines: Sequence[str] | None = None) -> None:
    """Play what is asked for."""
    for line in lines or sys.stdin:
        name, folder = line.split()
        child = os.fork()
        if not child:
            try:
                _child(name, Path(folder))
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(1)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(
            "as it should" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else status, flush=True
        )


if __name__ == "__main__":
    main()
