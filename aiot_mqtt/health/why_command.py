"""``aiot-mqtt why UUID``: why a device shows as it does, asked of the running service, or else of the table alone."""

from __future__ import annotations

import argparse
import json
import time
from datetime import tzinfo
from typing import Any, TextIO
from urllib.parse import quote

from ..devices.report import is_device
from ..table.device_row import Found
from ..telemetry.printable import shorten
from .command import SENTENCE, fetch_json
from .device import DeviceFacts
from .device_ask import row_of
from .why import Situation
from .why_lines import as_json

ICONS = {
    Situation.FINE.value: "✅",
    Situation.SILENT.value: "❌",
    Situation.OWN_WORD.value: "❌",
    Situation.CANNOT_TELL.value: "⚪",
}
OTHER_ICON = "⚠️"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``aiot-mqtt why``."""
    parser.add_argument("uuid", metavar="UUID", help="the device, as its topics name it")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object and nothing else")


def ask_service(address: tuple[str, int], token: str, uuid: str) -> dict[str, Any]:
    """What the running service answers.

    :raises NotRunning: nobody answers, or not as ours would.
    """
    path = f"/why?uuid={quote(uuid, safe='', errors='backslashreplace')}"
    return fetch_json(address, path, token, "situation", SENTENCE, "lines", "exit_code")


def without_service(
    uuid: str, found: Found | None, *, no_answer: str | None, no_service: str | None, table: str, zone: tzinfo
) -> dict[str, Any]:
    """What can be said while the service does not run, or does not answer.

    :param found: what the table says; None: nothing. :param no_service: why one that seems to run was not asked.
    """
    row = None if found is None or found.row is None else row_of(found.row, zone)
    facts = DeviceFacts(
        shorten(uuid),
        time.time(),
        None,
        is_possible=is_device(uuid),
        table=table,
        zone=zone,
        row=row,
        no_service=no_service,
        no_answer=no_answer,
        similar=() if found is None else found.similar,
    )
    return as_json(facts)


def tell(answered: dict[str, Any], language: str, output: TextIO, *, is_json: bool) -> int:
    """Print an answer; returns the exit code."""
    if is_json:
        output.write(json.dumps(answered, ensure_ascii=False) + "\n")
    else:
        icon = ICONS.get(answered["situation"], OTHER_ICON)
        output.write(f"{icon} {answered['sentence'][language]}\n")
        output.writelines(f"  {line[language]}\n" for line in answered["lines"])
    return int(answered["exit_code"])
