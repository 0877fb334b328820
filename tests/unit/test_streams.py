"""Lines on their way to a stream: none is waited for, none is lost unseen; and the files that they go to."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry import log_lines, streams
from aiot_mqtt.telemetry.streams import MAX_WAITING, Descriptor, LogFile, Outlet, open_streams

PATIENCE = 20.0  # s that a test waits for a thread


def warning(line: str, **fields: object) -> bytes:
    return (line.format(**fields) + "\n").encode()


LOST_3 = warning(log_lines.LINES_LOST, count=3)


class GatedStream:
    """A reader who looks on until the test lets him read."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.is_writing = threading.Event()
        self.error: Exception | None = None
        self.reopen_error: OSError | None = None
        self.written = b""
        self.reopened = 0

    def write(self, data: bytes) -> None:
        self.is_writing.set()
        self.gate.wait()
        if self.error is not None:
            raise self.error
        self.written += data

    def reopen(self) -> None:
        if self.reopen_error is not None:
            raise self.reopen_error
        self.reopened += 1


class OutletTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(streams, "RETRY", 0.01)
        self.stream = GatedStream()
        self.addCleanup(self.stream.gate.set)
        self.outlet = Outlet(self.stream, warning)

    def fill(self) -> None:
        """One line in the stuck stream, and as much behind it as may wait."""
        self.outlet.start()
        self.outlet.put(b"stuck\n")
        self.assertTrue(self.stream.is_writing.wait(PATIENCE))
        self.outlet.put(b"x" * (MAX_WAITING - 100) + b"\n")

    def test_lines_are_written_in_order(self) -> None:
        self.stream.gate.set()
        self.outlet.put(b"before the start\n")
        self.outlet.start()
        for number in range(1000):
            self.outlet.put(b"%d\n" % number)
        self.outlet.finish(PATIENCE)
        self.assertEqual(self.stream.written, b"before the start\n" + b"".join(b"%d\n" % n for n in range(1000)))

    def test_what_finds_no_room_is_counted_and_told_where_it_is_missing(self) -> None:
        self.fill()
        for line in (b"x" * 200, b"too long too" * 10, b"short, but behind one that is lost"):
            self.outlet.put(line)
        self.stream.gate.set()
        self.outlet.finish(PATIENCE)
        self.outlet.put(b"later\n")
        self.outlet.finish(PATIENCE)
        self.assertTrue(self.stream.written.endswith(b"x\n" + LOST_3 + b"later\n"))
        self.assertEqual(len(self.stream.written), 6 + MAX_WAITING - 99 + len(LOST_3) + 6)

    def test_nobody_waits_for_a_reader_not_even_the_end(self) -> None:
        self.fill()
        for _ in range(10_000):
            self.outlet.put(b"y" * 1000)
        self.outlet.finish(0.01)
        self.assertEqual(self.stream.written, b"")

    def test_a_line_longer_than_what_may_wait_is_written_all_the_same(self) -> None:
        self.stream.gate.set()
        line = b"z" * (2 * MAX_WAITING)
        self.outlet.put(line)
        self.outlet.finish(PATIENCE)
        self.assertEqual(self.stream.written, line)

    def test_a_stream_that_takes_nothing_is_tried_again_and_told_of(self) -> None:
        for error in (OSError(28, "No space left on device"), BrokenPipeError(), ValueError("closed file")):
            self.stream = GatedStream()
            self.stream.gate.set()
            self.stream.error = error
            outlet = Outlet(self.stream, warning)
            outlet.put(b"one\n")
            outlet.put(b"two\n")
            outlet.start()
            self.assertTrue(self.stream.is_writing.wait(PATIENCE))
            outlet.finish(0.01)
            outlet.put(b"three\n")
            self.stream.error = None
            outlet.finish(PATIENCE)
            outlet.put(b"four\n")
            outlet.finish(PATIENCE)
            self.assertEqual(self.stream.written, LOST_3 + b"four\n")

    def test_without_a_thread_the_end_writes_what_waits(self) -> None:
        self.stream.gate.set()
        self.outlet.put(b"the start failed\n")
        self.outlet.finish(PATIENCE)
        self.assertEqual(self.stream.written, b"the start failed\n")

    def test_what_is_put_after_the_end_is_waited_for(self) -> None:
        self.stream.gate.set()
        self.outlet.start()
        self.outlet.finish(PATIENCE)
        self.outlet.put(b"last words\n")
        self.assertEqual(self.stream.written, b"last words\n")

    def test_a_file_that_cannot_be_opened_anew_is_told_of(self) -> None:
        self.stream.gate.set()
        self.outlet.start()
        self.stream.reopen_error = PermissionError(13, "Permission denied")
        self.outlet.reopen()
        self.outlet.put(b"next\n")
        self.outlet.finish(PATIENCE)
        self.assertIn(warning(log_lines.LOG_NOT_REOPENED, reason="Permission denied"), self.stream.written)
        self.assertIn(b"next\n", self.stream.written)

    def test_one_who_logs_in_the_midst_of_logging_is_not_locked_out(self) -> None:
        """As the garbage collector may, or a signal."""
        outlet = self.outlet

        class Lines(list[bytes]):
            def append(self, line: bytes) -> None:
                super().append(line)
                if line == b"outer\n":
                    outlet.put(b"inner\n")

        self.stream.gate.set()
        outlet._lines = Lines()
        outlet.put(b"outer\n")
        outlet.finish(PATIENCE)
        self.assertEqual(self.stream.written, b"outer\ninner\n")


class LogFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "x.log"
        self.now = 1000.0

    def open(self, max_bytes: int = 10, max_kept: int = 3) -> LogFile:
        file = LogFile(self.path, max_bytes=max_bytes, max_kept=max_kept, clock=lambda: self.now)
        self.addCleanup(file.close)
        return file

    def contents(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir()}

    def test_it_goes_on_where_it_ended(self) -> None:
        for text in ("一\n", "🎉\n"):
            self.open().write(text.encode())
        self.assertEqual(self.path.read_text("utf-8"), "一\n🎉\n")

    def test_it_is_rotated_and_old_ones_are_bounded(self) -> None:
        file = self.open()
        for number in range(6):
            file.write(b"%d" % number * 10)
            self.now += 100
        self.assertEqual(
            self.contents(), {"x.log": "5" * 10, "x.log.1": "4" * 10, "x.log.2": "3" * 10, "x.log.3": "2" * 10}
        )

    def test_a_rotation_that_failed_is_tried_again_and_costs_no_line_and_no_file(self) -> None:
        file = self.open()
        for number in range(4):
            file.write(b"%d" % number * 10)
            self.now += 100
        rename = Path.replace
        for failing in ("x.log.1", "x.log"):
            with mock.patch.object(Path, "replace", _failing_for(rename, self.folder / failing)):
                for text in (b"a", b"b"):
                    file.write(text)
                    self.now += 100
        self.assertEqual(self.contents()["x.log"], "3" * 10 + "abab")
        self.assertEqual(sorted(self.contents().values())[:2], ["1" * 10, "2" * 10])
        file.write(b"new")
        self.assertEqual(
            self.contents(),
            {"x.log": "new", "x.log.1": "3" * 10 + "abab", "x.log.2": "2" * 10, "x.log.3": "1" * 10},
        )

    def test_it_is_not_tried_at_every_line(self) -> None:
        file = self.open()
        file.write(b"x" * 10)
        tries = mock.Mock(side_effect=OSError)
        with mock.patch.object(LogFile, "_move_aside", tries):
            for _ in range(100):
                file.write(b"y")
        self.assertEqual(tries.call_count, 1)

    def test_a_file_that_was_moved_aside_but_not_opened_anew_is_opened_later(self) -> None:
        file = self.open()
        file.write(b"x" * 10)
        with mock.patch.object(streams, "_open", side_effect=OSError(24, "Too many open files")):
            file.write(b"y")
        self.assertEqual(self.contents(), {"x.log.1": "x" * 10 + "y"})
        self.now += 100
        file.write(b"z")
        self.assertEqual(self.contents(), {"x.log.1": "x" * 10 + "y", "x.log": "z"})

    def test_a_file_that_somebody_moved_away_is_opened_anew(self) -> None:
        file = self.open()
        file.write(b"old")
        self.path.rename(self.folder / "away")
        file.write(b"too")
        file.reopen()
        file.write(b"new")
        self.assertEqual(self.contents(), {"away": "oldtoo", "x.log": "new"})

    def test_what_cannot_be_opened_anew_stays_open(self) -> None:
        file = self.open()
        self.path.rename(self.folder / "away")
        with mock.patch.object(streams, "_open", side_effect=OSError(24, "Too many open files")):
            self.assertRaises(OSError, file.reopen)
        file.write(b"still")
        self.assertEqual(self.contents(), {"away": "still"})

    def test_it_is_not_for_others_whatever_the_umask_and_whoever_made_it(self) -> None:
        for umask in (0o000, 0o022, 0o077):
            self.addCleanup(os.umask, os.umask(umask))
            self.path.unlink(missing_ok=True)
            self.open()
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640 & ~umask, oct(umask))
        self.path.chmod(0o666)
        self.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o660)


