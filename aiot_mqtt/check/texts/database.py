"""What is said of the database and its table."""

from __future__ import annotations

from .text import Text

NO_HOST = Text(
    "no address is known for the host {host}",
    "找不到主机 {host}",
    "correct DB_HOST; getent hosts {host}",
    "核对 DB_HOST；getent hosts {host}",
)
REFUSED = Text(
    "{host}:{port} refuses the connection",
    "{host}:{port} 拒绝连接",
    "on the database's host: systemctl status mysql (or mariadb); ss -tlnp | grep {port}; bind-address decides who is"
    " heard",
    "在数据库主机上：systemctl status mysql（或 mariadb）；ss -tlnp | grep {port}；检查 bind-address",
)
NO_ANSWER = Text(
    "{host}:{port} does not answer within {seconds:.0f} s",
    "{host}:{port} 在 {seconds:.0f} 秒内无应答",
    "mostly a firewall, or a server that hangs; from here: nc -vz {host} {port}",
    "多为防火墙，或服务器卡住；从本机试：nc -vz {host} {port}",
)
UNREACHABLE = Text(
    "{host}:{port} cannot be used: {reason}",
    "{host}:{port} 无法使用：{reason}",
    "correct DB_HOST and DB_PORT; the database's log says more",
    "核对 DB_HOST 和 DB_PORT；详见数据库日志",
)
PASSED_OVER = Text("{host}:{port} is passed over: {reason}", "{host}:{port} 被跳过：{reason}")
REACHED = Text("{host}:{port} answers", "{host}:{port} 有应答")
TLS_REFUSED = Text("{reason}", "{reason}", "{advice}", "{advice}")
TLS = Text("encrypted, and the database is who it should be", "已加密，数据库身份已核实")
NO_TLS = Text("without TLS", "未使用 TLS")
IN_CLEAR = Text(
    "the login goes to {host} without TLS: what it shows of the password, everybody on the way sees",
    "登录未经 TLS 发往 {host}：途中任何人都能看到登录内容",
    "set DB_TLS=true",
    "设置 DB_TLS=true",
)
ACCESS_DENIED = Text(
    "the database refuses '{user}'@'{address}' ({code})",
    "数据库拒绝登录：'{user}'@'{address}'（{code}）",
    "the password is wrong, or the account is made for another address. localhost and 127.0.0.1 are two accounts, and"
    " the service always takes TCP: the account must be '{user}'@'{address}'",
    "密码不对，或账号建在别的地址上。localhost 与 127.0.0.1 是两个账号，本服务总走 TCP。"
    "需要的账号是 '{user}'@'{address}'",
)
ROOT_DENIED = Text(
    "{user} has no password over TCP ({code})",
    "{user} 不能用密码经 TCP 登录（{code}）",
    "make an account for the service; aiot-mqtt check --grant prints the statement",
    "建专用账号；aiot-mqtt check --grant 打印语句",
)
HOST_DENIED = Text(
    "the database takes nobody from this address ({code}): {words}",
    "数据库不接受来自本机地址的登录（{code}）：{words}",
    "make the account for the address the words name; aiot-mqtt check --grant prints the statement",
    "按提示中的地址建账号；aiot-mqtt check --grant 打印语句",
)
NO_DATABASE = Text(
    "there is no database {database} for {user} ({code})",
    "{user} 看不到数据库 {database}（{code}）",
    "correct DB_NAME, or give the right: aiot-mqtt check --grant prints the statement",
    "核对 DB_NAME，或授权：aiot-mqtt check --grant 打印语句",
)
BUSY = Text(
    "the database has no connection left ({code}): {words}",
    "数据库没有空闲连接（{code}）：{words}",
    "raise max_connections, or see who holds them: SHOW PROCESSLIST",
    "调大 max_connections，或查看占用者：SHOW PROCESSLIST",
)
LOGIN_REFUSED = Text(
    "the database refuses the login: {words}",
    "数据库拒绝登录：{words}",
    "see the account of {user} in the database",
    "检查数据库中 {user} 的账号",
)
LOGIN_NOT_TRIED = Text(
    "the login was not tried to its end: {reason}",
    "登录未完成：{reason}",
    "{advice}",
    "{advice}",
)
LOGIN = Text(
    "logged in at {host}:{port} as {account}, {version}",
    "已登录 {host}:{port}，账号 {account}，{version}",
)
LOST = Text(
    "the connection ended while looking: {words}",
    "检查途中连接中断：{words}",
    "the database's log says why; then check again",
    "查看数据库日志，再次检查",
)
NOT_TOLD = Text("the database does not tell: {words}", "数据库没有给出：{words}")
USER = Text("an account of its own", "专用账号")
USER_IS_ROOT = Text(
    "the service would connect as {account}, who may do everything",
    "用 {account} 连接，权限过大",
    "make an account for it; aiot-mqtt check --grant prints the statement",
    "建专用账号；aiot-mqtt check --grant 打印语句",
)
WRITABLE = Text(
    "the database takes writes; {free} of {most} connections are free", "数据库可写；{most} 个连接中空闲 {free} 个"
)
READ_ONLY = Text(
    "the database is read-only ({variable}=1)",
    "数据库只读（{variable}=1）",
    "mostly DB_HOST leads to a replica: name the primary",
    "多半连到了从库：DB_HOST 请填主库",
)
FEW_CONNECTIONS = Text(
    "{free} of {most} connections are free, less than DB_POOL_SIZE={wanted}",
    "{most} 个连接中只剩 {free} 个，不足 DB_POOL_SIZE={wanted}",
    "raise max_connections, or lower DB_POOL_SIZE",
    "调大 max_connections，或减小 DB_POOL_SIZE",
)
TABLE = Text("table {table}: about {rows} rows", "表 {table}：约 {rows} 行")
NO_TABLE = Text(
    "there is no table {table} in {database} that {user} may see ({code})",
    "{database} 中没有 {user} 能看到的表 {table}（{code}）",
    "correct DB_NAME and DB_TABLE, or give the rights: aiot-mqtt check --grant prints the statement",
    "核对 DB_NAME、DB_TABLE，或授权：aiot-mqtt check --grant 打印语句",
)
TABLE_UNUSABLE = Text(
    "table {table} cannot be read: {words}",
    "表 {table} 读不了：{words}",
    "if it is locked, see who holds it: SHOW PROCESSLIST",
    "若被锁住，查看占用者：SHOW PROCESSLIST",
)
NO_COLUMN = Text(
    "table {table} lacks the column {columns}",
    "表 {table} 没有列 {columns}",
    "are DB_TABLE and DB_NAME right? README.md names the columns that are needed",
    "DB_TABLE、DB_NAME 对吗？需要的列见 README",
)
UNFIT = Text(
    "{words}",
    "表结构不符：{words}",
    "have the table's owner change the column",
    "由表的所有者修改该列",
)
RIGHTS = Text("just the rights that are needed", "权限恰好够用")
RIGHTS_MISSING = Text(
    "rights are missing: {missing}",
    "缺少权限：{missing}",
    "as an administrator: {statement}",
    "用管理员账号执行：{statement}",
)
RIGHTS_UNKNOWN = Text("whether the rights suffice cannot be seen: {words}", "看不出权限是否足够：{words}")
RIGHTS_TOO_MANY = Text(
    "more rights than needed: {excess}",
    "权限多于需要：{excess}",
    "take them back with REVOKE, then give: {statement}",
    "用 REVOKE 收回，再授予：{statement}",
)
UUID_INDEX = Text("uuid has a unique index ({collation})", "uuid 有唯一索引（{collation}）")
UUID_NO_INDEX = Text(
    "uuid has no index: each write reads the whole table",
    "uuid 上没有索引：每次写入都扫描全表",
    "the table's owner decides; for instance ALTER TABLE `{table}` ADD UNIQUE KEY (uuid)",
    "由表的所有者决定；例如 ALTER TABLE `{table}` ADD UNIQUE KEY (uuid)",
)
UUID_NOT_UNIQUE = Text(
    "the index of uuid is not unique: one device may have two rows",
    "uuid 的索引不唯一：一台设备可能有两行",
    "the table's owner decides; for instance ALTER TABLE `{table}` ADD UNIQUE KEY (uuid)",
    "由表的所有者决定；例如 ALTER TABLE `{table}` ADD UNIQUE KEY (uuid)",
)
UUID_VIEW = Text("{table} is a view: the index of uuid is not seen", "{table} 是视图：看不到 uuid 的索引")
UUID_SAME = Text(
    "the collation {collation} takes {same} for the same: two devices whose uuids differ in that only share a row",
    "排序规则 {collation} 把 {same} 视为相同：仅有此差别的两台设备会共用一行",
    "the table's owner decides; utf8mb4_bin tells all apart",
    "由表的所有者决定；utf8mb4_bin 能全部区分",
)
LAST_SEEN_INDEX = Text("{rows} rows: the look for silent devices is cheap", "{rows} 行：查找失联设备的开销很小")
NO_LAST_SEEN_INDEX = Text(
    "the table has {rows} rows and last_seen no index: each {interval} s all is read, about {milliseconds:.0f} ms",
    "表有 {rows} 行而 last_seen 没有索引：每 {interval} 秒一次全表扫描，约 {milliseconds:.0f} 毫秒",
    "an index of (is_online, last_seen), or a larger HEARTBEAT_CHECK_INTERVAL",
    "建索引 (is_online, last_seen)，或调大 HEARTBEAT_CHECK_INTERVAL",
)
NOT_SWEPT = Text("HEARTBEAT_TIMEOUT=0: nobody looks for silent devices", "HEARTBEAT_TIMEOUT=0：不查找失联设备")
TIMEZONE = Text("the newest last_seen is now, in {zone}", "最新的 last_seen 与现在相符（{zone}）")
TIMEZONE_OLD = Text(
    "the newest last_seen is {age} old: whether {zone} is right cannot be seen",
    "最新的 last_seen 在 {age}前：看不出 {zone} 是否正确",
)
TIMEZONE_EMPTY = Text(
    "no row has a last_seen: whether {zone} is right cannot be seen",
    "没有任何 last_seen：看不出 {zone} 是否正确",
)
TIMEZONE_WRONG = Text(
    "the newest last_seen is about {hours} hours {direction} now",
    "表中最新的 last_seen 比现在{direction}约 {hours} 小时",
    "DB_TIMEZONE must be the zone the backend writes in (now {zone}). **Do not start the service before that is right:"
    " it would set devices offline that are online.** It may be chance if nothing has reported for just that long",
    "后端按哪个时区写，DB_TIMEZONE 就填哪个（现在 {zone}）。**改好之前不要启动：会把在线设备判为离线**。"
    "若恰好这么久没有设备上报，则可能是巧合",
)
TIMEZONE_FUTURE = Text(
    "the newest last_seen is {age} in the future",
    "最新的 last_seen 晚于现在 {age}",
    "see the clocks of the hosts that write it, and DB_TIMEZONE (now {zone})",
    "检查写入方主机的时钟，以及 DB_TIMEZONE（现在 {zone}）",
)
TIMEZONE_SLOW = Text(
    "the newest last_seen could not be found in time ({words})", "没能及时查出最新的 last_seen（{words}）"
)
AHEAD = Text("ahead of", "晚")
BEHIND = Text("behind", "早")
CLOCK = Text("clocks agree within {seconds:.1f} s", "时钟相差 {seconds:.1f} 秒以内")
CLOCK_DIFFERS = Text(
    "this host's clock and the database's differ by {seconds:.0f} s",
    "本机与数据库时钟相差 {seconds:.0f} 秒",
    "chrony or another NTP service on both",
    "两边都启用 chrony/NTP",
)
STATUS_VALUES = Text("device_status takes what DEVICE_STATUS_VALUES says", "device_status 与 DEVICE_STATUS_VALUES 相符")
STATUS_ANY = Text("device_status takes any word", "device_status 接受任意值")
STATUS_COMMENT = Text(
    "the comment of device_status lists {words}, and DEVICE_STATUS_VALUES is empty: a device may write any word there",
    "列注释列出 {words}，而 DEVICE_STATUS_VALUES 为空：设备可写入任意值",
    "DEVICE_STATUS_VALUES={setting}",
    "DEVICE_STATUS_VALUES={setting}",
)
COMMIT = Text("a commit is on disk when it is answered ({settings})", "提交应答时已落盘（{settings}）")
COMMIT_GALERA = Text(
    "a commit is on every node of the cluster; on disk within about a second ({settings})",
    "提交已到达集群各节点，约一秒内落盘（{settings}）",
)
COMMIT_WEAK = Text(
    "a commit is not on disk when it is answered ({settings}): {loss} loses up to a second of acknowledged messages",
    "提交应答时尚未落盘（{settings}）：{loss}会丢失最多约一秒已确认的消息",
    "innodb_flush_log_at_trx_commit=1{more}, if that second matters",
    "若不能接受，请设 innodb_flush_log_at_trx_commit=1{more}",
)
COMMIT_BINLOG = Text(
    "a commit is answered before its binary log is on disk ({settings}): a power cut loses the last ones, or replicas"
    " differ",
    "提交应答时 binlog 尚未落盘（{settings}）：断电会丢失最后几次提交，或与从库不一致",
    "sync_binlog=1",
    "sync_binlog=1",
)
COMMIT_UNKNOWN = Text("what a commit is worth cannot be seen: {words}", "看不到提交的可靠性：{words}")
POWER_CUT = Text("a power cut there", "数据库主机断电")
SERVER_CRASH = Text("a crash of the database", "数据库进程崩溃")
POOL = Text(
    "the buffer pool ({pool_mb} MB) holds the table ({table_mb} MB)", "缓冲池（{pool_mb} MB）装得下表（{table_mb} MB）"
)
POOL_SMALL = Text(
    "the table ({table_mb} MB) is large for the buffer pool ({pool_mb} MB), which others may share: writes to random"
    " rows become slow (a sixth of the speed at a million rows with 128 MB)",
    "表（{table_mb} MB）相对缓冲池（{pool_mb} MB，可能与他人共用）偏大：随机写入会变慢"
    "（一百万行、128 MB 时只有六分之一的速度）",
    "innodb_buffer_pool_size of at least {wanted_mb} MB",
    "innodb_buffer_pool_size 至少 {wanted_mb} MB",
)
POOL_UNKNOWN = Text("the size of buffer pool or table cannot be seen", "看不到缓冲池或表的大小")
NO_BINLOG = Text("no binary log", "未启用 binlog")
BINLOG = Text(
    "about {gigabytes:.1f} GB of binary log a day at {rate:.0f} messages/s",
    "按 {rate:.0f} 条/秒，每天约 {gigabytes:.1f} GB binlog",
)
BINLOG_LARGE = Text(
    "about {gigabytes:.0f} GB of binary log a day at {rate:.0f} messages/s",
    "按现在的速率（{rate:.0f} 条/秒）每天约 {gigabytes:.0f} GB binlog",
    "LAST_SEEN_RESOLUTION=60 writes fewer heartbeats; binlog_row_image=MINIMAL writes less of each row",
    "LAST_SEEN_RESOLUTION=60 可减少心跳写入；binlog_row_image=MINIMAL 可减小每行",
)
BINLOG_UNKNOWN = Text(
    "a binary log is written; how much is not known without messages", "启用了 binlog；没有消息，无法估计大小"
)
THROUGHPUT = Text(
    "window {window}, a commit {milliseconds:.0f} ms ({source}): the window allows up to {rate} messages/s",
    "窗口 {window}，提交 {milliseconds:.0f} 毫秒（{source}）：窗口最多允许 {rate} 条/秒",
)
THROUGHPUT_AMPLE = Text(
    "window {window}, a commit {milliseconds:.0f} ms ({source}): the window is no limit, what the database writes is",
    "窗口 {window}，提交 {milliseconds:.0f} 毫秒（{source}）：窗口不是瓶颈，取决于数据库的写入速度",
)
THROUGHPUT_LOW = Text(
    "{came:.0f} messages/s come, and the window of {window} with a commit of {milliseconds:.0f} ms ({source}) allows"
    " {rate}",
    "每秒来 {came:.0f} 条，而窗口 {window}、提交 {milliseconds:.0f} 毫秒（{source}）只允许 {rate} 条",
    "MQTT 5, or a larger max_inflight_messages in the broker; a faster disk for the database",
    "用 MQTT 5，或在 Broker 中调大 max_inflight_messages；数据库换更快的磁盘",
)
MEASURED = Text("measured by the running service", "运行中的服务实测")
ASSUMED = Text(
    "assumed: no commit is tried here, and no running service tells", "假定值：检查不做提交，也没有运行中的服务可问"
)
DATABASES = Text("the database's certificate", "数据库的证书")
OURS = Text("our certificate for the database", "本服务用于数据库的证书")
AT_NEXT_CONNECTION = Text("the service takes it up at its next connection", "服务下次连接时自动使用")
THEN_RESTART = Text("then restart the service", "然后重启服务")
