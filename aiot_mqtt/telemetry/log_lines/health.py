"""What is told of the state of the service, and of where it can be asked."""

from __future__ import annotations

from .languages import line

NO_MESSAGES = line(
    "⚠️ 已订阅，但 {lasts}没有收到任何消息 — 请检查设备、ACL与MQTT_TOPIC_PREFIX（aiot-mqtt check）",
    "⚠️ Subscribed, and no message for {lasts} — check devices, ACL and MQTT_TOPIC_PREFIX (aiot-mqtt check)",
)
HTTP_LISTENING = line(
    "状态页: http://{host}:{port}/ — 另有 /readyz /metrics（aiot-mqtt status）",
    "The page: http://{host}:{port}/ — also /readyz /metrics (aiot-mqtt status)",
)
HTTP_NOT_LISTENING = line(
    "❌ HTTP_LISTEN不能监听 {host}:{port}: {reason}；服务照常运行，每30秒重试",
    "❌ HTTP_LISTEN: cannot listen on {host}:{port}: {reason}; the service runs all the same, again each 30 s",
)
ALERT_FAILED = line(
    "❌ ALERT_COMMAND失败: {program}: {reason}；每分钟重试",
    "❌ ALERT_COMMAND failed: {program}: {reason}; tried again each minute",
)
ALERT_STILL_FAILING = line(
    "❌ ALERT_COMMAND已失败 {seconds} 秒: {program}: {reason}",
    "❌ ALERT_COMMAND fails since {seconds} s: {program}: {reason}",
)
ALERT_WORKS_AGAIN = line(
    "✅ ALERT_COMMAND已恢复，此前失败了 {seconds} 秒", "✅ ALERT_COMMAND works again, after {seconds} s"
)
ALERT_FAILED_UNEXPECTEDLY = line(
    "❌ 发送告警时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error at an alert — report the traceback below in the repository's issues",
)
PROGRESS_FAILED_UNEXPECTEDLY = line(
    "❌ 检查运行进度时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error looking for progress — report the traceback below in the repository's issues",
)
HTTP_FAILED_UNEXPECTEDLY = line(
    "❌ 监听HTTP时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error while listening for HTTP — report the traceback below in the repository's issues",
)
WHY_FAILED_UNEXPECTEDLY = line(
    "❌ 查询设备状态时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error asking about a device — report the traceback below in the repository's issues",
)
PAGE_FAILED_UNEXPECTEDLY = line(
    "❌ 更新实时页面时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error at the live page — report the traceback below in the repository's issues",
)
WATCHDOG_HUNGRY = line(
    "❌ {name}已 {seconds} 秒没有进展: systemd将重启本服务，未确认的消息仍由Broker保留",
    "❌ {name}: no progress for {seconds} s, systemd will restart the service; nothing is lost by that",
)
SYSTEMD_FAILED_UNEXPECTEDLY = line(
    "❌ 通知systemd时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error telling systemd — report the traceback below in the repository's issues",
)