def _failing_for(rename: object, path: Path) -> object:
    def replace(source: Path, target: Path) -> object:
        if source == path:
            raise PermissionError(13, "Permission denied")
        return rename(source, target)  # type: ignore[operator]

    return replace


class OpenStreamsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def open(self, log_file: str, output: object = None) -> list[object]:
        """With ``output`` in place of standard output, where it is ours."""
        if output is not None:
            self.patch(sys, "stdout", output)
        return [*open_streams(log_file, on_terminal=output is not None)]

    def output(self, descriptor: int) -> TextIOWrapper:
        stream = TextIOWrapper(BytesIO())
        stream.fileno = lambda: descriptor  # type: ignore[method-assign]
        return stream

    def pipe(self) -> Iterator[int]:
        for end in os.pipe():
            self.addCleanup(os.close, end)
            yield end

    def test_standard_output_only_where_it_is_ours(self) -> None:
        read, write = self.pipe()
        self.assertEqual(self.open(""), [])
        [stream] = self.open("", self.output(write))
        assert isinstance(stream, Descriptor)
        stream.write("🎉\n".encode())
        self.assertEqual(os.read(read, 100), "🎉\n".encode())

    def test_standard_output_and_a_file(self) -> None:
        _, write = self.pipe()
        kinds = [type(stream) for stream in self.open(str(self.folder / "x.log"), self.output(write))]
        self.assertEqual(kinds, [Descriptor, LogFile])

    def test_nothing_is_written_twice_where_both_are_the_same(self) -> None:
        path = self.folder / "x.log"
        with path.open("ab") as file:
            [stream] = self.open(str(path), self.output(file.fileno()))
            self.assertIsInstance(stream, LogFile)
        with open(os.devnull, "ab") as null:
            self.assertEqual(len(self.open(os.devnull, self.output(null.fileno()))), 1)

    def test_a_named_pipe_that_nobody_reads_is_opened_at_once(self) -> None:
        path = self.folder / "pipe"
        os.mkfifo(path)
        [stream] = self.open(str(path))
        assert isinstance(stream, LogFile)
        self.addCleanup(stream.close)
        stream.write(b"line\n")
        with path.open("rb", buffering=0) as reader:
            self.assertEqual(reader.read(100), b"line\n")

    def test_what_cannot_hold_a_log_is_an_error_of_the_system(self) -> None:
        for path in (self.folder, self.folder / "no" / "such"):
            self.assertRaises(OSError, self.open, str(path))

    def test_a_disk_is_not_written_over(self) -> None:
        disk = mock.Mock(st_mode=stat.S_IFBLK | 0o660)
        with mock.patch.object(Path, "exists", return_value=True), mock.patch.object(Path, "stat", return_value=disk):
            self.assertRaises(OSError, streams._open, Path("/dev/some-disk"))

    def test_one_that_others_have_made_non_blocking_is_waited_for(self) -> None:
        read, write = self.pipe()
        os.set_blocking(write, False)
        data = os.urandom(300_000)
        writing = threading.Thread(target=Descriptor(write).write, args=(data,), daemon=True)
        writing.start()
        received = b""
        while len(received) < len(data):
            received += os.read(read, 65536)
        writing.join(PATIENCE)
        self.assertEqual(received, data)
