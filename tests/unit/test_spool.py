"""The spool: a real file, one call after the other, and everything that may happen to a file."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.spool import file as spool_module
from aiot_mqtt.spool.file import Opened, Spool, SpoolDamaged, SpoolError
from tests.store_contract import EARLIER, LATER, make_update

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS = ("uuid", "kinds", "document", "status", "last_seen", "last_heartbeat", "is_online")
LOTS = 1 << 30  # bytes


def columns(update: DeviceUpdate) -> tuple[object, ...]:
    return tuple(getattr(update, name) for name in COLUMNS)


class SpoolMixin(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "spool"
        self.spool = self.open()

    def open(self) -> Spool:
        spool = Spool(self.path)
        self.addCleanup(spool.close)
        self.opened = spool.open()
        return spool

    def reopen(self) -> Spool:
        """As the next process does, after this one was killed."""
        self.spool.close()
        self.spool = self.open()
        return self.spool

    def save(self, *updates: DeviceUpdate) -> list[DeviceUpdate]:
        for update, version in zip(updates, self.spool.save(updates).versions, strict=True):
            update.spool_version = version
        return list(updates)

    def read(self, most: int = 1000) -> list[DeviceUpdate]:
        return self.spool.read(most, LOTS)

    def names(self) -> list[str]:
        return [update.uuid for update in self.read()]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


class SpoolTests(SpoolMixin):
    """What it does with updates."""

    def test_there_is_no_file_while_there_is_nothing_to_hold(self) -> None:
        self.assertEqual(self.files(), [])
        self.assertEqual(self.opened, Opened(0, 0, None))
        self.assertEqual(self.read(), [])
        self.spool.forget_written()
        self.assertEqual(self.files(), [])

    def test_what_was_saved_is_read_in_its_order_by_the_next_process_too(self) -> None:
        updates = [
            make_update("b", kinds=DATA | STATUS, status="温", last_heartbeat=LATER),
            make_update("A", kinds=HEARTBEAT, document=None, is_online=False),
        ]
        self.save(*updates)
        for _ in range(2):
            self.assertEqual([columns(update) for update in self.read()], [columns(update) for update in updates])
            self.reopen()
        self.assertEqual(self.opened, Opened(2, 3, None))

    def test_a_newer_update_is_laid_over_an_older_one(self) -> None:
        self.save(make_update("a", kinds=DATA | STATUS, status="on"), make_update("b"))
        saved = self.spool.save(
            [
                make_update("A", kinds=HEARTBEAT, document=None, last_seen=LATER, last_heartbeat=LATER),
                make_update("a", kinds=DATA, document=b'{"t": 2}', last_seen=LATER, is_online=False),
            ]
        )
        self.assertEqual((saved.superseded, saved.devices), (1, 0))
        [b, a] = self.read()
        self.assertEqual(b.uuid, "b")
        self.assertEqual(columns(a), ("a", DATA | STATUS | HEARTBEAT, b'{"t": 2}', "on", LATER, LATER, False))

    def test_it_does_not_change_what_it_is_given(self) -> None:
        self.save(make_update("a", kinds=STATUS, status="on"))
        newer = make_update("a", document=None)
        self.spool.save([newer])
        self.assertEqual(columns(newer), columns(make_update("a", document=None)))

    def test_read_takes_no_more_than_it_is_asked_for(self) -> None:
        self.save(*(make_update(f"d{number}", document=b"x" * 100) for number in range(10)))
        self.assertEqual(len(self.spool.read(3, LOTS)), 3)
        self.assertEqual(len(self.spool.read(1000, 250)), 2)
        self.assertEqual(len(self.spool.read(1000, 1)), 1)

    def test_what_is_written_is_not_read_again_and_forgotten_for_good(self) -> None:
        self.save(*(make_update(name) for name in "abcd"))
        first = self.spool.read(2, LOTS)
        self.assertEqual(self.spool.written(first), {update.spool_version for update in first})
        self.assertEqual(self.names(), ["c", "d"])
        self.reopen()
        # The process ended before it could be forgotten: the same states once more.
        self.assertEqual(self.names(), ["a", "b", "c", "d"])
        self.spool.written(self.spool.read(2, LOTS))
        self.spool.forget_written()
        self.reopen()
        self.assertEqual(self.names(), ["c", "d"])
        self.assertEqual(self.opened, Opened(2, 2, None))

    def test_with_all_written_the_file_is_gone(self) -> None:
        self.save(make_update("a"), make_update("b"))
        self.spool.written(self.read())
        self.spool.forget_written()
        self.assertEqual(self.files(), [])
        self.save(make_update("c"))
        self.assertEqual(self.names(), ["c"])

    def test_rows_written_out_of_order_are_forgotten_as_far_as_there_is_no_gap(self) -> None:
        updates = self.save(*(make_update(name) for name in "abcd"))
        self.spool.written([updates[3], updates[0]])
        self.assertEqual(self.names(), ["b", "c"])
        self.spool.forget_written()
        self.assertEqual(self.names(), ["b", "c"])
        self.reopen()
        self.assertEqual(self.names(), ["b", "c", "d"])

    def test_what_was_saved_anew_while_it_was_written_stays(self) -> None:
        a, b = self.save(make_update("a", kinds=DATA | STATUS, status="on"), make_update("b"))
        self.spool.save([make_update("a", kinds=HEARTBEAT, document=None, last_seen=LATER)])
        self.assertEqual(self.spool.written([a, b]), {b.spool_version})
        self.spool.forget_written()
        [newer] = self.read()
        # With the deliveries of the older one, which nobody has counted.
        self.assertEqual((newer.kinds, newer.status, newer.last_seen), (DATA | STATUS | HEARTBEAT, "on", LATER))

    def test_nothing_of_what_is_written_already_is_laid_under(self) -> None:
        [a, _] = self.save(make_update("a", kinds=STATUS, status="on"), make_update("b"))
        self.spool.written([a])
        saved = self.spool.save([make_update("a", kinds=STATUS, status=None, document=b"{}")])
        self.assertEqual((saved.superseded, saved.devices), (0, 1))
        self.assertEqual(columns(self.read()[-1]), columns(make_update("a", kinds=STATUS, document=b"{}")))

    def test_nobody_else_can_read_it(self) -> None:
        self.path.touch(mode=0o666)
        os.chmod(self.path, 0o666)
        self.save(make_update("a"))
        for name in self.files():
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), 0o600, name)
        self.assertEqual(self.files(), ["spool", "spool-journal"])

    def test_each_commit_is_synced_and_a_journal_cannot_come_back(self) -> None:
        self.save(make_update("a"))
        connection = self.spool._connection
        assert connection is not None
        settings = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "locking_mode")
        ]
        self.assertEqual(settings, [2, "persist", "exclusive"])

    def test_a_second_process_cannot_open_it(self) -> None:
        self.save(make_update("a"))
        self.patch(spool_module, "LOCK_TIMEOUT", 0.01)
        with self.assertRaises(SpoolError) as caught:
            Spool(self.path).open()
        self.assertNotIsInstance(caught.exception, SpoolDamaged)
        self.assertIn("another process", str(caught.exception))
        self.assertEqual(self.names(), ["a"])

    def test_a_folder_that_is_gone_is_an_error_and_no_more(self) -> None:
        spool = Spool(self.folder / "gone" / "spool")
        for call in (spool.open, lambda: spool.save([make_update("a")])):
            with self.assertRaises(SpoolError) as caught:
                call()
            self.assertIn("No such file", str(caught.exception))

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Not one page more, as SQLite sees it."""
        connection = self.spool._connection
        assert connection is not None
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")
        yield
        connection.execute(f"PRAGMA max_page_count={spool_module.MOST_BYTES // spool_module.PAGE}")

    def test_a_save_that_fails_changes_nothing(self) -> None:
        self.save(make_update("a"))
        with self.full_disk():
            with self.assertRaises(SpoolError) as caught:
                self.spool.save([make_update("a", last_seen=LATER), make_update("b", document=b"x" * 100_000)])
            self.assertIn("full", str(caught.exception))
        [a] = self.read()
        self.assertEqual(a.last_seen, EARLIER)
        self.save(make_update("c"))
        self.assertEqual(self.names(), ["a", "c"])

    def test_names_that_somebody_invents_do_not_fill_the_disk(self) -> None:
        self.patch(spool_module, "MOST_BYTES", 400_000)
        with self.assertRaises(SpoolError):
            for number in range(100):
                self.save(*(make_update(f"{number}-{other}") for other in range(100)))
        self.assertLess(self.path.stat().st_size, 400_001)


