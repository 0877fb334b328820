"""The words that the data path and a table share."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreNotOurs,
    StoreRefused,
    StoreUnavailable,
)


class DeviceUpdateTests(SynchronousTestCase):
    def test_a_new_update_leaves_every_column_alone_but_the_two_always_assigned(self) -> None:
        update = DeviceUpdate("d1")
        self.assertEqual(update.uuid, "d1")
        self.assertIsNone(update.document)
        self.assertIsNone(update.status)
        self.assertIsNone(update.last_heartbeat)
        self.assertEqual((update.last_seen, update.is_online), ("", True))

    def test_one_delivery_rides_on_it_for_each_kind(self) -> None:
        for kinds, deliveries in (
            (0, 0),
            (DATA, 1),
            (STATUS, 1),
            (HEARTBEAT, 1),
            (DATA | HEARTBEAT, 2),
            (DATA | STATUS | HEARTBEAT, 3),
        ):
            update = DeviceUpdate("d1")
            update.kinds = kinds
            self.assertEqual(update.deliveries, deliveries)

    def test_it_shows_all_it_would_assign(self) -> None:
        update = DeviceUpdate("d1")
        update.document = b"{}"
        self.assertEqual(
            repr(update),
            "DeviceUpdate(uuid='d1', key='d1', kinds=0, document=b'{}', status=None, last_seen='', last_heartbeat=None,"
            " is_online=True, document_order=0, status_order=0, seen_order=0, heartbeat_order=0)",
        )

    def test_it_takes_no_column_but_those_it_may_write(self) -> None:
        # Through setattr, so that mypy does not see what must fail.
        self.assertRaises(AttributeError, setattr, DeviceUpdate("d1"), "name", "x")


class StoreErrorTests(SynchronousTestCase):
    def test_each_kind_is_a_store_error_and_none_is_another(self) -> None:
        kinds: list[type[StoreError]] = [
            StoreConflict,
            StoreNotOurs,
            StoreUnavailable,
            StoreMisconfigured,
            StoreRefused,
        ]
        for kind in kinds:
            self.assertEqual(str(kind("the driver's words")), "the driver's words")
            self.assertTrue(issubclass(kind, StoreError))
            self.assertEqual([other for other in kinds if issubclass(kind, other)], [kind])

    def test_a_refused_login_is_a_mistake_of_rights(self) -> None:
        self.assertTrue(issubclass(StoreLoginRefused, StoreMisconfigured))
