"""The ``aiot-mqtt`` command, and ``python -m aiot_mqtt``: run in the foreground."""

from __future__ import annotations

import argparse
import sys

from twisted.scripts import twistd

from . import __version__


def main(arguments: list[str] | None = None) -> None:
    """Run the service in the foreground until a signal ends it."""
    parser = argparse.ArgumentParser(
        prog="aiot-mqtt",
        description="Listen to IoT devices over MQTT and keep the device table true (in the foreground; "
        "'twistd aiot-mqtt' runs as a daemon).",
        epilog="Settings come from the environment and from a .env file; env.example lists them all.",
    )
    parser.add_argument("--version", action="version", version=f"aiot-mqtt {__version__}")
    parser.add_argument("--env-file", metavar="PATH", help="read settings from this file instead of ./.env")
    parsed = parser.parse_args(arguments)
    command = ["twistd", "--nodaemon", "--pidfile=", "aiot-mqtt"]
    if parsed.env_file:
        command += ["--env-file", parsed.env_file]
    sys.argv = command
    twistd.run()


if __name__ == "__main__":
    main()
