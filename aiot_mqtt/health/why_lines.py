"""What stands below the sentence of ``why``: each fact with its age and the time by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..devices.report import KINDS
from ..telemetry.bilingual import Bilingual
from ..telemetry.durations import duration
from ..telemetry.printable import shorten
from .device import DeviceFacts, Row, age, moment
from .why import answer

WRITTEN, NOT_WRITTEN = Bilingual("in the table", "已写入"), Bilingual("not in the table yet", "尚未写入")


def as_json(facts: DeviceFacts) -> dict[str, Any]:
    """The answer in the form that ``/why`` and ``aiot-mqtt why --json`` keep stable."""
    found, row, refusal = answer(facts), facts.row, facts.refusal
    return {
        "uuid": facts.uuid,
        "situation": found.situation.value,
        "exit_code": found.situation.exit_code,
        "sentence": _both(found.sentence),
        "lines": [_both(line) for line in lines(facts)],
        "time": facts.now,
        "service_started": facts.started_at,
        "row": None
        if row is None
        else {
            "uuid": row.uuid,
            "is_online": row.is_online,
            "last_seen": row.last_seen,
            "last_heartbeat": row.last_heartbeat,
            "device_status": row.status,
        },
        "no_answer": None if facts.no_answer is None else _both(facts.no_answer),
        "heard": facts.heard_at,
        "waiting": None
        if facts.waiting is None
        else {"since": facts.waiting.since, "where": "spool" if facts.waiting.is_on_disk else "memory"},
        "listened_seconds": facts.listened,
        "usual_interval_seconds": facts.usual_interval,
        "noted_since": facts.noted_since,
        "kinds": {
            name: {"time": each.at, "qos": each.qos, "written": each.is_written} for name, each in facts.kinds.items()
        },
        "refusal": None
        if refusal is None
        else {"time": refusal.at, "reason": refusal.reason, "detail": _both(refusal.detail), "topic": refusal.topic,
              "payload": refusal.payload},
        "knocks": None
        if facts.knocks is None
        else {"messages": facts.knocks.messages, "since": facts.knocks.since, "last": facts.knocks.last},
        "similar": list(facts.similar),
    }  # fmt: skip


def lines(facts: DeviceFacts) -> Iterator[Bilingual]:
    """What is known beside the answer, and what is not."""
    if facts.row is not None:
        yield from _row(facts, facts.row)
    elif facts.no_answer is not None and facts.started_at is not None:
        chinese = _chinese(facts.no_answer)
        yield Bilingual(f"table     — ({facts.no_answer})", f"表        —（{chinese}）")
    if facts.started_at is None:
        return
    if facts.heard_at is not None:
        at, ago = moment(facts, facts.heard_at), age(facts, facts.heard_at)
        yield Bilingual(f"received  {at} ({ago} ago), in the table", f"最近收到  {at}（{ago.chinese}前），已写入")
    elif facts.is_possible:
        at = moment(facts, facts.started_at)
        why = Bilingual("lately, or since this service started at", "近期，或本服务启动以来没有：")
        yield Bilingual(f"received  — (nothing {why} {at})", f"最近收到  —（{why.chinese}{at}）")
    if facts.waiting is not None:
        at, ago = moment(facts, facts.waiting.since), age(facts, facts.waiting.since)
        where = Bilingual("on this host", "本机暂存") if facts.waiting.is_on_disk else Bilingual("in memory", "内存")
        yield Bilingual(f"waits     {at} ({ago} ago), {where}", f"等待写入  {at}（{ago.chinese}前），{where.chinese}")
    yield from _kinds(facts)
    yield from _presence(facts)
    yield from _trouble(facts)


def _row(facts: DeviceFacts, row: Row) -> Iterator[Bilingual]:
    state = Bilingual("online", "在线") if row.is_online else Bilingual("offline", "离线")
    status = "—" if row.status is None else shorten(row.status)
    seen, heartbeat = _time(facts, row.last_seen), _time(facts, row.last_heartbeat)
    yield Bilingual(
        f"table     {state}, last_seen {seen}, last_heartbeat {heartbeat}, device_status {status}",
        f"表        {state.chinese}，last_seen {seen.chinese}，last_heartbeat {heartbeat.chinese}，"
        f"device_status {status}",
    )


def _kinds(facts: DeviceFacts) -> Iterator[Bilingual]:
    if facts.noted_since is None:
        return
    if not facts.kinds:
        since, ago = moment(facts, facts.noted_since), age(facts, facts.noted_since)
        yield Bilingual(
            f"kinds     — (noted since this was first asked, {since}, {ago} ago: ask again)",
            f"种类      —（自首次询问起记录：{since}，{ago.chinese}前；请稍后再问）",
        )
    for name in KINDS:
        if (noted := facts.kinds.get(name)) is not None:
            at = _time(facts, noted.at)
            written = WRITTEN if noted.is_written else NOT_WRITTEN
            yield Bilingual(
                f"{name:<9} {at}, QoS {noted.qos}, {written}",
                f"{name:<9} {at.chinese}，QoS {noted.qos}，{written.chinese}",
            )


def _presence(facts: DeviceFacts) -> Iterator[Bilingual]:
    seen_at = facts.seen_at
    if facts.listened is not None and seen_at is not None and facts.now > seen_at:
        silence, heard = duration(facts.now - seen_at), duration(min(facts.listened, facts.now - seen_at))
        least = facts.timeout and facts.listened >= facts.timeout
        at_least = Bilingual("at least ", "至少") if least else Bilingual("", "")
        yield Bilingual(
            f"listened  {at_least}{heard} of the {silence} since then",
            f"收听      此后 {silence.chinese}中{at_least.chinese} {heard.chinese}",
        )
    if facts.usual_interval is not None:
        each = duration(facts.usual_interval)
        yield Bilingual(f"usually   each {each}", f"通常      每 {each.chinese}一次")


def _trouble(facts: DeviceFacts) -> Iterator[Bilingual]:
    if facts.knocks is not None:
        at, ago = moment(facts, facts.knocks.last), age(facts, facts.knocks.last)
        count = facts.knocks.messages
        yield Bilingual(
            f"unknown   {count} messages, the last one {at} ({ago} ago)",
            f"未知      {count} 条，最近一条 {at}（{ago.chinese}前）",
        )
    refusal = facts.refusal
    if refusal is not None:
        at, ago = moment(facts, refusal.at), age(facts, refusal.at)
        what = f" {refusal.topic} {refusal.payload}".rstrip()
        yield Bilingual(
            f"refused   {at} ({ago} ago): {refusal.detail}{what and f' ·{what}'}",
            f"被拒绝    {at}（{ago.chinese}前）：{_chinese(refusal.detail)}{what and f' ·{what}'}",
        )


def _time(facts: DeviceFacts, time: float | None) -> Bilingual:
    if time is None:
        return Bilingual("—", "—")
    at, ago = moment(facts, time), age(facts, time)
    return Bilingual(f"{at} ({ago} ago)", f"{at}（{ago.chinese}前）")


def _chinese(text: str) -> str:
    return text.chinese if isinstance(text, Bilingual) else text


def _both(text: str) -> dict[str, str]:
    return {"en": str(text), "zh": _chinese(text)}
