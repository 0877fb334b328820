"""What the campaign of faults holds rows and figures to: a check that cannot fail would prove nothing."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.simulate.fleet import ORDINARY, Message
from faults.catalogue import FAULTS
from faults.check import Row, wrong_sum, wrong_values
from faults.document import BEGIN, DOCUMENT, END, GROUPS, NOT_PLAYED, rows_in, tables
from faults.fleet import Acknowledged
from faults.results import Played, gathered, write
from faults.rounds import Fault, Outcome
from faults.scene import Layout, Scene
from rig.galera import Galera

WHOLE = Scene()
ZONE = ZoneInfo("Asia/Shanghai")
NOW = 1_800_000_000.9
SEEN = datetime.fromtimestamp(int(NOW), ZONE).replace(tzinfo=None)


def message(kind: str, payload: bytes = b"", at: float = NOW) -> Message:
    return Message(at, 0, kind, b"", payload, False, ORDINARY)


class CheckTests(SynchronousTestCase):
    def wrong(self, row: Row | None, *messages: Message) -> list[str]:
        device = Acknowledged("a")
        for each in messages:
            device.note(each)
        return [text.partition(" ")[0] for text in wrong_values(device, row, ZONE)]

    def test_a_row_that_holds_what_was_acknowledged_last_is_right(self) -> None:
        messages = [
            message("status", b'{"status": "offline", "seq": 1}'),
            message("heartbeat"),
            message("data", b'{"seq": 2, "t": 1.50}'),
        ]
        self.assertEqual(self.wrong(Row('{"t": 1.5, "seq": 2}', "offline", True, SEEN, SEEN), *messages), [])

    def test_a_device_that_was_never_acknowledged_may_have_any_row(self) -> None:
        self.assertEqual(self.wrong(Row(None, "pending", False, None, None)), [])

    def test_each_column_that_is_not_is_named(self) -> None:
        status = message("status", b'{"status": "offline", "seq": 3}')
        heartbeat = message("heartbeat")
        report = '{"status": "offline", "seq": 3}'
        earlier = SEEN.replace(year=SEEN.year - 1)
        for row, column in (
            (Row('{"seq": 2}', "offline", False, SEEN, None), "last_report_data"),
            (Row(report, "idle", False, SEEN, None), "device_status"),
            (Row(report, "offline", True, SEEN, None), "is_online"),
            (Row(report, "offline", False, earlier, None), "last_seen"),
            (Row(report, "offline", False, None, None), "last_seen"),
        ):
            self.assertEqual(self.wrong(row, status), [column])
        for seen in (None, earlier):
            self.assertEqual(self.wrong(Row(None, "", True, SEEN, seen), heartbeat), ["last_heartbeat"])
        self.assertEqual(self.wrong(None, status), ["there"])

    def test_figures(self) -> None:
        figures = {"received": 9, "recovered": 2, "stored": 4, "superseded": 3, "retained": 0, "stale": 0, "dropped": 1}
        figures["unchanged"] = 1
        self.assertIsNone(wrong_sum({**figures, "refused_bad_json": 2, "pending": 0, "retries_conflict": 7}))
        self.assertIn("received", wrong_sum({**figures, "pending": 0}) or "")
        self.assertIn("pending", wrong_sum({**figures, "refused_bad_json": 1, "pending": 1}) or "")
        self.assertIsNotNone(wrong_sum({}))


def played(fault: str, seed: int = 1, *, day: int = 1, commit: str = "c", **told: Any) -> Played:
    outcome = Outcome(fault=fault, seed=seed, messages=1000, peak_memory=50 << 20, **told)
    return Played(outcome, datetime(2026, 1, day, tzinfo=timezone.utc), commit)


class ResultsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def file(self, name: str, *rounds: Played, scene: Scene = WHOLE) -> Path:
        path = self.folder / name
        write(path, scene, rounds)
        return path

    def test_what_was_written_is_read_again(self) -> None:
        rounds = [played("a", lost=1, wrong=["it"], details={"took": [1.5]}), played("a", 2, void="dropped")]
        self.assertEqual(gathered([self.file("a", *rounds)], WHOLE), rounds)

    def test_of_the_same_round_the_newest_counts_whichever_file_comes_first_and_others_are_added(self) -> None:
        old = self.file("old", played("a", 1, day=1, lost=1), played("a", 2, day=1), played("b", 1, day=3))
        new = self.file("new", played("a", 1, day=2), played("b", 1, day=1, lost=1))
        for paths in ([old, new], [new, old], [old, new, old]):
            found = gathered(paths, WHOLE)
            self.assertEqual(
                sorted((each.outcome.fault, each.outcome.seed, each.outcome.lost, each.at.day) for each in found),
                [("a", 1, 0, 2), ("a", 2, 0, 1), ("b", 1, 0, 3)],
            )

    def test_a_file_that_does_not_say_when_is_as_old_as_it_is(self) -> None:
        path = self.file("a", played("a"))
        told = json.loads(path.read_text())
        for name in ("at", "commit"):
            del told["rounds"][0][name]
        path.write_text(json.dumps(told))
        os.utime(path, (86400, 86400))
        self.assertEqual([(each.at.year, each.commit) for each in gathered([path], WHOLE)], [(1970, "")])

    def test_a_file_that_is_of_no_use_is_named(self) -> None:
        quick = self.file("quick", played("a"), scene=Scene(quick=True))
        self.assertIn(f"{quick} was played with ", str(self.assertRaises(ValueError, gathered, [quick], WHOLE)))
        missing = self.folder / "missing"
        self.assertIn(f"{missing} cannot be read: ", str(self.assertRaises(ValueError, gathered, [missing], WHOLE)))
        other = self.folder / "other"
        texts = ("", "[]", "1", "{}", '{"scene": {"x": 1}, "rounds": []}', '{"scene": {}, "rounds": [{}]}')
        for text in (
            *texts,
            '{"scene": {}, "rounds": [1]}',
            '{"scene": {}, "rounds": 1}',
            '{"scene": [], "rounds": []}',
        ):
            other.write_text(text)
            error = self.assertRaises(ValueError, gathered, [other], WHOLE)
            self.assertIn(f"{other} is no file of --json: ", str(error), text)
        other.write_bytes(b"\xff")
        self.assertIn(f"{other} is no file of --json: ", str(self.assertRaises(ValueError, gathered, [other], WHOLE)))


class DocumentTests(SynchronousTestCase):
    faults = (
        Fault("a", "something", None),
        Fault("b", "with a \\| in it", None),
        Fault("galera-a", "on a cluster", None, layout=Layout(cluster=Galera)),
        Fault("galera-standby-a", "two on a cluster", None, layout=Layout(cluster=Galera, settings={"HA_MODE": "x"})),
    )

    def test_what_was_played_replaces_its_rows_and_no_others(self) -> None:
        first = tables(self.faults, [played("a"), played("a", 2), played("b")], {})
        self.assertIn("2 of 4 faults, 3 rounds. Nothing was lost, and no row moved back. Not played yet: 2.", first)
        self.assertIn("| `a` | something | 2 | 0 | 2,000 | 0 | 0 | 0.0 | 50 | 0 | 2026-01-01, c |", first)
        second = tables(
            self.faults, [played("b", day=2, commit="d"), played("galera-a", void="dropped")], rows_in(first)
        )
        self.assertEqual(rows_in(second)["a"], rows_in(first)["a"])
        self.assertEqual(rows_in(second)["b"]["played"], "2026-01-02, d")
        self.assertEqual(rows_in(second)["galera-a"]["rounds"], NOT_PLAYED)
        self.assertEqual(tables(self.faults, [], rows_in(second)), second)

    def test_a_row_of_a_fault_that_is_gone_goes_too_and_words_are_those_of_the_catalogue(self) -> None:
        rows = rows_in(tables(self.faults, [played("a"), played("b")], {}))
        renamed = (Fault("a", "something else", None),)
        self.assertEqual(
            {name: row["what happens"] for name, row in rows_in(tables(renamed, [], rows)).items()},
            {"a": "something else"},
        )

    def test_rounds_that_were_wrong_are_named_also_by_a_row_that_stays(self) -> None:
        text = tables(self.faults, [played("a", lost=1), played("a", 2), played("b", wrong=["it"])], {})
        said = "**2 rounds were wrong**: a, b."
        self.assertIn(said, text)
        self.assertIn(said, tables(self.faults, [], rows_in(text)))

    def test_each_group_has_its_table(self) -> None:
        lines = [line for line in tables(self.faults, [], {}).splitlines() if line.startswith(("###", "| `"))]
        of_group = [line.partition(" | ")[0] for line in lines]
        one, clusters, two, _ = (f"### {group}" for group in GROUPS)
        self.assertEqual(of_group, [one, "| `a`", "| `b`", clusters, "| `galera-a`", two, "| `galera-standby-a`"])

    def test_the_document_has_a_row_for_each_fault_and_for_nothing_else(self) -> None:
        written = DOCUMENT.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
        rows, advice = rows_in(written), "written anew by: scripts/faults --from --document"
        self.assertEqual(rows.keys() ^ {fault.name for fault in FAULTS}, set(), advice)
        self.assertEqual(written, f"\n\n{tables(FAULTS, [], rows)}\n", advice)
