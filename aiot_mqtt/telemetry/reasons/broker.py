"""Why there is no connection to the broker, and what to do about it."""

from __future__ import annotations

from ..bilingual import Bilingual

NOT_CONNECTED = Bilingual("not connected", "没有连接")
NO_CONNECTION_IN_TIME = Bilingual("no connection within {seconds} s", "{seconds} 秒内没有连上")
SESSION_TAKEN = Bilingual("another program has taken the session", "会话被另一个程序取走")
NO_ANSWER_IN_TIME = Bilingual("no answer within {seconds} s", "{seconds} 秒内没有应答")
NO_ADDRESS = Bilingual("no address is known for the name {host}", "找不到主机 {host} 的地址")
CLOSED = Bilingual("the broker closed the connection", "Broker关闭了连接")
BROKEN = Bilingual("the connection broke", "连接中断")
BROKEN_BY = Bilingual("the connection broke: {words}", "连接中断: {words}")
CLOSED_AT_CONNECT = Bilingual(
    "the broker closed the connection instead of answering CONNECT ({words})",
    "Broker没有应答CONNECT就断开了连接（{words}）",
)
CONNECT_UNANSWERED = Bilingual(
    "the broker did not answer CONNECT within {seconds} s", "Broker在 {seconds} 秒内没有应答CONNECT"
)
SUBSCRIBE_UNANSWERED = Bilingual(
    "the broker did not answer SUBSCRIBE within {seconds} s", "Broker在 {seconds} 秒内没有应答SUBSCRIBE"
)
BROKER_SILENT = Bilingual("the broker has said nothing for {seconds} s", "Broker已 {seconds} 秒没有任何应答")
BROKER_DISCONNECTED = Bilingual("the broker disconnected: {reason}", "Broker断开了连接: {reason}")
BROKER_READS_NOTHING = Bilingual("the broker reads nothing of what it is answered", "Broker不读取我们的应答")
PROTOCOL_BROKEN = Bilingual("the broker broke the MQTT protocol: {violation}", "Broker违反了MQTT协议: {violation}")
DISCONNECTED_BY_US = Bilingual("disconnected by us", "由本服务断开")
KEEP_ALIVE_FAILED = Bilingual("keep-alive failed", "保活出错")
SUBSCRIBING_FAILED = Bilingual("subscribing failed", "订阅出错")
GIVEN_UP = Bilingual("given up", "已放弃")
NOT_CLOSED_IN_TIME = Bilingual("not closed in time", "没有及时关闭")

# What to do, by the kind of failure; short, because it stands at the end of a line.
ADVICE_LOG = Bilingual("the broker's log may say why", "原因见Broker日志")
ADVICE_CHECK = Bilingual("see aiot-mqtt check", "可运行 aiot-mqtt check")
ADVICE_REFUSED = Bilingual(
    "does the broker run, and is MQTT_PORT right? (Mosquitto 2 without a listener hears its own host only)",
    "Broker在运行吗？MQTT_PORT对吗？（Mosquitto 2未配置listener时只监听本机）",
)
ADVICE_UNREACHABLE = Bilingual(
    "a firewall, or a wrong address in MQTT_BROKER?", "多半是防火墙，或MQTT_BROKER的地址不对"
)
ADVICE_NAME = Bilingual("check MQTT_BROKER and the DNS of this host", "请检查MQTT_BROKER和本机的DNS")
ADVICE_LOGIN = Bilingual("check MQTT_USERNAME and MQTT_PASSWORD", "请核对MQTT_USERNAME和MQTT_PASSWORD")
ADVICE_NOT_AUTHORIZED = Bilingual(
    "this user is not allowed; without a user name Mosquitto 2 refuses by default",
    "该账号未获准；不设用户名时，Mosquitto 2默认拒绝",
)
ADVICE_CLIENT_ID = Bilingual("set another MQTT_CLIENT_ID", "请更换MQTT_CLIENT_ID")
ADVICE_VERSION = Bilingual("check MQTT_PROTOCOL", "请检查MQTT_PROTOCOL")
ADVICE_WAIT = Bilingual("it is tried again", "会自动重试")
ADVICE_LOGINS = {1: ADVICE_VERSION, 2: ADVICE_CLIENT_ID, 3: ADVICE_WAIT, 4: ADVICE_LOGIN, 5: ADVICE_NOT_AUTHORIZED}
"""By the return code of MQTT 3.1.1."""

