"""What the peer of the database connection may do to us before it has shown who it is, and afterwards: not much."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import PublicFormat
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aiot_mqtt.table import connection as connection_module
from aiot_mqtt.table import link
from aiot_mqtt.table.address import DatabaseAddress, database_tls
from aiot_mqtt.table.contract import StoreError, StoreLoginRefused, StoreUnavailable
from aiot_mqtt.table.mysql import DeviceTable
from aiot_mqtt.telemetry.bilingual import Bilingual
from rig import rogue, servers
from rig.certificates import PEM, Authority, alternatives
from rig.proc import memory
from rig.rogue import OK, SALT, Rogue, Talk, error, framed, switch_to
from rig.servers import Database, MariaDB, MySQL
from tests.eventually import eventually
from tests.store_contract import make_update

PASSWORD = "pass-wörd"
# Line breaks, an escape sequence, a change of the direction of writing, another line's look.
HOSTILE = "no\n2026-11-27 00:00:00 [INFO] ✅ 数据库已连接\r\x1b[2J\u202e\x00\u2028 "


class PeerTestCase(TestCase):
    def play(self, talk: Callable[[Talk], Any]) -> Rogue:
        server = Rogue(talk)
        self.addCleanup(server.close)
        return server

    def over_a_network(self) -> None:
        """Have the loopback taken for a network, which tests do not use."""
        self.patch(link, "is_loopback", lambda _host: False)

    def table(self, port: int, password: str = PASSWORD, **address: Any) -> DeviceTable:
        where = DatabaseAddress("localhost", port, servers.DATABASE, Database.service_user, "device_main", **address)
        table = DeviceTable(where, password, reactor, pool_size=1, max_overflow=0)
        table.startService()
        self.addCleanup(self.stop, table)
        return table

    def stop(self, table: DeviceTable) -> Deferred[None] | None:
        return table.stopService() if table.running else None

    async def refusal(self, server: Rogue | Database, password: str = PASSWORD, **address: Any) -> StoreError:
        """What becomes of a look at the table there: an error that the writer knows, with words fit to be logged."""
        table = self.table(server.port, password, **address)
        try:
            await table.describe()
        except StoreError as refused:
            words = str(refused)
            self.assertTrue(words.isprintable(), repr(words))
            self.assertTrue(isinstance(words, Bilingual) or len(words) <= 300, repr(words))
            self.assertNotIn(password, words)
            self.assertGreater(len(words), 5)
            return refused
        finally:
            await self.stop(table)  # type: ignore[misc]
        raise AssertionError("the table is taken for one")

    def assert_refused(self, refused: StoreError, english: str, chinese: str) -> None:
        """It is a login that is refused by ourselves, in words of ours."""
        words = str(refused)
        self.assertIsInstance(refused, StoreLoginRefused)
        assert isinstance(words, Bilingual)
        self.assertIn(english, words)
        self.assertIn("What to do: ", words)
        self.assertIn(chinese, words.chinese)


def logging_in_with(
    plugin: bytes, data: bytes = SALT + b"\0", *, behind: Callable[[Talk], None] = Talk.say_ok_to_all, **greeting: Any
) -> Callable[[Talk], None]:
    """A server that asks for this way to log in, and goes on as ``behind`` does."""

    def talk(client: Talk) -> None:
        client.log_in(**greeting)
        client.send_packet(switch_to(plugin, data))
        client.read_packet()
        behind(client)

    return talk


class LoginTests(PeerTestCase):
    """Ways to log in."""

    async def test_without_tls_no_password_is_sent_in_clear(self) -> None:
        for plugin, data in ((b"mysql_clear_password", b""), (b"dialog", b"\x04Password: "), (b"dialog", b"\x02PIN: ")):
            for greeting in (b"mysql_native_password", plugin):
                server = self.play(logging_in_with(plugin, data, default_plugin=greeting))
                self.assert_refused(await self.refusal(server), f"in clear ({plugin.decode()})", "明文密码")
                self.assertNotIn(PASSWORD.encode(), server.in_clear)

    async def test_with_tls_it_is(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        authority = Authority()
        authority.write(folder / "ca.pem")
        context = rogue.server_context(*authority.issue("x", names=alternatives("localhost")).write(folder, "server"))
        tls = database_tls("localhost", ca_file=str(folder / "ca.pem"))
        for plugin, data in ((b"mysql_clear_password", b""), (b"dialog", b"\x04Password: ")):
            server = self.play(logging_in_with(plugin, data, behind=_deny, context=context))
            self.assertIn("Access denied", str(await self.refusal(server, tls=tls)))
            self.assertIn(PASSWORD.encode(), server.under_tls)
            self.assertNotIn(PASSWORD.encode(), server.in_clear)

    async def test_ways_that_are_not_known_are_told(self) -> None:
        for plugin in (b"mysql_old_password", b"authentication_kerberos_client", b"x" * 60000, b"\xff\n", b""):
            server = self.play(logging_in_with(plugin))
            self.assert_refused(await self.refusal(server), "which is not supported", "不支持的认证插件")

    async def test_ed25519_works_with_the_extra_and_is_told_of_without_it(self) -> None:
        plugins = servers.TREES / "plugins/usr/lib/mysql/plugin"
        with MariaDB(settings=[f"--plugin-dir={plugins}", "--plugin-load-add=auth_ed25519"]) as database:
            database.create_device_table()
            database.grant()
            database.query(
                f"ALTER USER '{Database.service_user}'@'%%' IDENTIFIED VIA ed25519 USING PASSWORD(%s)", (PASSWORD,)
            )
            self.assertGreater((await self.table(database.port).describe()).status_length, 0)
            self.assertIn("1045", str(await self.refusal(database, "another")))
            self.patch(connection_module, "find_spec", lambda _name: None)
            refused = await self.refusal(database)
            self.assert_refused(refused, "aiot-mqtt[ed25519]", "需要PyNaCl")


def _deny(client: Talk) -> None:
    client.send_packet(error(1045, b"Access denied for user"))


class KeyTests(PeerTestCase):
    """A password under an RSA key: whose that is."""

    def setUp(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.pem = self.key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)
        self.passwords: list[str] = []

    def note_password(self, sealed: bytes) -> None:
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        try:
            mixed = self.key.decrypt(sealed, oaep)
        except ValueError:
            self.passwords.append("under another key")
            return
        clear = bytes(each ^ SALT[at % len(SALT)] for at, each in enumerate(mixed))
        self.passwords.append(clear.rstrip(b"\0").decode())

    def caching_sha2(self, client: Talk) -> None:
        """Full authentication, after a switch to it or without."""
        client.send_packet(b"\x01\x04")
        packet = client.read_packet()
        if packet == b"\x02":
            client.send_packet(b"\x01" + self.pem)
            packet = client.read_packet()
        self.note_password(packet)
        client.say_ok_to_all()

    def sha256_by_default(self, client: Talk) -> None:
        client.log_in(default_plugin=b"sha256_password")  # in which PyMySQL asks for the key
        client.send_packet(b"\x01" + self.pem)
        self.note_password(client.read_packet())
        client.say_ok_to_all()

    def sha256_by_switch(self, client: Talk) -> None:
        client.log_in()
        client.send_packet(switch_to(b"sha256_password"))
        packet = client.read_packet()
        if packet == b"\x01":
            client.send_packet(b"\x01" + self.pem)
            packet = client.read_packet()
        self.note_password(packet)
        client.say_ok_to_all()

    def caching_sha2_by_default(self, client: Talk) -> None:
        client.log_in(default_plugin=b"caching_sha2_password")
        self.caching_sha2(client)

    async def play_all(self, **address: Any) -> list[StoreError]:
        switch = logging_in_with(b"caching_sha2_password", behind=self.caching_sha2)
        return [
            await self.refusal(self.play(talk), **address)
            for talk in (switch, self.caching_sha2_by_default, self.sha256_by_default, self.sha256_by_switch)
        ]

    async def test_over_a_network_no_key_that_comes_over_it_is_used(self) -> None:
        self.over_a_network()
        for refused in await self.play_all():
            self.assert_refused(refused, "DB_PUBLIC_KEY_FILE", "未发送密码")
        self.assertEqual(self.passwords, [])

    async def test_on_this_host_it_is(self) -> None:
        await self.play_all()
        self.assertEqual(self.passwords, [PASSWORD] * 4)

    async def test_a_key_from_a_file_is_used_and_no_other(self) -> None:
        for over_a_network in (False, True):
            if over_a_network:
                self.over_a_network()
            await self.play_all(public_key=self.pem)
            self.assertEqual(self.passwords, [PASSWORD] * 4)
            self.passwords.clear()
            other = rsa.generate_private_key(65537, 2048).public_key()
            await self.play_all(public_key=other.public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo))
            self.assertEqual(self.passwords, ["under another key"] * 4)
            self.passwords.clear()

    async def test_a_real_server(self) -> None:
        with MySQL() as database:
            database.create_device_table()
            database.grant()
            user = f"'{Database.service_user}'@'%'"
            key = (database.folder / "data" / "public_key.pem").read_bytes()

            async def described(**address: Any) -> bool:
                """Whether a login works of which the server remembers nothing."""
                database.query("FLUSH PRIVILEGES")
                table = self.table(database.port, Database.service_password, **address)
                return bool((await table.describe()).status_length)

            self.assertIn("caching_sha2_password", str(database.query(f"SHOW CREATE USER {user}")))
            self.assertTrue(await described())
            self.over_a_network()
            self.assertTrue(await described(public_key=key))
            # The server remembers it now, so that a hash will do.
            self.assertTrue((await self.table(database.port, Database.service_password).describe()).status_length)
            database.query("FLUSH PRIVILEGES")
            self.assert_refused(await self.refusal(database, Database.service_password), "DB_PUBLIC_KEY_FILE", "公钥")
            self.assertIn("1045", str(await self.refusal(database, public_key=self.pem)))

    if reason := servers.unavailable("mysql"):
        test_a_real_server.skip = reason  # type: ignore[attr-defined]


class WordsTests(PeerTestCase):
    """What the peer says stands in the log: it must be a line, short, and without the password."""

    texts: ClassVar[tuple[str, ...]] = (
        HOSTILE * 20,
        "x" * 60000,
        f"Access denied for user 'aiot' with password '{PASSWORD}'",
        "y" * (295 - len(PASSWORD)) + PASSWORD * 3,
        f"{PASSWORD!a} {PASSWORD.encode()!r}",
        "",
    )

    async def words_of(self, talk: Callable[[Talk], None]) -> str:
        words = str(await self.refusal(self.play(talk)))
        for form in (PASSWORD, ascii(PASSWORD)[1:-1], repr(PASSWORD.encode())[2:-1]):
            self.assertNotIn(form, words)
        return words

    async def test_in_place_of_a_greeting(self) -> None:
        for text in self.texts:
            packet = error(1040, text.encode())

            def talk(client: Talk, packet: bytes = packet) -> None:
                client.send_packet(packet)

            self.assertIn("(1040)", await self.words_of(talk))

    async def test_in_answer_to_the_login(self) -> None:
        for text in self.texts:

            def talk(client: Talk, text: str = text) -> None:
                client.log_in()
                client.send_packet(error(1045, text.encode()))

            self.assertIn("(1045)", await self.words_of(talk))

    async def test_in_answer_to_a_statement(self) -> None:
        for text in self.texts:

            def talk(client: Talk, text: str = text) -> None:
                client.log_in()
                client.send_packet(OK)
                while not client.read_packet().startswith(b"\x03SELECT"):
                    client.send_packet(OK)
                client.send_packet(error(1064, text.encode()))

            self.assertIn("(1064)", await self.words_of(talk))

    async def test_a_real_server_that_repeats_the_password(self) -> None:
        database = servers.shared_database("mariadb")
        database.query(f"CREATE USER IF NOT EXISTS `{PASSWORD}`@'%%' IDENTIFIED BY %s", (PASSWORD,))
        self.addCleanup(database.query, f"DROP USER `{PASSWORD}`@'%'")
        where = DatabaseAddress(database.host, database.port, "mysql", PASSWORD, "device_main")
        table = DeviceTable(where, PASSWORD, reactor)
        table.startService()
        self.addCleanup(table.stopService)
        with self.assertRaises(StoreError) as caught:
            await table.describe()
        self.assertIn("Access denied for user '***'", str(caught.exception))


class BoundsTests(PeerTestCase):
    """How much of our memory and of our time the peer has."""

    async def test_an_endless_packet_is_not_held(self) -> None:
        """Of any kind: one of 16 MB before or after the login, rows without end."""
        full = b"\xff\xff\xff"

        def big(client: Talk) -> None:
            client.send(full + b"\0")
            while True:
                client.send(bytes(65536))

        def big_answer(client: Talk) -> None:
            client.log_in()
            client.send_packet(OK)
            while not client.read_packet().startswith(b"\x03SELECT"):
                client.send_packet(OK)
            client.send(full + b"\1")
            while True:
                client.send(bytes(65536))

        def rows(client: Talk) -> None:
            client.log_in()
            client.send_packet(OK)
            while not client.read_packet().startswith(b"\x03SELECT"):
                client.send_packet(OK)
            client.send_packet(b"\x01")
            client.send_packet(b"\x03def\0\0\0\x01x\0\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0")
            client.send_packet(b"\xfe\0\0\2\0")
            row = b"\x01x"
            while True:
                client.send(b"".join(framed(row, number) for number in range(client.sequence, client.sequence + 256)))

        self.patch(connection_module, "OPENING_TIMEOUT", 300.0)  # a busy machine must not end it sooner
        before = memory(os.getpid()).peak
        for talk in (big, big_answer, rows):
            refused = await self.refusal(self.play(talk))
            self.assertIsInstance(refused, StoreUnavailable)
            self.assertRegex(str(refused), r"longer than \d+ bytes", talk.__name__)
        self.assertLess(memory(os.getpid()).peak - before, 200 * 1024 * 1024)

    async def test_a_peer_that_drips_is_given_up_and_told_of(self) -> None:
        """Whatever it drips: the greeting, the handshake of TLS, the answer to the login or to a statement."""
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        tls = database_tls("localhost", ca_file=str(_authority(folder)))
        self.patch(connection_module, "OPENING_TIMEOUT", 0.5)
        stopped = threading.Event()
        self.addCleanup(stopped.set)

        def drip(client: Talk, data: bytes) -> None:
            for at in range(len(data)):
                client.send(data[at : at + 1])
                stopped.wait(0.1)

        def greeting(client: Talk) -> None:
            drip(client, framed(rogue.greeting(), 0))

        def handshake(client: Talk) -> None:
            client.send_packet(rogue.greeting(has_tls=True))
            client.read_packet()
            drip(client, b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(9999))

        def login(client: Talk) -> None:
            client.log_in()
            drip(client, framed(OK * 9, 2))

        def session(client: Talk) -> None:
            client.log_in()
            for _ in range(3):
                client.send_packet(OK)
                client.read_packet()
            drip(client, framed(OK * 9, 1))

        def look(client: Talk) -> None:
            client.log_in()
            client.send_packet(OK)
            while b"information_schema" not in (statement := client.read_packet()):
                if b"max_allowed_packet" in statement:
                    _answer_with(client, b"67108864")
                else:
                    client.send_packet(OK)
            drip(client, framed(b"\x05" * 99, 1))

        for talk in (greeting, handshake, login, session, look):
            server = self.play(talk)
            refused = await self.refusal(server, tls=tls if talk is handshake else None)
            self.assertIsInstance(refused, StoreUnavailable)
            self.assertIn("not done within 0.5 s", str(refused), talk.__name__)
            server.close()

    async def test_a_name_that_nobody_answers_for_is_given_up(self) -> None:
        server = self.play(Talk.say_ok_to_all)
        server.close()
        refused = await self.refusal(server)
        self.assertRegex(str(refused), r"Can't connect to MySQL server on 'localhost' \(.*refused.*\) \(2003\)")


def _authority(folder: Any) -> Any:
    path = folder / "ca.pem"
    Authority().write(path)
    return path


def _answer_with(client: Talk, text: bytes) -> None:
    """A result with one row of one number."""
    client.send_packet(b"\x01")
    client.send_packet(b"\x03def\0\0\0\x01x\0\x0c\x3f\0\x14\0\0\0\x08\x81\0\0\0\0")
    client.send_packet(b"\xfe\0\0\2\0")
    client.send_packet(bytes([len(text)]) + text)
    client.send_packet(b"\xfe\0\0\2\0")


class NonsenseTests(PeerTestCase):
    """Answers that PyMySQL has no exception for, or one of its own: an outage with words, and no traceback."""

    async def test_greetings_that_are_none(self) -> None:
        whole = rogue.greeting()
        payloads = [whole[:length] for length in range(0, len(whole), 7)]
        payloads += [b"\x09" + whole[1:], b"\0", b"\xfe", b"\xfb/etc/passwd", b"\x0a\0", b"\x0ax.y\0" + whole[7:]]
        payloads += [rogue.greeting(version=b"\xff\xfe"), rogue.greeting(default_plugin=b"\xff\xfe"), error(1, b"")[:4]]
        for payload in payloads:

            def talk(client: Talk, payload: bytes = payload) -> None:
                client.send_packet(payload)
                client.receive()

            self.assertIsInstance(await self.refusal(self.play(talk)), StoreError)
        for data in (b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ESMTP\r\n", b""):

            def speak(client: Talk, data: bytes = data) -> None:
                client.send(data)

            refused = await self.refusal(self.play(speak))
            self.assertIsInstance(refused, StoreUnavailable)

    async def test_a_file_of_ours_is_not_sent(self) -> None:
        """To a server that asks for one, in answer to whatever."""
        request = b"\xfb/etc/hostname"
        for accepted in range(7):

            def talk(client: Talk, accepted: int = accepted) -> None:
                client.log_in()
                for _ in range(accepted):
                    client.send_packet(OK)
                    client.read_packet()
                client.send_packet(request)
                client.receive()

            server = self.play(talk)
            self.assertIsInstance(await self.refusal(server), StoreUnavailable)
            self.assertNotIn(open("/etc/hostname", "rb").read().strip(), server.in_clear)  # noqa: SIM115

    async def test_random_answers(self) -> None:
        for seed in range(150):
            rng = random.Random(seed)

            def talk(client: Talk, rng: random.Random = rng) -> None:
                client.log_in()
                for _ in range(rng.randrange(6)):
                    client.send_packet(OK)
                    client.read_packet()
                for _ in range(rng.randrange(1, 30)):
                    first = rng.choice((b"\0", b"\1", b"\2", b"\xfb", b"\xfc", b"\xfe", b"\xff"))
                    client.send_packet(first + rng.randbytes(rng.choice((0, 1, 3, 8, 40, 300))))

            self.assertIsInstance(await self.refusal(self.play(talk)), StoreError, f"seed {seed}")

    async def test_a_login_that_goes_round_and_round(self) -> None:
        def talk(client: Talk) -> None:
            client.log_in()
            while True:
                client.send_packet(switch_to(b"mysql_native_password"))
                client.read_packet()

        self.assertIsInstance(await self.refusal(self.play(talk)), StoreUnavailable)


class EncryptedTableTests(PeerTestCase):
    """The table as it is served every day, over TLS."""

    async def test_large_writes_and_an_end_in_the_middle_of_one(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        authority = Authority()
        authority.write(folder / "ca.pem")
        authority.issue("x", names=alternatives("localhost")).write(folder, "server")
        files = {"ca": "ca.pem", "cert": "server.pem", "key": "server-key.pem"}
        tls = database_tls("localhost", ca_file=str(folder / "ca.pem"))
        for flavour in (MariaDB, MySQL):
            if flavour is MySQL and servers.unavailable("mysql"):
                continue
            database = flavour(settings=[f"--ssl-{name}={folder / file}" for name, file in files.items()])
            self.addCleanup(database.close)
            await deferToThread(database.start)
            database.create_device_table()
            database.grant()
            uuids = [f"d{number}" for number in range(1000)]
            database.add_devices(uuids)
            table = self.table(database.port, Database.service_password, tls=tls)
            document = b'{"t": "' + b"x" * 6000 + b'"}'
            written = await table.write([make_update(uuid, document=document) for uuid in [*uuids, "ghost"]])
            self.assertEqual(written.unknown, {"ghost"})
            query = "SELECT COUNT(*) FROM device_main WHERE LENGTH(last_report_data) >= 6000"
            self.assertEqual(database.query(query), [(1000,)])
            (ciphers,) = await _ciphers(table)
            self.assertNotEqual(ciphers, "")
            database.freeze()
            await self.stop_while_it_waits(table)
            database.thaw()

    async def stop_while_it_waits(self, table: DeviceTable) -> None:
        (connection,) = table._pool.connections.values()
        answer = connection._received
        hanging = table.write([make_update("d1")])
        await eventually(lambda: connection._received != answer)  # it has sent its statement, and reads
        await self.stop(table)  # type: ignore[misc]
        with self.assertRaises(StoreUnavailable):
            await hanging


def _ciphers(table: DeviceTable) -> Deferred[tuple[str]]:
    def read(connection: Any) -> tuple[str]:
        with connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            return (str(cursor.fetchone()[1]),)

    return table._run(read)
