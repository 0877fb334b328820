"""What happens to the broker and to the session that it keeps for the service."""

from __future__ import annotations

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.receiver import Acknowledger
from rig import servers

from .check import wrong_sum
from .process import STARTED, ServiceProcess
from .world import World

CONNECTED = "MQTT connected"
MAX_CONNECTS = 4  # in the first ten seconds of a fight; after these the waits are long
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
    connection = MqttConnection(ConnectOptions(CLIENT_ID), _Deaf(), world.reactor)
    factory = Factory.forProtocol(lambda: connection)
    factory.noisy = False
    lost = world.service.next_line("MQTT connection lost")
    await TCP4ClientEndpoint(world.reactor, "127.0.0.1", world.broker.port).connect(factory)
    await world.within(lost, "the service has lost its session")
    # It takes its session back, and this one is closed by the broker.
    await world.within(connection.closed, "the service is back")


async def fought_over(world: World) -> None:
    """A second instance of the service fights for the session."""
    folder = servers.private_folder()
    connects_before = world.service.count(CONNECTED)
    began = world.now
    settings = world.service_settings() | {"SPOOL_FILE": str(folder / "spool")}
    rival = ServiceProcess(world.reactor, settings, folder)
    world.rivals.append(rival)
    await world.until(lambda: rival.count(STARTED), "the rival has taken the session")
    await world.sleep(60, quick=5)
    await world.within(rival.stop(), "the rival has stopped")
    servers.remove_folder(folder)
    if (wrong := wrong_sum(rival.figures)) is not None:
        world.findings.append(f"rival: {wrong}")
    connects = world.service.count(CONNECTED) - connects_before
    world.details["connects"] = connects
    if connects > MAX_CONNECTS + (world.now - began) / 15:
        world.findings.append(f"the service connected {connects} times while a rival fought for its session")
    if not world.service.count("MQTT connection lost"):
        world.findings.append("the service did not say that it lost its session")


class _Deaf:
    """A ``Receiver`` that takes no notice of anything, so acknowledges nothing."""

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:
        """See ``Receiver``."""

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
