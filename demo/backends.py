"""The broker and the two tables the demo can run on, each private to it and gone when it ends. All calls may block."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.table.contract import StoreService
from rig import servers
from rig.servers import MariaDB, Mosquitto, ServerFailed

from .ledger import DeviceRow
from .sqlite_table import SqliteTable, create_device_table

_COLUMNS = "uuid, is_online, device_status, last_seen, last_report_data"


def start_broker(port: int, say: Callable[[str], None]) -> Mosquitto:
    """Mosquitto on this port, or on another one where it is taken.

    :raises ServerFailed: it does not start.
    """
    # Long enough a queue that a pause of this machine loses nothing that was acknowledged to the fleet.
    settings = ["max_queued_messages 100000"]
    while True:
        broker = Mosquitto(settings=settings, port=port)
        try:
            broker.start()
        except ServerFailed as error:
            broker.close()
            if "Address already in use" not in str(error):
                raise
            say(f"port {port} is taken, trying another one")
            port = servers.free_port()
        else:
            return broker


class Backend(Protocol):
    """A table with a row for each device, and how the service reaches it."""

    name: str
    settings: Mapping[str, Any]
    """Of the service, beside those of the broker."""
    table: StoreService | None
    """The table itself, where settings cannot name it."""

    def rows(self) -> list[DeviceRow]:
        """What the table holds now, as an onlooker sees it."""
        ...

    def close(self) -> None:
        """Stop what was started, and remove it."""
        ...


class SqliteBackend:
    """A table in a file."""

    name = f"device_main in SQLite {sqlite3.sqlite_version}"

    def __init__(self, uuids: Sequence[str], reactor: Any) -> None:
        self._folder = servers.private_folder()
        self._path = self._folder / "devices.sqlite"
        self.settings: Mapping[str, Any] = {"spool_file": str(self._folder / "spool")}
        create_device_table(self._path, uuids)
        self.table: StoreService | None = SqliteTable(self._path, reactor)

    def rows(self) -> list[DeviceRow]:
        """See ``Backend``."""
        connection = sqlite3.connect(self._path)
        try:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM device_main ORDER BY id").fetchall()  # noqa: S608
        finally:
            connection.close()
        return [_row(*row) for row in rows]

    def close(self) -> None:
        """See ``Backend``."""
        servers.remove_folder(self._folder)


class MariaDBBackend:
    """The table as a live system has it, in a MariaDB of its own, and the service as a user with the least rights."""

    table: StoreService | None = None

    def __init__(self, uuids: Sequence[str]) -> None:
        """:raises ServerFailed: it does not start."""
        self._server = server = MariaDB()
        server.start()
        server.create_device_table()
        server.grant()
        server.add_devices(uuids)
        self.name = f"device_main in MariaDB {server.version.partition('-')[0]} at {server.host}:{server.port}"
        self.settings: Mapping[str, Any] = {
            "db_host": server.host,
            "db_port": server.port,
            "db_user": server.service_user,
            "db_password": Secret(server.service_password),
            "spool_file": str(server.folder / "spool"),
        }

    def rows(self) -> list[DeviceRow]:
        """See ``Backend``."""
        rows = self._server.query(f"SELECT {_COLUMNS} FROM device_main ORDER BY id")  # noqa: S608
        return [_row(*row) for row in rows]

    def close(self) -> None:
        """See ``Backend``."""
        self._server.close()


def _row(uuid: str, is_online: int, status: str, last_seen: object, report: str | None) -> DeviceRow:
    return DeviceRow(uuid, bool(is_online), status, None if last_seen is None else str(last_seen), report)
