"""``aiot-mqtt simulate``: its options, what it shows while it runs, and what it says at the end."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import LoopingCall

from ..mqtt.errors import MqttError
from ..settings.settings import Settings
from .fleet import Fleet, FleetPlan, numbered_uuids
from .publisher import PublisherOptions
from .simulation import Simulation, Summary

EXIT_INCOMPLETE = 1  # the broker refused or did not acknowledge something


def _share(text: str) -> float:
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
    share = float(matched[1]) / (100 if matched[2] else 1) if matched else -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 20%% or 0.2")
    return share


def _share_of_time(text: str) -> float:
    share = _share(text)
    if share > 0.9:
        raise argparse.ArgumentTypeError("a device that is silent for more than 90%% of its time hardly is one")
    return share


def _mix(text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"\d{1,6}:\d{1,6}:\d{1,6}", text) or not sum(parts := [int(part) for part in text.split(":")]):
        raise argparse.ArgumentTypeError(f"{text!r} is no mix of data:status:heartbeat such as 6:1:3")
    return parts[0], parts[1], parts[2]


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _count(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {most}")
        return int(text)

    return parse


def _uuids(path: str) -> tuple[str, ...]:
    try:
        uuids = tuple(dict.fromkeys(Path(path).read_text("utf-8").split()))
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be read: {error}") from None
    if wrong := [uuid for uuid in uuids if re.search(r"[+#/\0]", uuid)]:
        raise argparse.ArgumentTypeError(f"{path}: {wrong[0]!r} cannot be a level of a topic")
    if not uuids:
        raise argparse.ArgumentTypeError(f"{path} holds no uuid")
    return uuids


def _broker(text: str) -> tuple[str, int]:
    matched = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", text)
    if not matched or not 0 < int(matched[2] or 1883) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST or HOST:PORT")
    return matched[1].strip("[]"), int(matched[2] or 1883)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    fleet = parser.add_argument_group("the fleet")
    who = fleet.add_mutually_exclusive_group()
    who.add_argument("--devices", type=_count(1_000_000), default=100, metavar="N", help="sim-0001 and on (100)")
    who.add_argument("--uuids", type=_uuids, metavar="FILE", help="the uuids of the devices, one a line, instead")
    fleet.add_argument(
        "--rate", type=_positive, default=10.0, metavar="N", help="messages a second, of the whole fleet (10)"
    )
    fleet.add_argument(
        "--mix", type=_mix, default=(6, 1, 3), metavar="D:S:H", help="data, status and heartbeat messages (6:1:3)"
    )
    fleet.add_argument(
        "--silence",
        type=_share_of_time,
        default=0.0,
        metavar="SHARE",
        help="the share of its time that each device is silent, such as 20%%; half of them leave a last will (none)",
    )
    fleet.add_argument("--silence-seconds", type=_positive, default=20.0, metavar="S", help="how long at a time (20)")
    fleet.add_argument(
        "--chaos",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="the share of bad payloads, unknown uuids, retained messages and duplicates, such as 5%% (none)",
    )
    fleet.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed publishes the same again (1)")
    run = parser.add_argument_group("the run")
    run.add_argument("--for", type=_positive, dest="seconds", metavar="S", help="end by itself after S seconds")
    run.add_argument("--messages", type=_count(10**9), metavar="N", help="end by itself after N messages")
    run.add_argument("--qos", type=int, choices=(0, 1), default=1, help="1, or 0 without acknowledgements (1)")
    run.add_argument("--protocol", choices=("5", "3.1.1"), default="5", help="the version of MQTT (5)")
    run.add_argument("--connections", type=_count(1000), default=8, metavar="N", help="shared by the devices (8)")
    run.add_argument(
        "--window",
        type=_count(65535),
        default=1000,
        metavar="N",
        help="unacknowledged messages a connection, where an MQTT 5 broker does not allow fewer (1000)",
    )
    run.add_argument("--json", action="store_true", help="the summary as one line of JSON")
    run.add_argument(
        "--broker", type=_broker, metavar="HOST[:PORT]", help="instead of MQTT_BROKER and MQTT_PORT of the settings"
    )


class Progress:
    """Shows how a run goes: one line that is redrawn on a terminal, a line now and then elsewhere."""

    def __init__(self, stream: IO[str], *, is_terminal: bool, width: Callable[[], int] | None = None) -> None:
        """:param is_terminal: whether the stream can redraw a line."""
        self._stream = stream
        self._is_terminal = is_terminal
        self._width = width or (lambda: shutil.get_terminal_size().columns)
        self.interval = 0.2 if is_terminal else 5.0
        """Seconds between calls of ``show``."""

    def show(self, summary: Summary) -> None:
        """Show how far the fleet is: over the line before, where that can be redrawn."""
        rate = summary.published / summary.seconds if summary.seconds else 0.0
        line = (
            f"{summary.seconds:7.1f} s  published {summary.published}  acknowledged {summary.acknowledged}"
            f"  in flight {summary.unacknowledged}  {rate:.0f}/s"
        )
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{line[: max(1, self._width() - 1)]}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def say(self, line: str) -> None:
        """Write a line that is not drawn over."""
        self.clear()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away, so that the summary can follow."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


async def run(
    options: argparse.Namespace,
    settings: Settings,
    *,
    endpoint: IStreamClientEndpoint,
    reactor: Any,
    output: IO[str],
    progress: Progress,
) -> int:
    """Run the fleet until it is done or interrupted, and write the summary; returns the exit code.

    :param settings: for user name, password and topic prefix.
    :param reactor: SIGINT and SIGTERM end the run in order once it runs.
    """
    plan = FleetPlan(
        options.uuids or numbered_uuids(options.devices),
        rate=options.rate,
        mix=options.mix,
        silence=options.silence,
        silence_seconds=options.silence_seconds,
        chaos=options.chaos,
        seed=options.seed,
        topic_prefix=settings.mqtt_topic_prefix,
    )
    connecting = PublisherOptions(
        # The process in it, because a broker ends the older of two connections with one identifier.
        f"aiot-mqtt-simulate-{os.getpid()}",
        mqtt5=options.protocol == "5",
        username=settings.mqtt_username,
        password=settings.mqtt_password.reveal(),
        qos=options.qos,
        window=options.window,
    )
    simulation = Simulation(
        Fleet(plan),
        endpoint,
        connecting,
        reactor,
        connections=options.connections,
        most=options.messages,
        seconds=options.seconds,
    )
    connected = Deferred.fromCoroutine(simulation.connect())

    def interrupted() -> None:
        if connected.called:
            simulation.stop()
        else:
            connected.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        # Once the reactor runs, because it installs handlers of its own when it starts.
        reactor.callWhenRunning(signal.signal, number, lambda *_: reactor.callFromThread(interrupted))
    try:
        await connected
    except MqttError as error:
        where = f"{settings.mqtt_broker}:{settings.mqtt_port}"
        progress.say(f"aiot-mqtt simulate: cannot publish to {where}: {error}")
        return os.EX_UNAVAILABLE  # nothing was published
    showing = LoopingCall(lambda: progress.show(simulation.summary()))
    showing.clock = reactor
    showing.start(progress.interval, now=False)
    summary = await simulation.run()
    showing.stop()
    progress.clear()
    text = json.dumps(summary.as_dict()) if options.json else "\n".join(summary.lines())
    output.write(f"{text}\n")
    output.flush()
    return 0 if summary.is_complete else EXIT_INCOMPLETE
