"""What a PUBLISH means, told a second time and without any code of ``report``: by the README and the standard library.

The standard library's JSON is laxer than what both database servers take; here it is made as strict.
"""

from __future__ import annotations

import json
import string
from math import isfinite
from typing import NamedTuple

from aiot_mqtt.devices.report import KINDS, MAX_JSON_DEPTH, DeviceReport, Refused, ReportRules, decode

MAX_DETAIL = 200  # characters of a reason in words
WORD_ALPHABET = frozenset((string.ascii_letters + string.digits + "_-").encode())
DEVICE_ALPHABET = frozenset(string.ascii_letters + string.digits + "._:-")


class Verdict(NamedTuple):
    """What became of one input."""

    outcome: str
    """``accepted``, or the reason of the refusal."""
    detail: str
    problem: str | None
    """What is wrong with that; None where nothing is."""


def judge(topic: bytes, payload: bytes, rules: ReportRules) -> Verdict:
    """Decode, and hold the answer against the second opinion."""
    outcomes, expected = second_opinion(topic, payload, rules)
    try:
        said = decode(topic, payload, rules)
    except Refused as refused:
        is_right = refused.reason in outcomes and len(refused.detail) < MAX_DETAIL
        problem = None if is_right else f"refused ({refused.detail}), but {' or '.join(outcomes)}: {expected!r}"
        return Verdict(refused.reason, refused.detail, problem)
    except Exception as error:
        return Verdict("raised", "", f"raised {error!r}")
    is_right = said._replace(ignored_status=None) == expected and len(said.ignored_status or "") < MAX_DETAIL
    problem = None if is_right else f"accepted as {said!r}, but {' or '.join(outcomes)}: {expected!r}"
    return Verdict("accepted", f"{said.status is None} {said.is_online} {said.ignored_status}", problem)


def second_opinion(topic: bytes, payload: bytes, rules: ReportRules) -> tuple[tuple[str, ...], DeviceReport | None]:
    """The outcomes that are right, and the report where that is acceptance."""
    try:
        levels = topic.decode().split("/")
    except UnicodeDecodeError:
        return ("bad_topic",), None
    if len(levels) != 3 or levels[0] != rules.topic_prefix or levels[2] not in KINDS:
        return ("foreign_topic",), None
    device, kind, is_status = levels[1], 1 << KINDS.index(levels[2]), levels[2] == "status"
    if not 1 <= len(device) <= 36 or not set(device) <= DEVICE_ALPHABET:
        return ("unknown_device",), None
    if levels[2] == "heartbeat":
        return ("accepted",), DeviceReport(device, kind)
    document = payload
    if is_status and _is_bare(payload.strip()):
        value: object = payload.strip().decode()
    else:
        try:
            value = strict_json(payload)
            is_too_deep = depth(value) > MAX_JSON_DEPTH
        except ValueError:
            return ("bad_json",), None
        except RecursionError:
            is_too_deep = True
        if is_too_deep:
            return ("too_deep", "bad_json"), None  # orjson gives up at 1024 levels
    if is_status and isinstance(value, str) and _is_bare(value.encode()):
        value = {"status": value}
        document = json.dumps(value).encode()
    if isinstance(value, Members):
        value = dict(value)
    if not isinstance(value, dict):
        return ("not_an_object",), None
    if not is_status or "status" not in value:
        return ("accepted",), DeviceReport(device, kind, document)
    member = value["status"]
    status = str(member) if isinstance(member, str | int | float) and not isinstance(member, bool) else ""
    fits = 0 < len(status) <= rules.status_length and (not rules.status_values or status in rules.status_values)
    is_online = not (isinstance(member, str) and member.lower() == "offline")
    return ("accepted",), DeviceReport(device, kind, document, status if fits else None, is_online)


class Members(list[tuple[str, object]]):
    """An object with all its members, also those that a later one of the same name hides."""


def strict_json(payload: bytes) -> object:
    """Parse what both database servers would take; objects become ``Members``.

    :raises ValueError: they would not.
    :raises RecursionError: it is far too deep to say.
    """
    value = json.loads(
        payload.decode(), parse_constant=_refuse, parse_float=_number, parse_int=_number, object_pairs_hook=Members
    )
    json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    return value


def depth(value: object) -> int:
    """The number of objects and arrays around the innermost value."""
    if isinstance(value, Members):
        value = [member for _, member in value]
    if not isinstance(value, list):
        return 0
    return 1 + max(map(depth, value), default=0)


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _number(text: str) -> float | int:
    if not isfinite(value := float(text)):
        raise ValueError("beyond a double")
    if text.lstrip("-").isdigit() and -(2**63) <= (whole := int(text)) < 2**64:
        return whole
    return value


def _is_bare(word: bytes) -> bool:
    if word in (b"null", b"true", b"false", b"NaN", b"Infinity"):
        return False
    return 1 <= len(word) <= 20 and set(word) <= WORD_ALPHABET and word[:1].isalpha()
