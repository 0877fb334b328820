"""Where the table is and how to reach it, as the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ..settings.parsers import split_hosts
from ..settings.settings import ConfigError, Settings
from ..telemetry.bilingual import Bilingual
from ..telemetry.reasons import settings as reasons
from ..tls.client import TlsClient
from ..tls.loopback import is_loopback
from ..tls.refusal import Peer


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the table is and how to reach it."""

    host: str
    port: int
    database: str
    user: str
    table: str
    tls: TlsClient | None = None
    """How TLS is spoken with it; None: without TLS."""
    public_key: bytes | None = None
    """PEM: the RSA key that a password is encrypted with where there is no TLS; None: the server is asked for it."""

    def __str__(self) -> str:
        return f"{self.server}/{self.database}"

    @property
    def server(self) -> str:
        """Host and port, as log lines name them."""
        return f"{self.host}:{self.port}"


def database_addresses(settings: Settings) -> tuple[DatabaseAddress, ...]:
    """Where the settings say that the table is: one or several servers that have the same one, tried in turn.

    :raises ConfigError: a certificate or key cannot be used.
    """
    public_key = _public_key(settings.db_public_key_file)
    name, user, table = settings.db_name, settings.db_user, settings.db_table
    addresses = []
    for host, port in split_hosts(settings.db_host, settings.db_port):
        tls = None
        if settings.db_tls:
            tls = database_tls(
                host,
                ca_file=settings.db_ca_file,
                cert_file=settings.db_cert_file,
                key_file=settings.db_key_file,
                pin=settings.db_tls_fingerprint,
            )
        addresses.append(DatabaseAddress(host, port, name, user, table, tls, public_key))
    return tuple(addresses)


def database_name(addresses: Sequence[DatabaseAddress]) -> str:
    """What log lines call the database."""
    return f"{','.join(address.server for address in addresses)}/{addresses[0].database}"


def hosts_without_tls(settings: Settings) -> str:
    """The hosts that a login crosses a network to without TLS, with commas: then what it shows of the password,
    everybody on the way sees.
    """
    hosts = [host for host, _ in split_hosts(settings.db_host, settings.db_port) if not is_loopback(host)]
    return ",".join(hosts) if settings.db_password and not settings.db_tls else ""


def database_tls(host: str, *, ca_file: str = "", cert_file: str = "", key_file: str = "", pin: str = "") -> TlsClient:
    """TLS with the database on this host; see ``TlsClient``."""
    peer = Peer("the database", "数据库", "DB", "DB_HOST", host)
    return TlsClient(peer, ca_file=ca_file, cert_file=cert_file, key_file=key_file, pin=pin)


def _public_key(path: str) -> bytes | None:
    if not path:
        return None
    try:
        pem = Path(path).read_bytes()
        is_rsa = isinstance(load_pem_public_key(pem), RSAPublicKey)
    except Exception as error:  # whatever the library raises for what is no key
        raise ConfigError([_of_key(reasons.NO_PEM.fill(path=path, words=error))]) from None
    if not is_rsa:
        raise ConfigError([_of_key(reasons.NO_RSA_KEY.fill(path=path))])
    return pem


def _of_key(what: Bilingual) -> Bilingual:
    return reasons.MISTAKE_AT.fill(where="DB_PUBLIC_KEY_FILE", what=what)
