"""Every line this service logs, in Chinese as its operators grep for it and in English.

A line is its Chinese text, which is also its key: code logs ``log_lines.X`` with named fields, and the observer shows
the English one instead when ``LOG_LANGUAGE=en``. So no code that logs knows about languages.
"""

from __future__ import annotations

ENGLISH: dict[str, str] = {}
"""Chinese format to English format."""


def _line(chinese: str, english: str) -> str:
    ENGLISH[chinese] = english
    return chinese


# The lines of the contract: an operator greps for these.
MQTT_CONNECTED = _line(
    "🎉 MQTT连接成功 - Broker: {host}:{port}",
    "🎉 MQTT connected - Broker: {host}:{port}",
)
SUBSCRIBED = _line("📡 订阅主题: {topic}", "📡 Subscribed to topic: {topic}")
STARTED = _line("🚀 MQTT服务已启动", "🚀 MQTT service started")
MQTT_REFUSED = _line(
    "❌ MQTT连接失败，错误代码: {code} ({reason})",
    "❌ MQTT connection failed, error code: {code} ({reason})",
)
MQTT_FAILED = _line("❌ MQTT连接失败: {reason}", "❌ MQTT connection failed: {reason}")
DATABASE_FAILED = _line(
    "❌ 数据库连接失败 - {database}: {reason}",
    "❌ Database connection failed - {database}: {reason}",
)
UNKNOWN_DEVICE = _line("⚠️ 设备不存在: {device}", "⚠️ Unknown device: {device}")
MESSAGE_RECEIVED = _line(
    "📨 收到MQTT消息 {topic} QoS={qos} retain={retain} {payload}",
    "📨 MQTT message {topic} QoS={qos} retain={retain} {payload}",
)

