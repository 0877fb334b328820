"""What is told of the instance that is active, and of the one that waits (``HA_MODE``)."""

from __future__ import annotations

from .languages import line

STANDBY_WAITS = line("🟡 备用实例 {name} 就绪，{active} 在工作", "🟡 Standby {name} is ready, {active} is active")
STANDBY_CLAIMS = line("🔁 {name} 接管: {why}", "🔁 {name} takes over: {why}")
STANDBY_ACTIVE = line(
    "✅ {name} 在工作，{seconds} 秒前开始接管", "✅ {name} is active, {seconds} s after it began to take over"
)
STANDBY_LOST = line(
    "⚠️ {name} 不再工作: {reason} — 未确认的消息由Broker交给接管的实例",
    "⚠️ {name} is not active any more: {reason} — whoever takes over gets what is unacknowledged",
)
STANDBY_RELEASED = line("🔓 {name} 已交出会话", "🔓 {name} has released the session")
STANDBY_BLIND = line(
    "❌ 看不到其他实例: {reason} - {topic} — 请允许订阅和发布该主题，否则不会接管也不会写入",
    "❌ Cannot see other instances: {reason} - {topic} — grant it for subscribe and publish, or nothing is written",
)
STANDBY_UNHEARD = line(
    "❌ 本实例在 {topic} 上发布的消息没有返回 — 请允许发布该主题，否则不会接管也不会写入",
    "❌ What this instance publishes on {topic} does not come back — grant it, or nothing is written",
)
STANDBY_SAME_NAME = line(
    "⚠️ 两个实例同名: {name} — 请给每个实例设置不同的 HA_NAME",
    "⚠️ Two instances have the name {name} — give each an HA_NAME of its own",
)
STANDBY_FAILED_UNEXPECTEDLY = line(
    "❌ 主备切换出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error in who is active — report the traceback below in the repository's issues",
)
