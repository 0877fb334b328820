"""``scripts/demo --story``: what the service is for, in six steps on a real broker and a real database."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiot_mqtt.health.state import State
from aiot_mqtt.telemetry.bilingual import Bilingual
from faults.fleet import WORDS, Acknowledged
from faults.replay import tell
from faults.rounds import Fault
from faults.scene import Layout, Scene
from faults.told import StoryWorld
from faults.world import World
from rig.narrator import AWAY, Narrator

DEVICES = 200
RATE = 1000.0  # messages a second
LOOK = 3.0  # s of messages between two steps, for whoever looks at the page
MISSED = 3.0  # s of messages that come while the service is dead, beside those for who looks: a page is grey after 5 s
SLOWEST = 2  # s between two messages of a device; its heartbeats, which are 40 of 100, then take 5
DEAD_SHARE = 20  # one device of so many dies
TIMEOUT = 8  # s of silence; far above the half second between two heartbeats of a device
SETTINGS = {"HEARTBEAT_TIMEOUT": str(TIMEOUT), "HEARTBEAT_CHECK_INTERVAL": "1"}

Step = Callable[["Teller"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Teller:
    """What a step needs."""

    world: StoryWorld
    look: float
    """Seconds of messages for whoever looks at the page."""

    @property
    def narrator(self) -> Narrator:
        """Tells it."""
        return self.world.narrator

    async def messages(self, seconds: float) -> None:
        """Wait until as many messages are acknowledged as are published in this time."""
        wanted = self.world.fleet.acknowledged + int(seconds * self.world.fleet.rate)
        await self.world.until(lambda: self.world.fleet.acknowledged >= wanted, "the fleet goes on")

    async def pause(self) -> None:
        """Let others look."""
        await self.messages(self.look)


async def devices_report(teller: Teller) -> None:
    """The ordinary."""
    world, devices = teller.world, len(teller.world.fleet.devices)
    world.fleet.words = [word for word in WORDS if word != "offline"]
    teller.narrator.step(
        Bilingual(
            f"{devices:,} devices report {world.fleet.rate:,.0f} messages a second, and the table follows.",
            f"{devices:,} 台设备每秒上报 {world.fleet.rate:,.0f} 条消息，数据表随之更新。",
        )
    )
    while any(device.report is None for device in world.fleet.devices):
        world.fleet.report_anew()
        await teller.messages(1.0)
    everybody = [device.uuid for device in world.fleet.devices]
    await world.until(lambda: all(world.table.rows[uuid].is_online for uuid in everybody), "all are online")
    await world.looks(State.OK.value)
    await teller.pause()


async def service_killed(teller: Teller) -> None:
    """SIGKILL under load; it is away for some thousand messages."""
    world, narrator = teller.world, teller.narrator
    narrator.step(
        Bilingual(
            "The service is killed under load (SIGKILL); meanwhile the broker keeps what comes.",
            "高负载下强制结束服务（SIGKILL）；期间的消息由 Broker 保留。",
        )
    )
    world.fleet.report_anew()
    world.is_started_again = False
    killed, before = world.service, world.fleet.acknowledged
    killed.signal(signal.SIGKILL)
    await world.until(lambda: not killed.is_running, "the service is dead")
    await world.looks(AWAY)
    await teller.messages(MISSED + teller.look)
    missed = world.fleet.acknowledged - before
    world.is_started_again = True
    world.start_service()
    narrator.done(
        Bilingual(
            f"it is started again, and gets the {missed:,} messages that were acknowledged meanwhile",
            f"重新启动，补收期间确认的 {missed:,} 条消息",
        )
    )
    await _well_again(teller)


async def database_frozen(teller: Teller) -> None:
    """Connections stay open, and nothing answers; the spool fills, and empties."""
    world, narrator = teller.world, teller.narrator
    narrator.step(
        Bilingual(
            "The database is frozen and answers nothing; what comes is kept on this host's disk.",
            "冻结数据库，连接不断但没有应答；消息存到本机磁盘。",
        )
    )
    world.fleet.report_anew()
    await world.thread(world.database.freeze)
    await world.looks(State.PROTECTED.value, spooled=True)
    await teller.pause()
    narrator.figures(world.standing())
    world.database.thaw()
    narrator.done(
        Bilingual("it goes on; the disk's share is written, and gone", "数据库恢复；本机暂存的写入数据库，随后清空")
    )
    await world.until(lambda: not world.health.spooled and not world.spool_files, "the spool is emptied")
    await _well_again(teller)


async def broker_restarted(teller: Teller) -> None:
    """In order, with its queues on disk."""
    world, narrator = teller.world, teller.narrator
    narrator.step(
        Bilingual(
            "The broker is restarted: devices publish again what was not acknowledged.",
            "重启 Broker：未确认的消息由设备重发。",
        )
    )
    world.fleet.report_anew()
    await world.thread(world.broker.stop)
    await world.looks(State.FAULT.value)
    await world.sleep(teller.look)  # no message counts the time now
    await world.thread(world.broker.start)
    narrator.done(Bilingual("it is back", "Broker 恢复"))
    await _well_again(teller)


async def devices_die(teller: Teller) -> None:
    """Some are silent from now on, and found; nobody else is."""
    world, narrator = teller.world, teller.narrator
    devices = world.fleet.devices
    dead = world.random.sample(devices, max(1, len(devices) // DEAD_SHARE))
    narrator.step(
        Bilingual(
            f"Without a word {len(dead):,} of {len(devices):,} devices die; HEARTBEAT_TIMEOUT={TIMEOUT} finds them.",
            f"{len(devices):,} 台设备中 {len(dead):,} 台突然断电；HEARTBEAT_TIMEOUT={TIMEOUT} 会发现。",
        )
    )
    began = world.now
    for device in dead:
        device.is_silent = True
    await world.until(lambda: not any(_shown(world, device) for device in dead), "the dead ones are offline")
    alive = [device for device in devices if not device.is_silent]
    shown = sum(_shown(world, device) for device in alive)
    narrator.seen(
        Bilingual(
            f"after {world.now - began:.0f} s {len(dead):,} of {len(dead):,} are offline; of the {len(alive):,} others"
            f" {shown:,} are online",
            f"{world.now - began:.0f} 秒后 {len(dead):,} 台全部离线；其余 {len(alive):,} 台中 {shown:,} 台在线",
        )
    )
    if shown != len(alive):
        world.findings.append(f"{len(alive) - shown} living devices are shown offline")
    await world.looks(State.OK.value)
    await teller.pause()
    await world.until(lambda: world.service.figures["went_silent"] >= len(dead), "the service has counted them")
    figures = world.service.figures
    if figures["went_silent"] != len(dead) or figures["came_back"]:
        world.findings.append(
            f"{len(dead)} devices died, {figures['went_silent']} went silent, {figures['came_back']} came back"
        )


STORY: Sequence[Step] = (devices_report, service_killed, database_frozen, broker_restarted, devices_die)


async def tell_story(
    narrator: Narrator,
    reactor: Any,
    *,
    devices: int = DEVICES,
    rate: float = RATE,
    seed: int = 1,
    look: float = LOOK,
    steps: Sequence[Step] = STORY,
    patience: float = 120.0,
) -> int:
    """Play and tell it; returns the exit code: 0 where what was published is stored, and who lives is shown online.

    :param look: seconds of messages after each step. :param patience: seconds until all rows must be right at the end.
    """

    async def happen(world: World) -> None:
        teller = Teller(cast(StoryWorld, world), look)
        for step in steps:
            await step(teller)

    fault = Fault("story", "", happen, layout=Layout(persistence=True, settings=SETTINGS), recovery_limit=patience)
    narrator.tell(
        Bilingual(
            f"A story on a real Mosquitto and a real MariaDB, seed {seed}; Ctrl-C ends it.",
            f"真实 Mosquitto 与 MariaDB 上的演示，种子 {seed}；Ctrl-C 结束。",
        )
    )
    scene = Scene(devices=devices, rate=rate)
    return await tell(fault, scene, seed, narrator, reactor, lambda *given: StoryWorld(narrator, *given))


def _shown(world: World, device: Acknowledged) -> bool:
    row = world.table.rows.get(device.uuid)
    return row is not None and row.is_online


async def _well_again(teller: Teller) -> None:
    """Wait until the page is green, and the table holds all that is acknowledged by now."""
    await teller.world.looks(State.OK.value)
    await teller.world.recovered()
    teller.narrator.seen(Bilingual("all that was acknowledged is in the table", "已确认的消息都已写入数据表"))
    await teller.pause()
