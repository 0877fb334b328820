"""``aiot-mqtt spool``: what is on disk and whose; and how an operator takes it along, takes it over, or gives it up.

For while the service does not run, which has its files for itself.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..devices.update import COLUMNS, DeviceUpdate
from .disk import Disk, SpoolError, SpoolInUse
from .found import SpoolOwner, open_found
from .inspection import Inspected, candidates, inspect_all
from .names import is_set_aside, lock_of, remove_with_journal

EXIT_NOT_DONE = 1
EXIT_USAGE = os.EX_USAGE
EXIT_CANNOT_CREATE = os.EX_CANTCREAT
EXIT_DISK = os.EX_IOERR
EXIT_IN_USE = os.EX_TEMPFAIL


class _CannotCreate(Exception):
    """The file that was to be exported to."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="look there instead of at SPOOL_FILE")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--export", metavar="FILE", help="write every state that can be read as a line of JSON; - for standard output"
    )
    what.add_argument(
        "--adopt",
        action="store_true",
        help="what was saved under other settings is of these now, as after the database's host was renamed",
    )
    what.add_argument("--discard", action="store_true", help="delete what is there, after two questions")
    parser.add_argument("--yes-i-mean-it", action="store_true", help="with --discard: ask nothing")


def run(
    parsed: argparse.Namespace,
    path: Path,
    owner: SpoolOwner,
    *,
    output: IO[str],
    errors: IO[str],
    ask: Callable[[str], str] | None,
) -> int:
    """Do what the options say; returns the exit code.

    :param path: ``SPOOL_FILE``.
    :param owner: whose states the service looks for.
    :param ask: puts a question to somebody and returns the answer; None: nobody is there.
    """
    path = (parsed.path or path).absolute()
    code, reason = 0, ""
    try:
        if parsed.yes_i_mean_it and not parsed.discard:
            code, reason = EXIT_USAGE, "--yes-i-mean-it goes with --discard"
        elif parsed.discard and not parsed.yes_i_mean_it and ask is None:
            code, reason = EXIT_USAGE, "nobody is there to be asked; --yes-i-mean-it deletes without"
        elif not path.name:
            code, reason = EXIT_USAGE, f"{path} can be no file"
        elif parsed.export:
            with _exported(parsed.export, output) as lines, _for_itself(path):
                _show(path, inspect_all(path, owner, lambda *each: lines.write(_as_json(*each))), errors)
        else:
            with _for_itself(path):
                found = inspect_all(path, owner, lambda _path, _update: None)
                _show(path, found, output)
                if parsed.adopt:
                    code, reason = _adopt(found, owner, output)
                elif parsed.discard:
                    code, reason = _discard(path, found, output, None if parsed.yes_i_mean_it else ask)
    except SpoolInUse as error:
        code, reason = EXIT_IN_USE, str(error)
    except _CannotCreate as error:
        code, reason = EXIT_CANNOT_CREATE, str(error)
    except (OSError, SpoolError, sqlite3.Error) as error:
        code, reason = EXIT_DISK, str(error)
        if isinstance(error, sqlite3.OperationalError) and "locked" in reason:
            code, reason = EXIT_IN_USE, f"another process has {path} open"
    if reason:
        print(f"aiot-mqtt spool: {reason}", file=errors)
    return code


