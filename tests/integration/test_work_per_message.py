"""What a thousand messages cost the service, counted and not timed: calls, packets, statements.

A change that makes the path of a message longer fails here, on a busy machine as on an idle one.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

import aiot_mqtt
from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.encoding import encode_publish
from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.simulate.fleet import Fleet, FleetPlan, Message, numbered_uuids
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions
from rig import servers
from rig.servers import Mosquitto
from tests.eventually import eventually

PACKAGE = str(Path(aiot_mqtt.__file__).parent)
MESSAGES = 1000
DEVICES = 500

# 9.7 of them, with a row for almost every message. One more step for each message or for each row is 1 more.
MAX_CALLS_PER_MESSAGE = 10
BATCHES = 2  # one for what came first, and one for what came while that was written


class Calls:
    """Counts the calls of this package's functions, in every thread that starts after ``install``."""

    def __init__(self) -> None:
        self._counting = False
        # A list, because appending is atomic, and adding one is not.
        self._codes: list[CodeType] = []

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if self._counting and event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            self._codes.append(frame.f_code)

    def install(self) -> None:
        """Be called for whatever this thread does from now on, and threads that it starts."""
        threading.setprofile(self)
        sys.setprofile(self)

    def uninstall(self) -> None:
        """Undo ``install`` here, and for threads yet to come."""
        sys.setprofile(None)
        threading.setprofile(None)

    def start(self) -> None:
        """Count from now on."""
        self._counting = True

    def stop(self) -> Counter[str]:
        """Count no more; returns how often each function was called."""
        self._counting = False
        return Counter(f"{Path(code.co_filename).stem}.{code.co_name}" for code in self._codes)


class WorkPerMessageTests(TestCase):
    def setUp(self) -> None:
        self.database = servers.shared_database("mariadb")
        self.uuids = numbered_uuids(DEVICES)
        self.database.add_devices(self.uuids)
        self.broker = Mosquitto()
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.calls = Calls()
        self.calls.install()
        self.addCleanup(self.calls.uninstall)

    async def test_a_thousand_messages_cost_no_more_calls_packets_and_statements_than_they_did(self) -> None:
        service = await self.start_service()
        messages = list(islice(Fleet(FleetPlan(self.uuids)).messages(), MESSAGES))
        connection = service.subscriber._connection
        assert connection is not None
        data = await self.hold_back(connection, messages)
        before = self.statements()
        self.calls.start()
        half = len(data) // 2
        for piece in (data[:half], data[half:]):
            connection.dataReceived(piece)
        await eventually(lambda: service.counters.received == MESSAGES and not service.writer.unacknowledged)
        calls = self.calls.stop()
        statements = self.statements() - before
        counters = service.counters
        self.assertEqual(counters.stored + counters.superseded, MESSAGES)
        self.assertEqual(calls["packets._publish_head"], MESSAGES)
        self.assertEqual(calls["connection.acknowledge"], BATCHES)
        self.assertEqual(statements, Counter(update_multi=BATCHES, commit=BATCHES))
        self.assertLess(calls.total() / MESSAGES, MAX_CALLS_PER_MESSAGE, calls.most_common(30))

    async def start_service(self) -> AiotMqttService:
        settings = Settings(
            mqtt_broker=self.broker.host,
            mqtt_port=self.broker.port,
            db_host=self.database.host,
            db_port=self.database.port,
            db_user=self.database.service_user,
            db_password=Secret(self.database.service_password),
            http_listen=None,
            db_pool_size=1,  # another connection may be opened, and its session tried, while is counted
        )
        service = AiotMqttService(settings, reactor)
        service.startService()
        self.addCleanup(service.stopService)
        await eventually(lambda: service.subscriber.is_listening and service.writer.is_accepted)
        return service

    async def hold_back(self, connection: MqttConnection, messages: list[Message]) -> bytes:
        """Publish; returns what the broker sends for it, so that the network cannot cut it in a new way each time."""
        held: list[bytes] = []
        restore = self.patch(connection, "dataReceived", held.append)
        publisher = Publisher(PublisherOptions("fleet", mqtt5=False), reactor, lambda: None)
        await TCP4ClientEndpoint(reactor, self.broker.host, self.broker.port).connect(
            Factory.forProtocol(lambda: publisher)
        )
        await publisher.accepted
        publisher.send(messages)
        packets = (encode_publish(each.topic, each.payload, 1, retain=False, mqtt5=True) for each in messages)
        size = sum(map(len, packets))
        await eventually(lambda: sum(map(len, held)) >= size)
        await publisher.disconnect()
        restore.restore()
        return b"".join(held)

    def statements(self) -> Counter[str]:
        """How many the database server has executed, of those that cost."""
        names = ("select", "update", "update_multi", "insert", "delete", "commit", "rollback")
        rows = self.database.query("SHOW GLOBAL STATUS LIKE 'Com\\_%'")
        counted = {name: int(value) for name, value in rows}
        return Counter({name: counted[f"Com_{name}"] for name in names})
