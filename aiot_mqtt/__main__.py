"""The ``aiot-mqtt`` command, and ``python -m aiot_mqtt``: run in the foreground, or one of the subcommands."""

from __future__ import annotations

import argparse
import sys

from twisted.scripts import twistd

from . import __version__
from .check import options as check
from .health import command as status
from .health import why_command as why
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

    def add_command(name: str, summary: str, description: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=description)
        # Suppressed, so that it does not undo one that stands in front of the subcommand.
        command.add_argument("--env-file", metavar="PATH", default=argparse.SUPPRESS, help=env_file_help)
        return command

    asking = add_command(
        "status",
        "say whether messages are safe, and what to do if they are not",
        "Ask the running service, over HTTP_LISTEN, whether messages are safe. Exit code: 0 OK or Protected, 1 Look,"
        " 2 Fault or not running.",
    )
    status.add_options(asking)
    asking_why = add_command(
        "why",
        "say why a device shows as online or offline",
        "Ask the running service, over HTTP_LISTEN, why a device shows as it does; without it, say what the table alone"
        " tells. Exit code: 0 it is known, 1 no row has this uuid, 2 it cannot be told.",
    )
    why.add_options(asking_why)
    add_command(
        "health",
        "exit code 0 while the running service makes progress (for a container's HEALTHCHECK)",
        "Ask the running service, over HTTP_LISTEN, whether it makes progress: exit code 0, else 1. It tells nothing"
        " of broker and database, because a restart does not mend those.",
    )
    checking = add_command(
        "check",
        "look for what is wrong with settings, broker, database and devices, and say what to do",
        "Look at settings, files, broker, database and devices as the service would, without disturbing it and without"
        " writing anything; say what is wrong, the cause first, and what to do. Exit code: 0 all well, 1 warnings, 2 an"
        " error, 3 the check itself did not finish.",
    )
    check.add_options(checking)
    inspecting = add_command(
        "spool",
        "show what was kept on this host and waits for the database; export or discard it",
        "Show what was kept on this host (SPOOL_FILE) and waits for the database, while the service does not run. Under"
        " systemd name the file: /var/lib/mqtt-service/mqtt_service.spool.",
    )
    spool.add_options(inspecting)
    add_command(
        "forget-session",
        "have the broker forget the session that it keeps for the service",
        "Have the broker forget the session that it keeps under MQTT_CLIENT_ID, and with it every message that waits"
        " there: this connects under that name with a clean start, and leaves. Stop the service first: one that runs"
        " loses its connection to this, and begins anew without what was waiting.",
    )
    simulating = add_command(
        "simulate",
        "publish to the broker as a fleet of devices would",
        "Publish to the broker as a fleet of devices would. Broker, user name, password and TLS come from the same"
        " settings as the service's.",
    )
    simulate.add_options(simulating)
    parsed = parser.parse_args(arguments)
    if parsed.command:
        from .commands import RUN  # noqa: PLC0415 twistd loads on its own terms what the service is made of

        RUN[parsed.command](parsed)
    command = ["twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
    if parsed.env_file:
        command += ["--env-file", parsed.env_file]
    if parsed.is_trial:
        command += ["--try"]
    sys.argv = command
    twistd.run()


if __name__ == "__main__":
    main()
