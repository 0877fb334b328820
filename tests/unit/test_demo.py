from __future__ import annotations

import io
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.simulate.fleet import BAD_PAYLOAD, LAST_WILL, ORDINARY, RETAINED, UNKNOWN_DEVICE, Message
from aiot_mqtt.simulate.simulation import Summary
from aiot_mqtt.telemetry.counters import Counters
from demo.display import PICTURE_COLUMNS, Display, Moment
from demo.ledger import DeviceRow, Ledger

NOW = datetime(2026, 11, 23, 10, 0, 30)
ROWS = (
    DeviceRow("lab", True, "active", "2026-11-23 10:00:30", '{"temperature": 21.5, "text": "温度"}'),
    DeviceRow("pump", False, "offline", "2026-11-23 10:00:10", '{"status": "offline"}'),
    DeviceRow("new", False, "pending", None, None),
)


def message(device: int, kind: str, payload: bytes, sort: str = ORDINARY) -> Message:
    return Message(0.0, device, kind, b"", payload, False, sort)


class LedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = Ledger(("a", "b"))
        for published in (
            message(0, "status", b'{"status": "active", "seq": 1}'),
            message(0, "data", b'{"seq": 2}'),
            message(0, "heartbeat", b'{"seq": 3}'),
            message(0, "data", b"{", BAD_PAYLOAD),
            message(2, "data", b'{"seq": 4}', UNKNOWN_DEVICE),
            message(1, "data", b'{"seq": 1}', RETAINED),
            message(1, "status", b"offline", LAST_WILL),
        ):
            self.ledger.published(published)
        self.rows = [
            DeviceRow("a", True, "active", None, '{"seq": 2}'),
            DeviceRow("b", False, "offline", None, '{"status": "offline"}'),
        ]
        self.summary = Summary(devices=2, seed=1, published=7, acknowledged=7, sorts=Counter({BAD_PAYLOAD: 1}))
        self.counters = Counters()
        self.counters.received = 7
        self.counters.stored, self.counters.superseded, self.counters.unchanged = 3, 1, 1
        self.counters.refused.update({"bad_json": 1, "unknown_device": 1})

    def verdicts(self, pending: int = 0) -> list[bool]:
        findings = self.ledger.check(self.summary, self.counters, pending, self.rows)
        return [finding.is_right for finding in findings]

    def test_all_is_right_when_everybody_agrees(self) -> None:
        self.assertEqual(self.verdicts(), [True] * 5)

    def test_a_message_that_was_not_acknowledged(self) -> None:
        self.summary.published = 8
        self.assertEqual(self.verdicts(), [False, True, True, True, True])

    def test_a_message_that_was_not_received(self) -> None:
        self.counters.received = 6
        self.counters.stored = 2
        self.assertEqual(self.verdicts(), [True, False, True, True, True])

    def test_a_message_that_counts_nowhere_or_is_still_pending(self) -> None:
        self.counters.stored = 2
        self.assertEqual(self.verdicts(), [True, True, False, True, True])
        self.assertEqual(self.verdicts(pending=1), [True, True, False, True, True])

    def test_a_good_message_that_was_refused(self) -> None:
        self.counters.stored -= 1
        self.counters.refused["too_deep"] += 1
        self.assertEqual(self.verdicts(), [True, True, True, False, True])

    def test_a_row_that_holds_something_else(self) -> None:
        for wrong in (
            DeviceRow("a", True, "active", None, '{"seq": 1}'),
            DeviceRow("a", True, "pending", None, '{"seq": 2}'),
            DeviceRow("other", True, "active", None, '{"seq": 2}'),
        ):
            self.rows[0] = wrong
            self.assertEqual(self.verdicts(), [True, True, True, True, False])


class DisplayTests(SynchronousTestCase):
    def moment(self, **changed: Any) -> Moment:
        values: dict[str, Any] = {
            "elapsed": 5.0,
            "broker": "Mosquitto 2.0 at 127.0.0.1:1",
            "table": "a table",
            "published": 12,
            "acknowledged": 11,
            "received": 10,
            "figures": {"stored": 8, "refused": 2},
            "warning": "⚠️ Unknown device: x",
            "rows": ROWS,
            "now": NOW,
        }
        return Moment(**{**values, **changed})

    def test_a_file_gets_lines_now_and_then_and_every_row_at_the_end(self) -> None:
        stream = io.StringIO()
        display = Display(stream, is_utf8=True, can_redraw=False)
        for tenth in range(50):
            display.show_moment(self.moment(elapsed=tenth / 10))
        lines = stream.getvalue().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("online 1 of 3  published 12  received 10 = stored 8 + refused 2", lines[0])
        display.finish(self.moment())
        text = stream.getvalue()
        for expected in ("lab", "just now", "pump", "offline", "20 s ago", "new", "温度"):
            self.assertIn(expected, text)
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\r", text)

    def test_where_only_ascii_can_be_shown_the_frame_is_ascii(self) -> None:
        stream = io.StringIO()
        rows = (DeviceRow("lab", True, "active", "2026-11-23 10:00:30", '{"a long one": "%s"}' % ("x" * 200)),)
        Display(stream, is_utf8=False, can_redraw=False).finish(self.moment(rows=rows))
        self.assertTrue(stream.getvalue().isascii(), stream.getvalue())

    def test_no_line_is_wider_than_the_terminal(self) -> None:
        for columns in (10, 30, 59, 60, 80, 95, 200):
            for is_utf8 in (True, False):
                display = Display(io.StringIO(), is_utf8=is_utf8, can_redraw=False)
                display.console.width = columns
                rows = tuple(row for row in ROWS if is_utf8 or row.report is None or row.report.isascii())
                with display.console.capture() as capture:
                    display.console.print(display._frame(self.moment(rows=rows), columns, 100))
                for line in capture.get().splitlines():
                    self.assertLessEqual(len(line), columns, line)
                    self.assertTrue(is_utf8 or line.isascii(), line)

    def test_rows_that_do_not_fit_are_counted(self) -> None:
        display = Display(io.StringIO(), is_utf8=True, can_redraw=False)
        with display.console.capture() as capture:
            display.console.print(display._frame(self.moment(), 100, 1))
        self.assertIn("and 2 more devices", capture.get())
        self.assertNotIn("pump", capture.get())

    def test_the_picture_stands_alone(self) -> None:
        path = Path(self.mktemp())
        Display(io.StringIO(), is_utf8=True, can_redraw=False).picture(self.moment(), path)
        text = path.read_text("utf-8")
        root = ET.fromstring(text)
        self.assertTrue(root.tag.endswith("svg"))
        shown = "".join(root.itertext()).replace("\xa0", " ")
        for expected in ("lab", "offline", "received 10 = stored 8 + refused 2", "Unknown device"):
            self.assertIn(expected, shown)
        self.assertEqual(set(re.findall(r"https?://[^\"'\s<)]+", text)), {"http://www.w3.org/2000/svg"})
        self.assertNotIn("@font-face", text)
        self.assertGreater(PICTURE_COLUMNS, 80)
