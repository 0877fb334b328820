"""This host: files, settings, the running service, the spool and its disk."""

from __future__ import annotations

import os
import pwd
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ..health.command import TIMEOUT, NotRunning, ask, fetch_json, is_alive
from ..health.state import State
from ..mqtt.tls_endpoint import broker_endpoint
from ..settings.earlier_service import looks_url_encoded
from ..settings.exposure import exposed_files
from ..settings.settings import DEFAULT_ENV_FILE, ConfigError, Settings, Texts, judge, read_texts
from ..spool.disk import SpoolError
from ..spool.found import SpoolOwner
from ..spool.inspection import candidates, inspect_all
from ..spool.lifetime import why_short_lived
from ..table.address import database_addresses
from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import printable
from .findings import Findings
from .texts import local as texts
from .words import both, causes

NAMES = "newest_unknown_uuids"
NOTHING_IN_IT = "nothing is in it"
BYTES_A_DEVICE = 500  # of the spool: 208 MB for a million devices with short documents, and a journal beside it
SHOWN = 300  # characters of a sentence of the service
TWINS_FROM = 3  # times in ten minutes; once or twice may be the network, or a restart of the broker
LEAST_ROOM = 64  # MB
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Service:
    """What the running service says of itself at ``/readyz``, as far as the check needs it."""

    state: str
    sentence: Bilingual
    is_met: Mapping[str, bool]
    """Its conditions, by id."""
    version: str
    taken_over: int | None
    is_rivalled: bool
    commit_seconds: float | None
    flapping: tuple[int, int] | None
    """Devices that report too seldom, and their interval in seconds."""
    unknown: int = 0
    """Names that no row has and that sent something in the last ten minutes."""
    unknown_names: tuple[str, ...] = ()
    """The newest of them, where we may know."""

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Service:
        """:raises ValueError: another program has answered; so do KeyError and TypeError."""
        sentence, flapping = answer["sentence"], answer.get("flapping")
        taken_over, commit = answer.get("taken_over"), answer.get("commit_seconds")
        return cls(
            state=State(answer["state"]).value,
            sentence=Bilingual(printable(sentence["en"], SHOWN), printable(sentence["zh"], SHOWN)),
            is_met={str(each["id"]): bool(each["ok"]) for each in answer["conditions"]},
            version=printable(str(answer.get("version", "")), 40),
            taken_over=None if taken_over is None else int(taken_over),
            is_rivalled=bool(answer.get("rival")),
            commit_seconds=None if commit is None else float(commit),
            flapping=None if flapping is None else (int(flapping["devices"]), int(flapping["interval_seconds"])),
            unknown=int(answer.get("unknown_uuids") or 0),
        )

    def with_names(self, address: tuple[str, int], token: str) -> Service:
        """The same with what it tells only those who may know its devices."""
        if not self.unknown:
            return self
        try:
            names = fetch_json(address, "/status", token, NAMES)[NAMES]
        except NotRunning:
            return self
        named = names if isinstance(names, list) else []
        return replace(self, unknown_names=tuple(name for name in named if isinstance(name, str)))


def user_name() -> str:
    """Whom the check runs as."""
    return _name_of(os.geteuid())


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def read_settings(environ: Mapping[str, str], env_file: str | None, findings: Findings) -> tuple[Settings | None, str]:
    """The settings, None where they have mistakes, each of which is told; and the language to tell it in."""
    path = Path(env_file or DEFAULT_ENV_FILE)
    try:
        read = read_texts(environ, env_file)
    except (ConfigError, OSError) as error:  # the latter where we may not enter the folder
        if not _tell_unreadable(path, findings):
            reason = str(error).partition("cannot be read: ")[2] or str(error)
            findings.error("local.files", texts.FILE_MISSING, path=str(path), reason=reason)
        return None, "zh"
    language = "en" if read.by_name.get("LOG_LANGUAGE") == "en" else "zh"
    unreadable = [name for name, file in _files(read) if _tell_unreadable(Path(file), findings)]
    exposed = list(exposed_files(read))
    for name, file, mode in exposed:
        findings.warning("local.files", texts.FILE_EXPOSED, path=file, name=name, mode=f"{mode:04o}")
    if not (unreadable or exposed):
        findings.ok("local.files", texts.FILES, user=user_name())
    try:
        settings = judge(read)
    except ConfigError as error:
        for mistake in error.mistakes:
            if not any(f"{name}: " in mistake for name in unreadable):
                findings.error("local.settings", texts.SETTINGS_MISTAKE, mistake=both(mistake))
        return None, language
    if read.file is None and not read.by_name:  # a container has them in its environment
        findings.warning("local.settings", texts.SETTINGS_NO_FILE, file=str(path), folder=os.getcwd())
    if looks_url_encoded(settings.db_password.reveal()):
        findings.warning("local.settings", texts.PASSWORD_URL_ENCODED)
    return settings, language


