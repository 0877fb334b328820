"""What is told of devices that are silent, and of the sweep that sets them offline."""

from __future__ import annotations

from .languages import line

DEVICES_OFFLINE = line(
    "📴 {count} 台设备离线: {devices}（{cutoff} 之后没有消息）",
    "📴 {count} devices are offline: {devices} (nothing heard since {cutoff})",
)
MANY_DEVICES_OFFLINE = line(
    "⚠️ {count} 台设备（{percent}%）同时离线: {devices}（{cutoff} 之后没有消息） — 多半是网络或Broker的问题",
    "⚠️ {count} devices ({percent} %) offline at once: {devices} (nothing heard since {cutoff})"
    " — the network, or the broker?",
)
DEVICES_BACK = line("📶 {count} 台设备恢复在线", "📶 {count} devices are back online")
DEVICE_OFFLINE = line(
    "📴 设备离线: {device}，最后消息 {last_seen}", "📴 Device offline: {device}, last heard {last_seen}"
)
NOT_JUDGING = line(
    "⚠️ 已 {lasts}不判定离线: {reason}；失联的设备仍显示在线",
    "⚠️ Silence is not judged for {lasts}: {reason}; dead devices stay online",
)
JUDGING_AGAIN = line("✅ 恢复判定离线，停了 {lasts}", "✅ Silence is judged again, after {lasts}")
ODD_LAST_SEEN = line(
    "⚠️ {count} 台在线设备的last_seen为空或晚于当前时间（例如 {device}: {last_seen}），已设为离线",
    "⚠️ {count} online devices had no last_seen, or one later than now (such as {device}: {last_seen}): set offline",
)
LAST_SEEN_ALTERED = line(
    "⚠️ {count} 台设备的last_seen早于收到其消息的时间（例如 {device}: {last_seen}），不设为离线 — 有别的程序在改写？",
    "⚠️ {count} devices have a last_seen from before they were heard (such as {device}: {last_seen})"
    " — who else writes it?",
)
ROWS_NOT_SET = line(
    "⚠️ 数据库拒绝将 {count} 台设备设为离线（例如 {device}: {reason}），其余设备不受影响，稍后再试",
    "⚠️ The database refuses to set {count} devices offline (such as {device}: {reason}); the others are, these later",
)
SWEEP_FAILED = line(
    "⚠️ 离线检查失败，下次再试: {reason}", "⚠️ The offline sweep failed, the next one is tried all the same: {reason}"
)
SWEEP_FAILED_UNEXPECTEDLY = line(
    "❌ 离线检查出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error in the offline sweep — report the traceback below in the repository's issues",
)
REGULARITY = line(
    "📈 心跳规律: 99.9%的间隔 ≤ {usual} 秒（共 {intervals} 个）；HEARTBEAT_TIMEOUT={timeout} 会晚 {late} 秒发现故障",
    "📈 Regularity: 99.9 % of intervals ≤ {usual} s (of {intervals}); {timeout} s finds a failure {late} s late",
)
FLAPPING = line(
    "⚠️ {count} 台设备约每 {interval} 秒上报一次，接近或超过HEARTBEAT_TIMEOUT={timeout}: 它们会反复上下线",
    "⚠️ {count} devices report about every {interval} s, the timeout itself ({timeout} s) or more: they will flap",
)
