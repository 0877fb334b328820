"""Sessions as real brokers keep them: QoS 2 of a predecessor, a version that was guessed, the smallest window."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from aiot_mqtt.mqtt import versions
from aiot_mqtt.mqtt.connection import PINGREQ_PACKET
from aiot_mqtt.mqtt.packet_types import PUBREL
from aiot_mqtt.mqtt.paho_client import PahoClient
from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.telemetry import log_lines
from rig import servers
from rig.selection import OTHER_SERVERS, only_in_all
from tests.eventually import eventually

from .test_service import ServiceMixin

reactor: Any = _reactor
CLIENT_ID = b"aiot-mqtt-service"
CONNECT = {
    5: b"\x00\x04MQTT\x05\x00\x00\x3c\x05\x11\x00\x09\x3a\x80" + len(CLIENT_ID).to_bytes(2, "big") + CLIENT_ID,
    4: b"\x00\x04MQTT\x04\x00\x00\x3c" + len(CLIENT_ID).to_bytes(2, "big") + CLIENT_ID,
}
SUBSCRIBE = b"\x00\x01%b\x00\x0edevices/+/data\x02"
PUBREC, PUBREL_BYTE, SUBACK, PINGRESP = 0x50, 0x62, 0x90, 0xD0


class Predecessor:
    """Our client identifier on a plain socket: does what a test says, and nothing else."""

    def __init__(self, broker: Any, version: int) -> None:
        self.socket = socket.create_connection((broker.host, broker.port), timeout=120)
        self._stream = self.socket.makefile("rb")
        self.version = version
        self.send(0x10, CONNECT[version])
        first, body = self.receive()
        assert first == 0x20 and not body[1], (first, body)
        self.session_present = bool(body[0])

    def send(self, first: int, body: bytes = b"") -> None:
        self.socket.sendall(bytes((first, len(body))) + body)

    def receive(self) -> tuple[int, bytes]:
        """The next packet: its first byte, and what is behind its length."""
        first, length = self._stream.read(2)
        assert length < 128
        return first, self._stream.read(length)

    def subscribe(self) -> None:
        """To data at QoS 2."""
        self.send(0x82, SUBSCRIBE % (b"\0" if self.version == 5 else b""))
        while self.receive()[0] != SUBACK:
            pass  # what the session had before

    def take_half(self) -> bytes:
        """Receive a PUBLISH at QoS 2, answer PUBREC, and go once PUBREL is here; returns the packet identifier."""
        first, body = self.receive()
        assert first & 0x06 == 0x04, first
        identifier = body[16:18]  # behind the topic devices/a/data
        self.send(PUBREC, identifier)
        assert self.receive()[0] == PUBREL_BYTE
        return identifier

    def left_for_us(self) -> list[int]:
        """First bytes of all that the broker still has for this session."""
        self.send(0xC0)
        left = []
        while (first := self.receive()[0]) != PINGRESP:
            left.append(first)
        return left

    def close(self) -> None:
        self._stream.close()
        self.socket.close()


class QoS2Tests(ServiceMixin):
    async def asyncSetUp(self, version: int) -> None:
        self.database.query("DELETE FROM device_main")
        self.database.add_devices(["a", "b"])
        await deferToThread(self.leave_a_session, version)

    def leave_a_session(self, version: int) -> None:
        predecessor = Predecessor(self.broker, version)
        predecessor.subscribe()
        predecessor.close()

    async def start(self, version: int) -> AiotMqttService:
        return await self.start_service(mqtt_protocol="5" if version == 5 else "3.1.1")

    async def stop(self, service: AiotMqttService) -> None:
        """Stop, once the broker has answered all that was sent to it."""
        connection = service.subscriber._connection
        assert connection is not None
        answers: list[float] = []
        self.patch(connection.window, "answered", answers.append)
        connection._transport().write(2 * PINGREQ_PACKET)  # one may have been under way
        await eventually(lambda: len(answers) >= 2)
        stopping = self.stop_service(service)
        assert stopping is not None
        await stopping

    async def assert_nothing_left(self, version: int) -> None:
        """The broker knows that all of the session was received, and released."""

        def look() -> tuple[bool, list[int]]:
            predecessor = Predecessor(self.broker, version)
            try:
                return predecessor.session_present, predecessor.left_for_us()
            finally:
                predecessor.close()

        self.assertEqual(await deferToThread(look), (True, []))

    async def test_what_waits_at_qos_2_is_stored_and_the_subscription_lowered(self) -> None:
        for version in (5, 4):
            await self.asyncSetUp(version)
            # Of more than 20 in flight from one publisher at QoS 2 Mosquitto loses some, having acknowledged them.
            for n in range(12):
                await self.publish(*((f"devices/{device}/data", f'{{"n": {n}}}') for device in "ab"), qos=2)
            service = await self.start(version)
            await self.settled(service, 24)
            self.assertEqual([self.written(device)["last_report_data"] for device in "ab"], [{"n": 11}] * 2)
            connection = service.subscriber._connection
            assert connection is not None
            await self.publish(("devices/a/data", '{"n": 12}'), qos=2)
            await eventually(lambda: service.counters.received == 25)  # noqa: B023 at once
            self.assertEqual(connection._reader.at_qos_2, {})
            await self.settled(service, 25)
            await self.stop(service)
            await self.assert_nothing_left(version)

    async def test_nothing_is_released_before_it_is_stored(self) -> None:
        for version in (5, 4):
            await self.asyncSetUp(version)
            await self.publish(("devices/a/data", '{"n": 1}'), qos=2)
            service = await self.start(version)
            await self.settled(service, 1)
            await self.stop(service)
            self.leave_a_session(version)
            await self.publish(("devices/a/data", '{"n": 2}'), qos=2)
            self.database.freeze()
            service = self.make_service(mqtt_protocol="5" if version == 5 else "3.1.1", spool_file="")
            service.startService()
            await eventually(lambda: service.counters.received == 1)  # noqa: B023 at once
            connection = service.subscriber._connection
            assert connection is not None
            connection.abort("the test wants it")
            # Without PUBREC it is sent again, as a whole.
            await eventually(lambda: service.counters.received == 2)  # noqa: B023 at once
            self.database.thaw()
            await self.settled(service, 2)
            self.assertEqual(self.written("a")["last_report_data"], {"n": 2})
            await self.stop(service)
            await self.assert_nothing_left(version)

    async def test_a_connection_that_goes_between_pubrec_and_pubrel_costs_nothing(self) -> None:
        taken = PahoClient.take
        for version in (5, 4):
            await self.asyncSetUp(version)
            cut: list[int] = []

            def take(client: PahoClient, first: int, body: bytes, cut: list[int] = cut) -> bytes:
                if first >> 4 == PUBREL and not cut:
                    cut.append(first)
                    sending: Any = client.substitute._write
                    sending.__self__._transport.abortConnection()
                    return body
                return taken(client, first, body)

            patch = self.patch(PahoClient, "take", take)
            await self.publish(("devices/a/data", '{"n": 1}'), qos=2)
            service = await self.start(version)
            subscriber = service.subscriber
            await eventually(lambda: subscriber.tally.accepted.total() == 2 and subscriber.is_listening)  # noqa: B023 at once
            self.assertEqual(len(cut), 1)
            await self.settled(service, 1)
            # What we have said PUBREC to does not come again; only its PUBREL does.
            self.assertEqual(service.counters.received, 1)
            self.assertEqual(self.written("a")["last_report_data"], {"n": 1})
            await self.stop(service)
            await self.assert_nothing_left(version)
            patch.restore()

    async def test_a_pubrel_that_a_predecessor_left_over_is_answered(self) -> None:
        def leave_half(version: int) -> None:
            predecessor = Predecessor(self.broker, version)
            predecessor.take_half()
            predecessor.close()

        for version in (5, 4):
            await self.asyncSetUp(version)
            await self.publish(("devices/a/data", '{"n": 1}'), qos=2)
            await deferToThread(leave_half, version)
            service = await self.start(version)
            await self.publish(("devices/b/data", '{"n": 2}'))
            await self.settled(service, 1)
            # It was the predecessor's to store.
            self.assertEqual(self.written("a")["last_report_data"], None)
            await self.stop(service)
            await self.assert_nothing_left(version)


class Mosquitto20QoS2Tests(QoS2Tests, TestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21QoS2Tests(QoS2Tests, TestCase):
    broker_version, flavour = "2.1", "mariadb"
    skip = servers.unavailable("2.1")


class Proxy(Protocol):
    """What stands in front of a broker that restarts: takes a connection, and may close it at the first word."""

    closes = 0
    target: tuple[str, int]

    def connectionMade(self) -> None:
        self.waiting: list[bytes] = []
        self.other: Any = None

    def dataReceived(self, data: bytes) -> None:
        if Proxy.closes:
            Proxy.closes -= 1
            self.transport.loseConnection()  # type: ignore[union-attr]
        elif self.other is not None:
            self.other.transport.write(data)
        else:
            if not self.waiting:
                TCP4ClientEndpoint(reactor, *self.target).connect(Factory.forProtocol(lambda: Behind(self)))
            self.waiting.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()


class Behind(Protocol):
    """The proxy's connection to the broker."""

    def __init__(self, front: Proxy) -> None:
        self.front = front

    def connectionMade(self) -> None:
        self.front.other = self
        self.transport.write(b"".join(self.front.waiting))  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.front.transport.write(data)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert reason.check(ConnectionDone)
        self.front.transport.loseConnection()  # type: ignore[union-attr]


