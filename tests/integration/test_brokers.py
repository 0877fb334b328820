"""What each broker keeps of the promises, as docs/brokers.md has it in its table: brokers and database are real."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from aiot_mqtt.mqtt import subscriber
from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.telemetry import log_lines
from rig import servers
from rig.brokers import Aedes, Amqtt, RabbitMQ
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import Mosquitto
from tests.eventually import eventually

from .test_service import ServiceMixin

DOCUMENT = Path(__file__).parents[2] / "docs" / "brokers.md"
BURST = 600  # messages of each of two devices


class Row(NamedTuple):
    """A row of the table, in its words."""

    speaks: str
    away: str
    """What was published while we were away."""
    unacknowledged: str
    """What was not acknowledged when the connection went."""
    qos_2: str
    """What waits in a session whose subscription was at QoS 2."""
    window: str
    expiry: str
    restart: str


class Predecessor:
    """A service that was here before, with our client identifier and a subscription at QoS 2."""

    def __init__(self, broker: Any) -> None:
        subscribed: list[None] = []
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="aiot-mqtt-service", protocol=paho.MQTTv311, clean_session=False
        )
        self.client.on_subscribe = lambda *_arguments: subscribed.append(None)
        self.client.connect(broker.host, broker.port)
        self.client.subscribe("devices/+/data", 2)
        while not subscribed:
            self.client.loop(1)

    def leave(self) -> None:
        """Go in order; the session stays."""
        self.client.disconnect()
        self.client.loop(0.1)


class BrokerTests(ServiceMixin):
    flavour = "mariadb"
    row: ClassVar[Row]
    protocol = "auto"
    """What the service is told to speak after it was seen to find that out."""

    def setUp(self) -> None:
        super().setUp()
        self.database.add_devices(["a", "b"])
        self.patch(subscriber, "CONNECT_TIMEOUT", 3.0)

    async def start(self) -> AiotMqttService:
        return await self.start_service(mqtt_protocol=self.protocol)

    async def stop(self, service: AiotMqttService) -> None:
        stopping = self.stop_service(service)
        assert stopping is not None
        await stopping

    async def test_it_keeps_what_the_table_says(self) -> None:
        row = self.row
        seen: dict[str, str] = {"speaks": await self.what_it_speaks()}
        service = await self.start()
        await self.publish(("devices/a/data", '{"n": 1}'))
        await self.settled(service, 1)
        seen["expiry"] = await self.what_it_grants(service)
        seen["unacknowledged"] = await self.what_becomes_of_the_unacknowledged(service)
        seen["window"] = await self.how_wide_its_window_is(service)
        await self.stop(service)
        seen["away"] = await self.what_came_meanwhile(qos=1)
        predecessor = await deferToThread(Predecessor, self.broker)
        await deferToThread(predecessor.leave)
        seen["qos_2"] = await self.what_came_meanwhile(qos=2)
        seen["restart"] = await self.what_a_restart_leaves()
        self.assertEqual(seen, row._asdict())

    async def what_it_speaks(self) -> str:
        service = await self.start_service()
        speaks = "5" if service.subscriber._choice.mqtt5 else "3.1.1"
        guess = ", a guess" if self.count(log_lines.MQTT_311_GUESSED) else ""
        await self.stop(service)
        return speaks + guess

    async def what_it_grants(self, service: AiotMqttService) -> str:
        lines = (log_lines.SESSION_EXPIRY_LESS, log_lines.SESSION_NOT_KEPT)
        less = [event["granted"] for event in self.events if event.get("log_format") in lines]
        if service.subscriber._choice.mqtt5:
            return f"{less[0]} s" if less else "as asked"
        return "not told"

    async def what_becomes_of_the_unacknowledged(self, service: AiotMqttService) -> str:
        before = service.counters.received
        self.database.freeze()
        await self.publish(("devices/a/data", '{"n": 2}'), ("devices/b/data", '{"n": 2}'))
        await eventually(lambda: service.counters.received == before + 2)
        connection = service.subscriber._connection
        assert connection is not None
        connection.abort("the test wants it")
        self.database.thaw()
        await eventually(lambda: service.subscriber.is_listening)
        # A broker that sends them again may send what is newer before them, but not much of it.
        for beats in range(1, 20):
            await self.publish(("devices/a/heartbeat", ""))
            await eventually(lambda: service.counters.received >= before + 2 + beats)  # noqa: B023 at once
            again = service.counters.received - before - 2 - beats
            if again == 2:
                break
        await self.settled(service, before + 2 + beats + again)
        return "sent again" if again == 2 else "lost"

    async def how_wide_its_window_is(self, service: AiotMqttService) -> str:
        before = service.counters.received
        await self.publish(*((f"devices/{device}/data", f'{{"n": {n}}}') for n in range(BURST) for device in "ab"))
        await self.settled(service, before + 2 * BURST)
        self.assertEqual({self.written(device)["last_report_data"]["n"] for device in "ab"}, {BURST - 1})
        connection = service.subscriber._connection
        assert connection is not None
        window = connection.window
        if window.is_learned:
            return f"{window.size}"
        return "as asked" if connection._options.mqtt5 else "20" if window._widest <= 20 else "none"

    async def what_came_meanwhile(self, qos: int) -> str:
        await self.publish(("devices/a/data", f'{{"qos": {qos}}}'), ("devices/b/data", f'{{"qos": {qos}}}'), qos=qos)
        service = await self.start()
        await self.publish(("devices/a/heartbeat", ""))
        await eventually(lambda: service.counters.received)
        await self.settled(service, 1)
        kept = self.written("b")["last_report_data"] == {"qos": qos}
        if kept:
            await self.settled(service, 3)
        # And not a second time, nor at QoS 2 any more.
        await self.publish(("devices/b/data", '{"after": 1}'), qos=2)
        await self.settled(service, 4 if kept else 2)
        connection = service.subscriber._connection
        assert connection is not None
        self.assertEqual((connection._reader.at_qos_2, self.written("b")["last_report_data"]), ({}, {"after": 1}))
        await self.stop(service)
        return "kept" if kept else "lost"

    async def what_a_restart_leaves(self) -> str:
        service = await self.start()
        new, back = self.count(log_lines.SESSION_NEW), self.count(log_lines.MQTT_BACK)
        await deferToThread(self.broker.stop)
        await deferToThread(self.broker.start)
        await self.said(log_lines.MQTT_BACK, back + 1)
        left = "lost" if self.count(log_lines.SESSION_NEW) > new else "kept"
        await self.publish(("devices/a/data", '{"restarted": 1}'))
        await eventually(lambda: self.written("a")["last_report_data"] == {"restarted": 1})
        await self.stop(service)
        return left


class Mosquitto20Tests(BrokerTests, TestCase):
    row = Row("5", "kept", "sent again", "kept", "as asked", "as asked", "kept")

    def make_broker(self) -> Mosquitto:
        return Mosquitto("2.0", persistence=True)


@only_in_all(OTHER_SERVERS)
class Mosquitto21Tests(BrokerTests, TestCase):
    row = Mosquitto20Tests.row
    skip = servers.unavailable("2.1")

    def make_broker(self) -> Mosquitto:
        return Mosquitto("2.1", persistence=True)


@only_in_all(OTHER_SERVERS)
class RabbitMQTests(BrokerTests, TestCase):
    row = Row("5", "kept", "sent again", "kept", "10", "86400 s", "kept")

    def make_broker(self) -> RabbitMQ:
        return RabbitMQ()


@only_in_all(OTHER_SERVERS)
class AedesTests(BrokerTests, TestCase):
    row = Row("3.1.1", "kept", "sent again", "kept", "none", "not told", "lost")

    def make_broker(self) -> Aedes:
        return Aedes()


@only_in_all(OTHER_SERVERS)
class AmqttTests(BrokerTests, TestCase):
    row = Row("3.1.1, a guess", "lost", "lost", "lost", "none", "not told", "lost")
    protocol = "3.1.1"

    def make_broker(self) -> Amqtt:
        return Amqtt()


class DocumentTests(SynchronousTestCase):
    def test_the_table_says_what_is_tested(self) -> None:
        lines = re.findall(r"^\| (\w.*?) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
        rows = {name: cells for name, *cells in (line.split(" | ") for line in lines)}
        for name, broker in (
            ("Mosquitto 2.0", Mosquitto20Tests),
            ("Mosquitto 2.1", Mosquitto21Tests),
            ("RabbitMQ 4.0", RabbitMQTests),
            ("aedes 1.2", AedesTests),
            ("amqtt 0.12", AmqttTests),
        ):
            self.assertEqual(rows.get(name), list(broker.row), name)
