"""Whether messages are safe, and whether somebody must get up: the one place where that is decided.

Pure. Everything that tells the state (``/readyz``, ``/metrics``, ``aiot-mqtt status``) asks ``judge``, so they agree.

::

    ready  = every topic granted AND broker heard within 3 s
             AND oldest unacknowledged < 30 s
             AND ( last database attempt worked OR the disk took the last save )
    state  = fault      if not ready
             protected  if ready and (database away or spool not empty)
             look       if ready and any other condition is not met
             ok         otherwise
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..standby.told import Told
from ..telemetry.bilingual import Bilingual
from ..telemetry.durations import duration
from . import overload
from .figures import BrokerFigures, DatabaseFigures, Figures, PresenceFigures, SpoolFigures
from .outlook import in_words
from .standby_state import condition as standby_condition
from .standby_state import is_waiting, of_others
from .standby_state import sentence as standby_sentence

MAX_UNACKNOWLEDGED_AGE = 30.0  # s
SILENCE = 600.0  # s without a message after which somebody should look; an idle fleet is legal
NOT_LISTENING = 600.0  # s without judging silence after which somebody should know that dead devices stay online
WINDOW_SHARE = 0.75  # of the window; beyond it a broker queues, and by default not much


class State(Enum):
    """What an operator needs to know first."""

    OK = "ok"
    LOOK = "look"
    """Messages are safe; something is worth a look in the morning."""
    PROTECTED = "protected"
    """The database is away or was: everything is kept, nothing is lost."""
    FAULT = "fault"
    """Get up."""

    @property
    def word(self) -> Bilingual:
        """The state in a word."""
        return _WORDS[self]


_WORDS = {
    State.OK: Bilingual("OK", "正常"),
    State.LOOK: Bilingual("Look", "注意"),
    State.PROTECTED: Bilingual("Protected", "保护中"),
    State.FAULT: Bilingual("Fault", "故障"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold."""

    id: str
    is_met: bool
    reason: Bilingual
    """What is seen; where it is not met, why not."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``judge`` finds."""

    state: State
    conditions: tuple[Condition, ...]
    """In the order of a message's way."""
    sentence: Bilingual
    """Whether messages are safe, and what to do if they are not."""

    @property
    def is_ready(self) -> bool:
        """Whether messages are taken, and kept."""
        return self.state is not State.FAULT


def judge(figures: Figures) -> Verdict:
    """State, conditions and sentence of one moment."""
    told = figures.standby
    broker = _broker(figures.broker)
    if told is not None and is_waiting(told):
        return _waiting(figures, told)
    progress = _progress(figures.broker)
    spool = _spool(figures.spool)
    database = _database(figures.database)
    others = [_pace(figures.database), _messages(figures.broker), _window(figures.broker), _presence(figures.presence)]
    others += [Condition(*each) for each in of_others(told, is_rivalled=figures.broker.is_rivalled)]
    conditions = (broker, progress, spool, database, *others)
    unmet = [condition for condition in others if not condition.is_met]
    is_kept = figures.spool.is_enabled and spool.is_met
    if not broker.is_met:
        return Verdict(State.FAULT, conditions, _deaf(figures.broker))
    if not database.is_met and not is_kept:
        return Verdict(State.FAULT, conditions, _nowhere_safe(figures.database, figures.spool))
    if not progress.is_met:
        return Verdict(State.FAULT, conditions, _stuck(figures.broker))
    if not database.is_met:
        return Verdict(State.PROTECTED, conditions, _kept(figures.database, figures.spool))
    if figures.spool.devices:
        return Verdict(State.PROTECTED, conditions, _emptying(figures.spool, figures.database))
    if not spool.is_met:
        unmet.insert(0, spool)
    if unmet:
        return Verdict(State.LOOK, conditions, _worth_a_look(unmet))
    rate, waits = figures.broker.rate, f"{figures.broker.oldest_unacknowledged:.1f}"
    count = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
    return Verdict(
        State.OK,
        conditions,
        Bilingual(
            f"All is well: {count} messages a second, the oldest waits {waits} s.",
            f"一切正常：每秒 {count} 条，最老的等待 {waits} 秒。",
        ),
    )


