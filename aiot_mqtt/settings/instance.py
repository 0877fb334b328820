"""What one of several instances is called, and where it says how it is (``HA_MODE``)."""

from __future__ import annotations

import re

from ..telemetry.printable import printable
from ..telemetry.reasons import settings as reasons
from .parsers import topic_prefix

MAX_NAME = 64  # characters


def instance_name(text: str) -> str:
    """What an instance is called in lines and on the page, or nothing."""
    text = text.strip()
    if len(text) > MAX_NAME or not text.isprintable():
        raise ValueError(reasons.INSTANCE_NAME.fill(most=MAX_NAME))
    return text


def status_topic(text: str) -> str:
    """A topic to publish on, or nothing."""
    text = text.strip()
    return topic_prefix(text) if text else text


def name_or_host(name: str, host: str) -> str:
    """What an instance is called. :param name: as set. :param host: what its host is called."""
    return name or printable(host, MAX_NAME) or "?"


def topic_or_usual(topic: str, client_id: str) -> str:
    """Where it says how it is. :param topic: as set; else it is made of the client identifier."""
    return topic or f"aiot-mqtt/{re.sub('[+#/]', '_', client_id)[:1000]}/active"
