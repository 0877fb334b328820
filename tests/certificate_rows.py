"""The table of certificates that a broker or a database may show, and what is to become of each.

Played against real servers where they load it, and against rogue ones where they do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from rig.certificates import HOUR, Authority, Issued, alternatives, self_signed, signed_with_sha1


class Row(NamedTuple):
    """A certificate; the name of its row is that of the test's complaint."""

    name: str
    make: Callable[[], Issued]
    refused: str = ""
    """What the sentence about it must hold, a regular expression; empty: it is accepted."""
    offers: str = "DNS:localhost, IP:127.0.0.1"
    """The names that the sentence tells of."""
    host: str = "localhost"
    """What is dialled."""

    def complaint(self, refusal: tuple[str, str] | None) -> str:
        """What is wrong with the outcome; empty: nothing.

        :param refusal: the sentence in English and in Chinese; None: it was accepted.
        """
        if refusal is None:
            return f"{self.name}: accepted\n" if self.refused else ""
        english, chinese = refusal
        if not self.refused:
            return f"{self.name}: {english}\n"
        wanted = re.escape(f"{'IP' if self.host == '127.0.0.1' else 'DNS'}:{self.host}")
        for pattern, text in (
            (f"{self.refused}.*It names {re.escape(self.offers)}; wanted: {wanted} .*What to do: .", english),
            (f"^拒绝.*证书中的名称: .*；需要: {wanted}（(MQTT_BROKER|DB_HOST)）。.", chinese),
        ):
            if not re.search(pattern, text):
                return f"{self.name}: {text!r} has no {pattern}\n"
        is_one_language = english.isascii() and "What to do" not in chinese
        return "" if is_one_language and "{" not in english + chinese else f"{self.name}: {english!r} {chinese!r}\n"


@cache
def authority() -> Authority:
    """The one that is trusted."""
    return Authority("Trusted CA")


@cache
def plain_authority() -> Authority:
    """Another one that is trusted, as ``openssl req -x509`` makes it in some versions: without key usage."""
    return Authority("Plain CA", has_key_usage=False)


@cache
def rsa_authority() -> Authority:
    """A third."""
    return Authority("RSA CA", key=rsa.generate_private_key(65537, 2048))


@cache
def intermediate() -> Authority:
    return Authority("Intermediate CA", issuer=authority())


@cache
def no_authority() -> Authority:
    return Authority("No CA", issuer=authority(), is_ca=False)


@cache
def stranger() -> Authority:
    return Authority("Unknown CA")


def write_authorities(folder: Path) -> tuple[Path, Path]:
    """The file of those that are trusted, and one with more of them, for a server that wants to trust itself."""
    trusted = [authority(), plain_authority(), rsa_authority()]
    paths = folder / "trusted.pem", folder / "all.pem"
    for path, those in zip(paths, (trusted, [*trusted, stranger()]), strict=True):
        pems = []
        for each in those:
            each.write(path)
            pems.append(path.read_bytes())
        path.write_bytes(b"".join(pems))
    return paths


def _named(*names: str | x509.GeneralName, common_name: str = "server") -> Callable[[], Issued]:
    entries = [name if isinstance(name, x509.GeneralName) else x509.DNSName(name) for name in names]
    return lambda: authority().issue(common_name, names=entries)


def _raw(entries: bytes) -> Callable[[], Issued]:
    return lambda: authority().issue("localhost", raw_names=b"\x30" + bytes([len(entries)]) + entries)


GOOD = alternatives("localhost", "127.0.0.1")
NOT_THIS_HOST = "it is not for this host"
EMAIL = x509.RFC822Name("root@localhost")
URI = x509.UniformResourceIdentifier("mqtts://localhost/")
DIRECTORY = x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]))
NO_NAMES = "no host at all (no subjectAltName)"
UNREADABLE = "names that cannot be read"
(LOOPBACK,) = alternatives("127.0.0.1")
ISSUER = "nobody who is trusted here issued it: neither (MQTT|DB)_CA_FILE nor what .* sends leads to "
ROOT = "the CA that it comes from, Unknown CA, is not in (MQTT|DB)_CA_FILE"  # where the server sends that too

