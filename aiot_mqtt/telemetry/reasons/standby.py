"""What is in the way of an instance that has the session, or waits for it."""

from __future__ import annotations

from ..bilingual import Bilingual

NOT_OURS = Bilingual(
    "the broker does not confirm that the session is this instance's: nothing is written",
    "Broker未确认会话属于本实例: 不写入",
)
NOT_SAVED = Bilingual(
    "the broker does not confirm that the session is this instance's: nothing is put there",
    "Broker未确认会话属于本实例: 不保存",
)
NOT_CONNECTED_YET = Bilingual("not connected to the broker yet", "尚未连上Broker")
NO_ANSWER = Bilingual("the broker does not answer", "Broker没有应答")
DENIED = Bilingual("{topic} is denied ({reason})", "{topic} 被拒绝（{reason}）")
NOT_HEARD = Bilingual(
    "what this instance says on the status topic does not come back", "本实例在状态主题上发布的消息没有返回"
)
CONNECTION_GONE = Bilingual("its connection to the session is gone", "会话连接已断开")
