"""The spool: real files, one call after the other, and everything that may happen to them."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.spool import disk as disk_module
from aiot_mqtt.spool import rows
from aiot_mqtt.spool.chunk import Chunk
from aiot_mqtt.spool.contents import Held, Looked
from aiot_mqtt.spool.damage import SpoolDamaged
from aiot_mqtt.spool.disk import Disk, SpoolError, SpoolInUse
from aiot_mqtt.spool.file import SpoolFile
from aiot_mqtt.spool.found import SpoolOwner
from aiot_mqtt.spool.spool import Spool
from rig.faulty_disk import BROKEN, FORBIDDEN, FULL, READ_ONLY, FaultyDisk
from rig.selection import rounds
from rig.spool_files import OWNER, make_old_file, opened, seal, update_of
from tests.store_contract import EARLIER, LATER

ROOT = Path(__file__).resolve().parent.parent.parent
LOTS = 1 << 30  # bytes
STEPS = ("save", "write", "pass", "restart")
FAULTS = (FULL, BROKEN, FORBIDDEN, READ_ONLY)
COLUMNS = ("uuid", "kinds", "document", "status", "last_seen", "last_heartbeat", "is_online")


def columns(update: DeviceUpdate) -> tuple[object, ...]:
    return tuple(getattr(update, name) for name in COLUMNS)


class SpoolMixin(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(disk_module, "SYNCHRONOUS", "OFF")  # nothing here depends on it but the tests that say so
        self.patch(disk_module, "LOCK_TIMEOUT", 0.01)
        self.patch(os, "fsync", lambda _descriptor: None)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "spool"
        self.second = self.folder / "spool.2"
        self.order = 0
        self.start()

    def start(self, owner: SpoolOwner = OWNER, disk: Disk | None = None) -> Looked:
        """As a process does."""
        self.spool = Spool(self.path, owner, disk)
        self.addCleanup(self.spool.close)
        self.looked = self.spool.look()
        return self.looked

    def restart(self, owner: SpoolOwner = OWNER) -> Looked:
        self.spool.close()
        return self.start(owner)

    def make(self, uuid: str, n: int = 0, **attributes: object) -> DeviceUpdate:
        """The next delivery, with a number to tell it by."""
        self.order += 1
        return update_of(uuid, self.order, n, **attributes)

    def save(self, *uuids: str) -> None:
        self.spool.save([self.make(uuid) for uuid in uuids])

    def read(self, devices: int = 1000, key: Callable[[str], str] = str) -> Chunk:
        chunk = self.spool.read(devices, LOTS, key)
        assert chunk is not None
        return chunk

    def names(self) -> list[str]:
        return [update.uuid for update in self.read().updates]

    def empty(self, key: Callable[[str], str] = str, devices: int = 1000) -> list[DeviceUpdate]:
        """Write all there is to a table that takes everything; returns it in the order of its writing."""
        written: list[DeviceUpdate] = []
        while (chunk := self.spool.read(devices, LOTS, key)) is not None:
            written += chunk.updates
            self.spool.written(chunk)
        self.assertEqual((self.spool.held, self.spool.is_empty), (Held(), True))
        return written

    def rows(self) -> dict[str, bytes | None]:
        """What the table holds after that."""
        return {update.uuid: update.document for update in self.empty()}

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name != "spool.lock")

    def change(self, *statements: str, path: Path | None = None, parameters: Sequence[object] = ()) -> None:
        """Let somebody else change a file that is closed."""
        self.spool.close()
        connection = opened(path or self.path)
        for statement in statements:
            connection.execute(statement, parameters)
        connection.close()
        if (path or self.path).exists():
            (path or self.path).chmod(0o600)


class SpoolTests(SpoolMixin):
    """What it does with updates."""

    def test_there_is_no_file_while_there_is_nothing_to_hold(self) -> None:
        self.assertEqual(self.files(), [])
        self.assertEqual(self.looked, Looked())
        self.assertIsNone(self.spool.read(1000, LOTS, str))
        self.assertTrue(self.spool.is_empty)

    def test_what_was_saved_is_read_in_its_order_by_the_next_process_too(self) -> None:
        updates = [
            self.make("b", kinds=DATA | STATUS, status="温\0", last_heartbeat=LATER),
            self.make("A", kinds=HEARTBEAT, document=None, is_online=False, last_heartbeat=LATER),
            self.make("c", kinds=0, document=None),
            self.make("d", kinds=STATUS, status="x" * 5000),  # the column may be that wide
        ]
        self.spool.save(updates)
        for _ in range(2):
            self.restart()
            self.assertEqual(self.looked.found, Held(4, 4))
            self.assertEqual([columns(each) for each in self.read().updates], [columns(each) for each in updates])
        self.assertEqual((self.looked.lost, self.looked.set_aside, self.looked.is_empty), (Held(), [], False))

    def test_a_newer_update_is_laid_over_an_older_one(self) -> None:
        self.spool.save([self.make("a", kinds=DATA | STATUS, status="on"), self.make("b")])
        superseded = self.spool.save(
            [
                self.make("a", kinds=HEARTBEAT, document=None, last_seen=LATER, last_heartbeat=LATER),
                self.make("a", 2, last_seen=LATER, is_online=False),
            ]
        )
        self.assertEqual((superseded, self.spool.held), (1, Held(2, 4)))
        [b, a] = self.read().updates
        self.assertEqual(b.uuid, "b")
        self.assertEqual(columns(a), ("a", DATA | STATUS | HEARTBEAT, b'{"n": 2}', "on", LATER, LATER, False))

    def test_whichever_comes_to_disk_later_the_newer_delivery_wins(self) -> None:
        older, newer = self.make("a", 1), self.make("a", 2)
        self.spool.save([newer])
        self.spool.save([older])
        self.assertEqual(self.rows(), {"a": b'{"n": 2}'})

    def test_it_does_not_change_what_it_is_given(self) -> None:
        self.spool.save([self.make("a", kinds=STATUS, status="on")])
        newer = self.make("a", document=None)
        before = repr(newer)
        self.spool.save([newer])
        self.assertEqual(repr(newer), before)

    def test_many_at_one_time_leave_what_they_do_one_after_the_other(self) -> None:
        """Of a device several may come at one time: what is in flight, and what is pending."""
        random = Random(5)
        kinds = (DATA, STATUS, HEARTBEAT, DATA | STATUS)
        updates = [
            self.make(
                f"d{random.randrange(150)}", number, kinds=random.choice(kinds), status=random.choice((None, "on"))
            )
            for number in range(600)
        ]
        before = [repr(update) for update in updates]
        seen = []
        for size in (1, 7, 300, 600):
            superseded = sum(self.spool.save(updates[at : at + size]) for at in range(0, len(updates), size))
            seen.append((superseded, self.spool.held, {each.uuid: columns(each) for each in self.read().updates}))
            self.empty()
        self.assertEqual(seen, seen[:1] * len(seen))
        self.assertEqual([repr(update) for update in updates], before)

    def test_they_are_read_in_the_order_in_which_they_came_and_what_was_merged_behind_the_others(self) -> None:
        """Two of their keys may be one device to the table, which is told the newer one last."""
        names = [f"{number:03}" for number in range(200, 0, -1)]
        again = ["007", "150", "007"]
        self.save("100", "050")
        self.save(*names, *again)
        expected = [name for name in names if name not in again] + ["150", "007"]
        self.assertEqual([update.uuid for update in self.read().updates], expected)

    def test_read_takes_no_more_than_it_is_asked_for(self) -> None:
        self.spool.save([self.make(f"d{number}", document=b'{"x": "%s"}' % (b"x" * 92)) for number in range(10)])
        for devices, size, expected in ((3, LOTS, 3), (1000, 250, 2), (1000, 1, 1)):
            chunk = self.spool.read(devices, size, str)
            assert chunk is not None
            self.assertEqual((len(chunk.updates), chunk.held), (expected, Held(expected, expected)))

    def test_what_is_written_is_not_read_again_but_by_the_next_process(self) -> None:
        self.save(*"abcd")
        self.spool.written(self.read(2))
        self.assertEqual((self.names(), self.spool.held), (["c", "d"], Held(2, 2)))
        self.restart()  # before the file could be deleted: the same states once more
        self.assertEqual(self.names(), list("abcd"))

    def test_with_all_written_the_file_is_gone(self) -> None:
        self.save(*"abc")
        self.spool.written(self.read(2))
        self.assertFalse(self.spool.is_empty)
        self.spool.written(self.read(2))
        self.assertEqual((self.files(), self.spool.is_empty), ([], True))
        self.save("d")
        self.assertEqual(self.names(), ["d"])

    def test_nobody_else_can_read_it(self) -> None:
        mask = os.umask(0)
        try:
            self.save("a")
        finally:
            os.umask(mask)
        self.assertEqual(self.files(), ["spool", "spool-journal"])
        for path in self.folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_each_commit_is_synced_and_a_journal_cannot_come_back(self) -> None:
        self.patch(disk_module, "SYNCHRONOUS", "FULL")
        self.save("a")
        self.spool.close()
        connection = Disk().connect(self.path)
        self.addCleanup(connection.close)
        names = ("synchronous", "journal_mode", "locking_mode", "trusted_schema")
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        self.assertEqual(settings, [2, "persist", "exclusive", 0])

    def test_names_that_somebody_invents_do_not_fill_the_disk(self) -> None:
        self.patch(disk_module, "MAX_BYTES", 400_000)
        with self.assertRaises(SpoolError):
            for number in range(100):
                self.save(*(f"{number}-{other}" for other in range(100)))
        self.assertLess(self.path.stat().st_size, 400_001)
        self.assertFalse(self.spool.look().is_saved)

    def test_a_folder_that_is_gone_is_an_error_and_no_more(self) -> None:
        self.path = self.folder / "gone" / "spool"
        self.assertEqual(self.start(), Looked())
        with self.assertRaisesRegex(SpoolError, "No such file"):
            self.save("a")
        self.assertFalse(self.spool.look().is_saved)

    def test_a_folder_that_may_not_be_entered_is_an_error_that_says_so(self) -> None:
        def fault(call: str) -> tuple[int, bool] | None:
            return (FORBIDDEN, False) if call == "find" else None

        self.spool.close()
        spool = Spool(self.path, OWNER, FaultyDisk(fault))
        for call in (spool.look, spool.is_changed, lambda: spool.save([self.make("a")])):
            with self.assertRaisesRegex(SpoolError, "Permission denied"):
                call()


class GenerationTests(SpoolMixin):
    """Two files in turn: one is filled while the other is emptied."""

    def test_while_the_first_is_emptied_the_second_is_filled(self) -> None:
        self.save(*"ab")
        self.assertEqual([update.uuid for update in self.read(1).updates], ["a"])
        self.spool.save([self.make("a", 9)])
        self.assertEqual(self.files(), ["spool", "spool-journal", "spool.2", "spool.2-journal"])
        self.assertEqual(self.spool.held, Held(3, 3))
        self.assertEqual([update.uuid for update in self.empty()], ["a", "b", "a"])
        self.assertEqual(self.files(), [])

    def test_the_next_process_empties_them_in_the_same_order_whatever_their_names(self) -> None:
        for number in range(1, 8):
            self.spool.save([self.make("a", number)])
            chunk = self.read()  # from now on the next file is filled
            if number % 2:
                continue
            self.assertEqual([update.document for update in chunk.updates], [b'{"n": %d}' % (number - 1)])
            self.spool.written(chunk)
        self.spool.save([self.make("a", 8)])
        self.assertEqual(self.files()[::2], ["spool", "spool.2"])
        self.restart()
        self.assertEqual([update.document for update in self.empty()], [b'{"n": 7}', b'{"n": 8}'])

    def test_a_file_of_a_process_before_is_not_filled_so_that_orders_of_two_lives_do_not_mix(self) -> None:
        self.spool.save([self.make("a", 1), self.make("a", 2)])
        self.restart()
        self.order = 0
        self.spool.save([self.make("a", 3)])
        self.assertIn("spool.2", self.files())
        self.assertEqual(self.rows(), {"a": b'{"n": 3}'})

    def test_with_both_from_before_the_newer_one_is_filled_and_what_comes_wins(self) -> None:
        self.order = 100
        self.spool.save([self.make("a", 1, kinds=DATA | STATUS, status="old")])
        self.read()
        self.spool.save([self.make("a", 2)])
        self.restart()
        self.order = 0
        self.spool.save([self.make("a", 3), self.make("b", 4)])
        self.assertEqual(self.looked.found, Held(2, 3))
        self.restart()  # what was added is in order for it, too
        self.assertEqual(self.rows(), {"a": b'{"n": 3}', "b": b'{"n": 4}'})

    def test_somebody_elses_names_are_made_up_for_until_none_is_left(self) -> None:
        self.save("a")
        self.read()
        for suffix in (".2", ".3"):
            self.path.with_name(f"spool{suffix}").mkdir()
        self.spool.look()
        self.save("b")
        self.assertIn("spool.4", self.files())
        self.restart()
        self.assertEqual([update.uuid for update in self.empty()], ["a", "b"])
        self.path.with_name("spool.4").mkdir()
        self.spool.look()
        self.save("a")
        self.read()
        with self.assertRaisesRegex(SpoolError, "no name is free"):
            self.save("b")
        self.assertEqual(len(self.spool.look().foreign), 3)
        self.assertEqual(self.names(), ["a"])

    def test_a_save_behind_the_last_chunk_does_not_go_with_the_file(self) -> None:
        self.save("a")
        chunk = self.read()
        self.save("a")
        self.spool.written(chunk)
        self.assertEqual((self.files(), self.names()), (["spool.2", "spool.2-journal"], ["a"]))


class PassedOverTests(SpoolMixin):
    """What could not be written is kept behind what came since."""

    @given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from("abc")), max_size=30))
    def test_no_device_moves_back_and_each_ends_with_its_newest(self, steps: list[tuple[str, str]]) -> None:
        self.spool.close()
        for path in self.folder.iterdir():
            path.unlink()
        self.start()
        self.order = n = 0
        newest: dict[str, int] = {}
        table: dict[str, int] = {}

        def write(*, passes: bool = False) -> None:
            if (chunk := self.spool.read(1, LOTS, str)) is None:
                return
            if passes:
                self.spool.save(chunk.updates, chunk)
                return
            for update in chunk.updates:
                written = int((update.document or b"")[6:-1])
                self.assertGreaterEqual(written, table.get(update.uuid, 0))
                table[update.uuid] = written
            self.spool.written(chunk)

        for step, device in steps:
            if step == "save":
                n += 1
                newest[device] = n
                self.spool.save([self.make(device, n)])
            elif step == "restart":
                self.restart()
                self.order = 0  # each process counts from the beginning
            else:
                write(passes=step == "pass")
            held = {device for device, number in newest.items() if table.get(device) != number}
            self.assertGreaterEqual(self.spool.held.devices, len(held))
        while not self.spool.is_empty:
            write()
        self.assertEqual(table, newest)
        self.assertEqual(self.spool.held, Held())

    def test_where_it_is_not_known_whether_it_was_kept_it_is_in_one_file_only(self) -> None:
        fault: tuple[int, bool] | None = None
        self.spool.close()
        self.start(disk=FaultyDisk(lambda call: fault if call == "commit" else None))
        for is_done in (False, True):
            self.save("a", "b")
            chunk = self.spool.read(1, LOTS, str)
            assert chunk is not None
            self.save("c")
            fault = (BROKEN, is_done)
            with self.assertRaises(SpoolError):
                self.spool.save(chunk.updates, chunk)
            fault = None
            looked = self.spool.look()
            self.assertFalse(looked.is_saved)
            self.assertEqual(looked.passed_over is chunk, is_done)
            self.assertEqual(self.spool.held, Held(3, 3))
            self.assertEqual(self.names(), ["b"] if is_done else ["a", "b"])
            while (rest := self.spool.read(1, LOTS, str)) is not None:
                self.spool.written(rest)
            self.assertEqual(self.spool.held, Held())


class SpellingTests(SpoolMixin):
    """What the table says later about who is who."""

    def test_spellings_of_one_device_are_merged_when_the_table_has_said_which_they_are(self) -> None:
        self.spool.save([self.make("Pump", 1, kinds=DATA | STATUS, status="on"), self.make("other", 2)])
        self.spool.save([self.make("PUMP", 3), self.make("pump", 4)])
        self.assertEqual(self.spool.held, Held(4, 5))
        chunk = self.read(key=str.lower)
        self.assertEqual(
            [columns(update)[:4] for update in chunk.updates],
            [("pump", DATA | STATUS, b'{"n": 4}', "on"), ("other", DATA, b'{"n": 2}', None)],
        )
        self.assertEqual(chunk.held, Held(4, 5))
        self.spool.written(chunk)
        self.assertEqual((self.files(), self.spool.held), ([], Held()))

    def test_they_are_told_apart_where_the_table_does(self) -> None:
        self.save("Pump", "pump")
        self.assertEqual(self.names(), ["Pump", "pump"])

    def test_merged_ones_count_with_the_chunk_that_they_are_in(self) -> None:
        self.save("a", "b", "A", "B", "c")
        first, rest = self.read(1, str.lower), None
        self.spool.written(first)
        self.assertEqual(self.spool.held, Held(3, 3))
        rest = self.read(1000, str.lower)
        self.assertEqual(([update.uuid for update in rest.updates], rest.held), (["B", "c"], Held(3, 3)))

    def test_a_file_whose_keys_fold_already_takes_no_memory_for_it(self) -> None:
        self.spool.save([self.make(f"Device-{number}", key=f"device-{number}") for number in range(50)])
        self.read(key=str.lower)
        [file] = self.spool.files
        self.assertEqual((file.reading._others, file.reading._merged), ({}, set()))

    def test_spellings_are_merged_in_any_order_of_reading(self) -> None:
        self.save("B", "a", "b", "c", "A")
        self.spool.with_emptied(lambda file: file.arrange(5, [5, 4, 3, 2, 1]), str.lower)
        chunks = []
        for _ in range(3):
            chunk = self.read(1, str.lower)
            chunks.append(([update.uuid for update in chunk.updates], chunk.held.devices))
            self.spool.written(chunk)
        self.assertEqual(chunks, [(["c"], 1), (["A"], 2), (["b"], 2)])
        self.assertTrue(self.spool.is_empty)

    def test_what_was_read_ahead_is_next_once_all_before_it_is_written(self) -> None:
        self.save("a", "b", "c", "d", "e")
        for arranged in ([], [3, 1, 2]):
            self.restart()
            self.spool.with_emptied(partial(SpoolFile.arrange, last=3 if arranged else 0, versions=arranged), str)
            first = self.read(1)
            second = self.spool.with_emptied(partial(SpoolFile.read, max_devices=2, max_bytes=LOTS, behind=first), str)
            assert second is not None
            self.assertEqual((first.is_next, second.is_next), (True, False))
            self.spool.written(first)
            self.assertEqual((first.is_next, second.is_next), (False, True))
            self.assertEqual([update.uuid for update in second.updates], ["a", "b"] if arranged else ["b", "c"])
            third = self.spool.with_emptied(partial(SpoolFile.read, max_devices=2, max_bytes=LOTS, behind=second), str)
            assert third is not None
            # Nobody knows yet in which order that is read.
            self.assertEqual([update.uuid for update in third.updates], [] if arranged else ["d", "e"])
            self.spool.written(second)
            self.assertEqual(third.is_next, not arranged)

    def test_a_key_that_folds_and_a_spelling_from_before_meet(self) -> None:
        self.spool.save([self.make("Pump", 1)])
        self.spool.save([self.make("PUMP", 2, key="pump")])
        self.assertEqual([update.document for update in self.empty(str.lower)], [b'{"n": 2}'])


class OldFormatTests(SpoolMixin):
    """What the release before left behind."""

    def make_old(self, written_to: int = 0) -> None:
        self.spool.close()
        make_old_file(
            self.path,
            [
                ("Pump-1", DATA | STATUS, b'{"t": 1}', "on", EARLIER, None, 1),
                ("b", HEARTBEAT, None, None, EARLIER, LATER, 0),
                ("c", DATA, b'{"t": 3}', None, LATER, None, 1),
            ],
            written_to,
        )

    def test_it_is_read_and_emptied(self) -> None:
        self.make_old()
        self.assertEqual(self.start().found, Held(3, 4))
        self.assertEqual(
            [columns(update) for update in self.empty(str.lower)],
            [
                ("Pump-1", DATA | STATUS, b'{"t": 1}', "on", EARLIER, None, True),
                ("b", HEARTBEAT, None, None, EARLIER, LATER, False),
                ("c", DATA, b'{"t": 3}', None, LATER, None, True),
            ],
        )
        self.assertEqual(self.files(), [])

    def test_what_was_written_of_it_is_not_written_again(self) -> None:
        self.make_old(written_to=2)
        self.assertEqual(self.start().found, Held(1, 1))
        self.assertEqual([update.uuid for update in self.empty()], ["c"])

    def test_written_whole_it_is_deleted(self) -> None:
        self.make_old(written_to=3)
        self.assertEqual(self.start(), Looked())
        self.assertEqual(self.files(), [])

    def test_what_comes_goes_to_a_file_of_the_new_format_behind_it(self) -> None:
        self.make_old()
        self.start()
        self.spool.save([self.make("c", 9)])
        self.assertEqual([update.uuid for update in self.empty()], ["Pump-1", "b", "c", "c"])

    def test_an_error_in_between_changes_nothing(self) -> None:
        self.make_old()
        self.start()
        self.spool.written(self.read(1))
        self.assertEqual(self.spool.look().found, Held())
        self.assertEqual((self.names(), self.spool.held), (["b", "c"], Held(2, 2)))

    def test_a_value_that_was_changed_is_noticed(self) -> None:
        self.make_old()
        self.change("UPDATE device_update SET document = CAST('{\"t\": 2}' AS BLOB) WHERE version = 1")
        self.start()
        self.assertEqual(len(self.looked.set_aside), 1)

    def test_a_process_of_the_release_before_that_still_runs_has_it(self) -> None:
        self.make_old()
        connection = opened(self.path)
        self.addCleanup(connection.close)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        with self.assertRaises(SpoolInUse):
            self.start()


class UnknownOutcomeTests(SpoolMixin):
    """A call that failed may have been done all the same: the next look tells."""

    def setUp(self) -> None:
        super().setUp()
        self.spool.close()
        self.failing: tuple[str, int, bool] | None = None
        self.start(disk=FaultyDisk(self.fault))

    def fault(self, call: str) -> tuple[int, bool] | None:
        if self.failing is None or self.failing[0] != call:
            return None
        return self.failing[1:]

    def break_call(self, call: str, number: int, *, is_done: bool) -> None:
        self.failing = (call, number, is_done)

    def save_fails(self, *updates: DeviceUpdate) -> None:
        with self.assertRaises(SpoolError):
            self.spool.save(updates)
        self.failing = None

    def test_a_save_that_took_effect_is_found_and_counted_once(self) -> None:
        self.spool.save([self.make("a", 1, kinds=DATA | STATUS)])
        self.break_call("commit", BROKEN, is_done=True)
        self.save_fails(self.make("a", 2), self.make("b", 3))
        looked = self.spool.look()
        self.assertEqual((looked.is_saved, looked.superseded, looked.found), (True, 1, Held()))
        self.assertEqual(self.spool.held, Held(2, 3))
        self.assertEqual(self.rows(), {"a": b'{"n": 2}', "b": b'{"n": 3}'})

    def test_a_save_that_did_not_is_told_so_and_may_come_again(self) -> None:
        self.save("a")
        for number in FAULTS:
            update = self.make("a", 2)
            self.break_call("commit", number, is_done=False)
            self.save_fails(update)
            looked = self.spool.look()
            self.assertEqual((looked.is_saved, looked.superseded, self.spool.held), (False, 0, Held(1, 1)))
        self.assertEqual(self.spool.save([update]), 1)
        self.assertEqual(self.rows(), {"a": b'{"n": 2}'})

    def test_any_call_of_the_first_save_may_fail_done_or_not(self) -> None:
        for call in ("lock", "find", "remove", "create", "connect", "commit", "sync_folder"):
            for is_done in (False, True):
                with self.subTest(call=call, is_done=is_done):
                    self.spool.close()
                    self.start(disk=FaultyDisk(self.fault))
                    update = self.make("a", 7)
                    if call == "lock":
                        self.spool.close()  # it is made at the first look
                    self.break_call(call, BROKEN, is_done=is_done)
                    self.save_fails(update)
                    looked = self.spool.look()
                    if not looked.is_saved:
                        self.assertEqual(self.spool.held, Held())
                        self.spool.save([update])
                    self.assertEqual(self.spool.held, Held(1, 1))
                    self.assertEqual(self.rows(), {"a": b'{"n": 7}'})
                    self.assertEqual(self.files(), [])

    def test_what_a_failed_save_left_is_written_once_more_before_it_counts(self) -> None:
        self.save("a")
        self.break_call("commit", BROKEN, is_done=True)
        self.save_fails(self.make("b"))
        self.break_call("commit", BROKEN, is_done=False)
        with self.assertRaises(SpoolError):
            self.spool.look()
        self.failing = None
        self.assertTrue(self.spool.look().is_saved)
        self.assertEqual(self.names(), ["a", "b"])

    def test_a_look_that_fails_behind_the_answer_gives_it_again(self) -> None:
        self.save("a")
        self.read()
        self.save("b")
        self.break_call("commit", BROKEN, is_done=True)
        self.save_fails(self.make("c"))
        self.second.rename(self.folder / "third")
        self.second.mkdir()  # so that the second is looked at in vain, once
        self.second.rmdir()
        (self.folder / "third").rename(self.second)
        self.assertTrue(self.spool.look().is_saved)
        self.assertEqual(self.spool.held, Held(3, 3))

    def test_a_file_that_cannot_be_deleted_holds_nothing_twice_and_goes_when_it_can(self) -> None:
        for call, is_done in (("remove", False), ("remove", True), ("sync_folder", False), ("sync_folder", True)):
            with self.subTest(call=call, is_done=is_done):
                self.save("a")
                chunk = self.read()
                self.break_call(call, READ_ONLY, is_done=is_done)
                with self.assertRaises(SpoolError):
                    self.spool.written(chunk)
                self.assertEqual(self.spool.held, Held())
                if call == "sync_folder":
                    with self.assertRaises(SpoolError):  # after a power cut it might be there again
                        self.spool.look()
                self.failing = None
                self.spool.look()
                self.assertEqual(self.empty(), [])
                self.assertFalse(self.path.exists())

    def test_an_empty_file_that_cannot_be_deleted_is_in_nobodys_way(self) -> None:
        self.path.touch(0o600)
        self.break_call("remove", READ_ONLY, is_done=False)
        self.assertTrue(self.spool.look().is_empty)
        self.save_fails(self.make("a"))
        self.assertTrue(self.spool.look().is_empty)
        self.save("a")
        self.assertEqual(self.names(), ["a"])

    def test_an_unexpected_end_of_a_look_leaves_no_file_locked(self) -> None:
        self.save("a")
        self.read()
        self.save("b")
        self.spool.close()
        self.patch(disk_module, "LOCK_TIMEOUT", 0.0)
        self.spool = Spool(self.path, OWNER, FaultyDisk(self.fault))
        self.addCleanup(self.spool.close)
        self.break_call("connect", BROKEN, is_done=False)
        with self.assertRaises(SpoolError):
            self.spool.look()
        self.failing = None
        self.assertEqual(self.spool.look().found, Held(2, 2))


class FullDiskTests(SpoolMixin):
    """A limit on the size of files stands for the full disk."""

    def setUp(self) -> None:
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
        self.hard = hard

    def limit(self, size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.hard))

    def test_a_save_that_does_not_fit_changes_nothing_and_emptying_goes_on(self) -> None:
        self.save(*(f"d{number}" for number in range(100)))
        self.limit(self.path.stat().st_size)
        with self.assertRaises(SpoolError):
            self.spool.save([self.make("d1"), self.make("b", document=b'"%s"' % (b"x" * 100_000))])
        self.assertFalse(self.spool.look().is_saved)
        self.assertEqual(self.spool.held, Held(100, 100))
        self.assertEqual(len(self.empty(devices=30)), 100)
        self.assertEqual(self.files(), [])

    def test_where_not_even_a_file_can_be_made_none_stays(self) -> None:
        self.limit(100)
        with self.assertRaises(SpoolError):
            self.save("a")
        self.limit(self.hard)
        self.assertEqual(self.spool.look(), Looked())
        self.assertEqual(self.files(), [])


class ExchangedTests(SpoolMixin):
    """The disk is mounted late, or another one in its place."""

    def setUp(self) -> None:
        super().setUp()
        self.spool.close()
        self.mount("first")
        self.path = self.folder / "mounted" / "spool"
        self.start()

    def mount(self, name: str) -> None:
        link = self.folder / "mounted"
        (self.folder / name).mkdir(exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(name)

    def test_a_file_that_turns_up_is_not_taken_for_a_place_to_save_to(self) -> None:
        self.save("a")
        self.spool.close()
        self.mount("second")
        self.start()
        self.mount("first")
        with self.assertRaises(SpoolError):  # before anybody has looked
            self.save("b")
        self.assertEqual(self.spool.look(is_late=True).found, Held(1, 1))
        self.save("b")
        self.assertEqual(self.spool.held, Held(2, 2))

    def test_a_file_that_turns_up_is_late_and_one_that_was_there_is_not(self) -> None:
        self.save("a")
        self.spool.close()
        self.mount("second")
        self.start()
        self.assertFalse(self.spool.is_changed())
        self.mount("first")
        self.assertTrue(self.spool.is_changed())
        self.assertEqual(self.spool.look(is_late=True).found, Held(1, 1))
        self.assertFalse(self.spool.is_changed())
        self.assertTrue(self.read().file.is_late)
        self.empty()
        self.save("b")
        self.assertFalse(self.read().file.is_late)
        self.spool.look(is_late=True)
        self.assertFalse(self.read().file.is_late)

    def test_it_is_late_to_the_next_process_too(self) -> None:
        self.save("a")
        self.spool.close()
        self.mount("second")
        self.start()
        self.mount("first")
        self.spool.look(is_late=True)
        self.restart()
        self.assertTrue(self.read().file.is_late)
        self.empty()
        self.save("a")
        self.restart()
        self.assertFalse(self.read().file.is_late)

    def test_one_that_was_left_alone_goes_over_nothing_that_came_later(self) -> None:
        """Somebody else may have written since, as where the service was moved to another host and is started here."""
        for seconds, is_late in ((0, False), (50, False), (70, True), (1e6, True), (-1e6, True)):
            self.save("a")
            os.utime(self.path, (time.time() - seconds,) * 2)
            self.restart()
            self.assertEqual(self.read().file.is_late, is_late, seconds)
            self.empty()

    def test_nothing_is_saved_to_a_file_that_is_hidden(self) -> None:
        self.save("a")
        self.mount("second")
        self.assertTrue(self.spool.is_changed())
        with self.assertRaises(SpoolError):
            self.save("b")
        looked = self.spool.look()
        self.assertEqual((looked.lost, looked.is_saved, looked.is_empty), (Held(1, 1), False, True))
        self.save("b")
        self.assertTrue((self.folder / "second" / "spool").exists())
        self.restart()
        self.assertEqual(self.names(), ["b"])

    def test_another_file_of_the_same_name_is_not_deleted_for_the_one_that_was_emptied(self) -> None:
        self.save("a")
        self.spool.close()
        self.mount("second")
        self.start()
        self.save("b")
        chunk = self.read()
        self.mount("first")
        self.assertTrue(self.spool.is_changed())
        with self.assertRaises(SpoolError):
            self.spool.written(chunk)
        looked = self.spool.look(is_late=True)
        self.assertEqual((looked.found, self.names()), (Held(1, 1), ["a"]))
        self.assertTrue((self.folder / "second" / "spool").exists())

    def test_the_lock_is_held_where_the_files_are(self) -> None:
        self.mount("second")
        self.save("a")
        with self.assertRaises(SpoolInUse):
            Spool(self.path, OWNER).look()


class LockTests(SpoolMixin):
    """One process at a time."""

    def test_a_second_process_gets_nothing_until_the_first_has_ended(self) -> None:
        other = Spool(self.path, OWNER)
        self.addCleanup(other.close)
        for _ in range(2):
            for call in (other.look, lambda: other.save([self.make("b")])):
                with self.assertRaisesRegex(SpoolInUse, "another process"):
                    call()
            self.save("a")
        self.spool.close()
        self.assertEqual(other.look().found, Held(1, 1))

    def test_a_process_that_is_killed_holds_nothing(self) -> None:
        program = (
            "import sys; from pathlib import Path; from aiot_mqtt.spool.spool import Spool\n"
            "from rig.spool_files import OWNER, update_of\n"
            "spool = Spool(Path(sys.argv[1]), OWNER); spool.look(); spool.save([update_of('a', 1, 1)])\n"
            "print('saved', flush=True); sys.stdin.read()"
        )
        self.spool.close()
        with subprocess.Popen(
            [sys.executable, "-c", program, self.path.absolute()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with self.assertRaises(SpoolInUse):
                self.start()
            process.kill()
        self.assertEqual(self.start().found, Held(1, 1))

    def test_where_no_lock_can_be_made_what_is_there_is_read_all_the_same(self) -> None:
        self.save("a")
        self.spool.close()
        (self.folder / "spool.lock").unlink()

        def fault(call: str) -> tuple[int, bool] | None:
            return (FULL, False) if call == "lock" else None

        self.start(disk=FaultyDisk(fault))
        with self.assertRaises(SpoolError):
            self.save("b")
        self.spool.look()
        self.assertEqual([update.uuid for update in self.empty()], ["a"])

    def test_a_file_by_the_locks_name_that_is_somebodys_is_not_written_to(self) -> None:
        self.save("a")
        self.spool.close()
        precious = self.folder / "precious"
        precious.write_text("precious")
        (self.folder / "spool.lock").unlink()
        os.link(precious, self.folder / "spool.lock")
        self.path.chmod(0o666)
        self.start()
        self.assertEqual((len(self.looked.foreign), precious.read_text()), (1, "precious"))


class OwnerTests(SpoolMixin):
    """Whose states a file holds."""

    OTHERS = (
        ("table", replace(OWNER, table="device_test")),
        ("database", replace(OWNER, database="other")),
        ("host", replace(OWNER, host="db.example")),
        ("port", replace(OWNER, port=3307)),
        ("topic_prefix", replace(OWNER, topic_prefix="factory/2")),
        ("time_zone", replace(OWNER, time_zone="UTC")),
    )

    def test_what_is_for_another_is_neither_written_nor_deleted_and_the_other_name_is_used(self) -> None:
        self.save("a")
        self.spool.close()
        before = self.path.read_bytes()
        for name, other in self.OTHERS:
            self.start(other)
            [(path, reason)] = self.looked.foreign
            self.assertEqual((path, self.looked.is_empty, self.looked.found), (self.path, True, Held()))
            self.assertIn(name, reason)
            self.save("b")
            self.assertIn("spool.2", self.files())
            self.assertEqual([update.uuid for update in self.empty()], ["b"])
            self.assertFalse(self.spool.is_changed())
            self.spool.close()
            self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual(self.start().found, Held(1, 1))
        self.assertEqual(self.names(), ["a"])

    def test_with_the_settings_set_back_it_goes_over_nothing_that_came_later(self) -> None:
        self.save("a")
        self.restart(replace(OWNER, host="localhost"))  # the same server, by another name
        self.restart()
        self.assertTrue(self.read().file.is_late)

    def test_a_topic_prefix_more_changes_nothing_about_what_waits(self) -> None:
        self.save("a")
        self.assertEqual(self.restart(replace(OWNER, topic_prefix="x,devices")).found, Held(1, 1))
        self.assertFalse(self.read().file.is_late)

    def test_with_a_topic_prefix_less_it_goes_over_nothing_that_came_later(self) -> None:
        # Another instance may have that prefix by now, and its rows hold what is newer.
        self.restart(replace(OWNER, topic_prefix="devices,x"))
        self.save("a")
        for fewer in ("devices", "x", "x,y"):
            self.assertEqual(self.restart(replace(OWNER, topic_prefix=fewer)).found, Held(1, 1))
            self.assertTrue(self.read().file.is_late, fewer)
        self.restart(replace(OWNER, topic_prefix="y"))
        self.assertEqual((len(self.looked.foreign), self.looked.found), (1, Held()))

    def test_a_file_that_is_not_foreign_any_more_is_noticed_when_it_goes(self) -> None:
        self.save("a")
        self.restart(replace(OWNER, table="other"))
        self.path.unlink()
        self.assertTrue(self.spool.is_changed())
        self.assertEqual(self.spool.look().foreign, [])

    def test_a_file_of_ones_own_is_noticed_in_the_place_of_a_foreign_one(self) -> None:
        self.save("a")
        self.spool.close()
        own = self.path.read_bytes()
        for make in (lambda: self.path.write_bytes(own), lambda: self.path.with_name("new").rename(self.path)):
            self.restart(replace(OWNER, table="other"))
            self.assertEqual([path for path, _ in self.looked.foreign], [self.path])
            self.assertFalse(self.spool.is_changed())
            self.path.with_name("new").write_bytes(own)
            make()
            self.assertTrue(self.spool.is_changed())
            self.spool.look(is_late=True)
            self.assertFalse(self.spool.is_changed())

    def test_a_file_whose_rights_were_set_right_is_noticed(self) -> None:
        self.save("a")
        self.spool.close()
        self.path.chmod(0o666)
        self.assertIn("others may write", self.start().foreign[0][1])
        self.path.chmod(0o600)
        self.assertTrue(self.spool.is_changed())
        self.assertEqual(self.spool.look(is_late=True).found, Held(1, 1))

    def test_a_long_prefix_of_topics_is_no_other(self) -> None:
        owner = replace(OWNER, topic_prefix="厂" * 20_000)
        self.restart(owner)
        self.save("a")
        self.assertEqual(self.restart(owner).found, Held(1, 1))

    def test_an_owner_that_cannot_be_read_is_another(self) -> None:
        self.save("a")
        for theirs in ("", "null", "[1]", '[["a"]]', "[" * 100_000, b"\xff", 7, '{"host": "%s"}' % ("x" * 300_000)):
            self.change("UPDATE spool SET owner = ?", parameters=[theirs])
            self.start()
            self.assertEqual([path for path, _ in self.looked.foreign], [self.path], theirs)
            self.assertLess(len(self.looked.foreign[0][1]), 1000)


class DamageTests(SpoolMixin):
    """A file that is not what was written is set aside, and followed by one that works."""

    def damage(self, write: bytes, at: int) -> None:
        self.spool.close()
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(write)

    def assert_set_aside(self, looked: Looked) -> Path:
        [(path, aside, reason)] = looked.set_aside
        self.assertEqual((path, looked.found, looked.foreign), (self.path, Held(), []))
        self.assertTrue(aside.name.startswith("spool.damaged-"))
        self.assertTrue(aside.exists())
        self.assertNotIn("\n", reason)
        self.assertLess(len(reason), 300)
        return aside

    def test_it_is_set_aside_under_another_name_as_it_was(self) -> None:
        for number in range(3):  # in one second too
            self.path.write_bytes(b"this is no database %d" % number * 100)
            self.path.chmod(0o600)
            aside = self.assert_set_aside(self.restart())
            self.assertTrue(aside.read_bytes().startswith(b"this is no database %d" % number))
            self.save("a")
            self.assertEqual(self.names(), ["a"])
            self.empty()
        self.assertEqual(len(self.files()), 3)

    def test_any_byte_of_it_that_changed_is_noticed_or_changes_nothing(self) -> None:
        self.spool.save([self.make(f"d{number}", number, last_heartbeat=LATER) for number in range(60)])
        expected = [columns(update) for update in self.read().updates]
        self.spool.close()
        data = self.path.read_bytes()
        for seed in range(rounds(150)):
            random = Random(seed)
            changed = bytearray(data)
            for _ in range(random.choice([1, 1, 20])):
                changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
            self.path.write_bytes(changed)
            self.start()
            if not self.looked.set_aside and not self.looked.foreign:
                self.assertEqual([columns(update) for update in self.empty()], expected, f"seed {seed}")
            self.spool.close()
            for path in self.folder.iterdir():
                path.unlink()

    def test_a_file_that_was_cut_anywhere_is_noticed(self) -> None:
        self.save(*(f"d{number}" for number in range(200)))
        self.spool.close()
        data = self.path.read_bytes()
        for length in (1, 16, 99, 100, 512, 4096, 8192, 9000, len(data) - 4096, len(data) - 1):
            self.path.write_bytes(data[:length])
            self.assert_set_aside(self.start())
            self.spool.close()

    def test_an_empty_file_is_a_new_one(self) -> None:
        for make in (self.path.touch, lambda: self.change("PRAGMA page_size=512", "VACUUM")):
            make()
            self.path.chmod(0o600)
            self.assertEqual(self.restart(), Looked())
            self.assertEqual(self.files(), [])

    def test_damage_while_a_chunk_is_on_its_way_is_counted_once_and_the_next_file_is_not_marked(self) -> None:
        self.save(*"abc")
        chunk = self.read(2)
        self.path.write_bytes(b"damaged" * 1000)
        looked = self.spool.look()
        self.assert_set_aside(looked)
        self.assertEqual((looked.lost, self.spool.held), (Held(3, 3), Held()))
        self.save(*"xyz")
        self.spool.written(chunk)
        self.assertFalse(chunk.file.is_open)
        self.assertEqual((self.spool.held, self.names()), (Held(3, 3), list("xyz")))

    def test_damage_is_found_by_reading_and_by_saving(self) -> None:
        for call in (self.read, lambda: self.save(*(f"d{number}" for number in range(100)))):
            self.save(*(f"d{number}" for number in range(100)))
            connection = self.spool.files[0]._connection
            assert connection is not None
            connection.execute("UPDATE device_update SET last_seen = ?", [LATER])  # as bits that flip
            with self.assertRaisesRegex(SpoolError, "not what was written"):
                call()
            looked = self.spool.look()
            self.assert_set_aside(looked)
            self.assertEqual(looked.lost, Held(100, 100))

    def test_one_that_is_damaged_costs_the_other_nothing(self) -> None:
        self.save("a")
        self.read()
        self.save("b")
        self.damage(b"damaged" * 1000, 0)
        self.assertEqual(len(self.start().set_aside), 1)
        self.assertEqual((self.looked.found, self.names()), (Held(1, 1), ["b"]))

    def test_it_is_told_though_the_look_fails_behind_it(self) -> None:
        self.save("a")
        self.read()
        self.save("b")
        self.damage(b"damaged" * 1000, 0)
        is_broken = True

        def fault(call: str) -> tuple[int, bool] | None:
            return (BROKEN, False) if call == "connect" and is_broken else None

        self.spool = Spool(self.path, OWNER, FaultyDisk(fault))
        self.addCleanup(self.spool.close)
        with self.assertRaises(SpoolError):
            self.spool.look()
        is_broken = False
        self.assertEqual(len(self.spool.look().set_aside), 1)
        self.assertEqual(self.spool.look().set_aside, [])

    def test_what_the_disk_does_not_give_is_no_damage(self) -> None:
        """SQLite calls it malformed all the same."""
        self.save("a")
        self.spool.close()
        check, failing = SpoolFile.check_pages, [True]

        def check_pages(file: SpoolFile) -> None:
            if failing:
                failing.pop()
                raise SpoolDamaged("database disk image is malformed")
            check(file)

        self.patch(SpoolFile, "check_pages", check_pages)
        self.assertEqual(self.start().found, Held(1, 1))
        self.spool.close()

        def read_through(disk: Disk, path: Path) -> None:
            raise OSError(BROKEN, "Input/output error", str(path))

        self.patch(Disk, "read_through", read_through)
        failing.append(True)
        with self.assertRaisesRegex(SpoolError, "Input/output error"):
            self.start()
        self.assertIn("spool", self.files())

    def test_one_that_cannot_be_renamed_is_not_passed_over(self) -> None:
        self.path.write_bytes(b"damaged" * 1000)
        self.path.chmod(0o600)
        self.spool.close()

        def fault(call: str) -> tuple[int, bool] | None:
            return (READ_ONLY, False) if call == "rename" else None

        with self.assertRaisesRegex(SpoolError, os.strerror(errno.EROFS)):
            self.start(disk=FaultyDisk(fault))
        self.assertEqual(self.files(), ["spool"])


class HostileTests(SpoolMixin):
    """A file that somebody planted: nothing in it is believed, and nothing of it holds anything up."""

    def setUp(self) -> None:
        super().setUp()
        self.spool.save(
            [
                self.make("a", 1, kinds=DATA | STATUS, status="on", last_heartbeat=LATER),
                self.make("b", 2, last_heartbeat=LATER),
            ]
        )
        self.spool.close()
        self.data = self.path.read_bytes()

    def plant(self, *statements: str, parameters: Sequence[object] = (), is_sealed: bool = True) -> Looked:
        """A file that was changed by who knows how to; what comes of it."""
        self.spool.close()
        for path in self.folder.iterdir():
            path.unlink()
        self.path.write_bytes(self.data)
        self.change("PRAGMA ignore_check_constraints=ON", "PRAGMA writable_schema=ON")
        connection = opened(self.path)
        connection.execute("PRAGMA writable_schema=ON")
        for statement in statements:
            connection.execute(statement, parameters)
        if is_sealed:
            seal(connection)
        connection.close()
        self.path.chmod(0o600)
        return self.start()

    def assert_works(self) -> None:
        """Whatever was there, what comes is saved and written."""
        self.save("z")
        self.assertEqual(self.empty()[-1].uuid, "z")

    def test_sealing_alone_is_not_noticed_or_these_tests_would_prove_nothing(self) -> None:
        self.assertEqual(self.plant("UPDATE device_update SET uuid = 'c' WHERE uuid = 'b'").found, Held(2, 3))
        self.assertEqual(self.names(), ["a", "c"])

    def test_values_of_another_type_alphabet_form_or_size(self) -> None:
        texts = ("", "a' OR 1=1 -- ", "a\\", "a\0", "ä", "a" * 37, "a/b", "\u202e", "a\n")
        times = (
            *("", "2026-11-23", "2026-11-23T10:00:00", "2026-13-01 00:00:00", "2026-02-30 10:00:00", "now()"),
            *("2026-11-23 10:00:60", "2026-11-23 24:00:00", "٢٠٢٦-11-23 10:00:00", "0000-00-00 00:00:00"),
            *("0999-01-01 00:00:00", "2026-11-23 10:00:00' OR '1", "2026-11-23 10:00:00.5", " 2026-11-23 10:00:00"),
        )
        numbers = (-1, 2**53 + 1, 2**63 - 1, -(2**63), 1.5, "1", "x", b"1")
        documents = (b"", b"[]", b"1", b"{", b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"a":' * 32 + b"1" + b"}" * 32)
        wrong: dict[str, tuple[object, ...]] = {
            "device": (*texts, b"a"),
            "uuid": (*texts, b"a"),
            "kinds": (*numbers, 8),
            "document": (*documents, "{}", 1, 1.5, ""),
            "status": ("", b"on"),
            "last_seen": (*times, b"2026-11-23 10:00:00", 1, 1.5),
            "last_heartbeat": (*times, b"2026-11-23 10:00:00", 1, 1.5),
            "is_online": (*numbers, 2),
            **dict.fromkeys(("seen_order", "document_order", "status_order", "heartbeat_order"), numbers),
        }
        self.assertEqual(set(wrong), set(rows.NAMES))
        for name, values in wrong.items():
            for value in values:
                # SQLite would make "1" a number in a column of numbers.
                looked = self.plant(
                    "UPDATE sqlite_master SET sql = replace(sql, 'INTEGER NOT NULL', 'BLOB NOT NULL')",
                    is_sealed=False,
                )
                self.assertEqual(len(looked.foreign), 1)
                self.spool.close()
                self.force(name, value)
                looked = self.start()
                if value == "1":  # which it reads as what it stands for
                    self.assertEqual(looked.set_aside + looked.foreign, [])
                    continue
                self.assertEqual(len(looked.set_aside), 1, (name, value))
                self.assertEqual(looked.found, Held(), (name, value))

    def force(self, name: str, value: object) -> None:
        """Put a value in a row, whatever type the column has."""
        for path in self.folder.iterdir():
            path.unlink()
        self.path.write_bytes(self.data)
        connection = opened(self.path)
        connection.execute(f"UPDATE device_update SET {name} = ? WHERE uuid = 'b'", (value,))
        seal(connection)
        connection.close()
        self.path.chmod(0o600)

    def test_texts_that_are_no_utf_8(self) -> None:
        for name in ("device", "uuid", "status", "last_seen", "last_heartbeat"):
            looked = self.plant(
                f"UPDATE device_update SET {name} = CAST(X'61FF' AS TEXT) WHERE uuid = 'b'",
                is_sealed=False,
            )
            self.assertEqual(len(looked.set_aside), 1, name)
            self.spool.close()

    def test_a_value_that_is_larger_than_anything_this_service_writes(self) -> None:
        self.patch(disk_module, "MAX_VALUE", 100_000)
        looked = self.plant(
            "UPDATE device_update SET document = CAST('{\"a\": \"' || hex(zeroblob(100000)) || '\"}' AS BLOB)"
        )
        self.assertEqual(len(looked.set_aside), 1)
        self.assert_works()

    if sys.version_info < (3, 11):
        test_a_value_that_is_larger_than_anything_this_service_writes.skip = (  # type: ignore[attr-defined]
            "sqlite3 cannot be told a limit before Python 3.11"
        )

    def test_numbers_of_the_file_that_it_cannot_have(self) -> None:
        for name in ("generation", "saves", "devices", "deliveries"):
            for value in (-1, 2**53, 2**63 - 1, 1.5, b"1", "x"):
                looked = self.plant(f"UPDATE spool SET {name} = ?", parameters=[value], is_sealed=False)
                self.assertEqual(len(looked.set_aside), 1, (name, value))
        for statement in ("DELETE FROM spool", "INSERT INTO spool SELECT * FROM spool"):
            self.assertEqual(len(self.plant(statement, is_sealed=False).set_aside), 1, statement)

    def test_the_largest_numbers_that_it_may_have_cost_nothing_that_comes(self) -> None:
        orders = ", ".join(f"{name} = {2**53}" for name in rows.NAMES[8:])
        self.plant(
            f"UPDATE spool SET saves = {2**53 - 1}, generation = {2**53 - 2}",
            f"UPDATE device_update SET {orders} WHERE uuid = 'b'",
        )
        self.assertEqual(self.looked.found, Held(2, 3))
        self.spool.save([self.make("b", 7)])
        self.assertEqual(self.restart().found, Held(3, 4))
        self.spool.save([self.make("b", 8)])  # to the one that is ours
        self.assertEqual(self.restart().found, Held(3, 4))
        self.read()
        self.spool.written(self.read())
        with self.assertRaisesRegex(SpoolError, "no file can come behind"):
            self.read()
            self.save("c")
        self.spool.look()
        self.assertEqual([update.document for update in self.empty()], [b'{"n": 8}'])
        self.assert_works()

    def test_a_file_that_nothing_fits_behind_is_not_filled(self) -> None:
        for statement in (
            f"UPDATE spool SET saves = {2**53 - 1}",
            f"UPDATE device_update SET status_order = {2**53} WHERE uuid = 'a'",
        ):
            self.plant(statement)
            others = [self.folder / f"spool.{number}" for number in (2, 3, 4)]
            for other in others:
                other.mkdir()
            self.spool.look()
            with self.assertRaisesRegex(SpoolError, "no name is free"):
                self.save("c")
            self.spool.look()
            self.assertEqual(len(self.empty()), 2)
            for other in others:
                other.rmdir()

    def test_two_files_of_one_generation(self) -> None:
        self.plant()
        self.spool.close()
        self.second.write_bytes(self.path.read_bytes())
        self.second.chmod(0o600)
        self.assertEqual(self.start().found, Held(4, 6))
        self.save("z")
        self.assertEqual(len(self.empty()), 5)

    def test_rows_of_one_device_under_two_keys_are_one_row(self) -> None:
        self.plant("UPDATE device_update SET uuid = 'a'")
        self.assertEqual([update.document for update in self.empty()], [b'{"n": 2}'])

    def test_versions_below_zero_are_never_read_and_counted_nowhere(self) -> None:
        looked = self.plant("UPDATE device_update SET version = -1 WHERE uuid = 'b'")
        self.assertEqual(len(looked.set_aside), 1)

    def test_tables_views_triggers_and_indexes_that_do_not_belong_there(self) -> None:
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n"
        for statements in (
            ["CREATE TABLE more (a)"],
            ["CREATE VIEW more AS SELECT 1"],
            ["CREATE INDEX more ON device_update (uuid)"],
            ["CREATE TRIGGER more AFTER UPDATE ON spool BEGIN DELETE FROM device_update; END"],
            ["ALTER TABLE device_update ADD COLUMN more"],
            ["ALTER TABLE spool ADD COLUMN more"],
            ["DROP TABLE spool", f"CREATE VIEW spool AS {endless}"],
            ["DROP TABLE device_update", f"CREATE VIEW device_update AS {endless}"],
            ["DROP TABLE device_update", "CREATE TABLE device_update (version, checksum)"],
            ["ANALYZE"],
        ):
            looked = self.plant(*statements, is_sealed=False)
            self.assertEqual([path for path, _ in looked.foreign], [self.path], statements)
            self.assertIn("tables", looked.foreign[0][1])
            self.assert_works()
            self.assertTrue(self.path.exists())

    def test_a_schema_that_lies(self) -> None:
        for statement in (
            "UPDATE sqlite_master SET rootpage = 2 WHERE name = 'spool'",
            "UPDATE sqlite_master SET rootpage = 999 WHERE name = 'device_update'",
            "UPDATE sqlite_master SET sql = 'nonsense' WHERE name = 'spool'",
            "DELETE FROM sqlite_master WHERE name = 'sqlite_autoindex_device_update_1'",
        ):
            looked = self.plant(statement, is_sealed=False)
            self.assertEqual((len(looked.foreign) + len(looked.set_aside), looked.found), (1, Held()), statement)
            self.assert_works()

    def test_a_newer_format_is_left_alone_and_not_called_damaged(self) -> None:
        for number in (3, 99, 0, -1):
            looked = self.plant(f"PRAGMA user_version={number}", is_sealed=False)
            self.assertIn("version", looked.foreign[0][1], number)
            self.assert_works()

    def test_another_programs_database_is_left_alone(self) -> None:
        for statements in (
            [f"PRAGMA application_id={0x12345678}"],
            ["PRAGMA application_id=0"],
            ["PRAGMA journal_mode=WAL"],
        ):
            looked = self.plant(*statements, is_sealed=False)
            self.assertIn("another program", looked.foreign[0][1], statements)
            before = self.path.read_bytes()
            self.assert_works()
            self.assertEqual(self.path.read_bytes(), before)

    def test_a_header_of_a_log_that_is_written_ahead(self) -> None:
        for at in (18, 19):
            self.plant()
            self.spool.close()
            with self.path.open("r+b") as file:
                file.seek(at)
                file.write(b"\2")
            self.assertEqual(len(self.start().foreign), 1)

    def test_what_lies_beside_it_is_neither_read_nor_deleted(self) -> None:
        precious = self.folder / "precious"
        for suffix in ("-journal", "-wal", "-shm"):
            for make in (
                lambda path: path.symlink_to(precious),
                lambda path: os.link(precious, path),
                os.mkfifo,
                lambda path: (path.write_bytes(b"theirs"), path.chmod(0o666)),
            ):
                self.plant()
                self.spool.close()
                precious.write_text("precious")
                beside = self.path.with_name(self.path.name + suffix)
                beside.unlink(missing_ok=True)
                make(beside)
                looked = self.start()
                self.assertIn(suffix, looked.foreign[0][1])
                self.assertTrue(beside.is_symlink() or beside.exists())
                self.assertEqual(precious.read_text(), "precious")

    def test_a_file_that_is_none(self) -> None:
        precious = self.folder / "precious"

        def link() -> None:
            precious.write_bytes(self.data)
            precious.chmod(0o600)
            self.path.symlink_to(precious)

        def hard_link() -> None:
            precious.write_bytes(self.data)
            precious.chmod(0o600)
            os.link(precious, self.path)

        for make, reason in (
            (link, "symbolic link"),
            (hard_link, "hard links"),
            (lambda: self.path.symlink_to("nowhere"), "symbolic link"),
            (self.path.mkdir, "not a file"),
            (lambda: os.mkfifo(self.path), "not a file"),
        ):
            self.spool.close()
            for path in self.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink()
            make()
            looked = self.start()
            self.assertIn(reason, looked.foreign[0][1])
            self.assert_works()
            if precious.exists():
                self.assertEqual(precious.read_bytes(), self.data)

    def test_a_file_that_others_may_write_or_own(self) -> None:
        for mode in (0o620, 0o602, 0o666):
            self.plant()
            self.spool.close()
            self.path.chmod(mode)
            self.assertIn("others may write", self.start().foreign[0][1])
        self.plant()
        self.spool.close()
        self.patch(os, "geteuid", lambda: os.getuid() + 1)
        self.assertIn("belongs to user", self.start().foreign[0][1])

    def test_a_file_that_is_far_too_large(self) -> None:
        self.plant()
        self.spool.close()
        os.truncate(self.path, 2 * disk_module.MAX_BYTES + 1)  # which takes no room
        self.assertIn("bytes", self.start().foreign[0][1])
        self.assert_works()

    def test_random_files(self) -> None:
        for seed in range(rounds(60)):
            random = Random(seed)
            self.spool.close()
            for path in self.folder.iterdir():
                path.unlink()
            begin = random.choice([b"", b"SQLite format 3\0", self.data[:100]])
            self.path.write_bytes(begin + random.randbytes(random.choice([0, 10, 500, 20_000])))
            self.path.chmod(0o600)
            self.start()
            self.assertEqual(self.looked.found, Held(), f"seed {seed}")
            self.assert_works()

    def test_rows_changed_at_random_by_who_can_seal_them_never_get_through_in_another_form(self) -> None:
        """The same by chance: whatever is believed could have been written by this service."""
        texts = ["", "a", "B-7", "it's", "☃", EARLIER, LATER]
        pieces: list[object] = [None, 0, 1, -5, 2**40, 2.5, b"", b"{}", b"x", *texts]
        for seed in range(rounds(200)):
            random = Random(seed)
            name = random.choice(rows.NAMES)
            self.spool.close()
            try:
                self.force(name, random.choice(pieces))
            except sqlite3.IntegrityError:  # NOT NULL, UNIQUE
                continue
            if not self.start().set_aside:
                for update in self.empty():
                    self.assertRegex(update.uuid, r"\A[A-Za-z0-9._:-]{1,36}\Z")
                    self.assertRegex(update.last_seen, r"\A2026-11-23 10:00:0[01]\Z")
                    self.assertIn(update.last_heartbeat, (None, EARLIER, LATER))
                    self.assertNotEqual(update.status, "")
                    self.assertIsInstance(update.is_online, bool)


class InterruptedTests(SpoolMixin):
    """A process that ends in the middle of a call."""

    def kill_in(self, call: str, number: int, work: str) -> None:
        """At the n-th time that it is about to make this call of the disk."""
        program = (
            "import os, sys; from pathlib import Path; from aiot_mqtt.spool.spool import Spool\n"
            "from rig.faulty_disk import FaultyDisk; from rig.spool_files import OWNER, update_of\n"
            f"def fault(name):\n    if disk.calls.count({call!r}) == {number}: os.kill(os.getpid(), 9)\n"
            "disk = FaultyDisk(fault); spool = Spool(Path(sys.argv[1]), OWNER, disk)\n"
            "spool.look(); disk.calls.clear()\n"
            f"{work}"
        )
        self.spool.close()
        ended = subprocess.run([sys.executable, "-c", program, self.path.absolute()], cwd=ROOT, check=False)
        self.assertEqual(ended.returncode, -9)
        self.start()
        self.assertEqual(self.looked.set_aside + self.looked.foreign, [])

    def test_a_save_is_whole_or_not_at_all(self) -> None:
        for call, number in (("create", 1), ("connect", 1), ("commit", 1), ("commit", 2)):
            self.kill_in(call, number, "spool.save([update_of(str(each), each) for each in range(1000)])")
            self.assertEqual((self.looked, self.files()), (Looked(), []))
        self.kill_in("sync_folder", 1, "spool.save([update_of(str(each), each) for each in range(1000)])")
        self.assertEqual(self.looked.found, Held(1000, 1000))

    def test_a_deletion_is_begun_again(self) -> None:
        self.save(*"abc")
        for call, number, left in (("remove", 1, 3), ("sync_folder", 1, 0)):
            self.kill_in(call, number, "spool.written(spool.read(1000, 1000, str))")
            self.assertEqual(self.looked.found, Held(left, left))


class OpenFilesTests(SpoolMixin):
    def test_nothing_stays_open(self) -> None:
        """A file is opened with each outage, and one descriptor each would be the end some day."""
        before = self.open_files()
        for _ in range(20):
            self.save("a")
            self.read()
            self.save("b")
            self.spool.look()
            self.empty()
            self.path.write_bytes(b"damaged" * 100)
            self.path.chmod(0o600)
            self.second.mkdir(exist_ok=True)
            self.spool.look()
            self.second.rmdir()
            self.spool.look()
        self.assertEqual(self.open_files(), before)

    def open_files(self) -> list[str]:
        """Of this process those in the spool's folder, or that were there; others come and go as they like."""
        found = []
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # what lists the folder is in it, too
                found.append(str(each.readlink()))
        return sorted(each for each in found if each.startswith(str(self.folder.resolve())))
