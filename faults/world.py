"""Everything that one round needs: servers of its own, the service, its fleet, and who looks on."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotFired
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

from aiot_mqtt.spool.names import files_of
from rig import servers
from rig.brokers import RabbitCluster, RabbitMQ
from rig.programs import settings_for
from rig.proxy import BrokersProxy, DatabasesProxy, HAProxy
from rig.relay import Relay
from rig.servers import Database, MariaDB, Mosquitto, MySQL

from .check import sequence_of
from .fleet import Fleet, numbered
from .onlookers import BrokerOnlooker, TableOnlooker
from .process import STARTED, ServiceProcess
from .scene import Layout, Scene

T = TypeVar("T")

ZONE = ZoneInfo("Asia/Shanghai")  # the default of DB_TIMEZONE
POLL_INTERVAL = 0.02  # s
MEMORY_INTERVAL = 0.5  # s
SPOOLING = "messages go to"  # in the line that says so; the file itself is there for a moment at each start, too
VICTIMS = tuple(f"victim-{number}" for number in range(6))  # rows of devices that are none of the fleet
PATIENCE = 120.0  # s that anything but a fault itself may take


class NotInTime(Exception):
    """What should have happened did not; the text says what."""


class World:
    """One round's servers and everybody around them. A service that is killed is started again at once."""

    broker: Mosquitto | RabbitMQ
    """The broker, or the node of the cluster that the fleet is connected to: its last one, as the proxy's choice is."""
    brokers: RabbitCluster
    """The cluster of brokers, where there is one."""
    database: Database
    """The server, or the node of the cluster that is looked at: its last one, which the service tries last."""
    cluster: Any
    """The cluster, where there is one."""
    service: ServiceProcess
    fleet: Fleet
    table: TableOnlooker
    broker_figures: BrokerOnlooker

    def __init__(self, scene: Scene, layout: Layout, seed: int, reactor: Any) -> None:
        self.scene = scene
        self.random = Random(seed)
        self.findings: list[str] = []
        """What was wrong, beside what the check at the end finds."""
        self.details: dict[str, Any] = {}
        """What a fault wants to have told."""
        self.services: list[ServiceProcess] = []
        """Every run of the service, in the order of their starts."""
        self.rivals: list[ServiceProcess] = []
        """Other instances of it."""
        self.folder = servers.private_folder()
        self.spool.parent.mkdir()
        self.devices = layout.devices or scene.devices
        self.before_restart: Callable[[], None] | None = None
        """Called once, when the service is down, before it is started again."""
        self.is_started_again = True
        """Whether a service that ended is; else the fault starts it, when its moment has come."""
        self.overrides: dict[str, str] = {}
        """Settings of the service from its next start on."""
        self.mended_at: float | None = None
        """When the fault was undone, where that was not at the end of it."""
        self.relays: dict[str, Relay] = {}
        self.proxy: HAProxy | None = None
        """Before the cluster, where there is one."""
        self.broker_proxy: HAProxy | None = None
        """Before the cluster of brokers."""
        self._layout = layout
        self._seed = seed
        self.reactor = reactor
        self._ending = False
        self._memory = LoopingCall(self._look_at_memory)
        self._memory.clock = reactor

    # For those who make faults.

    @property
    def now(self) -> float:
        """Seconds of the clock that is never set."""
        return float(self.reactor.seconds())

    def mended(self) -> None:
        """From now on it counts how long the service takes, whatever else is waited for."""
        self.mended_at = self.now

    def thread(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        """Run what may block."""
        return deferToThread(work, *arguments)

    def sleep(self, seconds: float, quick: float | None = None) -> Deferred[None]:
        """Let a fault last, or choose its moment; shorter where it has to be quick."""
        return deferLater(self.reactor, seconds if quick is None or not self.scene.quick else quick)

    async def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait for what is told by no event. Raises ``NotInTime``."""
        deadline = self.now + seconds
        while not condition():
            if self.now > deadline:
                raise NotInTime(f"not within {seconds:.0f} s: {what}")
            await deferLater(self.reactor, POLL_INTERVAL)

    async def within(self, waiting: Deferred[T], what: str, seconds: float = PATIENCE) -> T:
        """Wait for an event. Raises ``NotInTime``."""
        try:
            return await waiting.addTimeout(seconds, self.reactor)
        except NotFired:
            raise NotInTime(f"not within {seconds:.0f} s: {what}") from None

    async def recovered(self, seconds: float = PATIENCE, *, is_all_kept: bool = True) -> None:
        """Wait until the rows hold what is acknowledged now, and something that is published later.

        :param is_all_kept: otherwise it is only the latter that is waited for.
        Raises ``NotInTime``.
        """
        devices = self.fleet.devices if is_all_kept else []
        wanted = {device.uuid: sequence_of(device.report) for device in devices}
        newest = self.fleet.sequence

        def has_caught_up() -> bool:
            rows = self.table.rows
            return any(row.sequence > newest for row in rows.values()) and all(
                uuid in rows and rows[uuid].sequence >= sequence for uuid, sequence in wanted.items()
            )

        await self.until(has_caught_up, "the table has caught up, and goes on", seconds)

    async def kill_service(self) -> None:
        """SIGKILL; returns when it runs again."""
        killed = self.service
        killed.signal(signal.SIGKILL)
        await self.until(lambda: self.service is not killed, "the killed service is gone")

    async def restart_service(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """SIGTERM; returns when it runs again. :param meanwhile: called while it does not."""
        stopped = self.service
        self.before_restart = meanwhile
        stopped.signal(signal.SIGTERM)
        await self.until(lambda: self.service is not stopped, "the service is started anew")

    async def service_dies(self, step: str, passings: int) -> None:
        """Let the service kill itself at a step; returns when it runs again."""
        doomed = self.service
        doomed.tell(f"die {step} {passings}").addErrback(lambda _failure: None)
        await self.until(lambda: self.service is not doomed, f"the service dies at {step}")

    @property
    def spool(self) -> Path:
        """The file of the service's spool, whether it is there or not."""
        return self.folder / "state" / "mqtt_service.spool"

    @property
    def spool_files(self) -> list[Path]:
        """Those of its files that are there, the journals left out."""
        names = files_of(self.spool)
        return [path for path in names if path.exists()]

    @property
    def spooled(self) -> int:
        """Bytes that the spool's files have."""
        with contextlib.suppress(FileNotFoundError):  # it was just emptied
            return sum(path.stat().st_size for path in self.spool_files)
        return 0

    def service_settings(self) -> dict[str, str]:
        """The environment of the service."""
        settings = settings_for(self.broker, self.database)
        if self.proxy is not None:
            settings["DB_PORT"] = str(self.proxy.port)
        elif self._layout.cluster is not None:
            settings["DB_HOST"] = self.cluster.addresses
        if self.broker_proxy is not None:
            settings["MQTT_PORT"] = str(self.broker_proxy.port)
        for name, variable in (("broker", "MQTT_PORT"), ("database", "DB_PORT")):
            if name in self.relays:
                settings[variable] = str(self.relays[name].port)
        orders = (*(("hurry",) if self.scene.quick else ()), *self._layout.orders)
        settings |= {"LOG_LANGUAGE": "en", "STATS_INTERVAL": "1", "FAULTS": ";".join(orders)}
        settings["SPOOL_FILE"] = str(self.spool)
        return settings | dict(self._layout.settings or {}) | self.overrides

    def start_service(self) -> None:
        """Start the service."""
        self.service = service = ServiceProcess(self.reactor, self.service_settings(), self.folder)
        self.services.append(service)
        service.ended.addCallback(self._service_ended, service)

    # For who plays the round.

    async def start(self) -> None:
        """Start the servers, then the service, then the fleet; returns when the first rows hold reports."""
        await self.thread(self._start_servers)
        self.table = TableOnlooker(self.database, self.reactor)
        self.table.start()
        self.broker_figures = BrokerOnlooker(self.broker.port, self.reactor)
        if self._layout.rabbit is None:  # which tells none
            self.broker_figures.start()
        self.start_service()
        self._memory.start(MEMORY_INTERVAL, now=False)
        await self.until(lambda: self.service.count(STARTED), "the service is subscribed")
        uuids = list(numbered(self.devices))
        self.fleet = Fleet(
            uuids, self.broker.port, self.reactor, rate=self._layout.rate or self.scene.rate, seed=self._seed
        )
        self.fleet.start()
        await self.until(lambda: any(row.report for row in self.table.rows.values()), "the first reports are stored")

    async def stop_service(self) -> int:
        """SIGTERM, and wait for its end; returns how it ended."""
        self._ending = True
        return await self.within(self.service.stop(), "the service has stopped")

    async def close(self) -> None:
        """Stop everything and remove it."""
        self._ending = True
        if self._memory.running:
            self._memory.stop()
        for name in ("fleet", "table", "broker_figures"):
            if (part := getattr(self, name, None)) is not None:
                (part.close if name == "fleet" else part.stop)()
        for service in (*self.services, *self.rivals):
            service.signal(signal.SIGKILL)
            if service.is_running:
                await service.ended
        await self.thread(self._close_servers)

    @property
    def peak_memory(self) -> int:
        """Bytes, of any run of the service."""
        return max((service.peak_memory for service in self.services), default=0)

    def _start_servers(self) -> None:
        layout = self._layout
        if layout.rabbit is None:
            queue = [] if layout.queue is None else [f"max_queued_messages {layout.queue}"]
            settings = ["sys_interval 1", *queue]
            self.broker = Mosquitto(self.scene.broker, settings=settings, persistence=layout.persistence)
            self.broker.start()
        else:
            self._start_rabbit(layout.rabbit())
        if layout.cluster is not None:
            self.cluster = layout.cluster()
            self.cluster.start()
            self.cluster.nodes[0].add_devices([*numbered(self.devices), *VICTIMS])
            self.cluster.until_seen(VICTIMS[-1])
            self.database = self.cluster.nodes[-1]
            if layout.is_proxied:
                self.proxy = DatabasesProxy(self.cluster)
                self.proxy.start()
        else:
            self._start_database()
        for name in layout.relayed:
            self.relays[name] = Relay(self.broker.port if name == "broker" else self.database.port)

    def _start_rabbit(self, rabbit: RabbitMQ | RabbitCluster) -> None:
        if isinstance(rabbit, RabbitMQ):
            self.broker = rabbit
            rabbit.start()
            return
        self.brokers = rabbit
        self.broker = rabbit.nodes[-1]
        rabbit.start()
        self.broker_proxy = BrokersProxy(rabbit.nodes)
        self.broker_proxy.start()

    def _start_database(self) -> None:
        self.database = (MariaDB if self.scene.database == "mariadb" else MySQL)(settings=self._layout.database)
        self.database.start()
        self.database.create_device_table()
        self.database.grant()
        self.database.add_devices([*numbered(self.devices), *VICTIMS])

    def _close_servers(self) -> None:
        database = getattr(self, "cluster", None) or getattr(self, "database", None)
        broker = getattr(self, "brokers", None) or getattr(self, "broker", None)
        for part in (*self.relays.values(), self.proxy, self.broker_proxy, broker, database):
            if part is not None:
                part.close()
        servers.remove_folder(Path(self.folder))

    def _service_ended(self, how: int, service: ServiceProcess) -> int:
        if service is self.service and not self._ending:
            if how != signal.SIGKILL and self.before_restart is None:
                last = "\n".join(service.lines[-20:])
                self.findings.append(f"the service ended by itself ({how}):\n{last}")
            meanwhile, self.before_restart = self.before_restart, None
            if meanwhile is not None:
                meanwhile()
            if self.is_started_again:
                self.start_service()
        return how

    def _look_at_memory(self) -> None:
        for service in self.services:
            service.look_at_memory()
