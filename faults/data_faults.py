"""What is written and by whom: values that the table refuses, batches that are too large, a second writer, a flood."""

from __future__ import annotations

import json
import threading

import pymysql
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from aiot_mqtt.simulate.fleet import ORDINARY, Message
from aiot_mqtt.simulate.publisher import Publisher, PublisherOptions

from .database_faults import kill_connections
from .world import VICTIMS, World

SMALL_PACKET = 32 * 1024  # bytes
FLOOD = 1_000_000  # messages
FLOOD_TICK = 0.01  # s
ROWS_OF_SECOND_WRITER = 200  # in one transaction
OWN_RULE = (
    "ALTER TABLE device_main ADD CONSTRAINT own_rule CHECK"
    " (last_report_data IS NULL OR COALESCE(JSON_EXTRACT(last_report_data, '$.temperature'), 0) < 1000)"
)
NARROW = "ALTER TABLE device_main MODIFY device_status varchar(12) CHARACTER SET utf8mb3 NOT NULL DEFAULT 'pending'"

HOT, FIRE, LONG = 5000, "🔥", "longer-than-twelve"
# What each victim says once: kind, payload; and what its row then holds: report or not, status.
REFUSED = (
    ("data", {"temperature": HOT}, False, "pending"),
    ("status", {"status": "hot", "temperature": HOT}, False, "hot"),
    ("status", {"status": FIRE}, True, "pending"),
    ("status", {"status": LONG}, True, "pending"),
    ("status", {"status": FIRE, "temperature": HOT}, False, "pending"),
    ("data", {"text": "x" * SMALL_PACKET}, False, "pending"),
)
NOT_TAKEN = sum(not is_report_taken for _, _, is_report_taken, _ in REFUSED)


async def bad_rows(world: World) -> None:
    """Payloads and statuses that the table refuses, inside batches of a thousand rows."""
    for statement in (OWN_RULE, NARROW, f"SET GLOBAL max_allowed_packet = {SMALL_PACKET}"):
        await world.thread(world.database.query, statement)
    await world.thread(kill_connections, world.database)
    # Once from memory, and once from the disk, where there is one to spool to.
    for outage, short in ((1.0, 0.5), (8.0, 2.0)):
        await world.thread(
            world.database.query, "UPDATE device_main SET last_seen = NULL WHERE uuid LIKE 'victim%%'", ()
        )
        await world.thread(world.database.freeze)
        for uuid, (kind, payload, _, _) in zip(VICTIMS, REFUSED, strict=True):
            world.load.speak(uuid, "heartbeat", b"")
            world.load.speak(uuid, kind, json.dumps(payload).encode())
        await world.sleep(outage, quick=short)
        world.database.thaw()
        await world.until(
            lambda: all((row := world.table.rows.get(uuid)) and row.last_seen for uuid in VICTIMS),
            "the rest of each refused row is written",
        )
    for uuid, (_, payload, is_report_taken, status) in zip(VICTIMS, REFUSED, strict=True):
        row = world.table.rows[uuid]
        if row.status != status or not row.is_online or row.last_heartbeat is None:
            world.findings.append(f"{uuid}: {row}")
        if (row.report and json.loads(row.report)) != (payload if is_report_taken else None):
            world.findings.append(f"{uuid} holds {row.report and row.report[:100]}")
    await world.until(
        lambda: world.service.figures.get("refused_refused_by_database") == 2 * NOT_TAKEN,
        "each refused report is counted, once",
    )
    await world.thread(world.database.query, "SET GLOBAL max_allowed_packet = 16777216")


async def big_batch(world: World) -> None:
    """A batch that is several times what the database takes in one packet."""
    await world.thread(world.database.query, f"SET GLOBAL max_allowed_packet = {SMALL_PACKET}")
    await world.thread(kill_connections, world.database)
    await world.thread(world.database.freeze)
    await world.sleep(2, quick=1)
    world.database.thaw()


async def second_writer(world: World) -> None:
    """Another program updates the same rows in the opposite order, many in a transaction."""
    ended = threading.Event()
    writing = world.thread(_write_backwards, world, ended)
    await world.sleep(15, quick=4)
    ended.set()
    world.details["conflicts_of_the_other"] = await writing
    world.details["conflicts"] = world.service.figures.get("retries_conflict", 0)


def _write_backwards(world: World, ended: threading.Event) -> int:
    """Blocks until told to end; returns how often this one had to give way."""
    conflicts = 0
    database = world.database
    ids = [row[0] for row in database.query("SELECT id FROM device_main ORDER BY uuid DESC")]
    with pymysql.connect(unix_socket=str(database.socket), user="root", database="aiot_admin") as connection:
        while not ended.is_set():
            some = world.random.sample(range(len(ids)), ROWS_OF_SECOND_WRITER)
            try:
                with connection.cursor() as cursor:
                    for each in sorted(some):
                        sql = "UPDATE device_main SET total_reports = total_reports + 1 WHERE id = %s"
                        cursor.execute(sql, (ids[each],))
                        ended.wait(0.001)  # so that the service comes in between
                connection.commit()
            except pymysql.err.OperationalError:  # a deadlock, or a lock wait
                connection.rollback()
                conflicts += 1
    return conflicts


async def flood(world: World) -> None:
    """A million QoS 0 messages from devices that nobody knows, while the database is gone."""
    wanted = FLOOD // 10 if world.scene.quick else FLOOD
    await world.thread(world.database.stop)
    publisher = Publisher(PublisherOptions("flood", qos=0), world.reactor, lambda: None)
    factory = Factory.forProtocol(lambda: publisher)
    factory.noisy = False
    await TCP4ClientEndpoint(world.reactor, "127.0.0.1", world.broker.port).connect(factory)
    await world.within(publisher.accepted, "the broker accepts the flood")
    while publisher.published < wanted:
        await world.sleep(FLOOD_TICK)
        if publisher.room:
            publisher.send([_stranger(world.random.getrandbits(64)) for _ in range(250)])
    await publisher.disconnect()
    await world.thread(world.database.start)


def _stranger(number: int) -> Message:
    return Message(0.0, 0, "data", b"devices/%016x/data" % number, b'{"seq": 1, "temperature": 21.5}', False, ORDINARY)
