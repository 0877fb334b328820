"""How reports merge, what is taken together, and which acknowledgements ride on it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS, DeviceReport
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.ingest.pending import UPDATE_BYTES, PendingUpdates
from tests.doubles import RecordingConnection

NOW = "2026-11-23 10:00:00"
LATER = "2026-11-23 10:00:01"


def pending_updates() -> PendingUpdates:
    """Of a table that does not tell case, as the owner's."""
    pending = PendingUpdates()
    pending.keys_are(str.lower)
    return pending


def data(device: str = "d1", document: bytes = b"{}") -> DeviceReport:
    return DeviceReport(device, DATA, document)


def status(
    device: str = "d1", document: bytes = b"{}", word: str | None = None, is_online: bool = True
) -> DeviceReport:
    return DeviceReport(device, STATUS, document, word, is_online)


def heartbeat(device: str = "d1") -> DeviceReport:
    return DeviceReport(device, HEARTBEAT)


def columns(update: DeviceUpdate) -> tuple[str, int, bytes | None, str | None, str, str | None, bool]:
    return (
        update.uuid,
        update.kinds,
        update.document,
        update.status,
        update.last_seen,
        update.last_heartbeat,
        update.is_online,
    )


class MergeTests(SynchronousTestCase):
    def merged(self, *reports: DeviceReport) -> tuple[str, int, bytes | None, str | None, str, str | None, bool]:
        """What the reports leave, the last of them a second later."""
        pending = pending_updates()
        for report in reports[:-1]:
            pending.merge(report, NOW)
        pending.merge(reports[-1], LATER)
        [update] = pending.take().updates
        return columns(update)

    def test_data_sets_document_last_seen_and_online(self) -> None:
        self.assertEqual(self.merged(data(document=b"1")), ("d1", DATA, b"1", None, LATER, None, True))

    def test_status_sets_document_status_last_seen_and_online(self) -> None:
        self.assertEqual(
            self.merged(status(document=b"1", word="offline", is_online=False)),
            ("d1", STATUS, b"1", "offline", LATER, None, False),
        )

    def test_heartbeat_sets_last_seen_last_heartbeat_and_online(self) -> None:
        self.assertEqual(self.merged(heartbeat()), ("d1", HEARTBEAT, None, None, LATER, LATER, True))

    def test_the_newest_of_each_column_is_kept(self) -> None:
        for reports, expected in (
            (
                [data(document=b"1"), heartbeat()],
                ("d1", DATA | HEARTBEAT, b"1", None, LATER, LATER, True),
            ),
            (
                [heartbeat(), data(document=b"1")],
                ("d1", DATA | HEARTBEAT, b"1", None, LATER, NOW, True),
            ),
            (
                [status(document=b"1", word="a"), data(document=b"2")],
                ("d1", STATUS | DATA, b"2", "a", LATER, None, True),
            ),
            (
                [data(document=b"1"), status(document=b"2", word="a")],
                ("d1", STATUS | DATA, b"2", "a", LATER, None, True),
            ),
            (
                [status(document=b"1", word="a"), status(document=b"2")],
                ("d1", STATUS, b"2", "a", LATER, None, True),
            ),
            (
                [status(document=b"1", word="a"), status(document=b"2", word="b")],
                ("d1", STATUS, b"2", "b", LATER, None, True),
            ),
            (
                [status(document=b"1", word="offline", is_online=False), heartbeat()],
                ("d1", STATUS | HEARTBEAT, b"1", "offline", LATER, LATER, True),
            ),
            (
                [heartbeat(), status(document=b"1", word="offline", is_online=False)],
                ("d1", STATUS | HEARTBEAT, b"1", "offline", LATER, NOW, False),
            ),
            (
                [data(document=b"1"), status(document=b"2", word="a"), heartbeat()],
                ("d1", DATA | STATUS | HEARTBEAT, b"2", "a", LATER, LATER, True),
            ),
        ):
            self.assertEqual(self.merged(*reports), expected, reports)

    def test_an_older_report_of_the_same_kind_is_superseded(self) -> None:
        pending = pending_updates()
        told = [
            pending.merge(report, NOW)
            for report in (data(), status(), heartbeat(), heartbeat(), data(), status(), data("d2"), data("D2"))
        ]
        self.assertEqual(told, [False, False, False, True, True, True, False, True])
        self.assertEqual(pending.deliveries, 4)

    def test_nothing_is_superseded_across_two_batches(self) -> None:
        pending = pending_updates()
        pending.merge(data(), NOW)
        pending.take()
        self.assertFalse(pending.merge(data(), NOW))

    def test_spellings_of_one_device_share_an_update_that_keeps_the_last(self) -> None:
        pending = pending_updates()
        for device in ("ab-C", "AB-c", "Ab-c"):
            pending.merge(data(device), NOW)
        self.assertEqual(len(pending), 1)
        self.assertEqual([update.uuid for update in pending.take().updates], ["Ab-c"])


