"""What a thread that waits for the database's answer does while none comes."""

from __future__ import annotations

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.table import link
from aiot_mqtt.table.link import Deadline, Link


class SilenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(link, "SILENT", 0.01)
        ours, self.peer = socket.socketpair()
        for each in (ours, self.peer):
            self.addCleanup(each.close)
        self.asked = 0
        self.answers: list[bytes] = []
        self.deadline = Deadline()
        self.link = Link(ours, self.deadline, when_silent=self.when_silent)
        self.link.settimeout(60)

    def when_silent(self) -> None:
        self.asked += 1
        if not self.answers:
            raise TimeoutError("a donor")
        self.peer.sendall(self.answers.pop())

    def read(self) -> bytes:
        buffer = memoryview(bytearray(10))
        return bytes(buffer[: self.link.recv_into(buffer)])

    def test_what_comes_at_once_is_taken_without_a_question(self) -> None:
        self.peer.sendall(b"now")
        self.assertEqual((self.read(), self.asked), (b"now", 0))

    def test_what_comes_later_is_waited_for_with_one_question_each_time(self) -> None:
        self.answers = [b"two", b"one"]
        self.assertEqual((self.read(), self.asked), (b"one", 1))
        self.peer.sendall(b"now")
        self.assertEqual((self.read(), self.asked), (b"now", 1))
        self.assertEqual((self.read(), self.asked), (b"two", 2))

    def test_one_that_is_not_worth_waiting_for_is_not_waited_for(self) -> None:
        error = self.assertRaises(TimeoutError, self.read)
        self.assertEqual((str(error), self.asked), ("a donor", 1))

    def test_the_time_that_is_left_is_waited_for(self) -> None:
        self.link.settimeout(0.03)
        self.answers = [b""]
        error = self.assertRaises(TimeoutError, self.read)
        self.assertEqual((str(error), self.asked), ("timed out", 1))

    def test_what_is_opened_or_takes_less_is_not_asked_about(self) -> None:
        self.link.settimeout(0.005)
        self.assertRaises(TimeoutError, self.read)
        self.link.settimeout(60)
        with self.deadline.within(0.03):
            self.assertRaises(TimeoutError, self.read)
        self.assertEqual(self.asked, 0)

    def test_what_is_shut_down_meanwhile_ends_at_once(self) -> None:
        self.patch(link, "SILENT", 60)
        ending = threading.Timer(0.01, self.link.shutdown, (socket.SHUT_RDWR,))
        ending.start()
        self.addCleanup(ending.join)
        self.assertEqual((self.read(), self.asked), (b"", 0))
