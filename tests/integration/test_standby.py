"""Two instances on real servers, of which one is active (``HA_MODE=standby``). More of it is in ``faults``."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from aiot_mqtt.table.contract import StoreError, StoreNotOurs
from aiot_mqtt.table.fence import ImpatientFence
from aiot_mqtt.table.mysql import DeviceTable
from rig import load, servers
from rig.programs import FOREGROUND, LINE_TIMEOUT, Program, settings_for
from rig.selection import LONG_ROUND, OTHER_SERVERS, OTHER_WAYS, only_in_all
from rig.servers import MariaDB, Mosquitto, MySQL, free_port
from rig.stage import answered
from tests.integration.device_tables import DatabaseMixin
from tests.store_contract import EARLIER, LATER, make_update

ENDED = -signal.SIGTERM
READY, ACTIVE, TAKES_OVER = "is ready", "is active, ", "takes over"


class StandbyCase(SynchronousTestCase):
    """Instances that can be asked, and real servers."""

    broker_version: ClassVar[str] = "2.0"
    flavour: ClassVar[Any] = MariaDB
    broker_settings: ClassVar[tuple[str, ...]] = ()
    persistence: ClassVar[bool] = False

    def setUp(self) -> None:
        self.database = self.flavour()
        self.addCleanup(self.database.close)
        self.database.start()
        self.database.create_device_table()
        self.database.grant()
        self.database.add_devices(["a", "b"])
        self.broker = Mosquitto(self.broker_version, settings=self.broker_settings, persistence=self.persistence)
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.number = 0
        self.ports: dict[str, int] = {}

    def begin(self, name: str, **settings: str) -> Program:
        """An instance with a disk and a port of its own."""
        folder, port = servers.private_folder(), free_port()
        self.addCleanup(servers.remove_folder, folder)
        program = Program(
            FOREGROUND,
            {
                **settings_for(self.broker, self.database),
                "LOG_LANGUAGE": "en",
                "HTTP_LISTEN": f"tcp:{port}:interface=127.0.0.1",
                "HA_MODE": "standby",
                "HA_NAME": name,
                **settings,
            },
            folder=folder,
        )
        self.addCleanup(program.close)
        self.ports[name] = port
        return program

    def status(self, name: str) -> dict[str, Any]:
        code, text = answered(self.ports[name], "/readyz", {})
        told: dict[str, Any] = json.loads(text)
        self.assertEqual(told["ready"], code == 200, text)
        return told

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + LINE_TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def stored(self) -> None:
        """What is published now is stored, by whoever is active."""
        self.number += 1
        load.publish(self.broker.port, [("devices/a/data", f'{{"seq": {self.number}}}')])
        self.until(lambda: f'"seq": {self.number}' in (self.database.row("a")["last_report_data"] or ""))


class StandbyTests(StandbyCase):
    def test_of_two_that_start_at_once_one_is_active_and_when_it_stops_the_other_is(self) -> None:
        programs = {name: self.begin(name) for name in ("first", "second")}
        self.until(lambda: self.roles() in (["active", "standby"], ["standby", "active"]))
        active, waiting = sorted(programs, key=lambda name: self.status(name)["standby"]["role"])
        self.stored()
        for name in programs:
            told = self.status(name)
            self.assertEqual((told["state"], told["standby"]["active"]), ("ok", active), told)
        self.assertEqual(self.status(active)["standby"]["standbys"], [waiting])
        self.assertIn(active, self.status(waiting)["sentence"]["en"])
        self.assertIn(f'role="active"}} {1.0}', answered(self.ports[active], "/metrics", {})[1])
        self.assertEqual(programs[active].stop(), ENDED)
        programs[waiting].wait_for(f"{active} has stopped", ACTIVE)
        self.stored()
        self.assertFalse([line for line in programs[active].lines if "[ERROR]" in line])
        self.assertEqual(programs[waiting].stop(), ENDED)
        self.assertFalse([line for line in programs[waiting].lines if "[ERROR]" in line])

    def roles(self) -> list[str]:
        try:
            return [self.status(name)["standby"]["role"] for name in ("first", "second")]
        except OSError:  # it does not listen yet
            return []


@only_in_all(OTHER_SERVERS)
class OtherServersTests(StandbyCase):
    """Mosquitto 2.1 and MySQL, and MQTT 3.1.1."""

    broker_version = "2.1"
    flavour = MySQL
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")

    def test_a_frozen_one_is_replaced_and_waits_when_it_wakes(self) -> None:
        first = self.begin("first", MQTT_PROTOCOL="3.1.1")
        first.wait_for(ACTIVE)
        second = self.begin("second", MQTT_PROTOCOL="3.1.1")
        second.wait_for(READY)
        self.stored()
        first.process.send_signal(signal.SIGSTOP)
        self.stored()
        second.wait_for(ACTIVE)
        first.process.send_signal(signal.SIGCONT)
        first.wait_for("not active any more", READY)
        self.stored()
        self.assertEqual(second.stop(), ENDED)
        first.wait_for("has stopped", ACTIVE)
        self.stored()
        self.assertEqual(first.stop(), ENDED)


@only_in_all(OTHER_WAYS)
class BrokerTests(StandbyCase):
    persistence = True

    def test_a_broker_that_is_restarted_leaves_one_active(self) -> None:
        first = self.begin("first")
        first.wait_for(ACTIVE)
        second = self.begin("second")
        second.wait_for(READY)
        self.broker.stop()
        first.wait_for("not active any more")
        self.broker.start()
        self.until(lambda: sorted(self.status(name)["standby"]["role"] for name in self.ports) == ["active", "standby"])
        self.stored()
        self.assertEqual([first.stop(), second.stop()], [ENDED, ENDED])

    def test_one_that_does_not_reach_the_broker_takes_nothing_over_and_says_so(self) -> None:
        alone = self.begin("first", MQTT_PORT=str(free_port()))
        alone.wait_for("Cannot see other instances")
        self.assertEqual(self.status("first")["state"], "fault")
        self.assertFalse([line for line in alone.lines if TAKES_OVER in line])


@only_in_all(OTHER_WAYS)
class RightsTests(StandbyCase):
    """A user that may not do on the status topic what it must."""

    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.rights = self.folder / "acl"
        self.rights.write_text("topic read devices/#\ntopic write devices/#\n")
        self.rights.chmod(0o644)
        self.folder.chmod(0o755)
        self.broker_settings = (f"acl_file {self.rights}",)  # type: ignore[misc]
        super().setUp()

    def test_it_says_so_and_takes_nothing_over_until_it_has_the_right(self) -> None:
        alone = self.begin("first")
        alone.wait_for("publishes on aiot-mqtt/service/active")
        told = self.status("first")
        self.assertEqual((told["state"], told["standby"]["role"]), ("fault", "standby"))
        self.assertFalse([line for line in alone.lines if TAKES_OVER in line])
        self.rights.write_text("topic readwrite #\n")
        assert self.broker.pid
        self.broker._running().send_signal(signal.SIGHUP)
        alone.wait_for(ACTIVE)
        self.stored()


class FenceTests(DatabaseMixin, TestCase):
    """One that freezes in the middle of a transaction, and another one that writes the same row."""

    flavour = "mariadb"

    def fenced(self, prove: Callable[[], bool]) -> DeviceTable:
        table: DeviceTable = self.make_table(fence=ImpatientFence(lambda: prove))
        return table

    async def test_what_is_not_proved_is_not_written(self) -> None:
        self.database.add_device("a")
        table = self.fenced(lambda: False)
        before = self.database.row("a")
        with self.assertRaises(StoreNotOurs):
            await table.write([make_update("a", last_seen=LATER)])
        self.assertEqual(self.database.row("a"), before)
        # What is written only where nothing newer is, needs no proof.
        await table.write([make_update("a", last_seen=LATER)], EARLIER)
        self.assertNotEqual(self.database.row("a"), before)

    @only_in_all(LONG_ROUND)
    async def test_one_that_freezes_before_its_commit_holds_nobody_up_and_commits_nothing(self) -> None:
        self.database.add_device("a")
        locked, woken = threading.Event(), threading.Event()

        def freeze() -> bool:
            locked.set()
            return woken.wait(60)

        old, new = self.fenced(freeze), self.fenced(lambda: True)
        writing = old.write([make_update("a", document=b'{"seq": 1}', last_seen=LATER)])
        failed: list[Any] = []
        writing.addErrback(failed.append)
        await deferToThread(locked.wait, 60)
        while True:
            try:
                await new.write([make_update("a", document=b'{"seq": 2}', last_seen=EARLIER)])
                break
            except StoreError:  # it waits for the lock until the server lets go of it
                continue
        self.assertIn('"seq": 2', self.database.row("a")["last_report_data"])
        woken.set()
        await writing
        self.assertEqual(len(failed), 1)
        self.assertIn('"seq": 2', self.database.row("a")["last_report_data"])


@only_in_all(OTHER_SERVERS)
class MySQLFenceTests(FenceTests):
    flavour = "mysql"
    skip = servers.unavailable("mysql")
