"""What is told of the process: its settings and files, its log, and its end."""

from __future__ import annotations

from .languages import line

STARTING = line(
    "▶️ aiot-mqtt {version} 启动: Broker {broker} 前缀 {prefix}，数据库 {database}，{offline}，{spool}",
    "▶️ aiot-mqtt {version} starts: broker {broker} prefix {prefix}, database {database}, {offline}, {spool}",
)
FILE_EXPOSED = line(
    "⚠️ 权限对其他用户开放 {name}: {path}（{mode}） — 请执行 chmod o-rwx",
    "⚠️ Open to other users of this host, {name}: {path} (mode {mode}) — chmod o-rwx mends that",
)
PASSWORD_URL_ENCODED = line(
    "⚠️ DB_PASSWORD看起来经过URL编码（如%40），本服务按原样使用 — 如果数据库拒绝登录，请改成原文",
    "⚠️ DB_PASSWORD looks URL-encoded (as %40), is used as it stands — if login fails, write it plainly",
)
LINES_LOST = line(
    "⚠️ 日志写不出去: 此处缺少 {count} 行", "⚠️ The log could not be written: {count} lines are missing here"
)
LOG_REOPENED = line("收到{signal}: 重新打开日志文件", "{signal}: opening the log file anew")
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
    "❌ 停止时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error while stopping — report the traceback below in the repository's issues",
)