class DamageTests(SpoolMixin):
    """A damaged file is set aside, and followed by one that works."""

    def setUp(self) -> None:
        super().setUp()
        self.path.write_bytes(b"this is no database, but long enough to be looked at" * 100)
        self.reopen()
        assert self.opened.set_aside is not None
        self.aside = self.opened.set_aside
        self.opened = Opened(0, 0, None)

    def files(self) -> list[str]:
        return [name for name in super().files() if name != self.aside.name]

    def damage(self, write: bytes, at: int) -> None:
        self.spool.close()
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(write)

    def test_it_is_set_aside_under_another_name_as_it_was(self) -> None:
        self.assertTrue(self.aside.name.startswith("spool.damaged-"))
        self.assertTrue(self.aside.read_bytes().startswith(b"this is no database"))

    def test_two_in_one_second_have_two_names(self) -> None:
        for _ in range(3):
            self.path.write_bytes(b"damaged" * 1000)
            self.reopen()
        self.assertEqual(len([path for path in self.folder.iterdir() if "damaged" in path.name]), 4)

    def test_a_page_that_was_overwritten_is_noticed_at_start(self) -> None:
        self.save(*(make_update(f"d{number}", document=b"x" * 500) for number in range(100)))
        self.damage(os.urandom(4096), 4096 * 3)
        self.reopen()
        self.assertIsNotNone(self.opened.set_aside)
        self.assertEqual((self.opened.devices, self.names()), (0, []))

    def test_a_value_that_changed_by_one_bit_is_noticed_at_start(self) -> None:
        self.save(make_update("a", document=b'{"temperature": 25}'))
        at = self.path.read_bytes().index(b'"temperature": 25')
        self.damage(b'"temperature": 24', at)
        self.reopen()
        self.assertIsNotNone(self.opened.set_aside)

    def test_a_file_that_was_cut_is_noticed_at_start(self) -> None:
        self.save(*(make_update(f"d{number}", document=b"x" * 500) for number in range(100)))
        self.spool.close()
        os.truncate(self.path, 9000)
        self.reopen()
        self.assertIsNotNone(self.opened.set_aside)

    def test_an_empty_file_is_a_new_one(self) -> None:
        self.path.touch()
        self.reopen()
        self.assertEqual(self.opened, Opened(0, 0, None))

    def test_somebody_elses_database_is_set_aside_untouched(self) -> None:
        with sqlite3.connect(self.path) as other:
            other.execute("CREATE TABLE theirs (a)")
        other.close()
        before = self.path.read_bytes()
        self.reopen()
        assert self.opened.set_aside is not None
        self.assertEqual(self.opened.set_aside.read_bytes(), before)

    def test_damage_while_it_is_in_use_is_told_apart_from_a_full_disk(self) -> None:
        self.save(*(make_update(f"d{number}", document=b"x" * 500) for number in range(100)))
        self.damage(os.urandom(4096) * 8, 4096 * 2)
        for call in (self.read, lambda: self.save(*(make_update(f"d{number}") for number in range(100)))):
            with self.assertRaises(SpoolDamaged):
                call()
        self.reopen()
        self.assertIsNotNone(self.opened.set_aside)


