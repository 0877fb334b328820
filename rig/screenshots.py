"""Makes the pictures of the page that the documents show, from a real run with real faults: ``scripts/screenshots``.

A fleet reports for some minutes, so that the chart has something to tell: its rate moves up and down, the database is
away for a while, devices fall silent and come back, strangers knock and messages are refused. Then the page is taken as
it is when all is well and, once the database was killed again, while it protects what comes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from . import load
from .browser import Browser, Page
from .picture import small
from .servers import ROOT
from .stage import OK, PROTECTED, Stage

MINUTES = 10.0  # what the chart shows
MAX_BYTES = 150 * 1024
DESK, PHONE = 1240, (390, 844)
DESK_SCALE, PHONE_SCALE = 1.5, 2.0  # pixels for each of CSS
UUIDS = [f"{kind}-{number:04}" for number in range(1, 801) for kind in ("pump", "meter", "gate")]
STRANGERS = ("pump-0810", "meter-0x17", "test")
SETTINGS = {"HEARTBEAT_TIMEOUT": "30", "HEARTBEAT_CHECK_INTERVAL": "5"}
RATE, SWING = 420, 0.3  # messages a second of the fleet, and by what share that moves
WAVE = 170.0  # s
TICK = 0.25  # s
SILENT = 5  # devices at a time
SILENT_FOR = 45.0  # s
STRANGE, WRONG = 0.08, 0.004  # in a tick
OUTAGE = 0.05  # of the time
AWAY = 40.0  # s that the database has been away when the last pictures are taken
# An even number, so that the last row of pixels is a whole one.
BELOW = "return 2 * Math.ceil((document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY) / 2 + 5)"


class Fleet(threading.Thread):
    """Devices as they are: most report in turn, some are silent for a while, and some are not known."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._chance = random.Random(1)
        self._is_over = threading.Event()
        self._turns = itertools.cycle(UUIDS)
        self.has_strangers = True

    def close(self) -> None:
        """End it and wait."""
        self._is_over.set()
        self.join()

    def run(self) -> None:
        """See ``Thread``."""
        began = time.monotonic()
        for tick in itertools.count():
            if self._is_over.wait(max(0.0, began + tick * TICK - time.monotonic())):
                break
            load.publish(self._port, self._messages(tick * TICK))

    def _messages(self, passed: float) -> Iterator[tuple[str, str]]:
        first = int(passed // SILENT_FOR) * 7 * SILENT
        silent = {UUIDS[(first + 7 * number) % len(UUIDS)] for number in range(SILENT)}
        wave = math.sin(passed / WAVE * math.tau) + 0.4 * math.sin(passed / WAVE * 3.7 * math.tau)
        for _ in range(round(RATE * TICK * (1 + SWING * wave) * self._chance.uniform(0.9, 1.1))):
            uuid = next(self._turns)
            if uuid not in silent:
                yield f"devices/{uuid}/data", json.dumps({"t": round(self._chance.gauss(21.5, 2), 1)})
        if self.has_strangers and self._chance.random() < STRANGE:
            yield f"devices/{self._chance.choice(STRANGERS)}/data", '{"t": 20.9}'
        if self._chance.random() < WRONG:
            yield "devices/meter-0017/data", '{"t": nan}'
        if self._chance.random() < WRONG:
            yield "devices/gate-0044/status", "temp=21.4"


def take(page: Page, stage: Stage, path: Path, language: str, *, is_dark: bool = False, to: str | None = None) -> None:
    """One picture.

    :param to: the last element that is seen of it on a desk; None: on a phone.
    :raises AssertionError: it has become too large for a document.
    """
    page.scheme(is_dark=is_dark)
    if to is None:
        page.size(*PHONE, scale=PHONE_SCALE, is_phone=True)
        page.go(stage.address(language))
    else:
        page.size(DESK, DESK)
        page.go(stage.address(language))
        page.size(DESK, page.script(BELOW, to), scale=DESK_SCALE)
    picture = small(page)
    if len(picture) > MAX_BYTES:
        raise AssertionError(f"{path.name} has {len(picture)} bytes")
    path.write_bytes(picture)
    print(f"{path.name}: {len(picture) / 1024:.0f} KiB", flush=True)


def main() -> None:
    """See ``--help``."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description="Make the pictures of the page.")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="for how long the fleet reports before (%(default)s)"
    )
    parser.add_argument("--away", type=float, default=AWAY, help="seconds of the last outage (%(default)s)")
    parser.add_argument("--to", type=Path, default=ROOT / "docs", help="the folder (docs)")
    options = parser.parse_args()
    seconds = options.minutes * 60
    with Stage(UUIDS, SETTINGS) as stage, Browser() as browser, contextlib.closing(Fleet(stage.broker.port)) as fleet:
        fleet.start()
        page = browser.open()
        time.sleep(seconds * 0.6)
        stage.database.kill()
        time.sleep(seconds * OUTAGE)
        stage.database.start()
        time.sleep(seconds * (0.4 - OUTAGE))
        stage.until(OK)
        take(page, stage, options.to / "page-phone.png", "en")
        take(page, stage, options.to / "page-dark.png", "en", is_dark=True, to=".sum")
        fleet.has_strangers = False  # of those there is no end, so nobody could tell that the disk suffices for all
        stage.database.kill()
        time.sleep(options.away)
        stage.until(PROTECTED)
        take(page, stage, options.to / "page.png", "en", to=".devices")
        take(page, stage, options.to / "page.zh-CN.png", "zh", to=".devices")


if __name__ == "__main__":
    main()