class TakeTests(SynchronousTestCase):
    def test_updates_are_taken_in_the_order_in_which_devices_were_heard_first(self) -> None:
        pending = pending_updates()
        for device in ("b", "C", "a", "B", "c", "_"):
            pending.merge(data(device), NOW)
        self.assertEqual([update.uuid for update in pending.take().updates], ["B", "c", "a", "_"])

    def test_what_was_taken_is_not_touched_again(self) -> None:
        pending = pending_updates()
        pending.merge(data(document=b"1"), NOW)
        taken = pending.take()
        pending.merge(data(document=b"2"), LATER)
        self.assertEqual([update.document for update in taken.updates], [b"1"])
        self.assertEqual([update.document for update in pending.take().updates], [b"2"])

    def test_it_is_empty_afterwards(self) -> None:
        pending = pending_updates()
        pending.merge(data(), NOW)
        pending.owe_acknowledgement(1)
        self.assertTrue(pending)
        self.assertEqual((len(pending), pending.deliveries), (1, 1))
        pending.take()
        self.assertFalse(pending)
        self.assertEqual((len(pending), pending.deliveries, pending.size), (0, 0, 0))
        empty = pending.take()
        self.assertEqual((empty.updates, empty.packet_ids), ([], []))

    def test_an_acknowledgement_alone_is_something_to_take(self) -> None:
        pending = pending_updates()
        pending.start_connection(RecordingConnection())
        pending.owe_acknowledgement(7)
        self.assertTrue(pending)
        self.assertEqual((len(pending), pending.unacknowledged), (0, 1))
        pending.take()
        self.assertEqual(pending.unacknowledged, 0)

    def test_an_update_that_is_owed_no_acknowledgement_is_something_to_take(self) -> None:
        pending = pending_updates()
        pending.merge(data(), NOW)
        self.assertTrue(pending)


class AcknowledgementTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pending = pending_updates()
        self.connection = RecordingConnection()
        self.pending.start_connection(self.connection)

    def owe(self, *packet_ids: int) -> None:
        for packet_id in packet_ids:
            self.pending.owe_acknowledgement(packet_id)

    def test_they_go_out_in_the_order_of_arrival(self) -> None:
        self.owe(3, 1, 65535, 2)
        self.pending.take().acknowledge()
        self.assertEqual(self.connection.calls, [[3, 1, 65535, 2]])

    def test_none_goes_out_before_the_batch_is_told_to(self) -> None:
        self.owe(1)
        self.pending.take()
        self.assertEqual(self.connection.calls, [])

    def test_those_owed_after_a_batch_was_taken_ride_on_the_next(self) -> None:
        self.owe(1, 2)
        first = self.pending.take()
        self.owe(3)
        first.acknowledge()
        self.assertEqual(self.connection.calls, [[1, 2]])
        self.pending.take().acknowledge()
        self.assertEqual(self.connection.calls, [[1, 2], [3]])

    def test_a_superseded_message_is_acknowledged_with_the_one_that_superseded_it(self) -> None:
        self.pending.merge(data(), NOW)
        self.owe(1)
        self.pending.merge(data(), NOW)
        self.owe(2)
        self.pending.take().acknowledge()
        self.assertEqual(self.connection.calls, [[1, 2]])

    def test_those_of_an_older_connection_are_thrown_away_and_its_updates_kept(self) -> None:
        self.pending.merge(data(), NOW)
        self.owe(1, 2)
        newer = RecordingConnection()
        self.pending.start_connection(newer)
        self.owe(1)
        batch = self.pending.take()
        batch.acknowledge()
        self.assertEqual(len(batch.updates), 1)
        self.assertEqual((self.connection.calls, newer.calls), ([], [[1]]))

    def test_a_batch_taken_earlier_stays_bound_to_its_own_connection(self) -> None:
        self.owe(1)
        batch = self.pending.take()
        newer = RecordingConnection()
        self.pending.start_connection(newer)
        self.owe(2)
        batch.acknowledge()
        self.assertEqual((self.connection.calls, newer.calls), ([[1]], []))

    def take_in_parts(self, *packet_ids_and_devices: tuple[int, str]) -> list[list[int]]:
        """What is acknowledged as one update after the other is done with, and then at the end."""
        for packet_id, device in packet_ids_and_devices:
            self.owe(packet_id)
            self.pending.merge(data(device), NOW)
        batch = self.pending.take()
        parts = []
        while batch.updates:
            batch.remove_first(1)
            parts.append(self.acknowledged())
        batch.acknowledge()
        return [*parts, self.acknowledged()]

    def acknowledged(self) -> list[int]:
        """What was acknowledged since the last call."""
        calls = self.connection.calls
        packet_ids = [packet_id for call in calls for packet_id in call]
        calls.clear()
        return packet_ids

    def test_what_came_before_the_first_report_of_any_device_that_is_left_goes_out_early(self) -> None:
        parts = self.take_in_parts((1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "c"), (6, "b"))
        self.assertEqual(parts, [[1, 2], [3, 4], [], [5, 6]])

    def test_nothing_goes_out_early_after_a_batch_was_put_back(self) -> None:
        self.owe(1)
        self.pending.merge(data("a"), NOW)
        batch = self.pending.take()
        self.owe(2)
        self.pending.merge(data("b"), NOW)
        self.pending.restore(batch)
        self.assertEqual(self.take_in_parts((3, "c")), [[], [1, 2], [], [3]])

    def test_nothing_goes_out_early_for_devices_heard_on_an_older_connection(self) -> None:
        self.owe(1, 2, 3)
        self.pending.merge(data("a"), NOW)
        self.pending.merge(data("b"), NOW)
        self.pending.start_connection(self.connection)
        self.assertEqual(self.take_in_parts((1, "b"), (2, "c"), (3, "b")), [[], [1], [], [2, 3]])

    def test_nothing_owed_is_nothing_sent(self) -> None:
        self.pending.merge(data(), NOW)
        self.pending.take().acknowledge()
        self.assertEqual(self.connection.calls, [])

    def test_without_a_connection_nothing_is_sent(self) -> None:
        pending = pending_updates()
        pending.owe_acknowledgement(1)
        pending.take().acknowledge()
        pending.start_connection(self.connection)
        self.assertEqual((self.connection.calls, pending.unacknowledged), ([], 0))


