"""What is told of messages, and the figures about them."""

from __future__ import annotations

from .languages import line

REPORT_REFUSED = line(
    "⚠️ 拒绝消息 {topic}: {reason}；内容: {payload}", "⚠️ Message refused on {topic}: {reason}; payload: {payload}"
)
STATUS_IGNORED = line(
    "⚠️ 设备 {device} 的状态未写入device_status: {reason}；内容: {payload}",
    "⚠️ Status of device {device} not put in device_status: {reason}; payload: {payload}",
)
LINES_SUPPRESSED = line(
    "⚠️ 此类消息过多，{seconds} 秒内只计数、不再逐条记录: {reason}",
    "⚠️ Too many lines of this sort, for {seconds} s they are counted but not logged: {reason}",
)
LINES_NOT_LOGGED = line(
    "最近 {lasts}另有 {count} 条此类消息未逐条记录: {sorts}",
    "In the last {lasts} another {count} lines were counted and not logged: {sorts}",
)
MESSAGES_DROPPED = line(
    "❌ 内存已满，丢弃QoS 0消息（QoS 1消息不受影响）",
    "❌ Memory bound reached, dropping QoS 0 messages (QoS 1 is not affected)",
)
RECEIVE_FAILED_UNEXPECTEDLY = line(
    "❌ 处理消息时出现意外错误: {topic} — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error at a message: {topic} — report the traceback below in the repository's issues",
)
STATISTICS = line("📊 统计: {sentence} | {figures}", "📊 Figures: {sentence} | {figures}")
