"""Why silence is not judged, and where it is told how devices are judged."""

from __future__ import annotations

from ..bilingual import Bilingual

NOT_LISTENING = Bilingual(
    "not subscribed, or the broker does not answer or holds messages back",
    "没有订阅上，或Broker没有应答、有消息未送出",
)
TOO_MANY_WAIT = Bilingual("{count} messages are unacknowledged", "有 {count} 条消息未确认")
OLDEST_WAITS = Bilingual("the oldest message waits for {lasts}", "最老的消息已等待 {lasts}")
TABLE_BEHIND = Bilingual(
    "the database is away, or older states wait to be written", "数据库不可用，或还有旧状态没有写入"
)
OFFLINE_AFTER = Bilingual("offline after {seconds} s", "离线 {seconds} 秒")
NOBODY_OFFLINE = Bilingual("nobody is set offline", "不判定离线")
SPOOL_AT = Bilingual("spool {path}", "暂存 {path}")
NO_SPOOL = Bilingual("no spool", "不暂存到本机")
