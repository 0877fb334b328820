"""What the page says, in both languages."""

from __future__ import annotations

from ..telemetry.bilingual import Bilingual

LANGUAGE = Bilingual("en", "zh-CN")
OTHER_LANGUAGE = Bilingual("中文", "English")
AGO = Bilingual("{lasts} ago", "{lasts}前")
STALE_WORD = Bilingual("No contact", "失去联系")
STALE = Bilingual(
    "This page has had no contact with the service for {n} s: what stands below is old.",
    "页面与服务失去联系 {n} 秒，以下是旧数据。",
)
TO_DO = Bilingual("To do: ", "要做的事：")
LOOK_AT_DATABASE = Bilingual(
    "see whether {address} runs and can be reached from here; aiot-mqtt check says more.",
    "检查 {address} 是否在运行、本机能否连上；aiot-mqtt check 会指出原因。",
)
LOOK_AT_BROKER = Bilingual(
    "see whether the broker {address} runs and can be reached from here; aiot-mqtt check says more.",
    "检查 Broker {address} 是否在运行、本机能否连上；aiot-mqtt check 会指出原因。",
)
LOOK_AT_DISK = Bilingual(
    "see to the disk and the rights of SPOOL_FILE; aiot-mqtt check says more.",
    "检查 SPOOL_FILE 所在的磁盘与权限；aiot-mqtt check 会指出原因。",
)
NEXT_ATTEMPT = Bilingual("next attempt in {lasts}", "{lasts}后再试")
STOP = Bilingual(".", "。")
WAY = Bilingual("The way of a message", "消息的路径")
CAUSE = Bilingual("cause", "原因")

BROKER = Bilingual("Broker", "Broker")
LISTENING = Bilingual("listening", "收听中")
LAST_MESSAGE = Bilingual("last message {ago}", "最近一条 {ago}")
NO_MESSAGE_YET = Bilingual("no message yet", "还没有消息")
DROPPED = Bilingual("dropped by the broker: {count}", "Broker 丢弃 {count} 条")
DROPPED_UNKNOWN = Bilingual("⚪ what the broker drops cannot be seen", "⚪ Broker 是否丢弃：看不到")
SESSIONS_LOST = Bilingual("sessions lost: {count}", "会话丢失 {count} 次")
SERVICE = Bilingual("This service", "本服务")
OLDEST_WAITS = Bilingual("the oldest waits {seconds} s", "最老等待 {seconds} 秒")
WINDOW = Bilingual("window {share} (peak {peak})", "窗口 {share}（峰值 {peak}）")
RUNS_SINCE = Bilingual("runs since {clock}", "自 {clock} 运行")
SPOOL = Bilingual("Kept on this host", "本机暂存")
SPOOL_OFF = Bilingual("off (SPOOL_FILE is empty)", "未启用（SPOOL_FILE 为空）")
SPOOL_EMPTY = Bilingual("empty", "空")
SPOOL_HOLDS = Bilingual("{count} devices, {size}", "{count} 台设备，{size}")
FREE = Bilingual("{size} free", "磁盘可用 {size}")
SINCE = Bilingual("since {clock}", "自 {clock} 起")
SINCE_BEFORE_START = Bilingual("from before this start", "本次启动之前就有")
DATABASE = Bilingual("Database", "数据库")
WRITES = Bilingual("takes what is written", "写入正常")
AWAY = Bilingual("away for {lasts}", "中断 {lasts}")
STARTING = Bilingual("starting", "正在启动")
COMMIT_TAKES = Bilingual("a commit takes {milliseconds} ms at best", "提交最快 {milliseconds} 毫秒")

RATES = Bilingual("Messages a second", "每秒消息")
RECEIVED = Bilingual("received", "收到")
STORED = Bilingual("stored", "已存")
TEN_MINUTES = Bilingual("10 minutes", "10 分钟")
ONE_HOUR = Bilingual("1 hour", "1 小时")
CHART_TEXT = Bilingual(
    "Now {received} a second are received and {stored} stored; the most received in {span} was {peak} ({clock}).",
    "现在每秒收到 {received} 条，已存 {stored} 条；{span}内最高收到 {peak} 条/秒（{clock}）。",
)
CHART_EMPTY = Bilingual("There is nothing to draw yet.", "还没有可画的数据。")
AT_NOW = Bilingual("now", "现在")
BEFORE = Bilingual("{span} ago", "{span}前")