NAMES = (
    Row("by name", _named("localhost")),
    Row("by address", _named(LOOPBACK), host="127.0.0.1"),
    Row("by one of many names, in capitals", _named(EMAIL, "other.example", "LocalHost", LOOPBACK)),
    Row("no names", _named(common_name="other"), NOT_THIS_HOST, NO_NAMES),
    Row("only a CN", _named(common_name="localhost"), "a CN, here localhost, does not count", NO_NAMES),
    Row("only an address in the CN", _named(common_name="127.0.0.1"), "a CN, here 127.0.0.1", NO_NAMES, "127.0.0.1"),
    Row("e-mail", _named(EMAIL), NOT_THIS_HOST, "e-mail:root@localhost"),
    Row("URI", _named(URI), NOT_THIS_HOST, "URI:mqtts://localhost/"),
    Row("directory name", _named(DIRECTORY, common_name="localhost"), "a CN", "other"),
    Row("another host", _named("other.example", common_name="x"), NOT_THIS_HOST, "DNS:other.example"),
    Row("a longer name", _named("localhost.example"), NOT_THIS_HOST, "DNS:localhost.example"),
    Row("*", _named("*"), NOT_THIS_HOST, "DNS:*"),
    Row("*.", _named("*."), NOT_THIS_HOST, "DNS:*."),
    Row("l*", _named("l*"), NOT_THIS_HOST, "DNS:l*"),
    Row("*.localhost", _named("*.localhost"), NOT_THIS_HOST, "DNS:*.localhost"),
    Row("*.0.0.1", _named("*.0.0.1"), NOT_THIS_HOST, "DNS:*.0.0.1", "127.0.0.1"),
    Row("a blank", _named(" localhost"), NOT_THIS_HOST, "DNS: localhost"),
    Row("a NUL", _named("localhost\0.example"), NOT_THIS_HOST, r"DNS:localhost\x00.example"),
    Row("a line break", _named("localhost\n"), NOT_THIS_HOST, r"DNS:localhost\n"),
    Row("an empty name", _named(""), NOT_THIS_HOST, "DNS:"),
    Row("an international name", _named("xn--bcher-kva.example"), NOT_THIS_HOST, "DNS:xn--bcher-kva.example"),
    Row("an address as name", _named("127.0.0.1"), "an address counts as IP entry only", "DNS:127.0.0.1", "127.0.0.1"),
    Row("another address", _named(*alternatives("127.0.0.2")), NOT_THIS_HOST, "IP:127.0.0.2", "127.0.0.1"),
    Row("the address in IPv6", _named(*alternatives("::1")), NOT_THIS_HOST, "IP:::1", "127.0.0.1"),
    Row("a name for an address", _named("localhost"), NOT_THIS_HOST, "DNS:localhost", "127.0.0.1"),
    Row("an address for a name", _named(LOOPBACK), NOT_THIS_HOST, "IP:127.0.0.1"),
    # DNS:localhost, and behind it an entry that is none.
    Row("five bytes as address", _raw(b"\x82\x09localhost\x87\x05\x7f\0\0\1\1"), NOT_THIS_HOST, UNREADABLE),
)
CHAINS = (
    Row("no purpose", lambda: authority().issue("x", names=GOOD, purpose=None)),
    Row("a CA without key usage", lambda: plain_authority().issue("x", names=GOOD)),
    Row("with its intermediate one", lambda: intermediate().issue("x", names=GOOD)),
    Row("without it", lambda: intermediate().issue("x", names=GOOD, sends_chain=False), f"{ISSUER}Intermediate CA"),
    Row("unknown CA", lambda: stranger().issue("x", names=GOOD), f"({ISSUER}Unknown CA|{ROOT})"),
    Row(
        "an issuer with a hostile name",
        lambda: Authority("CA\n[INFO] \x1b[2J").issue("x", names=GOOD),
        rf"({ISSUER}|the CA that it comes from, )CA\\n\[INFO\] \\x1b\[2J",
    ),
    Row("self-signed", lambda: self_signed("localhost", "127.0.0.1"), "it is self-signed and not in (MQTT|DB)_CA_FILE"),
    Row("issued by no CA", lambda: no_authority().issue("x", names=GOOD), "No CA issued a certificate and is no CA"),
    Row(
        "expired",
        lambda: authority().issue("x", names=GOOD, starts=-48 * HOUR, ends=-HOUR),
        r"it expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC",
    ),
    Row("not yet valid", lambda: authority().issue("x", names=GOOD, starts=HOUR), "it is not valid before .* UTC"),
    Row(
        "a client's",
        lambda: authority().issue("x", names=GOOD, purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
        "it is not made for a server",
    ),
    Row(
        "for code",
        lambda: authority().issue("x", names=GOOD, purpose=ExtendedKeyUsageOID.CODE_SIGNING),
        "it is not made for a server",
    ),
    Row(
        "1024 bits",
        lambda: authority().issue("x", names=GOOD, key=rsa.generate_private_key(65537, 1024)),
        r"the key of it is too short \(1024 bits",
    ),
    Row(
        "SHA-1",
        lambda: signed_with_sha1(rsa_authority().issue("x", names=GOOD), rsa_authority()),
        r"it is signed with a weak hash \(SHA1\)",
    ),
)
ROWS = (*NAMES, *CHAINS)