# Section 3.2.2.3 of MQTT 3.1.1.
V311_REASONS = {
    1: Bilingual("unacceptable protocol version", "不支持该协议版本"),
    2: Bilingual("identifier rejected", "不接受该客户端ID"),
    3: Bilingual("server unavailable", "服务器不可用"),
    4: Bilingual("bad user name or password", "用户名或密码错误"),
    5: Bilingual("not authorized", "未授权"),
}
RETURN_CODE = Bilingual("return code {code}", "返回码 {code}")
REASON_CODE = Bilingual("reason code {code}", "原因码 {code}")
# Section 2.4 of MQTT 5, as it calls them; the same in CONNACK, SUBACK and DISCONNECT.
REASON_CODES = {
    0x10: Bilingual("No matching subscribers", "没有匹配的订阅者"),
    0x04: Bilingual("Disconnect with will message", "断开并发布遗嘱"),
    0x80: Bilingual("Unspecified error", "未说明的错误"),
    0x81: Bilingual("Malformed packet", "报文格式错误"),
    0x82: Bilingual("Protocol error", "协议错误"),
    0x83: Bilingual("Implementation specific error", "Broker自身的错误"),
    0x84: Bilingual("Unsupported protocol version", "不支持该协议版本"),
    0x85: Bilingual("Client identifier not valid", "客户端ID无效"),
    0x86: Bilingual("Bad user name or password", "用户名或密码错误"),
    0x87: Bilingual("Not authorized", "未授权"),
    0x88: Bilingual("Server unavailable", "服务器不可用"),
    0x89: Bilingual("Server busy", "服务器繁忙"),
    0x8A: Bilingual("Banned", "已被禁止"),
    0x8B: Bilingual("Server shutting down", "服务器正在关闭"),
    0x8C: Bilingual("Bad authentication method", "认证方法不对"),
    0x8D: Bilingual("Keep alive timeout", "保活超时"),
    0x8E: Bilingual("Session taken over", "会话被另一个连接接管"),
    0x8F: Bilingual("Topic filter invalid", "主题过滤器无效"),
    0x90: Bilingual("Topic name invalid", "主题名无效"),
    0x91: Bilingual("Packet identifier in use", "报文标识符已被占用"),
    0x92: Bilingual("Packet identifier not found", "找不到报文标识符"),
    0x93: Bilingual("Receive maximum exceeded", "超过接收最大值"),
    0x94: Bilingual("Topic alias invalid", "主题别名无效"),
    0x95: Bilingual("Packet too large", "报文过大"),
    0x96: Bilingual("Message rate too high", "消息速率过高"),
    0x97: Bilingual("Quota exceeded", "超过配额"),
    0x98: Bilingual("Administrative action", "管理员操作"),
    0x99: Bilingual("Payload format invalid", "载荷格式无效"),
    0x9A: Bilingual("Retain not supported", "不支持保留消息"),
    0x9B: Bilingual("QoS not supported", "不支持该QoS"),
    0x9C: Bilingual("Use another server", "请使用另一台服务器"),
    0x9D: Bilingual("Server moved", "服务器已迁移"),
    0x9E: Bilingual("Shared subscription not supported", "不支持共享订阅"),
    0x9F: Bilingual("Connection rate exceeded", "连接过于频繁"),
    0xA0: Bilingual("Maximum connect time", "达到最长连接时间"),
    0xA1: Bilingual("Subscription identifiers not supported", "不支持订阅标识符"),
    0xA2: Bilingual("Wildcard subscription not supported", "不支持通配符订阅"),
}
NORMAL_DISCONNECTION = Bilingual("Normal disconnection", "正常断开")
