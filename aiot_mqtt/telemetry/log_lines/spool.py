"""What is told of the spool, which keeps messages on this host while the database is away."""

from __future__ import annotations

from .languages import line

SPOOLING = line(
    "💾 数据库未能及时写入: 消息改存到本机 {path} 并确认，恢复后先写入数据库",
    "💾 The database takes too long: messages go to {path} on this host and are acknowledged, it gets them first",
)
SPOOL_FOUND = line(
    "💾 {path} 中有上次未写入的 {devices} 台设备的状态，先写入数据库",
    "💾 {path} holds the states of {devices} devices from before; the database gets them first",
)
SPOOL_PROGRESS = line(
    "💾 正在把本机暂存写入数据库: 已写入 {written} 台，还有 {left} 台",
    "💾 Writing what was kept on this host: {written} devices done, {left} left",
)
SPOOL_EMPTIED = line(
    "💾 本机暂存的 {devices} 台设备的状态已全部写入数据库，{path} 已删除",
    "💾 All that was kept on this host is in the database: {devices} devices, {path} is deleted",
)
SPOOL_FAILED = line(
    "❌ 本机暂存不可用 - {reason}；数据库不可用期间的消息不再确认，由Broker保留",
    "❌ Nothing can be kept on this host - {reason}; while the database is away the broker has to keep it",
)
SPOOL_AWAITED = line(
    "❌ 本机暂存打不开，打开之前不写数据库 - {reason} — 删除它并重启即放弃其中已确认的消息",
    "❌ The spool cannot be opened, nothing is written before - {reason} — deleting it gives up what it holds",
)
SPOOL_STUCK = line(
    "❌ 本机暂存已全部写入数据库，但不能删除 - {reason}；之后的消息要等它删除后才写入数据库",
    "❌ All of the spool is in the database, but it cannot be deleted - {reason}; what comes later waits",
)
SPOOL_STILL_FAILING = line(
    "❌ 本机暂存仍不可用，已持续 {lasts} - {reason}",
    "❌ Still nothing can be kept on this host after {lasts} - {reason}",
)
SPOOL_WORKS_AGAIN = line("✅ 本机暂存已恢复，中断了 {lasts}", "✅ The spool works again after {lasts}")
SPOOL_DAMAGED = line(
    "❌ 本机暂存 {path} 已损坏（{reason}），已改名为 {aside}；其中未写入数据库的状态无法恢复",
    "❌ {path} is damaged ({reason}) and was renamed to {aside}: what it held is not in the database",
)
SPOOL_FOREIGN = line(
    "❌ {path} 不是本服务当前配置的暂存文件（{reason}），不读、不写、不删除 — 用 aiot-mqtt spool 查看、导出或丢弃",
    "❌ {path} is not the spool of this service as it is set up ({reason}), and left alone — see 'aiot-mqtt spool'",
)
SPOOL_IN_USE = line(
    "❌ 本机暂存被占用 - {reason}；其中可能有更早的状态，等那个进程结束后才写数据库",
    "❌ The spool is in use - {reason}; it may hold older states, so nothing is written before that process ends",
)
SPOOL_BLIND = line(
    "❌ 本机暂存的位置无法查看，暂存不可用，直接写数据库 - {reason}；以后出现的旧文件只补写未更新过的设备",
    "❌ The spool cannot be looked at, nothing can be kept - {reason}; the database is written without it",
)
SPOOL_FAILED_UNEXPECTEDLY = line(
    "❌ 本机暂存出现意外错误，稍后重试 — 请附上下面的traceback，在项目仓库的Issues中报告",
    "❌ Unexpected spool error, trying again — report the traceback below in the repository's issues",
)
SPOOL_SLOW = line(
    "❌ 本机磁盘没有响应 - {reason}；等待期间不写数据库，消息由Broker保留",
    "❌ This host's disk does not answer - {reason}; nothing is written until it does, the broker keeps all",
)
SPOOL_LOST = line(
    "❌ 本机暂存 {path} 中 {devices} 台设备的状态已不在磁盘上（损坏、被移走或磁盘被卸载）；文件重新出现时会写入数据库",
    "❌ The states of {devices} devices in {path} are gone (damaged, moved, unmounted); they count if it comes back",
)
SPOOL_OFF = line(
    "⚠️ SPOOL_FILE为空: 数据库不可用时，超出窗口（{window} 条）和Broker队列（默认1000条）的消息会丢失",
    "⚠️ SPOOL_FILE is empty: with the database away, more than {window} messages and the broker's queue is lost",
)
SPOOL_SHORT_LIVED = line(
    "⚠️ 本机暂存 {path} 保留不久: {reason} — 请在其目录挂载卷，或更改SPOOL_FILE",
    "⚠️ The spool {path} does not last: {reason} — mount a volume on its folder, or change SPOOL_FILE",
)
STOPPED_WITH_SPOOL = line(
    "⚠️ MQTT服务已停止，{deliveries} 条消息保存在 {path}，下次启动时写入数据库",
    "⚠️ MQTT service stopped; {deliveries} messages are in {path}, the database gets them at the next start",
)
