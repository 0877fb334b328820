"""What the documents tell to type, and how a machine in which nobody sits types it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECK = "sudo venv/bin/aiot-mqtt check"
WITHOUT_END = ("sudo venv/bin/aiot-mqtt --try", "sudo journalctl -u mqtt-service -f", "sudo tail -f mqtt_service.log")
"""These go on until Ctrl-C."""
FOR_DEVELOPERS = re.compile(
    r"(scripts/[\w-]+)( --[\w-]+( [\w-]+)?)*|docker compose up --build|venv/bin/twistd aiot-mqtt"
)
"""What the README names and only other tests run; the first group is a file that has to be there."""
_SHELL = re.compile(r"(sudo|systemctl|journalctl|ss|mysql|docker|venv/bin/[\w-]+|scripts/[\w-]+|aiot-mqtt)( .*)?")


def section(name: str, heading: str) -> str:
    """What stands below that heading of a document, up to the next of its kind."""
    text = f"\n{(ROOT / name).read_text('utf-8')}"
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """The commands of its shell blocks, in their order, without what is said behind them and without ``cd``."""
    lines = (line.split(" #")[0].strip() for block in blocks(text, "bash") for line in block.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "cd "))]


def named_commands(text: str) -> list[str]:
    """The commands that stand inside sentences and tables, each once."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    quoted = (part.replace("\\|", "|") for part in re.findall(r"`([^`\n]+)`", prose))
    return list(dict.fromkeys(part for part in quoted if _SHELL.fullmatch(part) and part != "aiot-mqtt"))


def statement(text: str, verb: str) -> str:
    """The SQL statement that begins with this word.

    :raises ValueError: there is none, or more than one.
    """
    found: str
    [found] = [part for block in blocks(text, "sql") for part in re.findall(rf"^{verb}.*?;", block, re.S | re.M)]
    return found


def typed(command: str, *, broker_port: int, database_port: int, password: str) -> str:
    """The command with this machine's ports, and with what somebody would be asked for."""
    command = command.replace("-h localhost", f"-h localhost -p {broker_port}")
    command = command.replace("aiot-mqtt why UUID", "sudo venv/bin/aiot-mqtt why device-007")
    if command.startswith("mysql "):
        ask = "SELECT uuid FROM device_main LIMIT 1"
        command = command.replace(" -p ", f" -p{shlex.quote(password)} -P {database_port} ") + f" -e {shlex.quote(ask)}"
    return command.replace("grep 1883", f"grep {broker_port}")


def without_numbers(text: str) -> list[str]:
    """Lines of which only the words are left: versions, ports and counts differ from run to run."""
    return [re.sub(r"\d[\w.:+~-]*", "0", line).rstrip() for line in text.strip().splitlines()]
