from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.presence.regularity import Evidence, Regularity


class RegularityTests(SynchronousTestCase):
    def test_nothing_heard_is_no_evidence(self) -> None:
        regularity = Regularity()
        self.assertIsNone(regularity.evidence(300))
        regularity.heard("a", 0)
        self.assertIsNone(regularity.evidence(300))

    def test_a_regular_fleet(self) -> None:
        regularity = Regularity()
        for turn in range(100):
            for device in range(50):
                regularity.heard(f"d{device}", 60.0 * turn + device * 0.01)
        self.assertEqual(regularity.evidence(300), Evidence(99 * 50, 60, 0, 0))

    def test_one_interval_in_a_thousand_does_not_count(self) -> None:
        regularity = Regularity()
        now = 0.0
        for turn in range(1001):
            now += 250 if turn == 500 else 30
            regularity.heard("a", now)
        evidence = regularity.evidence(300)
        assert evidence is not None
        self.assertEqual((evidence.intervals, evidence.usual), (1000, 30))

    def test_devices_that_report_about_the_timeout_will_flap(self) -> None:
        regularity = Regularity()
        for turn in range(6):
            for device in range(12):
                regularity.heard(f"slow{device}", 300.0 * turn + device)
            for device in range(88):
                regularity.heard(f"fast{device}", 60.0 * turn)
        evidence = regularity.evidence(300)
        assert evidence is not None
        self.assertEqual((evidence.flapping, evidence.flapping_interval), (12, 300))

    def test_an_interruption_is_not_taken_for_an_interval(self) -> None:
        regularity = Regularity()
        for now in (0, 60, 120):
            regularity.heard("a", now)
        regularity.interrupted()
        for now in (5000, 5060):
            regularity.heard("a", now)
        self.assertEqual(regularity.evidence(300), Evidence(3, 60, 0, 0))

    def test_counting_begins_anew_after_each_report(self) -> None:
        regularity = Regularity()
        for now in (0, 10, 20):
            regularity.heard("a", now)
        self.assertIsNotNone(regularity.evidence(300))
        self.assertIsNone(regularity.evidence(300))

    def test_memory_is_bounded_and_a_sample_tells_the_same(self) -> None:
        chance = random.Random(7)
        regularity = Regularity(max_devices=500)
        names = [f"device-{number}" for number in range(20_000)]
        for turn in range(5):
            for name in names:
                regularity.heard(name, 100.0 * turn + chance.random())
        self.assertLessEqual(len(regularity._devices), 500)
        evidence = regularity.evidence(100)
        assert evidence is not None
        self.assertIn(evidence.usual, (100, 110))
        self.assertTrue(15_000 < evidence.flapping < 25_000, evidence)

    def test_intervals_are_kept_as_a_few_numbers(self) -> None:
        regularity = Regularity()
        now = 0.0
        for number in range(20_000):
            now += number / 7
            regularity.heard("a", now)
        self.assertLess(len(regularity._intervals), 400)
