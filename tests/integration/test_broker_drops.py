"""What a real broker says that it drops, and what is made of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.mqtt import broker_drops
from aiot_mqtt.mqtt.broker_drops import BrokerDrops
from aiot_mqtt.mqtt.keep_alive import HEARD_LATELY
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.tls_endpoint import broker_endpoint
from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.telemetry import log_lines
from rig import load
from rig.brokers import RabbitMQ
from rig.selection import OTHER_SERVERS, only_in_all
from tests.eventually import eventually

from .test_service import ServiceMixin

reactor: Any = _reactor
NAME = "the broker"
KEPT = 10  # messages


class DropsMixin(ServiceMixin):
    broker_version = "2.0"
    flavour = "mariadb"
    note: Path
    broker_settings = ("sys_interval 1", f"max_queued_messages {KEPT}")
    username = ""

    async def watch(self, service: AiotMqttService, **arguments: Any) -> BrokerDrops:
        drops = BrokerDrops(
            broker_endpoint(service._settings, reactor),
            ConnectOptions("not used", username=self.username),
            service.subscriber,
            reactor,
            name=NAME,
            note=self.note,
            in_thread=lambda work: work(),
            first_look=0.01,
            **{"settled": 2.0, **arguments},
        )
        drops.startService()
        self.addCleanup(lambda: drops.stopService() if drops.running else None)
        return drops


class BrokerDropsTests(DropsMixin, TestCase):
    async def leave_session(self) -> None:
        """A client that was there, and for which the broker keeps what comes at QoS 1, as far as it does."""
        argv = [*self.broker.client_argv("mosquitto_sub"), "-h", self.broker.host, "-p", str(self.broker.port)]
        await deferToThread(subprocess.run, [*argv, "-i", "away", "-c", "-q", "1", "-t", "other/#", "-E"], check=True)

    async def lose(self, count: int) -> None:
        """Have the broker drop so many."""
        await deferToThread(load.publish, self.broker.port, [("other/a", "{}")] * count)

    async def test_what_it_drops_is_said_with_its_number_and_over_restarts_of_ours(self) -> None:
        self.note = Path(self.folder) / "spool.broker"
        service = await self.start_service()
        await self.leave_session()
        await self.lose(KEPT + 5)
        drops = await self.watch(service)
        self.assertEqual((await self.said(log_lines.BROKER_HAS_DROPPED))["count"], 5)
        self.assertEqual(drops.dropped, 5)
        drops.stopService()
        self.assertEqual(json.loads(self.note.read_text())["dropped"], 5)
        self.assertEqual(self.note.stat().st_mode & 0o777, 0o600)
        # While ours is down.
        await self.lose(7)
        drops = await self.watch(service)
        self.assertEqual((await self.said(log_lines.BROKER_DROPPED_MEANWHILE))["count"], 7)
        # While it runs: too soon for another line, but the figure is there.
        await self.lose(3)
        await eventually(lambda: drops.dropped == 15)
        self.assertEqual(self.count(log_lines.BROKER_DROPS), 0)
        drops.stopService()
        drops = await self.watch(service, settled=0.0)
        await self.said(log_lines.BROKER_DROPPED_MEANWHILE, 2)
        drops._told_at = float("-inf")  # as if ten minutes had passed
        await self.lose(4)
        said = await self.said(log_lines.BROKER_DROPS)
        self.assertEqual((said["count"], said["total"]), (4, 19))
        self.assertEqual(self.count(log_lines.BROKER_DROPS_UNREADABLE), 0)
        self.assertEqual(self.count(log_lines.BROKER_HAS_DROPPED), 1)

    async def test_of_a_broker_that_says_nothing_at_all_it_is_not_said_that_this_cannot_be_read(self) -> None:
        self.note = Path(self.folder) / "spool.broker"
        self.patch(broker_drops, "TIMEOUT", 0.2)
        self.patch(broker_drops, "RETRY", 0.1)
        service = await self.start_service()
        self.broker.freeze()
        self.addCleanup(self.broker.thaw)
        await eventually(lambda: service.subscriber.silent_for >= HEARD_LATELY)
        drops, attempts = await self.watch(service), 0
        listen = drops._listen

        async def counted() -> None:
            nonlocal attempts
            attempts += 1
            await listen()

        self.patch(drops, "_listen", counted)
        await eventually(lambda: attempts >= 3)
        self.assertEqual(self.count(log_lines.BROKER_DROPS_UNREADABLE), 0)
        self.broker.thaw()
        await eventually(lambda: drops.dropped is not None)


class DeniedTests(DropsMixin, TestCase):
    """An ACL that has not a word about $SYS, which Mosquitto takes for a subscription that nothing comes on."""

    def make_broker(self) -> Any:
        self.acl = Path(self.mktemp())
        self.acl.write_text("topic readwrite devices/#\n")
        self.broker_settings = ("sys_interval 1", f"acl_file {self.acl.absolute()}")
        return super().make_broker()

    async def test_where_nothing_is_said_that_is_told_once_and_nothing_is_disturbed(self) -> None:
        self.note = Path(self.folder) / "spool.broker"
        service = await self.start_service()
        self.patch(broker_drops, "PATIENCE", 2.5)
        drops = await self.watch(service)
        await self.said(log_lines.BROKER_DROPS_UNREADABLE)
        self.assertIs(drops.dropped, None)
        self.assertFalse(self.note.exists())
        await self.publish(("devices/a/data", "{}"))
        await self.settled(service, 1)
        self.assertEqual(self.count(log_lines.MQTT_LOST), 0)


@only_in_all(OTHER_SERVERS)
class RabbitMQTests(DropsMixin, TestCase):
    """It has nothing at $SYS, and may close a connection that asks."""

    timeout = 300

    def make_broker(self) -> Any:
        return RabbitMQ()

    async def test_who_has_no_such_figure_is_left_alone_and_serves_on(self) -> None:
        self.note = Path(self.folder) / "spool.broker"
        service = await self.start_service()
        self.patch(broker_drops, "PATIENCE", 2.5)
        drops = await self.watch(service)
        await self.said(log_lines.BROKER_DROPS_UNREADABLE)
        self.assertIs(drops.dropped, None)
        await self.publish(("devices/a/data", "{}"))
        await self.settled(service, 1)
        self.assertEqual(self.count(log_lines.MQTT_LOST), 0)
