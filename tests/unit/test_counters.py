"""The figures, and how they are handed out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry.counters import Counters, balance


class CountersTests(SynchronousTestCase):
    def test_everything_starts_at_nothing(self) -> None:
        self.assertEqual(
            Counters().as_dict(),
            {
                "received": 0,
                "recovered": 0,
                "stored": 0,
                "superseded": 0,
                "unchanged": 0,
                "retained": 0,
                "stale": 0,
                "dropped": 0,
                "status_ignored": 0,
                "went_silent": 0,
                "odd_last_seen": 0,
                "came_back": 0,
                "sweep_failures": 0,
            },
        )

    def test_refusals_and_retries_are_told_by_reason_in_order(self) -> None:
        counters = Counters()
        counters.received, counters.stored, counters.superseded = 1, 2, 3
        counters.retained, counters.dropped, counters.status_ignored = 4, 5, 6
        counters.unchanged = 14
        counters.went_silent, counters.came_back = 10, 11
        counters.odd_last_seen, counters.sweep_failures = 12, 13
        counters.refused["too_deep"] += 7
        counters.refused["bad_json"] += 8
        counters.retries["conflict"] += 9
        self.assertEqual(
            list(counters.as_dict().items()),
            [
                ("received", 1),
                ("recovered", 0),
                ("stored", 2),
                ("superseded", 3),
                ("unchanged", 14),
                ("retained", 4),
                ("stale", 0),
                ("dropped", 5),
                ("status_ignored", 6),
                ("went_silent", 10),
                ("odd_last_seen", 12),
                ("came_back", 11),
                ("sweep_failures", 13),
                ("refused_bad_json", 8),
                ("refused_too_deep", 7),
                ("retries_conflict", 9),
            ],
        )

    def test_each_delivery_counts_once_on_each_side(self) -> None:
        counters = Counters()
        counters.received, counters.recovered = 2**6 - 1, 2**6
        counters.stored, counters.superseded, counters.unchanged = 1, 2, 4
        counters.retained, counters.dropped = 8, 16
        counters.refused["bad_json"], counters.refused["too_deep"] = 30, 2
        sides = counters.balance(pending=2**6)
        self.assertEqual(sides.difference, 0)
        self.assertEqual(sides.deliveries, {"received": 63, "recovered": 64})
        self.assertEqual(sides.outcomes["refused"], 32)
        # Nothing else is a delivery.
        counters.status_ignored = counters.went_silent = counters.odd_last_seen = counters.came_back = 100
        counters.sweep_failures = counters.retries["conflict"] = 100
        self.assertEqual(counters.balance(2**6), sides)
        self.assertEqual(counters.balance(2**6 - 1).difference, 1)

    def test_figures_that_are_not_all_there_have_no_balance(self) -> None:
        self.assertRaises(KeyError, balance, Counters().as_dict())

    def test_two_services_do_not_count_together(self) -> None:
        Counters().refused["bad_json"] += 1
        self.assertEqual(Counters().refused["bad_json"], 0)

    def test_a_figure_that_does_not_exist_cannot_be_counted(self) -> None:
        self.assertRaises(AttributeError, setattr, Counters(), "recieved", 1)
