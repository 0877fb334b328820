"""One life of the service: the real one, from its endpoint to its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from twisted.logger import ILogObserver, globalLogPublisher

from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.writing.data_path import State

from .broker import MAX_PAYLOAD, BrokerEndpoint
from .clock import ProcessClock
from .database import Call, TableOfProcess
from .disk import SimulatedDisk, Thread
from .messages import Message, Violation

if TYPE_CHECKING:
    from .world import World

IDLE = (State.STOPPED, State.LOOKING)


@dataclass(frozen=True, slots=True)
class Variant:
    """What may be set otherwise in another life."""

    table: str = "device_main"
    prefix: str = "devices"
    zone: str = "Asia/Shanghai"
    has_spool: bool = True
    resolution: int = 0
    timeout: int = 0
    receive_maximum: int = 65535
    protocol: str = "auto"

    def is_owner(self, other: Variant) -> bool:
        """Whether what the other one left on disk is this one's to write."""
        return self.has_spool and (self.table, self.prefix, self.zone) == (other.table, other.prefix, other.zone)


class Process:
    """The service, between its start and its end."""

    def __init__(self, world: World, variant: Variant, name: int) -> None:
        self.world = world
        self.variant = variant
        self.name = name
        self.table = variant.table
        self.clock = ProcessClock(world.clock)
        self.disk = SimulatedDisk(world.disk)
        self.thread = Thread(world, self, world.random_for("thread"))
        self.calls: list[Call] = []
        self.is_dead = False
        self.is_stopping = False
        self.received = 0
        settings = Settings(
            mqtt_client_id="aiot",
            mqtt_topic_prefix=variant.prefix,
            mqtt_protocol=variant.protocol,
            mqtt_keepalive=5,
            mqtt_receive_maximum=variant.receive_maximum,
            mqtt_max_payload=MAX_PAYLOAD,
            db_table=variant.table,
            db_timezone=ZoneInfo(variant.zone),
            last_seen_resolution=variant.resolution,
            spool_file=str(world.spool_path) if variant.has_spool else "",
            heartbeat_timeout=variant.timeout,
            heartbeat_check_interval=10,
            http_listen=None,
            stats_interval=0,
            shutdown_timeout=10,
        )
        self.service = AiotMqttService(
            settings,
            self.clock,
            self._stop_began,
            table=TableOfProcess(world.database, self),
            endpoint=BrokerEndpoint(world.broker, self),
            disk=self.disk,
            run_in_spool_thread=self.thread.run,
            wall_clock=world.wall,
            jitter=world.random_for("jitter").random,
        )
        self.service.startService()

    def __repr__(self) -> str:
        return f"process {self.name}"

    def handed(self, message: Message) -> None:
        """The bytes of a PUBLISH are all there: it is about to be received."""
        if not self.is_stopping:
            self.received += 1
            self.world.received(message, self)

    @property
    def session(self) -> object:
        """What stands for the broker's session that it has; None: it has none."""
        rivals = self.service.subscriber._rivals
        return None if rivals is None else rivals._lease._connection

    @property
    def is_blind(self) -> bool:
        """Whether it has given up looking at its disk, and writes to the table all the same."""
        saver = self.service.writer._saver
        return saver is not None and saver._is_blind

    @property
    def is_unlocked(self) -> bool:
        """Whether it writes to the table, or did, and nothing keeps another process from doing so."""
        return not self.disk.holds_lock and (self.disk.had_lock or self.service.writer.state not in IDLE)

    @property
    def is_busy(self) -> bool:
        """Whether a kill now leaves something half done."""
        return self.thread.is_busy or any(call.name == "write" for call in self.calls)

    @property
    def is_settled(self) -> bool:
        """Whether all that was received is in the table, and nothing on disk."""
        writer = self.service.writer
        return not writer.deliveries and writer.is_accepted and self.service.subscriber.is_listening

    def check(self) -> None:
        """:raises Violation: a delivery was not counted, or not once."""
        counters = self.service.counters
        pending = self.service.writer.deliveries
        difference = counters.balance(pending).difference
        if difference or counters.received != self.received:
            figures = {name: count for name, count in counters.as_dict().items() if count}
            raise Violation(
                f"{self}: handed {self.received}, pending {pending}, {figures}: {difference} without an outcome"
            )

    def stop(self) -> None:
        """Stop in order, as SIGTERM does."""
        self.is_stopping = True
        self.world.note("stops", self)
        self.service.stopService().addBoth(self._stopped)

    def _stop_began(self, seconds: float) -> None:
        self.clock.callLater(seconds + 0.01, self._too_late, self.clock.seconds())

    def _too_late(self, began: float) -> None:
        if self.world.clock.paused_at >= began:
            self.world.effects["end forced"] += 1
            self.die()
            return
        raise Violation(f"{self} did not end within SHUTDOWN_TIMEOUT")

    def _stopped(self, _result: Any) -> None:
        self.check()
        spooled = self.service.writer.spooled
        effects = self.world.effects
        effects["stopped"] += 1
        if spooled:
            effects["stopped with a spool"] += 1
        if self.service.writer.deliveries > spooled:
            effects["stopped with messages left"] += 1
        self.die()

    def die(self) -> None:
        """Whatever it waits for, nobody hears of it."""
        if self.is_dead:
            return
        self.is_dead = True
        self.world.note("ends", self)
        counters, effects = self.service.counters, self.world.effects
        effects["heartbeat not written"] += counters.unchanged
        effects["older state superseded"] += counters.superseded
        effects["recovered from a file"] += counters.recovered
        effects["came back"] += counters.came_back
        for part in self.service:
            if ILogObserver.providedBy(part):
                globalLogPublisher.removeObserver(part)
        self.clock.kill()
        self._kept = [*self.calls]  # as the clock keeps its calls
        for link in list(self.world.broker.links):
            if link.process is self:
                link.process_died()
        for call in list(self.calls):
            self.world.database.abandoned(call)
        self.thread.process_died()
        self.disk.process_died()
        self.world.process_ended(self)
