"""The sentences of ``why``, in both languages."""

from __future__ import annotations

from ..telemetry.bilingual import Bilingual
from ..telemetry.durations import duration
from ..telemetry.remembered import Refusal
from .device import DeviceFacts, Waiting, age, moment

SOON = 6.0  # s in which what comes is in the table, while nothing is in the way


def fine(facts: DeviceFacts, seen_at: float) -> Bilingual:
    """See ``Situation.FINE``."""
    ago, name = age(facts, seen_at), facts.uuid
    if facts.heard_at is None:
        at = moment(facts, seen_at)
        since, since_chinese = _since_start(facts)
        return Bilingual(
            f"{name} is online: last seen {ago} ago ({at}) by the table; {since} nothing came from it.",
            f"{name} 在线：表中最后出现 {ago.chinese}前（{at}）；{since_chinese}还没有收到过它的消息。",
        )
    if facts.row is not None and facts.row.last_seen is not None and facts.heard_at - facts.row.last_seen > SOON:
        # What waited on this host counts as heard when it is written, and a heartbeat may not have been written at all.
        seen = age(facts, facts.row.last_seen)
        return Bilingual(
            f"{name} is online: heard, or written from this host, {ago} ago; by the table last seen {seen} ago.",
            f"{name} 在线：{ago.chinese}前收到，或由本机暂存写入；表中最后出现 {seen.chinese}前。",
        )
    return Bilingual(
        f"{name} is online: a message came {ago} ago and is in the table.",
        f"{name} 在线：{ago.chinese}前收到消息，已写入数据库。",
    )


def waiting(facts: DeviceFacts, waiting: Waiting) -> Bilingual:
    """See ``Situation.WAITING``."""
    ago, name = age(facts, waiting.since), facts.uuid
    english, chinese = f"{name}: a message came {ago} ago", f"{name}：{ago.chinese}前收到消息"
    if facts.database is not None:
        lasts, reason = duration(facts.database.seconds), facts.database.reason
        reason_chinese = reason.chinese if isinstance(reason, Bilingual) else reason
        english += f" and is not in the table yet (the database is away for {lasts}: {reason})"
        chinese += f"，尚未写入（数据库中断 {lasts.chinese}：{reason_chinese}）"
    else:
        english += " and is being written"
        chinese += "，正在写入"
    if waiting.is_on_disk:
        return Bilingual(f"{english}; it is kept on this host and not lost.", f"{chinese}；已存本机，不会丢失。")
    if facts.database is not None:
        return Bilingual(
            f"{english}; it waits in memory, unacknowledged: what came at QoS 1 the broker keeps.",
            f"{chinese}；在内存中等待，未确认：QoS 1的消息仍由Broker保留。",
        )
    return Bilingual(f"{english}.", f"{chinese}。")


def silent(facts: DeviceFacts, seen_at: float) -> Bilingual:
    """See ``Situation.SILENT``."""
    lasts, at, name = age(facts, seen_at), moment(facts, seen_at), facts.uuid
    if facts.is_set_offline:
        return Bilingual(
            f"{name} is offline: no message since {at} ({lasts}), which is more than HEARTBEAT_TIMEOUT, while this"
            " service listened.",
            f"{name} 离线：自 {at} 起 {lasts.chinese}没有消息，超过 HEARTBEAT_TIMEOUT；这期间本服务一直在收听。",
        )
    since, since_chinese = _since_start(facts)
    return Bilingual(
        f"{name} is offline: last seen {at} ({lasts} ago); {since} nothing came from it, and who set it offline before"
        " is not known.",
        f"{name} 离线：最后出现 {at}（{lasts.chinese}前）；{since_chinese}没有收到过它的消息，之前由谁判离线不得而知。",
    )


def own_word(facts: DeviceFacts, seen_at: float) -> Bilingual:
    """See ``Situation.OWN_WORD``."""
    at, ago, name = moment(facts, seen_at), age(facts, seen_at), facts.uuid
    return Bilingual(
        f"{name} is offline: at {at} ({ago} ago) it said so itself, or its will did.",
        f"{name} 离线：{at}（{ago.chinese}前）它自己（或遗嘱）报告了 offline。",
    )


def not_judged_yet(facts: DeviceFacts, silence: float) -> Bilingual:
    """See ``Situation.NOT_JUDGED_YET``."""
    lasts, name = duration(silence), facts.uuid
    if facts.listened is None:
        return Bilingual(
            f"{name} shows online, but nothing came for {lasts}, and how long this service listened meanwhile is not"
            " known.",
            f"{name} 显示在线，但 {lasts.chinese}没有消息；这期间本服务收听了多久不得而知。",
        )
    away, left = duration(max(0.0, silence - facts.listened)), facts.timeout - facts.listened
    if left <= 0:
        return Bilingual(
            f"{name} shows online, but nothing came for {lasts}: the next look at the table sets it offline.",
            f"{name} 显示在线，但 {lasts.chinese}没有消息：下一次检查就会判离线。",
        )
    more = duration(left)
    paused = Bilingual("", "") if facts.is_listening else Bilingual(" (it does not now)", "（现在没有在收听）")
    return Bilingual(
        f"{name} shows online, but nothing came for {lasts}: for {away} of that this service did not listen, and {more}"
        f" more of listening set it offline{paused}.",
        f"{name} 显示在线，但 {lasts.chinese}没有消息：其中 {away.chinese}本服务没有在收听，"
        f"还要收听 {more.chinese}才会判离线{paused.chinese}。",
    )


