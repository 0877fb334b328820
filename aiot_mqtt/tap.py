"""``twistd aiot-mqtt``: its options, how it logs, and with what it exits where the settings have mistakes."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from collections.abc import MutableMapping
from typing import Any

from twisted.python.usage import Options as UsageOptions

from . import __version__
from .check.local import unusable_files
from .health.systemd import supervisor_of
from .process import (
    Process,
    exit_for,
    for_trial,
    global_reactor,
    keep_files_private,
    open_log,
    open_standard_streams,
    read_settings,
    tell_start,
    warn_of_settings,
)
from .service import AiotMqttService
from .settings.settings import ConfigError, Settings


class Options(UsageOptions):
    """Options of the subcommand; everything else is set in the environment or in a ``.env``."""

    optParameters = [  # noqa: RUF012 Twisted's way
        ["env-file", None, None, "Read settings from this file instead of .env in the working directory."]
    ]
    optFlags = [["try", None, "Try it: under a client id of its own, keeping neither a session nor a spool."]]  # noqa: RUF012
    longdesc = "Settings come from the environment and from a .env file; env.example lists them all."

    def __init__(self) -> None:
        open_standard_streams()
        super().__init__()

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"aiot-mqtt {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the settings; with mistakes in them, print every one and exit with 78."""
        settings, self["texts"] = read_settings(self["env-file"])
        self["settings"] = for_trial(settings) if self["try"] else settings


def makeService(options: Options) -> AiotMqttService:
    """What twistd calls: the whole service, and the way it logs."""
    reactor = global_reactor()
    settings: Settings = options["settings"]
    twistd: MutableMapping[str, Any] = {} if options.parent is None else options.parent
    keep_files_private(twistd)
    mistakes = unusable_files(settings, reactor)
    log = None
    try:
        if not (twistd.get("logger") or twistd.get("syslog")):
            log = open_log(settings, twistd)
    except ConfigError as error:
        mistakes = [*error.mistakes, *mistakes]
    if mistakes:
        exit_for(ConfigError(mistakes), settings.log_language)
    process = Process(log, settings.shutdown_timeout, is_daemon=not twistd.get("nodaemon"))
    service = AiotMqttService(
        settings,
        reactor,
        process.stop_began,
        log_observer=None if log is None else log.observer,
        supervisor=supervisor_of(os.environ, os.getpid()),
        is_trial=options["try"],
    )
    process.attach(reactor)
    faulthandler.enable()  # systemd's watchdog ends a hang by SIGABRT: where each thread was is then in the journal
    tell_start(settings)
    warn_of_settings(settings, options["texts"])
    # What is there by now stays for good. To look at it again and again costs the collector 4 % of all messages/s.
    gc.collect()
    gc.freeze()
    return service
