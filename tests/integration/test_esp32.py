"""The packets of the sketch in examples/esp32, played to real brokers, end in the row."""

from __future__ import annotations

import re
import socket

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from aiot_mqtt.simulate.publisher import PublisherOptions, encode_connect
from rig import servers
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import Mosquitto
from tests.integration.test_service import ServiceMixin

EXAMPLE = servers.ROOT / "examples" / "esp32"
SKETCH = EXAMPLE / "classroom_sensor" / "classroom_sensor.ino"
UUID = "esp32-classroom-1"
CONNACK = bytes.fromhex("20020000")


def recorded() -> list[tuple[str, bytes]]:
    lines = (EXAMPLE / "recorded.txt").read_text("utf-8").splitlines()
    named = [line.split() for line in lines if not line.startswith("#")]
    return [(name, bytes.fromhex(packet)) for name, packet in named]


class Wire:
    """A connection that packets are played to."""

    def __init__(self, broker: Mosquitto, connect: bytes) -> None:
        self._socket = socket.create_connection((broker.host, broker.port), timeout=120)
        answer = self.ask(connect, 4)
        if answer != CONNACK:
            raise AssertionError(f"CONNACK is {answer.hex()}")

    def ask(self, packet: bytes, answer_bytes: int) -> bytes:
        """Send a packet and read so many bytes of what comes back."""
        self._socket.sendall(packet)
        answer = b""
        while len(answer) < answer_bytes:
            more = self._socket.recv(answer_bytes - len(answer))
            if not more:
                raise AssertionError("the broker closed the connection")
            answer += more
        return answer

    def cut(self) -> None:
        """Go without a DISCONNECT."""
        self._socket.close()


class RecordingTests(SynchronousTestCase):
    def test_it_is_of_the_sketch(self) -> None:
        text = SKETCH.read_text("utf-8")
        packets = recorded()
        self.assertIn(f'#define UUID "{UUID}"', text)
        self.assertIn(UUID.encode(), packets[0][1])
        for name, packet in packets[1:]:
            topic_length = int.from_bytes(packet[2:4], "big")
            prefix, uuid, kind = packet[4 : 4 + topic_length].decode().split("/")
            self.assertEqual(uuid, UUID)
            self.assertIn(f'"{prefix}/" UUID "/{kind}"', text, name)
            self.assertEqual(packet[0], 0x32, "QoS 1, not retained")


class Esp32Tests(ServiceMixin):
    async def test_its_packets_end_in_the_row(self) -> None:
        self.database.add_device(UUID)
        service = await self.start_service()
        *sent, (_, will) = recorded()
        watcher = await deferToThread(self.watch)
        board = await deferToThread(Wire, self.broker, sent[0][1])
        for name, packet in sent[1:]:
            topic_length = int.from_bytes(packet[2:4], "big")
            packet_id = packet[4 + topic_length : 6 + topic_length]
            self.assertEqual(await deferToThread(board.ask, packet, 4), b"\x40\x02" + packet_id, name)
        await self.settled(service, len(sent) - 1)
        row = self.written(UUID)
        self.assertEqual(
            (row["last_report_data"], row["device_status"], row["is_online"]),
            ({"temperature": 21.5, "humidity": 48}, "active", 1),
        )
        self.assertEqual(row["last_heartbeat"], row["last_seen"])
        board.cut()
        await self.settled(service, len(sent))
        row = self.written(UUID)
        self.assertEqual(
            (row["last_report_data"], row["device_status"], row["is_online"]), ({"status": "offline"}, "offline", 0)
        )
        self.assertEqual(service.counters.refused.total(), 0)
        status = next(packet for name, packet in sent if name == "PUBLISH-status")
        heard = await deferToThread(watcher.ask, b"", len(status) + len(will))
        self.assertEqual(self.without_identifiers(heard), self.without_identifiers(status + will))
        watcher.cut()

    def watch(self) -> Wire:
        """Somebody else who hears what the broker delivers of the status, at QoS 1."""
        wire = Wire(self.broker, encode_connect(PublisherOptions("watcher", mqtt5=False)))
        topic = f"devices/{UUID}/status".encode()
        body = b"\x00\x01" + len(topic).to_bytes(2, "big") + topic + b"\x01"
        suback = wire.ask(b"\x82" + bytes([len(body)]) + body, 5)
        self.assertEqual(suback, bytes.fromhex("9003000101"))
        return wire

    def without_identifiers(self, packets: bytes) -> bytes:
        """With the identifiers of the packets, which are each sender's own choice, taken out."""
        return re.sub(rb"(/status)..", rb"\1", packets, flags=re.DOTALL)


class Mosquitto20WithMariaDBTests(Esp32Tests, TestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21WithMySQLTests(Esp32Tests, TestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")
