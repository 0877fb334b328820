"""One fault, told while it is played, with the closing account: what was acknowledged against what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError

from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.telemetry.counters import balance
from rig.narrator import Narrator, sum_in_words
from rig.servers import ServerFailed, ServersMissing

from .check import says_offline, wrong_sum
from .fleet import Acknowledged
from .rounds import Fault, Outcome, play, wrong_rows
from .scene import Layout, Scene
from .told import StoryWorld, ToldWorld
from .words import COUNTED, FAULTS
from .world import World

EXIT_WRONG = 1
EXIT_INTERRUPTED = 130


class Finding(NamedTuple):
    """A line of the account."""

    is_right: bool
    text: Bilingual


async def replay(fault: Fault, scene: Scene, seed: int, narrator: Narrator, reactor: Any) -> int:
    """Play a round of a fault and tell all that is done and seen; returns the exit code."""
    description = Bilingual(fault.description, FAULTS.get(fault.name, fault.description))
    narrator.tell(
        Bilingual(f"{fault.name}, seed {seed}: {description}", f"{fault.name}，种子 {seed}：{description.chinese}"),
        "bold",
    )
    return await tell(fault, scene, seed, narrator, reactor, partial(ToldWorld, narrator))


async def tell(
    fault: Fault,
    scene: Scene,
    seed: int,
    narrator: Narrator,
    reactor: Any,
    world_of: Callable[[Scene, Layout, int, Any], StoryWorld],
) -> int:
    """Play a round and tell its account; returns the exit code: 0 where both sides are equal.

    :param world_of: makes its world, which tells the rest.
    """
    began = reactor.seconds()
    worlds: list[World] = []
    try:
        outcome = await play(fault, scene, seed, reactor, worlds.append, world_of)
    except (ServerFailed, ServersMissing) as error:
        narrator.checked(False, str(error))
        return EXIT_WRONG
    except CancelledError:
        narrator.tell(Bilingual("interrupted, before anything could be counted", "已中断，未及核对"))
        return EXIT_INTERRUPTED
    narrator.step(COUNTED)
    findings = [*(finding for world in worlds for finding in account(world)), *_others(outcome, is_alone=not worlds)]
    for finding in findings:
        narrator.checked(*finding)
    seconds = reactor.seconds() - began
    if outcome.void:
        narrator.tell(
            Bilingual(
                f"This round tells nothing: {outcome.void}. Try another seed.",
                f"本轮无效：{outcome.void}。换一个种子。",
            ),
            "bold yellow",
        )
        return EXIT_WRONG
    is_right = all(finding.is_right for finding in findings)
    verdict = Bilingual("it all adds up", "全部相等") if is_right else Bilingual("IT DOES NOT ADD UP", "不相等")
    narrator.tell(
        Bilingual(f"\n{seconds:.0f} s: {verdict}", f"\n{seconds:.0f} 秒：{verdict.chinese}"),
        "bold green" if is_right else "bold red",
    )
    return 0 if is_right else EXIT_WRONG


def account(world: World) -> Iterator[Finding]:
    """Both sides of everything, once the service has stopped."""
    if getattr(world, "fleet", None) is None:
        yield Finding(False, Bilingual("it did not begin", "没有开始"))
        return
    fleet, figures = world.fleet, world.service.figures
    yield Finding(
        fleet.published == fleet.acknowledged,
        Bilingual(
            f"the devices published {fleet.published:,}, the broker acknowledged {fleet.acknowledged:,}",
            f"设备发布 {fleet.published:,} 条，Broker 确认 {fleet.acknowledged:,} 条",
        ),
    )
    if figures:
        told = sum_in_words(*balance(figures))
        yield Finding(
            wrong_sum(figures) is None,
            Bilingual(f"the last process of the service: {told}", f"服务的最后一个进程：{told.chinese}"),
        )
    wrong = wrong_rows(world)
    right, rows = len(fleet.devices) - len(wrong), len(fleet.devices)
    yield Finding(
        not wrong,
        Bilingual(
            f"acknowledged against stored: {rows:,} rows, {right:,} hold their device's last report, status and times",
            f"已确认与已存：共 {rows:,} 行，{right:,} 行是设备最后的上报、状态和时间",
        ),
    )
    yield _presence(world)


def _presence(world: World) -> Finding:
    """Who lives against who is shown online, device by device."""
    rows = world.table.rows
    shown = {uuid for uuid, row in rows.items() if row.is_online}
    alive = {device.uuid for device in world.fleet.devices if _is_alive(device)}
    other = {device.uuid for device in world.fleet.devices if device.last is not None} - alive
    alive_shown, other_shown = len(alive & shown), len(other - shown)
    return Finding(
        alive <= shown and not other & shown,
        Bilingual(
            f"living {len(alive):,}, shown online {alive_shown:,}; dead or signed off {len(other):,},"
            f" shown offline {other_shown:,}",
            f"在线设备 {len(alive):,} 台，显示在线 {alive_shown:,} 台；失联或自报离线 {len(other):,} 台，"
            f"显示离线 {other_shown:,} 台",
        ),
    )


def _is_alive(device: Acknowledged) -> bool:
    return device.last is not None and not device.is_silent and not says_offline(device.last)


def _others(outcome: Outcome, *, is_alone: bool) -> Iterator[Finding]:
    """What no sum shows. :param is_alone: whether there was no world."""
    if is_alone:
        count = outcome.messages
        yield Finding(
            outcome.is_right,
            Bilingual(f"{count:,} were played, each with its answer", f"已执行 {count:,} 次，逐次核对"),
        )
    if outcome.moved_back:
        text = f"{outcome.moved_back} rows hold an earlier report than they once did"
        yield Finding(False, Bilingual(text, f"{outcome.moved_back} 行的上报比曾经的更早"))
    for text in outcome.wrong:
        yield Finding(False, Bilingual(text, text))
