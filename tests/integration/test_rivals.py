"""Two services with one client id, by mistake, on real servers: they agree, both say so, and no row moves back."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.rivals import SETTLING
from rig import load, servers
from rig.programs import FOREGROUND, LINE_TIMEOUT, Program, settings_for
from rig.relay import Relay
from rig.selection import OTHER_WAYS, only_in_all
from rig.servers import MariaDB, Mosquitto, Server

DEVICES = [f"d{number}" for number in range(20)]
CONNECTED, LEFT = "MQTT connected", "it may go on, again in"
MUTE = 3600.0  # s; until it is ended
AWAKE = 3.0  # s, more than the retry of a writer and the patience of a lease
LOST = "❌"  # of whoever has a broker and a database


# Messages that a row may step back for a moment over MQTT 3.1.1: when a connection has broken, the broker sends again
# what it does not know to be acknowledged, a window at a time, which is 20 there, or some more (Mosquitto 2.0.11).
SENT_AGAIN = 2 * 20


class Watch:
    """Publishes numbers to the devices, one after the other, and looks whether a row ever has a lesser one."""

    def __init__(self, broker: Server, database: MariaDB, protocol: str) -> None:
        self._broker, self._database = broker, database
        self._sent_again = SENT_AGAIN if protocol == "3.1.1" else 0
        self._stop = threading.Event()
        self._newest: dict[str, int] = {}
        self.published = 0
        self.moved_back: list[str] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._publish, self._look)]
        for thread in self._threads:
            thread.start()

    def _publish(self) -> None:
        while not self._stop.is_set():
            numbers = range(self.published, self.published + len(DEVICES))
            load.publish(
                self._broker.port,
                [(f"devices/{device}/data", json.dumps({"n": n})) for device, n in zip(DEVICES, numbers, strict=True)],
            )
            self.published += len(DEVICES)
            self._stop.wait(0.02)

    def rows(self) -> Iterator[tuple[str, int]]:
        for uuid, document in self._database.query("SELECT uuid, last_report_data FROM device_main"):
            yield uuid, -1 if document is None else json.loads(document)["n"]

    def expected(self) -> dict[str, int]:
        """What the rows hold once all is written."""
        return dict(zip(DEVICES, range(self.published - len(DEVICES), self.published), strict=True))

    def _look(self) -> None:
        while not self._stop.is_set():
            for uuid, number in self.rows():
                newest = self._newest[uuid] = max(number, self._newest.get(uuid, -1))
                if number < newest - self._sent_again:
                    self.moved_back.append(f"{uuid}: {newest} -> {number}")

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Instance:
    """A service, and all that it says."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        self.lines: list[str] = []
        self.program = Program(FOREGROUND, settings, folder=folder, heard=lambda line: self.lines.append(line or ""))

    def count(self, text: str) -> int:
        return sum(text in line for line in [*self.lines])


def until(condition: Callable[[], object], instances: Sequence[Instance]) -> None:
    """Wait for it.

    :raises AssertionError: it does not come; with all that the instances said.
    """
    deadline = time.monotonic() + LINE_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("\n\n".join("\n".join(each.lines) for each in instances))
        time.sleep(0.02)


