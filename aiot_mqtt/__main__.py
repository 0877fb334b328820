"""The ``aiot-mqtt`` command, and ``python -m aiot_mqtt``: run in the foreground, or one of the subcommands."""

from __future__ import annotations

import argparse
import sys

from twisted.scripts import twistd

from . import __version__
from .health import command as status
from .process import open_standard_streams
from .simulate import command as simulate
from .spool import command as spool


def main(arguments: list[str] | None = None) -> None:
    """Run the service in the foreground until a signal ends it, or one of the subcommands."""
    open_standard_streams()
    parser = argparse.ArgumentParser(
        prog="aiot-mqtt",
        description="Listen to IoT devices over MQTT and keep the device table true (in the foreground; "
        "'twistd aiot-mqtt' runs as a daemon).",
        epilog="Settings come from the environment and from a .env file; env.example lists them all.",
    )
    parser.add_argument(
        "--try",
        action="store_true",
        dest="is_trial",
        help="try it: under a client id of its own (MQTT_CLIENT_ID with -try behind it), keeping neither a session in "
        "the broker nor a spool",
    )
    env_file_help = "read settings from this file instead of ./.env"
    parser.add_argument("--version", action="version", version=f"aiot-mqtt {__version__}")
    parser.add_argument("--env-file", metavar="PATH", help=env_file_help)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="instead of running the service")
    simulating = commands.add_parser(
        "simulate",
        help="publish to the broker as a fleet of devices would",
        description="Publish to the broker as a fleet of devices would. Broker, user name, password and TLS come from "
        "the same settings as the service's.",
    )
    # Suppressed, so that it does not undo one that stands in front of the subcommand.
    simulating.add_argument("--env-file", metavar="PATH", default=argparse.SUPPRESS, help=env_file_help)
    simulate.add_options(simulating)
    forgetting = commands.add_parser(
        "forget-session",
        help="have the broker forget the session that it keeps for the service",
        description="Have the broker forget the session that it keeps under MQTT_CLIENT_ID, and with it every message "
        "that waits there: this connects under that name with a clean start, and leaves. Stop the service first: one "
        "that runs loses its connection to this, and begins anew without what was waiting.",
    )
    forgetting.add_argument("--env-file", metavar="PATH", default=argparse.SUPPRESS, help=env_file_help)
    inspecting = commands.add_parser(
        "spool",
        help="show what was kept on this host and waits for the database; export or discard it",
        description="Show what was kept on this host (SPOOL_FILE) and waits for the database, while the service does"
        " not run. Under systemd name the file: /var/lib/mqtt-service/mqtt_service.spool.",
    )
    inspecting.add_argument("--env-file", metavar="PATH", default=argparse.SUPPRESS, help=env_file_help)
    spool.add_options(inspecting)
    asking = commands.add_parser(
        "status",
        help="say whether messages are safe, and what to do if they are not",
        description="Ask the running service, over HTTP_LISTEN, whether messages are safe. Exit code: 0 OK or"
        " Protected, 1 Look, 2 Fault or not running.",
    )
    asking.add_argument("--env-file", metavar="PATH", default=argparse.SUPPRESS, help=env_file_help)
    status.add_options(asking)
    living = commands.add_parser(
        "health",
        help="exit code 0 while the running service's reactor turns (for a container's HEALTHCHECK)",
        description="Ask the running service, over HTTP_LISTEN, whether its reactor turns: exit code 0, else 1. It"
        " tells nothing of broker and database, because a restart does not mend those.",
    )
    living.add_argument("--env-file", metavar="PATH", default=argparse.SUPPRESS, help=env_file_help)
    parsed = parser.parse_args(arguments)
    if parsed.command == "simulate":
        from .commands import run_simulation  # noqa: PLC0415 twistd loads it on its own terms

        run_simulation(parsed)
    if parsed.command == "forget-session":
        from .commands import run_forget_session  # noqa: PLC0415 the same

        run_forget_session(parsed)
    if parsed.command == "status":
        from .commands import run_status  # noqa: PLC0415 the same

        run_status(parsed)
    if parsed.command == "health":
        from .commands import run_health  # noqa: PLC0415 the same

        run_health(parsed)
    if parsed.command == "spool":
        from .commands import run_spool  # noqa: PLC0415 the same

        run_spool(parsed)
    command = ["twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
    if parsed.env_file:
        command += ["--env-file", parsed.env_file]
    if parsed.is_trial:
        command += ["--try"]
    sys.argv = command
    twistd.run()


if __name__ == "__main__":
    main()
