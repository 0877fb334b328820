"""What the lab has in common: what it shows, and what it asks the kernel."""

from __future__ import annotations

import io
import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from rig import display
from rig.display import Display, counting
from rig.proc import cpu_seconds, memory


class DisplayTests(SynchronousTestCase):
    def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then(self) -> None:
        stream = io.StringIO()
        shown = Display(stream)
        for second in range(25):
            shown.show("a frame", f"at {second}", float(second))
        shown.stop()
        self.assertEqual(stream.getvalue(), "at 0\nat 10\nat 20\n")

    def test_on_a_terminal_the_frame_is_redrawn_and_lines_stay(self) -> None:
        stream = io.StringIO()
        shown = Display(stream, can_redraw=True)
        shown.show("first", "", 0.0)
        shown.say("kept")
        shown.show("second", "", 0.0)
        shown.stop()
        for text in ("first", "kept\n", "second"):
            self.assertIn(text, stream.getvalue())

    def test_a_number_to_come_to_is_shown_with_a_bar_and_at_its_end(self) -> None:
        self.patch(display, "SHOW_INTERVAL", 0.0)
        stream = io.StringIO()
        done = counting("courses", 4, Display(stream, can_redraw=True))
        for count in (1, 2, 4):
            done(count)
        for text in ("1/4", "2/4", "4/4", "courses", "━"):
            self.assertIn(text, stream.getvalue())

    def test_lines_are_not_marked_up_and_not_cut(self) -> None:
        stream = io.StringIO()
        line = "[bold]ORM[/bold] :smile: " + "x" * 300
        Display(stream).say(line)
        self.assertEqual(stream.getvalue(), f"{line}\n")


class ProcessTests(SynchronousTestCase):
    def test_a_process_is_asked_for_what_it_has_and_had(self) -> None:
        before = memory(os.getpid())
        held = bytearray(os.urandom(1)) * 50_000_000
        self.assertGreater(memory(os.getpid()).resident, before.resident + len(held) // 2)
        del held
        self.assertGreater(memory(os.getpid()).peak, before.resident + 25_000_000)
        self.assertGreater(cpu_seconds(os.getpid()), 0.0)

    def test_one_that_has_ended_has_none_but_has_used_its_time(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", "sum(range(5_000_000))"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.assertGreater(cpu_seconds(process.pid), 0.0)
        self.assertRaises(ProcessLookupError, memory, process.pid)
        process.wait()
        self.assertRaises(ProcessLookupError, memory, process.pid)
