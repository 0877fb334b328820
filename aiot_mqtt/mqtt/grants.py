"""What the broker grants in CONNACK, beside what it was asked for.

Receive Maximum is not among it: in CONNACK it bounds what *we* may publish, which is nothing (section 3.2.2.3.3).
``window`` watches what the broker makes of ours. Retained messages and subscription identifiers are not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.logger import Logger

from ..telemetry import log_lines
from .connack import Connack
from .options import ConnectOptions
from .properties import (
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    RECEIVE_MAXIMUM,
    RETAIN_AVAILABLE,
    SERVER_KEEP_ALIVE,
    SESSION_EXPIRY,
    SHARED_SUBSCRIPTIONS,
    SUBSCRIPTION_IDENTIFIERS,
    WILDCARDS,
)

_NAMES = {
    SESSION_EXPIRY: "session_expiry",
    SERVER_KEEP_ALIVE: "keep_alive",
    RECEIVE_MAXIMUM: "receive_maximum",
    MAXIMUM_QOS: "maximum_qos",
    RETAIN_AVAILABLE: "retain",
    MAXIMUM_PACKET_SIZE: "maximum_packet_size",
    WILDCARDS: "wildcards",
    SUBSCRIPTION_IDENTIFIERS: "subscription_identifiers",
    SHARED_SUBSCRIPTIONS: "shared_subscriptions",
}


def tell_grants(log: Logger, connack: Connack, options: ConnectOptions, topic: str) -> None:
    """Tell what the broker grants, and of what less than was asked. :param topic: one that will be subscribed to."""
    if granted := described(connack):
        log.debug(log_lines.BROKER_GRANTS, granted=granted)
    for line, fields in shortfalls(connack, options, topic):
        log.warn(line, **fields)


def described(connack: Connack) -> str:
    """All that the broker said about itself that is a number, for a log line."""
    known = ((name, connack.number(identifier)) for identifier, name in _NAMES.items())
    return " ".join(f"{name}={value}" for name, value in known if value is not None)


def shortfalls(connack: Connack, options: ConnectOptions, topic: str) -> Iterator[tuple[str, dict[str, object]]]:
    """A log line, and what belongs in it, for each thing of which the broker grants less than is asked.

    :param topic: one that will be subscribed to.
    """
    expiry = connack.number(SESSION_EXPIRY)
    if expiry is not None and expiry < options.session_expiry:
        line = log_lines.SESSION_EXPIRY_LESS if expiry else log_lines.SESSION_NOT_KEPT
        yield line, {"asked": options.session_expiry, "granted": expiry}
    if connack.number(MAXIMUM_QOS) == 0:
        yield log_lines.MAXIMUM_QOS_LESS, {"asked": 1, "granted": 0}
    if connack.number(WILDCARDS) == 0:
        yield log_lines.NO_WILDCARDS, {"asked": topic, "granted": 0}
    size = connack.number(MAXIMUM_PACKET_SIZE)
    if size is not None and size < options.max_payload:
        yield log_lines.PACKET_SIZE_LESS, {"asked": options.max_payload, "granted": size}
    keepalive = connack.number(SERVER_KEEP_ALIVE)
    if keepalive and keepalive < options.keepalive:
        yield log_lines.KEEP_ALIVE_LESS, {"asked": options.keepalive, "granted": keepalive}