# The broker.
MQTT_STILL_DOWN = _line(
    "❌ MQTT仍未连接，已持续 {seconds} 秒: {reason}",
    "❌ MQTT still not connected after {seconds} s: {reason}",
)
MQTT_BACK = _line("✅ MQTT已恢复，中断了 {seconds} 秒", "✅ MQTT is back after {seconds} s")
MQTT_LOST = _line(
    "❌ MQTT连接断开: {reason}；自动重连，未确认的消息由Broker保留",
    "❌ MQTT connection lost: {reason}; reconnecting, the broker keeps what is not acknowledged",
)
MQTT_SHORT_SESSIONS = _line(
    "⚠️ 连续 {count} 次连接后不到 {short} 秒即断开: 可能有另一个程序使用同一MQTT_CLIENT_ID={client_id}；"
    "不与其争抢，{seconds} 秒后重连",
    "⚠️ {count} sessions in a row ended within {short} s: is another program using MQTT_CLIENT_ID={client_id}?"
    " Not fighting it, connecting again in {seconds} s",
)
MQTT_311 = _line(
    "⚠️ 使用MQTT 3.1.1: Broker每发出max_inflight_messages条（默认20）就等待确认，吞吐因此受限；"
    "可在mosquitto.conf中调大，例如1000，或使用MQTT 5",
    "⚠️ Speaking MQTT 3.1.1: after max_inflight_messages (20 by default) the broker waits for acknowledgements, which "
    "limits messages/s; a larger one in mosquitto.conf, such as 1000, or MQTT 5 lifts that",
)
MQTT_311_GUESSED = _line(
    "⚠️ Broker没有应答MQTT 5的连接，可能不支持MQTT 5，也可能只是正在重启；暂用MQTT 3.1.1，{seconds} 秒后再试MQTT 5",
    "⚠️ The broker did not answer MQTT 5: it may not know it, or may have been restarting; speaking MQTT 3.1.1 for now,"
    " trying 5 again in {seconds} s",
)
MQTT_CLOSED_AT_SUBSCRIBE = _line(
    "⚠️ 连续 {count} 次在订阅时被Broker断开: 可能是ACL、配额或Broker不支持通配符，原因见Broker日志；{seconds} 秒后重连",
    "⚠️ {count} times in a row the broker closed the connection instead of answering SUBSCRIBE: its ACL, a quota, or no"
    " wildcards? Its log may say; connecting again in {seconds} s",
)
BROKER_GRANTS = _line("Broker声明: {granted}", "The broker says of itself: {granted}")
SESSION_EXPIRY_LESS = _line(
    "⚠️ Broker只保留会话 {granted} 秒（要求 {asked} 秒，MQTT_SESSION_EXPIRY）: 离线更久，期间的消息会丢失",
    "⚠️ The broker keeps the session for {granted} s, of {asked} s asked for (MQTT_SESSION_EXPIRY): when this service is"
    " away for longer than {granted} s, what is published meanwhile is lost",
)
SESSION_NOT_KEPT = _line(
    "⚠️ Broker不保留会话: {granted} 秒（要求 {asked} 秒，MQTT_SESSION_EXPIRY）: 断开期间和未确认的消息都会丢失",
    "⚠️ The broker keeps no session: {granted} s, of {asked} s asked for (MQTT_SESSION_EXPIRY): with each disconnection"
    " what is published meanwhile, and what is not acknowledged, is lost",
)
MAXIMUM_QOS_LESS = _line(
    "⚠️ Broker最高只支持QoS {granted}（要求QoS {asked}）: 消息可能丢失，断开期间的消息不保留",
    "⚠️ The broker has QoS {granted} at most, of QoS {asked} asked for: messages may get lost, and none are kept while"
    " this service is away",
)
NO_WILDCARDS = _line(
    "⚠️ Broker声明不支持通配符订阅（Wildcard Subscription Available = {granted}，要求 {asked}）: 可能收不到任何消息",
    "⚠️ The broker says that it takes no wildcards in subscriptions (Wildcard Subscription Available = {granted}, asked"
    " for {asked}): probably nothing can be received from it",
)
PACKET_SIZE_LESS = _line(
    "⚠️ Broker只接受不超过 {granted} 字节的报文（MQTT_MAX_PAYLOAD为 {asked} 字节）: 更大的上报不会到达本服务",
    "⚠️ The broker takes packets of up to {granted} bytes, while MQTT_MAX_PAYLOAD allows {asked}: larger reports never"
    " get here",
)
KEEP_ALIVE_LESS = _line(
    "⚠️ Broker要求心跳间隔为 {granted} 秒（MQTT_KEEPALIVE为 {asked} 秒）: 按Broker的执行，网络中断这么久就会断开",
    "⚠️ The broker wants a keep-alive of {granted} s, of {asked} s asked for (MQTT_KEEPALIVE): its figure is used, and a"
    " network that is away for that long costs the connection",
)
WINDOW_LESS = _line(
    "⚠️ Broker每发出 {granted} 条消息就等待确认（要求 {asked} 条，MQTT_RECEIVE_MAXIMUM）: 吞吐因此受限，"
    "请调大Broker的上限（RabbitMQ为mqtt.prefetch）",
    "⚠️ The broker waits for acknowledgements after {granted} messages, of {asked} asked for (MQTT_RECEIVE_MAXIMUM): "
    "that limits messages/s; raise its own limit (mqtt.prefetch in RabbitMQ)",
)
GRANTED_QOS_0 = _line(
    "⚠️ Broker只允许QoS 0: {topic}；消息可能丢失",
    "⚠️ The broker grants only QoS 0 on {topic}: messages may get lost",
)
MQTT_PASSWORD_IN_CLEAR = _line(
    "⚠️ MQTT密码以明文经网络发往 {host}: 途中任何人都能读到；请启用 MQTT_TLS",
    "⚠️ The MQTT password goes to {host} in clear: everybody on the way can read it; set MQTT_TLS",
)
SUBSCRIBER_FAILED_UNEXPECTEDLY = _line(
    "❌ MQTT连接出现意外错误（请报告此问题）", "❌ Unexpected error in the MQTT connection (please report it)"
)
SESSION_NEW = _line(
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
SESSION_LEFT_ALONE = _line(
    "⚠️ Broker为本服务保留了 {seconds} 秒的会话，已送来 {waiting} 条消息: " + _oldest_kept,
    "⚠️ The broker kept the session for {seconds} s without us, {waiting} messages of it have come: "
    + _oldest_kept_in_english,
)
SESSION_OF_UNKNOWN_AGE = _line(
    "⚠️ Broker保留着会话，已送来 {waiting} 条消息，但不知道保留了多久（上次没有正常停止，或不是在这里停止的）: "
    + _oldest_kept,
    "⚠️ The broker kept a session, {waiting} messages of it have come, and nobody knows for how long (the last stop was"
    " not in order, or not here): " + _oldest_kept_in_english,
)
SESSION_FORGOTTEN = _line(
    "✅ {host}:{port} 已清除 {client_id} 的会话，其中等待的消息不会再送来",
    "✅ {host}:{port} has forgotten the session of {client_id}, and whatever waited in it",
)
SESSION_NOT_FORGOTTEN = _line(
    "❌ {host}:{port} 的会话没有清除: {reason}", "❌ {host}:{port} has not forgotten the session: {reason}"
)
TRIAL = _line(
    "👀 试运行: 正常写表，但客户端ID为 {client_id}，不保留会话，不暂存到本机；结束后不留下任何东西",
    "👀 A trial: the table is written as usual, but under the client id {client_id}, without a kept session and without"
    " a spool; nothing is left behind",
)
SUBSCRIPTION_DENIED = _line(
    "❌ Broker拒绝订阅主题: {topic} ({reason})；请检查ACL，{seconds} 秒后重试",
    "❌ The broker denies the subscription to {topic} ({reason}); check its ACL, trying again in {seconds} s",
)
SUBSCRIPTION_WILDCARD_DENIED = _line(
    "❌ Broker不支持通配符订阅: {topic} ({reason})；本服务需要它，请在Broker中打开或换用其他Broker，{seconds} 秒后重试",
    "❌ The broker takes no wildcards in subscriptions: {topic} ({reason}); this service needs them, so switch them on"
    " there or use another broker, trying again in {seconds} s",
)
SUBSCRIPTION_OVER_QUOTA = _line(
    "❌ Broker的配额不允许订阅主题: {topic} ({reason})；请检查该用户的订阅或队列上限，{seconds} 秒后重试",
    "❌ A quota of the broker forbids the subscription to {topic} ({reason}); see its limits on subscriptions or"
    " queues, trying again in {seconds} s",
)
SUBSCRIPTION_FILTER_INVALID = _line(
    "❌ Broker不接受此主题: {topic} ({reason})；请检查MQTT_TOPIC_PREFIX以及Broker对主题的限制，{seconds} 秒后重试",
    "❌ The broker takes no such topic: {topic} ({reason}); check MQTT_TOPIC_PREFIX and what the broker allows,"
    " trying again in {seconds} s",
)
SUBSCRIPTION_DENIED_OTHERWISE = _line(
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
FOREIGN_TOPIC = _line(
    "⚠️ 收到不属于本服务的主题: {topic}（旧会话的订阅），已取消订阅: {filters}",
    "⚠️ A message on {topic}, which is not a topic of this service (an old subscription?), unsubscribed from {filters}",
)

# The database.
DATABASE_CONNECTED = _line(
    "✅ 数据库已连接 - {database}",
    "✅ Database connected - {database}",
)
DATABASE_PASSWORD_IN_CLEAR = _line(
    "⚠️ 数据库登录和全部数据未加密经网络发往 {host}: 途中任何人都能读取、篡改，并可能得到密码；请启用 DB_TLS",
    "⚠️ The database login and all data go to {host} unencrypted: everybody on the way can read and change them, and may"
    " get at the password; set DB_TLS",
)
DATABASE_STILL_DOWN = _line(
    "❌ 数据库仍不可用，已持续 {seconds} 秒，{deliveries} 条消息等待写入: {reason}",
    "❌ Database still unavailable after {seconds} s, {deliveries} messages wait to be written: {reason}",
)
CONNECTIONS_LIMITED = _line(
    "⚠️ 数据库只允许 {allowed} 个连接，连接池最多可用 {most} 个 - {database}: {reason}；就用这些继续",
    "⚠️ The database allows {allowed} connections, the pool may have {most} - {database}: {reason}; going on with those",
)
DATABASE_BACK = _line("✅ 数据库已恢复，中断了 {seconds} 秒", "✅ Database is back after {seconds} s")
DATABASE_MISCONFIGURED = _line(
    "❌ 数据库权限或表结构有误 - {database}: {reason}；改正后自动恢复",
    "❌ Database rights or schema are wrong - {database}: {reason}; it recovers once they are mended",
)
ROWS_LOCKED = _line(
    "❌ 设备表的行被其他事务锁住 - {database}: {reason}；继续重试",
    "❌ Rows of the device table are locked by another transaction - {database}: {reason}; trying again",
)
WRITE_FAILED_UNEXPECTEDLY = _line(
    "❌ 写入时出现意外错误（请报告此问题），稍后重试",
    "❌ Unexpected error while writing (please report it), trying again",
)
LISTENER_FAILED_UNEXPECTEDLY = _line(
    "❌ 写入后的处理出现意外错误（请报告此问题）", "❌ Unexpected error after a write (please report it)"
)
VALUE_REFUSED = _line(
    "⚠️ 数据库拒绝设备 {device} 的 {column}: {reason}；其余字段已写入",
    "⚠️ The database refuses {column} of device {device}: {reason}; the rest of its row is written",
)
ROW_REFUSED = _line(
    "❌ 数据库拒绝设备 {device} 的更新: {reason}", "❌ The database refuses the update of device {device}: {reason}"
)
DEVICE_HAS_MANY_ROWS = _line(
    "⚠️ 表中有多行的uuid等于 {device}，全部已更新；请给uuid加唯一索引或删除多余的行",
    "⚠️ More than one row has a uuid equal to {device}, all are updated: uuid should be unique",
)
DEVICES_SHARE_ROW = _line(
    "⚠️ 按uuid列的排序规则，{device} 与另一个uuid相同，写入同一行；请检查设备的uuid",
    "⚠️ To the uuid column's collation {device} equals another device's uuid, so both write one row: check their uuids",
)

# The spool.
SPOOLING = _line(
    "💾 数据库未能及时写入: 消息改存到本机 {path} 并确认，恢复后先写入数据库",
    "💾 The database takes too long: messages go to {path} on this host and are acknowledged, it gets them first",
)
SPOOL_FOUND = _line(
    "💾 {path} 中有上次未写入的 {devices} 台设备的状态，先写入数据库",
    "💾 {path} holds the states of {devices} devices from before; the database gets them first",
)
SPOOL_PROGRESS = _line(
    "💾 正在把本机暂存写入数据库: 已写入 {written} 台，还有 {left} 台",
    "💾 Writing what was kept on this host: {written} devices done, {left} left",
)
SPOOL_EMPTIED = _line(
    "💾 本机暂存的 {devices} 台设备的状态已全部写入数据库，{path} 已删除",
    "💾 All that was kept on this host is in the database: {devices} devices, {path} is deleted",
)
SPOOL_FAILED = _line(
    "❌ 本机暂存不可用 - {reason}；数据库不可用期间的消息不再确认，由Broker保留",
    "❌ Nothing can be kept on this host - {reason}; while the database is away the broker has to keep it",
)
SPOOL_AWAITED = _line(
    "❌ 本机暂存打不开 - {reason}；其中可能有已确认的消息，打开之前不写数据库（删除它并重启即放弃其中的内容）",
    "❌ The spool cannot be opened - {reason}; it may hold what was acknowledged, so nothing is written before it is"
    " (deleting it and starting anew gives up what it holds)",
)
SPOOL_STUCK = _line(
    "❌ 本机暂存已全部写入数据库，但不能删除 - {reason}；之后的消息要等它删除后才写入数据库",
    "❌ All of the spool is in the database, but it cannot be deleted - {reason}; what comes later waits for that",
)
SPOOL_STILL_FAILING = _line(
    "❌ 本机暂存仍不可用，已持续 {seconds} 秒 - {reason}",
    "❌ Still nothing can be kept on this host after {seconds} s - {reason}",
)
SPOOL_WORKS_AGAIN = _line("✅ 本机暂存已恢复，中断了 {seconds} 秒", "✅ The spool works again after {seconds} s")
SPOOL_DAMAGED = _line(
    "❌ 本机暂存 {path} 已损坏（{reason}），已改名为 {aside}；其中未写入数据库的状态无法恢复，服务继续运行",
    "❌ {path} is damaged ({reason}) and was renamed to {aside}: what it held is not in the database; the service"
    " goes on",
)
SPOOL_FOREIGN = _line(
    "❌ {path} 不是本服务当前配置的暂存文件（{reason}），不读、不写、不删除；用 aiot-mqtt spool 查看、导出或丢弃，"
    "或改回原来的配置，或换一个SPOOL_FILE",
    "❌ {path} is not the spool of this service as it is set up now ({reason}): it is not read, written or deleted;"
    " 'aiot-mqtt spool' shows, exports or discards it, or set up as before, or name another SPOOL_FILE",
)
SPOOL_IN_USE = _line(
    "❌ 本机暂存被占用 - {reason}；其中可能有更早的状态，等那个进程结束后才写数据库",
    "❌ The spool is in use - {reason}; it may hold older states, so nothing is written before that process has ended",
)
SPOOL_BLIND = _line(
    "❌ 本机暂存的位置无法查看 - {reason}；先直接写数据库，暂存不可用；以后出现的旧文件只补写表中没有更新过的设备",
    "❌ What the spool holds cannot be looked at - {reason}; the database is written without it, nothing can be kept"
    " on this host; should an old file turn up, only devices that were not heard since get its states",
)
SPOOL_FAILED_UNEXPECTEDLY = _line(
    "❌ 本机暂存出现意外错误（请报告此问题），稍后重试",
    "❌ Unexpected error of the spool (please report it), trying again",
)
SPOOL_SLOW = _line(
    "❌ 本机磁盘没有响应 - {reason}；等待期间不写数据库，消息由Broker保留",
    "❌ This host's disk does not answer - {reason}; nothing is written until it does, the broker keeps the messages",
)
SPOOL_LOST = _line(
    "❌ 本机暂存 {path} 中 {devices} 台设备的状态已不在磁盘上（文件损坏、被移走或磁盘被卸载）；"
    "文件重新出现时会写入数据库",
    "❌ The states of {devices} devices in {path} are gone (damaged, moved away, or the disk unmounted); should it"
    " come back, the database gets them",
)
SPOOL_OFF = _line(
    "⚠️ SPOOL_FILE为空: 数据库不可用时消息不确认，先占用接收窗口（{window} 条），再由Broker排队"
    "（max_queued_messages，默认1000条），更多的会被Broker丢弃",
    "⚠️ SPOOL_FILE is empty: while the database is away nothing is acknowledged; {window} messages wait here, then"
    " max_queued_messages (1000 by default) in the broker, and what is more the broker drops",
)
STOPPED_WITH_SPOOL = _line(
    "💾 MQTT服务已停止，{deliveries} 条消息保存在 {path}，下次启动时写入数据库",
    "💾 MQTT service stopped; {deliveries} messages are in {path}, the database gets them at the next start",
)

# Messages.
REPORT_REFUSED = _line(
    "⚠️ 拒绝消息 {topic}: {reason}；内容: {payload}", "⚠️ Message refused on {topic}: {reason}; payload: {payload}"
)
STATUS_IGNORED = _line(
    "⚠️ 设备 {device} 的状态未写入device_status: {reason}；内容: {payload}",
    "⚠️ Status of device {device} not put in device_status: {reason}; payload: {payload}",
)
LINES_SUPPRESSED = _line(
    "⚠️ 此类警告过多，{seconds} 秒内只计数、不再逐条记录: {reason}",
    "⚠️ Too many warnings of this sort, for {seconds} s they are counted but not logged: {reason}",
)
MESSAGES_DROPPED = _line(
    "❌ 内存已满，丢弃QoS 0消息（QoS 1消息不受影响）",
    "❌ Memory bound reached, dropping QoS 0 messages (QoS 1 is not affected)",
)
RECEIVE_FAILED_UNEXPECTEDLY = _line(
    "❌ 处理消息时出现意外错误（请报告此问题）: {topic}",
    "❌ Unexpected error while handling a message (please report it): {topic}",
)
STATISTICS = _line("📊 统计: {figures}", "📊 Figures: {figures}")

# Presence.
DEVICES_OFFLINE = _line(
    "📴 {count} 台设备离线: {devices}（{cutoff} 之后没有消息）",
    "📴 {count} devices are offline: {devices} (nothing heard since {cutoff})",
)
DEVICE_OFFLINE = _line(
    "📴 设备离线: {device}，最后消息 {last_seen}", "📴 Device offline: {device}, last heard {last_seen}"
)
ODD_LAST_SEEN = _line(
    "⚠️ {count} 台在线设备的last_seen为空或在未来（例如 {device}: {last_seen}），已设为离线",
    "⚠️ {count} online devices had no last_seen, or one in the future (such as {device}: {last_seen}): set offline",
)
LAST_SEEN_ALTERED = _line(
    "⚠️ {count} 台设备的last_seen早于本服务收到其消息的时间（例如 {device}: {last_seen}），"
    "被其他程序改写，或数据库拒绝写入；不设为离线",
    "⚠️ {count} devices have a last_seen from before they were heard (such as {device}: {last_seen}): another program"
    " wrote it, or the database refused ours; they stay online",
)
ROWS_NOT_SET = _line(
    "⚠️ 数据库拒绝将 {count} 台设备设为离线（例如 {device}: {reason}），其余设备不受影响，稍后再试",
    "⚠️ The database refuses to set {count} devices offline (such as {device}: {reason}); the others are not affected,"
    " and these are tried again later",
)
SWEEP_FAILED = _line(
    "⚠️ 离线检查失败，下次再试: {reason}", "⚠️ The offline sweep failed, the next one is tried all the same: {reason}"
)
SWEEP_FAILED_UNEXPECTEDLY = _line(
    "❌ 离线检查出现意外错误（请报告此问题）", "❌ Unexpected error in the offline sweep (please report it)"
)
REGULARITY = _line(
    "📈 心跳规律: 99.9%的间隔 ≤ {usual} 秒（共 {intervals} 个）；HEARTBEAT_TIMEOUT={timeout} 会晚 {late} 秒发现故障",
    "📈 Regularity: 99.9 % of intervals ≤ {usual} s (of {intervals}); {timeout} s finds a failure {late} s late",
)
FLAPPING = _line(
    "⚠️ {count} 台设备约每 {interval} 秒上报一次，接近或超过HEARTBEAT_TIMEOUT={timeout}: 它们会反复上下线",
    "⚠️ {count} devices report about every {interval} s, the timeout itself ({timeout} s) or more: they will flap",
)

# The life of the process.
FILE_EXPOSED = _line(
    "⚠️ 权限对其他用户开放 {name}: {path}（{mode}）；请执行 chmod o-rwx",
    "⚠️ Open to other users of this host, {name}: {path} (mode {mode}); chmod o-rwx mends that",
)
PASSWORD_URL_ENCODED = _line(
    "⚠️ DB_PASSWORD看起来经过URL编码（如%40）: 原来的服务会解码，本服务按原样使用；如果数据库拒绝登录，请改成原文",
    "⚠️ DB_PASSWORD looks URL-encoded (such as %40): the earlier service decoded it, this one takes it as it stands;"
    " if the database refuses the login, write it plainly",
)
LINES_LOST = _line(
    "⚠️ 日志写不出去: 此处缺少 {count} 行", "⚠️ The log could not be written: {count} lines are missing here"
)
LOG_REOPENED = _line("收到SIGHUP: 重新打开日志文件", "SIGHUP: opening the log file anew")
LOG_NOT_REOPENED = _line(
    "⚠️ 日志文件不能重新打开，继续写原来的文件: {reason}",
    "⚠️ The log file cannot be opened anew, going on with the old one: {reason}",
)
TERMINAL_CLOSED = _line("终端已关闭: 停止服务", "The terminal is closed: stopping")
STOPPING = _line("正在停止: 写入剩余的 {deliveries} 条消息", "Stopping: writing the {deliveries} messages left")
STOPPED = _line("MQTT服务已停止", "MQTT service stopped")
STOPPED_WITH_MESSAGES_LEFT = _line(
    "⚠️ MQTT服务已停止，{deliveries} 条消息未写入；QoS 1消息未确认，仍由Broker保留",
    "⚠️ MQTT service stopped with {deliveries} messages unwritten; those at QoS 1 are safe in the broker",
)
STOP_FORCED = _line(
    "⚠️ {seconds} 秒内未能正常停止，强制退出；未确认的QoS 1消息仍由Broker保留",
    "⚠️ Not stopped within {seconds} s, leaving by force; unacknowledged QoS 1 messages are safe in the broker",
)
STOP_FAILED_UNEXPECTEDLY = _line(
    "❌ 停止时出现意外错误（请报告此问题）", "❌ Unexpected error while stopping (please report it)"
)
