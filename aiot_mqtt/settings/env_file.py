"""Reads a ``.env`` that means the same to python-dotenv and to systemd's ``EnvironmentFile=``.

The two disagree on many lines (comments behind values, backslashes, ``${}``, text behind a closing quote), and a
password that is read differently by hand and under systemd costs a night. So only lines that both read alike are
accepted, and python-dotenv then reads them; every other line is a mistake that is named.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from dotenv import dotenv_values

from ..telemetry.bilingual import Bilingual
from ..telemetry.reasons import settings as reasons
from .bounded import read_bounded

MAX_FILE = 4 * 1024 * 1024  # bytes: a hundred times what all settings may have together
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# Before its version 254 systemd takes the line after a comment that ends with a backslash for a comment too.
_BLANK = re.compile(r"[ \t]*(#(.*[^\\])?)?")
_ASSIGNMENT = re.compile(rf"[ \t]*(?P<name>{_NAME})[ \t]*=[ \t]*(?P<value>.*?)[ \t]*")
_SINGLE_QUOTED = re.compile(r"'[^'\\]*'")
_DOUBLE_QUOTED = re.compile(r'"[^"\\]*"')

# Besides what no text file should hold: noncharacters, for which systemd refuses the whole file.
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ufeff{_NONCHARACTERS}]")
_LINE_BREAK = re.compile("\r\n|\n|\r")


def read_env_file(path: Path) -> tuple[dict[str, str], dict[str, int], list[str]]:
    """Read a file of assignments.

    Returns the values by name; the line each stands on; the mistakes, each naming file and line.

    :raises OSError: the file cannot be read, or is too long.
    """
    raw = read_bounded(path, MAX_FILE)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        broken = raw.count(b"\n", 0, error.start) + 1
        return {}, {}, [_at(path, broken, reasons.ENV_NOT_UTF8.fill(byte=f"{raw[error.start]:02x}"))]
    lines: dict[str, int] = {}
    mistakes: list[str] = []
    for number, line in enumerate(_LINE_BREAK.split(text), 1):
        if problem := _problem(line):
            mistakes.append(_at(path, number, problem))
        elif assignment := _ASSIGNMENT.fullmatch(line):
            lines[assignment["name"]] = number
    if mistakes:
        return {}, lines, mistakes
    # interpolate, or dotenv would expand ${NAME}, which systemd does not.
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value or "" for name, value in values.items()}, lines, []


def _at(path: Path, number: int, problem: Bilingual) -> Bilingual:
    return reasons.MISTAKE_AT.fill(where=f"{path}:{number}", what=problem)


def _problem(line: str) -> Bilingual | None:
    """What makes a line mean different things to the two readers, and what to do; None when nothing does."""
    if "\0" in line:
        return _control("\0")
    if _BLANK.fullmatch(line):
        return None
    if line.startswith("\ufeff"):
        return reasons.ENV_BOM
    if control := _CONTROL.search(line):
        return _control(control[0])
    if line.lstrip().startswith(";"):
        return reasons.ENV_SEMICOLON
    assignment = _ASSIGNMENT.fullmatch(line)
    if assignment is None:
        if line.lstrip().startswith("#"):
            return reasons.ENV_COMMENT_BACKSLASH
        if line.lstrip().startswith("export "):
            return reasons.ENV_EXPORT_LINE
        return reasons.ENV_NO_ASSIGNMENT
    if assignment["name"] == "export":
        return reasons.ENV_EXPORT_NAME
    return _value_problem(assignment["value"])


def _control(character: str) -> Bilingual:
    return reasons.ENV_CONTROL.fill(code=f"{ord(character):04X}")


def _value_problem(value: str) -> Bilingual | None:
    if _SINGLE_QUOTED.fullmatch(value) or _DOUBLE_QUOTED.fullmatch(value):
        return None
    if "\\" in value:
        return reasons.ENV_BACKSLASH
    if value.startswith(("'", '"')):
        quote = value[0]
        if quote in value[1:]:
            return reasons.ENV_BEHIND_QUOTE
        return reasons.ENV_OPEN_QUOTE.fill(quote=quote)
    if value != value.strip():
        return reasons.ENV_BLANK
    if re.search(r"(^|\s)#", value):
        return reasons.ENV_HASH
    return None
