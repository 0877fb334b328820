"""``scripts/demo``: a broker, a table, the service between them and a fleet of devices, in front of one's eyes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner

from aiot_mqtt.mqtt.errors import MqttError
from aiot_mqtt.service import AiotMqttService
from aiot_mqtt.settings.settings import Settings
from aiot_mqtt.simulate.fleet import Fleet, FleetPlan
from aiot_mqtt.simulate.publisher import PublisherOptions
from aiot_mqtt.simulate.simulation import Simulation
from aiot_mqtt.telemetry import log_lines
from aiot_mqtt.telemetry.logs import in_english
from rig.narrator import Narrator, locale_of
from rig.run import run
from rig.servers import Mosquitto, ServerFailed, ServersMissing, free_port

from .backends import Backend, MariaDBBackend, SqliteBackend, start_broker
from .display import Display, Moment, naive_now
from .ledger import Ledger
from .story import DEVICES, LOOK, RATE, SLOWEST, tell_story

PORT = 21883
NAMES = ("boiler-room", "classroom-101", "classroom-102", "greenhouse", "gym", "kitchen", "lab-north", "lab-south",
         "library", "pump", "roof-solar", "weather-mast")  # fmt: skip
SETTLE_TIMEOUT = 20.0  # s for the service to write what the broker has acknowledged
HEARTBEAT_TIMEOUT = 6  # s; far above the second or so between two reports of a device
LOOK_INTERVAL = 0.23  # s; no multiple of the time between two messages, or each look would find one on its way
EXIT_WRONG = 1  # something does not add up, or did not start
EXIT_INTERRUPTED = 130  # before there was anything to sum up


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Show the service at work: a private Mosquitto, a small simulated fleet, and the table that the "
        "service keeps true. Everything stays inside the checkout and is stopped at the end.",
    )
    parser.add_argument("--for", type=float, dest="seconds", metavar="S", help="end by itself after S seconds")
    parser.add_argument("--real", action="store_true", help="with MariaDB as the table, instead of SQLite")
    parser.add_argument(
        "--story",
        action="store_true",
        help="on MariaDB, what the service is for in a few steps: killed, without database, without broker; a minute",
    )
    parser.add_argument("--language", choices=("en", "zh"), help="of the story (LOG_LANGUAGE, or the locale's)")
    parser.add_argument(
        "--look", type=float, default=LOOK, metavar="S", help=f"seconds to look between its steps ({LOOK:.0f})"
    )
    parser.add_argument("--devices", type=int, metavar="N", help=f"how many ({len(NAMES)}; {DEVICES} in the story)")
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help=f"messages a second of the fleet (one for each device; {RATE:.0f} in the story)",
    )
    parser.add_argument("--seed", type=int, default=4, metavar="N", help="another seed, another course of events (4)")
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="N", help=f"of the broker; if taken, another one ({PORT})"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write the last moment, or the story, as SVG")
    options = parser.parse_args()
    if options.devices is None:
        options.devices = DEVICES if options.story else len(NAMES)
    if options.story and (options.seconds is not None or not options.look >= 0):
        parser.error("--story ends by itself, without --for, and --look must not be below 0")
    if options.story and options.rate is None:
        options.rate = max(RATE, float(options.devices))
    if options.story and options.rate < options.devices / SLOWEST:
        parser.error(f"the story finds who is silent within seconds: --rate must be --devices / {SLOWEST} or more")
    if not 1 <= options.devices <= 10_000 or not 0 < options.port < 65536:
        parser.error("--devices must be from 1 to 10000, --port from 1 to 65535")
    if (options.rate is not None and not 0 < options.rate < float("inf")) or (
        options.seconds is not None and not options.seconds > 0
    ):
        parser.error("--rate and --for must be above 0, and --rate finite")
    return options


class Demo:
    """One run, from starting the servers to the closing summary."""

    _reactor: Any

    def __init__(self, options: argparse.Namespace, display: Display) -> None:
        self._options = options
        self._display = display
        self._warnings: deque[str] = deque(maxlen=20)
        self._subscribed: Deferred[None] = Deferred()
        self._simulation: Simulation | None = None
        self._began = 0.0
        self._first_change: float | None = None
        names = [*NAMES, *(f"sensor-{number:04}" for number in range(len(NAMES) + 1, options.devices + 1))]
        self._uuids = tuple(names[: options.devices])

    def logged(self, event: LogEvent) -> None:
        """What the service logs: its warnings are shown, and one of its lines is waited for."""
        if event.get("log_format") == log_lines.STARTED and not self._subscribed.called:
            self._subscribed.callback(None)
        if event.get("log_level", LogLevel.info) >= LogLevel.warn:
            self._warnings.append(formatEvent(in_english(event)))

    def stop(self) -> bool:
        """End it in order; returns False where the fleet has not begun, so that there is nothing to end."""
        if self._simulation is None:
            return False
        self._simulation.stop()
        return True

    async def run(self, reactor: Any) -> int:
        """Returns the exit code."""
        self._reactor = reactor
        say = self._display.say
        with ExitStack() as stack:
            try:
                say("demo: starting Mosquitto")
                broker = await deferToThread(start_broker, self._options.port, say)
                stack.callback(broker.close)
                if self._options.real:
                    say("demo: starting MariaDB (the first time it makes its system tables)")
                    backend: Backend = await deferToThread(MariaDBBackend, self._uuids)
                else:
                    backend = await deferToThread(SqliteBackend, self._uuids, self._reactor)
                stack.callback(backend.close)
                return await self._serve(broker, backend)
            except (ServerFailed, ServersMissing, MqttError) as error:
                say(f"demo: FAILED: {error}")
                self._say_warnings()
                return EXIT_WRONG
            except CancelledError:
                say("demo: interrupted before it began")
                return EXIT_INTERRUPTED
            except Exception:
                say(f"demo: FAILED, please report it:\n{traceback.format_exc()}")
                return EXIT_WRONG

    async def _serve(self, broker: Mosquitto, backend: Backend) -> int:
        settings = Settings(
            mqtt_broker=broker.host,
            mqtt_port=broker.port,
            mqtt_client_id="aiot-mqtt-demo",
            http_listen=(broker.host, page := free_port()),
            stats_interval=0,
            shutdown_timeout=5,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            heartbeat_check_interval=1,
            **backend.settings,
        )
        service = AiotMqttService(settings, self._reactor, table=backend.table)
        service.startService()
        self._display.say(f"demo: the page is http://{broker.host}:{page}/")
        try:
            await self._subscribed
            return await self._publish(broker, backend, service, settings)
        finally:
            await service.stopService()

    async def _publish(self, broker: Mosquitto, backend: Backend, service: AiotMqttService, settings: Settings) -> int:
        options, display, ledger = self._options, self._display, Ledger(self._uuids)
        plan = FleetPlan(
            self._uuids,
            rate=options.rate or float(len(self._uuids)),
            silence=0.3,
            silence_seconds=15.0,
            chaos=0.05,
            seed=options.seed,
        )
        simulation = Simulation(
            Fleet(plan),
            TCP4ClientEndpoint(self._reactor, broker.host, broker.port),
            PublisherOptions("demo-fleet"),
            self._reactor,
            connections=4,
            seconds=options.seconds,
            sent=ledger.published,
        )
        await simulation.connect()
        display.say("demo: the fleet begins to publish")

        async def look() -> Moment:
            rows = await deferToThread(backend.rows)
            summary, counters = simulation.summary(), service.counters
            if self._first_change is None and any(row.last_seen for row in rows):
                self._first_change = summary.seconds
            figures = {
                "stored": counters.stored,
                "superseded": counters.superseded,
                "refused": counters.refused.total(),
                "pending": service.writer.deliveries,
            }
            return Moment(
                elapsed=summary.seconds,
                broker=f"Mosquitto {broker.version} at {broker.host}:{broker.port}",
                table=backend.name,
                published=summary.published,
                acknowledged=summary.acknowledged,
                received=counters.received,
                figures=figures,
                warning=self._warnings[-1] if self._warnings else "",
                rows=rows,
                now=naive_now(settings.db_timezone),
            )

        pictured: Moment | None = None

        async def show() -> None:
            nonlocal pictured
            moment = await look()
            display.show_moment(moment)
            if moment.published == moment.acknowledged == moment.received and not moment.figures["pending"]:
                pictured = moment  # nothing is on its way, so its figures need no explanation

        running = Deferred.fromCoroutine(simulation.run())
        self._simulation = simulation
        showing = LoopingCall(lambda: Deferred.fromCoroutine(show()))
        showing.clock = self._reactor
        shown = showing.start(LOOK_INTERVAL)
        summary = await running
        showing.stop()
        await shown
        if options.picture and pictured is not None:
            display.picture(pictured, options.picture)

        deadline = self._reactor.seconds() + SETTLE_TIMEOUT
        while service.counters.received < summary.acknowledged or service.writer.deliveries:
            if self._reactor.seconds() > deadline:
                break
            await deferLater(self._reactor, 0.02)
        moment = await look()
        display.finish(moment)
        findings = ledger.check(summary, service.counters, service.writer.deliveries, moment.rows)
        display.say("")
        for finding in findings:
            display.say(f"{'ok   ' if finding.is_right else 'WRONG'} {finding.text}")
        is_right = all(finding.is_right for finding in findings)
        verdict = "it all adds up" if is_right else "IT DOES NOT ADD UP"
        changed = (
            "no row changed" if self._first_change is None else f"first row changed after {self._first_change:.1f} s"
        )
        display.say(f"demo: {summary.seconds:.1f} s, {changed}: {verdict}")
        if not is_right:
            self._say_warnings()
        return 0 if is_right else EXIT_WRONG

    def _say_warnings(self) -> None:
        for warning in self._warnings:
            self._display.say(f"  the service warned: {warning}")


async def _tell(options: argparse.Namespace, narrator: Narrator, reactor: Any) -> int:
    code = await tell_story(
        narrator,
        reactor,
        devices=options.devices,
        rate=options.rate,
        seed=options.seed,
        look=options.look,
    )
    if options.picture and code == 0:
        narrator.picture(options.picture, "scripts/demo --story")
    return code


def main() -> None:
    """Run, with Ctrl-C as its ordinary end."""
    options = _options()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if options.story:
        narrator = Narrator(sys.stdout, language=options.language)
        run(lambda reactor: _tell(options, narrator, reactor))
    display = Display(sys.stdout, is_utf8="utf" in locale_of(os.environ))

    demo = Demo(options, display)

    async def running(reactor: Any) -> int:
        globalLogBeginner.beginLoggingTo(
            [cast(ILogObserver, demo.logged)], redirectStandardIO=False, discardBuffer=True
        )
        return await demo.run(reactor)

    run(running, demo.stop)


if __name__ == "__main__":
    main()
