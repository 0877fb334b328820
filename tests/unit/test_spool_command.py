"""``aiot-mqtt spool``: what it shows, exports, takes over and deletes, and what it leaves alone."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import DATA, HEARTBEAT, STATUS
from aiot_mqtt.spool import command, salvage
from aiot_mqtt.spool import disk as disk_module
from aiot_mqtt.spool.spool import Spool
from rig.spool_files import OWNER, make_old_file, opened, update_of
from tests.store_contract import EARLIER, LATER

TEST = replace(OWNER, table="device_test")


class SpoolCommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(disk_module, "SYNCHRONOUS", "OFF")
        self.patch(disk_module, "LOCK_TIMEOUT", 0.01)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "spool"
        self.answers: list[str] = []
        self.asked: list[str] = []

    def save(self, *uuids: str, owner: object = OWNER, path: Path | None = None) -> None:
        spool = Spool(path or self.path, owner)  # type: ignore[arg-type]
        spool.look()
        spool.save([update_of(uuid, number, number) for number, uuid in enumerate(uuids, 1)])
        spool.close()

    def run_command(self, *arguments: str, code: int = 0, ask: Callable[[str], str] | None = None) -> str:
        """All that it says."""
        parser = argparse.ArgumentParser()
        command.add_options(parser)
        self.output, self.errors = io.StringIO(), io.StringIO()
        parsed = parser.parse_args(arguments)
        ended = command.run(parsed, self.path, OWNER, output=self.output, errors=self.errors, ask=ask)
        said = self.output.getvalue() + self.errors.getvalue()
        self.assertEqual(ended, code, said)
        return said

    def answer(self, question: str) -> str:
        self.asked.append(question)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def exported(self) -> list[dict[str, object]]:
        self.run_command("--export", "-")
        return [json.loads(line) for line in self.output.getvalue().splitlines()]

    def test_nothing(self) -> None:
        self.assertIn("nothing is there", self.run_command())
        self.assertEqual(self.exported(), [])
        self.run_command("--discard", "--yes-i-mean-it")
        self.run_command("--adopt", code=command.EXIT_NOT_DONE)
        self.assertEqual(os.listdir(self.folder), [])

    def test_what_waits_for_the_table(self) -> None:
        self.save("a", "b", "c")
        before = self.path.read_bytes()
        said = self.run_command()
        for text in ("3 devices, 3 messages", "seconds ago", "will write it", "table 'device_main'", EARLIER):
            self.assertIn(text, said)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["spool", "spool-journal", "spool.lock"])

    def test_both_files_and_another_place(self) -> None:
        self.save("a")
        spool = Spool(self.path, OWNER)
        spool.look()
        spool.save([update_of("b", 1, 1)])
        spool.close()
        said = self.run_command()
        self.assertEqual(said.count("1 devices, 1 messages"), 2)
        self.path = self.folder / "elsewhere"
        self.assertEqual(self.run_command(str(self.folder / "spool")), said)
        self.assertIn("nothing is there", self.run_command())

    def test_an_export_is_a_line_of_json_for_each_device(self) -> None:
        self.save("a")
        spool = Spool(self.path, OWNER)
        spool.look()
        pretty = b'{\n  "t": 1.50,\r\n  "big": 12345678901234567890, "name": "\xe6\xb8\xa9\\n\\u0000"\n}'
        values = update_of(
            "B:1", 5, kinds=DATA | STATUS, document=pretty, status="on\n\0温", last_heartbeat=LATER, is_online=False
        )
        spool.save([values, update_of("c", 6, kinds=HEARTBEAT, document=None, last_heartbeat=LATER)])
        spool.close()
        [a, b, c] = self.exported()
        self.assertEqual((a["uuid"], a["last_report_data"], a["file"]), ("a", {"n": 1}, "spool"))
        self.assertEqual(
            b,
            {
                "file": "spool.2",
                "uuid": "B:1",
                "device_status": "on\n\0温",
                "last_seen": EARLIER,
                "last_heartbeat": LATER,
                "is_online": False,
                "messages": 2,
                "last_report_data": json.loads(pretty),
            },
        )
        self.assertIn("1.50", self.output.getvalue())
        self.assertEqual((c["last_report_data"], c["device_status"]), (None, None))
        target = self.folder / "export"
        self.run_command("--export", str(target))
        self.assertEqual(len(target.read_text("utf-8").splitlines()), 3)
        self.assertEqual(target.stat().st_mode & 0o777, 0o600)
        said = self.run_command("--export", str(target), code=command.EXIT_CANNOT_CREATE)
        self.assertIn("File exists", said)
        self.run_command("--export", str(self.folder / "no" / "where"), code=command.EXIT_CANNOT_CREATE)

    def test_what_was_saved_under_other_settings_can_be_adopted(self) -> None:
        self.save("a", owner=TEST)
        self.assertIn(
            "saved under other settings: it is for table 'device_test', not 'device_main'", self.run_command()
        )
        self.assertEqual(len(self.exported()), 1)
        self.run_command("--adopt")
        self.assertIn("will write it", self.run_command())
        self.run_command("--adopt", code=command.EXIT_NOT_DONE)
        spool = Spool(self.path, OWNER)
        self.addCleanup(spool.close)
        self.assertEqual(spool.look().found.devices, 1)

    def test_the_release_before(self) -> None:
        make_old_file(self.path, [("Pump", DATA, b'{"t": 1}', None, EARLIER, None, 1)])
        self.assertIn("1 devices, 1 messages", self.run_command())
        self.assertEqual([line["uuid"] for line in self.exported()], ["Pump"])

    def test_what_is_damaged_is_read_as_far_as_it_can_be(self) -> None:
        self.save(*(f"d{number}" for number in range(300)))
        data = bytearray(self.path.read_bytes())
        data[4096 * 8 : 4096 * 9] = b"damaged!" * 512
        self.path.write_bytes(data)
        self.assertIn("damaged", self.run_command())
        spool = Spool(self.path, OWNER)
        [(_, aside, _)] = spool.look().set_aside
        spool.close()
        self.assertIn("set it aside", self.run_command())
        lines = self.exported()
        self.assertGreater(len(lines), 100)
        self.assertLess(len(lines), 300)
        self.assertEqual({line["file"] for line in lines}, {aside.name})
        # It is deleted only where it is named.
        self.run_command("--discard", "--yes-i-mean-it")
        self.assertTrue(aside.exists())
        self.run_command(str(aside), "--discard", "--yes-i-mean-it")
        self.assertFalse(aside.exists())

    def test_what_is_not_ours_is_not_opened(self) -> None:
        precious = self.folder / "precious"
        precious.write_text("precious")
        for make in (
            lambda: self.path.symlink_to(precious),
            lambda: os.mkfifo(self.path),
            lambda: os.link(precious, self.path),
            lambda: self.path.write_bytes(b"SQLite format 3\0" + bytes(200)),
        ):
            make()
            self.assertIn("not a spool of this service", self.run_command())
            self.assertEqual(self.exported(), [])
            self.run_command("--discard", "--yes-i-mean-it")
            self.assertEqual(os.listdir(self.folder), ["precious"])
        self.path.mkdir()
        self.assertIn("a folder", self.run_command("--discard", "--yes-i-mean-it", code=command.EXIT_NOT_DONE))

    def test_an_endless_view_in_what_was_set_aside_comes_to_an_end(self) -> None:
        self.patch(salvage, "MAX_TIME", 0.2)
        aside = self.folder / "spool.damaged-20261127-101010"
        connection = opened(aside)
        columns = ", ".join(f"x AS {name}" for name in ("checksum", "uuid", "seen_order"))
        connection.execute(
            "CREATE VIEW device_update AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n)"
            f" SELECT x AS version, {columns} FROM n"
        )
        connection.close()
        aside.chmod(0o600)
        self.assertIn("damaged", self.run_command())

    def test_discarding_is_asked_for_twice(self) -> None:
        self.save("a", "b")
        self.assertIn("nobody is there", self.run_command("--discard", code=command.EXIT_USAGE))
        for answers in ([], ["n"], ["y"], ["y", "no"], ["y", "other"], [""]):
            self.answers, self.asked = answers, []
            self.assertIn("nothing was deleted", self.run_command("--discard", code=1, ask=self.answer))
            self.assertTrue(self.path.exists())
        self.assertIn("2 devices", self.asked[0])
        self.answers = ["y", "spool"]
        self.run_command("--discard", ask=self.answer)
        self.assertEqual(os.listdir(self.folder), ["spool.lock"])

    def test_options_that_make_no_sense(self) -> None:
        self.run_command("--yes-i-mean-it", code=command.EXIT_USAGE)
        self.assertIn("no file", self.run_command("/", code=command.EXIT_USAGE))
        with self.assertRaises(SystemExit):
            self.patch(sys, "stderr", io.StringIO())
            self.run_command("--discard", "--export", "-")

    def test_while_the_service_runs_it_says_so_and_touches_nothing(self) -> None:
        self.save("a")
        spool = Spool(self.path, OWNER)
        self.addCleanup(spool.close)
        spool.look()
        for arguments in ([], ["--export", str(self.folder / "export")], ["--discard", "--yes-i-mean-it"], ["--adopt"]):
            said = self.run_command(*arguments, code=command.EXIT_IN_USE)
            self.assertIn("the service runs", said)
            self.assertIn("bytes", said)
        self.assertFalse((self.folder / "export").exists())
        self.assertTrue(self.path.exists())

    def test_a_process_of_the_release_before_has_it(self) -> None:
        make_old_file(self.path, [("Pump", DATA, b'{"t": 1}', None, EARLIER, None, 1)])
        connection = opened(self.path)
        self.addCleanup(connection.close)
        connection.execute("BEGIN EXCLUSIVE")
        self.assertIn("another process", self.run_command(code=command.EXIT_IN_USE))

    def test_a_folder_that_is_gone(self) -> None:
        self.path = self.folder / "gone" / "spool"
        said = self.run_command(code=command.EXIT_DISK if os.geteuid() == 0 else 0)
        self.assertIn("gone", said)

    def test_a_damaged_owner_does_no_harm_to_a_terminal(self) -> None:
        for text in ("\x1b[2J", '{"host": "\\u001b[2J", "table": "\\u202e"}', "[" * 5000, "7"):
            self.save("a")
            connection = opened(self.path)
            connection.execute("UPDATE spool SET owner = ?", (text,))
            connection.close()
            said = self.run_command()
            self.assertTrue(all(character.isprintable() or character == "\n" for character in said), said)
            self.path.unlink()


class AsRootTests(SynchronousTestCase):
    if os.geteuid() != 0:
        skip = "needs root"

    def test_what_it_makes_is_the_services(self) -> None:
        """Of root's the service could not even delete it."""
        folder = Path(tempfile.mkdtemp())  # which everybody may get at, unlike trial's own
        self.addCleanup(shutil.rmtree, folder)
        path = folder / "spool"
        spool = Spool(path, TEST)
        spool.look()
        spool.save([update_of("a", 1)])
        spool.close()
        (folder / "spool-journal").unlink()
        for each in (folder, *folder.iterdir()):
            os.chown(each, 65534, 65534)
        parser = argparse.ArgumentParser()
        command.add_options(parser)
        said = io.StringIO()
        for arguments in ([], ["--adopt"], ["--export", os.path.abspath(self.mktemp())]):
            code = command.run(parser.parse_args(arguments), path, OWNER, output=said, errors=said, ask=None)
            self.assertEqual(code, 0, said.getvalue())
        self.assertEqual({each.stat().st_uid for each in folder.iterdir()}, {65534})
        self.assertEqual((os.geteuid(), os.getegid()), (0, os.getgid()))
