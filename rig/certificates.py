"""Certificates for tests of TLS: private authorities, and whatever they may issue, right and wrong."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
HOUR = datetime.timedelta(hours=1)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files; the keys are not encrypted."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path, *, names: tuple[str, ...] = ("localhost", "127.0.0.1")) -> Certificates:
    """Write a new authority's certificate to ``folder``, and those it issues: to a server with ``names``, to a client.

    They are valid for a day, from an hour ago on.
    """
    authority = Authority()
    authority.write(folder / "ca.pem")
    server = authority.issue("test server", names=alternatives(*names))
    client = authority.issue("test client", purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
    return Certificates(folder / "ca.pem", *server.write(folder, "server"), *client.write(folder, "client"))


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, its key, and the intermediate certificates that a server sends behind it."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write ``NAME.pem`` and ``NAME-key.pem``; returns their paths."""
        paths = folder / f"{name}.pem", folder / f"{name}-key.pem"
        paths[0].write_bytes(b"".join(each.public_bytes(PEM) for each in (self.certificate, *self.chain)))
        private = self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        paths[1].write_bytes(private)
        return paths


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA. Without ``issuer`` it has signed itself."""

    name: str = "Test CA"
    issuer: Authority | None = None
    is_ca: bool = True
    """Whether it says that it is one."""
    has_key_usage: bool = True
    """Whether it says what its key is for, and which key; many a handmade CA does not."""
    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        issuer = self.issuer or self
        builder = _builder(_name(self.name), _name(issuer.name), self.key)
        builder = builder.add_extension(x509.BasicConstraints(ca=self.is_ca, path_length=None), critical=True)
        if self.has_key_usage:
            builder = _with_identifiers(builder, self.key, issuer.key)
            builder = builder.add_extension(_key_usage(ca=self.is_ca), critical=True)
        object.__setattr__(self, "certificate", builder.sign(issuer.key, hashes.SHA256()))

    def write(self, path: Path) -> None:
        """Its certificate, as a peer has it in a file of those it trusts."""
        path.write_bytes(self.certificate.public_bytes(PEM))

    def issue(
        self,
        common_name: str,
        *,
        names: Sequence[x509.GeneralName] = (),
        raw_names: bytes = b"",
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
        starts: datetime.timedelta = -HOUR,
        ends: datetime.timedelta = 24 * HOUR,
        key: Key | None = None,
        sends_chain: bool = True,
    ) -> Issued:
        """Issue a certificate.

        :param names: its subjectAltName; empty: it has none.
        :param raw_names: the DER of that extension instead, which may be no such thing.
        :param purpose: its extendedKeyUsage; None: it has none.
        :param starts: counted from now, as ``ends`` is.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common_name), _name(self.name), key, starts, ends)
        builder = _with_identifiers(builder, key, self.key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=False), critical=True)
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        elif raw_names:
            raw = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, raw_names)
            builder = builder.add_extension(raw, critical=False)
        chain = (self.certificate,) if sends_chain and self.issuer is not None else ()
        return Issued(builder.sign(self.key, hashes.SHA256()), key, chain)


def signed_with_sha1(issued: Issued, authority: Authority) -> Issued:
    """The same certificate under a signature that the library no longer makes.

    :param authority: its issuer, whose key is an RSA key.
    """
    assert isinstance(authority.key, rsa.RSAPrivateKey)
    certificate, size = issued.certificate, authority.key.key_size // 8
    # The two identifiers differ in their last byte only: sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017).
    sha256, sha1 = (bytes.fromhex("06092a864886f70d0101") + last for last in (b"\x0b", b"\x05"))
    signed = certificate.tbs_certificate_bytes.replace(sha256, sha1)
    signature = authority.key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    der = certificate.public_bytes(serialization.Encoding.DER).replace(sha256, sha1)[:-size] + signature
    return Issued(x509.load_der_x509_certificate(der), issued.key, issued.chain)


def self_signed(*names: str) -> Issued:
    """A server's certificate that nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name("itself"), _name("itself"), key)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives(*names)), critical=False)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def alternatives(*names: str) -> list[x509.GeneralName]:
    """Entries of a subjectAltName: of addresses and host names, each of its own kind."""
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    starts: datetime.timedelta = -HOUR,
    ends: datetime.timedelta = 24 * HOUR,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
    )


def _with_identifiers(builder: x509.CertificateBuilder, key: Key, issuer_key: Key) -> x509.CertificateBuilder:
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return builder.add_extension(own, critical=False).add_extension(issuers, critical=False)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
