"""Who may ask for what on ``HTTP_LISTEN``.

What names no device is for everybody who reaches the port. What shows devices is for this host, and for whoever knows
``HTTP_TOKEN``; once that is set, it is asked of this host, too, because a proxy may stand there.

A page from elsewhere whose name was made to resolve to this host (DNS rebinding) asks with that name, through the
browser of somebody who may. So what is asked on this host must be asked by a name that only this host has. From another
host any name will do, as Prometheus may use one that we cannot know: nothing is answered there without the token that
is not for everybody, and a page does not know the token.
"""

from __future__ import annotations

import re
from base64 import b64decode
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from socket import gethostname

from twisted.web import http
from twisted.web.http import Request

HOSTS = Path("/etc/hosts")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\S+)?\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?")
_BEARER = re.compile(rb"[Bb]earer +(\S+) *")
_BASIC = re.compile(rb"[Bb]asic +(\S+) *")

Refusal = tuple[int, str]
"""A status, and a sentence."""


def refusal(request: Request, token: str | None) -> Refusal | None:
    """Why this is not answered; None: it may be.

    :param token: what must be known; empty: this is for this host alone; None: it is for everybody.
    """
    is_local = is_loopback(request.getClientAddress().host)
    hosts = [each.decode("latin-1") for each in request.requestHeaders.getRawHeaders(b"host", [])]
    # RFC 9112, 3.2. Before HTTP/1.1 there was no Host, and what asks so today is no browser.
    if len(hosts) > 1 or (not hosts and request.clientproto not in (b"HTTP/1.0", b"HTTP/0.9")):
        return http.BAD_REQUEST, "one Host is needed"
    if hosts and (name := host_name(hosts[0])) is None:
        return http.BAD_REQUEST, "unexpected Host"
    if hosts and is_local and not is_own_name(name or ""):
        return http.BAD_REQUEST, "unexpected Host: use localhost, an address, or a name that /etc/hosts has for it"
    if token is None:
        return None
    if not token:
        return None if is_local else (http.FORBIDDEN, "this shows devices: set HTTP_TOKEN, or ask on the host itself")
    given = [_token_of(each) for each in request.requestHeaders.getRawHeaders(b"authorization", [])]
    if len(given) == 1 and given[0] is not None and compare_digest(given[0], token.encode()):
        return None
    return (
        http.UNAUTHORIZED,
        "this shows devices: it needs the header Authorization: Bearer HTTP_TOKEN, or, in a browser, HTTP_TOKEN as the"
        " password of any user",
    )


def _token_of(authorization: bytes) -> bytes | None:
    """What is given as the token: as such, or as a password (RFC 7617), which is how a browser asks its user."""
    if (match := _BEARER.fullmatch(authorization)) is not None:
        return match.group(1)
    if (match := _BASIC.fullmatch(authorization)) is None:
        return None
    try:
        _user, colon, password = b64decode(match.group(1), validate=True).partition(b":")
    except ValueError:
        return None
    return password if colon else None


def host_name(host: str) -> str | None:
    """What a Host header names, in lower case, without port, brackets and the dot of a full name; None: nothing."""
    match = _HOST.fullmatch(host.strip())
    return None if match is None else match.group(1).strip("[]").lower().removesuffix(".")


def is_own_name(name: str) -> bool:
    """Whether nobody else can make this name one of his: an address is no name, and these are this host's own."""
    if name in ("localhost", gethostname().lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return name in _names_in_hosts()
    return True


def is_loopback(address: str) -> bool:
    """Whether an address is of this host alone."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


def _names_in_hosts() -> set[str]:
    """Names that hosts(5) has for an address of this host alone, as Debian does for the full name."""
    try:
        lines = HOSTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    fields = [line.partition("#")[0].lower().split() for line in lines]
    return {name.removesuffix(".") for each in fields if each and is_loopback(each[0]) for name in each[1:]}