def unusable_files(settings: Settings, reactor: Any) -> list[str]:
    """The mistakes in certificates and keys that the settings name."""
    mistakes: list[str] = []
    for look in (lambda: broker_endpoint(settings, reactor), lambda: database_addresses(settings)):
        try:
            look()
        except ConfigError as error:
            mistakes += error.mistakes
    return mistakes


def settings_are_usable(settings: Settings, reactor: Any, findings: Findings) -> bool:
    """Whether the certificates and keys that they name are such."""
    mistakes = unusable_files(settings, reactor)
    for mistake in mistakes:
        findings.error("local.settings", texts.SETTINGS_MISTAKE, mistake=both(mistake))
    if not findings.has("local.settings"):
        findings.ok("local.settings", texts.SETTINGS)
    return not mistakes


def _files(read: Texts) -> Iterator[tuple[str, str]]:
    """The files that the settings name and that must be there: those with secrets, keys and certificates."""
    for name, path in read.by_name.items():
        if path and name.endswith("_FILE") and name not in ("SPOOL_FILE", "LOG_FILE"):
            yield name, path


def _tell_unreadable(path: Path, findings: Findings) -> bool:
    """Whether this user may not read what is there; tells it. Not by opening it: it may be a pipe, to be read once."""
    mode, owner, user = "?", "?", user_name()
    try:
        found = path.stat()
    except PermissionError:  # a folder above it does not let us in
        pass
    except OSError:
        return False
    else:
        if os.access(path, os.R_OK):
            return False
        mode, owner = f"{stat.S_IMODE(found.st_mode):04o}", _name_of(found.st_uid)
    findings.error("local.files", texts.FILE_UNREADABLE, user=user, path=str(path), mode=mode, owner=owner, group=user)
    return True


def probe_service(settings: Settings, version: str, findings: Findings) -> Service | None:
    """Ask the running service; None: it cannot be asked."""
    if settings.http_listen is None:
        findings.unknown("local.service", texts.SERVICE_NOT_ASKED)
        return None
    try:
        service = Service.read(ask(settings.http_listen, "/readyz"))
        service = service.with_names(settings.http_listen, settings.http_token.reveal())
    except (ValueError, KeyError, TypeError) as error:
        findings.warning("local.service", texts.SERVICE_OTHER, reason=type(error).__name__)
        return None
    except NotRunning as error:
        if any(isinstance(cause, TimeoutError) for cause in _reasons(error)):
            findings.error("local.service", texts.SERVICE_STUCK, seconds=TIMEOUT)
        elif any(isinstance(cause, ValueError | KeyError | TypeError | HTTPException) for cause in causes(error)):
            findings.warning("local.service", texts.SERVICE_OTHER, reason=both(str(error)))
        else:
            findings.warning("local.service", texts.SERVICE_NOT_RUNNING, reason=both(str(error)))
        return None
    if is_alive(settings.http_listen):
        _judge_service(service, version, findings)
    else:
        findings.error("local.service", texts.SERVICE_NO_PROGRESS)
    return service


def probe_twins(settings: Settings, service: Service | None, findings: Findings) -> None:
    """Whether somebody else connects under the service's client id: two such push each other off again and again."""
    taken_over = None if service is None else service.taken_over
    if service is not None and service.is_rivalled:
        findings.error("service.twins", texts.TWINS_CERTAIN, client_id=settings.mqtt_client_id)
    elif taken_over is None:
        findings.unknown("service.twins", texts.TWINS_UNKNOWN, client_id=settings.mqtt_client_id)
    elif taken_over >= TWINS_FROM:
        findings.error("service.twins", texts.TWINS_SEEN, client_id=settings.mqtt_client_id, count=taken_over)
    else:
        findings.ok("service.twins", texts.TWINS, client_id=settings.mqtt_client_id)


