"""What one PUBLISH says about one device: a pure function from topic and payload to a report, or to a refusal.

Nothing here does I/O, logs or counts; the caller decides what a refusal costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_letters, digits
from typing import NamedTuple

import orjson

from ..telemetry.bilingual import Bilingual
from ..telemetry.reasons import reports as reasons

# Objects and arrays around a value. MariaDB's limit of 32 (JSON_DEPTH_LIMIT in its json_lib.h) counts the value too:
# its JSON columns take 31 and refuse 32 (tried on 10.11).
MAX_JSON_DEPTH = 31
DEFAULT_STATUS_LENGTH = 20
MAX_DEVICE_LENGTH = 36  # characters of a topic level: those of a UUID, hyphens included
DEVICE_CHARACTERS = f"{ascii_letters}{digits}._:-"  # the hyphen last, as it must be in a set of a pattern
DEVICE_PATTERN = f"[{DEVICE_CHARACTERS}]{{1,{MAX_DEVICE_LENGTH}}}"
"""What a topic level must be like to be looked for in the table."""

_DEVICE = re.compile(DEVICE_PATTERN)
_BARE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,19}")
_NUMBER = re.compile(r"\s*[+-]?\d+\s*")
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{[]}")
_NOT_BARE_WORDS = frozenset({"null", "true", "false", "NaN", "Infinity"})


# The kinds of report, which are the last topic level. Bits, so that a set of them is one small integer; plain ones,
# because an operation on an IntFlag costs 0.6 µs and each message needs three.
DATA = 1
STATUS = 2
HEARTBEAT = 4
KINDS = ("data", "status", "heartbeat")
_KIND_OF = dict(zip(KINDS, (DATA, STATUS, HEARTBEAT), strict=True))
ALL_KINDS = sum(_KIND_OF.values())


class DeviceReport(NamedTuple):
    """What one PUBLISH that was accepted says of its device."""

    device: str
    """The topic level as the device spelled it."""
    kind: int
    """DATA, STATUS or HEARTBEAT, by the last level of its topic."""
    document: bytes | None = None
    """JSON text for ``last_report_data``; None leaves the column alone."""
    status: str | None = None
    """Text for ``device_status``; None leaves the column alone."""
    is_online: bool = True
    ignored_status: str | None = None
    """Why a ``"status"`` member was not taken over, when there was one that could not be."""


class Refused(Exception):
    """This PUBLISH changes no column.

    ``reason`` is one of a few fixed words, fit to count by; ``detail`` says in words what is wrong and where.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class UnknownDevice(Refused):
    """The topic level cannot be the ``uuid`` of any device."""

    def __init__(self, device: str) -> None:
        super().__init__("unknown_device", reasons.NO_DEVICE.fill(most=MAX_DEVICE_LENGTH))
        self.device = device


class ForeignTopic(Refused):
    """The topic is none that this service subscribes to."""

    def __init__(self, topic: str) -> None:
        super().__init__("foreign_topic", reasons.FOREIGN_TOPIC)
        self.topic = topic


@dataclass(frozen=True, slots=True)
class ReportRules:
    """What a report must be like to be accepted."""

    topic_prefix: str = "devices"
    """One, or several between commas."""
    status_values: frozenset[str] = frozenset()
    """The words ``device_status`` may hold; empty: any."""
    status_length: int = DEFAULT_STATUS_LENGTH
    """Characters that fit the ``device_status`` column."""
    status_words: frozenset[str] | None = None
    """What ``device_status`` may hold where it is an ENUM or a SET; None: any text."""
    topic_pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prefixes = "|".join(re.escape(prefix) for prefix in split_prefixes(self.topic_prefix))
        pattern = re.compile(rf"(?:{prefixes})/({DEVICE_PATTERN})/({'|'.join(KINDS)})")
        object.__setattr__(self, "topic_pattern", pattern)

    @property
    def topic_filters(self) -> list[str]:
        """What to subscribe to for every report of every device."""
        return [f"{prefix}/+/{kind}" for prefix in split_prefixes(self.topic_prefix) for kind in KINDS]


def split_prefixes(text: str) -> tuple[str, ...]:
    """The levels that may stand before a device's own, of a text as in ``ReportRules.topic_prefix``."""
    return tuple(text.split(","))


def decode(topic: bytes, payload: bytes, rules: ReportRules) -> DeviceReport:
    """Say what a PUBLISH means.

    :param topic: the topic name as it came, not yet known to be UTF-8.
    :raises Refused: the PUBLISH is not a report, with the reason.
    """
    try:
        matched = rules.topic_pattern.fullmatch(topic.decode())
    except UnicodeDecodeError:
        raise Refused("bad_topic", reasons.TOPIC_NOT_UTF8) from None
    if matched is None:
        raise _refused_topic(topic.decode(), split_prefixes(rules.topic_prefix))
    device, level = matched.groups()
    if level == "heartbeat":
        return DeviceReport(device, HEARTBEAT)
    if level == "data":
        if not isinstance(parse_json(payload), dict):
            raise Refused("not_an_object", reasons.NOT_AN_OBJECT)
        return DeviceReport(device, DATA, payload)
    return _decode_status(device, payload, rules)


