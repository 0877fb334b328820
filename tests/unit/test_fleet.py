from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise, takewhile

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import Refused, ReportRules, decode
from aiot_mqtt.simulate.fleet import (
    CHAOS,
    DUPLICATE,
    LAST_WILL,
    REFUSED,
    RETAINED,
    Fleet,
    FleetPlan,
    Message,
    numbered_uuids,
)

PLAN = FleetPlan(numbered_uuids(20), rate=100.0, silence=0.3, silence_seconds=2.0, chaos=0.2)


def messages(plan: FleetPlan, count: int = 5000) -> list[Message]:
    return list(islice(Fleet(plan).messages(), count))


class FleetTests(SynchronousTestCase):
    def test_the_same_seed_gives_the_same_bytes_and_another_one_others(self) -> None:
        self.assertEqual(messages(PLAN), messages(PLAN))
        self.assertNotEqual(messages(PLAN), messages(replace(PLAN, seed=2)))

    def test_names_sort_as_they_count(self) -> None:
        self.assertEqual(numbered_uuids(2), ("sim-0001", "sim-0002"))
        uuids = numbered_uuids(12345)
        self.assertEqual(list(uuids), sorted(uuids))

    def test_the_rate_is_that_of_the_whole_fleet(self) -> None:
        plan = replace(PLAN, silence=0.0, chaos=0.0)
        within = takewhile(lambda message: message.due < 10, Fleet(plan).messages())
        self.assertEqual(len(list(within)), 1000)

    def test_devices_take_turns(self) -> None:
        counts = Counter(message.device for message in messages(replace(PLAN, silence=0.0, chaos=0.0), 2000))
        self.assertEqual(set(counts.values()), {100})

    def test_kinds_are_shared_out_as_the_mix_says(self) -> None:
        kinds = Counter(message.kind for message in messages(replace(PLAN, silence=0.0, chaos=0.0, mix=(1, 0, 1))))
        self.assertEqual(set(kinds), {"data", "heartbeat"})
        self.assertApproximates(kinds["data"] / 5000, 0.5, 0.05)

    def test_reports_of_a_device_are_numbered_without_a_gap(self) -> None:
        seen = [0] * len(PLAN.uuids)
        for message in messages(replace(PLAN, chaos=0.0)):
            if message.sort != LAST_WILL:
                seen[message.device] += 1
                self.assertIn(b'"seq": %d}' % seen[message.device], message.payload)

    def test_a_silent_device_says_nothing_and_comes_back(self) -> None:
        plan = replace(PLAN, chaos=0.0)
        fleet = Fleet(plan)
        went, came_back, wills = 0, 0, 0
        silent: frozenset[str] = frozenset()
        moments = []
        for message in takewhile(lambda message: message.due < 60, fleet.messages()):
            if message.sort == LAST_WILL:
                wills += 1
                self.assertEqual((message.kind, message.payload), ("status", b"offline"))
            else:
                self.assertNotIn(plan.uuids[message.device], fleet.silent)
            went += len(fleet.silent - silent)
            came_back += len(silent - fleet.silent)
            silent = fleet.silent
            moments.append(len(silent))
        # Each device: 60 s of periods of 2 s / 0.3.
        self.assertApproximates(went, 20 * 9, 20)
        self.assertApproximates(came_back, went, 20)
        self.assertApproximates(wills / went, 0.5, 0.15)
        self.assertEqual(moments[0], 0)
        self.assertApproximates(sum(moments) / len(moments) / 20, 0.3, 0.06)

    def test_when_all_are_silent_nothing_is_due_until_one_comes_back(self) -> None:
        plan = FleetPlan(("only",), rate=1000.0, silence=0.5, silence_seconds=100.0)
        due = [message.due for message in messages(plan, 300_000)]
        gaps = [later - earlier for earlier, later in pairwise(due)]
        self.assertEqual(due, sorted(due))
        self.assertApproximates(max(gaps), 100.0, 0.1)

    def test_what_chaos_sends_is_taken_or_refused_as_it_says(self) -> None:
        seen = set()
        known = {uuid.encode() for uuid in PLAN.uuids}
        for message in messages(PLAN):
            seen.add(message.sort)
            try:
                decode(message.topic, message.payload, ReportRules())
                is_refused = message.topic.split(b"/")[1] not in known
            except Refused:
                is_refused = True
            self.assertEqual(is_refused, message.sort in REFUSED, message)
            self.assertEqual(message.retain, message.sort == RETAINED)
        self.assertEqual(seen, {*CHAOS, "ordinary", LAST_WILL})

    def test_chaos_has_its_share(self) -> None:
        sorts = Counter(message.sort for message in messages(PLAN))
        self.assertApproximates(sum(sorts[sort] for sort in CHAOS) / 5000, 0.2, 0.04)

    def test_a_duplicate_follows_what_it_repeats(self) -> None:
        before = None
        for message in messages(PLAN):
            if message.sort == DUPLICATE:
                assert before is not None
                self.assertEqual(before._replace(sort=DUPLICATE), message)
            before = message

    def test_what_was_retained_is_taken_back_once(self) -> None:
        fleet = Fleet(PLAN)
        retained = {message.topic for message in islice(fleet.messages(), 500) if message.retain}
        clearing = list(fleet.clearing())
        self.assertEqual(sorted(message.topic for message in clearing), sorted(retained))
        self.assertEqual({(message.retain, message.payload) for message in clearing}, {(True, b"")})
        self.assertEqual(list(fleet.clearing()), [])

    def test_the_topic_prefix_is_that_of_the_service(self) -> None:
        plan = FleetPlan(("a",), topic_prefix="site/devices", mix=(1, 0, 0))
        self.assertEqual(messages(plan, 1)[0].topic, b"site/devices/a/data")

    def test_each_device_stays_with_one_of_several_prefixes(self) -> None:
        plan = FleetPlan(tuple("abcd"), topic_prefix="x,y/z", mix=(1, 1, 1))
        topics = {message.topic.rpartition(b"/")[0] for message in messages(plan, 100)}
        self.assertEqual(topics, {b"x/a", b"y/z/b", b"x/c", b"y/z/d"})
