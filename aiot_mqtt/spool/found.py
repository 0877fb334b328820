"""A spool's file that this process did not make: whose it is, and whether it is what this service writes.

It is judged like anything that a stranger may have put there, before a row of it goes anywhere.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..telemetry.bilingual import listed
from ..telemetry.reasons import spool as reasons
from .contents import Held
from .damage import SpoolDamaged, damage
from .disk import MAX_BYTES, Disk, SpoolError, why_not_ours
from .file import SpoolFile
from .format import APPLICATION_ID, FORMAT, MAX_NUMBER, TABLES, TABLES_1
from .names import JOURNAL_SUFFIX

MAX_OWNER = 200_000  # characters of a file's owner that are read; a topic prefix has up to 65,535 bytes
_LISTS = ("host", "topic_prefix")
_OTHER_SUFFIXES = ("-wal", "-shm")  # of what SQLite would look for beside a file, but for the journal


class SpoolForeign(SpoolError):
    """The file is somebody else's, or of a newer version: it is neither read, nor written, nor deleted."""


@dataclass(frozen=True, slots=True)
class SpoolOwner:
    """Whose states a file holds: the table they belong in, and what decides what they mean."""

    host: str
    """Those of one database, with commas where there are several, and a port where it is another one than ``port``."""
    port: int
    database: str
    table: str
    topic_prefix: str
    """With commas where there are several."""
    time_zone: str

    def __str__(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    def differs_from(self, other: str) -> str | None:
        """In which settings a file's owner is another one, in words; None: it is this one."""
        theirs = _members(other)
        if theirs is None:
            return reasons.OF_NOBODY
        ours = asdict(self)
        differing = [
            reasons.OTHER_SETTING.fill(name=name, theirs=f"{theirs.get(name)!r:.80}", ours=f"{ours[name]!r}")
            for name in ours
            if theirs.get(name) != ours[name] and not (name in _LISTS and _share(ours[name], theirs.get(name)))
        ]
        return reasons.FOR_OTHERS.fill(settings=listed(differing, "; ", "；")) if differing else None

    def has_less_than(self, other: str) -> bool:
        """Whether a file's owner had topics that are not this one's any more. Another instance may have them by now,
        and have written what is newer.
        """
        theirs = (_members(other) or {}).get("topic_prefix")
        return isinstance(theirs, str) and not {*theirs.split(",")} <= {*self.topic_prefix.split(",")}

    @classmethod
    def in_words(cls, text: str) -> str:
        """What a file says of its owner, fit for a terminal whoever wrote it."""
        members = _members(text) or {}
        names = [field.name for field in fields(cls)]
        return ", ".join(f"{name} {members.get(name)!r:.80}" for name in names)


def _share(ours: str, theirs: object) -> bool:
    """Whether something is in both lists: to a database servers are added, and to an instance topics, and taken away,
    while states wait.
    """
    return isinstance(theirs, str) and not {*ours.split(",")}.isdisjoint(theirs.split(","))


def _members(text: str) -> dict[str, object] | None:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None


def open_found(path: Path, disk: Disk, owner: SpoolOwner | None) -> SpoolFile | None:
    """A file that this process did not make, judged like anything a stranger may have put there.

    Returns None where nothing is in it, as in one that a process was about to make.

    :param owner: whose states it must hold; None: anybody's.
    :raises SpoolForeign: it is not to be touched. :raises SpoolDamaged: it was ours, and is broken.
    """
    if (reason := judge_outside(path, disk)) is not None:
        raise SpoolForeign(reason)
    _judge_head(disk.head(path))
    with damage():
        connection = disk.connect(path)
        try:
            file = SpoolFile(path, disk, connection, is_found=True)
            if not _judge(file, connection, owner):
                connection.close()
                return None
        except BaseException:
            connection.close()
            raise
    return file


def judge_outside(path: Path, disk: Disk) -> str | None:
    """Why a file that is there must not even be opened; None: it may be."""
    found = disk.find(path)
    assert found is not None
    if (reason := why_not_ours(found)) is not None:
        return reason
    if found.st_size > 2 * MAX_BYTES:
        return reasons.FILE_TOO_LARGE.fill(size=found.st_size)
    return _judge_beside(path, disk)


def _judge(file: SpoolFile, connection: sqlite3.Connection, owner: SpoolOwner | None) -> bool:
    """Whether there is anything in it, after a look at everything."""
    (found_format,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    schema = frozenset(
        (kind, name, sql and sql.strip())
        for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master")
    )
    if not schema:
        return False
    if application != APPLICATION_ID:
        raise SpoolForeign(reasons.OTHER_PROGRAMS)
    if found_format not in (1, FORMAT):
        raise SpoolForeign(reasons.OTHER_VERSION.fill(found=found_format, known=FORMAT))
    file.reading.is_old = found_format == 1
    if schema != (TABLES_1 if file.is_old else TABLES):
        raise SpoolForeign(reasons.OTHER_TABLES)
    if file.is_old:
        written_to = connection.execute("SELECT version FROM written_to LIMIT 2").fetchall()
        if len(written_to) != 1 or not isinstance(written_to[0][0], int):
            raise SpoolDamaged(reasons.NO_WRITTEN_MARK)
        file.reading.read_to = written_to[0][0]
        file.check_pages()
        file.total = file.count(file.reading.read_to)
    else:
        _judge_state(file, connection, owner)
    return bool(file.total.devices)


def _judge_state(file: SpoolFile, connection: sqlite3.Connection, owner: SpoolOwner | None) -> None:
    states = connection.execute("SELECT owner, generation, saves, devices, deliveries FROM spool LIMIT 2").fetchall()
    if len(states) != 1:
        raise SpoolDamaged(reasons.NO_STATE)
    theirs, *numbers = states[0]
    file.owner = str(theirs)[:MAX_OWNER]
    if owner is not None and (difference := owner.differs_from(file.owner)) is not None:
        raise SpoolForeign(difference)
    file.is_late = owner is not None and owner.has_less_than(file.owner)
    if not all(isinstance(number, int) and 0 <= number < MAX_NUMBER for number in numbers):
        raise SpoolDamaged(reasons.ODD_NUMBERS.fill(numbers=f"{numbers!r:.60}"))
    file.check_pages()
    file.total = file.count(0)
    file.generation, file.saves, devices, deliveries = numbers
    if file.total != Held(devices, deliveries):
        raise SpoolDamaged(reasons.OTHER_TOTAL.fill(devices=devices, deliveries=deliveries, total=file.total))
    file.order_offset = connection.execute(
        "SELECT IFNULL(MAX(MAX(seen_order, document_order, status_order, heartbeat_order)), 0) FROM device_update"
    ).fetchone()[0]


def _judge_beside(path: Path, disk: Disk) -> str | None:
    """Why what SQLite would read along with a file, or delete for it, must not be: a journal may name other files."""
    for suffix in (JOURNAL_SUFFIX, *_OTHER_SUFFIXES):
        beside = path.with_name(path.name + suffix)
        if (found := disk.find(beside)) is not None:
            reason = reasons.MAKES_NONE if suffix != JOURNAL_SUFFIX else why_not_ours(found)
            if reason is not None:
                return reasons.BESIDE.fill(name=beside.name, reason=reason)
    return None


def _judge_head(head: bytes) -> None:
    """Before SQLite sees it, which would convert and recover: whose a file is, by its header (file format, 1.3).

    :raises SpoolForeign: another program's. :raises SpoolDamaged: no database.
    """
    if not head:
        return
    if not head.startswith(b"SQLite format 3\0") or len(head) < 100:
        raise SpoolDamaged(reasons.NO_DATABASE)
    application = int.from_bytes(head[68:72], "big")
    if application not in (0, APPLICATION_ID) or head[18] != 1 or head[19] != 1:
        raise SpoolForeign(reasons.OTHER_PROGRAMS)
