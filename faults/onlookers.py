"""Who looks on during a round: one at the table, one at the broker's own figures, one at the service's page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from aiot_mqtt.health.command import NotRunning, ask_status
from aiot_mqtt.mqtt.connection import MqttConnection
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.receiver import Acknowledger
from aiot_mqtt.telemetry.survive import start
from rig.narrator import AWAY
from rig.servers import Database

from .check import Row

LOOK_INTERVAL = 0.25  # s
RETRY_DELAY = 0.1  # s
DROPPED = b"$SYS/broker/publish/messages/dropped"
UPTIME = b"$SYS/broker/uptime"
_COLUMNS = "uuid, last_report_data, device_status, is_online, last_seen, last_heartbeat"


def read_rows(database: Database, table: str = "device_main") -> dict[str, Row]:
    """Every row by its ``uuid``, as an administrator sees it. Blocks. Raises ``pymysql.MySQLError``."""
    rows = database.query(f"SELECT {_COLUMNS} FROM {table}")
    return {uuid: Row(report, status, bool(online), *times) for uuid, report, status, online, *times in rows}


class _Looking:
    """Looks a few times a second, from ``start`` to ``stop``."""

    def __init__(self, reactor: Any) -> None:
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        """Look from now on."""
        self._looking.start(LOOK_INTERVAL)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> Deferred[None]:
        """Fires when it has looked; the next look waits for that."""
        raise NotImplementedError


class TableOnlooker(_Looking):
    """Reads the table a few times a second, and remembers the highest sequence number that each row ever held."""

    def __init__(self, database: Database, reactor: Any) -> None:
        self._database = database
        self.rows: dict[str, Row] = {}
        """As they were at the last look; none before the first."""
        self.highest: dict[str, int] = {}
        self.stepped_back = 0
        """How often a row was seen with an earlier report than at the look before, for however short a time."""
        self.looked: Callable[[], None] = lambda: None
        super().__init__(reactor)

    def _look(self) -> Deferred[None]:
        # While the database cannot be asked there is nothing to see.
        return deferToThread(read_rows, self._database).addCallbacks(self.note, lambda _failure: None)

    def note(self, rows: dict[str, Row]) -> None:
        """Take a look into account."""
        for uuid, row in rows.items():
            sequence, before = row.sequence, self.rows.get(uuid)
            self.highest[uuid] = max(sequence, self.highest.get(uuid, 0))
            self.stepped_back += before is not None and sequence < before.sequence
        self.rows = rows
        self.looked()

    def moved_back(self) -> list[str]:
        """The devices whose row now holds an earlier report than it once did."""
        return [uuid for uuid, row in self.rows.items() if row.sequence < self.highest[uuid]]


class BrokerOnlooker:
    """Reads from ``$SYS`` what the broker dropped; needs ``sys_interval 1``. As an MQTT ``Receiver`` it is called."""

    def __init__(self, port: int, reactor: Any) -> None:
        self._reactor = reactor
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._options = ConnectOptions("onlooker", session_expiry=0)
        self._connection: Acknowledger | None = None
        self._work: Deferred[None] | None = None
        self._dropped_before = self._dropped = 0
        self.ticks = 0
        """How often the broker told its figures; what changed is told before the next tick but one."""

    @property
    def dropped(self) -> int:
        """Messages that the broker dropped, over all its lives."""
        return self._dropped_before + self._dropped

    def start(self) -> None:
        """Stay connected from now on."""
        self._work = start(self._stay_connected(), Logger(), "the broker's onlooker failed")

    def stop(self) -> None:
        """Disconnect."""
        if self._work is not None:
            self._work.cancel()

    async def _stay_connected(self) -> None:
        while True:
            connection = MqttConnection(self._options, self, self._reactor)
            factory = Factory.forProtocol(lambda connection=connection: connection)  # type: ignore[misc]
            factory.noisy = False
            try:
                await self._endpoint.connect(factory)
                await connection.accepted
                await connection.subscribe([DROPPED.decode(), UPTIME.decode()])
                await connection.closed
            except CancelledError:
                connection.abort("the onlooker leaves")
                raise
            except Exception:  # the broker is away
                connection.abort("not accepted")
            self._dropped_before, self._dropped = self.dropped, 0  # a broker counts from its start
            await deferLater(self._reactor, RETRY_DELAY)

    def connection_started(self, connection: Acknowledger) -> None:
        """See ``Receiver``."""
        self._connection = connection

    def publish_received(self, topic: bytes, payload: bytes, packet_id: int, retain: bool) -> None:  # noqa: ARG002
        """See ``Receiver``."""
        if topic == DROPPED:
            self._dropped = int(payload)
        elif topic == UPTIME:
            self.ticks += 1
        if packet_id and self._connection is not None:
            self._connection.acknowledge([packet_id])

    redelivery_received = publish_received

    def oversized_publish_received(self, topic: bytes, size: int, packet_id: int, most: int) -> None:
        """See ``Receiver``."""

    def read_finished(self) -> None:
        """See ``Receiver``."""


class HealthOnlooker(_Looking):
    """Asks the service a few times a second how it is, as its page does."""

    def __init__(self, port: int, reactor: Any) -> None:
        """:param port: on loopback, where it answers."""
        self._address = ("127.0.0.1", port)
        self.status: dict[str, Any] = {}
        """As it was at the last look; empty where nobody answered."""
        super().__init__(reactor)

    @property
    def state(self) -> str:
        """In a word: a ``State``'s value, or ``AWAY``."""
        return str(self.status.get("state", AWAY))

    @property
    def spooled(self) -> int:
        """Devices whose state waits on disk."""
        return int((self.status.get("spool") or {}).get("devices") or 0)

    def _look(self) -> Deferred[None]:
        def unanswered(failure: Failure) -> dict[str, Any]:
            failure.trap(NotRunning)
            return {}

        return deferToThread(ask_status, self._address, "").addErrback(unanswered).addCallback(self._note)

    def _note(self, status: dict[str, Any]) -> None:
        self.status = status