class RivalsTests(SynchronousTestCase):
    def start(self, broker: Mosquitto, database: MariaDB, protocol: str, ways: Sequence[Relay] = ()) -> Instance:
        """:param ways: to the broker and to the database, where they may go mute."""
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        settings = settings_for(broker, database) | {
            "MQTT_PROTOCOL": protocol,
            "LOG_LANGUAGE": "en",
            "SPOOL_FILE": str(folder / "spool"),
            **{name: str(way.port) for name, way in zip(("MQTT_PORT", "DB_PORT"), ways, strict=False)},
        }
        instance = Instance(settings, folder)
        self.addCleanup(instance.program.close)
        until(lambda: instance.count("MQTT service started"), [instance])
        return instance

    def servers(self, version: str) -> tuple[Mosquitto, MariaDB]:
        broker, database = Mosquitto(version), MariaDB()
        for server in (broker, database):
            server.start()
            self.addCleanup(server.close)
        database.create_device_table()
        database.grant()
        database.add_devices(DEVICES)
        return broker, database

    def freeze(self, version: str, protocol: str = "auto") -> None:
        """One is frozen while the other one has the session and writes, and wakes with what it had received."""
        broker, database = self.servers(version)
        first = self.start(broker, database, protocol)
        watch = Watch(broker, database, protocol)
        both = [first]
        try:
            until(lambda: watch.published > 50 * len(DEVICES), both)
            first.program.process.send_signal(signal.SIGSTOP)
            both.append(self.start(broker, database, protocol))
            frozen_at = watch.published
            until(lambda: min(number for _, number in watch.rows()) > frozen_at, both)
            first.program.process.send_signal(signal.SIGCONT)
            until(lambda: any(each.count(LEFT) for each in both), both)
            decided_at = watch.published
            until(lambda: min(number for _, number in watch.rows()) > decided_at, both)
        finally:
            first.program.process.send_signal(signal.SIGCONT)
            watch.end()
        until(lambda: dict(watch.rows()) == watch.expected(), both)
        self.assertEqual(watch.moved_back, [])

    def mute(self, version: str, protocol: str = "auto", *, is_spooled: bool) -> None:
        """One is cut off from both by a network that goes mute while the other one has the session and writes; then the
        database is there again before the broker is.

        :param is_spooled: whether its disk has what it had received, or nobody but itself.
        """
        broker, database = self.servers(version)
        ways = Relay(broker.port), Relay(database.port)
        for way in ways:
            self.addCleanup(way.close)
        to_broker, to_database = ways
        first = self.start(broker, database, protocol, ways)
        watch = Watch(broker, database, protocol)
        both = [first]
        try:
            until(lambda: watch.published > 50 * len(DEVICES), both)
            to_database.delay(MUTE)
            if is_spooled:
                until(lambda: first.count("on this host and are acknowledged"), both)
            else:
                stored_until = watch.published
                until(lambda: watch.published > stored_until + 20 * len(DEVICES), both)
            to_broker.delay(MUTE)
            cut_off_at = watch.published
            both.append(self.start(broker, database, protocol))
            until(lambda: min(number for _, number in watch.rows()) > cut_off_at, both)
            to_database.delay(0)
            time.sleep(AWAKE)  # in which nothing is to happen
            self.assertEqual(watch.moved_back, [])
            to_broker.delay(0)
            until(lambda: any(each.count(LEFT) for each in both), both)
            decided_at = watch.published
            until(lambda: min(number for _, number in watch.rows()) > decided_at, both)
        finally:
            watch.end()
        until(lambda: dict(watch.rows()) == watch.expected(), both)
        self.assertEqual(watch.moved_back, [])

    def agree(self, version: str, protocol: str = "auto") -> None:
        broker, database = self.servers(version)
        watch = Watch(broker, database, protocol)
        try:
            both = [self.start(broker, database, protocol) for _ in range(2)]
            until(lambda: any(each.count(LEFT) for each in both), both)
            goes_on = min(both, key=lambda each: each.count(LEFT))
            until(lambda: goes_on.count(CONNECTED) == goes_on.count(LOST) + 1, both)
            connected = [each.count(CONNECTED) for each in both]
            time.sleep(SETTLING + 1)  # that nothing happens is no event
            self.assertEqual([each.count(CONNECTED) for each in both], connected)
        finally:
            watch.end()
        until(lambda: dict(watch.rows()) == watch.expected(), both)
        self.assertEqual(watch.moved_back, [])

    def test_where_the_broker_says_that_a_session_was_taken(self) -> None:
        self.agree("2.1")

    def test_where_the_one_that_was_there_first_wakes_up(self) -> None:
        self.freeze("2.1")

    @only_in_all(OTHER_WAYS)
    def test_where_it_wakes_up_and_is_not_told(self) -> None:
        self.freeze("2.0")

    @only_in_all(OTHER_WAYS)
    def test_where_it_wakes_up_over_mqtt_311(self) -> None:
        self.freeze("2.0", "3.1.1")

    def test_where_the_network_of_the_first_goes_mute(self) -> None:
        self.mute("2.1", is_spooled=False)

    @only_in_all(OTHER_WAYS)
    def test_where_it_goes_mute_over_mqtt_311(self) -> None:
        self.mute("2.0", "3.1.1", is_spooled=False)

    @only_in_all(OTHER_WAYS)
    def test_where_it_goes_mute_when_the_disk_has_some(self) -> None:
        self.mute("2.1", is_spooled=True)

    @only_in_all(OTHER_WAYS)
    def test_where_it_goes_mute_when_the_disk_has_some_over_mqtt_311(self) -> None:
        self.mute("2.0", "3.1.1", is_spooled=True)

    @only_in_all(OTHER_WAYS)
    def test_where_it_does_not(self) -> None:
        self.agree("2.0")

    @only_in_all(OTHER_WAYS)
    def test_over_mqtt_311(self) -> None:
        self.agree("2.0", "3.1.1")
