"""Who is answered what on HTTP_LISTEN: requests as bytes, from this host and from another."""

from __future__ import annotations

from base64 import b64encode
from socket import gethostname

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from aiot_mqtt.health import access
from aiot_mqtt.health.access import host_name, is_loopback
from aiot_mqtt.health.figures import BrokerFigures, DatabaseFigures, Figures
from aiot_mqtt.health.metrics import Beside
from aiot_mqtt.health.progress import Stalled
from aiot_mqtt.health.site import health_site

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"
OPEN = ("/healthz", "/readyz", "/metrics")
TOKEN = "s3cret-Token_~+/="


def basic(user_and_password: str) -> str:
    return f"Authorization: Basic {b64encode(user_and_password.encode()).decode()}"


class Devices(Resource):
    isLeaf = True  # noqa: N815 twisted.web's word

    def render_GET(self, _request: object) -> bytes:
        return b"d1\n"


def a_moment() -> Figures:
    return Figures(0.0, 0.0, BrokerFigures("broker"), DatabaseFigures("database"))


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stalled: tuple[Stalled, ...] = ()

    def ask(
        self, path: str, *headers: str, peer: str = HERE, token: str = "", start: str = "GET {} HTTP/1.1"
    ) -> tuple[int, str]:
        """Status and body of a request."""
        site = health_site(a_moment, Beside, lambda: self.stalled, showing_devices={"devices": Devices()}, token=token)
        address = IPv6Address("TCP", peer, 5) if ":" in peer else IPv4Address("TCP", peer, 5)
        protocol, transport = site.buildProtocol(address), StringTransport(peerAddress=address)
        protocol.makeConnection(transport)
        lines = [start.format(path), *headers, "Connection: close", "", ""]
        protocol.dataReceived("\r\n".join(lines).encode("utf-8", "surrogateescape"))
        protocol.connectionLost(Failure(ConnectionDone()))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.headers = head.decode()
        return int(head.split()[1]), body.decode()

    def test_what_makes_no_progress_is_said(self) -> None:
        self.assertEqual(self.ask("/healthz", "Host: localhost"), (200, "ok\n"))
        self.stalled = (Stalled("writer", 312.4), Stalled("sweep", 1000.0))
        code, text = self.ask("/healthz", "Host: localhost")
        self.assertEqual((code, "no progress: writer for 312 s, sweep for 1000 s" in text), (503, True))

    def test_on_this_host_only_its_own_names_will_do(self) -> None:
        hosts = self.mktemp()
        with open(hosts, "w", encoding="utf-8") as file:
            file.write("127.0.1.1 gw.example gw # a.example\n192.0.2.1 other.example\n\nnonsense\n::1 ip6-localhost\n")
        self.patch(access, "HOSTS", type(access.HOSTS)(hosts))
        for host, code in (
            ("localhost", 200),
            ("LOCALHOST.:9464", 200),
            (gethostname(), 200),
            ("10.1.2.3:9464", 200),
            ("[::1]:9464", 200),
            ("[::1]", 200),
            ("gw.example:9464", 200),
            ("ip6-localhost", 200),
            ("a.example", 400),
            ("other.example", 400),
            ("evil.example", 400),
            ("evil.example:9464", 400),
            ("localhost.evil.example", 400),
            ("localhost:9464@evil.example", 400),
            ("127.0.0.1.evil.example", 400),
            ("2130706433", 400),
            ("", 400),
            ("localhost evil.example", 400),
            ("\udcff\udcfe", 400),
        ):
            for path in (*OPEN, "/devices"):
                given = self.ask(path, f"Host: {host}")[0]
                self.assertEqual(given, 503 if (path, code) == ("/readyz", 200) else code, (host, path))

    def test_another_host_may_ask_by_any_name_for_what_names_no_device(self) -> None:
        for path, code in (("/healthz", 200), ("/readyz", 503), ("/metrics", 200), ("/devices", 403)):
            self.assertEqual(self.ask(path, "Host: gw.monitoring.example:9464", peer=ELSEWHERE)[0], code, path)

    def test_one_host_is_needed_where_a_browser_could_ask(self) -> None:
        self.assertEqual(self.ask("/healthz")[0], 400)
        self.assertEqual(self.ask("/healthz", "Host: localhost", "Host: localhost")[0], 400)
        self.assertEqual(self.ask("/healthz", start="GET {} HTTP/1.0")[0], 200)
        self.assertEqual(self.ask("/healthz", "Host: evil.example", start="GET {} HTTP/1.0")[0], 400)
        self.assertEqual(self.ask("/healthz", "Host: localhost", start="GET http://evil.example{} HTTP/1.1")[0], 404)

    def test_without_a_token_devices_are_shown_on_this_host_alone(self) -> None:
        for peer, code in (
            (HERE, 200),
            ("::1", 200),
            ("::ffff:127.0.0.1", 200),
            (ELSEWHERE, 403),
            ("2001:db8::1", 403),
        ):
            given, text = self.ask("/devices", "Host: 10.1.2.3", peer=peer)
            self.assertEqual((given, "HTTP_TOKEN" in text), (code, code == 403), peer)

    def test_with_a_token_it_is_needed_wherever_somebody_asks(self) -> None:
        for peer in (HERE, ELSEWHERE):
            for headers, code in (
                ([f"Authorization: Bearer {TOKEN}"], 200),
                ([f"authorization: bearer  {TOKEN} "], 200),
                ([], 401),
                (["Authorization: Bearer"], 401),
                (["Authorization: Bearer x"], 401),
                ([f"Authorization: Bearer {TOKEN}x"], 401),
                ([basic(f"anybody:{TOKEN}")], 200),
                ([basic(f":{TOKEN}")], 200),
                ([basic(f"anybody:x:{TOKEN}")], 401),
                ([basic(TOKEN)], 401),
                ([basic("anybody:")], 401),
                ([f"Authorization: Basic {TOKEN}"], 401),
                (["Authorization: Basic anything:"], 401),
                ([basic(f"anybody:{TOKEN}"), f"Authorization: Bearer {TOKEN}"], 401),
                ([f"Authorization: Bearer {TOKEN}", "Authorization: Bearer x"], 401),
                (["Authorization: Bearer é"], 401),
            ):
                given, text = self.ask("/devices", "Host: 10.1.2.3", *headers, peer=peer, token=TOKEN)
                self.assertEqual((given, text == "d1\n"), (code, code == 200), headers)
                for way in ("WWW-Authenticate: Bearer\r\n", 'WWW-Authenticate: Basic realm="aiot-mqtt"'):
                    self.assertEqual(way.lower() in self.headers.lower(), code == 401)
            for path in OPEN:
                self.assertIn(self.ask(path, "Host: 10.1.2.3", peer=peer, token=TOKEN)[0], (200, 503))

    def test_nothing_is_changed_or_guessed(self) -> None:
        self.assertEqual(self.ask("/", "Host: localhost")[0], 404)
        self.assertEqual(self.ask("/healthz", "Host: localhost", start="POST {} HTTP/1.1")[0], 405)
        with capturedLogs() as events:
            for path, host, expected in (("/healthz", "localhost", 200), ("/healthz", "elsewhere", 400)):
                code, text = self.ask(path, f"Host: {host}", start="HEAD {} HTTP/1.1")
                self.assertEqual((code, text), (expected, ""))
                self.assertNotIn("content-length: 0\r\n", self.headers.lower())
        self.assertEqual([event for event in events if "HEAD" in str(event.get("log_format"))], [])

    def test_names_and_addresses_are_read_as_they_are_meant(self) -> None:
        for host, name in (("A.b.:80", "a.b"), ("[FE80::1%25eth0]:1", "fe80::1%25eth0"), ("a:b", None), ("a/b", None)):
            self.assertEqual(host_name(host), name)
        for address, expected in (("127.9.9.9", True), ("::1", True), ("::ffff:10.0.0.1", False), ("/run/x", False)):
            self.assertEqual(is_loopback(address), expected, address)