class GuessTests(ServiceMixin, TestCase):
    broker_version, flavour = "2.0", "mariadb"

    async def test_a_guess_is_revised_under_load_and_nothing_is_lost_or_out_of_order(self) -> None:
        self.patch(versions, "FIRST_DOUBT", 2.0)
        Proxy.target, Proxy.closes = (self.broker.host, self.broker.port), 2
        factory = Factory.forProtocol(Proxy)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        uuids = [f"d{number}" for number in range(20)]
        self.database.add_devices(uuids)
        service = await self.start_service(mqtt_port=port.getHost().port)
        self.assertFalse(service.subscriber._choice.mqtt5)
        self.assertEqual(self.count(log_lines.MQTT_311_GUESSED), 1)
        published = 0
        while not (service.subscriber._choice.mqtt5 and service.subscriber.is_listening):
            await self.publish(*((f"devices/{uuid}/data", f'{{"n": {published}}}') for uuid in uuids))
            published += 1
        await self.publish(*((f"devices/{uuid}/data", f'{{"n": {published}}}') for uuid in uuids))
        # Not until so many were received: what the broker sent again counts, too.
        await eventually(lambda: {self.written(uuid)["last_report_data"]["n"] for uuid in uuids} == {published})
        await self.settled(service, (published + 1) * len(uuids))
        self.assertEqual({self.written(uuid)["last_report_data"]["n"] for uuid in uuids}, {published})
        self.assertEqual(self.count(log_lines.MQTT_LOST) + self.count(log_lines.SESSION_NEW), 0)


class SmallestWindowTests(ServiceMixin, TestCase):
    broker_version, flavour = "2.0", "mariadb"

    async def test_with_a_window_of_one_a_silent_device_goes_offline_and_a_living_one_does_not(self) -> None:
        self.database.add_device("living", is_online=1)
        self.database.add_device("silent", is_online=1, last_seen="2020-01-01 00:00:00")
        service = await self.start_service(
            mqtt_receive_maximum=1, heartbeat_timeout=4, heartbeat_check_interval=1, last_seen_resolution=0
        )
        self.assertEqual(service.subscriber.window, 1)
        beats = 0
        while self.written("silent")["is_online"]:
            await self.publish(("devices/living/heartbeat", ""))
            beats += 1
            await eventually(lambda: service.counters.received == beats and not service.writer.deliveries)  # noqa: B023
            await deferLater(reactor, 0.1)  # as often as some devices do
        self.assertGreater(beats, 1)
        await self.settled(service, beats)
        self.assertEqual(self.written("living")["is_online"], 1)
