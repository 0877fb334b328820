"""What is told of the broker, its session and the subscription."""

from __future__ import annotations

from .languages import line

MQTT_STILL_DOWN = line(
    "❌ MQTT仍未连接，已持续 {lasts}: {reason} - {host}:{port}",
    "❌ MQTT still not connected after {lasts}: {reason} - {host}:{port}",
)
MQTT_BACK = line("✅ MQTT已恢复，中断了 {lasts}", "✅ MQTT is back after {lasts}")
MQTT_LOST = line(
    "❌ MQTT连接断开: {reason} - {host}:{port} — 自动重连，未确认的消息由Broker保留",
    "❌ MQTT connection lost: {reason} - {host}:{port} — reconnecting, the broker keeps what is unacknowledged",
)
MQTT_SHORT_SESSIONS = line(
    "⚠️ 连续 {count} 次连接后不到 {short} 秒即断开，{seconds} 秒后重连 — 另有程序使用MQTT_CLIENT_ID={client_id}？",
    "⚠️ {count} sessions in a row ended within {short} s, again in {seconds} s"
    " — does another program use MQTT_CLIENT_ID={client_id}?",
)
SESSION_TAKEN_BACK = line(
    "❌ {host}:{port}上另有程序使用MQTT_CLIENT_ID={client_id}，抢走了会话，现在取回 — 请停掉它，或给它另一个id",
    "❌ At {host}:{port} another program took the session of MQTT_CLIENT_ID={client_id}; taking it back — stop it",
)
SESSION_LEFT = line(
    "❌ {host}:{port}上另有程序在用MQTT_CLIENT_ID={client_id}，让给它，{seconds} 秒后再试 — 只保留一个实例",
    "❌ At {host}:{port} another program has MQTT_CLIENT_ID={client_id}: it may go on, again in {seconds} s — stop one",
)
SESSION_LEFT_STILL = line(
    "❌ {lasts}以来{host}:{port}上另有程序在用MQTT_CLIENT_ID={client_id}，{seconds} 秒后再试 — 只保留一个实例",
    "❌ For {lasts} another program at {host}:{port} has had MQTT_CLIENT_ID={client_id},"
    " again in {seconds} s — stop one",
)
MQTT_311 = line(
    "⚠️ 使用MQTT 3.1.1，吞吐受Broker的max_inflight_messages（默认20）限制 — 请调大或用MQTT 5",
    "⚠️ Speaking MQTT 3.1.1: max_inflight_messages (20 by default) limits messages/s — raise it or use 5",
)
MQTT_311_GUESSED = line(
    "⚠️ Broker没有应答MQTT 5的连接，暂用MQTT 3.1.1 — {seconds} 秒后再试MQTT 5",
    "⚠️ The broker did not answer MQTT 5; speaking MQTT 3.1.1 for now — trying 5 again in {seconds} s",
)
MQTT_CLOSED_AT_SUBSCRIBE = line(
    "⚠️ 连续 {count} 次在订阅时被Broker断开，{seconds} 秒后重连 — 原因（ACL、配额、通配符）见Broker日志",
    "⚠️ {count} times in a row the broker closed at SUBSCRIBE, again in {seconds} s — its log may say why",
)
BROKER_GRANTS = line("Broker声明: {granted}", "The broker says of itself: {granted}")
SESSION_EXPIRY_LESS = line(
    "⚠️ Broker只保留会话 {granted} 秒（MQTT_SESSION_EXPIRY要求 {asked} 秒）: 离线更久，期间的消息会丢失",
    "⚠️ The broker keeps the session for {granted} s (MQTT_SESSION_EXPIRY: {asked}); away for longer, messages are lost",
)
SESSION_NOT_KEPT = line(
    "⚠️ Broker不保留会话: {granted} 秒（MQTT_SESSION_EXPIRY要求 {asked} 秒）: 断开期间和未确认的消息都会丢失",
    "⚠️ The broker keeps no session: {granted} s (MQTT_SESSION_EXPIRY: {asked}); each disconnection loses messages",
)
MAXIMUM_QOS_LESS = line(
    "⚠️ Broker最高只支持QoS {granted}（要求QoS {asked}）: 消息可能丢失，断开期间的消息不保留",
    "⚠️ The broker has QoS {granted} at most, not QoS {asked}: messages may get lost, none are kept while we are away",
)
NO_WILDCARDS = line(
    "⚠️ Broker声明不支持通配符订阅（Wildcard Subscription Available = {granted}，要求 {asked}）",
    "⚠️ The broker says that it takes no wildcards (Wildcard Subscription Available = {granted}, asked for {asked})",
)
PACKET_SIZE_LESS = line(
    "⚠️ Broker只接受不超过 {granted} 字节的报文（MQTT_MAX_PAYLOAD为 {asked} 字节）: 更大的上报不会到达",
    "⚠️ The broker takes packets of up to {granted} bytes (MQTT_MAX_PAYLOAD: {asked}): larger reports never get here",
)
KEEP_ALIVE_LESS = line(
    "⚠️ Broker要求心跳间隔为 {granted} 秒（MQTT_KEEPALIVE为 {asked} 秒）: 网络中断这么久就会断开",
    "⚠️ The broker wants a keep-alive of {granted} s (MQTT_KEEPALIVE: {asked}); a network away that long disconnects",
)
WINDOW_LESS = line(
    "⚠️ Broker每发出 {granted} 条消息就等待确认（MQTT_RECEIVE_MAXIMUM为 {asked} 条），吞吐受限 — 请调大Broker的上限",
    "⚠️ The broker waits after {granted} messages (MQTT_RECEIVE_MAXIMUM: {asked}): this limits messages/s — raise it",
)
GRANTED_QOS_0 = line(
    "⚠️ Broker只允许QoS 0: {topic}；消息可能丢失",
    "⚠️ The broker grants only QoS 0 on {topic}: messages may get lost",
)
MQTT_PASSWORD_IN_CLEAR = line(
    "⚠️ MQTT密码以明文经网络发往 {host}: 途中任何人都能读到 — 请启用 MQTT_TLS",
    "⚠️ The MQTT password goes to {host} in clear: everybody on the way can read it — set MQTT_TLS",
)
SUBSCRIBER_FAILED_UNEXPECTEDLY = line(
    "❌ MQTT连接出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error in the MQTT connection — report the traceback below in the repository's issues",
)
SESSION_NEW = line(
    "❌ Broker没有保留会话: 断开期间发布的消息已经丢失",
    "❌ The broker had no session for us: what was published while we were away is lost",
)
SESSION_LEFT_ALONE = line(
    "⚠️ Broker为本服务保留了 {lasts} 的会话，已送来 {waiting} 条: 可能有丢失，旧上报可能盖住较新的"
    " — aiot-mqtt forget-session",
    "⚠️ The session was kept for {lasts}: of {waiting} messages some may be lost or old — aiot-mqtt forget-session",
)
SESSION_OF_UNKNOWN_AGE = line(
    "⚠️ Broker保留着会话，已送来 {waiting} 条消息，不知保留了多久: 旧上报可能盖住较新的 — aiot-mqtt forget-session",
    "⚠️ A session of unknown age: of {waiting} messages some may be lost or old — aiot-mqtt forget-session",
)
SESSION_LOST_WHILE_AWAY = line(
    "❌ Broker没有保留本服务的会话: 上次停止后发布的消息已丢失 — 检查MQTT_SESSION_EXPIRY与Broker的persistence",
    "❌ The broker kept no session: what was published since the last stop is lost — see its persistence",
)
SESSION_OF_OTHER_NAME = line(
    "⚠️ MQTT_CLIENT_ID或Broker已更改: 之前的会话是 {earlier}，为它保留的消息不会送到这里",
    "⚠️ Another client id or broker than before: what is kept for the session of {earlier} does not come here",
)
SESSION_FIRST = line(
    "在Broker建立了新会话: 从现在起，离线期间的消息由Broker保留",
    "A session was begun at the broker: from now on it keeps what is published while this service is away",
)
BROKER_HAS_DROPPED = line(
    "⚠️ Broker自启动以来已丢弃 {count} 条消息（所有客户端合计） — 可调大max_queued_messages",
    "⚠️ The broker has dropped {count} messages since it started (all clients') — raise max_queued_messages",
)
BROKER_DROPPED_MEANWHILE = line(
    "⚠️ 自 {since} 本服务上次查看以来，Broker丢弃了 {count} 条消息（所有客户端合计） — 请调大max_queued_messages",
    "⚠️ Since the last look, {since}, the broker dropped {count} messages — raise max_queued_messages",
)
BROKER_DROPS = line(
    "⚠️ Broker正在丢弃消息: 又丢弃了 {count} 条，启动以来共 {total} 条（所有客户端合计） — 请调大max_queued_messages",
    "⚠️ The broker drops messages: {count} more, {total} since it started — raise max_queued_messages",
)
BROKER_DROPS_UNREADABLE = line(
    "读不到 {topic}: 看不出Broker是否丢弃消息 — 可在ACL中加 topic read $SYS/broker/#",
    "{topic} cannot be read: drops are not seen — the ACL may want topic read $SYS/broker/#",
)
BROKER_DROPS_GIVEN_UP = line(
    "不再读取 {topic}: 另开连接后，Broker断开了本服务的连接",
    "{topic} is not asked for any more: with a second connection there, the broker ended the service's own",
)
BROKER_DROPS_FAILED_UNEXPECTEDLY = line(
    "❌ 读取Broker丢弃数时出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error asking what was dropped — report the traceback below in the repository's issues",
)
SESSION_FORGOTTEN = line(
    "✅ {host}:{port} 已清除 {client_id} 的会话，其中等待的消息不会再送来",
    "✅ {host}:{port} has forgotten the session of {client_id}, and whatever waited in it",
)
SESSION_NOT_FORGOTTEN = line(
    "❌ {host}:{port} 的会话没有清除: {reason}", "❌ {host}:{port} has not forgotten the session: {reason}"
)
TRIAL = line(
    "👀 试运行: 正常写表，但客户端ID为 {client_id}，不保留会话，不暂存到本机；结束后不留下任何东西",
    "👀 A trial: the table is written as usual, but as client {client_id}, keeping neither a session nor a spool",
)
SUBSCRIPTION_DENIED = line(
    "❌ Broker拒绝订阅主题: {topic} ({reason})，{seconds} 秒后重试 — 请检查ACL（aiot-mqtt check）",
    "❌ The broker denies the subscription to {topic} ({reason}), again in {seconds} s"
    " — check its ACL (aiot-mqtt check)",
)
SUBSCRIPTION_WILDCARD_DENIED = line(
    "❌ Broker不支持通配符订阅: {topic} ({reason})，{seconds} 秒后重试 — 请在Broker中打开或换用其他Broker",
    "❌ The broker takes no wildcards: {topic} ({reason}), again in {seconds} s"
    " — switch them on there, or use another broker",
)
SUBSCRIPTION_OVER_QUOTA = line(
    "❌ Broker的配额不允许订阅主题: {topic} ({reason})，{seconds} 秒后重试 — 请检查该用户的订阅或队列上限",
    "❌ A quota of the broker forbids the subscription to {topic} ({reason}), again in {seconds} s — see its limits",
)
SUBSCRIPTION_FILTER_INVALID = line(
    "❌ Broker不接受此主题: {topic} ({reason})，{seconds} 秒后重试 — 请检查MQTT_TOPIC_PREFIX和Broker对主题的限制",
    "❌ The broker takes no such topic: {topic} ({reason}), again in {seconds} s"
    " — check MQTT_TOPIC_PREFIX, and its limits",
)
SUBSCRIPTION_DENIED_OTHERWISE = line(
    "❌ Broker拒绝订阅主题: {topic} ({reason})，{seconds} 秒后重试 — 原因见Broker日志",
    "❌ The broker denies the subscription to {topic} ({reason}), again in {seconds} s — its log may say why",
)
# By MQTT's reason code (MQTT 5 section 3.9.3); 0x80 is all that MQTT 3.1.1 has, and says nothing of why.
SUBSCRIPTION_DENIALS = {
    0x80: SUBSCRIPTION_DENIED,
    0x87: SUBSCRIPTION_DENIED,
    0x8F: SUBSCRIPTION_FILTER_INVALID,
    0x97: SUBSCRIPTION_OVER_QUOTA,
    0xA2: SUBSCRIPTION_WILDCARD_DENIED,
}
SUBSCRIPTION_STILL_DENIED = line(
    "❌ 仍有主题订阅不到，已持续 {lasts}: {topic} ({reason})",
    "❌ Subscriptions still denied after {lasts}: {topic} ({reason})",
)
FOREIGN_TOPIC = line(
    "⚠️ 收到不属于本服务的主题: {topic}（旧会话的订阅），已取消订阅: {filters}",
    "⚠️ A message on {topic}, which is not a topic of this service (an old subscription?), unsubscribed from {filters}",
)