def set_by_others(facts: DeviceFacts, heard_at: float) -> Bilingual:
    """See ``Situation.SET_BY_OTHERS``."""
    ago, name = age(facts, heard_at), facts.uuid
    return Bilingual(
        f"{name} is offline in the table, but a message of it came {ago} ago and was written as online: another program"
        " changes is_online.",
        f"{name} 在表中为离线，但本服务 {ago.chinese}前收到过它的消息并写入在线：有别的程序在改 is_online。",
    )


def refused(facts: DeviceFacts, refusal: Refusal) -> Bilingual:
    """See ``Situation.REFUSED``."""
    name, detail = facts.uuid, refusal.detail
    chinese = detail.chinese if isinstance(detail, Bilingual) else detail
    ago = age(facts, refusal.at)
    return Bilingual(
        f"The last message of {name}, {ago} ago, was refused: {detail}. It counts as heard, and changed nothing else.",
        f"{name} 的最近一条消息（{ago.chinese}前）被拒绝：{chinese}。它仍算出现过，但上报内容没有写入。",
    )


def knocking(facts: DeviceFacts) -> Bilingual:
    """See ``Situation.KNOCKING``."""
    name, table = facts.uuid, facts.table
    knocks = facts.knocks
    if knocks is None:
        sends, chinese = "a message of it just came", "刚收到它的消息"
    else:
        lasts = age(facts, knocks.since)
        sends = f"{knocks.messages} messages in {lasts}"
        chinese = f"{lasts.chinese}内 {knocks.messages} 条"
    return Bilingual(
        f"{name} does not exist in {table}, but sends: {sends}. A topic must hold the uuid; or add the device."
        f"{_alike(facts)}",
        f"{name} 不存在于 {table}，但正在发送：{chinese}。主题里应为 uuid；或在后端添加。{_alike(facts).chinese}",
    )


def no_row(facts: DeviceFacts) -> Bilingual:
    """See ``Situation.NO_ROW``."""
    name, (since, chinese) = facts.uuid, _since_start(facts)
    return Bilingual(
        f"No device has the uuid {name}, and {since} nothing came under it.{_alike(facts)}",
        f"没有 uuid 为 {name} 的设备，{chinese}也没有收到过它的消息。{_alike(facts).chinese}",
    )


def _alike(facts: DeviceFacts) -> Bilingual:
    if not facts.similar:
        return Bilingual("", "")
    return Bilingual(f" Similar: {', '.join(facts.similar)}.", f"相近的：{'、'.join(facts.similar)}。")


def never(facts: DeviceFacts) -> Bilingual:
    """See ``Situation.NEVER``."""
    since, chinese = _since_start(facts)
    return Bilingual(
        f"{facts.uuid} was never seen: last_seen is empty, and {since} nothing came from it.",
        f"{facts.uuid} 从未出现：last_seen 为空，{chinese}也没有消息。",
    )


def impossible(facts: DeviceFacts) -> Bilingual:
    """See ``Situation.IMPOSSIBLE``."""
    came = came_chinese = ""
    if facts.knocks is not None:
        came = f" {facts.knocks.messages} messages came under it."
        came_chinese = f"但收到了 {facts.knocks.messages} 条这样的消息。"
    return Bilingual(
        f"{facts.uuid} can be no device's: a uuid in a topic is 1 to 36 characters of A-Z a-z 0-9 . _ : -.{came}",
        f"{facts.uuid} 不可能是设备：主题中的 uuid 为 1 到 36 个字符，只能是 A-Z a-z 0-9 . _ : -。{came_chinese}",
    )


def cannot_tell(facts: DeviceFacts) -> Bilingual:
    """See ``Situation.CANNOT_TELL``."""
    runs = facts.started_at is not None
    no_answer = facts.no_answer
    why = Bilingual("the service does not run", "服务没有运行")
    if facts.no_service is not None:
        reason = facts.no_service.chinese if isinstance(facts.no_service, Bilingual) else facts.no_service
        why = Bilingual(f"the service does not answer ({facts.no_service})", f"服务没有应答（{reason}）")
    elif runs and no_answer is not None:
        chinese = no_answer.chinese if isinstance(no_answer, Bilingual) else no_answer
        why = Bilingual(f"the table cannot be read ({no_answer})", f"读不到表（{chinese}）")
    said = said_chinese = ""
    if facts.row is not None and facts.row.last_seen is not None:
        at, ago = moment(facts, facts.row.last_seen), age(facts, facts.row.last_seen)
        said, said_chinese = f" Last seen by the table: {at} ({ago} ago).", f"表中最后出现 {at}（{ago.chinese}前）。"
    elif facts.row is not None:
        said, said_chinese = " By the table it was never seen.", "表中从未出现过。"
    elif no_answer is None:
        said, said_chinese = (
            f" {facts.table} has no such uuid.{_alike(facts)}",
            f"表中没有这个 uuid。{_alike(facts).chinese}",
        )
    elif runs and facts.heard_at is not None:
        ago = age(facts, facts.heard_at)
        said, said_chinese = f" A message of it came {ago} ago.", f"{ago.chinese}前收到过它的消息。"
    elif not runs:
        chinese = no_answer.chinese if isinstance(no_answer, Bilingual) else no_answer
        said, said_chinese = f" The table cannot be read either: {no_answer}.", f"也读不到表：{chinese}。"
    return Bilingual(f"Cannot be told: {why}.{said}", f"无法回答：{why.chinese}。{said_chinese}")


def _since_start(facts: DeviceFacts) -> tuple[str, str]:
    at = moment(facts, facts.started_at if facts.started_at is not None else facts.now)
    return f"since {at}, when this service started,", f"本服务 {at} 启动以来"