DEVICES = Bilingual("Devices", "设备")
ONLINE = Bilingual("online", "在线")
OFFLINE = Bilingual("offline", "离线")
NOT_COUNTED = Bilingual("— (not counted yet)", "—（尚未统计）")
COUNTED_EACH = Bilingual(
    "Counted each few seconds; a large table each minute at most.", "每几秒统计一次；大表最多每分钟一次。"
)
NOT_JUDGED = Bilingual(
    "Nobody is judged offline yet: the service has not listened for long enough.",
    "暂不判定离线：本服务连续收听的时间还不够。",
)
NOT_HEARING = Bilingual(
    "Nobody is judged offline until all that comes is heard and written again.", "恢复正常收听和写入之前不判定离线。"
)
JUDGING_OFF = Bilingual("HEARTBEAT_TIMEOUT=0: nobody is judged offline.", "HEARTBEAT_TIMEOUT=0：不判定离线。")
FLIPS = Bilingual("Latest changes", "最近变化")
NO_FLIPS = Bilingual("None since this service started.", "本服务启动以来没有。")
FLIP_HEADS = (
    Bilingual("device", "设备"),
    Bilingual("now", "变为"),
    Bilingual("because", "原因"),
    Bilingual("when", "时间"),
)
WENT_ONLINE = Bilingual("▲ online", "▲ 在线")
WENT_OFFLINE = Bilingual("▼ offline", "▼ 离线")
HEARD_AGAIN = Bilingual("heard again", "重新收到消息")
OWN_WORD = Bilingual("said so, or its will did", "自己（或遗嘱）报告")
SILENT = Bilingual("silent", "长时间无上报")
JUST_NOW = Bilingual("just now", "刚刚")

ASK = Bilingual("Ask about one device", "查一台设备")
ASK_HINT = Bilingual("uuid, as in the topic", "uuid，与主题中的一致")
ASK_BUTTON = Bilingual("Ask", "查询")
ASKED_AT = Bilingual("as of {clock}", "截至 {clock}")
ASK_FAILED = Bilingual("This could not be found out: a fault of ours, see the log.", "查询时出现意外错误，请看日志。")
STRANGERS = Bilingual("Unknown devices that knock", "敲门的未知设备")
STRANGERS_CAPTION = Bilingual("uuids of the last 10 minutes that no row has", "10 分钟内表中没有的 uuid")
NO_STRANGERS = Bilingual("None in the last 10 minutes.", "10 分钟内没有。")
STRANGERS_HINT = Bilingual(
    "The topic should hold a uuid that device_main has; or add the device in the backend.",
    "主题里应为 device_main 中的 uuid；或在后端添加设备。",
)
MORE = Bilingual("and {count} more", "另有 {count} 个")
MESSAGES = Bilingual("messages", "消息")
LAST = Bilingual("last", "最近")
DEVICE = Bilingual("device", "设备")
REFUSED = Bilingual("Refused messages", "被拒绝的消息")
REFUSED_CAPTION = Bilingual("since this service started, with the newest of each", "本服务启动以来，每种原因附最近一条")
NO_REFUSED = Bilingual("None since this service started.", "本服务启动以来没有。")
REASON = Bilingual("reason", "原因")
COUNT = Bilingual("count", "数量")
NEWEST = Bilingual("the newest", "最近一条")
SHOW_PAYLOAD = Bilingual("what it says", "查看内容")
SUM = Bilingual("The sum", "账目")
SUM_SINCE = Bilingual("Every message since {clock}, counted once", "自 {clock} 起每条消息，各计一次")
CAME = Bilingual("What came", "来源")
BECAME = Bilingual("What became of it", "去向")
WHAT = Bilingual("what", "项目")
RECOVERED = Bilingual("found on disk at start", "启动时从本机恢复")
TOTAL = Bilingual("total", "合计")
EQUAL = Bilingual("✔ equal", "✔ 相等")
NOT_EQUAL = Bilingual("✖ {count} too many on the left: report it", "✖ 左边多 {count} 条：请报告此问题")
OUTCOMES = {
    "stored": Bilingual("stored in the table", "已存入表"),
    "superseded": Bilingual("replaced by a newer one of the same device", "被同一设备更新的消息替代"),
    "unchanged": Bilingual("heartbeats that change nothing", "无变化的心跳"),
    "refused": Bilingual("refused", "被拒绝"),
    "retained": Bilingual("retained: they say nothing of now", "保留消息，不计"),
    "stale": Bilingual("sent again by the broker, too late", "Broker 重发，已过时"),
    "dropped": Bilingual("dropped (QoS 0)", "已丢弃（QoS 0）"),
    "pending": Bilingual("waiting", "等待"),
}

NEEDS_TOKEN = Bilingual(
    "What shows devices needs the token HTTP_TOKEN as the password (any user name).",
    "查看设备需要以 HTTP_TOKEN 为密码登录（用户名任意）。",
)
LOG_IN = Bilingual("Log in", "登录")
NEEDS_HOST = Bilingual(
    "What shows devices is shown on the host itself, or with a token: set HTTP_TOKEN.",
    "设备信息只在本机显示；要从别处查看，请设置 HTTP_TOKEN。",
)
ZONE = Bilingual("Times are those of {zone} (DB_TIMEZONE).", "时间均为 {zone}（DB_TIMEZONE）。")
READ_ONLY = Bilingual("This page changes nothing.", "本页只读。")
TOO_MANY = Bilingual(
    "{count} viewers watch already; this page is not live. Try again later.",
    "已有 {count} 人在看，本页不再实时更新，请稍后再试。",
)
SKIP = Bilingual("To the devices", "跳到设备")
