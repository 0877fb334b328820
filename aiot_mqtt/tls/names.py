"""Whom a certificate is for, and whether that is the host that was meant: one rule for broker and database.

RFC 9525: only subjectAltName counts, never the CN. A host name is compared with the DNS entries, an address with the IP
entries. ``*`` stands for one whole label, the first, with at least two behind it.
"""

from __future__ import annotations

import ipaddress
import re

from cryptography import x509

from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import printable

SHOWN_NAMES = 160  # characters
_WILDCARD = re.compile(r"\*(\.[^.*]+\.[^*]*[^.*])")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def as_address(host: str) -> Address | None:
    """The address that a setting holds instead of a name; None: it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])  # fe80::1%eth0: the zone is this host's affair
    except ValueError:
        return None


def is_for(certificate: x509.Certificate, host: str) -> bool:
    """Whether the certificate names this host.

    :param host: a name, in A-labels where it is international, or an address.
    """
    names = _alternatives(certificate)
    if names is None:
        return False
    address = as_address(host)
    if address is not None:
        return any(isinstance(name, x509.IPAddress) and name.value == address for name in names)
    wanted = host.lower().removesuffix(".")
    return any(isinstance(name, x509.DNSName) and _matches(name.value.lower(), wanted) for name in names)


def _matches(pattern: str, host: str) -> bool:
    if "*" not in pattern:
        return bool(pattern) and pattern == host
    matched = _WILDCARD.fullmatch(pattern)
    first, dot, rest = host.partition(".")
    return matched is not None and bool(first) and dot + rest == matched[1]


def offered(certificate: x509.Certificate) -> Bilingual:
    """The names in a certificate, in words; printable and short, because whoever made it may be an attacker."""
    names = _alternatives(certificate)
    if names is None:
        return Bilingual("names that cannot be read", "（无法解析）")
    if not names:
        return Bilingual("no host at all (no subjectAltName)", "无（没有subjectAltName）")
    text = printable(", ".join(_shown(name) for name in names), SHOWN_NAMES)
    return Bilingual(text, text)


def has_dns_entry(certificate: x509.Certificate, text: str) -> bool:
    """Whether a DNS entry is just this text, for instance an address, which such an entry cannot name."""
    names = _alternatives(certificate) or []
    return any(isinstance(name, x509.DNSName) and name.value == text for name in names)


def common_name(name: x509.Name) -> str:
    """The CN of a subject or issuer, else all of it; printable and short."""
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return printable(str(found[0].value) if found else name.rfc4514_string(), SHOWN_NAMES)


def _alternatives(certificate: x509.Certificate) -> list[x509.GeneralName] | None:
    """Empty: there are none. None: they cannot be read, so it is for nobody."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
    except Exception:  # DER that the library does not take, and whatever it raises for that
        return None


def _shown(name: x509.GeneralName) -> str:
    kinds = ((x509.DNSName, "DNS"), (x509.IPAddress, "IP"), (x509.RFC822Name, "e-mail"))
    for kind, word in (*kinds, (x509.UniformResourceIdentifier, "URI")):
        if isinstance(name, kind):
            return f"{word}:{name.value}"
    return "other"
