from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.simulate.command import Progress, add_options
from aiot_mqtt.simulate.simulation import Summary


class OptionsTests(SynchronousTestCase):
    def parse(self, *arguments: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        add_options(parser)
        return parser.parse_args(arguments)

    def refused(self, *arguments: str) -> str:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
            self.parse(*arguments)
        self.assertEqual(ended.exception.code, 2)
        return said.getvalue()

    def test_values(self) -> None:
        options = self.parse(
            *("--devices", "12", "--rate", "0.5", "--mix", "1:0:2", "--silence", "20%", "--chaos", "0.05"),
            *("--qos", "0", "--protocol", "3.1.1", "--seed", "-3", "--for", "1.5", "--broker", "[::1]:1884"),
        )
        self.assertEqual((options.devices, options.rate, options.mix), (12, 0.5, (1, 0, 2)))
        self.assertEqual((options.silence, options.chaos, options.qos, options.seed), (0.2, 0.05, 0, -3))
        self.assertEqual((options.protocol, options.seconds, options.broker), ("3.1.1", 1.5, ("::1", 1884)))
        self.assertEqual(self.parse("--broker", "example").broker, ("example", 1883))

    def test_mistakes_are_told(self) -> None:
        for name, values in {
            "--devices": ("0", "x", "-1", "1.5"),
            "--rate": ("0", "-1", "nan", "inf", "x"),
            "--mix": ("1:2", "0:0:0", "a:b:c", "-1:1:1"),
            "--silence": ("95%", "x", "-1"),
            "--chaos": ("101%", "2"),
            "--qos": ("2",),
            "--protocol": ("4",),
            "--window": ("0", "65536"),
            "--broker": ("mqtt://x", "x:0", "x:99999", ""),
            "--uuids": ("/no/such/file",),
        }.items():
            for value in values:
                self.assertIn(name, self.refused(f"{name}={value}"), value)

    def test_uuids_come_from_a_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("b\na\n\nb\n")
        self.assertEqual(self.parse("--uuids", str(path)).uuids, ("b", "a"))
        for wrong in ("a\n+/x", "", "\xe9"):
            path.write_bytes(wrong.encode("latin-1"))
            self.refused("--uuids", str(path))
        self.refused("--uuids", str(path), "--devices", "3")

    def test_help_can_be_shown(self) -> None:
        parser = argparse.ArgumentParser()
        add_options(parser)
        self.assertIn("--silence SHARE", parser.format_help())


class ProgressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = io.StringIO()
        self.summary = Summary(devices=1, seed=1, seconds=2.0, published=10, acknowledged=8, unacknowledged=2)

    def test_a_line_is_redrawn_within_the_width_of_the_terminal(self) -> None:
        progress = Progress(self.stream, is_terminal=True, width=lambda: 20)
        progress.show(self.summary)
        progress.show(self.summary)
        progress.say("done")
        parts = self.stream.getvalue().split("\r\x1b[K")
        self.assertEqual(len(parts), 4)
        self.assertTrue(all(len(part) < 20 for part in parts))
        self.assertEqual(parts[-1], "done\n")

    def test_lines_elsewhere(self) -> None:
        progress = Progress(self.stream, is_terminal=False)
        progress.show(self.summary)
        progress.clear()
        line = "    2.0 s  published 10  acknowledged 8  in flight 2  5/s\n"
        self.assertEqual(self.stream.getvalue(), line)
