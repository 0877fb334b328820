"""What is told of the database, and of what it refuses."""

from __future__ import annotations

from .languages import line

DATABASE_CONNECTED = line(
    "✅ 数据库已连接 - {database}",
    "✅ Database connected - {database}",
)
DATABASE_IN_USE = line("✅ 使用数据库地址 {server}", "✅ Using the database at {server}")
DATABASE_CHANGED = line(
    "⚠️ 改用数据库地址 {server}，已跳过: {reason}",
    "⚠️ Using the database at {server} now, passed over: {reason}",
)
DATABASE_PASSWORD_IN_CLEAR = line(
    "⚠️ 数据库登录和全部数据未加密经网络发往 {host}: 途中任何人都能读取、篡改 — 请启用 DB_TLS",
    "⚠️ The database login and all data go to {host} unencrypted, for anybody on the way — set DB_TLS",
)
DATABASE_STILL_DOWN = line(
    "❌ 数据库仍不可用，已持续 {lasts}，{deliveries} 条消息等待写入（{where}）: {reason}",
    "❌ Database still unavailable after {lasts}, {deliveries} messages wait to be written ({where}): {reason}",
)
CONNECTIONS_LIMITED = line(
    "⚠️ 数据库只允许 {allowed} 个连接，连接池最多可用 {most} 个 - {database}: {reason}；就用这些继续",
    "⚠️ The database allows {allowed} connections, the pool may have {most} - {database}: {reason}; going on with those",
)
DATABASE_BACK = line("✅ 数据库已恢复，中断了 {lasts}", "✅ Database is back after {lasts}")
DATABASE_BEHIND = line(
    "⚠️ 数据库慢于来量: 每秒收到 {came} 条消息，只写入 {taken} 行；{cause} — 见docs/scaling.zh-CN.md",
    "⚠️ The database takes less than comes: {came} messages/s, {taken} rows/s; {cause} — see docs/scaling.md",
)
DATABASE_KEEPS_UP = line(
    "✅ 数据库又跟上了来量，此前落后了 {lasts}", "✅ The database keeps up with what comes again, after {lasts}"
)
DATABASE_MISCONFIGURED = line(
    "❌ 数据库权限或表结构有误 - {database}: {reason} — 改正后自动恢复（aiot-mqtt check）",
    "❌ Database rights or schema are wrong - {database}: {reason} — recovers once mended (aiot-mqtt check)",
)
ROWS_LOCKED = line(
    "❌ 设备表的行被其他事务锁住，继续重试 - {database}: {reason} — 查看: SELECT * FROM information_schema.innodb_trx",
    "❌ Rows of the table are locked, trying again - {database}: {reason}"
    " — SELECT * FROM information_schema.innodb_trx",
)
NOT_WRITTEN_YET = line(
    "⚠️ Broker没有回应，会话可能已被别的实例取得，暂不写入 - {deliveries} 条等待（{where}） — 检查到Broker的网络",
    "⚠️ The broker is silent, the session may be another instance's: {deliveries} wait ({where}) — check the network",
)
ROW_PASSED_OVER = line(
    "⚠️ 设备的行一直被锁住，先写入其他设备 - {uuid}: {reason} — 查看: SELECT * FROM information_schema.innodb_trx",
    "⚠️ A row stays locked, others go first - {uuid}: {reason} — SELECT * FROM information_schema.innodb_trx",
)
WRITE_FAILED_UNEXPECTEDLY = line(
    "❌ 写入时出现意外错误，稍后重试 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error at a write, trying again — report the traceback below in the repository's issues",
)
LISTENER_FAILED_UNEXPECTEDLY = line(
    "❌ 写入后的处理出现意外错误 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected error after a write — report the traceback below in the repository's issues",
)
VALUE_REFUSED = line(
    "⚠️ 数据库拒绝设备 {device} 的 {column}: {reason}；其余字段已写入",
    "⚠️ The database refuses {column} of device {device}: {reason}; the rest of its row is written",
)
ROW_REFUSED = line(
    "⚠️ 数据库拒绝设备 {device} 的更新: {reason}", "⚠️ The database refuses the update of device {device}: {reason}"
)
DEVICE_HAS_MANY_ROWS = line(
    "⚠️ 表中有多行的uuid等于 {device}，全部已更新 — 请给uuid加唯一索引或删除多余的行",
    "⚠️ More than one row has a uuid equal to {device}, all are updated — uuid should be unique",
)
DEVICES_SHARE_ROW = line(
    "⚠️ 按uuid列的排序规则，{device} 与另一个uuid相同，写入同一行 — 请检查设备的uuid",
    "⚠️ To the uuid column's collation {device} equals another uuid, both write one row — check the uuids",
)
