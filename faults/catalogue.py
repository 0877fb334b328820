"""Every fault, in the order of a campaign."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from rig.brokers import RabbitCluster, RabbitMQ
from rig.galera import Galera
from rig.group_replication import GroupReplication

from . import broker_faults as broker
from . import cluster_faults as cluster
from . import data_faults as data
from . import database_faults as database
from . import disk_faults as disk
from . import hostile_faults as hostile
from . import network_faults as network
from . import own_faults as own
from . import rabbit_faults as rabbit
from . import service_faults as service
from . import spool_faults as spool
from . import standby_faults as standby
from .rounds import Fault
from .scene import Layout

BY_BROKER_RELAY = Layout(relayed=frozenset({"broker"}), settings={"MQTT_KEEPALIVE": "5"})
BY_DATABASE_RELAY = Layout(relayed=frozenset({"database"}))
BY_RELAYS = Layout(relayed=frozenset({"broker", "database"}))
# As its manual has it: what one node loses with its power, the others have.
GALERA = Layout(cluster=partial(Galera, settings=["--innodb-flush-log-at-trx-commit=0"]), rate=500)
# Else a node that joins again under load takes a minute to catch up on a slow disk.
UNSYNCED = ("--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2")
GROUP = Layout(cluster=partial(GroupReplication, settings=UNSYNCED), rate=500)
GALERA_BY_PROXY, GROUP_BY_PROXY = (replace(layout, is_proxied=True) for layout in (GALERA, GROUP))
GROUP_OF_PRIMARIES = Layout(cluster=partial(GroupReplication, is_multi_primary=True, settings=UNSYNCED), rate=500)
# The first of two instances; the second is started by the faults.
TWO = {"HA_MODE": "standby", "HA_NAME": "first"}
TWO_ON_GALERA, TWO_ON_GROUP = (
    replace(layout, settings=TWO, relayed=frozenset({"broker"})) for layout in (GALERA, GROUP)
)
# As docs/brokers.md advises.
PREFETCH = ["mqtt.prefetch = 1000"]
RABBIT = Layout(rabbit=partial(RabbitMQ, settings=PREFETCH), settings={"MQTT_KEEPALIVE": "5"}, rate=500)
RABBITS = replace(RABBIT, rabbit=partial(RabbitCluster, settings=PREFETCH))

FAULTS = (
    Fault("kill", "the service killed at a random moment", service.kill, rounds=50),
    Fault(
        "kill-steps",
        "the service killed before and after receipt, merge, commit and acknowledgement",
        service.kill_steps,
        rounds=4,
    ),
    Fault(
        "kill-spool-steps",
        "the service killed at each step of writing to the spool and of emptying it",
        service.kill_spool_steps,
        rounds=2,
        layout=Layout(devices=2500),
    ),
    Fault("db-killed", "the database killed and started again", database.killed),
    Fault("db-stopped", "the database stopped for 60 s", database.stopped, rounds=1),
    Fault("db-frozen", "the database frozen for 60 s", database.frozen, rounds=1),
    Fault("db-read-only", "the database read-only for 10 s", database.read_only),
    Fault("db-connections-killed", "every connection of the pool killed at once", database.connections_killed),
    Fault("db-max-connections", "no connection left when the pool must reconnect", database.max_connections),
    Fault("db-rights", "the user's rights revoked for 10 s", database.rights),
    Fault("db-renamed", "the table renamed away for 10 s, and a column added", database.renamed),
    Fault("db-few-connections", "two connections for a pool of fifteen", database.few_connections),
    Fault(
        "db-pool-of-one",
        "one connection for writes and sweeps, killed now and then",
        database.connections_killed,
        layout=Layout(
            settings={
                "DB_POOL_SIZE": "1",
                "DB_MAX_OVERFLOW": "0",
                "HEARTBEAT_TIMEOUT": "5",
                "HEARTBEAT_CHECK_INTERVAL": "1",
            }
        ),
    ),
    Fault(
        "db-mood",
        "NO_BACKSLASH_ESCAPES, ANSI_QUOTES, sql_safe_updates, binlog_format=STATEMENT, and our SET lost",
        database.in_another_mood,
        layout=Layout(database=("--log-bin",), orders=("unset",)),
    ),
    Fault(
        "db-slow",
        "25 ms for each row that is written",
        database.slow_rows,
        rounds=2,
        layout=Layout(settings={"HEARTBEAT_TIMEOUT": "0"}),
    ),
    Fault("net-broker-cut", "the way to the broker cut without a FIN", network.broker_cut, layout=BY_BROKER_RELAY),
    Fault("net-db-cut", "the way to the database cut without a FIN", network.database_cut, layout=BY_DATABASE_RELAY),
    Fault(
        "net-db-cut-commit",
        "the way to the database cut between UPDATE and COMMIT",
        network.database_cut_at_commit,
        layout=BY_DATABASE_RELAY,
        recovery_limit=network.COMMIT_RECOVERY,
    ),
    Fault("net-delay", "500 ms each way to broker and database", network.delayed, layout=BY_RELAYS),
    Fault("net-distant", "50 ms to the database and back", network.distant, layout=BY_DATABASE_RELAY),
    Fault(
        "net-narrow",
        "100 KB/s to the database, and 4 MB for it on disk",
        network.narrow,
        rounds=2,
        layout=BY_DATABASE_RELAY,
    ),
    Fault("net-trickle", "4 KB/s to the database, then to the broker", network.trickling, layout=BY_RELAYS),
    Fault(
        "broker-restart", "the broker restarted, with persistence", broker.restarted, layout=Layout(persistence=True)
    ),
    Fault(
        "broker-killed",
        "the broker killed and back without our session; after it each device publishes once more",
        broker.killed,
        last_words=True,
    ),
    Fault("rabbit-killed", "RabbitMQ killed, and back", rabbit.killed, layout=RABBIT),
    Fault("rabbit-frozen", "RabbitMQ frozen, and going on", rabbit.frozen, layout=RABBIT),
    Fault("rabbit-restarted", "RabbitMQ restarted", rabbit.restarted, layout=RABBIT),
    *(
        Fault(
            f"rabbit-three-{name}",
            f"RabbitMQ of three nodes with quorum queues: the one that the service is connected to {words}",
            happen,
            layout=RABBITS,
        )
        for name, words, happen in (
            ("killed", "killed, and back", rabbit.killed),
            ("frozen", "frozen, and going on", rabbit.frozen),
            ("restarted", "restarted", rabbit.restarted),
        )
    ),
    Fault("rival-once", "another client takes the client identifier once", broker.visited),
    Fault(
        "rival-instance",
        "a second instance of the service on another host, with the same client identifier, for half a minute",
        broker.shared_by_mistake,
    ),
    Fault(
        "rival-frozen",
        "a second instance has the session while the service is frozen, which then wakes",
        broker.frozen_meanwhile,
    ),
    Fault(
        "long-outage",
        "the database gone for 1,200,000 messages, the broker's queue at its default of 1000",
        broker.long_outage,
        layout=Layout(queue=None),
        rounds=1,
        may_drop=True,
        is_heavy=True,
    ),
    Fault(
        "long-outage-311",
        "the same over MQTT 3.1.1, where the broker drops; after it each device publishes once more",
        broker.long_outage,
        layout=Layout(queue=None, settings={"MQTT_PROTOCOL": "3.1.1"}),
        rounds=1,
        last_words=True,
        may_drop=True,
        is_heavy=True,
    ),
    Fault("bad-rows", "payloads and statuses that the table refuses, inside batches of 1,000", data.bad_rows),
    Fault("poison", "values that a trigger, a generated column or a SIGNAL refuse with any number", data.poison),
    Fault("twins", "two rows for a device, two spellings, blanks, and no unique key", data.twins),
    Fault("big-batch", "a batch of several times max_allowed_packet", data.big_batch),
    Fault("second-writer", "another program updates the same rows in the opposite order", data.second_writer),
    Fault(
        "qos0-flood",
        "1,000,000 QoS 0 messages of unknown devices while the database is gone",
        data.flood,
        rounds=1,
        recovery_limit=300,
        is_heavy=True,
    ),
    Fault(
        "clock",
        "the clock an hour back, and a day ahead, and right again, while some devices die",
        service.clock_set,
        layout=Layout(settings={"HEARTBEAT_TIMEOUT": "10", "HEARTBEAT_CHECK_INTERVAL": "1"}),
        last_words=True,
    ),
    Fault(
        "hostile-broker",
        "200,000 mutated packet streams from the broker (counted as messages)",
        None,
        rounds=1,
        alone=hostile.hostile_broker,
        is_heavy=True,
    ),
    Fault(
        "hostile-device",
        "1,000,000 mutated topics and payloads (counted as messages)",
        None,
        rounds=1,
        alone=hostile.hostile_device,
        is_heavy=True,
    ),
    Fault(
        "faults-inside",
        "decoding, a counter and a log observer raise, and the log file cannot be written",
        service.faults_inside,
        # Without a spool: where a count of many at once is what raises, as after a save, nobody can know how many.
        layout=Layout(
            settings={"LOG_FILE": "/dev/full", "SPOOL_FILE": ""},
            orders=("raise decode", "raise counter", "raise observer"),
        ),
    ),
    Fault(
        "faults-rooms",
        "writer, saver, spool, table, subscriber, sweep and a listener raise what nobody foresaw",
        own.in_every_room,
        layout=Layout(
            relayed=frozenset({"broker"}),
            settings={"HEARTBEAT_TIMEOUT": "5", "HEARTBEAT_CHECK_INTERVAL": "1", "LAST_SEEN_RESOLUTION": "1"},
            orders=own.ORDERS,
        ),
    ),
    Fault(
        "disk-calls",
        "each system call of the spool fails once, with each error (counted as messages)",
        None,
        rounds=1,
        alone=disk.every_call,
        is_heavy=True,
    ),
    Fault(
        "disk-errors",
        "system calls of the running service's spool fail, three in a row",
        disk.errors,
        rounds=2,
        layout=Layout(orders=("traceable",)),
    ),
    Fault(
        "disk-late",
        "the spool's disk mounted after the service began without it; after it each device publishes once more",
        disk.late,
        last_words=True,
    ),
    Fault(
        "spool-foreign",
        "another table's file, a link, and a file that all may write, by the spool's name",
        disk.foreign,
        rounds=2,
    ),
    Fault("spool-shared", "a second process of the service started before the first has ended", disk.two_processes),
    Fault("spool-other-table", "DB_TABLE changed between two runs, and changed back", disk.other_settings),
    Fault("spool-full", "the spool's disk full while it is filled, and while it is emptied", spool.full),
    Fault("spool-read-only", "the spool's folder read-only during an outage", spool.read_only),
    Fault(
        "spool-damaged",
        "the spool's file overwritten while the service is down; after it each device publishes once more",
        spool.damaged,
        last_words=True,
    ),
    Fault(
        "no-spool",
        "the database stopped for 10 s, without a spool",
        spool.absent,
        layout=Layout(settings={"SPOOL_FILE": ""}),
    ),
    Fault(
        "standby-killed",
        "two instances: the active one killed, then the other",
        standby.killed,
        rounds=20,
        layout=Layout(settings=TWO),
    ),
    Fault(
        "standby-frozen",
        "two instances: the active one frozen for a minute",
        standby.frozen,
        rounds=20,
        layout=Layout(settings=TWO),
    ),
    Fault(
        "standby-cut-off",
        "two instances: the active one cut off from the broker, or from the database, too",
        standby.cut_off,
        rounds=20,
        layout=Layout(settings=TWO, relayed=frozenset({"broker", "database"})),
    ),
    Fault(
        "standby-spool",
        "two instances: the active one killed, and back with its spool when the other has written",
        standby.spooled,
        rounds=20,
        layout=Layout(settings=TWO),
    ),
    Fault("galera-killed", "Galera: the node that is written to killed", cluster.killed, layout=GALERA),
    Fault("galera-frozen", "Galera: the node that is written to frozen", cluster.frozen, layout=GALERA),
    Fault("galera-isolated", "Galera: the node that is written to cut off", cluster.isolated, layout=GALERA),
    Fault("galera-majority", "Galera: the two other nodes frozen", cluster.majority_frozen, layout=GALERA),
    Fault(
        "galera-donor",
        "Galera: the node that is written to sends one that begins with nothing all of its data, locked",
        cluster.donating,
        layout=GALERA,
    ),
    Fault("galera-schema", "Galera: a column added and dropped", cluster.schema_change, layout=GALERA),
    Fault("galera-rolling", "Galera: each node restarted in turn", cluster.rolling_restart, layout=GALERA),
    *(
        Fault(
            f"galera-writer-{rows}",
            f"Galera: another program writes {rows} rows at a time on another node",
            cluster.second_writer(rows),
            layout=GALERA,
        )
        for rows in (1, 10, 50)
    ),
    *(
        Fault(f"galera-proxy-{name}", f"Galera behind HAProxy: {words}", happen, layout=GALERA_BY_PROXY)
        for name, words, happen in (
            ("killed", "the node that is written to killed", cluster.killed),
            ("frozen", "the node that is written to frozen", cluster.frozen),
            ("isolated", "the node that is written to cut off", cluster.isolated),
            ("kills", "each node killed in turn", cluster.killed_in_turn),
            ("rolling", "each node restarted in turn", cluster.rolling_restart),
        )
    ),
    Fault("group-killed", "Group Replication: the primary killed", cluster.killed, layout=GROUP),
    Fault("group-frozen", "Group Replication: the primary frozen", cluster.frozen, layout=GROUP),
    Fault("group-switchover", "Group Replication: another primary chosen", cluster.switched_over, layout=GROUP),
    Fault("group-majority", "Group Replication: both secondaries frozen", cluster.majority_frozen, layout=GROUP),
    Fault("group-schema", "Group Replication: a column added and dropped", cluster.schema_change, layout=GROUP),
    Fault("group-rolling", "Group Replication: each node restarted in turn", cluster.rolling_restart, layout=GROUP),
    *(
        Fault(f"group-proxy-{name}", f"Group Replication behind HAProxy: {words}", happen, layout=GROUP_BY_PROXY)
        for name, words, happen in (
            ("killed", "the primary killed", cluster.killed),
            ("frozen", "the primary frozen", cluster.frozen),
            ("switchover", "another primary chosen", cluster.switched_over),
        )
    ),
    Fault(
        "group-writer-50",
        "Group Replication of three primaries: another program writes 50 rows at a time on another node",
        cluster.second_writer(50),
        layout=GROUP_OF_PRIMARIES,
    ),
    *(
        Fault(
            f"{name}-standby-{what.replace(' ', '-')}",
            f"{words}: two instances, the active one {what}",
            happen,
            20,
            layout,
        )
        for name, words, layout in (
            ("galera", "Galera", TWO_ON_GALERA),
            ("group", "Group Replication", TWO_ON_GROUP),
        )
        for what, happen in (("killed", standby.killed), ("frozen", standby.frozen), ("cut off", standby.cut_off))
    ),
)
