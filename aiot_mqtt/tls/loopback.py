"""Whether what is sent to a host leaves this one."""

from __future__ import annotations

import ipaddress

from .names import as_address


def is_loopback(host: str) -> bool:
    """Whether this is an address of the loopback, or a name for it (RFC 6761 section 6.3), without looking it up."""
    address = as_address(host)
    if address is None:
        name = host.lower().removesuffix(".")
        return name == "localhost" or name.endswith(".localhost")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # ::ffff:127.0.0.1
    return address.is_loopback
