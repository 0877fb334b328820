"""The subcommands of ``aiot-mqtt``, which run instead of the service: its settings, a reactor, an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from typing import Any, NoReturn

from twisted.internet.task import react

from .process import exit_for, global_reactor, read_settings
from .settings.settings import ConfigError
from .tap import broker_endpoint


def run_simulation(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt simulate`` with the options of ``simulate.add_options``; ends the process."""
    from .simulate.command import Progress, simulate  # noqa: PLC0415 the service itself never needs it

    settings = read_settings(parsed.env_file)
    if parsed.broker:
        settings = replace(settings, mqtt_broker=parsed.broker[0], mqtt_port=parsed.broker[1])
    # Beside the summary, so that standard output can be piped on.
    can_redraw = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    progress = Progress(sys.stderr, is_terminal=can_redraw)

    async def simulating(reactor: Any) -> NoReturn:
        endpoint = broker_endpoint(settings, reactor)
        sys.exit(
            await simulate(parsed, settings, endpoint=endpoint, reactor=reactor, output=sys.stdout, progress=progress)
        )

    try:
        react(simulating, _reactor=global_reactor())
    except ConfigError as error:
        exit_for(error)
