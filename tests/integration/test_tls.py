"""TLS beside the table of certificates: the handshake, our own certificate, a pinned one, documents, what is logged."""

from __future__ import annotations

import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent
from twisted.trial.unittest import TestCase

from aiot_mqtt.mqtt import tls_endpoint
from aiot_mqtt.mqtt.errors import MqttError
from aiot_mqtt.mqtt.tls_endpoint import broker_endpoint
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import ConfigError, Settings, load_settings
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions
from aiot_mqtt.table import address
from aiot_mqtt.table.address import database_addresses, database_tls
from aiot_mqtt.table.connection import DatabaseConnection
from aiot_mqtt.table.contract import StoreUnavailable
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.telemetry.logs import in_chinese, in_english
from aiot_mqtt.tls.faults import fingerprint
from aiot_mqtt.tls.refusal import TlsRefused
from rig import rogue, servers
from rig.certificates import HOUR, PEM, Authority, Issued, alternatives
from rig.programs import FOREGROUND, Program
from rig.rogue import Rogue, Talk
from rig.servers import Database, MariaDB, Mosquitto, MySQL
from tests.eventually import eventually
from tests.integration.test_service import ServiceMixin

PASSWORD = "pass-word"
NAMES = alternatives("localhost", "127.0.0.1")
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class TlsTestCase(TestCase):
    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.authority = Authority()
        self.ca = self.folder / "ca.pem"
        self.authority.write(self.ca)
        self.server = self.authority.issue("server", names=NAMES)
        self.certificate, self.key = self.server.write(self.folder, "server")

    async def dial_broker(self, port: int, **settings: Any) -> str:
        """Log in at a broker; the sentence if that fails, in English."""
        chosen: dict[str, Any] = {"mqtt_tls": True, "mqtt_ca_file": str(self.ca), **settings}
        publisher = Publisher(PublisherOptions("tls", username="u", password=PASSWORD), reactor, lambda: None)
        endpoint = broker_endpoint(Settings(mqtt_broker="localhost", mqtt_port=port, **chosen), reactor)
        try:
            await endpoint.connect(Factory.forProtocol(lambda: publisher))
            await publisher.accepted
        except (TlsRefused, MqttError) as error:
            return self.in_english(error)
        await publisher.disconnect()
        return ""

    async def dial_database(self, port: int, **files: str) -> str:
        """The same at a database."""
        tls = database_tls("localhost", **{"ca_file": str(self.ca), **files})
        connection = DatabaseConnection(
            tls=tls,
            host="localhost",
            port=port,
            user=Database.service_user,
            password=Database.service_password.encode(),
            read_timeout=servers.START_TIMEOUT,
            write_timeout=servers.START_TIMEOUT,
        )
        try:
            await deferToThread(connection.connect)
        except (StoreUnavailable, pymysql.err.Error) as error:
            return self.in_english(error)
        await deferToThread(connection.close)
        return ""

    def in_english(self, error: Exception) -> str:
        text = str(error)
        if isinstance(text, Bilingual):
            self.assertTrue(text.isascii(), text)
            self.assertRegex(text.chinese, r"[\u4e00-\u9fff]")
            self.assertNotRegex(text + text.chinese, r"[{}]")
        return text

    def play(self, talk: Callable[[Talk], Any]) -> Rogue:
        server = Rogue(talk)
        self.addCleanup(server.close)
        return server


