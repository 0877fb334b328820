"""Each fault of the campaign once, in its short form, and that the campaign finds what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from faults.catalogue import FAULTS
from faults.document import ONE_SERVER, group_of
from faults.rounds import Fault, Outcome, play
from faults.scene import Layout, Scene
from faults.world import World
from rig import servers
from rig.selection import LONG_ROUND, OTHER_SERVERS, only_in_all

BY_NAME = {fault.name: fault for fault in FAULTS}
# What depends on the database's server or the broker's version more than others.
OF_OTHER_SERVERS = (
    *("kill-steps", "db-killed", "db-read-only", "db-renamed", "db-mood", "bad-rows", "poison", "twins"),
    *("broker-restart", "rival-once"),
)
IN_EACH_RUN = {fault.name for fault in FAULTS if group_of(fault) == ONE_SERVER} | {"standby-killed"}
ON_CLUSTERS = {fault.name for fault in FAULTS if fault.layout.cluster is not None}
ELSEWHERE = {"disk-calls"}  # test_disk_calls
MINUTES_LONG = {"group-rolling"}
# The campaign plays the others: a node takes up to a quarter of a minute to start, and what is sent again behind one of
# three that was killed is not always told from what is old (docs/brokers.md).
ON_RABBIT = {"rabbit-killed", "rabbit-three-frozen"}
NOT_HERE = {fault.name for fault in FAULTS if fault.layout.rabbit is not None} - ON_RABBIT


def is_on_mysql(name: str) -> bool:
    """Whether the fault brings its own MySQLs, in a group."""
    return name.startswith("group-")


class FaultsCase(TestCase):
    timeout = 600

    async def play(self, fault: Fault, scene: Scene) -> Outcome:
        """Play one round, a second one where the broker itself made the first void."""
        for seed in (1, 2):
            outcome = await play(fault, scene, seed, reactor, lambda _world: None)
            if not outcome.void:
                break
        return outcome


def with_each(names: Iterable[str], scene: Scene) -> Callable[[type], type]:
    """Give a test case one method for each of these faults."""

    def method(fault: Fault) -> Any:
        async def test(self: FaultsCase) -> None:
            outcome = await self.play(fault, scene)
            self.assertEqual((outcome.void, outcome.wrong, outcome.lost, outcome.moved_back), ("", [], 0, 0), outcome)

        return test

    def decorate(case: type) -> type:
        for name in names:
            setattr(case, f"test_{name.replace('-', '_')}", method(BY_NAME[name]))
        return case

    return decorate


@with_each(IN_EACH_RUN - ELSEWHERE, Scene(quick=True))
class FaultTests(FaultsCase):
    """Mosquitto 2.0 and MariaDB."""


@only_in_all(LONG_ROUND)
@with_each(BY_NAME.keys() - IN_EACH_RUN - ON_CLUSTERS - NOT_HERE, Scene(quick=True))
class LongerFaultTests(FaultsCase):
    """The other faults of two instances, and those of other brokers."""


class ClusterCase(FaultsCase):
    """Plays faults one after the other: several clusters at a time are more than a machine of two cores can take.

    Each fault has a cluster of its own all the same: after some it is not what it was, another node is the primary, or
    one has only just come back.
    """

    timeout = 1800

    async def play_each(self, names: Iterable[str]) -> None:
        """Play a quick round of each, and tell of all that were wrong."""
        wrong: dict[str, Outcome] = {}
        for name in names:
            outcome = await self.play(BY_NAME[name], Scene(quick=True))
            if outcome.void or not outcome.is_right:
                wrong[name] = outcome
        self.assertEqual(wrong, {})


@only_in_all(LONG_ROUND)
class GaleraTests(ClusterCase):
    """Three MariaDBs."""

    async def test_each_fault_with_the_addresses_of_all_nodes(self) -> None:
        await self.play_each(name for name in self.names() if not BY_NAME[name].layout.is_proxied)

    async def test_each_fault_behind_a_proxy(self) -> None:
        await self.play_each(name for name in self.names() if BY_NAME[name].layout.is_proxied)

    def names(self) -> list[str]:
        return [name for name in BY_NAME if name in ON_CLUSTERS and not is_on_mysql(name)]


@only_in_all(LONG_ROUND)
class GroupReplicationTests(ClusterCase):
    """Three MySQLs."""

    skip = servers.unavailable("mysql")

    async def test_each_fault_but_one_that_takes_minutes(self) -> None:
        await self.play_each(name for name in BY_NAME if is_on_mysql(name) and name not in MINUTES_LONG)

    async def test_three_nodes_that_join_again_under_load(self) -> None:
        await self.play_each(MINUTES_LONG)


@only_in_all(OTHER_SERVERS)
@with_each(OF_OTHER_SERVERS, Scene(database="mysql", broker="2.1", quick=True))
class OtherServersTests(FaultsCase):
    """Mosquitto 2.1 and MySQL."""

    skip = servers.unavailable("mysql") or servers.unavailable("2.1")


async def _killed_during_an_outage(world: World) -> None:
    await world.thread(world.database.freeze)
    await world.sleep(0.5)
    await world.kill_service()
    world.database.thaw()


class CampaignTests(FaultsCase):
    """A campaign that finds nothing wrong says something only if it can."""

    async def play_with(self, *orders: str) -> Outcome:
        fault = Fault("", "", _killed_during_an_outage, layout=Layout(orders=orders), recovery_limit=15.0)
        return await self.play(fault, Scene(quick=True))

    async def test_a_service_that_acknowledges_too_early_is_found_out(self) -> None:
        outcome = await self.play_with("lie")
        self.assertGreater(outcome.lost, 0)
        self.assertFalse(outcome.is_right)

    async def test_the_same_without_the_lie_is_right(self) -> None:
        outcome = await self.play_with()
        self.assertTrue(outcome.is_right, outcome)