def is_device(level: str) -> bool:
    """Whether a topic level is like one that is looked for in the table."""
    return _DEVICE.fullmatch(level) is not None


def source_of(topic: bytes, rules: ReportRules) -> tuple[str, int] | None:
    """The device whose own topic this is, and the kind of report that belongs there; None: it is nobody's."""
    matched = rules.topic_pattern.fullmatch(topic.decode("utf-8", "replace"))
    return None if matched is None else (matched[1], _KIND_OF[matched[2]])


def parse_json(payload: bytes) -> object:
    """Parse strict JSON (RFC 8259, I-JSON's numbers and strings).

    orjson refuses NaN, Infinity, numbers beyond a double, lone surrogates and invalid UTF-8 by itself, none of which
    both database servers would take, at a sixth of the standard library's cost.

    :raises Refused: it is not, or is nested deeper than the database allows.
    """
    try:
        document: object = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Refused("bad_json", _not_json(error)) from None
    # Every level costs an opening bracket, so almost every payload passes without a closer look.
    if payload.count(b"{") + payload.count(b"[") > MAX_JSON_DEPTH and _depth(payload) > MAX_JSON_DEPTH:
        raise Refused("too_deep", reasons.TOO_DEEP.fill(most=MAX_JSON_DEPTH))
    return document


def _not_json(error: orjson.JSONDecodeError) -> Bilingual:
    words = Bilingual(error.msg, reasons.JSON_WORDS.get(error.msg, error.msg))
    place = reasons.PLACE.fill(line=error.lineno, column=error.colno, at=error.pos)
    return reasons.NOT_JSON.fill(words=words, place=place)


def _depth(payload: bytes) -> int:
    """The number of objects and arrays around the innermost value of a valid JSON text.

    By the text, which is what gets stored: in what was parsed, a member hides an earlier one of the same name.
    """
    depth = deepest = 0
    for bracket in _TEXT.sub(b"", payload).translate(None, _NO_BRACKETS):
        if bracket in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _decode_status(device: str, payload: bytes, rules: ReportRules) -> DeviceReport:
    word = payload.strip().decode("ascii", "replace")
    if _is_bare_word(word):
        members: dict[str, object] = {"status": word}
        document = b'{"status": "%s"}' % word.encode()
    else:
        parsed = parse_json(payload)
        if isinstance(parsed, str) and _is_bare_word(parsed):
            members, document = {"status": parsed}, b'{"status": "%s"}' % parsed.encode()
        elif isinstance(parsed, dict):
            members, document = parsed, payload
        else:
            raise Refused("not_an_object", reasons.NEITHER_OBJECT_NOR_WORD)
    if "status" not in members:
        return DeviceReport(device, STATUS, document)
    member = members["status"]
    is_online = not (isinstance(member, str) and member.lower() == "offline")
    try:
        status = _status_text(member, rules)
    except ValueError as error:
        return DeviceReport(device, STATUS, document, None, is_online, str(error))
    return DeviceReport(device, STATUS, document, status, is_online)


def _is_bare_word(text: str) -> bool:
    return _BARE_WORD.fullmatch(text) is not None and text not in _NOT_BARE_WORDS


def _status_text(member: object, rules: ReportRules) -> str:
    """The text ``device_status`` gets.

    :raises ValueError: the member cannot be stored there, with the reason.
    """
    if isinstance(member, bool) or not isinstance(member, str | int | float):
        kind = type(member).__name__
        raise ValueError(reasons.STATUS_NO_TEXT.fill(kind=reasons.JSON_KINDS.get(kind, kind)))
    text = str(member)
    if not text:
        raise ValueError(reasons.STATUS_EMPTY)
    if len(text) > rules.status_length:
        raise ValueError(reasons.STATUS_TOO_LONG.fill(size=len(text), most=rules.status_length))
    if rules.status_words is not None and is_place(text, rules.status_words):
        raise ValueError(reasons.STATUS_IS_PLACE)
    if rules.status_values and text not in rules.status_values:
        raise ValueError(reasons.STATUS_NOT_ALLOWED)
    return text


def is_place(text: str, words: frozenset[str]) -> bool:
    """Whether an ENUM or a SET of these words would take a text for the place of one of them."""
    return _NUMBER.fullmatch(text) is not None and text not in words


def _refused_topic(topic: str, prefixes: Sequence[str]) -> Refused:
    before, _, after = topic.rpartition("/")
    prefix, slash, device = before.rpartition("/")
    return UnknownDevice(device) if after in KINDS and slash and prefix in prefixes else ForeignTopic(topic)
