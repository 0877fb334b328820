"""What the campaign of faults holds rows and figures to: a check that cannot fail would prove nothing."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.simulate.fleet import ORDINARY, Message
from faults.check import Row, wrong_sum, wrong_values
from faults.document import BEGIN, DOCUMENT, END, campaign_in_words
from faults.fleet import Acknowledged
from faults.rounds import Fault, Outcome
from faults.scene import Scene

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


class DocumentTests(SynchronousTestCase):
    def test_rounds_that_were_wrong_are_named(self) -> None:
        outcomes = [Outcome(fault="a", seed=1, messages=7), Outcome(fault="a", seed=2, lost=1)]
        fault = Fault("a", "something", None)
        text = campaign_in_words(Scene(), [fault], outcomes, 120.0)
        self.assertIn("in 2 minutes: 1 faults, 2 rounds. **1 rounds were wrong**: a.", text)

    def test_the_document_has_the_marks(self) -> None:
        self.assertIn(BEGIN, DOCUMENT.read_text("utf-8").partition(END)[0])