class SizeTests(SynchronousTestCase):
    def test_the_size_is_that_of_the_updates_and_their_documents(self) -> None:
        pending = pending_updates()
        sizes = []
        for report in (
            data("a", b"x" * 100),  # a new update
            data("a", b"x" * 30),  # a smaller document over it
            heartbeat("a"),  # leaves the document
            status("A", b"x" * 70, "s"),  # another kind replaces it
            heartbeat("b"),  # a new update without a document
            data("b", b"x" * 5),
        ):
            pending.merge(report, NOW)
            sizes.append(pending.size)
        one, two = UPDATE_BYTES, 2 * UPDATE_BYTES
        self.assertEqual(sizes, [one + 100, one + 30, one + 30, one + 70, two + 70, two + 75])

    def test_what_is_done_with_is_not_held_any_more(self) -> None:
        pending = pending_updates()
        for device, size in (("a", 10), ("b", 20), ("c", 30)):
            pending.merge(data(device, b"x" * size), NOW)
        batch = pending.take()
        sizes = []
        while batch.updates:
            batch.remove_first(2)
            sizes.append(batch.size)
        self.assertEqual(sizes, [UPDATE_BYTES + 30, 0])

    def test_one_device_costs_the_same_however_often_it_reports(self) -> None:
        pending = pending_updates()
        for _ in range(1000):
            pending.merge(data("a", b"x" * 1000), NOW)
            pending.merge(status("a", b"x" * 1000), NOW)
            pending.merge(heartbeat("a"), NOW)
        self.assertEqual(pending.size, UPDATE_BYTES + 1000)


class Row:
    """A row as the design's table of messages assigns it, one report after another."""

    def __init__(self) -> None:
        self.last_report_data: bytes | None = None
        self.device_status = "pending"
        self.last_seen: str | None = None
        self.last_heartbeat: str | None = None
        self.is_online = False

    def columns(self) -> tuple[object, ...]:
        return (self.last_report_data, self.device_status, self.last_seen, self.last_heartbeat, self.is_online)

    def report(self, report: DeviceReport, now: str) -> None:
        self.last_seen = now
        self.is_online = report.is_online
        if report.kind == HEARTBEAT:
            self.last_heartbeat = now
            return
        self.last_report_data = report.document
        if report.kind == STATUS and report.status is not None:
            self.device_status = report.status

    def update(self, update: DeviceUpdate) -> None:
        self.last_seen = update.last_seen
        self.is_online = update.is_online
        if update.last_heartbeat is not None:
            self.last_heartbeat = update.last_heartbeat
        if update.document is not None:
            self.last_report_data = update.document
        if update.status is not None:
            self.device_status = update.status


def made(number: int, device: str, kind: int, word: str | None) -> DeviceReport:
    """One report of a course, with a number to tell it by."""
    document = b'{"n": %d}' % number
    if kind == STATUS:
        return status(device, document, word, is_online=word != "offline")
    return heartbeat(device) if kind == HEARTBEAT else data(device, document)


class ConvergenceTests(SynchronousTestCase):
    @settings(max_examples=120, deadline=None, database=None, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from("aAbc"),
                st.sampled_from((DATA, STATUS, HEARTBEAT)),
                st.sampled_from((None, "online", "offline", "idle")),
                st.booleans(),
            ),
            min_size=1,
            max_size=30,
        )
    )
    def test_merged_batches_leave_what_each_report_alone_would_however_they_are_cut(
        self, course: list[tuple[str, int, str | None, bool]]
    ) -> None:
        one_by_one = {key: Row() for key in "abc"}
        batched = {key: Row() for key in "abc"}
        pending = pending_updates()
        superseded = written = 0
        for number, (device, kind, word, is_cut) in enumerate(course, 1):
            now = f"2026-11-23 10:00:{number:02}"
            report = made(number, device, kind, word)
            one_by_one[device.lower()].report(report, now)
            superseded += pending.merge(report, now)
            if is_cut or number == len(course):
                for update in pending.take().updates:
                    batched[update.uuid.lower()].update(update)
                    written += update.deliveries
            # Not only at the end: a batch that was cut anywhere accounts for each delivery.
            self.assertEqual(written + superseded + pending.deliveries, number)
        self.assertEqual(
            {key: row.columns() for key, row in batched.items()},
            {key: row.columns() for key, row in one_by_one.items()},
        )
