"""What is said of this host: settings, files, spool, the running service."""

from __future__ import annotations

from .text import Text

FILES = Text("{user} may read what it has to", "{user} 可读取所需文件")
FILE_UNREADABLE = Text(
    "{user} cannot read {path} (mode {mode}, of {owner})",
    "{user} 读不到 {path}（权限 {mode}，属主 {owner}）",
    "chown root:{group} {path} && chmod 0640 {path}, and every folder above it must let {user} in",
    "chown root:{group} {path} && chmod 0640 {path}，上级目录也要允许 {user} 进入",
)
FILE_MISSING = Text(
    "{path} cannot be read: {reason}",
    "{path} 无法读取：{reason}",
    "correct the path, or run the check where the service's settings are: cd /opt/mqtt-service",
    "更正路径，或在服务的目录中运行检查：cd /opt/mqtt-service",
)
FILE_EXPOSED = Text(
    "others on this host may read or write {path} ({name}, mode {mode})",
    "本机其他用户可读写 {path}（{name}，权限 {mode}）",
    "chmod o= {path}",
    "chmod o= {path}",
)
SETTINGS = Text("the settings have no mistakes", "设置没有错误")
SETTINGS_MISTAKE = Text(
    "{mistake}",
    "{mistake}",
    "correct it there; docs/settings.md describes each",
    "在该处更正；各项说明见 docs/settings.zh-CN.md",
)
SETTINGS_NO_FILE = Text(
    "there is no {file} in {folder}: only the environment and defaults count",
    "{folder} 中没有 {file}：只用环境变量和默认值",
    "run the check in the service's folder, cd /opt/mqtt-service, or name the file: --env-file PATH",
    "在服务的目录中运行：cd /opt/mqtt-service，或指定文件：--env-file PATH",
)
PASSWORD_URL_ENCODED = Text(
    "DB_PASSWORD looks URL-encoded, as the earlier service wanted it",
    "DB_PASSWORD 像是 URL 编码过的（旧服务的写法）",
    "write the password itself",
    "直接写原始密码",
)
SERVICE = Text("the service runs, version {version}: {sentence}", "服务正在运行，版本 {version}：{sentence}")
SERVICE_OTHER_VERSION = Text(
    "version {running} runs, version {installed} is installed",
    "运行中的是 {running}，安装的是 {installed}",
    "restart it: systemctl restart mqtt-service",
    "重启服务：systemctl restart mqtt-service",
)
SERVICE_NOT_RUNNING = Text(
    "the service does not run, or not with this HTTP_LISTEN ({reason})",
    "服务未运行，或其 HTTP_LISTEN 不同（{reason}）",
    "systemctl status mqtt-service; journalctl -u mqtt-service -n 100",
    "systemctl status mqtt-service；journalctl -u mqtt-service -n 100",
)
SERVICE_STUCK = Text(
    "something listens at HTTP_LISTEN and does not answer within {seconds:.0f} s: the service hangs",
    "HTTP_LISTEN 有程序监听，但 {seconds:.0f} 秒无应答：服务卡住",
    "systemctl restart mqtt-service; what it had not stored is still in the broker",
    "systemctl restart mqtt-service；未写入的消息仍在 Broker 中",
)
SERVICE_NO_PROGRESS = Text(
    "the running service makes no progress (/healthz says what does not)",
    "运行中的服务没有进展（/healthz 会说明是哪一部分）",
    "systemctl restart mqtt-service; what it had not stored is still in the broker",
    "systemctl restart mqtt-service；未写入的消息仍在 Broker 中",
)
SERVICE_OTHER = Text(
    "what answers at HTTP_LISTEN is not aiot-mqtt ({reason})",
    "HTTP_LISTEN 上应答的不是 aiot-mqtt（{reason}）",
    "another program has the port: set HTTP_LISTEN to a free one",
    "端口被其他程序占用：请把 HTTP_LISTEN 改为空闲端口",
)
SERVICE_FAULT = Text(
    "the running service says: {sentence}",
    "运行中的服务报告：{sentence}",
    "aiot-mqtt status shows each condition",
    "用 aiot-mqtt status 查看各项条件",
)
SERVICE_LOOK = Text(
    "the running service says: {sentence}",
    "运行中的服务报告：{sentence}",
    "aiot-mqtt status shows each condition",
    "用 aiot-mqtt status 查看各项条件",
)
SERVICE_NOT_ASKED = Text(
    "HTTP_LISTEN is empty: a running service cannot be asked",
    "HTTP_LISTEN 为空：无法询问运行中的服务",
)
SPOOL = Text("spool: {path} can be written", "暂存：{path} 可写")
SPOOL_OFF = Text(
    "SPOOL_FILE is empty: while the database is away messages are kept by the broker alone, by default 1000",
    "未启用 SPOOL_FILE：数据库中断时消息只留在 Broker，默认只留 1000 条",
    "set SPOOL_FILE to a file on a local disk",
    "把 SPOOL_FILE 设为本地磁盘上的文件",
)
SPOOL_SHORT_LIVED = Text(
    "spool: {path} does not last: {reason}",
    "暂存文件 {path} 保留不久：{reason}",
    "mount a volume on its folder, or set SPOOL_FILE to a file on a local disk",
    "在其目录挂载卷，或把 SPOOL_FILE 设为本地磁盘上的文件",
)
SPOOL_UNWRITABLE = Text(
    "{user} cannot write {path}: {reason}",
    "{user} 无法写入暂存文件 {path}：{reason}",
    "let {user} own its folder, make room, or set SPOOL_FILE to another place; do not delete the file",
    "让 {user} 拥有所在目录、腾出空间，或改 SPOOL_FILE；不要删除该文件",
)
SPOOL_WAITS = Text(
    "{path} holds the states of {devices} devices ({deliveries} messages) that are not in the table yet",
    "{path} 中有 {devices} 台设备的状态（{deliveries} 条消息）尚未写入数据库",
    "start the service with these settings and it writes them; do not delete the file",
    "用这些设置启动服务即会写入；不要删除该文件",
)
SPOOL_ODD = Text(
    "{path}: {verdict}",
    "{path}：{verdict}",
    "aiot-mqtt spool shows it; --export keeps what is in it, --adopt takes it over",
    "用 aiot-mqtt spool 查看；--export 导出，--adopt 接管",
)
SPOOL_BUSY = Text(
    "another process has {path} open ({reason}): what is in it cannot be seen",
    "{path} 被其他进程占用（{reason}）：看不到其中的内容",
)
DISK = Text(
    "disk: {free_mb} MB free, about {needed_mb} MB needed for {devices} devices",
    "磁盘：剩余 {free_mb} MB，{devices} 台设备约需 {needed_mb} MB",
    "make room where {path} is",
    "为 {path} 所在磁盘腾出空间",
)
DISK_UNKNOWN_FLEET = Text(
    "disk: {free_mb} MB free; how many devices there are is not known",
    "磁盘：剩余 {free_mb} MB；设备数量未知",
)
DISK_NO_SPOOL = Text("no spool, so none is needed", "未启用暂存，无需空间")
TWINS = Text("nobody else uses {client_id}", "没有其他程序使用 {client_id}")
TWINS_SEEN = Text(
    "another program uses MQTT_CLIENT_ID {client_id}, as it seems: the service was pushed off {count} times in 10 min",
    "另有程序用同一 MQTT_CLIENT_ID（{client_id}）：服务 10 分钟内被顶下线 {count} 次",
    "see whether an older service still runs: systemctl list-units '*mqtt*'; docker ps; two installations need two ids",
    "查旧服务是否还在运行：systemctl list-units '*mqtt*'；docker ps；两套安装各用一个 id",
)
TWINS_CERTAIN = Text(
    "another program uses MQTT_CLIENT_ID {client_id}: within the last minutes it has taken the session",
    "另有程序用同一 MQTT_CLIENT_ID（{client_id}）：几分钟内取走过会话",
    "see whether an older service still runs: systemctl list-units '*mqtt*'; docker ps; two installations need two ids",
    "查旧服务是否还在运行：systemctl list-units '*mqtt*'；docker ps；两套安装各用一个 id",
)
TWINS_UNKNOWN = Text(
    "whether another program uses {client_id} only a running service knows",
    "是否有其他程序使用 {client_id}，只有运行中的服务知道",
)
