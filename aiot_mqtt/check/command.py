"""``aiot-mqtt check``: all probes side by side, within twenty seconds and the time to listen."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO, TypeVar

import pymysql
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from ..devices.report import ReportRules
from ..settings.settings import Settings
from ..spool.found import SpoolOwner
from ..table.contract import StoreError
from .broker import BrokerProbe
from .capacity import probe_binlog, probe_throughput
from .database import Database, open_database, tell_lost
from .devices import probe_qos, probe_timeout, probe_unknown
from .findings import Findings
from .listening import Heard
from .local import (
    Service,
    probe_disk,
    probe_service,
    probe_spool,
    probe_twins,
    read_settings,
    settings_are_usable,
    user_name,
)
from .options import USUAL_LISTEN
from .report import Run, as_json, as_text, exit_code
from .rights import key_columns, least_grant
from .server import probe_server
from .table import Table, probe_table, probe_timezone
from .texts import local, own

BUDGET = 20.0  # s with ten of listening
ASKING = 6.0  # s for all that the service is asked
RESERVE = 4.0  # s of it, when listening ends at the latest

T = TypeVar("T")


@dataclass(slots=True)
class _Seen:
    """What one probe sees that another needs."""

    service: Service | None = None
    database: Database | None = None
    table: Table | None = None
    heard: Heard = field(default_factory=lambda: Heard(""))


class Check:
    """One run, from the settings on."""

    def __init__(self, only: tuple[str, ...], listen: float, version: str) -> None:
        self.findings = Findings()
        self._began = time.monotonic()
        self._only = only
        self._listen = listen
        self._version = version
        self._seen = _Seen()
        self._is_out_of_time = False

    def result(self, *, file: str, language: str, wanted_user: str) -> Run:
        """What was found, to be told; the parameters are those of ``Run``."""
        return Run(
            self.findings.complete(self._only),
            version=self._version,
            file=file,
            user=user_name(),
            language=language,
            time=datetime.now().astimezone(),
            seconds=time.monotonic() - self._began,
            is_broken=bool(self.findings.breakdowns),
            wanted_user=wanted_user,
        )

    async def run(self, settings: Settings, owner: Callable[[Settings], SpoolOwner], reactor: Any) -> None:
        """Look at everything that was asked for."""
        self._seen.heard = Heard(settings.mqtt_topic_prefix)
        if not settings_are_usable(settings, reactor, self.findings):
            return
        budget = BUDGET + max(0.0, self._listen - USUAL_LISTEN)
        working = Deferred.fromCoroutine(self._run(settings, owner, reactor, budget))

        def end() -> None:
            self.findings.breakdowns.append(own.OUT_OF_TIME.format(seconds=budget))
            self._is_out_of_time = True
            working.cancel()

        ending = reactor.callLater(budget, end)
        with contextlib.suppress(CancelledError):
            await working
        if ending.active():
            ending.cancel()

    async def _run(
        self, settings: Settings, owner: Callable[[Settings], SpoolOwner], reactor: Any, budget: float
    ) -> None:
        seen, only, findings = self._seen, self._only, self.findings

        def in_thread(work: Callable[..., T], *arguments: object) -> Deferred[T]:
            working: Deferred[T] = deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)
            return working

        parts: list[Deferred[Any]] = []
        if {"broker", "devices"} & {*only}:
            topics = ReportRules(settings.mqtt_topic_prefix).topic_filters
            until = reactor.seconds() + budget - RESERVE
            broker = BrokerProbe(settings, topics, findings, reactor)
            parts.append(self._guarded("broker", broker.run(seen.heard, self._listen, until)))
        if {"local", "database", "devices"} & {*only}:
            asking = in_thread(probe_service, settings, self._version, findings).addTimeout(ASKING, reactor)
            asking.addErrback(self._service_hangs)
            seen.service = await self._guarded("local", asking)
        if "local" in only:
            spool = in_thread(probe_spool, settings, owner(settings), seen.service, findings)
            parts.append(self._guarded("local", spool))
        if {"database", "devices"} & {*only}:
            parts.append(self._guarded("database", in_thread(self._look_at_database, settings)))
        await DeferredList(parts)
        if self._is_out_of_time:
            return
        await self._guarded("devices", in_thread(self._finish, settings))

    def _service_hangs(self, failure: Failure) -> None:
        """Somebody answers a byte now and then, which no timeout of a single read ends."""
        failure.trap(NotInTime)
        self.findings.error("local.service", local.SERVICE_STUCK, seconds=ASKING)

    def _look_at_database(self, settings: Settings) -> None:
        """In a thread."""
        seen, findings = self._seen, self.findings
        database = open_database(settings, findings)
        if database is None:
            return
        try:
            probe_server(database, settings, findings, is_served=seen.service is not None)
            seen.table = probe_table(database, settings, findings)
            database.rest()
        except (pymysql.err.Error, StoreError) as error:
            if not database.is_lost:
                raise
            tell_lost(error, findings)
        else:
            seen.database = database

    def _finish(self, settings: Settings) -> None:
        """In a thread: what needs two of the others."""
        seen, only, findings = self._seen, self._only, self.findings
        database, table, heard = seen.database, seen.table, seen.heard
        if "local" in only:
            probe_twins(settings, seen.service, findings)
        if "local" in only and not findings.failed("local.spool"):
            probe_disk(settings, table.rows if table else None, findings)
        if database is not None:
            try:
                if table is not None:
                    database.read_only()
                    probe_timezone(table.newest, settings, findings, is_fleet_active=heard.messages > 0)
                    probe_binlog(database, table, heard, findings)
                    if heard.is_subscribed or (seen.service is not None and seen.service.unknown):
                        probe_unknown(database, table.shape, seen.service, heard, findings)
                if findings.has("broker.login") or "broker" not in only:
                    probe_throughput(database, settings, seen.service, heard, findings)
            except (pymysql.err.Error, StoreError) as error:
                if not database.is_lost:
                    raise
                tell_lost(error, findings)
            finally:
                database.close()
        if heard.is_subscribed:
            probe_qos(heard, findings)
        if "devices" in only:
            probe_timeout(settings, seen.service, findings)

    def _guarded(self, group: str, work: Awaitable[T] | Deferred[T]) -> Deferred[T | None]:
        """Work whose own failure is told as that, and stops nothing else."""

        async def doing() -> T | None:
            try:
                return await work
            except CancelledError:  # out of time, which is told
                return None
            except Exception:  # a mistake of ours
                self.findings.broke(group, traceback.format_exc())
            return None

        return Deferred.fromCoroutine(doing())


def tell(run: Run, parsed: argparse.Namespace, output: TextIO) -> int:
    """Print it; returns the exit code."""
    code = exit_code(run, errors_only=parsed.errors_only)
    if parsed.as_json:
        text = json.dumps(as_json(run, code), ensure_ascii=False)
    else:
        text = as_text(run, code, verbose=parsed.verbose)
    output.write(text + "\n")
    output.flush()
    return code


def grant(settings: Settings) -> str:
    """The statement that gives the rights, as far as can be told for the account that the service has."""
    findings = Findings()
    database = open_database(settings, findings)
    if database is None:
        address = findings.value("database.login", "seen_from") or "127.0.0.1"
        return least_grant(settings, f"{settings.db_user}@{address}")
    try:
        return least_grant(settings, database.account, key_columns(database, settings))
    finally:
        database.close()


def read(environ: Mapping[str, str], env_file: str | None, check: Check) -> tuple[Settings | None, str]:
    """See ``read_settings``."""
    return read_settings(environ, env_file, check.findings)


def waiting(seconds: float, language: str) -> str:
    """What somebody reads who waits."""
    message, _ = own.LISTENING.filled({"seconds": f"{seconds:g}"})
    return message.chinese if language == "zh" else message
