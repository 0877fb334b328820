"""The service, put together: who hands what to whom, and the order in which they stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import random
from typing import Any, TypeVar

from twisted.application.internet import TimerService
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.threadpool import ThreadPool

from .devices.report import ReportRules
from .devices.update import table_time
from .ingest.committed_times import CommittedTimes
from .ingest.ingest import Ingest
from .ingest.pending import PendingUpdates
from .mqtt.kept_session import KeptSession
from .mqtt.options import ConnectOptions
from .mqtt.subscriber import Subscriber
from .mqtt.tls_endpoint import broker_endpoint, sends_password_in_clear
from .presence.heard_devices import HeardDevices
from .presence.monitor import PresenceMonitor
from .process import session_file
from .settings.settings import Settings
from .spool.disk import Disk
from .spool.found import SpoolOwner
from .spool.spool import Spool
from .spool.spooler import RunInThread, Spooler
from .table.address import database_address, logs_in_without_tls
from .table.contract import StoreService
from .table.mysql import DeviceTable
from .telemetry import log_lines
from .telemetry.counters import Counters
from .telemetry.refusals import Refusals
from .writing.writer import Writer

T = TypeVar("T")


def spool_owner(settings: Settings) -> SpoolOwner:
    """Whose states the spool holds."""
    return SpoolOwner(
        host=settings.db_host,
        port=settings.db_port,
        database=settings.db_name,
        table=settings.db_table,
        topic_prefix=settings.mqtt_topic_prefix,
        time_zone=str(settings.db_timezone),
    )


class AiotMqttService(MultiService):
    """The data path, put together: subscriber, ingest, pending, writer, table.

    Each child works alone too. ``MultiService`` stops its children all at once; here the order is the point: take no
    more, write what is pending, acknowledge it, disconnect, close the pool.
    """

    _log = Logger()
    log_observer: ILogObserver | None = None
    _presence: PresenceMonitor | None = None

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        stop_began: Callable[[float], None] = lambda _timeout: None,
        *,
        table: StoreService | None = None,
        is_trial: bool = False,
        endpoint: IStreamClientEndpoint | None = None,
        disk: Disk | None = None,
        run_in_spool_thread: RunInThread | None = None,
        wall_clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random,
    ) -> None:
        """
        :param reactor: the reactor that everything runs on; its ``seconds`` should be monotonic.
        :param stop_began: told, when stopping begins, how many seconds it may take.
        :param table: written instead of the table that the settings name; its ``str`` is what log lines call it.
        :param is_trial: with the settings of ``for_trial``, and no kept session.
        :param endpoint: dialled instead of the broker that the settings name.
        :param disk: where the spool's files are.
        :param run_in_spool_thread: runs the spool's calls; None: in a thread of their own.
        :param wall_clock: seconds since the epoch.
        :param jitter: seconds added to each delay between attempts at broker and database.
        """
        super().__init__()
        self._stop_began = stop_began
        self._settings = settings
        self._reactor = reactor
        self.counters = Counters()
        self._received_at_last_statistics = 0
        database = database_address(settings)
        self._has_own_table = table is None
        self.table: StoreService = table or DeviceTable(
            database,
            settings.db_password.reveal(),
            reactor,
            pool_size=settings.db_pool_size,
            max_overflow=settings.db_max_overflow,
            pool_recycle=settings.db_pool_recycle,
        )
        refusals = Refusals(self.counters, reactor)
        pending = PendingUpdates()
        resolution = settings.last_seen_resolution
        committed_times = CommittedTimes(resolution, pending.__contains__) if resolution else None
        self.ingest = Ingest(
            ReportRules(settings.mqtt_topic_prefix, settings.device_status_values),
            pending,
            self.counters,
            refusals,
            table_zone=settings.db_timezone,
            wake_writer=lambda: self.writer.wake(),  # noqa: PLW0108 the writer is made below
            wall_clock=wall_clock,
            log_messages=settings.log_level == "DEBUG",
            committed_times=committed_times,
        )
        self._spool_threads: ThreadPool | None = None
        self._has_own_thread = run_in_spool_thread is None
        self._spooler: Spooler | None = None
        if settings.spool_file:
            spool = Spool(Path(settings.spool_file).absolute(), spool_owner(settings), disk)
            run_in_thread = run_in_spool_thread or self._run_in_spool_thread
            self._spooler = Spooler(spool, run_in_thread, self.counters, reactor)
        self.writer = Writer(
            self.table,
            pending,
            self.counters,
            refusals,
            reactor,
            now=lambda: table_time(wall_clock(), settings.db_timezone),
            spooler=self._spooler,
            window=lambda: self.subscriber.window,
            window_exceeded=lambda: self.subscriber.pause_reading(),  # noqa: PLW0108 it is made below
            database=str(table or database),
            table_described=self.ingest.table_described,
            jitter=jitter,
        )
        if committed_times is not None:
            self.writer.add_listener(committed_times)
        self._is_trial = is_trial
        session = f"{settings.mqtt_client_id} {settings.mqtt_broker}:{settings.mqtt_port}"
        self._kept_session = KeptSession(session_file(settings), session, lambda: self.counters.received, wall_clock)
        self.subscriber = Subscriber(
            endpoint or broker_endpoint(settings, reactor),
            ConnectOptions(
                client_id=settings.mqtt_client_id,
                username=settings.mqtt_username,
                password=settings.mqtt_password.reveal(),
                keepalive=settings.mqtt_keepalive,
                session_expiry=0 if is_trial else settings.mqtt_session_expiry,
                receive_maximum=settings.mqtt_receive_maximum,
                max_payload=settings.mqtt_max_payload,
            ),
            self.ingest,
            reactor,
            host=settings.mqtt_broker,
            port=settings.mqtt_port,
            topic_prefix=settings.mqtt_topic_prefix,
            protocol=settings.mqtt_protocol,
            kept_session=None if is_trial else self._kept_session,
            session_lost=lambda: None if self._presence is None else self._presence.session_lost(),
            # While another process of this service has the spool, the session is that one's, too: what this one
            # received meanwhile would be older, by its turn, than what the other has acknowledged.
            may_begin=self.writer.until_known,
            jitter=jitter,
        )
        self.ingest.foreign_topic_received = self.subscriber.foreign_topic_received
        children: list[Any] = [self.table, self.writer, self.subscriber]
        if settings.heartbeat_timeout:
            heard = HeardDevices(self.counters, reactor, pending, settings.db_timezone, wall_clock)
            self._presence = presence = PresenceMonitor(
                self.table,
                self.writer,
                heard,
                self.counters,
                reactor,
                subscription=self.subscriber,
                timeout=settings.heartbeat_timeout,
                check_interval=settings.heartbeat_check_interval,
                table_zone=settings.db_timezone,
                resolution=resolution,
                row_changes=None if committed_times is None else committed_times.unsettle,
                wall_clock=wall_clock,
                log_devices=settings.log_level == "DEBUG",
            )
            self.writer.add_listener(heard)
            self.ingest.heard_unchanged = heard.heard_unchanged
            children.append(presence)
        if settings.stats_interval:
            statistics = TimerService(settings.stats_interval, self._log_statistics)
            statistics.clock = reactor
            children.append(statistics)
        for child in children:
            child.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Bring the log observer along: twistd asks the application for it."""
        if self.log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log_observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start table, writer and subscriber; each waits for what it needs."""
        self._warn_of_passwords_in_clear()
        self._kept_session.begin()
        if self._is_trial:
            self._log.info(log_lines.TRIAL, client_id=self._settings.mqtt_client_id)
        elif self._spooler is None:
            self._log.warn(log_lines.SPOOL_OFF, window=self._settings.mqtt_receive_maximum)
        if self._spooler is not None and self._has_own_thread:
            # A thread of its own: those of the reactor may all be in name look-ups that hang.
            self._spool_threads = ThreadPool(0, 1, "spool")
            self._spool_threads.start()
        self.ingest.start()
        super().startService()

    def _warn_of_passwords_in_clear(self) -> None:
        settings = self._settings
        if sends_password_in_clear(settings):
            self._log.warn(log_lines.MQTT_PASSWORD_IN_CLEAR, host=settings.mqtt_broker)
        if logs_in_without_tls(settings) and self._has_own_table:
            self._log.warn(log_lines.DATABASE_PASSWORD_IN_CLEAR, host=settings.db_host)

    def _run_in_spool_thread(self, function: Callable[..., T], *arguments: object) -> Deferred[T]:
        assert self._spool_threads is not None
        running: Deferred[T] = deferToThreadPool(self._reactor, self._spool_threads, function, *arguments)
        return running

    def stopService(self) -> Deferred[None]:
        """Stop in order; fires when all is stopped, or after ``SHUTDOWN_TIMEOUT``."""
        Service.stopService(self)
        self._log.info(log_lines.STOPPING, deliveries=self.writer.deliveries)
        stopping = Deferred.fromCoroutine(self._stop_in_order())
        return stopping.addErrback(lambda failure: self._log.failure(log_lines.STOP_FAILED_UNEXPECTEDLY, failure))

    async def _stop_in_order(self) -> None:
        deadline = self._reactor.seconds() + self._settings.shutdown_timeout
        self._stop_began(self._settings.shutdown_timeout)
        self.ingest.stop()
        for child in self:
            if child not in (self.writer, self.subscriber, self.table):
                await maybeDeferred(child.stopService)
        # Each gets what time is left, less a little for those after it to end in order.
        for child, reserve in ((self.writer, 1.0), (self.subscriber, 0.5), (self.table, 0.2)):
            left = max(0.1, deadline - self._reactor.seconds() - reserve)
            await _within(child.stopService(), left, self._reactor)
        self._kept_session.end()
        if self._spooler is not None:
            await _within(self._spooler.close(), 0.1, self._reactor)
        if self._spool_threads is not None:
            self._spool_threads.stop()
        self._log_figures()
        spooled = self.writer.spooled
        if left_over := self.writer.deliveries - spooled:
            self._log.warn(log_lines.STOPPED_WITH_MESSAGES_LEFT, deliveries=left_over)
        elif spooled:
            self._log.warn(log_lines.STOPPED_WITH_SPOOL, deliveries=spooled, path=self._settings.spool_file)
        else:
            self._log.info(log_lines.STOPPED)

    def _log_statistics(self) -> None:
        if self.counters.received != self._received_at_last_statistics:
            self._received_at_last_statistics = self.counters.received
            self._log_figures()

    def _log_figures(self) -> None:
        figures = {**self.counters.as_dict(), "pending": self.writer.deliveries}
        self._log.info(log_lines.STATISTICS, figures=" ".join(f"{name}={value}" for name, value in figures.items()))


async def _within(work: Deferred[Any], seconds: float, clock: Any) -> None:
    """Wait, and go on without it when it takes too long or fails: what follows must be stopped all the same."""
    # A coroutine that is cancelled may go on for as long as it likes, and what it runs in fires only then.
    over: Deferred[None] = Deferred()
    timeout = clock.callLater(seconds, over.callback, None)
    work.addErrback(lambda failure: Logger().debug("stopping: {error}", error=failure.getErrorMessage()))
    await DeferredList([work, over], fireOnOneCallback=True)
    if timeout.active():
        timeout.cancel()
    else:
        work.cancel()
