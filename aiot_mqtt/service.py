"""The service, put together: who hands what to whom, and the order in which they stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import random
from socket import gethostname
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from .devices.report import ReportRules
from .devices.update import table_time
from .health.statistics import log_figures
from .health.systemd import Supervisor
from .ingest.committed_times import CommittedTimes
from .ingest.ingest import Ingest
from .ingest.pending import PendingUpdates
from .mqtt.kept_session import KeptSession
from .mqtt.options import connect_options
from .mqtt.rivals import Rivals
from .mqtt.tls_endpoint import broker_endpoint, sends_password_in_clear
from .mqtt.witness import Witness
from .page.assembly import health_services
from .presence.heard_devices import HeardDevices
from .presence.monitor import FUTURE, PresenceMonitor
from .process import session_file
from .settings.settings import Settings
from .spool.disk import Disk
from .spool.lifetime import warn_if_short_lived
from .spool.owner import spool_owner
from .spool.spool import Spool
from .spool.spooler import RunInThread, Spooler
from .spool.thread import SpoolThread
from .standby.assembly import fence_of, services_of, spooler_of, standing_of, subscriber_of, with_will
from .table.address import database_addresses, database_name, hosts_without_tls
from .table.contract import StoreService
from .table.mysql import DeviceTable
from .table.named import device_table
from .telemetry import log_lines
from .telemetry.asked import Asked
from .telemetry.counters import Counters
from .telemetry.refusals import Refusals
from .telemetry.survive import within
from .writing.writer import Writer


class AiotMqttService(MultiService):
    """The data path, put together: subscriber, ingest, pending, writer, table or spool; presence beside it.

    Its constructor is all the wiring there is: each part is given those that it calls, by the protocols that these
    keep (``Receiver``, ``PendingListener``, ``Store``, ``FlowControl``), or they are added to it as its listeners.

    ``MultiService`` stops its children all at once; here the order is the point: take no more, write what is pending,
    acknowledge it, disconnect, close the pool.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        stop_began: Callable[[float], None] = lambda _timeout: None,
        *,
        log_observer: ILogObserver | None = None,
        supervisor: Supervisor | None = None,
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
        :param log_observer: what twistd logs with, in place of its own.
        :param supervisor: systemd, where it started the process and wants to be told.
        :param table: written instead of the table that the settings name; its ``str`` is what log lines call it.
        :param is_trial: with the settings of ``for_trial``, and no kept session.
        :param endpoint: dialled instead of the broker that the settings name.
        :param disk: where the spool's files are.
        :param run_in_spool_thread: runs the spool's calls; None: in a thread of their own.
        :param wall_clock: seconds since the epoch.
        :param jitter: seconds added to each delay between attempts at broker and database.
        """
        super().__init__()
        self._settings = settings
        self._reactor = reactor
        self._stop_began = stop_began
        self._log_observer = log_observer
        self._is_trial = is_trial
        self._started_at = reactor.seconds()
        log_each = settings.log_level == "DEBUG"
        zone, resolution = settings.db_timezone, settings.last_seen_resolution

        # What is handed on, and what is known of it.
        self.counters = counters = Counters()
        self._refusals = refusals = Refusals(counters, reactor)
        rules = ReportRules(settings.mqtt_topic_prefix, settings.device_status_values)
        pending, asked = PendingUpdates(), Asked(reactor)
        committed_times = CommittedTimes(resolution, pending) if resolution else None
        heard = HeardDevices(counters, reactor, pending, zone, wall_clock) if settings.heartbeat_timeout else None

        # Whether it is this instance that writes, where there are several.
        self._is_real = endpoint is None
        endpoint = endpoint or broker_endpoint(settings, reactor)
        options = connect_options(settings, is_trial=is_trial)
        self._standing = standing = standing_of(
            settings, endpoint, options, reactor, host=gethostname(), wall_clock=wall_clock, jitter=jitter
        )

        rivals = Rivals(Witness(endpoint, options, reactor) if self._is_real else None, reactor)

        # Table and disk.
        self.table: StoreService = table or device_table(settings, reactor, fence_of(standing or rivals))
        database = str(table or database_name(database_addresses(settings)))
        self._spooler: Spooler | None = None
        self._spool_thread: SpoolThread | None = None
        if settings.spool_file:
            if run_in_spool_thread is None:
                self._spool_thread = SpoolThread(reactor)
                run_in_spool_thread = self._spool_thread.run
            spool = Spool(Path(settings.spool_file).absolute(), spool_owner(settings), disk)
            self._spooler = spooler_of(standing)(spool, run_in_spool_thread, counters, refusals, reactor)

        # From the broker to the table.
        broker = f"{settings.mqtt_broker}:{settings.mqtt_port}"
        self._kept_session = KeptSession(
            session_file(settings), f"{settings.mqtt_client_id} {broker}", counters, wall_clock
        )
        self.subscriber = subscriber_of(standing)(
            endpoint,
            with_will(standing, options),
            rules.topic_filters,
            reactor,
            host=settings.mqtt_broker,
            port=settings.mqtt_port,
            protocol=settings.mqtt_protocol,
            kept_session=None if is_trial or standing is not None else self._kept_session,
            rivals=None if standing else rivals,
            jitter=jitter,
        )
        self.writer = Writer(
            self.table,
            pending,
            counters,
            refusals,
            reactor,
            latest=lambda: table_time(wall_clock() + FUTURE, zone),
            flow_control=self.subscriber,
            spooler=self._spooler,
            database=database,
            may_write=(standing or rivals).may_write,
            may_save=standing.may_write if standing else rivals.may_save,
            jitter=jitter,
        )
        self.ingest = Ingest(
            rules,
            pending,
            counters,
            refusals,
            table_zone=zone,
            writer=self.writer,
            foreign_topics=self.subscriber,
            wall_clock=wall_clock if standing is None else standing.stamps,
            log_messages=log_each,
            committed_times=committed_times,
            heard=heard,
            asked=asked,
        )
        # While another process of this service has the spool, the session is that one's, too: what this one received
        # meanwhile would be older, by its turn, than what the other has acknowledged.
        self.subscriber.deliver_to(self.ingest, may_begin=self.writer.until_known)
        self.writer.add_table_listener(self.ingest)
        beside = services_of(standing or rivals, self.writer, self.table, committed_times, reactor)
        children: list[Any] = [self.table, self.writer, *beside, self.subscriber]
        if committed_times is not None:
            self.writer.add_listener(committed_times)

        # Who is silent.
        presence = None
        if heard is not None:
            presence = PresenceMonitor(
                self.table,
                self.writer,
                heard,
                counters,
                reactor,
                subscription=self.subscriber,
                timeout=settings.heartbeat_timeout,
                check_interval=settings.heartbeat_check_interval,
                table_zone=zone,
                resolution=resolution,
                row_changes=None if committed_times is None else committed_times.unsettle,
                wall_clock=wall_clock,
                log_devices=log_each,
            )
            self.writer.add_listener(heard)
            self.subscriber.add_listener(presence)
            children.append(presence)

        # Whether messages are safe.
        children += health_services(
            settings,
            reactor,
            subscriber=self.subscriber,
            writer=self.writer,
            spooler=self._spooler,
            presence=presence,
            counters=counters,
            table=self.table,
            endpoint=endpoint,
            remembered=refusals.remembered,
            asked=asked,
            addresses=(broker, database),
            wall_clock=wall_clock,
            supervisor=supervisor,
            standing=standing,
            is_on_turn=lambda: (standing or rivals).is_on_turn,
            asks_broker=self._is_real,
        )
        for child in children:
            child.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Bring the log observer along: twistd asks the application for it."""
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start table, writer and subscriber; each waits for what it needs."""
        self._started_at = self._reactor.seconds()
        self._warn_of_passwords_in_clear()
        self._kept_session.begin()
        if self._is_trial:
            self._log.info(log_lines.TRIAL, client_id=self._settings.mqtt_client_id)
        elif self._spooler is None:
            self._log.warn(log_lines.SPOOL_OFF, window=self._settings.mqtt_receive_maximum)
        elif self._is_real:
            self._reactor.callInThread(warn_if_short_lived, Path(self._settings.spool_file).absolute())
        if self._spool_thread is not None:
            self._spool_thread.start()
        self.ingest.start()
        super().startService()

    def _warn_of_passwords_in_clear(self) -> None:
        settings = self._settings
        if sends_password_in_clear(settings):
            self._log.warn(log_lines.MQTT_PASSWORD_IN_CLEAR, host=settings.mqtt_broker)
        if (hosts := hosts_without_tls(settings)) and isinstance(self.table, DeviceTable):
            self._log.warn(log_lines.DATABASE_PASSWORD_IN_CLEAR, host=hosts)

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
            if child not in (self.writer, self._standing, self.subscriber, self.table):
                await maybeDeferred(child.stopService)
        # Each gets what time is left, less a little for those after it to end in order.
        last: list[tuple[Any, float]] = [(self.writer, 1.0), (self.subscriber, 0.5), (self.table, 0.2)]
        if self._standing is not None:
            last.insert(1, (self._standing, 0.6))
        for child, reserve in last:
            left = max(0.1, deadline - self._reactor.seconds() - reserve)
            await within(maybeDeferred(child.stopService), left, self._reactor)
        self._kept_session.end()
        if self._spooler is not None:
            await within(self._spooler.close(), 0.1, self._reactor)
        if self._spool_thread is not None:
            self._spool_thread.stop()
        log_figures(self.counters, self.writer, self._reactor.seconds() - self._started_at)
        self._refusals.close()
        spooled = self.writer.spooled
        if left_over := self.writer.deliveries - spooled:
            self._log.warn(log_lines.STOPPED_WITH_MESSAGES_LEFT, deliveries=left_over)
        elif spooled:
            self._log.warn(log_lines.STOPPED_WITH_SPOOL, deliveries=spooled, path=self._settings.spool_file)
        else:
            self._log.info(log_lines.STOPPED)
