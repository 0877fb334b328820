"""What is told of the broker, its session and the subscription."""

from __future__ import annotations

from .languages import line

MQTT_STILL_DOWN = line(
    "❌ MQTT仍未连接，已持续 {seconds} 秒: {reason}",
    "❌ MQTT still not connected after {seconds} s: {reason}",
)
MQTT_BACK = line("✅ MQTT已恢复，中断了 {seconds} 秒", "✅ MQTT is back after {seconds} s")
MQTT_LOST = line(
    "❌ MQTT连接断开: {reason}；自动重连，未确认的消息由Broker保留",
    "❌ MQTT connection lost: {reason}; reconnecting, the broker keeps what is not acknowledged",
)
MQTT_SHORT_SESSIONS = line(
    "⚠️ 连续 {count} 次连接后不到 {short} 秒即断开: 可能有另一个程序使用同一MQTT_CLIENT_ID={client_id}；"
    "不与其争抢，{seconds} 秒后重连",
    "⚠️ {count} sessions in a row ended within {short} s: is another program using MQTT_CLIENT_ID={client_id}?"
    " Not fighting it, connecting again in {seconds} s",
)
MQTT_311 = line(
    "⚠️ 使用MQTT 3.1.1: Broker每发出max_inflight_messages条（默认20）就等待确认，吞吐因此受限；"
    "可在mosquitto.conf中调大，例如1000，或使用MQTT 5",
    "⚠️ Speaking MQTT 3.1.1: after max_inflight_messages (20 by default) the broker waits for acknowledgements, which "
    "limits messages/s; a larger one in mosquitto.conf, such as 1000, or MQTT 5 lifts that",
)
MQTT_311_GUESSED = line(
    "⚠️ Broker没有应答MQTT 5的连接，可能不支持MQTT 5，也可能只是正在重启；暂用MQTT 3.1.1，{seconds} 秒后再试MQTT 5",
    "⚠️ The broker did not answer MQTT 5: it may not know it, or may have been restarting; speaking MQTT 3.1.1 for now,"
    " trying 5 again in {seconds} s",
)
MQTT_CLOSED_AT_SUBSCRIBE = line(
    "⚠️ 连续 {count} 次在订阅时被Broker断开: 可能是ACL、配额或Broker不支持通配符，原因见Broker日志；{seconds} 秒后重连",
    "⚠️ {count} times in a row the broker closed the connection instead of answering SUBSCRIBE: its ACL, a quota, or no"
    " wildcards? Its log may say; connecting again in {seconds} s",
)
BROKER_GRANTS = line("Broker声明: {granted}", "The broker says of itself: {granted}")
SESSION_EXPIRY_LESS = line(
    "⚠️ Broker只保留会话 {granted} 秒（要求 {asked} 秒，MQTT_SESSION_EXPIRY）: 离线更久，期间的消息会丢失",
    "⚠️ The broker keeps the session for {granted} s, of {asked} s asked for (MQTT_SESSION_EXPIRY): when this service is"
    " away for longer than {granted} s, what is published meanwhile is lost",
)
SESSION_NOT_KEPT = line(
    "⚠️ Broker不保留会话: {granted} 秒（要求 {asked} 秒，MQTT_SESSION_EXPIRY）: 断开期间和未确认的消息都会丢失",
    "⚠️ The broker keeps no session: {granted} s, of {asked} s asked for (MQTT_SESSION_EXPIRY): with each disconnection"
    " what is published meanwhile, and what is not acknowledged, is lost",
)
MAXIMUM_QOS_LESS = line(
    "⚠️ Broker最高只支持QoS {granted}（要求QoS {asked}）: 消息可能丢失，断开期间的消息不保留",
    "⚠️ The broker has QoS {granted} at most, of QoS {asked} asked for: messages may get lost, and none are kept while"
    " this service is away",
)
NO_WILDCARDS = line(
    "⚠️ Broker声明不支持通配符订阅（Wildcard Subscription Available = {granted}，要求 {asked}）: 可能收不到任何消息",
    "⚠️ The broker says that it takes no wildcards in subscriptions (Wildcard Subscription Available = {granted}, asked"
    " for {asked}): probably nothing can be received from it",
)
PACKET_SIZE_LESS = line(
    "⚠️ Broker只接受不超过 {granted} 字节的报文（MQTT_MAX_PAYLOAD为 {asked} 字节）: 更大的上报不会到达本服务",
    "⚠️ The broker takes packets of up to {granted} bytes, while MQTT_MAX_PAYLOAD allows {asked}: larger reports never"
    " get here",
)
KEEP_ALIVE_LESS = line(
    "⚠️ Broker要求心跳间隔为 {granted} 秒（MQTT_KEEPALIVE为 {asked} 秒）: 按Broker的执行，网络中断这么久就会断开",
    "⚠️ The broker wants a keep-alive of {granted} s, of {asked} s asked for (MQTT_KEEPALIVE): its figure is used, and a"
    " network that is away for that long costs the connection",
)
WINDOW_LESS = line(
    "⚠️ Broker每发出 {granted} 条消息就等待确认（要求 {asked} 条，MQTT_RECEIVE_MAXIMUM）: 吞吐因此受限，"
    "请调大Broker的上限（RabbitMQ为mqtt.prefetch）",
    "⚠️ The broker waits for acknowledgements after {granted} messages, of {asked} asked for (MQTT_RECEIVE_MAXIMUM): "
    "that limits messages/s; raise its own limit (mqtt.prefetch in RabbitMQ)",
)
GRANTED_QOS_0 = line(
    "⚠️ Broker只允许QoS 0: {topic}；消息可能丢失",
    "⚠️ The broker grants only QoS 0 on {topic}: messages may get lost",
)
MQTT_PASSWORD_IN_CLEAR = line(
    "⚠️ MQTT密码以明文经网络发往 {host}: 途中任何人都能读到；请启用 MQTT_TLS",
    "⚠️ The MQTT password goes to {host} in clear: everybody on the way can read it; set MQTT_TLS",
)
SUBSCRIBER_FAILED_UNEXPECTEDLY = line(
    "❌ MQTT连接出现意外错误（请报告此问题）", "❌ Unexpected error in the MQTT connection (please report it)"
)
SESSION_NEW = line(
    "⚠️ Broker没有保留会话: 断开期间发布的消息已经丢失",
    "⚠️ The broker had no session for us: what was published while we were away is lost",
)
_oldest_kept = (
    "Broker的队列满后（max_queued_messages，默认1000条）只留最早的，因此可能有消息丢失；期间如果有别的程序写过设备表，"
    "较旧的上报会盖住较新的，直到设备再次上报。要丢弃会话里的消息: 停止服务，执行 aiot-mqtt forget-session，再启动"
)
_oldest_kept_in_english = (
    "once its queue is full (max_queued_messages, 1000 by default) it keeps the oldest, so messages may be lost, and if"
    " another program wrote the table meanwhile, older reports replace newer ones until each device's next report. To"
    " throw away what is in the session: stop the service, run aiot-mqtt forget-session, start it"
)
SESSION_LEFT_ALONE = line(
    "⚠️ Broker为本服务保留了 {seconds} 秒的会话，已送来 {waiting} 条消息: " + _oldest_kept,
    "⚠️ The broker kept the session for {seconds} s without us, {waiting} messages of it have come: "
    + _oldest_kept_in_english,
)
SESSION_OF_UNKNOWN_AGE = line(
    "⚠️ Broker保留着会话，已送来 {waiting} 条消息，但不知道保留了多久（上次没有正常停止，或不是在这里停止的）: "
    + _oldest_kept,
    "⚠️ The broker kept a session, {waiting} messages of it have come, and nobody knows for how long (the last stop was"
    " not in order, or not here): " + _oldest_kept_in_english,
)
SESSION_LOST_WHILE_AWAY = line(
    "❌ Broker没有保留本服务的会话: 上次停止后到现在发布的消息已经丢失"
    "（超过了MQTT_SESSION_EXPIRY，或Broker重启且未开启persistence）",
    "❌ The broker has not kept this service's session: what was published since its last stop is lost (for longer away"
    " than MQTT_SESSION_EXPIRY, or the broker restarted without persistence)",
)
SESSION_OF_OTHER_NAME = line(
    "⚠️ MQTT_CLIENT_ID或Broker已更改: 之前的会话是 {earlier}，为它保留的消息不会送到这里",
    "⚠️ MQTT_CLIENT_ID or the broker was changed: the session was {earlier} before, and what is kept for that one does"
    " not come here",
)
SESSION_FIRST = line(
    "在Broker建立了新会话: 从现在起，离线期间的消息由Broker保留",
    "A session was begun at the broker: from now on it keeps what is published while this service is away",
)
BROKER_HAS_DROPPED = line(
    "⚠️ Broker自启动以来已丢弃 {count} 条消息（所有客户端合计）: 可调大max_queued_messages",
    "⚠️ The broker has dropped {count} messages since it was started (of all its clients): consider a larger"
    " max_queued_messages",
)
BROKER_DROPPED_MEANWHILE = line(
    "⚠️ 自 {since} 本服务上次查看以来，Broker丢弃了 {count} 条消息（所有客户端合计）: "
    "请调大max_queued_messages（默认1000）",
    "⚠️ Since {since}, when this service last looked, the broker has dropped {count} messages (of all its clients):"
    " raise max_queued_messages (1000 by default)",
)
BROKER_DROPS = line(
    "⚠️ Broker正在丢弃消息: 又丢弃了 {count} 条，启动以来共 {total} 条（所有客户端合计）；"
    "请调大max_queued_messages（默认1000）",
    "⚠️ The broker drops messages: {count} more, {total} since it was started (of all its clients); raise"
    " max_queued_messages (1000 by default)",
)
BROKER_DROPS_UNREADABLE = line(
    "读不到 {topic}: 看不出Broker是否丢弃消息（可在ACL中加 topic read $SYS/broker/#）",
    "{topic} cannot be read: whether the broker drops messages is not seen (its ACL may want topic read $SYS/broker/#)",
)
BROKER_DROPS_GIVEN_UP = line(
    "不再读取 {topic}: 另开连接后，Broker断开了本服务的连接",
    "{topic} is not asked for any more: with a second connection there, the broker ended the service's own",
)
BROKER_DROPS_FAILED_UNEXPECTEDLY = line(
    "❌ 读取Broker丢弃数时出现意外错误（请报告此问题）",
    "❌ Unexpected error while asking the broker what it drops (please report it)",
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
    "👀 A trial: the table is written as usual, but under the client id {client_id}, without a kept session and without"
    " a spool; nothing is left behind",
)
SUBSCRIPTION_DENIED = line(
    "❌ Broker拒绝订阅主题: {topic} ({reason})；请检查ACL，{seconds} 秒后重试",
    "❌ The broker denies the subscription to {topic} ({reason}); check its ACL, trying again in {seconds} s",
)
SUBSCRIPTION_WILDCARD_DENIED = line(
    "❌ Broker不支持通配符订阅: {topic} ({reason})；本服务需要它，请在Broker中打开或换用其他Broker，{seconds} 秒后重试",
    "❌ The broker takes no wildcards in subscriptions: {topic} ({reason}); this service needs them, so switch them on"
    " there or use another broker, trying again in {seconds} s",
)
SUBSCRIPTION_OVER_QUOTA = line(
    "❌ Broker的配额不允许订阅主题: {topic} ({reason})；请检查该用户的订阅或队列上限，{seconds} 秒后重试",
    "❌ A quota of the broker forbids the subscription to {topic} ({reason}); see its limits on subscriptions or"
    " queues, trying again in {seconds} s",
)
SUBSCRIPTION_FILTER_INVALID = line(
    "❌ Broker不接受此主题: {topic} ({reason})；请检查MQTT_TOPIC_PREFIX以及Broker对主题的限制，{seconds} 秒后重试",
    "❌ The broker takes no such topic: {topic} ({reason}); check MQTT_TOPIC_PREFIX and what the broker allows,"
    " trying again in {seconds} s",
)
SUBSCRIPTION_DENIED_OTHERWISE = line(
    "❌ Broker拒绝订阅主题: {topic} ({reason})；原因见Broker日志，{seconds} 秒后重试",
    "❌ The broker denies the subscription to {topic} ({reason}); its log may say more, trying again in {seconds} s",
)
# By MQTT's reason code (MQTT 5 section 3.9.3); 0x80 is all that MQTT 3.1.1 has, and says nothing of why.
SUBSCRIPTION_DENIALS = {
    0x80: SUBSCRIPTION_DENIED,
    0x87: SUBSCRIPTION_DENIED,
    0x8F: SUBSCRIPTION_FILTER_INVALID,
    0x97: SUBSCRIPTION_OVER_QUOTA,
    0xA2: SUBSCRIPTION_WILDCARD_DENIED,
}
FOREIGN_TOPIC = line(
    "⚠️ 收到不属于本服务的主题: {topic}（旧会话的订阅），已取消订阅: {filters}",
    "⚠️ A message on {topic}, which is not a topic of this service (an old subscription?), unsubscribed from {filters}",
)
