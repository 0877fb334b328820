"""What is said of the broker."""

from __future__ import annotations

from .text import Text

NO_HOST = Text(
    "no address is known for the host {host}",
    "找不到主机 {host}",
    "correct MQTT_BROKER; getent hosts {host}",
    "核对 MQTT_BROKER；getent hosts {host}",
)
REFUSED = Text(
    "{host}:{port} refuses the connection",
    "{host}:{port} 拒绝连接",
    "on the broker's host: systemctl status mosquitto; ss -tlnp | grep {port}. Without a 'listener' line Mosquitto 2"
    " listens on its own host only",
    "在 Broker 主机上：systemctl status mosquitto；ss -tlnp | grep {port}。Mosquitto 2 未写 listener 时只听本机",
)
NO_ANSWER = Text(
    "{host}:{port} does not answer within {seconds:.0f} s",
    "{host}:{port} 在 {seconds:.0f} 秒内无应答",
    "mostly a firewall, or the wrong MQTT_BROKER; from here: nc -vz {host} {port}",
    "多为防火墙，或 MQTT_BROKER 写错；从本机试：nc -vz {host} {port}",
)
NOT_MQTT = Text(
    "{host}:{port} takes the connection and does not answer as a broker does: {reason}",
    "{host}:{port} 接受连接，但没有按 MQTT 应答：{reason}",
    "is it the right MQTT_PORT, and does the port want TLS (MQTT_TLS, usually 8883)? See the broker's log",
    "核对 MQTT_PORT；该端口是否要求 TLS（MQTT_TLS，通常是 8883）？关闭原因见 Broker 日志",
)
UNREACHABLE = Text(
    "{host}:{port} cannot be reached: {reason}",
    "连不上 {host}:{port}：{reason}",
    "correct MQTT_BROKER and MQTT_PORT; from here: nc -vz {host} {port}",
    "核对 MQTT_BROKER 和 MQTT_PORT；从本机试：nc -vz {host} {port}",
)
REACHED = Text("{host}:{port} answers", "{host}:{port} 有应答")
TLS_REFUSED = Text("{reason}", "{reason}", "{advice}", "{advice}")
TLS = Text("encrypted, and the broker is who it should be", "已加密，Broker 身份已核实")
NO_TLS = Text("without TLS", "未使用 TLS")
IN_CLEAR = Text(
    "the password goes to {host} without TLS: everybody on the way may read it",
    "密码未经 TLS 发往 {host}：途中任何人都能读到",
    "set MQTT_TLS=true and MQTT_PORT (usually 8883)",
    "设置 MQTT_TLS=true 和 MQTT_PORT（通常是 8883）",
)
CERTIFICATE = Text("{which}: valid for {days} days more", "{which}：还有 {days} 天有效")
CERTIFICATE_ENDS = Text(
    "{which} expires in {days} days ({date})",
    "{which} {days} 天后过期（{date}）",
    "have it renewed; {then}",
    "更换证书；{then}",
)
CERTIFICATE_ENDED = Text(
    "{which} has expired ({date})",
    "{which}已过期（{date}）",
    "have it renewed; {then}",
    "更换证书；{then}",
)
CERTIFICATE_PINNED = Text("{which}: pinned, so its dates do not count", "{which}：已固定指纹，有效期不计")
BAD_PASSWORD = Text(
    "the broker refuses the login: bad user name or password ({code})",
    "Broker 拒绝登录：用户名或密码错误（{code}）",
    "correct MQTT_USERNAME and MQTT_PASSWORD; on the broker: mosquitto_passwd",
    "核对 MQTT_USERNAME、MQTT_PASSWORD；Broker 端用 mosquitto_passwd 设置",
)
NOT_AUTHORISED = Text(
    "the broker refuses the login: not authorised ({code})",
    "Broker 拒绝登录：未授权（{code}）",
    "the user name or password is wrong or the account is not admitted; without one Mosquitto 2 refuses by default:"
    " set MQTT_USERNAME and MQTT_PASSWORD",
    "用户名或密码不对，或账号未获准；匿名时 Mosquitto 2 默认拒绝：请设置 MQTT_USERNAME、MQTT_PASSWORD",
)
LOGIN_REFUSED = Text(
    "the broker refuses the login: {reason}",
    "Broker 拒绝登录：{reason}",
    "the broker's log says why",
    "原因见 Broker 日志",
)
LOGIN = Text(
    "logged in at {host}:{port}, MQTT {protocol}, window {window}",
    "已登录 {host}:{port}，MQTT {protocol}，窗口 {window}",
)
PROTOCOL = Text("MQTT {protocol}, {version}", "MQTT {protocol}，{version}")
PROTOCOL_311 = Text(
    "only MQTT 3.1.1: the broker's max_inflight_messages, by default 20, bounds the throughput",
    "只能用 MQTT 3.1.1：吞吐受 max_inflight_messages 限制（默认 20）",
    "{advice}",
    "{advice}",
)
OLD_MOSQUITTO = Text(
    "{version} is older than 2.0.15",
    "{version} 早于 2.0.15",
    "upgrade it: docs/brokers.md says what older ones do wrong",
    "请升级；旧版本的问题见 docs/brokers.zh-CN.md",
)
VERSION_UNKNOWN = Text(
    "MQTT {protocol}; the broker does not tell its version",
    "MQTT {protocol}；看不到 Broker 的版本",
)
GRANTS = Text("the broker limits nothing that is needed", "Broker 的限额足够")
GRANTS_LESS = Text("{words}", "{words}", "raise it in the broker", "在 Broker 中调大")
SUBSCRIBED = Text("every subscription is granted", "订阅全部获准")
DENIED = Text(
    "the broker denies the subscription to {topic} ({reason})",
    "Broker 拒绝订阅 {topic}（{reason}）",
    "let the service's user read it: in Mosquitto's acl_file 'topic read {topic}'",
    "允许服务账号读取：Mosquitto 的 acl_file 中加 topic read {topic}",
)
ONLY_QOS_0 = Text(
    "the broker grants {topic} at QoS 0 only: an interruption loses messages",
    "Broker 只允许以 QoS 0 订阅 {topic}：中断时会丢失消息",
    "allow QoS 1 there (max_qos)",
    "在 Broker 中允许 QoS 1（max_qos）",
)
NOT_ANSWERED = Text(
    "the broker did not answer SUBSCRIBE: {reason}",
    "Broker 没有应答订阅：{reason}",
    "the broker's log says why",
    "原因见 Broker 日志",
)
NOTHING_CAME = Text(
    "no message within {seconds:.0f} s although every subscription was granted",
    "{seconds:.0f} 秒内没有收到任何消息，虽然订阅都被允许",
    "do devices publish? Compare as an administrator: mosquitto_sub {filters}. Something there and nothing here:"
    " the acl_file grants and does not deliver, so add 'topic read {prefix}/+/data' (and status, heartbeat). Nothing on"
    " either side: see MQTT_TOPIC_PREFIX",
    "设备确实在发吗？用管理员账号 mosquitto_sub {filters} 对照。那边有而这里没有：acl_file 允许订阅却不投递，"
    "加 topic read {prefix}/+/data（status、heartbeat 同样）。两边都没有：查 MQTT_TOPIC_PREFIX",
)
CAME = Text("{count} messages in {seconds:.0f} s", "{seconds:.0f} 秒内收到 {count} 条消息")
CONNECTION_LOST = Text(
    "the connection ended while listening: {reason}",
    "收听时连接中断：{reason}",
    "the broker's log says why",
    "原因见 Broker 日志",
)
NOT_LISTENED = Text("not listened (--listen 0)", "没有收听（--listen 0）")
STANDBY_HEARD = Text("what is said on {topic} comes back", "在 {topic} 上发布的消息能返回")
STANDBY_DENIED = Text(
    "HA_MODE: the status topic {topic} cannot be read: {reason}",
    "HA_MODE：无法订阅状态主题 {topic}：{reason}",
    "let the service's user read and write it: in Mosquitto's acl_file 'topic readwrite {topic}'",
    "允许服务账号读写：Mosquitto 的 acl_file 中加 topic readwrite {topic}",
)
STANDBY_UNHEARD = Text(
    "HA_MODE: what is published on {topic} does not come back: such an instance writes nothing",
    "HA_MODE：在 {topic} 上发布的消息没有返回：这样的实例不会写入",
    "let the service's user read and write it: in Mosquitto's acl_file 'topic readwrite {topic}'",
    "允许服务账号读写：Mosquitto 的 acl_file 中加 topic readwrite {topic}",
)
DROPPING = Text(
    "the broker drops messages: {per_minute:.0f} a minute",
    "Broker 正在丢弃消息：{per_minute:.0f} 条/分钟",
    "max_queued_messages 100000 in the broker; whose they are its log says: 'Outgoing messages are being dropped for"
    " client'",
    "在 Broker 中设 max_queued_messages 100000；是哪个订阅者的见其日志 Outgoing messages are being dropped for client",
)
HAS_DROPPED = Text(
    "the broker has dropped {count} messages since it started (of any client)",
    "Broker 自启动已丢弃 {count} 条消息（所有客户端合计）",
    "max_queued_messages 100000 in the broker; whose they are its log says: 'Outgoing messages are being dropped for"
    " client'",
    "在 Broker 中设 max_queued_messages 100000；是哪个订阅者的见其日志 Outgoing messages are being dropped for client",
)
NONE_DROPPED = Text("the broker has dropped none", "Broker 没有丢弃消息")
LOSS_UNKNOWN = Text(
    "$SYS cannot be read: whether the broker drops messages is not seen",
    "读不到 $SYS：看不出 Broker 是否丢消息",
    "in the acl_file: topic read $SYS/broker/#",
    "acl_file 中加 topic read $SYS/broker/#",
)
LOSS_UNSAID = Text(
    "$SYS says nothing of drops just now: whether the broker drops messages is not seen",
    "$SYS 目前没有丢弃数：看不出 Broker 是否丢消息",
    "an old Mosquitto (2.0.11) tells it for a minute after a change; else, in the acl_file: topic read $SYS/broker/#",
    "旧版 Mosquitto（2.0.11）只在变化后一分钟内给出；否则在 acl_file 中加 topic read $SYS/broker/#",
)
LIMITS = Text(
    "not to be seen from here: max_queued_messages, autosave_interval, persistence; README.md has good values",
    "从这里看不到：max_queued_messages、autosave_interval、persistence；建议值见 README.zh-CN.md",
)
BROKERS = Text("the broker's certificate", "Broker 的证书")
OURS = Text("our certificate for the broker", "本服务用于 Broker 的证书")