def _waiting(figures: Figures, told: Told) -> Verdict:
    """That of an instance that waits: it hears nothing from devices, and need not."""
    standby = Condition("standby", *standby_condition(told))
    spool, database = _spool(figures.spool), _database(figures.database)
    waits = Bilingual("it waits", "待命")
    others = [Condition(name, True, waits) for name in ("progress", "pace", "messages", "window", "presence")]
    broker = Condition("broker", told.trouble is None, standby.reason)
    conditions = (broker, others[0], spool, database, *others[1:], standby)
    unmet = [condition.reason for condition in (standby, database, spool) if not condition.is_met]
    state = State.OK
    if not standby.is_met:
        state = State.FAULT
    elif unmet:
        state = State.LOOK
    elif figures.spool.devices:
        return Verdict(State.PROTECTED, conditions, _emptying(figures.spool, figures.database))
    return Verdict(state, conditions, standby_sentence(told, unmet))


def _broker(broker: BrokerFigures) -> Condition:
    is_met = broker.is_subscribed and broker.is_heard
    if is_met:
        reason = Bilingual("every topic is granted", "已订阅全部主题")
    elif broker.trouble is not None:
        reason = _as_said(broker.trouble.reason)
    elif broker.is_subscribed:
        reason = Bilingual("it does not answer", "没有应答")
    else:
        reason = Bilingual("starting", "正在启动")
    return Condition("broker", is_met, reason)


def _progress(broker: BrokerFigures) -> Condition:
    age = broker.oldest_unacknowledged
    waits = duration(age)
    reason = Bilingual(f"the oldest message waits {waits}", f"最老的消息等待 {waits.chinese}")
    return Condition("progress", age < MAX_UNACKNOWLEDGED_AGE, reason)


def _spool(spool: SpoolFigures) -> Condition:
    if not spool.is_enabled:
        return Condition("spool", True, Bilingual("SPOOL_FILE is empty: none", "未启用 SPOOL_FILE"))
    if spool.trouble is not None:
        return Condition("spool", False, _as_said(spool.trouble.reason))
    if spool.devices:
        reason = Bilingual(f"{spool.devices} devices wait on disk", f"本机存有 {spool.devices} 台设备的状态")
    else:
        reason = Bilingual("empty", "空")
    return Condition("spool", True, reason)


def _database(database: DatabaseFigures) -> Condition:
    if database.trouble is not None:
        return Condition("database", False, _as_said(database.trouble.reason))
    if not database.is_seen:
        return Condition("database", False, Bilingual("starting", "正在启动"))
    return Condition("database", True, Bilingual("the last attempt worked", "最近一次写入正常"))


def _pace(database: DatabaseFigures) -> Condition:
    return Condition("pace", database.overload is None, overload.in_words(database.overload))


def _messages(broker: BrokerFigures) -> Condition:
    silence = broker.silent_for
    if silence is None or silence < SILENCE:
        return Condition("messages", True, Bilingual("messages come", "有消息"))
    lasts = duration(silence)
    reason = Bilingual(
        f"no message for {lasts} although every topic is granted: check the ACL and MQTT_TOPIC_PREFIX",
        f"已订阅，但 {lasts.chinese}没有收到任何消息：请检查 ACL 与 MQTT_TOPIC_PREFIX",
    )
    return Condition("messages", False, reason)


def _window(broker: BrokerFigures) -> Condition:
    used, window = broker.unacknowledged, broker.window
    is_met = used <= WINDOW_SHARE * window or window < 1000  # MQTT 3.1.1 uses up its twenty all the time
    reason = Bilingual(f"{used} of {window} messages are unacknowledged", f"未确认 {used} 条，窗口 {window} 条")
    return Condition("window", is_met, reason)


