"""The table of certificates, played by rogue servers and by real ones: who is accepted, and what a refusal says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymysql
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.mqtt.tls_endpoint import broker_endpoint
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions
from aiot_mqtt.table.address import database_tls
from aiot_mqtt.table.connection import DatabaseConnection
from aiot_mqtt.table.contract import StoreUnavailable
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.tls.refusal import TlsRefused
from rig import rogue, servers
from rig.rogue import Rogue
from rig.servers import Database, MariaDB, Mosquitto, MySQL, ServerFailed
from tests.certificate_rows import ROWS, Row, write_authorities

PASSWORD = "pass-word"
# It has to trust its own.
NOT_LOADED_BY_MYSQL = {
    *("1024 bits", "SHA-1", "expired", "not yet valid", "an issuer with a hostile name"),
    *("issued by no CA", "with its intermediate one", "without it"),
}
OWN = {"cert": "server.pem", "key": "server-key.pem"}

Refusal = tuple[str, str] | None


def both_languages(error: Exception) -> tuple[str, str]:
    text = str(error)
    assert isinstance(text, Bilingual), repr(error)
    return text, text.chinese


class CertificateTests(TestCase):
    def setUp(self) -> None:
        self.folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, self.folder)
        self.ca, _ = write_authorities(self.folder)

    async def dial_broker(self, host: str, port: int) -> Refusal:
        """Connect and log in as ``aiot-mqtt simulate`` does."""
        settings = Settings(mqtt_broker=host, mqtt_port=port, mqtt_tls=True, mqtt_ca_file=str(self.ca))
        options = PublisherOptions("certificates", username="user", password=PASSWORD)
        publisher = Publisher(options, reactor, lambda: None)
        try:
            await broker_endpoint(settings, reactor).connect(Factory.forProtocol(lambda: publisher))
        except TlsRefused as refused:
            return both_languages(refused)
        await publisher.accepted
        await publisher.disconnect()
        return None

    async def dial_database(self, host: str, port: int) -> Refusal:
        """Connect and log in as the service does."""
        tls = database_tls(host, ca_file=str(self.ca))
        connection = DatabaseConnection(
            tls=tls,
            host=host,
            port=port,
            user=Database.service_user,
            password=Database.service_password.encode(),
            read_timeout=servers.START_TIMEOUT,
            write_timeout=servers.START_TIMEOUT,
        )
        try:
            await deferToThread(connection.connect)
        except StoreUnavailable as refused:
            return both_languages(refused)
        await deferToThread(connection.close)
        return None

    async def play(self, row: Row, server: Rogue, dial: Callable[[str, int], Any]) -> str:
        """What is wrong with what became of this row at a rogue server."""
        self.addCleanup(server.close)
        complaint = row.complaint(await dial(row.host, server.port))
        if row.refused and (server.under_tls or PASSWORD.encode() in server.in_clear):
            complaint += f"{row.name}: {bytes(server.under_tls)!r} was sent\n"
        return complaint

    async def test_rogue_brokers(self) -> None:
        complaints = ""
        for row in ROWS:
            context = rogue.server_context(*row.make().write(self.folder, "server"))
            complaints += await self.play(row, rogue.broker(context), self.dial_broker)
        self.assertEqual(complaints, "")

    async def test_rogue_databases(self) -> None:
        complaints = ""
        for row in ROWS:
            context = rogue.server_context(*row.make().write(self.folder, "server"))
            server = rogue.database(context)
            complaints += await self.play(row, server, self.dial_database)
            if row.refused:
                # The packet that asks for TLS, and no name of a user.
                self.assertEqual(len(server.in_clear), 36, row.name)
        self.assertEqual(complaints, "")

    async def play_for_real(self, load: Callable[[], Any], dial: Callable[[str, int], Any], port: int) -> set[str]:
        """Play every row that a real server loads; returns the names of the others."""
        complaints, not_loaded = "", set()
        for row in ROWS:
            row.make().write(self.folder, "server")
            try:
                await deferToThread(load)
            except (ServerFailed, pymysql.err.MySQLError):
                not_loaded.add(row.name)
            else:
                complaints += row.complaint(await dial(row.host, port))
        self.assertEqual(complaints, "")
        return not_loaded

    async def test_mosquitto(self) -> None:
        for version in ("2.0", "2.1"):
            if servers.unavailable(version) is not None:
                continue
            files = f"certfile {self.folder / 'server.pem'}", f"keyfile {self.folder / 'server-key.pem'}"
            broker = Mosquitto(version, settings=files)
            self.addCleanup(broker.close)

            def restart(broker: Mosquitto = broker) -> None:
                broker.stop()
                broker.start()

            not_loaded = await self.play_for_real(restart, self.dial_broker, broker.port)
            self.assertLessEqual(not_loaded, {"1024 bits", "SHA-1"})

    async def start_database(self, flavour: type[MariaDB | MySQL], **files: str) -> Database:
        ROWS[0].make().write(self.folder, "server")
        database = flavour(settings=[f"--ssl-{name}={self.folder / file}" for name, file in files.items()])
        self.addCleanup(database.close)
        await deferToThread(database.start)
        return database

    async def test_mariadb(self) -> None:
        database = await self.start_database(MariaDB, **OWN)
        not_loaded = await self.play_for_real(lambda: database.query("FLUSH SSL"), self.dial_database, database.port)
        self.assertLessEqual(not_loaded, {"1024 bits", "SHA-1"})

    async def test_mysql(self) -> None:
        database = await self.start_database(MySQL, **OWN, ca="all.pem")
        not_loaded = await self.play_for_real(
            lambda: database.query("ALTER INSTANCE RELOAD TLS"), self.dial_database, database.port
        )
        self.assertLessEqual(not_loaded, NOT_LOADED_BY_MYSQL)

    if reason := servers.unavailable("mysql"):
        test_mysql.skip = reason  # type: ignore[attr-defined]
