"""The service as it is put together, over a table and a broker that are handed to it."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.table.memory import MemoryTable
from tests.unit.test_subscriber import Broker

PUBLISH = b"\x32\x15\x00\x0edevices/a/data\x00\x01\x00{}"
PUBACK = b"\x40\x02\x00\x01"


class TableOfOnesOwn(MemoryTable, Service):
    """As design.md's recipe has it. What ``Service.stopService`` returns is None, and no Deferred."""


class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.broker, self.table = Broker(), TableOfOnesOwn(["a"])
        settings = Settings(spool_file="", stats_interval=0, http_listen=None)
        self.service = AiotMqttService(settings, Clock(), table=self.table, endpoint=self.broker)  # type: ignore[arg-type]
        self.service.startService()
        self.broker.accept()
        self.broker.sent()

    def stop(self) -> None:
        self.successResultOf(self.service.stopService())

    def test_a_table_of_ones_own_is_written_and_then_acknowledged(self) -> None:
        self.broker.say(PUBLISH)
        self.assertEqual(self.table.rows["a"].last_report_data, "{}")
        self.assertEqual(self.broker.sent(), PUBACK)
        self.stop()

    def test_pending_is_written_before_the_broker_is_left_and_the_table_closed(self) -> None:
        order: list[str] = []
        for name in ("writer", "subscriber", "table"):
            child = getattr(self.service, name)

            def stopping(stop: Any = child.stopService, name: str = name) -> Deferred[None] | None:
                order.append(name)
                stopped: Deferred[None] | None = stop()
                return stopped

            self.patch(child, "stopService", stopping)
        self.stop()
        self.assertEqual(order, ["writer", "subscriber", "table"])
        self.broker.say(PUBLISH)
        self.assertEqual(self.service.counters.received, 0)