def _presence(presence: PresenceFigures) -> Condition:
    if not presence.is_enabled:
        return Condition("presence", True, Bilingual("HEARTBEAT_TIMEOUT=0: not judged", "HEARTBEAT_TIMEOUT=0：不判定"))
    lasts = duration(presence.not_listening_for)
    if presence.not_listening_for >= NOT_LISTENING:
        reason = Bilingual(
            f"silence is not judged since {lasts}: dead devices stay online",
            f"已 {lasts.chinese}不判定离线：失联设备仍显示在线",
        )
        return Condition("presence", False, reason)
    return Condition("presence", True, Bilingual("silence is judged", "正在判定离线"))


def _deaf(broker: BrokerFigures) -> Bilingual:
    if broker.trouble is None and not broker.is_subscribed:
        return Bilingual(
            f"Starting: not subscribed at {broker.address} yet.", f"正在启动：尚未在 {broker.address} 订阅。"
        )
    seconds, reason = (0.0, _broker(broker).reason)
    if broker.trouble is not None:
        seconds = broker.trouble.seconds
    lasts = duration(seconds)
    return Bilingual(
        f"No messages for {lasts} from {broker.address}: {reason}. By default a broker keeps 1000 only. Act now.",
        f"已 {lasts.chinese}收不到 {broker.address} 的消息：{reason.chinese}。Broker 默认只留 1000 条，现在就处理。",
    )


def _nowhere_safe(database: DatabaseFigures, spool: SpoolFigures) -> Bilingual:
    away, why = _away(database), _spool(spool).reason
    return Bilingual(
        f"Database {database.address} {away}, and this host keeps nothing ({why}): messages wait, unacknowledged, in"
        " the broker, which by default keeps 1000 only. Act now.",
        f"数据库 {database.address} {away.chinese}，本机也存不下（{why.chinese}）：消息未确认，留在 Broker，"
        "Broker 默认只留 1000 条。现在就处理。",
    )


def _stuck(broker: BrokerFigures) -> Bilingual:
    waits = duration(broker.oldest_unacknowledged)
    return Bilingual(
        f"The oldest message has waited {waits} and neither database nor disk takes it. Act now.",
        f"最老的消息已等待 {waits.chinese}，数据库和本机磁盘都没有接收。现在就处理。",
    )


def _kept(database: DatabaseFigures, spool: SpoolFigures) -> Bilingual:
    away = _away(database)
    room, chinese = "", ""
    if spool.outlook is not None:
        words = in_words(spool.outlook)
        room, chinese = f"; {words}", f"；{words.chinese}"
    return Bilingual(
        f"Database {database.address} {away}; what comes is kept on this host ({spool.devices} devices so far), nothing"
        f" is lost{room}.",
        f"数据库 {database.address} {away.chinese}，消息存在本机（已存 {spool.devices} 台设备），未丢失{chinese}。",
    )


def _emptying(spool: SpoolFigures, database: DatabaseFigures) -> Bilingual:
    if database.overload is not None:
        why = _pace(database).reason
        return Bilingual(
            f"The database is too slow, rows lag: {why}. {spool.devices} devices wait on this host, nothing is lost.",
            f"数据库太慢，行有延迟：{why.chinese}。本机暂存 {spool.devices} 台设备的状态，未丢失。",
        )
    return Bilingual(
        f"The database answers; {spool.devices} devices kept on this host are being written, nothing is lost.",
        f"数据库可用，正在写入本机暂存的 {spool.devices} 台设备的状态，未丢失。",
    )


def _worth_a_look(unmet: list[Condition]) -> Bilingual:
    english, chinese = unmet[0].reason, unmet[0].reason.chinese
    more = len(unmet) - 1
    return Bilingual(
        f"Messages are safe, but: {english}" + (f" (and {more} more)." if more else "."),
        f"消息都已保存，但：{chinese}" + (f"（另有 {more} 项）。" if more else "。"),
    )


def _away(database: DatabaseFigures) -> Bilingual:
    if database.trouble is None:
        return Bilingual("was not reached yet", "尚未连上")
    lasts, reason = duration(database.trouble.seconds), _as_said(database.trouble.reason)
    return Bilingual(f"is away for {lasts} ({reason})", f"中断 {lasts.chinese}（{reason.chinese}）")


def _as_said(reason: str) -> Bilingual:
    return reason if isinstance(reason, Bilingual) else Bilingual(reason, reason)
