"""What a setting's text means: each parser takes a text and returns its value.

``ValueError`` says what the text should have been, and never shows it: it may be a password that slipped in.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import shutil
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TypeVar
from zoneinfo import ZoneInfo

from ..devices.report import MAX_DEVICE_LENGTH
from ..telemetry.bilingual import Bilingual, listed
from ..telemetry.reasons import settings as reasons

T = TypeVar("T")

MAX_PORT = 65535
MAX_MQTT_TEXT = 65535  # bytes; section 1.5.4 of MQTT 5
MAX_TOPIC = MAX_MQTT_TEXT
MAX_TOPIC_PREFIX = MAX_TOPIC - len(f"/{'x' * MAX_DEVICE_LENGTH}/heartbeat")  # bytes

COMMAND_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for that are named without a folder."""


def any_text(text: str) -> str:
    """A text of any form, as it stands."""
    return text


def mqtt_text(text: str) -> str:
    """A text of any form that fits into a packet of MQTT (section 1.5.4 of MQTT 5)."""
    if len(text.encode()) > MAX_MQTT_TEXT:
        raise ValueError(reasons.TOO_LONG.fill(most=MAX_MQTT_TEXT))
    return text


def host(text: str) -> str:
    """A host by name or address; an IPv6 address may stand in brackets, and is returned without."""
    if "://" in text:
        raise ValueError(reasons.HOST_SCHEME)
    if "@" in text:
        raise ValueError(reasons.HOST_USER)
    if re.fullmatch(r"[A-Za-z0-9._-]+", text):
        return _host_name(text)
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise ValueError(reasons.HOST_PORT) from None
    return address


def host_and_port(text: str) -> tuple[str, int | None]:
    """A host, and behind a colon its port, before which an IPv6 address stands in brackets; None: without a port."""
    bracketed = re.fullmatch(r"(\[[^\]]*\])(?::(.*))?", text)
    if bracketed is not None:
        name, port = bracketed.groups()
    elif text.count(":") == 1 and not {"@", "/"}.intersection(text):
        name, _, port = text.partition(":")
    else:
        name, port = text, None
    return host(name), None if port is None else _port(port)


def hosts(text: str) -> str:
    """Hosts between commas, each perhaps with a port; in one form, however they were written.

    ``split_hosts`` takes it apart.
    """
    found = _several(text, host_and_port, reasons.HOST_NUMBERED, empty=reasons.HOST_EMPTY, twice=reasons.HOST_TWICE)
    return ",".join(_as_text(name, port, is_alone=len(found) == 1) for name, port in found)


def split_hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    """Hosts with their ports, of what ``hosts`` returns. :param port: of those that have none of their own."""
    found = [host_and_port(part) for part in text.split(",")]
    return tuple((name, port if own is None else own) for name, own in found)


def _several(
    text: str, parse: Callable[[str], T], numbered: Bilingual, *, empty: Bilingual, twice: Bilingual
) -> list[T]:
    """What stands between commas, each parsed.

    :raises ValueError: with every mistake; where there are several parts, each with the number of its part.
    """
    parts = [part.strip() for part in text.split(",")]
    mistakes: list[Bilingual] = []
    found: list[T] = []
    for number, part in enumerate(parts, 1):
        try:
            if not part:
                raise ValueError(empty)
            found.append(parse(part))
        except ValueError as error:
            (what,) = error.args
            mistakes.append(what if len(parts) == 1 else numbered.fill(number=number, what=what))
            continue
        if found[-1] in found[:-1]:
            mistakes.append(numbered.fill(number=number, what=twice))
    if mistakes:
        raise ValueError(listed(mistakes, "; ", "；"))
    return found


def _as_text(name: str, port: int | None, *, is_alone: bool) -> str:
    bracketed = f"[{name}]" if ":" in name and not (is_alone and port is None) else name
    return bracketed if port is None else f"{bracketed}:{port}"


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_PORT:
        raise ValueError(reasons.HOST_BAD_PORT.fill(most=MAX_PORT))
    return int(text)


def _host_name(text: str) -> str:
    """A name that may be known to the system, which decides; with an underscore too, as a compose service's may be."""
    labels = text.removesuffix(".").split(".")
    if len(text) > 254 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(reasons.HOST_LENGTH)
    if all(label.isdigit() for label in labels):
        try:
            socket.inet_aton(text)
        except OSError:
            raise ValueError(reasons.HOST_NUMBERS) from None
    return text


