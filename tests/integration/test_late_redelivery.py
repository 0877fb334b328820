"""What a dead node of a cluster of brokers held comes late, behind newer messages, and moves no row back."""

from __future__ import annotations

import itertools
import json
import re

from twisted.trial.unittest import SynchronousTestCase

from rig import load, servers
from rig.brokers import RabbitCluster
from rig.programs import settings_for
from rig.relay import Relay
from rig.selection import OTHER_WAYS, only_in_all
from rig.servers import MariaDB

from .test_rivals import DEVICES, Instance, until

WINDOW = 400  # messages that RabbitMQ gives to a connection before it is told of the first one


def stale(service: Instance) -> int:
    """What its figures said last of messages that came too late."""
    said = [int(found) for line in [*service.lines] for found in re.findall(r"\bstale=(\d+)", line)]
    return said[-1] if said else 0


@only_in_all(OTHER_WAYS)
class LateRedeliveryTests(SynchronousTestCase):
    def test_a_node_hangs_and_goes_on_when_the_service_is_on_another_one_and_has_newer_ones(self) -> None:
        cluster = RabbitCluster(settings=[f"mqtt.prefetch = {WINDOW}"])
        self.addCleanup(cluster.close)
        cluster.start()
        database = MariaDB()
        database.start()
        self.addCleanup(database.close)
        database.create_device_table()
        database.grant()
        database.add_devices(DEVICES)
        ours, publishers, other = cluster.nodes
        relay = Relay(ours.port)
        self.addCleanup(relay.close)
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        settings = settings_for(None, database) | {
            "MQTT_BROKER": relay.host,
            "MQTT_PORT": str(relay.port),
            "LOG_LANGUAGE": "en",
            "STATS_INTERVAL": "1",
            "SPOOL_FILE": str(folder / "spool"),
        }
        service = Instance(settings, folder)
        self.addCleanup(service.program.close)
        until(lambda: service.count("MQTT service started"), [service])
        numbers = itertools.count()
        newest: dict[str, int] = {}

        def publish(rounds: int) -> None:
            for _ in range(rounds):
                newest.update((device, next(numbers)) for device in DEVICES)
                said = [(f"devices/{device}/data", json.dumps({"n": number})) for device, number in newest.items()]
                load.publish(publishers.port, said)

        def are_right() -> bool:
            rows = database.query("SELECT uuid, last_report_data FROM device_main")
            return {uuid: document and json.loads(document)["n"] for uuid, document in rows} == newest

        publish(1)
        until(are_right, [service])
        database.freeze()  # so that what comes now is not acknowledged
        try:
            # Its window is full, or else the hanging connection would be given every other of the new ones, too, for as
            # long as its node counts as there; nobody could tell those from the old ones.
            publish(WINDOW // len(DEVICES) + 5)
            ours.freeze()
            self.addCleanup(ours.thaw)
            relay.target_port = other.port
            relay.close_all()
            until(lambda: service.count("MQTT is back"), [service])
        finally:
            database.thaw()
        publish(5)
        until(are_right, [service])
        ours.thaw()
        until(lambda: stale(service) > 0, [service])
        until(are_right, [service])
        service.program.stop()
        self.assertTrue(are_right())