def _reasons(error: BaseException) -> Iterator[object]:
    for cause in causes(error):
        yield cause
        yield getattr(cause, "reason", None)


def _judge_service(service: Service, version: str, findings: Findings) -> None:
    sentence, is_met = service.sentence, service.is_met
    if service.version and service.version != version:
        findings.warning("local.service", texts.SERVICE_OTHER_VERSION, running=service.version, installed=version)
    # In a fault the cause is mostly broker or database, which are looked at for themselves.
    if service.state == State.FAULT.value and not is_met.get("progress", True) and is_met.get("database", False):
        findings.error("local.service", texts.SERVICE_FAULT, sentence=sentence)
    elif service.state in (State.FAULT.value, State.LOOK.value):
        findings.warning("local.service", texts.SERVICE_LOOK, sentence=sentence)
    elif not findings.has("local.service"):
        findings.ok("local.service", texts.SERVICE, version=service.version or version, sentence=sentence)


def probe_spool(settings: Settings, owner: SpoolOwner, service: Service | None, findings: Findings) -> None:
    """Whether the spool can be written, and what waits in it. Its lock is not taken.

    :param owner: whose states the service looks for.
    :param service: a running one has its files open, and knows itself what is in them.
    """
    if not settings.spool_file:
        findings.warning("local.spool", texts.SPOOL_OFF)
        return
    path = Path(settings.spool_file).absolute()
    if (reason := _why_unwritable(path)) is not None:
        findings.error("local.spool", texts.SPOOL_UNWRITABLE, user=user_name(), path=str(path), reason=reason)
        return
    if (lost := why_short_lived(path)) is not None:
        findings.warning("local.spool", texts.SPOOL_SHORT_LIVED, path=str(path), reason=lost)
    if service is None:
        _inspect(path, owner, findings)
    if not findings.has("local.spool"):
        findings.ok("local.spool", texts.SPOOL, path=str(path))


def _why_unwritable(path: Path) -> Bilingual | None:
    folder = path.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return Bilingual(f"it may not write in the folder {folder}", f"目录 {folder} 不可写")
    if os.path.lexists(path) and not os.access(path, os.R_OK | os.W_OK):
        return Bilingual("the file is not for it", "无权读写该文件")
    if os.statvfs(folder).f_bavail == 0:
        return Bilingual("the disk is full", "磁盘已满")
    return None


def _inspect(path: Path, owner: SpoolOwner, findings: Findings) -> None:
    if not candidates(path):
        return
    try:
        found = inspect_all(path, owner, lambda _path, _update: None)
    except (OSError, sqlite3.Error, SpoolError) as error:
        findings.unknown("local.spool", texts.SPOOL_BUSY, path=str(path), reason=str(error))
        return
    for each in found:
        if each.verdict and each.verdict != NOTHING_IN_IT:
            findings.warning("local.spool", texts.SPOOL_ODD, path=str(each.path), verdict=each.verdict)
        elif each.devices:
            findings.warning(
                "local.spool", texts.SPOOL_WAITS, path=str(each.path), devices=each.devices, deliveries=each.deliveries
            )


def probe_disk(settings: Settings, devices: int | None, findings: Findings) -> None:
    """Whether the disk has room for the whole fleet. :param devices: rows of the table; None: not known."""
    if not settings.spool_file:
        findings.ok("local.disk", texts.DISK_NO_SPOOL)
        return
    path = Path(settings.spool_file).absolute()
    space = os.statvfs(path.parent)
    free = space.f_bavail * space.f_frsize // MB
    if devices is None:
        findings.unknown("local.disk", texts.DISK_UNKNOWN_FLEET, free_mb=free)
        return
    needed = LEAST_ROOM + devices * BYTES_A_DEVICE // MB
    tell = findings.warning if free < needed else findings.ok
    tell("local.disk", texts.DISK, free_mb=free, needed_mb=needed, devices=devices, path=str(path))
