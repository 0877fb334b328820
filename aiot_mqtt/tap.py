"""``twistd aiot-mqtt``: options, how the services are put together, and the order in which they stop.

The only place that sees ``os.environ`` and the global reactor.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import random
from typing import Any, NoReturn, TypeVar

from twisted.application.internet import TimerService
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import react
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.threadpool import ThreadPool
from twisted.python.usage import Options as UsageOptions

from . import __version__
from .devices.report import ReportRules
from .devices.update import table_time
from .ingest.committed_times import CommittedTimes
from .ingest.ingest import Ingest
from .ingest.pending import PendingUpdates
from .mqtt.connection import ConnectOptions
from .mqtt.subscriber import Subscriber
from .presence.monitor import PresenceMonitor
from .settings.settings import ConfigError, Settings, load_settings
from .spool.disk import Disk
from .spool.found import SpoolOwner
from .spool.spool import Spool
from .spool.spooler import RunInThread, Spooler
from .table.contract import StoreService
from .table.mysql import DatabaseAddress, DeviceTable
from .telemetry import log_lines
from .telemetry.counters import Counters
from .telemetry.logs import make_observer, open_streams
from .telemetry.refusals import Refusals
from .writing.writer import Writer

T = TypeVar("T")

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; the unit's RestartPreventExitStatus= names it
DAEMON_LOG_FILE = "mqtt_service.log"


class Options(UsageOptions):
    """Options of the subcommand; everything else is set in the environment or in a ``.env``."""

    optParameters = [  # noqa: RUF012 Twisted's way
        ["env-file", None, None, "Read settings from this file instead of .env in the working directory."]
    ]
    longdesc = "Settings come from the environment and from a .env file; env.example lists them all."

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"aiot-mqtt {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the settings; with mistakes in them, print every one and exit with 78."""
        self["settings"] = _settings(self["env-file"])


def _settings(env_file: str | None) -> Settings:
    """The settings of this process; with mistakes in them, print every one and exit with 78."""
    try:
        # As UTF-8 whatever the locale: in the C locale os.environ holds a password's é as two surrogates.
        environ = {name.decode("ascii", "replace"): _utf8(value) for name, value in os.environb.items()}
        return load_settings(environ, env_file)
    except ConfigError as error:
        _exit_for(error)


