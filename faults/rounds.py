"""One round of one fault: a fleet reports, something goes wrong and is mended, and at the end every row is checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from .check import wrong_sum, wrong_values
from .onlookers import read_rows
from .process import FIGURES
from .scene import Layout, Scene
from .world import PATIENCE, ZONE, NotInTime, World

MEMORY_BOUND = 256 * 1024 * 1024  # bytes of the service, as documented
LAST_WORDS_RATE = 500.0  # messages/s
MAX_LINES = 200  # of the service that are kept
MAX_SHOWN = 3  # wrong rows of a round


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that may happen to the service or around it."""

    name: str
    description: str
    happen: Callable[[World], Awaitable[None]] | None
    """Makes it happen and undoes it; returns when it is undone."""
    rounds: int = 3
    """Of a full campaign."""
    layout: Layout = field(default_factory=Layout)
    last_words: bool = False
    """Whether the broker itself may lose what it acknowledged, so that the devices speak once more before the check."""
    may_drop: bool = False
    """Whether messages that the broker dropped are no reason to void the round."""
    recovery_limit: float = PATIENCE
    """Seconds until the table has caught up."""
    alone: Callable[[Scene, int], Awaitable[Outcome]] | None = None
    """Plays a round without a world, from its seed."""
    is_heavy: bool = False
    """Whether it takes the whole machine, so that nothing else is played beside it."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a round went."""

    fault: str
    seed: int
    messages: int = 0
    """Acknowledged by the broker."""
    lost: int = 0
    """Values in rows that are not what was acknowledged last."""
    moved_back: int = 0
    """Rows that hold an earlier report than they once did."""
    recovery: float = 0.0
    """Seconds from the mending of the fault until the table had caught up and took new reports."""
    peak_memory: int = 0
    """Bytes, of the service."""
    void: str = ""
    """Why it says nothing about the service: the broker itself dropped messages."""
    wrong: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    """What the service said last, apart from its figures."""

    @property
    def is_right(self) -> bool:
        """Whether nothing was lost and nothing was wrong."""
        return not (self.lost or self.moved_back or self.wrong)


async def play(
    fault: Fault,
    scene: Scene,
    seed: int,
    reactor: Any,
    begun: Callable[[World], None],
    world_of: Callable[[Scene, Layout, int, Any], World] = World,
) -> Outcome:
    """Play a round.

    :param seed: decides what is left to chance.
    :param begun: told of its world, for whoever shows how it goes.
    :param world_of: makes that, where it is to tell of what happens in it.
    """
    if fault.alone is not None:
        return await fault.alone(scene, seed)
    world = world_of(scene, fault.layout, seed, reactor)
    outcome = Outcome(fault=fault.name, seed=seed, details=world.details)
    try:
        begun(world)
        await world.start()
        await world.sleep(0.1 + world.random.random())
        assert fault.happen is not None
        await fault.happen(world)
        await _recover(world, fault, outcome)
        await world.within(world.fleet.pause(), "all that was published is acknowledged")
        if fault.last_words:
            # A broker that has dropped may do so again where a busy machine does not keep up with them.
            world.fleet.rate = min(world.fleet.rate, LAST_WORDS_RATE)
            await world.within(world.fleet.publish_last_words(), "the last words are acknowledged")
        await _settle(world, fault)
        await world.stop_service()
        await _check(world, fault, outcome)
        if fault.layout.rabbit is None and not (scene.quick and outcome.is_right):
            await _hear_broker(world)
        outcome.void = _void(world, fault)
    except NotInTime as error:
        world.findings.append(str(error))
    finally:
        await world.close()
    outcome.wrong += world.findings
    outcome.log = [line for service in world.services for line in service.lines if FIGURES not in line][-MAX_LINES:]
    outcome.peak_memory = world.peak_memory
    if outcome.peak_memory > MEMORY_BOUND:
        outcome.wrong.append(f"the service took {outcome.peak_memory / 2**20:.0f} MiB")
    return outcome


async def _recover(world: World, fault: Fault, outcome: Outcome) -> None:
    began = world.mended_at or world.now
    try:
        await world.recovered(fault.recovery_limit, is_all_kept=not fault.last_words)
    except NotInTime as error:
        world.findings.append(str(error))
    outcome.recovery = world.now - began


async def _settle(world: World, fault: Fault) -> None:
    """Wait until every row is right."""
    try:
        # Not as long again where they did not become right before.
        limit = 1.0 if world.findings else fault.recovery_limit
        await world.until(lambda: not wrong_rows(world), "every row holds what was acknowledged last", limit)
    except NotInTime as error:
        world.findings.append(str(error))


async def _hear_broker(world: World) -> None:
    """Wait until the broker has told all its figures."""
    ticks = world.broker_figures.ticks
    await world.until(lambda: world.broker_figures.ticks >= ticks + 2, "the broker tells its figures")


def wrong_rows(world: World) -> dict[str, list[str]]:
    """What is wrong with each device's row, at the last look at the table."""
    rows = world.table.rows
    wrong = {device.uuid: wrong_values(device, rows.get(device.uuid), ZONE) for device in world.fleet.devices}
    return {uuid: texts for uuid, texts in wrong.items() if texts}


async def _check(world: World, fault: Fault, outcome: Outcome) -> None:
    world.table.note(await world.thread(read_rows, world.database))
    wrong = wrong_rows(world)
    outcome.lost = sum(len(texts) for texts in wrong.values())
    outcome.wrong += [f"{uuid}: {'; '.join(texts)}" for uuid, texts in list(wrong.items())[:MAX_SHOWN]]
    outcome.moved_back = len(world.table.moved_back())
    outcome.messages = world.fleet.acknowledged
    if (sum_is_wrong := wrong_sum(world.service.figures)) is not None:
        outcome.wrong.append(sum_is_wrong)
    received = sum(service.figures.get("received", 0) for service in (*world.services, *world.rivals))
    # The figures of a service that was killed are some moments old.
    if len(world.services) == 1 and not fault.last_words and not fault.may_drop and received < outcome.messages:
        outcome.wrong.append(f"the service received {received} of {outcome.messages} messages")
    if world.broker_figures.dropped:
        world.details["dropped_by_broker"] = world.broker_figures.dropped
    world.details["stepped_back"] = world.table.stepped_back
    world.details["services"] = len(world.services)


def _void(world: World, fault: Fault) -> str:
    if fault.may_drop:
        return ""
    if world.broker_figures.dropped:
        return f"the broker dropped {world.broker_figures.dropped} messages"
    if world.fleet.refused:
        return f"the broker refused {world.fleet.refused} messages"
    if world.fleet.without_subscriber and not fault.last_words:
        return f"the broker had no session for {world.fleet.without_subscriber} messages"
    return ""
