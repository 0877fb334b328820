"""Who is online, on real servers, through whatever happens to the service, the broker and the database."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar

import paho.mqtt.client as paho
import pymysql
from paho.mqtt.enums import CallbackAPIVersion
from twisted.trial.unittest import SynchronousTestCase

from rig import servers
from rig.programs import FOREGROUND, STARTED, Program, settings_for
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import Mosquitto

if TYPE_CHECKING:
    Shared = SynchronousTestCase
else:
    Shared = object

DEVICES = [f"d{number:03}" for number in range(500)]
TIMEOUT, CHECK_INTERVAL = 6, 1  # s
LEFT_DOWN = 3 * TIMEOUT  # s
GIVE_UP = 60.0  # s; far beyond what is documented, for a busy machine


class Fleet(threading.Thread):
    """Every living device sends a heartbeat each second, whenever the broker is there."""

    def __init__(self, broker: Mosquitto) -> None:
        super().__init__(daemon=True)
        self.living = set(DEVICES)
        self.babbling: set[str] = set()
        self._ended = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="fleet", protocol=paho.MQTTv311)
        self._client.max_inflight_messages_set(2000)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def run(self) -> None:
        while not self._ended.wait(1):
            if self._client.is_connected():
                for device in sorted(self.living):
                    if device in self.babbling:
                        self._client.publish(f"devices/{device}/data", '{"t": NaN}', 1)
                    else:
                        self._client.publish(f"devices/{device}/heartbeat", "", 1)

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._client.disconnect()
        self._client.loop_stop()


class PresenceTests(Shared):
    broker_version: ClassVar[str]
    flavour: ClassVar[str]

    def setUp(self) -> None:
        self.database = servers.shared_database(self.flavour)
        self.database.add_devices(DEVICES)
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.broker = Mosquitto(self.broker_version)
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.service = self.start_service()
        self.fleet = Fleet(self.broker)
        self.fleet.start()
        self.addCleanup(self.fleet.end)
        self.wait_for(lambda: self.online() == set(DEVICES))

    def start_service(self, **others: str) -> Program:
        settings = {
            **settings_for(self.broker, self.database),
            "HEARTBEAT_TIMEOUT": str(TIMEOUT),
            "HEARTBEAT_CHECK_INTERVAL": str(CHECK_INTERVAL),
            **others,
        }
        service = Program(FOREGROUND, settings, folder=self.folder)
        self.addCleanup(service.close)
        service.wait_for(STARTED)
        return service

    def online(self) -> set[str]:
        return {uuid for (uuid,) in self.database.query("SELECT uuid FROM device_main WHERE is_online = 1")}

    def watch(self) -> set[str]:
        """Who is online; no living device may be missing, ever."""
        living = set(self.fleet.living)
        online = self.online()
        self.assertEqual(living - online, set(), "shown offline, but alive")
        return online

    def wait_for(self, condition: object) -> None:
        deadline = time.monotonic() + GIVE_UP
        while not condition():  # type: ignore[operator]
            self.assertLess(time.monotonic(), deadline, "it did not happen")
            time.sleep(0.05)

    def kill_some(self) -> set[str]:
        dying = set(sorted(self.fleet.living)[:50])
        self.fleet.living -= dying
        return dying

    def assert_goes_offline(self, dead: set[str]) -> None:
        """Only the dead go, and they do."""
        self.wait_for(lambda: not self.watch() & dead)
        self.assertEqual(self.online(), self.fleet.living)

    def watch_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.watch()
            time.sleep(0.1)

    def test_the_dead_go_offline_and_the_living_never_do(self) -> None:
        self.watch_for(2 * TIMEOUT)
        self.assert_goes_offline(self.kill_some())
        self.watch_for(TIMEOUT)

    def test_while_the_database_is_down_or_frozen(self) -> None:
        def killed() -> None:
            self.database.kill()
            time.sleep(LEFT_DOWN)
            self.database.start()

        def frozen() -> None:
            self.database.freeze()
            time.sleep(LEFT_DOWN)
            self.database.thaw()

        for down in (killed, frozen):
            dead = self.kill_some()
            down()
            self.wait_for(self.database_answers)
            self.assert_goes_offline(dead)
            self.watch_for(TIMEOUT)

    def database_answers(self) -> bool:
        try:
            self.online()
        except pymysql.MySQLError:
            return False
        return True


class Mosquitto20WithMariaDBTests(PresenceTests, SynchronousTestCase):
    """Here also what does not depend on which servers they are."""

    broker_version, flavour = "2.0", "mariadb"

    def test_whatever_others_do_to_rows_and_devices_say(self) -> None:
        self.service.stop()
        self.service = self.start_service(DB_POOL_SIZE="1", DB_MAX_OVERFLOW="0", MQTT_RECEIVE_MAXIMUM="1000")
        self.fleet.babbling = set(DEVICES[200:210])
        self.database.query(
            "CREATE TRIGGER held BEFORE UPDATE ON device_main FOR EACH ROW"
            " IF NEW.uuid = 'd001' AND NEW.is_online = 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'held'; END IF"
        )
        ended = threading.Event()

        def set_rows_back() -> None:
            with self.database._connect() as connection, connection.cursor() as cursor:
                while True:
                    for value in ("last_seen - INTERVAL 8 HOUR", "NULL", "'2099-01-01'"):
                        for device in DEVICES[50:]:  # row by row, so that nothing is held up
                            cursor.execute(f"UPDATE device_main SET last_seen = {value} WHERE uuid = %s", (device,))
                            if ended.wait(0.001):
                                return

        others = threading.Thread(target=set_rows_back, daemon=True)
        others.start()
        self.addCleanup(others.join)
        self.addCleanup(ended.set)
        self.watch_for(2 * TIMEOUT)
        dead = self.kill_some() - {"d001"}
        self.wait_for(lambda: not self.watch() & dead)
        self.assertEqual(self.online(), self.fleet.living | {"d001"})
        self.service.stop()
        (line,) = [line for line in self.service.lines if "held" in line]
        self.assertIn("d001", line)

    def test_while_the_service_is_stopped_and_killed(self) -> None:
        for end in (Program.stop, Program.close):
            end(self.service)
            dead = self.kill_some()
            self.watch_for(LEFT_DOWN)
            self.service = self.start_service()
            self.assert_goes_offline(dead)
            self.watch_for(TIMEOUT)

    def test_while_the_broker_is_down(self) -> None:
        self.broker.kill()
        dead = self.kill_some()
        self.watch_for(LEFT_DOWN)
        self.broker.start()
        self.service.wait_for("✅ MQTT已恢复")
        self.assert_goes_offline(dead)
        self.watch_for(TIMEOUT)

    def test_while_the_broker_is_frozen(self) -> None:
        # Longer than the timeout and far shorter than the keep-alive: nobody has told the service anything.
        self.broker.freeze()
        self.watch_for(LEFT_DOWN)
        self.broker.thaw()
        self.assert_goes_offline(self.kill_some())
        self.watch_for(TIMEOUT)

    def test_a_device_that_died_while_its_message_waited_counts_from_its_receipt(self) -> None:
        self.service.stop()
        dead = self.kill_some()
        for device in sorted(dead)[:3]:
            self.broker.pub(f"devices/{device}/heartbeat", "")
        self.service = self.start_service()
        self.wait_for(lambda: dead & self.online() == set(sorted(dead)[:3]) or not dead & self.online())
        self.assert_goes_offline(dead)


@only_in_all(OTHER_SERVERS)
class Mosquitto21WithMySQLTests(PresenceTests, SynchronousTestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")
