"""Whose states the spool of this service holds."""

from __future__ import annotations

from ..settings.parsers import split_hosts
from ..settings.settings import Settings
from .found import SpoolOwner


def spool_owner(settings: Settings) -> SpoolOwner:
    """Whose states the spool holds."""
    hosts = split_hosts(settings.db_host, settings.db_port)
    return SpoolOwner(
        host=",".join(host if port == settings.db_port else f"{host}:{port}" for host, port in hosts),
        port=settings.db_port,
        database=settings.db_name,
        table=settings.db_table,
        topic_prefix=settings.mqtt_topic_prefix,
        time_zone=str(settings.db_timezone),
    )
