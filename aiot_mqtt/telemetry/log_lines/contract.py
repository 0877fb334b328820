"""The lines of the contract: an operator greps for how these begin, so that never changes."""

from __future__ import annotations

from .languages import line

MQTT_CONNECTED = line(
    "🎉 MQTT连接成功 - Broker: {host}:{port}",
    "🎉 MQTT connected - Broker: {host}:{port}",
)
SUBSCRIBED = line("📡 订阅主题: {topic}", "📡 Subscribed to topic: {topic}")
STARTED = line("🚀 MQTT服务已启动", "🚀 MQTT service started")
MQTT_REFUSED = line(
    "❌ MQTT连接失败，错误代码: {code} ({reason}) - {host}:{port} — {advice}",
    "❌ MQTT connection failed, error code: {code} ({reason}) - {host}:{port} — {advice}",
)
MQTT_FAILED = line(
    "❌ MQTT连接失败: {reason} - {host}:{port} — {advice}",
    "❌ MQTT connection failed: {reason} - {host}:{port} — {advice}",
)
DATABASE_FAILED = line(
    "❌ 数据库连接失败 - {database}: {reason}",
    "❌ Database connection failed - {database}: {reason}",
)
UNKNOWN_DEVICE = line("⚠️ 设备不存在: {device}", "⚠️ Unknown device: {device}")
MESSAGE_RECEIVED = line(
    "📨 收到MQTT消息 {topic} QoS={qos} retain={retain} {payload}",
    "📨 MQTT message {topic} QoS={qos} retain={retain} {payload}",
)
