"""TLS connections to one peer, and what is checked of it before anything but the handshake is sent.

OpenSSL builds and judges the chain; that it did so is noted here, in its own callback, and whether the certificate is
valid now, a server's and for this host is looked at here again. Nothing is left to what a library makes of a failure:
what was not seen to be right is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from ..settings.settings import ConfigError
from ..telemetry.network import os_reason
from ..telemetry.reasons import settings as reasons
from . import faults
from .faults import Fault, fingerprint
from .names import as_address, is_for
from .refusal import Peer, TlsRefused, failed

T = TypeVar("T")

# Level 2: no RSA under 2048 bits, no SHA-1, nothing under TLS 1.2; the same whatever the distribution's own default is.
CIPHERS = b"DEFAULT:@SECLEVEL=2"


class TlsClient:
    """Makes the TLS sessions with one peer."""

    def __init__(
        self, peer: Peer, *, ca_file: str = "", cert_file: str = "", key_file: str = "", pin: str = ""
    ) -> None:
        """
        :param ca_file: PEM, certificates of whoever is trusted; empty: the system's CAs.
        :param cert_file: PEM, our own certificate and the intermediate ones behind it; empty: none.
        :param key_file: PEM, its key without a pass phrase.
        :param pin: the SHA-256 fingerprint of the one certificate that is accepted, whatever else it says; empty: none.
        :raises ConfigError: a file does not hold what it should.
        """
        self.peer = peer._replace(has_ca_file=bool(ca_file), has_client_certificate=bool(cert_file))
        self._pin = pin
        self.peer_ends_at = 0.0
        """Seconds since the epoch at which the certificate ends that the peer showed last; 0: it has shown none."""
        self.own_ends_at = 0.0
        """The same of our own; 0: there is none."""
        context = self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_cipher_list(CIPHERS)
        if ca_file:
            store = context.get_cert_store()
            assert store is not None
            # An intermediate one in the file is trusted too, as it is by Python from 3.13 on.
            store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
            _load(f"{peer.prefix}_CA_FILE", ca_file, _certificates)
            _load(f"{peer.prefix}_CA_FILE", ca_file, context.load_verify_locations)
        else:
            context.set_default_verify_paths()
        if cert_file:
            self._load_client_certificate(cert_file, key_file)

    def _load_client_certificate(self, cert_file: str, key_file: str) -> None:
        names = f"{self.peer.prefix}_CERT_FILE", f"{self.peer.prefix}_KEY_FILE"
        # Read here first, because OpenSSL would ask the terminal for a pass phrase, and has poorer words.
        own = _load(names[0], cert_file, _certificates)[0]
        self.own_ends_at = own.not_valid_after_utc.timestamp()
        key = _load(names[1], key_file, lambda path: load_pem_private_key(Path(path).read_bytes(), None))
        if own.public_key() != key.public_key():
            what = reasons.NO_KEY_OF.fill(key_file=key_file, cert_file=cert_file)
            raise ConfigError([reasons.MISTAKE_AT.fill(where=", ".join(names), what=what)])
        _load(names[0], cert_file, self._context.use_certificate_chain_file)
        _load(names[1], key_file, self._context.use_privatekey_file)

    def session(self) -> TlsSession:
        """One for a new connection."""
        return TlsSession(self.peer, SSL.Connection(self._context, None), self._pin, self._shown)

    def _shown(self, certificate: x509.Certificate) -> None:
        self.peer_ends_at = certificate.not_valid_after_utc.timestamp()


class TlsSession:
    """One TLS connection over memory BIOs: whoever owns it moves its bytes, and asks ``check`` before he sends any."""

    def __init__(
        self, peer: Peer, connection: SSL.Connection, pin: str, shown: Callable[[x509.Certificate], None]
    ) -> None:
        """:param shown: told of the peer's certificate once that was found to be right."""
        self._shown = shown
        self._peer = peer
        self.connection = connection
        self._pin = pin
        self._leaf: x509.Certificate | None = None
        self._accepted: x509.Certificate | None = None
        self._fault: Fault | None = None
        if as_address(peer.host) is None:  # RFC 6066 section 3 has names only
            connection.set_tlsext_host_name(peer.host.removesuffix(".").encode("ascii"))
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verified)
        connection.set_connect_state()

    def _verified(self, _connection: object, certificate: X509, code: int, depth: int, is_accepted: int) -> bool:
        """OpenSSL tells what it makes of a certificate of the chain. pyOpenSSL takes an exception for a no."""
        try:
            seen = certificate.to_cryptography()
        except Exception:  # DER that the library does not take, and whatever it raises for that
            seen = None
        if depth == 0:
            self._leaf = seen
        if is_accepted and seen is not None:
            self._accepted = seen if depth == 0 else self._accepted
            return True
        if self._fault is None:
            self._fault = Fault(code, depth, seen)
        return bool(self._pin)  # then only the certificate itself counts

    def check(self) -> None:
        """To be called when the handshake is complete.

        :raises TlsRefused: nothing may be sent on this connection.
        """
        try:
            self._shown(self._check())
        except TlsRefused:
            raise
        except Exception:  # a certificate that cannot be read says nothing good
            raise faults.unreadable(self._peer) from None

    def _check(self) -> x509.Certificate:
        peer, shown = self._peer, self.connection.get_peer_certificate()
        if shown is None:
            raise faults.not_verified(peer, None)
        certificate = shown.to_cryptography()
        if self._pin:
            if fingerprint(certificate) != self._pin:
                raise faults.not_pinned(peer, certificate)
            return certificate
        if self._fault is not None:
            raise faults.faulty(peer, certificate, self._fault)
        if certificate != self._accepted:
            raise faults.not_verified(peer, certificate)
        now = datetime.datetime.now(datetime.timezone.utc)
        if now > certificate.not_valid_after_utc:
            raise faults.expired(peer, certificate)
        if now < certificate.not_valid_before_utc:
            raise faults.not_yet_valid(peer, certificate)
        if not is_for(certificate, peer.host):
            raise faults.for_another_host(peer, certificate)
        if not _is_a_servers(certificate):
            raise faults.for_another_purpose(peer, certificate)
        return certificate

    def refused(self, error: BaseException | None) -> TlsRefused:
        """What it means that the connection failed.

        :param error: pyOpenSSL's; None: the peer closed it.
        """
        if isinstance(error, TlsRefused):
            return error
        if self._fault is not None and not self._pin:
            return faults.faulty(self._peer, self._leaf or self._certificate_shown(), self._fault)
        return failed(self._peer, None if error is None else _reasons(error))

    def _certificate_shown(self) -> x509.Certificate | None:
        """The peer's own, where OpenSSL was not content with an issuer and never came to it."""
        try:
            chain = self.connection.get_peer_cert_chain()
            return chain[0].to_cryptography() if chain else None
        except Exception:  # only for the words
            return None


def _is_a_servers(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _reasons(error: BaseException) -> list[str]:
    """The words of OpenSSL's queue of errors, the last one first."""
    queue: Any = error.args[0] if error.args else ()
    if isinstance(queue, list):
        return [str(each[-1]) for each in reversed(queue) if each]
    return [str(each) for each in error.args[-1:]]


def _load(names: str, path: str, load: Callable[[str], T]) -> T:
    """:raises ConfigError: the file does not hold what it should."""
    try:
        return load(path)
    except Exception as error:
        words = "; ".join(_reasons(error)) if isinstance(error, SSL.Error) else str(error)
        words = os_reason(error) if isinstance(error, OSError) else words
        what = reasons.NO_PEM.fill(path=path, words=words)
        raise ConfigError([reasons.MISTAKE_AT.fill(where=names, what=what)]) from None


def _certificates(path: str) -> list[x509.Certificate]:
    """Every certificate of a bundle.

    :raises ValueError: there is none, or one cannot be read.
    """
    return x509.load_pem_x509_certificates(Path(path).read_bytes())
