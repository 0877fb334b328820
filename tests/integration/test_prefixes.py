"""Several topic prefixes: of one instance, and of two that share a fleet by them."""

from __future__ import annotations

import json

from twisted.trial.unittest import TestCase

from rig import load, servers
from rig.programs import FOREGROUND, STARTED, Program, settings_for
from rig.selection import OTHER_WAYS, only_in_all
from rig.servers import Mosquitto
from tests.eventually import eventually

SUBSCRIBED = "📡 订阅主题: {}/+/{}"
ROUNDS = 60


class PrefixTests(TestCase):
    """Processes of the service, on one table."""

    def setUp(self) -> None:
        self.database = servers.shared_database("mariadb")
        self.broker = Mosquitto(settings=["max_queued_messages 100000"])
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)

    def start(self, name: str, prefixes: str) -> Program:
        own = {"MQTT_CLIENT_ID": name, "MQTT_TOPIC_PREFIX": prefixes, "SPOOL_FILE": f"{name}.spool"}
        program = Program(FOREGROUND, {**settings_for(self.broker, self.database), **own}, folder=self.folder)
        self.addCleanup(program.close)
        for prefix in prefixes.split(","):
            program.wait_for(*(SUBSCRIBED.format(prefix, kind) for kind in ("data", "status", "heartbeat")))
        program.wait_for(STARTED)
        return program

    def stored(self, device: str) -> int | None:
        document = self.database.row(device)["last_report_data"]
        return None if document is None else int(json.loads(document)["n"])

    async def until_stored(self, device: str, number: int) -> None:
        await eventually(lambda: self.stored(device) == number)

    async def test_two_instances_share_a_fleet_and_each_keeps_its_order(self) -> None:
        prefixes = ("north", "north/annex", "south")
        devices = {f"d{number}": prefixes[number % len(prefixes)] for number in range(60)}
        self.database.add_devices(devices)
        first = self.start("first", "north,north/annex")
        second = self.start("second", "south")
        reports = [
            (f"{prefix}/{name}/data", json.dumps({"n": number}))
            for number in range(ROUNDS)
            for name, prefix in devices.items()
        ]
        load.publish(self.broker.port, reports)
        for name in devices:
            await self.until_stored(name, ROUNDS - 1)
        for program, share in ((first, 40), (second, 20)):
            program.stop()
            [figures] = [line for line in program.lines if "📊" in line]
            self.assertIn(f"{share * ROUNDS:,}", figures)

    @only_in_all(OTHER_WAYS)
    async def test_a_prefix_that_moved_to_another_instance_while_states_wait_moves_no_row_back(self) -> None:
        self.database.add_devices(["n", "s"])
        self.database.freeze()
        self.addCleanup(self.database.thaw)
        both = self.start("first", "north,south")
        load.publish(self.broker.port, [("north/n/data", '{"n": 1}'), ("south/s/data", '{"n": 1}')])
        both.wait_for("💾")
        both.stop()
        self.database.thaw()
        second = self.start("second", "south")
        load.publish(self.broker.port, [("south/s/data", '{"n": 2}')])
        await self.until_stored("s", 2)
        first = self.start("first", "north")
        await self.until_stored("n", 1)
        self.assertEqual(self.stored("s"), 2)
        for program in (first, second):
            program.stop()