@contextmanager
def _exported(name: str, output: IO[str]) -> Iterator[IO[str]]:
    """Where to write to; a file is new, for nobody else, and gone again should this fail."""
    if name == "-":
        yield output
        return
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _CannotCreate(f"{name}: {error.strerror}") from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def _for_itself(path: Path) -> Iterator[None]:
    """Keep the service out meanwhile, and do nothing as root that the service could not undo.

    :raises SpoolInUse: it runs.
    """
    is_root = os.geteuid() == 0
    if is_root:
        # What SQLite makes beside a file must be the service's.
        there = next((each for each in candidates(path) if not each.is_symlink()), path.parent)
        found = os.lstat(there)
        os.setegid(found.st_gid)
        os.seteuid(found.st_uid)
    disk, lock, descriptor = Disk(), lock_of(path), None
    try:
        if disk.find(lock) is not None:  # it is not made here: the service makes it before anything else
            try:
                descriptor = disk.lock(lock)
            except BlockingIOError:
                sizes = ", ".join(f"{each.name} has {each.lstat().st_size} bytes" for each in candidates(path))
                reason = f"the service runs and has {path}: {sizes or 'nothing is there'}; stop it first"
                raise SpoolInUse(reason) from None
        yield
    finally:
        if descriptor is not None:
            disk.close(descriptor)
        if is_root:
            os.seteuid(0)
            os.setegid(os.getgid())


def _show(path: Path, found: list[Inspected], output: IO[str]) -> None:
    if not found:
        print(f"{path}: nothing is there, so nothing waits for the database", file=output)
    for file in found:
        age, written = time.time() - file.modified, time.localtime(file.modified)
        print(file.path, file=output)
        print(
            f"  last written {time.strftime('%Y-%m-%d %H:%M:%S', written)} ({_span(age)} ago), {file.size} bytes,"
            f" belongs to user {file.user}",
            file=output,
        )
        if file.owner:
            print(f"  for {file.owner}", file=output)
        if file.devices:
            print(
                f"  {file.devices} devices, {file.deliveries} messages, last heard from {file.earliest}"
                f" to {file.latest}",
                file=output,
            )
        print(f"  {file.verdict or 'the service will write it to the table'}", file=output)


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} seconds"


def _as_json(path: Path, update: DeviceUpdate) -> str:
    """One line. The document is as the device sent it, but for line breaks, which JSON has between values only."""
    fields = {
        "file": path.name,
        "uuid": update.uuid,
        **{column: getattr(update, name) for name, column in COLUMNS.items() if name != "document"},
        "messages": update.deliveries,
    }
    document = "null" if update.document is None else update.document.decode().replace("\n", " ").replace("\r", " ")
    return f'{json.dumps(fields)[:-1]}, "{COLUMNS["document"]}": {document}}}\n'


def _adopt(found: list[Inspected], owner: SpoolOwner, output: IO[str]) -> tuple[int, str]:
    adoptable = [file.path for file in found if file.is_adoptable]
    for path in adoptable:
        file = open_found(path, Disk(), None)
        assert file is not None
        try:
            file.give_to(str(owner))
        finally:
            file.close()
        print(f"{path}: is of these settings now", file=output)
    return (0, "") if adoptable else (EXIT_NOT_DONE, "nothing was saved under other settings")


def _discard(path: Path, found: list[Inspected], output: IO[str], ask: Callable[[str], str] | None) -> tuple[int, str]:
    """Delete what is there, once it was asked for. :param ask: None: ask nothing."""
    doomed = [file for file in found if file.path == path or not is_set_aside(file.path)]
    if not doomed:
        return 0, ""
    if folders := [file.path for file in doomed if stat.S_ISDIR(os.lstat(file.path).st_mode)]:
        return EXIT_NOT_DONE, f"{folders[0]} is a folder: delete it by hand"
    if ask is not None:
        devices = sum(file.devices for file in doomed)
        try:
            answer = ask(f"Give up the states of {devices} devices? They were told that they are safe. [y/N] ")
            is_meant = answer.strip().lower() in ("y", "yes")
            is_meant = is_meant and ask(f"Type {path.name} to delete it: ").strip() == path.name
        except EOFError:
            is_meant = False
        if not is_meant:
            return EXIT_NOT_DONE, "nothing was deleted"
    disk = Disk()
    for file in doomed:
        remove_with_journal(file.path, disk)
        print(f"{file.path}: deleted", file=output)
    disk.sync_folder(path.parent)
    return 0, ""
