"""The rule about names, what leaves this host, and that nothing goes on which was not seen to be right."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.tls_endpoint import sends_password_in_clear
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.table.address import hosts_without_tls
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.tls import refusal
from aiot_mqtt.tls.client import TlsClient
from aiot_mqtt.tls.loopback import is_loopback
from aiot_mqtt.tls.names import is_for, offered
from aiot_mqtt.tls.refusal import Peer, TlsRefused
from rig.certificates import Authority, alternatives

PEER = Peer("the broker", "Broker", "MQTT", "MQTT_BROKER", "localhost")


class NamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.authority = Authority()

    def names(self, *names: str) -> Any:
        return self.authority.issue("x", names=alternatives(*names)).certificate

    def test_a_host_name_is_compared_with_the_dns_entries(self) -> None:
        certificate = self.names("broker.example", "mqtt_broker", "*.site.example", "*.a.xn--fiqs8s", "192.0.2.1")
        for host in (
            *("broker.example", "BROKER.example", "broker.example.", "mqtt_broker", "a.site.example", "A.SITE.EXAMPLE"),
            *("xn--bcher-kva.site.example", "b.a.xn--fiqs8s"),
        ):
            self.assertTrue(is_for(certificate, host), host)
        for host in (
            *(
                "example",
                "x.broker.example",
                "broker.example.evil",
                "site.example",
                ".site.example",
                "a.b.site.example",
            ),
            *("192.0.2.2", "", "mqtt-broker"),
        ):
            self.assertFalse(is_for(certificate, host), host)

    def test_a_star_needs_two_labels_behind_it_and_stands_for_the_first_alone(self) -> None:
        for pattern in ("*", "*.", "*.example", "*.*.example", "a*.site.example", "*a.site.example", "x.*.example"):
            self.assertFalse(is_for(self.names(pattern), "a.site.example"), pattern)
            self.assertFalse(is_for(self.names(pattern), "a.example"), pattern)
        self.assertFalse(is_for(self.names("*..example"), "a..example"))
        self.assertFalse(is_for(self.names("*.site.example."), "a.site.example."))

    def test_an_address_is_compared_with_the_ip_entries(self) -> None:
        certificate = self.names("192.0.2.1", "2001:db8::1")
        for host in ("192.0.2.1", "2001:db8::1", "2001:0DB8:0:0:0:0:0:1"):
            self.assertTrue(is_for(certificate, host), host)
        for host in ("192.0.2.2", "2001:db8::2", "::ffff:192.0.2.1", "192.0.2.1.", "192.0.2"):
            self.assertFalse(is_for(certificate, host), host)
        self.assertTrue(is_for(self.names("fe80::1"), "fe80::1%eth0"))

    def test_many_and_long_names_are_told_short(self) -> None:
        words = offered(self.names(*(f"{'x' * 60}.{number}.example" for number in range(100))))
        self.assertLessEqual(len(words), 160)
        self.assertTrue(words.endswith("…"))


class LoopbackTests(SynchronousTestCase):
    def test_addresses_and_names_of_this_host(self) -> None:
        for host in ("localhost", "LOCALHOST.", "db.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(host), host)
        for host in (
            "localhost.example",
            "notlocalhost",
            "10.0.0.1",
            "0.0.0.0",
            "::",
            "fe80::1%lo",
            "mysql",
            "128.0.0.1",
        ):
            self.assertFalse(is_loopback(host), host)


class SessionTests(SynchronousTestCase):
    def test_without_a_certificate_nothing_goes_on(self) -> None:
        with self.assertRaises(TlsRefused) as caught:
            TlsClient(PEER).session().check()
        self.assertIn("nobody has verified it", str(caught.exception))

    def test_one_that_openssl_never_accepted_is_refused_though_all_of_it_is_right(self) -> None:
        certificate = Authority().issue("x", names=alternatives("localhost")).certificate
        session = TlsClient(PEER).session()
        self.patch(session, "connection", _Shows(certificate))
        with self.assertRaises(TlsRefused) as caught:
            session.check()
        self.assertIn("nobody has verified it", str(caught.exception))

    def test_one_that_cannot_be_read_is_refused(self) -> None:
        session = TlsClient(PEER).session()
        self.patch(session, "connection", _Shows(None))
        self.assertFalse(session._verified(None, _Shows(None), 0, 0, 1))  # type: ignore[arg-type]
        with self.assertRaises(TlsRefused) as caught:
            session.check()
        for refused in (session.refused(None), caught.exception):
            self.assertIn("it cannot be read. It names unknown names; wanted: DNS:localhost", str(refused))

    def test_words_of_openssl_are_printable_and_short(self) -> None:
        for words in (["x" * 9999], ["\n\x1b[2J"], [], ["a", "b"], ["{0}"]):
            for peer in (PEER, PEER._replace(has_client_certificate=True)):
                text = str(refusal.failed(peer, words))
                assert isinstance(text, Bilingual)
                for each in (text, text.chinese):
                    self.assertTrue(each.isprintable())
                    self.assertLess(len(each), 400)


class _Shows:
    """A peer, or an X509 of pyOpenSSL, that shows this certificate; None: one that the library does not take."""

    def __init__(self, certificate: Any) -> None:
        self._certificate = certificate

    def get_peer_certificate(self) -> Any:
        return self

    def to_cryptography(self) -> Any:
        if self._certificate is None:
            raise ValueError
        return self._certificate


class PasswordsInClearTests(SynchronousTestCase):
    def told(self, **settings: Any) -> tuple[bool, bool]:
        """Whether the broker's password and the database's leave this host without TLS."""
        passwords = {"mqtt_username": "u", "mqtt_password": Secret("m"), "db_password": Secret("d")}
        chosen = Settings(**{**passwords, **settings})
        return sends_password_in_clear(chosen), bool(hosts_without_tls(chosen))

    def test_each_that_leaves_this_host_is_told(self) -> None:
        self.assertEqual(self.told(), (False, False))
        elsewhere = {"mqtt_broker": "broker.example", "db_host": "192.0.2.1"}
        self.assertEqual(self.told(**elsewhere), (True, True))
        self.assertEqual(self.told(**elsewhere, mqtt_tls=True), (False, True))
        self.assertEqual(self.told(**elsewhere, db_tls=True), (True, False))
        several = Settings(db_host="127.0.0.1,db.example:3307,[2001:db8::1]", db_password=Secret("d"))
        self.assertEqual(hosts_without_tls(several), "db.example,2001:db8::1")
        self.assertEqual(self.told(**elsewhere, mqtt_password=Secret(), db_password=Secret()), (False, False))


class BilingualTests(SynchronousTestCase):
    def test_an_exception_keeps_both_languages(self) -> None:
        text = str(ValueError(Bilingual("no", "不")))
        assert isinstance(text, Bilingual)
        self.assertEqual((text, text.chinese), ("no", "不"))
        self.assertEqual(f"{text}!", "no!")
