"""A round that is told while it is played: what is done, what the service says, what its page shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.threadable import isInIOThread

from aiot_mqtt.telemetry.bilingual import Bilingual
from rig import servers
from rig.narrator import AWAY, Narrator, Standing
from rig.relay import Relay
from rig.servers import Database, Mosquitto

from .onlookers import HealthOnlooker
from .process import STARTED, ServiceProcess
from .scene import Layout, Scene
from .words import DONE, FAULT_MADE, INSIDE, LASTS, NODE, SERVICE_SAYS, SQL, TOOK, wait_in_words
from .world import PATIENCE, World

T = TypeVar("T")

SHOW_INTERVAL = 0.25  # s
NOTEWORTHY = re.compile(r"(?:⚠️|❌|✅).*")
ORDERED = "faults: "  # begins what ``faults.service`` says of itself
SORTS_TOLD = 2  # lines of the service that differ in their figures only
SOON = 1.0  # s; a wait that is shorter is not told by its length
MAX_SQL = 90  # characters


class StoryWorld(World):
    """A world whose service has a page, and whose figures are shown all the time."""

    def __init__(self, narrator: Narrator, scene: Scene, layout: Layout, seed: int, reactor: Any) -> None:
        """:param narrator: shows them."""
        self.narrator = narrator
        port = servers.free_port()
        self.page = f"http://127.0.0.1:{port}/" + ("?lang=zh" if narrator.language == "zh" else "")
        listen = {"HTTP_LISTEN": f"tcp:{port}:interface=127.0.0.1"}
        super().__init__(scene, replace(layout, settings={**listen, **(layout.settings or {})}), seed, reactor)
        self.health = HealthOnlooker(port, reactor)
        self._showing = LoopingCall(self.show)
        self._showing.clock = reactor

    async def start(self) -> None:
        """See the base; says where the page is."""
        self._showing.start(SHOW_INTERVAL)
        await super().start()
        self.health.start()
        self.narrator.tell(
            Bilingual(f"Keep the page open beside this: {self.page}", f"请在旁边打开页面：{self.page}"), "bold"
        )

    async def close(self) -> None:
        """See the base."""
        self.health.stop()
        if self._showing.running:
            self._showing.stop()
        self.narrator.stop()
        await super().close()

    def show(self) -> None:
        """Show how things stand, if anything does."""
        if hasattr(self, "fleet"):
            self.narrator.show_standing(self.standing())

    def standing(self) -> Standing:
        """How things stand."""
        rows, status = self.table.rows, self.health.status
        counted = status.get("sum") or {"deliveries": {}, "outcomes": {}}
        uuids = [device.uuid for device in self.fleet.devices]
        return Standing(
            published=self.fleet.published,
            acknowledged=self.fleet.acknowledged,
            deliveries=counted["deliveries"],
            outcomes=counted["outcomes"],
            spooled=self.health.spooled,
            online=sum(uuid in rows and rows[uuid].is_online for uuid in uuids),
            devices=len(uuids),
            state=self.health.state,
        )

    async def looks(self, *states: str, spooled: bool = False) -> None:
        """Wait until the page looks like one of these states, and say so.

        :param spooled: whether devices must wait on disk, too. Raises ``NotInTime``.
        """

        def is_so() -> bool:
            return self.health.state in states and (not spooled or self.health.spooled > 0)

        await self.until(is_so, f"the page shows {' or '.join(states)}")
        self.narrator.looks(self.standing())


class ToldWorld(StoryWorld):
    """A world that tells of whatever a fault does to it, and of what it then waits for."""

    def __init__(self, narrator: Narrator, scene: Scene, layout: Layout, seed: int, reactor: Any) -> None:
        """:param narrator: told of it."""
        super().__init__(narrator, scene, layout, seed, reactor)
        self._state = ""
        self._heard: Counter[ServiceProcess] = Counter()
        self._sorts: Counter[str] = Counter()

    async def start(self) -> None:
        """See the base."""
        await super().start()
        self.narrator.figures(self.standing())
        self.narrator.step(FAULT_MADE)

    def show(self) -> None:
        """See the base; says what is new, too."""
        super().show()
        if not hasattr(self, "fleet"):
            return
        self._tell_lines()
        if self._ending or (self.health.status and not self.service.count(STARTED)):
            return  # nobody wonders how it is when it starts, or is to stop
        if (state := self.health.state) != self._state and (self._state or state != AWAY):
            self._state = state
            self.narrator.looks(self.standing())

    def thread(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        """See the base."""
        name = getattr(work, "__name__", "")
        if name == "query" and arguments:
            statement = " ".join(str(arguments[0]).split())
            self.narrator.done(SQL.fill(statement=statement[:MAX_SQL] + "…" * (len(statement) > MAX_SQL)))
        elif (words := DONE.get(name)) is not None:
            self.narrator.done(words)
        return super().thread(work, *arguments)

    def sleep(self, seconds: float, quick: float | None = None) -> Deferred[None]:
        """See the base."""
        lasts = seconds if quick is None or not self.scene.quick else quick
        if lasts >= SOON:
            self.narrator.seen(LASTS.fill(seconds=f"{lasts:.0f}"))
        return super().sleep(seconds, quick)

    async def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """See the base."""
        await self._told(what, super().until(condition, what, seconds))

    async def within(self, waiting: Deferred[T], what: str, seconds: float = PATIENCE) -> T:
        """See the base."""
        return await self._told(what, super().within(waiting, what, seconds))

    async def kill_service(self) -> None:
        """See the base."""
        self.narrator.done(DONE["kill_service"])
        await super().kill_service()

    async def restart_service(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """See the base."""
        self.narrator.done(DONE["restart_service"])
        await super().restart_service(meanwhile)

    async def service_dies(self, step: str, passings: int) -> None:
        """See the base."""
        self.narrator.done(DONE["service_dies"].fill(passings=passings, step=step))
        await super().service_dies(step, passings)

    def _start_servers(self) -> None:
        super()._start_servers()
        if hasattr(self, "brokers"):
            self.brokers.nodes[:] = self._told_nodes(self.brokers.nodes)
        else:
            self.broker = cast(Mosquitto, _Told(self.broker, "broker", self._done))
        if self._layout.cluster is None:
            self.database = cast(Database, _Told(self.database, "database", self._done))
        else:
            self.cluster.nodes[:] = self._told_nodes(self.cluster.nodes)
            self.cluster = _Told(self.cluster, "cluster", self._done)
        self.relays = {name: cast(Relay, _Told(relay, "relay", self._done)) for name, relay in self.relays.items()}

    def _told_nodes(self, nodes: Iterable[Any]) -> list[Any]:
        return [_Told(node, "node", self._done, NODE.fill(number=number)) for number, node in enumerate(nodes, 1)]

    def _done(self, text: Bilingual) -> None:
        if isInIOThread():
            self.narrator.done(text)
        else:
            self.reactor.callFromThread(self.narrator.done, text)

    async def _told(self, what: str, waiting: Awaitable[T]) -> T:
        began = self.now
        result = await waiting
        words, took = wait_in_words(what), self.now - began
        self.narrator.seen(words if took < SOON else TOOK.fill(what=words, seconds=f"{took:.1f}"))
        return result

    def _tell_lines(self) -> None:
        for service in self.services:
            new = service.lines[self._heard[service] :]
            self._heard[service] += len(new)
            self._tell_some(new)

    def _tell_some(self, lines: Iterable[str]) -> None:
        for line in lines:
            if line.startswith(ORDERED):
                self.narrator.done(INSIDE.fill(order=line.removeprefix(ORDERED)))
                continue
            if (found := NOTEWORTHY.search(line)) is None:
                continue
            sort = re.sub(r"\d+", "", found[0])
            self._sorts[sort] += 1
            if self._sorts[sort] <= SORTS_TOLD:
                self.narrator.seen(SERVICE_SAYS.fill(line=found[0]))


class _Told:
    """A server, a relay or a cluster that says what is done to it."""

    def __init__(self, real: Any, name: str, done: Callable[[Bilingual], None], which: str = "") -> None:
        """:param which: what it is called, where there are several."""
        self._real = real
        self._name = name
        self._done = done
        self._which = which

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        words = DONE.get(f"{self._name}.{name}")
        if words is None:
            return found

        def told(*arguments: Any, **named: Any) -> Any:
            first = arguments[0] if arguments else None
            value = first if isinstance(first, int | float) else ""
            self._done(words.fill(value=value, which=first._which if isinstance(first, _Told) else self._which))
            return found(*arguments, **named)

        return told
