"""What ``aiot-mqtt status`` prints, from the service's JSON. What is not known is a dash, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..telemetry.bilingual import Bilingual
from ..telemetry.durations import duration
from ..telemetry.printable import printable
from .state import State

WORDS = {state.value: {"en": str(state.word), "zh": state.word.chinese} for state in State}
ICONS = {State.OK.value: "✅", State.PROTECTED.value: "🛡", State.LOOK.value: "⚠️", State.FAULT.value: "❌"}
SHOWN_APART = {"broker", "database", "spool", "standby"}  # conditions that have a line of their own
MAX_SENTENCE = 500  # characters
UNITS = ("B", "KB", "MB", "GB", "TB")
_OUTCOMES = {
    "stored": "已存",
    "superseded": "被替代",
    "unchanged": "无变化",
    "refused": "被拒绝",
    "retained": "保留消息",
    "stale": "过时重发",
    "dropped": "已丢弃",
    "pending": "等待",
}


def in_words(status: dict[str, Any], language: str, *, is_watched: bool = False) -> str:
    """The sentence, and what stands below it; less of it where a service of another version answered otherwise.

    :param status: with a sentence in both languages.
    :param is_watched: and who changed last, which whoever watches wants.
    """
    try:
        return _all(status, language, is_watched=is_watched)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        version = printable(str(status.get("version") or "?"), 40)
        rest = Bilingual(
            f"  the service that runs ({version}) is of another version than this command: restart it to see the rest",
            f"  正在运行的服务（{version}）与本命令版本不同：重启服务后可看到其余内容",
        )
        sentence = printable(str(status["sentence"][language]), MAX_SENTENCE)
        return f"{ICONS.get(status['state'], '⚪')} {sentence}\n{rest.chinese if language == 'zh' else rest}"


def _all(status: dict[str, Any], language: str, *, is_watched: bool) -> str:
    colon = "：" if language == "zh" else ": "
    state = status["state"]
    lines = [f"{ICONS[state]} {WORDS[state][language]}{colon}{status['sentence'][language]}"]
    if "sum" in status:
        lines += [line.chinese if language == "zh" else line for line in _details(status)]
        conditions = [each for each in status["conditions"] if not each["ok"] and each["id"] not in SHOWN_APART]
    else:
        conditions = status["conditions"]
    lines += [f"  {'✅' if each['ok'] else '⚠️'} {each['id']:<10} {each['reason'][language]}" for each in conditions]
    if is_watched and "sum" in status:
        lines += ["", *(line.chinese if language == "zh" else line for line in _changes(status))]
    return "\n".join(lines)


def size(count: float | None) -> str:
    """Bytes in a unit that says something."""
    if count is None:
        return "—"
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def _details(status: dict[str, Any]) -> Iterator[Bilingual]:
    met = {each["id"]: each for each in status["conditions"]}
    if status.get("standby") is not None:  # an older service does not tell
        yield _standby(status["standby"], met["standby"])
    yield _broker(status["broker"], status["time"], met["broker"])
    yield _database(status["database"], met["database"])
    yield _spool(status["spool"], status.get("outlook"))
    yield _waiting(status["broker"])
    yield _dropped(status["broker"])
    yield _devices(status["devices"])
    yield _unknown(status)
    yield _sum(status)


def _standby(standby: dict[str, Any], condition: dict[str, Any]) -> Bilingual:
    icon, lasts, reason = _icon(condition), duration(standby["since_seconds"]), condition["reason"]
    return Bilingual(
        f"Instances  {icon} {reason['en']}  for {lasts}", f"实例      {icon} {reason['zh']}  已 {lasts.chinese}"
    )


def _broker(broker: dict[str, Any], now: float, condition: dict[str, Any]) -> Bilingual:
    icon, rate = _icon(condition), f"{broker['messages_per_second']:,.0f}"
    if broker["trouble"] is not None:
        reason = broker["trouble"]["reason"]
        return Bilingual(
            f"Broker     {icon} {broker['address']}  {reason['en']}",
            f"Broker    {icon} {broker['address']}  {reason['zh']}",
        )
    last, chinese = "no message yet", "还没有消息"
    if broker["last_message"] is not None:
        ago = duration(max(0.0, now - broker["last_message"]))
        last, chinese = f"the last {ago} ago", f"最近 {ago.chinese}前"
    return Bilingual(
        f"Broker     {icon} {broker['address']}  {rate} messages/s  {last}",
        f"Broker    {icon} {broker['address']}  收到 {rate} 条/秒  {chinese}",
    )


def _database(database: dict[str, Any], condition: dict[str, Any]) -> Bilingual:
    icon, trouble = _icon(condition), database["trouble"]
    reason = condition["reason"] if trouble is None else trouble["reason"]
    in_use = database.get("in_use")  # an older service does not tell, nor does one that has one address only
    address, address_zh = database["address"], database["address"]
    if in_use is not None:
        address, address_zh = f"{address} (in use: {in_use})", f"{address}（使用中：{in_use}）"
    english = f"Database   {icon} {address}  {reason['en']}"
    chinese = f"数据库    {icon} {address_zh}  {reason['zh']}"
    if trouble is not None and trouble["next_in"] is not None:
        wait = duration(trouble["next_in"])
        return Bilingual(f"{english}  next attempt in {wait}", f"{chinese}  下次尝试 {wait.chinese}后")
    return Bilingual(english, chinese)


def _spool(spool: dict[str, Any] | None, outlook: dict[str, Any] | None) -> Bilingual:
    if spool is None:
        return Bilingual("Spool      — (SPOOL_FILE is empty)", "暂存      —（未启用 SPOOL_FILE）")
    if spool["trouble"] is not None:
        reason = spool["trouble"]["reason"]
        return Bilingual(f"Spool      ❌ {reason['en']}", f"暂存      ❌ {reason['zh']}")
    if not spool["devices"]:
        if spool["free_bytes"] is None:
            return Bilingual(
                "Spool      empty · — (its disk was not looked at yet)", "暂存      空 · —（尚未查看磁盘）"
            )
        free = size(spool["free_bytes"])
        return Bilingual(f"Spool      empty · {free} free", f"暂存      空 · 磁盘可用 {free}")
    devices, used = f"{spool['devices']:,}", size(spool["bytes"])
    since, chinese = "from before this start", "本次启动之前就有"
    if spool["since"] is not None:
        at = _moment(spool["since"])
        since, chinese = f"since {at}", f"自 {at} 起"
    room, room_chinese = "", ""
    if outlook is not None:
        room, room_chinese = f" · {outlook['words']['en']}", f" · {outlook['words']['zh']}"
    return Bilingual(
        f"Spool      {devices} devices · {used} · {since}{room}",
        f"暂存      {devices} 台设备 · {used} · {chinese}{room_chinese}",
    )


def _waiting(broker: dict[str, Any]) -> Bilingual:
    oldest = broker["oldest_unacknowledged_seconds"]
    used, window, peak = (f"{broker[name]:,}" for name in ("unacknowledged", "window", "unacknowledged_peak"))
    return Bilingual(
        f"Unacknowledged  the oldest {oldest} s    window {used} / {window} (at most {peak} in 10 min)",
        f"最老的未确认消息 {oldest} 秒    窗口 {used} / {window}（10 分钟内最高 {peak}）",
    )


def _dropped(broker: dict[str, Any]) -> Bilingual:
    lost = broker["sessions_lost"]
    sessions = Bilingual(f" · sessions lost {lost}", f" · 会话丢失 {lost} 次") if lost else Bilingual("", "")
    if broker["dropped"] is None:
        return Bilingual(
            f"Dropped    — ($SYS is not readable, or was not asked yet){sessions}",
            f"Broker丢弃 —（读不到 $SYS，或尚未读取）{sessions.chinese}",
        )
    count = f"{broker['dropped']:,}"
    return Bilingual(
        f"Dropped    {count} by the broker since it was started, of all its clients{sessions}",
        f"Broker丢弃 {count} 条（自其启动以来，所有客户端合计）{sessions.chinese}",
    )


def _devices(devices: dict[str, Any] | None) -> Bilingual:
    if devices is None:
        return Bilingual("Devices    — (not counted yet)", "设备      —（尚未统计）")
    online, offline = f"{devices['online']:,}", f"{devices['all'] - devices['online']:,}"
    ago = duration(devices["counted_ago"])
    return Bilingual(
        f"Devices    online {online} · offline {offline} (counted {ago} ago)",
        f"设备      在线 {online} · 离线 {offline}（{ago.chinese}前统计）",
    )


def _unknown(status: dict[str, Any]) -> Bilingual:
    count, newest = status["unknown_uuids"], status["newest_unknown_uuids"]
    names, chinese = "", ""
    if newest:
        names, chinese = f" ({', '.join(newest)})", f"（{'、'.join(newest)}）"
    return Bilingual(
        f"Unknown    {count:,} uuids in 10 min that no row has{names}",
        f"未知uuid  10 分钟内 {count:,} 个表中没有的{chinese}",
    )


def _changes(status: dict[str, Any]) -> Iterator[Bilingual]:
    """Who went offline or came back, the last one first."""
    changes = status.get("newest_changes", [])
    if not changes:
        yield Bilingual("Changes    — (none since this start)", "变化      —（本次启动以来没有）")
    for each in changes:
        ago, at, name = duration(max(0.0, status["time"] - each["time"])), _moment(each["time"]), each["uuid"]
        if each["online"]:
            what = Bilingual("is online again", "恢复在线")
        elif each["own_word"]:
            what = Bilingual("said that it is offline, or its will did", "自己（或遗嘱）报告离线")
        else:
            what = Bilingual("is offline: silent for HEARTBEAT_TIMEOUT", "离线：超过 HEARTBEAT_TIMEOUT 没有消息")
        yield Bilingual(f"  {at} ({ago} ago)  {name} {what}", f"  {at}（{ago.chinese}前）  {name} {what.chinese}")


def _sum(status: dict[str, Any]) -> Bilingual:
    at, counts, became = _moment(status["started"]), status["sum"]["deliveries"], status["sum"]["outcomes"]
    came, recovered = f"{counts['received']:,}", f"{counts['recovered']:,}"
    english = " + ".join(f"{name} {became[name]:,}" for name in _OUTCOMES)
    chinese = " + ".join(f"{word} {became[name]:,}" for name, word in _OUTCOMES.items())
    return Bilingual(
        f"Since {at}: received {came} + recovered {recovered} = {english}",
        f"自 {at} 起：收到 {came} + 恢复 {recovered} = {chinese}",
    )


def _icon(condition: dict[str, Any]) -> str:
    return "✅" if condition["ok"] else "❌"


def _moment(time: float) -> str:
    """In this host's zone, with its date where that is not today's."""
    then = datetime.fromtimestamp(time).astimezone()
    return then.strftime("%H:%M:%S" if then.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M:%S")