def tcp_endpoint(text: str) -> tuple[str, int] | None:
    r"""Interface and port of one of Twisted's endpoint strings ``tcp:PORT:interface=ADDRESS``; None for an empty text.

    In an IPv6 address each colon has a backslash before it; without an interface it is every one.
    """
    if not text.strip():
        return None
    kind, *parts = (part.replace("\\:", ":") for part in re.split(r"(?<!\\):", text.strip()))
    named = dict(part.partition("=")[::2] for part in parts if "=" in part)
    plain = [part for part in parts if "=" not in part]
    port = plain.pop(0) if plain else named.pop("port", "")
    interface = named.pop("interface", "::" if kind == "tcp6" else "")
    is_address = True
    try:
        ipaddress.ip_address(interface or "::")
    except ValueError:
        is_address = False
    is_port = re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535
    is_twice = len({part.partition("=")[0] for part in parts}) < len(parts)
    if is_twice or kind not in ("tcp", "tcp6") or plain or named or not is_address or not is_port:
        raise ValueError(reasons.ENDPOINT)
    return interface, int(port)


def identifier(text: str) -> str:
    """A name of a database or a table, within what MySQL allows unquoted, and ``-``."""
    if not re.fullmatch(r"[0-9A-Za-z$_\u0080-\uffff-]{1,64}", text):
        raise ValueError(reasons.IDENTIFIER)
    return text


def client_id(text: str) -> str:
    """A client identifier of MQTT, which has at most 65,535 bytes (section 1.5.4 of MQTT 5)."""
    if not 1 <= len(text.encode()) <= 65535 or not text.isprintable():
        raise ValueError(reasons.CLIENT_ID)
    return text


def topic_prefixes(text: str) -> str:
    """One or several, between commas; ``split_prefixes`` takes them apart.

    A prefix may be another's beginning: without wildcards each filter matches topics of as many levels as itself, so
    none matches what another one does.
    """
    if not text.isprintable():
        raise ValueError(reasons.TOPIC_UNSEEN)
    numbered = reasons.TOPIC_NUMBERED
    found = _several(text, topic_prefix, numbered, empty=reasons.TOPIC_EMPTY, twice=reasons.TOPIC_TWICE)
    joined = ",".join(found)
    if len(joined.encode()) > MAX_TOPIC_PREFIX:  # the spool's file says for which it is
        raise ValueError(reasons.TOPICS_LENGTH.fill(most=MAX_TOPIC_PREFIX))
    return joined


def topic_prefix(text: str) -> str:
    """The levels before a device's own, as section 4.7 of MQTT 5 has them."""
    if text.partition("/")[0] in ("$share", "$queue"):
        raise ValueError(reasons.TOPIC_SHARED)
    if any(character in text for character in "+#") or text.startswith("$"):
        raise ValueError(reasons.TOPIC_WILDCARD)
    if not all(text.split("/")):
        raise ValueError(reasons.TOPIC_SLASHES)
    if len(text.encode()) > MAX_TOPIC_PREFIX:
        raise ValueError(reasons.TOPIC_LENGTH.fill(most=MAX_TOPIC))
    return text


def boolean(text: str) -> bool:
    """True or false, in the words that people write for them."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(reasons.BOOLEAN)


def zone(text: str) -> ZoneInfo:
    """A time zone of the IANA database whose offset from UTC stays the same for the next three years."""
    try:
        zone = ZoneInfo(text)
    except Exception:
        raise ValueError(reasons.ZONE) from None
    now = datetime.now(timezone.utc)
    if len({(now + timedelta(days=days)).astimezone(zone).utcoffset() for days in range(0, 1100, 5)}) > 1:
        raise ValueError(reasons.ZONE_DAYLIGHT)
    return zone


def words(text: str) -> frozenset[str]:
    """Words between commas; no word at all is allowed."""
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def log_level(text: str) -> str:
    """A level of the standard library's ``logging`` by name, in any case."""
    level = {"WARN": "WARNING"}.get(text.upper(), text.upper())
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(reasons.LOG_LEVEL)
    return level


def readable_file(text: str) -> str:
    """The path of a file that is there and may be read, or nothing."""
    if text and not os.path.isfile(text):
        raise ValueError(reasons.NO_SUCH_FILE)
    if text and not os.access(text, os.R_OK):
        raise ValueError(reasons.FILE_NOT_READABLE)
    return text


def fingerprint(text: str) -> str:
    """SHA-256 as ``openssl x509 -fingerprint -sha256`` prints it, with or without what stands before it and colons."""
    digits = text.strip().rpartition("=")[2].replace(":", "").upper()
    if digits and not re.fullmatch(r"[0-9A-F]{64}", digits):
        raise ValueError(reasons.FINGERPRINT)
    return ":".join(re.findall("..", digits))


def command(text: str) -> tuple[str, ...]:
    """A program with its arguments, quoted as for a shell, which is not asked; or nothing."""
    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"is not quoted as for a shell: {error}") from None
    if not argv:
        return ()
    if (program := shutil.which(argv[0], path=COMMAND_PATH)) is None:
        raise ValueError(f"no such program, or this user may not run it; where it has no folder, {COMMAND_PATH}")
    return os.path.abspath(program), *argv[1:]


def number(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from ``least`` to ``most``, in digits alone."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise ValueError(reasons.NUMBER.fill(least=least, most=most))
        return int(text)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that takes these texts, as they stand, and no other."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(reasons.ONE_OF.fill(choices=", ".join(choices)))
        return text

    return parse
