from __future__ import annotations

from twisted.trial.unittest import TestCase

from aiot_mqtt.table.memory import MemoryTable, Row
from tests.store_contract import StoreContract


class MemoryTableTests(StoreContract, TestCase):
    def setUp(self) -> None:
        self.store = self.table = MemoryTable()

    def add_devices(self, *uuids: str) -> None:
        self.table.rows |= {uuid.lower(): Row() for uuid in uuids}

    def row(self, uuid: str) -> Row:
        return self.table.rows[uuid.lower()]
