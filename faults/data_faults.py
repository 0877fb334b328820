"""What is written and by whom: values that the table refuses, batches that are too large, a second writer, a flood."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

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
REFUSED: tuple[Refused, ...] = (
    ("data", {"temperature": HOT}, False, "pending"),
    ("status", {"status": "hot", "temperature": HOT}, False, "hot"),
    ("status", {"status": FIRE}, True, "pending"),
    ("status", {"status": LONG}, True, "pending"),
    ("status", {"status": FIRE, "temperature": HOT}, False, "pending"),
    ("data", {"text": "x" * SMALL_PACKET}, False, "pending"),
)
Refused = tuple[str, dict[str, object], bool, str]

ODD, NO_DATE, TOO_FAR, NO_DOCUMENT = 4242, 6000, 70_000, 7000
# Each in its own way; none with a number that is said to be about a value.
POISONOUS = (
    f"""CREATE TRIGGER own_words BEFORE UPDATE ON device_main FOR EACH ROW BEGIN
    IF JSON_EXTRACT(NEW.last_report_data, '$.temperature') = {ODD} THEN
        SIGNAL SQLSTATE '99123' SET MYSQL_ERRNO = 4242, MESSAGE_TEXT = 'not today';
    END IF;
    IF JSON_EXTRACT(NEW.last_report_data, '$.temperature') = {NO_DATE} THEN
        SET NEW.activated_at = STR_TO_DATE('not a date', '%Y-%m-%d');
    END IF;
    IF JSON_EXTRACT(NEW.last_report_data, '$.temperature') = {NO_DOCUMENT} THEN
        SET NEW.settings = JSON_EXTRACT('not json', '$.a');
    END IF;
END""",
    "ALTER TABLE device_main ADD COLUMN small tinyint GENERATED ALWAYS AS (JSON_EXTRACT(last_report_data, '$.far'))"
    " STORED",
)
POISONED: tuple[Refused, ...] = (
    ("data", {"temperature": ODD}, False, "pending"),
    ("data", {"temperature": NO_DATE}, False, "pending"),
    ("data", {"far": TOO_FAR}, False, "pending"),
    ("status", {"status": "hot", "temperature": ODD}, False, "hot"),
    ("data", {"temperature": 21}, True, "pending"),
)
TWINS = (
    "ALTER TABLE device_main DROP INDEX uk_device_main_uuid, ADD INDEX (uuid)",
    "INSERT INTO device_main (uuid, device_id, name, device_secret) VALUES ('VICTIM-1', 'twin-1', 'x', 'x'),"
    " ('victim-2 ', 'twin-2', 'x', 'x'), ('Victim-2', 'twin-3', 'x', 'x'), ('DEVICE-00007', 'twin-4', 'x', 'x')",
)


async def bad_rows(world: World) -> None:
    """Payloads and statuses that the table refuses, inside batches of a thousand rows."""
    await _refuse(world, (OWN_RULE, NARROW, f"SET GLOBAL max_allowed_packet = {SMALL_PACKET}"), REFUSED)
    await world.thread(world.database.query, "SET GLOBAL max_allowed_packet = 16777216")


async def poison(world: World) -> None:
    """Values that a trigger or a generated column refuses with numbers that nobody has on a list."""
    await _refuse(world, POISONOUS, POISONED)


async def twins(world: World) -> None:
    """Rows that are one device to the server, or two, and devices that spell themselves now so, now so."""
    for statement in TWINS:
        await world.thread(world.database.query, statement)
    await world.thread(kill_connections, world.database)
    for number in range(20 if world.scene.quick else 100):
        for uuid in ("victim-0", "VICTIM-0", "Victim-1", "victim-1", "victim-2", "nobody", "NOBODY"):
            world.fleet.speak(uuid, "data", b'{"seq": %d}' % (number + 1))
        await world.sleep(0.1)
    last = b'{"seq": 1000000}'
    for uuid in ("VICTIM-0", "victim-1", "victim-2"):
        world.fleet.speak(uuid, "data", last)
    await world.until(
        lambda: all(world.table.rows[uuid].sequence == 1_000_000 for uuid in VICTIMS[:3]), "each has its last report"
    )
    sql = "SELECT COUNT(*), COUNT(DISTINCT JSON_EXTRACT(last_report_data, '$.seq')) FROM device_main WHERE uuid = %s"
    for uuid, rows in (("victim-1", 2), ("victim-2", 3)):
        [found] = await world.thread(world.database.query, sql, (uuid,))
        if found != (rows, 1):
            world.findings.append(f"{uuid}: {found[0]} rows with {found[1]} reports, not {rows} with one")


async def _refuse(world: World, statements: Sequence[str], refused: Sequence[Refused]) -> None:
    """Have the table refuse what each victim says once; of each row the rest is written."""
    for statement in statements:
        await world.thread(world.database.query, statement)
    await world.thread(kill_connections, world.database)
    # Once from memory, and once from the disk, where there is one to spool to.
    for outage, short in ((1.0, 0.5), (8.0, 2.0)):
        await world.thread(
            world.database.query, "UPDATE device_main SET last_seen = NULL WHERE uuid LIKE 'victim%%'", ()
        )
        await world.thread(world.database.freeze)
        for uuid, (kind, payload, _, _) in zip(VICTIMS, refused, strict=False):
            world.fleet.speak(uuid, "heartbeat", b"")
            world.fleet.speak(uuid, kind, json.dumps(payload).encode())
        await world.sleep(outage, quick=short)
        world.database.thaw()
        await world.until(
            lambda: all((row := world.table.rows.get(uuid)) and row.last_seen for uuid in VICTIMS[: len(refused)]),
            "the rest of each refused row is written",
        )
    for uuid, (_, payload, is_report_taken, status) in zip(VICTIMS, refused, strict=False):
        row = world.table.rows[uuid]
        if row.status != status or not row.is_online or row.last_heartbeat is None:
            world.findings.append(f"{uuid}: {row}")
        if (row.report and json.loads(row.report)) != (payload if is_report_taken else None):
            world.findings.append(f"{uuid} holds {row.report and row.report[:100]}")
    not_taken = sum(not is_report_taken for _, _, is_report_taken, _ in refused)
    await world.until(
        lambda: world.service.figures.get("refused_refused_by_database") == 2 * not_taken,
        "each refused report is counted, once",
    )


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
