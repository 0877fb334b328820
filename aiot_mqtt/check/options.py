"""The options of ``aiot-mqtt check``."""

from __future__ import annotations

import argparse

from .probes import GROUPS

USUAL_LISTEN = 10.0  # s
SERVICE_USER = "aiot-mqtt"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the subcommand."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object and nothing else")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what is well, too, each on a line")
    parser.add_argument(
        "--errors-only", action="store_true", help="exit code 0 in spite of warnings, as for ExecStartPre="
    )
    parser.add_argument(
        "--only", type=_groups, default=GROUPS, metavar="GROUPS", help=f"of {','.join(GROUPS)} only these, with commas"
    )
    parser.add_argument(
        "--listen", type=_seconds, default=USUAL_LISTEN, metavar="SECONDS",
        help="how long to listen to what devices publish (default: 10; 0: not at all)",
    )  # fmt: skip
    parser.add_argument(
        "--grant", action="store_true", help="print the SQL that gives the service just the rights it needs, only that"
    )
    parser.add_argument(
        "--user", default=SERVICE_USER, metavar="NAME",
        help=f"as root: the service's user, which to become before anything is read (default: {SERVICE_USER})",
    )  # fmt: skip


def _groups(text: str) -> tuple[str, ...]:
    groups = tuple(part.strip() for part in text.split(",") if part.strip())
    if not groups or not set(groups) <= set(GROUPS):
        raise argparse.ArgumentTypeError(f"must be some of {','.join(GROUPS)}")
    return groups


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:  # also of nan
        raise argparse.ArgumentTypeError("must be seconds from 0 to 3600")
    return seconds
