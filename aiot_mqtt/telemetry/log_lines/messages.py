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
    "⚠️ 此类警告过多，{seconds} 秒内只计数、不再逐条记录: {reason}",
    "⚠️ Too many warnings of this sort, for {seconds} s they are counted but not logged: {reason}",
)
MESSAGES_DROPPED = line(
    "❌ 内存已满，丢弃QoS 0消息（QoS 1消息不受影响）",
    "❌ Memory bound reached, dropping QoS 0 messages (QoS 1 is not affected)",
)
RECEIVE_FAILED_UNEXPECTEDLY = line(
    "❌ 处理消息时出现意外错误（请报告此问题）: {topic}",
    "❌ Unexpected error while handling a message (please report it): {topic}",
)
STATISTICS = line("📊 统计: {figures}", "📊 Figures: {figures}")
