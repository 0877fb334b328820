"""The table that the settings name."""

from __future__ import annotations

from typing import Any

from ..settings.settings import Settings
from .address import database_addresses
from .fence import Fence
from .mysql import DeviceTable


def device_table(settings: Settings, reactor: Any, fence: Fence | None = None) -> DeviceTable:
    """That in a real database.

    :param reactor: with ``fence``, see ``DeviceTable``. :raises ConfigError: a certificate or key cannot be used.
    """
    address, *others = database_addresses(settings)
    return DeviceTable(
        address,
        settings.db_password.reveal(),
        reactor,
        others=others,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_recycle=settings.db_pool_recycle,
        fence=fence,
    )
