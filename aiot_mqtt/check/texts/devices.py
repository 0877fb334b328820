"""What is said of the devices."""

from __future__ import annotations

from .text import Text

KNOWN = Text("the {count} devices that reported all have a row", "上报的 {count} 台设备在表中都存在")
UNKNOWN = Text(
    "{count} uuids have no row (such as {examples})",
    "{count} 个 uuid 在表中不存在（如 {examples}）",
    "the topic must have the uuid, not the device_id; or add the device in the backend: it counts from its next message"
    " on",
    "主题里要用 uuid，不是 device_id；或在后端添加设备，下一条消息起生效",
)
UNKNOWN_TOLD = Text(
    "the running service says that {count} uuids without a row sent something in the last 10 minutes; their names it"
    " tells only with HTTP_TOKEN",
    "运行中的服务报告：10 分钟内有 {count} 个表中不存在的 uuid 在发送；名称只在提供 HTTP_TOKEN 时给出",
    "aiot-mqtt status names the newest; the topic must have the uuid, not the device_id; or add the device",
    "用 aiot-mqtt status 查看名称；主题里要用 uuid，不是 device_id；或在后端添加设备",
)
NOBODY_CAME = Text(
    "no device reported while listening: whether each has a row is not seen",
    "收听期间没有设备上报：看不出设备是否都在表中",
)
QOS_UNKNOWN = Text("no message came: its QoS is not seen", "没有收到消息：看不到 QoS")
NOT_ASKED = Text("the table could not be asked: {words}", "无法查询表：{words}")
QOS = Text("all of the messages are QoS 1", "消息都是 QoS 1")
QOS_0 = Text(
    "{percent}% of the messages are QoS 0: an interruption loses them",
    "{percent}% 的消息是 QoS 0，中断时会丢失",
    "have the devices publish at QoS 1; PubSubClient and Tasmota cannot",
    "设备改用 QoS 1；PubSubClient、Tasmota 做不到",
)
TIMEOUT = Text(
    "HEARTBEAT_TIMEOUT={timeout} suits how often devices report", "HEARTBEAT_TIMEOUT={timeout} 与设备的上报间隔相符"
)
TIMEOUT_SHORT = Text(
    "{count} devices report about every {interval} s, and HEARTBEAT_TIMEOUT is {timeout}: they go offline and online"
    " again and again",
    "{count} 台设备约每 {interval} 秒上报，HEARTBEAT_TIMEOUT={timeout}：会反复上下线",
    "HEARTBEAT_TIMEOUT={wanted} or more (three times the interval)",
    "HEARTBEAT_TIMEOUT 至少 {wanted}（间隔的三倍）",
)
TIMEOUT_OFF = Text("HEARTBEAT_TIMEOUT=0: silence is not judged", "HEARTBEAT_TIMEOUT=0：不判定离线")
TIMEOUT_UNKNOWN = Text(
    "whether HEARTBEAT_TIMEOUT={timeout} suits the devices only a running service learns",
    "HEARTBEAT_TIMEOUT={timeout} 是否合适，只有运行中的服务能学到",
)
