"""What is told of the process: its settings and files, its log, and its end."""

from __future__ import annotations

from .languages import line

FILE_EXPOSED = line(
    "⚠️ 权限对其他用户开放 {name}: {path}（{mode}）；请执行 chmod o-rwx",
    "⚠️ Open to other users of this host, {name}: {path} (mode {mode}); chmod o-rwx mends that",
)
PASSWORD_URL_ENCODED = line(
    "⚠️ DB_PASSWORD看起来经过URL编码（如%40）: 原来的服务会解码，本服务按原样使用；如果数据库拒绝登录，请改成原文",
    "⚠️ DB_PASSWORD looks URL-encoded (such as %40): the earlier service decoded it, this one takes it as it stands;"
    " if the database refuses the login, write it plainly",
)
LINES_LOST = line(
    "⚠️ 日志写不出去: 此处缺少 {count} 行", "⚠️ The log could not be written: {count} lines are missing here"
)
LOG_REOPENED = line("收到SIGHUP: 重新打开日志文件", "SIGHUP: opening the log file anew")
LOG_NOT_REOPENED = line(
    "⚠️ 日志文件不能重新打开，继续写原来的文件: {reason}",
    "⚠️ The log file cannot be opened anew, going on with the old one: {reason}",
)
TERMINAL_CLOSED = line("终端已关闭: 停止服务", "The terminal is closed: stopping")
STOPPING = line("正在停止: 写入剩余的 {deliveries} 条消息", "Stopping: writing the {deliveries} messages left")
STOPPED = line("MQTT服务已停止", "MQTT service stopped")
STOPPED_WITH_MESSAGES_LEFT = line(
    "⚠️ MQTT服务已停止，{deliveries} 条消息未写入；QoS 1消息未确认，仍由Broker保留",
    "⚠️ MQTT service stopped with {deliveries} messages unwritten; those at QoS 1 are safe in the broker",
)
STOP_FORCED = line(
    "⚠️ {seconds} 秒内未能正常停止，强制退出；未确认的QoS 1消息仍由Broker保留",
    "⚠️ Not stopped within {seconds} s, leaving by force; unacknowledged QoS 1 messages are safe in the broker",
)
STOP_FAILED_UNEXPECTEDLY = line(
    "❌ 停止时出现意外错误（请报告此问题）", "❌ Unexpected error while stopping (please report it)"
)
