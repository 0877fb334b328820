"""The pure parts of the benchmark: what is published and must be stored, and what is made of what was measured."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import ReportRules, decode
from bench.against import THIS, compare, requirements
from bench.chart import chart
from bench.figures import Figure, Outcome, quantile, ratio_of_medians, ratios
from bench.hour_chart import WORDS, hour_chart
from bench.items import Bench, Scale
from bench.messages import LAST_UUID, Plan, last_reports, messages, next_report, turns, uuids
from bench.page import BEGIN, END, results_as_markdown
from bench.results import _item, figures, is_right, spread
from bench.rooms import by_room
from bench.runs import Run
from bench.scaling import BUSY, Costs
from bench.soak import SILENT, Moment, Soak
from bench.witness import PUBACK, PUBLISH_AT_QOS_1, Direction, Sightings
from rig import servers
from rig.document import fill_in
from rig.load import encode

CONDITIONS = {
    "date": "2026-11-25",
    "machine": {"processor": "p", "cores": 2, "memory_gib": 4, "kernel": "k", "sync_micros": 5},
    "versions": {"Python": "3"},
    "scale": asdict(Scale()),
}


class MessageTests(SynchronousTestCase):
    def test_the_last_reports_are_those_that_were_published_last(self) -> None:
        plans = (Plan(1000, 30), Plan(1000, 300, first=7000), Plan(50, 300), Plan(1, 10))
        for plan in (*plans, Plan(100, 30, only_heartbeats=True)):
            seen: dict[str, int] = {}
            for topic, payload in messages(plan):
                _, uuid, kind = topic.decode().split("/")
                if kind != "heartbeat":
                    seen[uuid] = json.loads(payload)["seq"]
            self.assertEqual(last_reports(plan), seen)
            self.assertEqual(seen[LAST_UUID], plan.last)

    def test_half_are_data_and_every_device_sends_every_kind(self) -> None:
        topics = [topic.decode().split("/") for topic, _ in messages(Plan(10_001, 100))][:-1]
        self.assertEqual(Counter(kind for _, _, kind in topics), {"data": 5000, "status": 1000, "heartbeat": 4000})
        self.assertEqual(len({(uuid, kind) for _, uuid, kind in topics}), 300)

    def test_heartbeats_only(self) -> None:
        kinds = [topic.rpartition(b"/")[2] for topic, _ in messages(Plan(100, 30, only_heartbeats=True))]
        self.assertEqual(Counter(kinds), {b"heartbeat": 99, b"data": 1})

    def test_the_service_takes_every_message(self) -> None:
        for topic, payload in messages(Plan(100, 10, payload_bytes=1024)):
            self.assertIsNone(decode(topic, payload, ReportRules()).ignored_status)
            self.assertEqual(len(payload), 1024)

    def test_a_row_of_another_run_is_no_row_of_this_one(self) -> None:
        first, second = Plan(100, 10, first=0), Plan(100, 10, first=100)
        self.assertEqual(set(last_reports(first).values()) & set(last_reports(second).values()), set())

    def test_packets_end_where_they_say(self) -> None:
        plan = Plan(20, 10, at_qos_1=15)
        packets, ends, _ = encode(messages(plan), plan.at_qos_1)
        sightings = Sightings()
        for start, end in zip([0, *ends], ends, strict=False):
            Direction(PUBLISH_AT_QOS_1, sightings.published).passed(packets[start:end])
        self.assertEqual(sightings.summary()["unacknowledged"], 15)

    def test_each_device_stays_with_one_of_several_prefixes_and_may_have_its_turn_anywhere(self) -> None:
        plan = Plan(301, 30, prefixes=("a", "b"), is_scattered=True)
        topics = [topic.decode().split("/") for topic, _ in messages(plan)]
        self.assertEqual(len({(prefix, uuid) for prefix, uuid, _ in topics}), 31)
        self.assertEqual(Counter(prefix for prefix, _, _ in topics[:-1]), {"a": 150, "b": 150})
        self.assertEqual({uuid for _, uuid, _ in topics[:30]}, {*uuids(30)})
        self.assertNotEqual([uuid for _, uuid, _ in topics[:30]], uuids(30))
        seen = {topic[1]: json.loads(payload)["seq"] for topic, (_, payload) in zip(topics, messages(plan), strict=True)
                if topic[2] != "heartbeat"}  # fmt: skip
        self.assertEqual(last_reports(plan), seen)

    def test_the_next_report_of_a_device_is_the_first_one_that_is_no_heartbeat(self) -> None:
        plan = Plan(1000, 30, first=7, is_scattered=True)
        place = 4
        name = turns(plan)[place]
        sent = [json.loads(payload)["seq"] for topic, payload in messages(plan)
                if topic.decode().split("/")[1] == name and not topic.endswith(b"heartbeat")]  # fmt: skip
        found, sequence = [], 0
        while (index := next_report(plan, place, sequence)) is not None:
            sequence = plan.first + index
            found.append(sequence)
        self.assertEqual(found, sent)


class SoakTests(SynchronousTestCase):
    def test_what_must_not_be_is_said(self) -> None:
        moment = Moment(1.0, 90_000_000, 2.5, 7, 0.1, SILENT)
        right = Soak(10_000, 150.0, 9_000, moments=[moment], offline=SILENT, offline_silent=SILENT)
        self.assertEqual(right.faults, [])
        self.assertIn("worst 2.5 s", "\n".join(right.summary()))
        for wrong in (
            replace(right, wrong_rows=1),
            replace(right, moments=[replace(moment, dropped=1)]),
            replace(right, offline=SILENT + 1),
            replace(right, offline_silent=SILENT - 1),
            replace(right, moments=[replace(moment, offline=SILENT + 1)]),
        ):
            self.assertEqual(len(wrong.faults), 1, wrong)


class ScalingTests(SynchronousTestCase):
    COSTS = Costs({"publisher": 2e-6, "broker": 8e-6, "service": 20e-6, "database": 30e-6}, cores=2)

    def test_few_cores_are_shared_by_all_and_many_leave_it_to_the_slowest_process(self) -> None:
        self.assertAlmostEqual(self.COSTS.one(), 2 * BUSY / 60e-6)
        self.assertAlmostEqual(self.COSTS.several(2), 2 / 60e-6)
        many = replace(self.COSTS, cores=16)
        self.assertAlmostEqual(many.one(), 1 / 20e-6)
        self.assertAlmostEqual(many.several(2), 1 / 10e-6)
        self.assertAlmostEqual(many.several(4), 1 / 8e-6)

    def test_the_way_to_the_database_costs_the_less_the_more_there_is_to_write(self) -> None:
        self.assertAlmostEqual(self.COSTS.away(0.0, 100_000), self.COSTS.one())
        shares = [self.COSTS.away(0.02, count) / self.COSTS.one() for count in (1_000, 100_000, 1_000_000)]
        self.assertEqual(shares, sorted(shares))
        self.assertTrue(0.3 < shares[0] < 0.6 and 0.8 < shares[1] < 1)


class WitnessTests(SynchronousTestCase):
    def test_it_notes_what_was_acknowledged_and_what_was_not(self) -> None:
        sightings = Sightings()
        to_us, from_us = Direction(PUBLISH_AT_QOS_1, sightings.published), Direction(PUBACK, sightings.acknowledged)
        at_qos_1 = b"".join(b"\x32\x06\x00\x01t\x00%c\x00" % number for number in (1, 2, 3))
        stream = b"\x90\x02\x00\x01" + at_qos_1 + b"\x30\x04\x00\x01t\x00"
        for at in range(len(stream)):
            to_us.passed(stream[at : at + 1])
        from_us.passed(b"\xc0\x00\x40\x02\x00\x01\x40")
        summary = sightings.summary()
        self.assertEqual((summary["acknowledged"], summary["unacknowledged"], summary["out_of_order"]), (1, 2, 0))
        from_us.passed(b"\x02\x00\x03")
        summary = sightings.summary()
        self.assertEqual((summary["acknowledged"], summary["unacknowledged"], summary["out_of_order"]), (2, 1, 1))
        self.assertGreaterEqual(summary["max"], summary["p50"])
        self.assertGreater(summary["p50"], 0)

    def test_what_held_a_message_back_shows_in_the_time_since_it_was_due(self) -> None:
        sightings = Sightings(rate=10.0)
        for at, identifiers in ((5.0, b"\0\1"), (5.1, b"\0\2"), (7.0, b"\0\3\0\4")):
            sightings.published(identifiers, at)
            sightings.acknowledged(identifiers, at + 0.05)
        for waits, expected in (
            (sightings.waits(), (0.05, 0.05, 0.05, 0.05)),
            (sightings.waits_since_due(), (0.05, 0.05, 1.85, 1.75)),
        ):
            self.assertEqual([round(wait, 6) for wait in waits], [*expected])
        self.assertAlmostEqual(sightings.summary()["p99_since_due"], 1850)


class FigureTests(SynchronousTestCase):
    def test_a_target_is_met_by_the_median(self) -> None:
        self.assertTrue(Figure("1", "", (0.7, 0.9, 0.8), at_least=0.8).is_met)
        self.assertFalse(Figure("1", "", (3.0, 3.2, 3.1), at_most=3).is_met)
        self.assertIsNone(Figure("1", "", (1.0,)).is_met)
        self.assertFalse(Figure("1", "", (), at_least=1).is_met)

    def test_ratios_are_taken_within_a_round_that_has_both(self) -> None:
        quick, slow = Run(100, 0.0, 1.0, 0.5), Run(100, 0.0, 4.0, 0.5)
        outcome = Outcome(rounds=[{"a": quick, "b": slow}, {"a": quick}, {"a": slow, "b": slow}])
        self.assertEqual(ratios(outcome, "a", "b", "rate"), (4.0, 1.0))

    def test_a_ratio_of_medians_stands_for_the_median_of_ratios(self) -> None:
        runs = ((1.0, 1.0), (4.0, 2.0), (2.0, 8.0))
        outcome = Outcome(rounds=[{"a": Run(8, 0.0, a, 0.1), "b": Run(8, 0.0, b, 0.1)} for a, b in runs])
        self.assertEqual(ratio_of_medians(outcome, "a", "b", "seconds"), 1.0)
        self.assertIsNone(ratio_of_medians(outcome, "a", "c", "seconds"))
        figure = Figure("1", "", (2.0, 3.0), "×", at_most=1, of_medians=1.0)
        self.assertTrue(figure.is_met)
        self.assertEqual(spread([2.0, 3.0], "×", figure.median), "1.00 × (2.00–3.00)")

    def test_every_second_round_goes_backwards(self) -> None:
        order: list[str] = []

        def step(name: str) -> Run:
            order.append(name)
            return Run(1, 0.0, 1.0, 0.0)

        nowhere: Any = None
        bench = Bench(nowhere, Scale(rounds=3), lambda _line: None, lambda _line: None)
        bench.rounds("item", {"a": lambda: step("a"), "b": lambda: step("b")})
        self.assertEqual("".join(order), "abbaab")

    def test_quantiles(self) -> None:
        values = [float(value) for value in range(1000, 0, -1)]
        self.assertEqual([quantile(values, share) for share in (0.5, 0.99, 1.0)], [501, 991, 1000])
        self.assertRaises(ValueError, quantile, array("d"), 0.5)

    def test_spread_names_median_and_range(self) -> None:
        self.assertEqual(spread([1.0, 3.0, 2.0], "×"), "2.00 × (1.00–3.00)")
        self.assertEqual(spread([1234.5]), "1,234")
        self.assertEqual(spread([]), "not measured")


class AgainstTests(SynchronousTestCase):
    def test_more_is_better_but_for_the_times(self) -> None:
        ours, theirs = (Run(100, 0.0, 1.0 * by, 0.5 * by, p50=1.0 * by, p99=2.0 * by) for by in (1, 2))
        outcome = Outcome(rounds=[{THIS: ours, "other": theirs}])
        free, paced = (compare("load", outcome, "other", is_paced=is_paced) for is_paced in (False, True))
        self.assertEqual([(figure.median, figure.is_met) for figure in free], [(2.0, True), (2.0, True)])
        self.assertEqual([(figure.median, figure.is_met) for figure in paced], [(2.0, True), (0.5, None), (0.5, None)])

    def test_a_slower_tree_misses_what_is_wanted(self) -> None:
        outcome = Outcome(rounds=[{THIS: Run(100, 0.0, 1.05, 0.5), "other": Run(100, 0.0, 1.0, 0.5)}])
        self.assertEqual([figure.is_met for figure in compare("load", outcome, "other", is_paced=False)], [False, True])

    def test_trees_that_require_other_packages_differ(self) -> None:
        ours = requirements(servers.ROOT)
        self.assertTrue(any(each.startswith("twisted") for each in ours))
        other = Path(self.mktemp())
        other.mkdir()
        text = (servers.ROOT / "setup.cfg").read_text("utf-8")
        (other / "setup.cfg").write_text(text.replace("orjson>=", "orjson>=9"), "utf-8")
        self.assertEqual(len(requirements(other) ^ ours), 2)


class ProfileTests(SynchronousTestCase):
    def test_the_innermost_room_counts_and_waiting_does_not(self) -> None:
        stacks = (
            "run (/x/twisted/internet/base.py:1);feed (/aiot_mqtt/mqtt/packets.py:2);loads (/x/json/__init__.py:3) 30\n"
            "run (/x/twisted/internet/base.py:1);write (/x/aiot_mqtt/table/mysql.py:2);escape (/x/pymysql/c.py:3) 10\n"
            "run (/x/twisted/threads.py:1);Condition.wait (/usr/lib/python3/threading.py:3) 900\n"
            "EPollReactor.doPoll (/x/twisted/internet/epollreactor.py:227) 900\n"
        )
        self.assertEqual(by_room(stacks), {"packets": 0.75, "PyMySQL": 0.25})


class ResultTests(SynchronousTestCase):
    def setUp(self) -> None:
        runs = {"aiot-mqtt": Run(1000, 0.0, 0.5, 0.1, rows=400), "ORM": Run(1000, 0.0, 50.0, 9.0, rows=1000)}
        outcome = Outcome([Figure("3", "of <the ORM's>", (100.0,), "×", at_least=100)], [runs])
        self.results = {
            **CONDITIONS,
            "items": {"throughput": _item(outcome)},
        }

    def test_they_survive_json(self) -> None:
        read = json.loads(json.dumps(self.results))
        self.assertEqual(figures(read)[0]["median"], 100.0)
        self.assertTrue(is_right(read))
        read["items"]["throughput"]["failures"].append("lost")
        self.assertFalse(is_right(read))

    def test_figures_come_in_the_order_of_their_numbers(self) -> None:
        item = self.results["items"]["throughput"]  # type: ignore[index]
        item["figures"] = [{"number": number} for number in ("10", "2", "1")]
        self.assertEqual([figure["number"] for figure in figures(self.results)], ["1", "2", "10"])

    def test_the_chart_is_a_picture_that_says_what_it_shows(self) -> None:
        root = ElementTree.fromstring(chart(self.results))
        told = "".join(root.itertext())
        self.assertIn("aiot-mqtt 2,000; paho + SQLAlchemy 20", told)
        self.assertIn("prefers-color-scheme: dark", told)
        bars = [float(bar.attrib["width"]) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertAlmostEqual(bars[0] / bars[1], 100, delta=5)

    def test_a_long_run_is_drawn_to_scale_in_each_language(self) -> None:
        moments = [Moment(60.0 * n, 200_000_000, lag, 0, 0.0, SILENT) for n, lag in enumerate((0.0, 1.0, 2.0, 0.5))]
        for language in WORDS:
            root = ElementTree.fromstring(hour_chart(asdict(Soak(2000, 30.0, moments=moments)), language))
            self.assertIn("2,000", "".join(root.itertext()))
            lags, memory = (path.attrib["d"][1:].split() for path in root.iter("{http://www.w3.org/2000/svg}path"))
            heights = [float(point.partition(",")[2]) for point in lags]
            for moment, height in zip(moments, heights, strict=True):
                self.assertAlmostEqual((heights[0] - height) / (heights[0] - heights[2]), moment.lag / 2)
            self.assertEqual(len({point.partition(",")[2] for point in memory}), 1)

    def test_times_have_columns_where_somebody_watched(self) -> None:
        watched = _item(Outcome(rounds=[{"aiot-mqtt": Run(1000, 0.0, 1.0, 0.1, p50=0.5, p99=1.25)}]))
        told = results_as_markdown({**self.results, "items": {"latency": watched}})
        self.assertIn("| p50, ms | p99, ms |", told)
        self.assertIn("| 0.50 | 1.25 |", told)

    def test_results_take_the_place_of_older_ones_in_the_document(self) -> None:
        path = Path(self.mktemp())
        path.write_text(f"before\n{BEGIN}\noutdated\n{END}\nafter\n")
        for _ in range(2):
            fill_in(path, BEGIN, END, results_as_markdown(self.results))
            text = path.read_text()
            self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n"))
            self.assertNotIn("outdated", text)
            self.assertIn("| 3 | of <the ORM's> | 100 × | ≥ 100 × | ✓ |", text)
        path.write_text("no place")
        self.assertRaises(ValueError, fill_in, path, BEGIN, END, "")

    def test_the_document_has_the_marks(self) -> None:
        text = (servers.ROOT / "docs" / "performance.md").read_text("utf-8")
        self.assertIn(BEGIN, text.partition(END)[0])
