"""``aiot-mqtt simulate`` on real brokers, as an operator runs it."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from aiot_mqtt.simulate.fleet import numbered_uuids
from rig import servers
from rig.programs import START_LINES, Program
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import Mosquitto
from tests.integration.test_service import ServiceMixin

SIMULATE = [sys.executable, "-m", "aiot_mqtt", "simulate"]


def at(broker: Mosquitto) -> list[str]:
    return [*SIMULATE, "--broker", f"{broker.host}:{broker.port}"]


def run(argv: Sequence[str], code: int = 0, **settings: str) -> tuple[str, str]:
    """Run to the end in an empty folder; returns what it said on standard output and on standard error."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(servers.ROOT), "LC_ALL": "C", **settings}
    folder = servers.private_folder()
    done = subprocess.run(argv, capture_output=True, text=True, cwd=folder, env=environment, timeout=120, check=False)
    servers.remove_folder(folder)
    if done.returncode != code:
        raise AssertionError(f"exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout, done.stderr


class Listener:
    """Keeps what each topic carried, in order."""

    def __init__(self, broker: Mosquitto) -> None:
        self.payloads: dict[str, list[bytes]] = defaultdict(list)
        self._subscribed = threading.Event()
        self._seen_last = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect(broker.host, broker.port)
        self._client.subscribe([("devices/#", 1), ("last", 1)])
        self._client.loop_start()
        self._subscribed.wait(30)

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        if message.topic == "last":
            self._seen_last.set()
        else:
            self.payloads[message.topic].append(bytes(message.payload))

    def close(self, broker: Mosquitto) -> None:
        """Wait until all that the broker has had until now is here."""
        broker.pub("last", "")
        self._seen_last.wait(30)
        self._client.disconnect()
        self._client.loop_stop()


class BrokerMixin(SynchronousTestCase):
    broker_version: ClassVar[str]

    def start_broker(self, *settings: str, **arguments: Any) -> Mosquitto:
        broker = Mosquitto(self.broker_version, settings=settings, **arguments)
        self.addCleanup(broker.close)
        broker.start()
        return broker

    def test_the_same_seed_publishes_the_same_again(self) -> None:
        broker = self.start_broker()
        heard = []
        for seed in ("5", "5", "6"):
            listener = Listener(broker)
            options = ["--messages", "600", "--rate", "2000", "--chaos", "20%", "--silence", "30%", "--seed", seed]
            run([*at(broker), *options, "--silence-seconds", "0.1"])
            listener.close(broker)
            heard.append(dict(listener.payloads))
        self.assertEqual(heard[0], heard[1])
        self.assertNotEqual(heard[0], heard[2])

    def test_says_what_was_published_and_acknowledged(self) -> None:
        broker = self.start_broker()
        for protocol in ("5", "3.1.1"):
            for qos in ("0", "1"):
                options = ["--messages", "1000", "--rate", "5000", "--protocol", protocol, "--qos", qos, "--json"]
                output, _ = run([*at(broker), *options])
                summary = json.loads(output)
                self.assertEqual(
                    (summary["published"], summary["acknowledged"], summary["unacknowledged"], summary["complete"]),
                    (1000, 1000 * int(qos), 0, True),
                )
                self.assertEqual(summary["no_subscriber"], 1000 if (protocol, qos) == ("5", "1") else 0)

    def test_keeps_to_a_small_window_of_the_broker(self) -> None:
        broker = self.start_broker("max_inflight_messages 1")
        output, _ = run([*at(broker), "--messages", "2000", "--rate", "100000", "--json"])
        self.assertEqual(json.loads(output)["acknowledged"], 2000)

    def test_an_interrupt_ends_it_with_the_summary(self) -> None:
        broker = self.start_broker()
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            program = Program([*at(broker), "--rate", "500", "--json"], {}, folder=folder)
            self.addCleanup(program.close)
            program.wait_for(" s  published ")
            program.process.send_signal(number)
            self.assertEqual(program.wait(), 0)
            summary = json.loads(program.lines[-1])
            self.assertGreater(summary["published"], 0)
            self.assertEqual(summary["published"], summary["acknowledged"])

    def test_a_broker_that_is_not_there_or_refuses_is_told(self) -> None:
        _, said = run([*SIMULATE, "--broker", f"127.0.0.1:{servers.free_port()}"], 69)
        self.assertIn("cannot publish to 127.0.0.1:", said)
        self.assertIn("refused", said)
        broker = self.start_broker("allow_anonymous false")
        for protocol in ("5", "3.1.1"):
            _, said = run([*at(broker), "--protocol", protocol], 69)
            self.assertIn("uthorized", said)
            self.assertNotIn("Traceback", said)

    def test_what_an_acl_denies_is_told_by_mqtt_5(self) -> None:
        acl = servers.private_folder() / "acl"
        self.addCleanup(servers.remove_folder, acl.parent)
        acl.write_text("topic write devices/+/heartbeat\n")
        acl.parent.chmod(0o755)
        broker = self.start_broker(f"acl_file {acl}")
        output, _ = run([*at(broker), "--messages", "300", "--rate", "3000", "--json"], 1)
        summary = json.loads(output)
        denied = summary["kinds"]["data"] + summary["kinds"]["status"]
        self.assertEqual(summary["refused"], {"Not authorized (135)": denied})
        self.assertEqual(summary["acknowledged"], summary["kinds"]["heartbeat"])

    def test_an_interrupt_while_it_connects_ends_it_too(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            program = Program([*SIMULATE, "--broker", f"127.0.0.1:{silent.getsockname()[1]}"], {}, folder=folder)
            self.addCleanup(program.close)
            connection, _ = silent.accept()
            with connection:
                self.assertEqual(connection.recv(1), b"\x10")
                program.process.send_signal(signal.SIGINT)
                self.assertEqual(program.wait(), 69)
        self.assertEqual(len(program.lines), 1, program.lines)
        self.assertIn("interrupted", program.lines[0])

    def test_a_broker_that_goes_away_ends_it_with_what_was_acknowledged(self) -> None:
        broker = self.start_broker()
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        program = Program([*at(broker), "--rate", "500", "--json"], {}, folder=folder)
        self.addCleanup(program.close)
        program.wait_for(" s  published ")
        broker.kill()
        self.assertEqual(program.wait(), 1)
        summary = json.loads(program.lines[-1])
        self.assertIn("closed the connection", summary["lost"])
        self.assertEqual(summary["published"], summary["acknowledged"] + summary["unacknowledged"])

    def test_settings_name_the_broker_as_they_do_for_the_service(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        broker = self.start_broker()
        (folder / "other.env").write_text(f"MQTT_BROKER=127.0.0.1\nMQTT_PORT={broker.port}\nMQTT_TOPIC_PREFIX=site/x\n")
        env_file = ["--env-file", str(folder / "other.env")]
        few = ["--messages", "5", "--rate", "100", "--json"]
        for argv in ([*SIMULATE, *env_file, *few], [*SIMULATE[:-1], *env_file, "simulate", *few]):
            output, _ = run(argv)
            self.assertEqual(json.loads(output)["acknowledged"], 5)
        run([*SIMULATE, *few], 78, MQTT_PORT="wrong")

    def test_without_the_subcommand_it_is_the_service(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        broker = self.start_broker()
        (folder / "other.env").write_text(f"MQTT_BROKER=127.0.0.1\nMQTT_PORT={broker.port}\nDB_PORT=1\n")
        program = Program([*SIMULATE[:-1], "--env-file", "other.env"], {}, folder=folder)
        self.addCleanup(program.close)
        program.wait_for(f"Broker: 127.0.0.1:{broker.port}", *START_LINES)
        program.stop()

    def test_progress_is_redrawn_on_a_terminal_and_plain_elsewhere(self) -> None:
        broker = self.start_broker()
        argv = [*at(broker), "--rate", "500", "--for", "1"]
        _, said = run(argv)
        self.assertNotIn("\r", said)
        for terminal, is_redrawn in (("xterm", True), ("dumb", False)):
            leader, follower = pty.openpty()
            environment = {**os.environ, "PYTHONPATH": str(servers.ROOT), "TERM": terminal, "COLUMNS": "30"}
            with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=follower, env=environment) as process:
                os.close(follower)
                shown = b""
                try:
                    while more := os.read(leader, 4096):
                        shown += more
                except OSError:  # the way a terminal says that nobody writes to it any more
                    pass
                os.close(leader)
                assert process.stdout is not None
                self.assertIn(b"published 500", process.stdout.read())
            self.assertEqual(b"\r\x1b[K" in shown, is_redrawn, shown)
            if is_redrawn:
                self.assertLess(max(len(line) for line in shown.split(b"\r\x1b[K")), 30)


class Mosquitto20Tests(BrokerMixin):
    broker_version = "2.0"


@only_in_all(OTHER_SERVERS)
class Mosquitto21Tests(BrokerMixin):
    broker_version = "2.1"
    skip = servers.unavailable("2.1")


del BrokerMixin  # it is no test of its own


class WithTheServiceMixin(ServiceMixin):
    async def test_the_service_counts_what_the_fleet_says_it_published(self) -> None:
        self.database.add_devices(numbered_uuids(50))
        for protocol in ("5", "3.1.1"):
            service = await self.start_service(mqtt_client_id=f"service-{protocol}")
            options = ["--devices", "50", "--messages", "5000", "--rate", "2500", "--protocol", protocol]
            troubles = ["--chaos", "10%", "--silence", "20%", "--silence-seconds", "0.5", "--json"]
            output, _ = await deferToThread(run, [*at(self.broker), *options, *troubles])
            summary = json.loads(output)
            self.assertEqual(summary["acknowledged"], summary["published"])
            self.assertEqual(summary["no_subscriber"], 0)
            await self.settled(service, summary["acknowledged"])
            counters, sorts = service.counters, summary["sorts"]
            self.assertEqual(counters.received, summary["acknowledged"])
            unknown = counters.refused.pop("unknown_device")
            self.assertEqual(counters.refused.total(), sorts["bad_payload"] + sorts["clearing"])
            self.assertLessEqual(unknown, sorts["unknown_device"])
            self.assertGreater(unknown, 0)
            silent = self.database.query("SELECT COUNT(*) FROM device_main WHERE last_seen IS NULL")
            self.assertEqual(silent, [(0,)])
            await self.stop_service(service)  # type: ignore[misc]


class Mosquitto20WithMariaDBTests(WithTheServiceMixin, TestCase):
    broker_version, flavour = "2.0", "mariadb"


@only_in_all(OTHER_SERVERS)
class Mosquitto21WithMySQLTests(WithTheServiceMixin, TestCase):
    broker_version, flavour = "2.1", "mysql"
    skip = servers.unavailable("mysql") or servers.unavailable("2.1")