class HandshakeTests(TlsTestCase):
    async def test_tls_before_1_2_is_refused(self) -> None:
        context = rogue.server_context(self.certificate, self.key, version=ssl.TLSVersion.TLSv1_1)
        for make, dial in ((rogue.broker, self.dial_broker), (rogue.database, self.dial_database)):
            server = make(context)
            self.addCleanup(server.close)
            self.assertIn("speaks no version of TLS from 1.2 on", await dial(server.port))
            self.assertEqual(server.under_tls, b"")

    async def test_a_server_without_a_safe_cipher_is_refused(self) -> None:
        certificate, key = self.authority.issue("server", names=NAMES, key=rsa.generate_private_key(65537, 2048)).write(
            self.folder, "rsa"
        )
        context = rogue.server_context(certificate, key, version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("NULL:@SECLEVEL=0")
        for make, dial in ((rogue.broker, self.dial_broker), (rogue.database, self.dial_database)):
            server = make(context)
            self.addCleanup(server.close)
            self.assertRegex(await dial(server.port), "no version or cipher in common|or no safe cipher")
            self.assertEqual(server.under_tls, b"")

    async def test_a_broker_without_tls_is_told_as_such(self) -> None:
        for version in ("2.0", "2.1"):
            if servers.unavailable(version) is None:
                with Mosquitto(version) as broker:
                    self.assertIn(
                        "the broker closed the connection instead of answering in TLS. What to do: see whether"
                        " MQTT_PORT is right (usually 8883)",
                        await self.dial_broker(broker.port),
                    )

    async def test_what_answers_something_else_is_told_as_such(self) -> None:
        answers = (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", rogue.CONNACK_5 * 9, b"\0" * 999)
        for answer in answers:

            def speak(client: Talk, answer: bytes = answer) -> None:
                client.send(answer)
                client.receive()
                client.receive()  # which ends when we go, so that the answer is not lost

            server = self.play(speak)
            self.assertIn("does not speak TLS on this port", await self.dial_broker(server.port), answer)
            self.assertNotIn(PASSWORD.encode(), server.in_clear)

            def greet(client: Talk, speak: Callable[[Talk], None] = speak) -> None:
                client.send_packet(rogue.greeting(has_tls=True))
                client.read_packet()
                speak(client)

            self.assertIn("does not speak TLS on this port", await self.dial_database(self.play(greet).port), answer)

    async def test_a_database_that_offers_no_tls_hears_nothing(self) -> None:
        """Because it has none, or because somebody in between takes the offer away."""
        server = rogue.database(None)
        self.addCleanup(server.close)
        with MariaDB() as database:
            for port in (database.port, server.port):
                refusal = await self.dial_database(port)
                self.assertIn("the database offers no TLS, and DB_TLS wants it: nothing was sent", refusal)
        self.assertEqual(server.in_clear, b"")

    async def test_nothing_is_sent_without_tls_whatever_the_driver_thinks(self) -> None:
        """As PyMySQL 1.1 did when the server offered none, and as another version may do again."""
        self.patch(DatabaseConnection, "_request_authentication", _go_on_without_tls)
        server = rogue.database(None)
        self.addCleanup(server.close)
        self.assertIn("offers no TLS", await self.dial_database(server.port))
        self.assertEqual(server.in_clear, b"")

    async def test_what_comes_before_tls_is_not_taken_for_what_comes_under_it(self) -> None:
        context = rogue.server_context(self.certificate, self.key)
        for is_in_one_piece in (True, False):

            def talk(client: Talk, is_in_one_piece: bool = is_in_one_piece) -> None:
                greeting, accepted = rogue.framed(rogue.greeting(has_tls=True), 0), rogue.framed(rogue.OK, 2)
                client.send(greeting + accepted if is_in_one_piece else greeting)
                client.read_packet()
                if not is_in_one_piece:
                    client.send(accepted)
                client.encrypt(context)
                client.read_packet()
                client.send_packet(rogue.error(1045, b"Access denied"))

            refusal = await self.dial_database(self.play(talk).port)
            self.assertIn("Access denied" if is_in_one_piece else "does not speak TLS", refusal)

    async def test_a_peer_that_goes_in_the_middle_is_told_as_such(self) -> None:
        server = self.play(lambda client: client.receive())
        self.assertIn("closed the connection instead of answering in TLS", await self.dial_broker(server.port))

        def greet(client: Talk) -> None:
            client.send_packet(rogue.greeting(has_tls=True))
            client.read_packet()

        server = self.play(greet)
        self.assertIn("closed the connection instead of answering in TLS", await self.dial_database(server.port))

    async def test_a_wait_in_vain_can_be_cancelled(self) -> None:
        server = self.play(lambda client: [client.receive() for _ in range(1000)])
        settings = Settings(mqtt_broker="localhost", mqtt_port=server.port, mqtt_tls=True)
        dialling = broker_endpoint(settings, reactor).connect(Factory.forProtocol(lambda: self.fail("connected")))
        await eventually(lambda: server.in_clear)
        dialling.cancel()
        with self.assertRaises(CancelledError):
            await dialling
        await eventually(lambda: server.gone)


def _go_on_without_tls(connection: Any) -> None:
    connection.ssl = connection._ssl_required = False
    pymysql.Connection._request_authentication(connection)  # type: ignore[attr-defined]


class ClientCertificateTests(TlsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clients = {
            "none": None,
            "right": self.authority.issue("client", purpose=CLIENT),
            "expired": self.authority.issue("client", purpose=CLIENT, starts=-48 * HOUR, ends=-HOUR),
            "foreign": Authority("Foreign CA").issue("client", purpose=CLIENT),
        }

    def files(self, client: Issued | None) -> dict[str, str]:
        if client is None:
            return {}
        certificate, key = client.write(self.folder, "client")
        return {"cert_file": str(certificate), "key_file": str(key)}

    async def test_a_broker_that_wants_one(self) -> None:
        files = (f"certfile {self.certificate}", f"keyfile {self.key}", f"cafile {self.ca}", "require_certificate true")
        for version in ("2.0", "2.1"):
            if servers.unavailable(version) is not None:
                continue
            with Mosquitto(version, settings=files) as broker:
                for name, expected in (
                    ("none", r"the broker wants a client certificate .* set MQTT_CERT_FILE and MQTT_KEY_FILE"),
                    ("right", r"^$"),
                    (
                        "expired",
                        r"does not accept our client certificate \(.*expired\).* have MQTT_CERT_FILE",
                    ),
                    ("foreign", r"does not accept our client certificate \(.*unknown ca\)"),
                ):
                    settings = {f"mqtt_{key}": path for key, path in self.files(self.clients[name]).items()}
                    self.assertRegex(await self.dial_broker(broker.port, **settings), expected, f"{version} {name}")

    async def test_a_database_user_that_must_have_one(self) -> None:
        files = {"cert": self.certificate, "key": self.key, "ca": self.ca}
        for flavour in (MariaDB, MySQL):
            if flavour is MySQL and servers.unavailable("mysql"):
                continue
            database = flavour(settings=[f"--ssl-{name}={path}" for name, path in files.items()])
            self.addCleanup(database.close)
            await deferToThread(database.start)
            database.query(f"ALTER USER '{Database.service_user}'@'%' REQUIRE X509")
            for name, expected in (
                ("none", r"Access denied for user"),
                ("right", r"^$"),
                ("expired", r"the database does not accept our client certificate .* DB_CERT_FILE"),
                ("foreign", r"does not accept our client certificate \(.*unknown ca\)"),
            ):
                refusal = await self.dial_database(database.port, **self.files(self.clients[name]))
                self.assertRegex(refusal, expected, f"{flavour.__name__} {name}")

    async def test_one_with_an_intermediate_authority_behind_it(self) -> None:
        client = Authority("Intermediate CA", issuer=self.authority).issue("client", purpose=CLIENT)
        settings = {f"mqtt_{key}": path for key, path in self.files(client).items()}
        files = (f"certfile {self.certificate}", f"keyfile {self.key}", f"cafile {self.ca}", "require_certificate true")
        with Mosquitto("2.0", settings=files) as broker:
            self.assertEqual(await self.dial_broker(broker.port, **settings), "")


class SettingsTests(TlsTestCase):
    """What is in the files is looked at when the process starts."""

    def mistakes(self, **settings: Any) -> list[str]:
        chosen = Settings(mqtt_tls=True, db_tls=True, **settings)
        try:
            broker_endpoint(chosen, reactor)
            database_addresses(chosen)
        except ConfigError as error:
            return error.mistakes
        return []

    def test_files_that_do_not_hold_what_they_should(self) -> None:
        text = self.folder / "text.pem"
        text.write_text("nothing")
        other, other_key = self.authority.issue("other", purpose=CLIENT).write(self.folder, "other")
        sealed = self.folder / "sealed.pem"
        sealed.write_bytes(
            self.server.key.private_bytes(PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass phrase"))
        )
        certificate, key = str(self.certificate), str(self.key)
        for prefix in ("mqtt", "db"):
            name = prefix.upper()
            for files, expected in (
                ({"ca_file": text}, f"{name}_CA_FILE: {text} cannot be used as PEM: "),
                ({"cert_file": text, "key_file": key}, f"{name}_CERT_FILE: {text} cannot be used as PEM: "),
                ({"cert_file": certificate, "key_file": text}, f"{name}_KEY_FILE: {text} cannot be used as PEM: "),
                ({"cert_file": certificate, "key_file": sealed}, f"{name}_KEY_FILE: {sealed} cannot be used as PEM: "),
                ({"cert_file": other, "key_file": key}, f"{name}_CERT_FILE, {name}_KEY_FILE: {key} is not the key of"),
            ):
                (mistake,) = self.mistakes(**{f"{prefix}_{name}": str(path) for name, path in files.items()})
                self.assertTrue(mistake.startswith(expected), mistake)
                self.assertNotIn("\n", mistake)
        self.assertTrue(other_key.exists())

    def test_a_key_of_the_database_that_is_none(self) -> None:
        for content in (
            b"nothing",
            self.key.read_bytes(),
            self.server.key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo),
        ):
            path = self.folder / "public_key.pem"
            path.write_bytes(content)
            (mistake,) = self.mistakes(db_public_key_file=str(path))
            self.assertRegex(mistake, "^DB_PUBLIC_KEY_FILE: .* (cannot be used as PEM|holds no RSA key)")


class PinTests(TlsTestCase):
    """A certificate that is accepted for its fingerprint, and not for what it says."""

    async def test_the_pinned_one_is_accepted_whatever_it_says_and_no_other(self) -> None:
        stranger = Authority("Unknown CA").issue("x", purpose=CLIENT, starts=-48 * HOUR, ends=-HOUR)
        context = rogue.server_context(*stranger.write(self.folder, "stranger"))
        pin, other = fingerprint(stranger.certificate), fingerprint(self.server.certificate)
        broker, database = rogue.broker(context), rogue.database(context)
        for server in (broker, database):
            self.addCleanup(server.close)
        refusal = f"it is not the pinned one: its SHA-256 fingerprint is {pin}"
        self.assertIn(refusal, await self.dial_broker(broker.port, mqtt_ca_file="", mqtt_tls_fingerprint=other))
        self.assertIn(refusal, await self.dial_database(database.port, ca_file="", pin=other))
        self.assertEqual((broker.under_tls, database.under_tls), (b"", b""))
        self.assertEqual(await self.dial_broker(broker.port, mqtt_ca_file="", mqtt_tls_fingerprint=pin), "")
        self.assertEqual(await self.dial_database(database.port, ca_file="", pin=pin), "")

    async def test_mysqls_self_made_one_is_refused_with_its_own_ca_and_accepted_when_pinned(self) -> None:
        with MySQL() as database:
            data = database.folder / "data"
            printed = openssl(self.folder, f"openssl x509 -in {data}/server-cert.pem -noout -fingerprint -sha256")
            settings = load_settings({"DB_TLS": "1", "DB_TLS_FINGERPRINT": printed.strip(), "DB_HOST": "localhost"})
            refusal = await self.dial_database(database.port, ca_file=str(data / "ca.pem"))
            self.assertIn("It names no host at all (no subjectAltName); wanted: DNS:localhost", refusal)
            self.assertEqual(await self.dial_database(database.port, ca_file="", pin=settings.db_tls_fingerprint), "")

    if reason := servers.unavailable("mysql"):
        test_mysqls_self_made_one_is_refused_with_its_own_ca_and_accepted_when_pinned.skip = reason  # type: ignore[attr-defined]


class DocumentedLinesTests(TlsTestCase):
    """The lines of docs/settings.md, exactly as they stand."""

    async def test_what_they_make_is_taken_and_accepted(self) -> None:
        text = (servers.ROOT / "docs" / "settings.md").read_text("utf-8")
        (lines,) = re.findall(r"```bash\n(# Once: a CA.*?)```", text, re.DOTALL)
        openssl(self.folder, lines)
        made = {name: str(self.folder / f"{name}.pem") for name in ("ca", "server", "client")}
        keys = {name: str(self.folder / f"{name}.key") for name in ("server", "client")}
        client = {"ca_file": made["ca"], "cert_file": made["client"], "key_file": keys["client"]}
        for version in ("2.0", "2.1"):
            if servers.unavailable(version) is None:
                files = [f"certfile {made['server']}", f"keyfile {keys['server']}", f"cafile {made['ca']}"]
                with Mosquitto(version, settings=(*files, "require_certificate true")) as broker:
                    settings = {f"mqtt_{name}": path for name, path in client.items()}
                    self.assertEqual(await self.dial_broker(broker.port, **settings), "")
        for flavour in (MariaDB, MySQL):
            if flavour is MySQL and servers.unavailable("mysql"):
                continue
            files = [f"--ssl-cert={made['server']}", f"--ssl-key={keys['server']}", f"--ssl-ca={made['ca']}"]
            with flavour(settings=files) as database:
                database.query(f"ALTER USER '{Database.service_user}'@'%' REQUIRE X509")
                self.assertEqual(await self.dial_database(database.port, **client), "")


class ServiceTests(ServiceMixin, TlsTestCase):
    """What the service makes of a refusal, and what it logs."""

    broker_version, flavour = "2.0", "mariadb"

    def setUp(self) -> None:
        ServiceMixin.setUp(self)
        TlsTestCase.setUp(self)
        nobody = self.authority.issue("other")
        self.nobody, self.nobodys_key = nobody.write(self.folder, "nobody")

    def lines(self, line: str) -> tuple[str, str]:
        """The one event of this line as it is logged in Chinese and in English."""
        (event,) = [event for event in self.events if event.get("log_format") == line]
        shown = []
        for translate in (in_chinese, in_english):
            shown.append(formatEvent(translate(event)))
        return shown[0], shown[1]

    async def test_a_broker_whose_certificate_names_nobody(self) -> None:
        server = rogue.broker(rogue.server_context(self.nobody, self.nobodys_key))
        self.addCleanup(server.close)
        service = self.make_service(
            mqtt_broker="localhost",
            mqtt_port=server.port,
            mqtt_tls=True,
            mqtt_ca_file=str(self.ca),
            mqtt_username="u",
            mqtt_password=Secret(PASSWORD),
        )
        service.startService()
        self.addCleanup(self.stop_service, service)
        await self.said(log_lines.MQTT_FAILED)
        await eventually(lambda: server.clients > 1)  # it goes on trying
        chinese, english = self.lines(log_lines.MQTT_FAILED)
        self.assertEqual(
            english,
            "❌ MQTT connection failed: the certificate of the broker is refused: it is not for this host. It names no"
            " host at all (no subjectAltName); wanted: DNS:localhost (MQTT_BROKER). What to do: have one made with"
            " subjectAltName=DNS:localhost, or set MQTT_BROKER to a name that it has"
            f" - localhost:{server.port} — see aiot-mqtt check",
        )
        self.assertEqual(
            chinese,
            "❌ MQTT连接失败: 拒绝Broker的证书: 不是本主机的证书。证书中的名称: 无（没有subjectAltName）；"
            "需要: DNS:localhost（MQTT_BROKER）。请重新签发，subjectAltName=DNS:localhost，"
            f"或把 MQTT_BROKER 改为证书中的名称 - localhost:{server.port} — 可运行 aiot-mqtt check",
        )
        self.assertEqual(server.under_tls, b"")

    async def test_a_database_whose_certificate_names_nobody(self) -> None:
        server = rogue.database(rogue.server_context(self.nobody, self.nobodys_key))
        self.addCleanup(server.close)
        service = self.make_service(
            db_host="localhost", db_port=server.port, db_tls=True, db_ca_file=str(self.ca), stats_interval=0
        )
        service.startService()
        self.addCleanup(self.stop_service, service)
        await self.said(log_lines.DATABASE_FAILED)
        chinese, english = self.lines(log_lines.DATABASE_FAILED)
        self.assertRegex(english, r"^❌ Database connection failed - localhost:\d+/aiot_admin: the certificate of the")
        self.assertRegex(chinese, r"^❌ 数据库连接失败 - localhost:\d+/aiot_admin: 拒绝数据库的证书")
        self.assertEqual(server.under_tls, b"")

    async def test_a_broker_that_wants_a_client_certificate(self) -> None:
        files = {"certfile": self.certificate, "keyfile": self.key, "cafile": self.ca, "require_certificate": "true"}
        self.broker.close()
        self.broker = Mosquitto(settings=[f"{name} {value}" for name, value in files.items()])
        self.addCleanup(self.broker.close)
        self.broker.start()
        service = self.make_service(mqtt_broker="localhost", mqtt_tls=True, mqtt_ca_file=str(self.ca))
        service.startService()
        self.addCleanup(self.stop_service, service)
        await self.said(log_lines.MQTT_FAILED)
        chinese, english = self.lines(log_lines.MQTT_FAILED)
        self.assertIn("the broker wants a client certificate", english)
        self.assertIn("Broker要求客户端证书", chinese)

    async def test_passwords_that_go_over_a_network_in_clear_are_told_at_start(self) -> None:
        for module in (tls_endpoint, address):
            self.patch(module, "is_loopback", lambda _host: False)
        await self.start_service(mqtt_username="u", mqtt_password=Secret(PASSWORD))
        for line in (log_lines.MQTT_PASSWORD_IN_CLEAR, log_lines.DATABASE_PASSWORD_IN_CLEAR):
            self.assertEqual(self.count(line), 1)

    async def test_messages_arrive_once_the_certificates_are_right(self) -> None:
        settings = {"certfile": "server.pem", "keyfile": "server-key.pem"}
        self.nobody.rename(self.certificate)
        self.nobodys_key.rename(self.key)
        self.broker.close()
        self.broker = Mosquitto(settings=[f"{name} {self.folder / file}" for name, file in settings.items()])
        self.addCleanup(self.broker.close)
        self.broker.start()
        self.database.add_device("a")
        service = self.make_service(mqtt_broker="localhost", mqtt_tls=True, mqtt_ca_file=str(self.ca))
        service.startService()
        self.addCleanup(self.stop_service, service)
        await self.said(log_lines.MQTT_FAILED)
        self.server.write(self.folder, "server")
        await deferToThread(self.broker.stop)
        await deferToThread(self.broker.start)
        await self.said(log_lines.STARTED)
        extra = ["--cafile", str(self.ca)]
        await deferToThread(self.broker.pub, "devices/a/data", '{"n": 1}', extra=[*extra, "--insecure"])
        await self.settled(service, 1)
        self.assertEqual(service.counters.stored, 1)


class ProgramTests(TlsTestCase):
    async def test_simulate_sends_nothing_either(self) -> None:
        certificate, key = self.authority.issue("other").write(self.folder, "other")
        server = rogue.broker(rogue.server_context(certificate, key))
        self.addCleanup(server.close)
        settings = {"MQTT_BROKER": "localhost", "MQTT_PORT": str(server.port), "MQTT_TLS": "1"}
        settings |= {"MQTT_CA_FILE": str(self.ca), "MQTT_USERNAME": "u", "MQTT_PASSWORD": PASSWORD}
        argv = [sys.executable, "-m", "aiot_mqtt", "simulate", "--devices", "1", "--messages", "1"]
        program = Program(argv, settings, folder=self.folder)
        self.addCleanup(program.close)
        self.assertEqual(await deferToThread(program.wait), 69)
        self.assertIn("the certificate of the broker is refused", program.lines[-1])
        self.assertNotIn("Traceback", "\n".join(program.lines))
        self.assertEqual(server.under_tls, b"")

    async def test_the_log_of_the_process_is_chinese_and_has_no_traceback(self) -> None:
        certificate, key = self.authority.issue("other").write(self.folder, "other")
        servers_ = [rogue.broker(rogue.server_context(certificate, key)), rogue.database(None)]
        for server in servers_:
            self.addCleanup(server.close)
        settings = {"MQTT_BROKER": "localhost", "MQTT_PORT": str(servers_[0].port), "MQTT_TLS": "1"}
        settings |= {"DB_HOST": "localhost", "DB_PORT": str(servers_[1].port), "DB_TLS": "1", "DB_PASSWORD": PASSWORD}
        program = Program(FOREGROUND, settings, folder=self.folder)
        self.addCleanup(program.close)
        await deferToThread(program.wait_for_each, "拒绝Broker的证书", "数据库不提供TLS")
        await deferToThread(program.stop)
        text = "\n".join(program.lines)
        for word in ("Traceback", PASSWORD, "What to do"):
            self.assertNotIn(word, text)
        self.assertEqual((servers_[0].under_tls, servers_[1].in_clear), (b"", b""))


def openssl(folder: Path, lines: str) -> str:
    """Run lines of a shell in a folder; their ``openssl`` is that of the servers' tree. Returns what they print."""
    program = folder / "openssl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(servers.openssl_argv())} "$@"\n')
    program.chmod(0o755)
    settings = {"PATH": f"{folder}:/usr/bin:/bin", "OPENSSL_CONF": str(servers.TREES / "bookworm/etc/ssl/openssl.cnf")}
    done = subprocess.run(["sh", "-e", "-c", lines], cwd=folder, env=settings, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr.decode())
    return done.stdout.decode()
