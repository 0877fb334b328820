"""What happens to the database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

import pymysql

from rig.servers import Database

from .world import VICTIMS, World


async def killed(world: World) -> None:
    """SIGKILL, and started again."""
    await world.thread(world.database.kill)
    await world.sleep(2 * world.random.random(), quick=0.5)
    await world.thread(world.database.start)


async def stopped(world: World) -> None:
    """Stopped for a minute."""
    await world.thread(world.database.stop)
    await world.sleep(60, quick=3)
    await world.thread(world.database.start)


async def frozen(world: World) -> None:
    """Frozen for a minute: connections stay open, and nothing answers."""
    await world.thread(world.database.freeze)
    await world.sleep(60, quick=3)
    world.database.thaw()


async def read_only(world: World) -> None:
    """Read-only for some seconds, as a server that has become a replica."""
    await world.thread(world.database.query, "SET GLOBAL read_only = 1")
    await world.sleep(10, quick=1)
    await world.thread(world.database.query, "SET GLOBAL read_only = 0")


async def connections_killed(world: World) -> None:
    """Every connection of the pool killed at once."""
    world.details["killed"] = await world.thread(kill_connections, world.database)


async def max_connections(world: World) -> None:
    """Every connection that the server allows taken by somebody else, when the pool must reconnect."""
    others = await world.thread(_take_all_connections, world.database)
    await world.sleep(10, quick=2)
    for connection in others:
        connection.close()


async def rights(world: World) -> None:
    """The user's rights revoked, and granted again."""
    await world.thread(world.database.revoke)
    await world.sleep(10, quick=1)
    await world.thread(world.database.grant)


async def renamed(world: World) -> None:
    """The table renamed away and back, and a column added to it."""
    query = world.database.query
    await world.thread(query, "RENAME TABLE device_main TO device_main_away")
    await world.sleep(10, quick=1)
    await world.thread(query, "RENAME TABLE device_main_away TO device_main")
    await world.thread(query, "ALTER TABLE device_main ADD COLUMN added int NOT NULL DEFAULT 0 FIRST")


async def few_connections(world: World) -> None:
    """The server lets this user have two connections, where the pool wants fifteen."""
    user = f"'{world.database.service_user}'@'%'"
    await world.thread(world.database.query, f"ALTER USER {user} WITH MAX_USER_CONNECTIONS 2")
    await world.thread(kill_connections, world.database)
    await world.recovered()
    await world.sleep(10, quick=2)


async def in_another_mood(world: World) -> None:
    """What an administrator may have set for everybody, behind a proxy that loses what a session sets."""
    for setting in (
        "sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'",
        *("sql_safe_updates = 1", "binlog_format = 'STATEMENT'"),
    ):
        await world.thread(world.database.query, f"SET GLOBAL {setting}")
    await world.thread(kill_connections, world.database)
    quoted = {"text": "it's \\ 'x' -- \"", "seq": 7}
    await world.recovered()
    world.fleet.speak(VICTIMS[0], "data", json.dumps(quoted).encode())
    await world.until(lambda: (row := world.table.rows[VICTIMS[0]]) and row.report, "a report with quotes is stored")
    if json.loads(world.table.rows[VICTIMS[0]].report or "") != quoted:
        world.findings.append(f"{quoted} became {world.table.rows[VICTIMS[0]].report}")
    await world.sleep(5, quick=1)


async def slow_rows(world: World) -> None:
    """25 ms for each row that is written, so that a thousand of them take longer than a read may."""
    slowness = 0.01 if world.scene.quick else 0.025
    trigger = f"CREATE TRIGGER slow BEFORE UPDATE ON device_main FOR EACH ROW DO SLEEP({slowness})"
    await world.thread(world.database.query, trigger)
    began = world.fleet.sequence
    await world.until(
        lambda: sum(row.sequence > began for row in world.table.rows.values()) > 20, "rows are written, slowly"
    )
    await world.sleep(40, quick=4)
    await world.thread(world.database.query, "DROP TRIGGER slow")


def kill_connections(database: Database, spared: Sequence[int] = ()) -> int:
    """Kill the service user's connections, save those spared; returns how many. Blocks."""
    sql = "SELECT id FROM information_schema.processlist WHERE user = %s"
    ids = [row[0] for row in database.query(sql, (database.service_user,)) if row[0] not in spared]
    for each in ids:
        with contextlib.suppress(pymysql.MySQLError):  # it ended by itself
            database.query(f"KILL {each}")
    return len(ids)


def _take_all_connections(database: Database) -> list[pymysql.Connection[pymysql.cursors.Cursor]]:
    """Open connections until the server refuses one, kill those of the pool, and take their places too."""
    database.query("SET GLOBAL max_connections = 30")

    def kill_those_of_the_pool() -> None:
        spared = [connection.thread_id() for connection in taken]
        while True:
            try:
                kill_connections(database, spared)
            except pymysql.err.OperationalError:
                continue  # whoever looks at the table has the one connection more that an administrator may have
            return

    taken: list[pymysql.Connection[pymysql.cursors.Cursor]] = []
    for _ in range(2):
        with contextlib.suppress(pymysql.MySQLError):  # there are too many
            while True:
                taken.append(
                    pymysql.connect(
                        unix_socket=str(database.socket),
                        user=database.service_user,
                        password=database.service_password.encode(),
                    )
                )
        kill_those_of_the_pool()
    return taken
