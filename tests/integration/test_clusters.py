"""The clusters that other tests stand on: they start, replicate, and lose and take back a node."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rig.galera import Galera
from rig.group_replication import GroupReplication
from rig.selection import LONG_ROUND, only_in_all
from rig.servers import Database, unavailable


def uuids(node: Database) -> list[str]:
    return [row[0] for row in node.query("SELECT uuid FROM device_main ORDER BY uuid")]


@only_in_all(LONG_ROUND)
class GaleraTests(SynchronousTestCase):
    def test_loses_and_takes_back_a_node_that_was_cut_off_and_one_that_was_killed(self) -> None:
        with Galera() as cluster:
            first, second, third = cluster.nodes
            first.add_device("a")
            cluster.until_seen("a")
            cluster.isolate(first)
            cluster.until_size(second, 2)
            cluster.until_cut_off(first)
            second.add_device("b")
            cluster.heal(first)
            cluster.until_synced(first)
            cluster.until_seen("b")
            third.kill()
            first.add_device("c")
            third.start()
            cluster.until_synced(third)
            cluster.until_seen("c")
            for node in cluster.nodes:
                self.assertEqual(uuids(node), ["a", "b", "c"])


@only_in_all(LONG_ROUND)
class GroupReplicationTests(SynchronousTestCase):
    if unavailable("mysql"):
        skip = unavailable("mysql")

    def test_elects_another_primary_and_takes_the_killed_one_back(self) -> None:
        with GroupReplication() as cluster:
            first = cluster.nodes[0]
            self.assertIs(cluster.primary, first)
            first.add_device("a")
            first.kill()
            cluster.until_primary(other_than=first).add_device("b")
            first.start()
            first.join()
            cluster.until_seen("b")
            for node in cluster.nodes:
                self.assertEqual(uuids(node), ["a", "b"])
            self.assertEqual(first.query("SELECT @@super_read_only", database=None), [(1,)])
