"""Every system call that the spool makes fails once, below SQLite: nothing acknowledged is lost, no row moves back."""

from __future__ import annotations

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from faults.disk_calls import CALLS, DiskCalls, DiskFault, play_all, wrong_events


class DiskCallTests(TestCase):
    timeout = 600

    async def test_every_call_of_saving_emptying_deleting_and_setting_aside(self) -> None:
        took_effect, wrong = await deferToThread(play_all, 2, all_errors=False)
        self.assertEqual(wrong, [])
        self.assertEqual(set(took_effect), set(CALLS) - {"write", "ftruncate"})
        self.assertGreater(took_effect.total(), 300)

    async def test_who_takes_a_failed_save_for_saved_is_found_out(self) -> None:
        def play() -> list[str]:
            player = DiskCalls()
            try:
                last = player.count("outage")["fdatasync"]  # of a save that no later one makes up for
                return [
                    text
                    for number in range(last - 4, last + 1)
                    for text in player.play(DiskFault("outage", "lies", "fdatasync", "EIO", number, number))
                ]
            finally:
                player.close()

        self.assertTrue(any("was acknowledged" in text for text in await deferToThread(play)))


class EventTests(SynchronousTestCase):
    def test_a_row_that_moves_back_and_one_that_is_lost_are_seen(self) -> None:
        good = ["acknowledged a 1", "failed SpoolError 0", "stored a 1", "acknowledged a 2", "stored a 2", "stored a 2"]
        self.assertEqual(wrong_events(good), [])
        self.assertEqual(wrong_events([*good, "stored a 1"])[0], "a moved back from 2 to 1")
        self.assertEqual(len(wrong_events([*good, "acknowledged b 3"])), 1)
