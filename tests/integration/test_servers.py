"""The servers that the other integration tests stand on behave as those tests assume."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pymysql
import pymysql.cursors
from twisted.trial.unittest import SynchronousTestCase

from rig import servers
from rig.certificates import make_certificates
from rig.relay import Relay
from rig.selection import OTHER_SERVERS, only_in_all
from rig.servers import MariaDB, Mosquitto, MySQL, ServerFailed

ANSWER_TIMEOUT = 60.0  # seconds

# Tests for several servers stand in a class that trial does not run by itself.
if TYPE_CHECKING:
    Shared = SynchronousTestCase
else:
    Shared = object


class BrokerTests(Shared):
    """What both versions of Mosquitto must do."""

    version: ClassVar[str]

    def broker(self, *, settings: Sequence[str] = (), persistence: bool = False) -> Mosquitto:
        broker = Mosquitto(self.version, settings=settings, persistence=persistence)
        self.addCleanup(broker.close)
        broker.start()
        return broker

    def received(self, broker: Mosquitto, *options: str) -> bytes:
        """The payload of the first message that a kept session of client ``s`` gets."""
        session = ["-h", broker.host, "-p", str(broker.port), "-i", "s", "-c", "-q", "1", "-t", "devices/+/data"]
        argv = [*broker.client_argv("mosquitto_sub"), *session, *options]
        return subprocess.run(argv, capture_output=True, check=True, timeout=ANSWER_TIMEOUT).stdout

    def test_is_the_version_asked_for(self) -> None:
        version = self.broker().version
        assert tuple(map(int, version.split(".")[:2])) >= tuple(map(int, self.version.split("."))), version

    def test_message_waits_for_its_subscriber_over_a_restart(self) -> None:
        broker = self.broker(persistence=True)
        port = broker.port
        self.received(broker, "-E")
        broker.pub("devices/d1/data", b'{"t": 1, "\xff": 2}', extra=["-V", "mqttv5"])
        broker.stop()
        broker.start()
        assert broker.port == port
        assert self.received(broker, "-C", "1", "-N") == b'{"t": 1, "\xff": 2}'

    def test_empty_and_retained_payload(self) -> None:
        broker = self.broker()
        broker.pub("devices/d1/data", "", retain=False)
        broker.pub("devices/d1/data", "kept", retain=True)
        assert self.received(broker, "-C", "1", "-N") == b"kept"

    def test_settings_and_the_words_of_a_failure(self) -> None:
        broker = self.broker(settings=["allow_anonymous false"])
        failure = self.assertRaises(ServerFailed, broker.pub, "devices/d1/data", "{}")
        assert "authori" in str(failure), failure

    def test_bad_settings_fail_at_once_with_the_log(self) -> None:
        began = time.monotonic()
        failure = self.assertRaises(ServerFailed, self.broker, settings=["no_such_setting 1"])
        assert "no_such_setting" in str(failure), failure
        assert time.monotonic() - began < ANSWER_TIMEOUT

    def test_frozen_broker_says_nothing_and_goes_on_when_thawed(self) -> None:
        broker = self.broker()
        broker.freeze()
        argv = [*broker.client_argv("mosquitto_pub"), "-h", broker.host, "-p", str(broker.port), "-t", "t", "-n"]
        with subprocess.Popen(argv) as publisher:
            self.assertRaises(subprocess.TimeoutExpired, publisher.wait, 0.3)
            broker.thaw()
            assert publisher.wait(ANSWER_TIMEOUT) == 0

    def test_tls(self) -> None:
        certificates = make_certificates(servers.private_folder())
        self.addCleanup(servers.remove_folder, certificates.ca.parent)
        broker = self.broker(
            settings=[
                f"cafile {certificates.ca}",
                f"certfile {certificates.server}",
                f"keyfile {certificates.server_key}",
                "require_certificate true",
            ]
        )
        client = ["--cert", str(certificates.client), "--key", str(certificates.client_key)]
        broker.pub("devices/d1/data", "{}", extra=["--cafile", str(certificates.ca), *client])
        context = ssl.create_default_context(cafile=str(certificates.ca))
        context.load_cert_chain(certificates.client, certificates.client_key)
        with (
            socket.create_connection((broker.host, broker.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as encrypted,
        ):
            assert encrypted.getpeercert()


class Mosquitto20Tests(BrokerTests, SynchronousTestCase):
    version = "2.0"


@only_in_all(OTHER_SERVERS)
class Mosquitto21Tests(BrokerTests, SynchronousTestCase):
    version = "2.1"
    skip = servers.unavailable("2.1")


class DatabaseTests(Shared):
    """What both databases must do."""

    flavour: ClassVar[str]

    def setUp(self) -> None:
        self.database = servers.shared_database(self.flavour)

    def as_service(
        self, port: int | None = None, read_timeout: int = 20, ssl_disabled: bool = False
    ) -> pymysql.Connection[pymysql.cursors.Cursor]:
        connection = pymysql.connect(
            host=self.database.host,
            port=port or self.database.port,
            read_timeout=read_timeout,
            ssl_disabled=ssl_disabled,
            user=self.database.service_user,
            password=self.database.service_password.encode(),
            database=servers.DATABASE,
            autocommit=True,
        )
        self.addCleanup(connection.close)
        return connection

    def refused(self, sql: str) -> None:
        """Assert that the service user is denied ``sql``."""
        with self.as_service().cursor() as cursor:
            error = self.assertRaises(pymysql.MySQLError, cursor.execute, sql)
        assert error.args[0] in {1142, 1143}, (sql, error)

    def test_rights_are_those_and_no_other(self) -> None:
        self.database.add_device("u1")
        with self.as_service().cursor() as cursor:
            cursor.execute(f"SELECT id, uuid, {servers.WRITTEN_COLUMNS} FROM device_main")
            cursor.execute("UPDATE device_main SET is_online = 1, last_seen = '2026-01-02 03:04:05' WHERE uuid = 'u1'")
        assert self.database.row("u1")["is_online"] == 1
        self.refused("SELECT name FROM device_main")
        self.refused("UPDATE device_main SET name = 'x'")
        self.refused("UPDATE device_main SET uuid = 'x'")
        self.refused("INSERT INTO device_main (uuid) VALUES ('x')")
        self.refused("DELETE FROM device_main")
        self.refused("CREATE TABLE other (id int)")
        self.refused("TRUNCATE device_main")
        self.refused("SELECT 1 FROM mysql.user")

    def test_revoked_rights_are_gone(self) -> None:
        connection = self.as_service()
        self.database.revoke()
        with connection.cursor() as cursor:
            error = self.assertRaises(pymysql.MySQLError, cursor.execute, "SELECT id FROM device_main")
        assert error.args[0] == 1142, error

    def test_committed_rows_survive_a_kill(self) -> None:
        port = self.database.port
        self.database.add_devices(f"u{number}" for number in range(5000))
        self.database.kill()
        self.database.start()
        assert self.database.port == port
        assert self.database.query("SELECT COUNT(*) FROM device_main") == [(5000,)]

    def test_device_table_as_the_live_system_has_it(self) -> None:
        identity = self.database.add_device("u1", name="锅炉 🎉", last_report_data='{"t": 1}')
        row = self.database.row("u1")
        assert (row["id"], row["name"], row["device_status"], row["is_online"]) == (identity, "锅炉 🎉", "pending", 0)
        assert len(row) == 45
        self.assertRaises(KeyError, self.database.row, "u2")

    def test_collation_of_the_table_can_be_chosen(self) -> None:
        for collation in ("utf8mb4_general_ci", "utf8mb4_bin", "latin1_swedish_ci"):
            self.database.create_device_table(collation=collation)
            found = self.database.query(
                "SELECT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'aiot_admin'"
                " AND TABLE_NAME = 'device_main' AND COLUMN_NAME = 'uuid'"
            )
            assert found == [(collation,)]

    def test_another_instance_shares_nothing_and_needs_no_installation(self) -> None:
        self.database.add_device("u1")
        self.patch(type(self.database), "_install", None)
        with MariaDB() if self.flavour == "mariadb" else MySQL() as other:
            other.create_device_table()
            assert other.query("SELECT COUNT(*) FROM device_main") == [(0,)]
        assert not other.folder.exists()

    def test_bad_settings_fail_at_once_with_the_log(self) -> None:
        settings = ["--no-such-setting"]
        other = MariaDB(settings=settings) if self.flavour == "mariadb" else MySQL(settings=settings)
        self.addCleanup(other.close)
        failure = self.assertRaises(ServerFailed, other.start)
        assert "no-such-setting" in str(failure), failure

    def test_relay_cuts_and_restores(self) -> None:
        with Relay(self.database.port) as relay:
            connection = self.as_service(relay.port, read_timeout=1)
            connection.ping(reconnect=False)
            relay.cut()
            self.assertRaises(pymysql.MySQLError, connection.ping, reconnect=False)
            relay.restore()
            connection = self.as_service(relay.port)
            relay.delay(0.1)
            began = time.monotonic()
            connection.ping(reconnect=False)
            assert time.monotonic() - began >= 0.2
            relay.close_all()
            self.assertRaises(pymysql.MySQLError, connection.ping, reconnect=False)

    def test_relay_trickles(self) -> None:
        with Relay(self.database.port) as relay:
            connection = self.as_service(relay.port)
            relay.trickle(10_000)
            began = time.monotonic()
            with connection.cursor() as cursor:
                cursor.execute("SELECT LENGTH(%s)", ("x" * 5000,))
                self.assertEqual(cursor.fetchone(), (5000,))
            assert time.monotonic() - began >= 0.3
            relay.trickle(0)
            connection.ping(reconnect=False)

    def test_relay_cuts_the_connection_on_which_a_pattern_passes(self) -> None:
        with Relay(self.database.port) as relay:
            connection = self.as_service(relay.port, read_timeout=1, ssl_disabled=True)
            other = self.as_service(relay.port)
            passed = relay.cut_when(b"COMMIT")
            connection.ping(reconnect=False)
            self.assertFalse(passed.is_set())
            self.assertRaises(pymysql.MySQLError, connection.commit)
            self.assertTrue(passed.is_set())
            other.commit()


class RelayTests(SynchronousTestCase):
    def test_a_delay_holds_up_nothing_but_the_time(self) -> None:
        # The first byte is not due for an hour. If pieces waited for each other, the sender could not get rid of more
        # than fits into a few buffers.
        data = bytes(32 * 1024 * 1024)
        with socket.create_server(("127.0.0.1", 0)) as server, Relay(server.getsockname()[1]) as relay:
            relay.delay(3600)
            with socket.create_connection((relay.host, relay.port), ANSWER_TIMEOUT) as client:
                target, _ = server.accept()
                with target:
                    target.settimeout(ANSWER_TIMEOUT)
                    client.sendall(data)
                    relay.delay(0)
                    with target.makefile("rb") as arrived:
                        self.assertEqual(arrived.read(len(data)), data)


class MariaDBTests(DatabaseTests, SynchronousTestCase):
    flavour = "mariadb"


@only_in_all(OTHER_SERVERS)
class MySQLTests(DatabaseTests, SynchronousTestCase):
    flavour = "mysql"
    skip = servers.unavailable("mysql")


class PortTests(SynchronousTestCase):
    def test_a_port_is_given_to_one_process_only_though_nobody_listens_yet(self) -> None:
        program = "import random; from rig.servers import free_port; random.seed(1); print(free_port()); input()"
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program], cwd=servers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(3)
        ]
        ports = set()
        for process in processes:
            assert process.stdout is not None
            ports.add(process.stdout.readline())
        for process in processes:
            process.communicate(b"\n")
        assert len(ports) == len(processes), ports


class GuardTests(SynchronousTestCase):
    def test_servers_and_folders_go_with_a_killed_test_process(self) -> None:
        program = """
import sys, threading, time
from rig.servers import Mosquitto
broker = Mosquitto()
starter = threading.Thread(target=broker.start)
starter.start()
starter.join()
print(broker.pid, broker.folder, flush=True)
sys.stdin.read()
"""
        argv = [sys.executable, "-c", program]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=servers.ROOT) as tests:
            assert tests.stdout is not None
            pid, folder = tests.stdout.readline().decode().split()
            broker = os.pidfd_open(int(pid))
            self.addCleanup(os.close, broker)
            assert not select.select([broker], [], [], 0.1)[0]
            tests.send_signal(signal.SIGKILL)
        assert select.select([broker], [], [], ANSWER_TIMEOUT)[0]
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while Path(folder).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Path(folder).exists()