class InterruptedTests(SpoolMixin):
    """A process that ends in the middle of a transaction."""

    def kill_in(self, step: str, calls: str) -> None:
        program = (
            "import os, sys; from pathlib import Path; from aiot_mqtt.spool.file import Spool\n"
            "from tests.store_contract import make_update\n"
            f"step = Spool.{step}\n"
            f"Spool.{step} = lambda *arguments: (step(*arguments), os.kill(os.getpid(), 9))\n"
            f"spool = Spool(Path(sys.argv[1])); spool.open(); {calls}"
        )
        self.spool.close()
        ended = subprocess.run([sys.executable, "-c", program, self.path.absolute()], cwd=ROOT, check=False)
        self.assertEqual(ended.returncode, -9)
        self.spool = self.open()
        self.assertIsNone(self.opened.set_aside)

    def test_a_save_is_whole_or_not_at_all(self) -> None:
        self.save(make_update("a"))
        self.kill_in("_save", "spool.save([make_update(str(number)) for number in range(1000)])")
        self.assertEqual(self.names(), ["a"])

    def test_a_removal_is_whole_or_not_at_all(self) -> None:
        self.save(*(make_update(name) for name in "abc"))
        self.kill_in("_move_written_to", "spool.written(spool.read(2, 1000)); spool.forget_written()")
        self.assertEqual(self.names(), ["a", "b", "c"])