def _utf8(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _exit_for(error: ConfigError) -> NoReturn:
    """Print every mistake, in UTF-8 whatever the locale, and exit without a traceback."""
    lines = ["❌ 配置有误，服务未启动 / the settings have mistakes, nothing was started:"]
    lines += [f"  - {mistake}" for mistake in error.mistakes]
    sys.stderr.buffer.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
    sys.stderr.flush()
    sys.exit(EXIT_CONFIG)


def _reactor() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415 importing it chooses it, which is up to twistd

    # Twisted's reactors count wall time, so a clock that is set back stops every timer (its issue 2424).
    setattr(reactor, "seconds", time.monotonic)  # noqa: B010 mypy takes it for a method
    return reactor


def run_simulation(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt simulate`` with the options of ``simulate.add_options``; ends the process."""
    from .simulate.command import Progress, simulate  # noqa: PLC0415 the service itself never needs it

    settings = _settings(parsed.env_file)
    if parsed.broker:
        settings = replace(settings, mqtt_broker=parsed.broker[0], mqtt_port=parsed.broker[1])
    # Beside the summary, so that standard output can be piped on.
    can_redraw = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    progress = Progress(sys.stderr, is_terminal=can_redraw)

    async def simulating(reactor: Any) -> NoReturn:
        endpoint = _broker_endpoint(settings, reactor)
        sys.exit(
            await simulate(parsed, settings, endpoint=endpoint, reactor=reactor, output=sys.stdout, progress=progress)
        )

    try:
        react(simulating, _reactor=_reactor())
    except ConfigError as error:
        _exit_for(error)


def makeService(options: Options) -> AiotMqttService:
    """What twistd calls: the whole service, and the way it logs."""
    reactor = _reactor()
    settings: Settings = options["settings"]
    twistd: Mapping[str, Any] = options.parent or {}
    try:
        service = AiotMqttService(settings, reactor, _leave_after)
        if not twistd.get("logger") and not twistd.get("syslog"):
            service.log_observer = _log_observer(settings, twistd)
    except ConfigError as error:
        _exit_for(error)
    # What is there by now stays for good. To look at it again and again costs the collector 4 % of all messages/s.
    gc.collect()
    gc.freeze()
    return service


def _log_observer(settings: Settings, twistd: Mapping[str, Any]) -> ILogObserver:
    """Standard output in the foreground, and ``LOG_FILE`` or ``--logfile`` besides; a daemon always has a file."""
    is_daemon = not twistd.get("nodaemon")
    named = twistd.get("logfile")
    log_file = settings.log_file or ("" if named in (None, "-") else named) or (DAEMON_LOG_FILE if is_daemon else "")
    try:
        streams = open_streams(log_file, on_terminal=not is_daemon)
    except OSError as error:
        raise ConfigError([f"LOG_FILE: {log_file} cannot be written: {error.strerror}"]) from None
    return make_observer(
        streams, level=settings.log_level, log_format=settings.log_format, language=settings.log_language
    )


def _leave_after(seconds: float) -> None:
    """End the process even if a thread is stuck in a name look-up, for which the reactor would wait without end."""

    def leave() -> None:
        Logger().warn(log_lines.STOP_FORCED, seconds=seconds)
        os._exit(0)

    # A second signal ends the process at once: what is unacknowledged is safe in the broker.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


class AiotMqttService(MultiService):
    """The data path, put together: subscriber, ingest, pending, writer, table.

    Each child works alone too. ``MultiService`` stops its children all at once; here the order is the point: take no
    more, write what is pending, acknowledge it, disconnect, close the pool.
    """

    _log = Logger()
    log_observer: ILogObserver | None = None

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        stop_began: Callable[[float], None] = lambda _timeout: None,
        *,
        table: StoreService | None = None,
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
        address = _database_address(settings)
        self.table: StoreService = table or DeviceTable(
            address,
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
            owner = SpoolOwner(
                host=settings.db_host,
                port=settings.db_port,
                database=settings.db_name,
                table=settings.db_table,
                topic_prefix=settings.mqtt_topic_prefix,
                time_zone=str(settings.db_timezone),
            )
            spool = Spool(Path(settings.spool_file).absolute(), owner, disk)
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
            database=str(table or address),
            table_described=self.ingest.table_described,
            jitter=jitter,
        )
        if committed_times is not None:
            self.writer.add_listener(committed_times)
        self.subscriber = Subscriber(
            endpoint or _broker_endpoint(settings, reactor),
            ConnectOptions(
                client_id=settings.mqtt_client_id,
                username=settings.mqtt_username,
                password=settings.mqtt_password.reveal(),
                keepalive=settings.mqtt_keepalive,
                session_expiry=settings.mqtt_session_expiry,
                receive_maximum=settings.mqtt_receive_maximum,
                max_payload=settings.mqtt_max_payload,
            ),
            self.ingest,
            reactor,
            host=settings.mqtt_broker,
            port=settings.mqtt_port,
            topic_prefix=settings.mqtt_topic_prefix,
            protocol=settings.mqtt_protocol,
            # While another process of this service has the spool, the session is that one's, too: what this one
            # received meanwhile would be older, by its turn, than what the other has acknowledged.
            may_begin=self.writer.until_known,
            jitter=jitter,
        )
        children: list[Any] = [self.table, self.writer, self.subscriber]
        if settings.heartbeat_timeout:
            presence = PresenceMonitor(
                self.table,
                self.writer,
                self.counters,
                reactor,
                is_subscribed=lambda: self.subscriber.is_listening,
                window=lambda: self.subscriber.window,
                timeout=settings.heartbeat_timeout,
                check_interval=settings.heartbeat_check_interval,
                table_zone=settings.db_timezone,
                resolution=resolution,
                wall_clock=wall_clock,
                log_devices=settings.log_level == "DEBUG",
            )
            self.subscriber.session_lost = presence.session_lost
            self.ingest.heard_unchanged = presence.heard_unchanged
            if committed_times is not None:
                presence.goes_offline = committed_times.unsettle
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
        if self._spooler is None:
            self._log.warn(log_lines.SPOOL_OFF, window=self._settings.mqtt_receive_maximum)
        elif self._has_own_thread:
            # A thread of its own: those of the reactor may all be in name look-ups that hang.
            self._spool_threads = ThreadPool(0, 1, "spool")
            self._spool_threads.start()
        self.ingest.start()
        super().startService()

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


def _broker_endpoint(settings: Settings, reactor: Any) -> IStreamClientEndpoint:
    endpoint = HostnameEndpoint(reactor, settings.mqtt_broker, settings.mqtt_port)
    if not settings.mqtt_tls:
        return endpoint
    trust = client = None
    if settings.mqtt_ca_file:
        trust = trustRootFromCertificates(_load("MQTT_CA_FILE", settings.mqtt_ca_file, _certificates))
    if settings.mqtt_cert_file:
        key = Path(settings.mqtt_key_file).read_bytes()
        client = _load(
            "MQTT_CERT_FILE, MQTT_KEY_FILE",
            settings.mqtt_cert_file,
            lambda path: PrivateCertificate.loadPEM(key + b"\n" + path.read_bytes()),
        )
    return wrapClientTLS(optionsForClientTLS(settings.mqtt_broker, trust, client), endpoint)


def _database_address(settings: Settings) -> DatabaseAddress:
    tls = _database_tls(settings)
    return DatabaseAddress(
        settings.db_host, settings.db_port, settings.db_name, settings.db_user, settings.db_table, tls
    )


def _database_tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.db_tls:
        return None
    if not settings.db_ca_file:
        return ssl.create_default_context()
    return _load("DB_CA_FILE", settings.db_ca_file, lambda path: ssl.create_default_context(cafile=str(path)))


def _load(names: str, path: str, load: Callable[[Path], T]) -> T:
    """:raises ConfigError: the file does not hold what it should."""
    try:
        return load(Path(path))
    except Exception as error:
        raise ConfigError([f"{names}: {path} cannot be used as PEM: {error}"]) from None


def _certificates(path: Path) -> list[Certificate]:
    """Every certificate of a bundle; ``Certificate.loadPEM`` reads only the first.

    :raises ValueError: there is none.
    """
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", path.read_bytes(), re.DOTALL)
    if not blocks:
        raise ValueError("it holds no certificate")
    return [Certificate.loadPEM(block) for block in blocks]
