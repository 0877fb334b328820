"""What happens to the broker and to the session that it keeps for the service."""

from __future__ import annotations

import signal

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.receiver import Acknowledger
from aiot_mqtt.mqtt.rivals import SETTLING, STANDING
from rig import servers

from .check import wrong_sum
from .process import STARTED, ServiceProcess
from .service import SHORT_STANDING
from .world import World

CONNECTED = "MQTT connected"
# What the service says of a connection that ended, of a session that was taken, and where it leaves it to the other.
LOST, TAKEN, LEFT = "MQTT connection lost", "another program took the session", "it may go on, again in"
MAX_DISAGREEMENT = 10.0  # s, unless the round is a quick one beside others, on a machine that is as busy as it likes
CLIENT_ID = "service"


async def restarted(world: World) -> None:
    """Stopped in order, with its queues on disk, and started again."""
    await world.thread(world.broker.stop)
    await world.sleep(2 * world.random.random(), quick=0.5)
    await world.thread(world.broker.start)


async def killed(world: World) -> None:
    """Killed, and back without the service's session."""
    await world.thread(world.broker.kill)
    await world.sleep(2 * world.random.random(), quick=0.5)
    await world.thread(world.broker.start)
    await world.until(lambda: world.service.count("no session for us"), "the lost session is told")


async def visited(world: World) -> None:
    """Another client takes the client identifier, once."""
    await world.sleep(STANDING + 1, quick=SHORT_STANDING + 1)  # so that the service takes it back at once
    connection = MqttConnection(ConnectOptions(CLIENT_ID), _Deaf(), world.reactor)
    factory = Factory.forProtocol(lambda: connection)
    factory.noisy = False
    back = world.service.next_line(CONNECTED)
    await TCP4ClientEndpoint(world.reactor, "127.0.0.1", world.broker.port).connect(factory)
    # It takes its session back, and this one is closed by the broker.
    await world.within(connection.closed, "the service has taken its session back")
    await world.within(back, "the service is back")


async def shared_by_mistake(world: World) -> None:
    """A second instance of the service is started on another host, with the same client identifier."""
    # So that the session is the first one's by right; otherwise either may have it.
    await world.sleep(STANDING + 1, quick=SHORT_STANDING + 1)
    began, lost_before = world.now, world.service.count(TAKEN) + world.service.count(LOST)
    rival = await _rival(world)
    started = world.now
    await world.until(lambda: rival.count(LEFT), "the rival leaves the session to the service")
    world.details["agreed_after"] = round(world.now - started, 1)
    if world.now - started > MAX_DISAGREEMENT and not world.scene.quick:
        world.findings.append(f"they fought for {world.now - started:.1f} s")
    connects = [each.count(CONNECTED) for each in (world.service, rival)]
    await world.sleep(30, quick=5)
    if connects != [each.count(CONNECTED) for each in (world.service, rival)]:
        world.findings.append("they went on to fight")
    await _end(world, rival)
    if world.service.count(TAKEN) + world.service.count(LOST) == lost_before:
        world.findings.append(f"the service did not say within {world.now - began:.0f} s that it lost its session")


async def frozen_meanwhile(world: World) -> None:
    """A second instance has the session while the first one is frozen, which wakes with what it had received."""
    await world.sleep(STANDING + 1, quick=SHORT_STANDING + 1)
    await world.sleep(world.random.random())
    world.service.signal(signal.SIGSTOP)
    rival = await _rival(world)
    await world.sleep(SETTLING + 5 * world.random.random(), quick=SETTLING)
    world.service.signal(signal.SIGCONT)
    # Who had it before, unless the machine is so busy that the other one has it for long by now.
    await world.until(
        lambda: rival.count(LEFT) or world.service.count(LEFT), "one of them leaves the session to the other"
    )
    await world.sleep(5)
    await _end(world, rival)


async def _rival(world: World) -> ServiceProcess:
    """Another instance, which has taken the session."""
    folder = servers.private_folder()
    rival = ServiceProcess(world.reactor, world.service_settings() | {"SPOOL_FILE": str(folder / "spool")}, folder)
    world.rivals.append(rival)
    await world.until(lambda: rival.count(STARTED), "the rival has taken the session")
    return rival


async def _end(world: World, rival: ServiceProcess) -> None:
    await world.within(rival.stop(), "the rival has stopped")
    servers.remove_folder(rival.folder)
    if (wrong := wrong_sum(rival.figures)) is not None:
        world.findings.append(f"rival: {wrong}")


class _Deaf:
    """A ``Receiver`` that takes no notice of anything, so acknowledges nothing."""

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """See ``Receiver``."""

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        """See ``Receiver``."""

    def read_finished(self) -> None:
        """See ``Receiver``."""


async def long_outage(world: World) -> None:
    """The database gone for 1,200,000 messages, and the broker's queue as short as it comes."""
    await world.thread(world.database.stop)
    wanted = world.fleet.acknowledged + (80_000 if world.scene.quick else 1_200_000)
    world.fleet.rate = 20_000
    await world.until(lambda: world.fleet.acknowledged >= wanted, "as much is acknowledged", 300)
    world.fleet.rate = world.scene.rate
    await world.thread(world.database.start)
