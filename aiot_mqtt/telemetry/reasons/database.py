"""Why the database did not take something, where that is ours to say; mostly it is the server who says it."""

from __future__ import annotations

from ..bilingual import Bilingual

CANNOT_CONNECT = Bilingual(
    "Can't connect to MySQL server on {host} ({reason})", "连不上 {host} 的MySQL服务器（{reason}）"
)
NUMBERED = Bilingual("{words} ({number})", "{words} ({number})")
AT_SERVER = Bilingual("{server}: {words}", "{server}: {words}")
IS_READ_ONLY = Bilingual("it may not be written to ({name} is {value})", "不可写入（{name} 为 {value}）")
IS_DONOR = Bilingual(
    "it does not answer, being locked while it sends its data to another node",
    "没有应答: 正在向其他节点传送数据，已加锁",
)
NOT_DONE_IN_TIME = Bilingual("not done within {seconds} s", "{seconds} 秒内没有完成")
NAME_HAS_NO_ADDRESS = Bilingual("the name has no address", "该主机名没有地址")
ANSWER_TOO_LONG = Bilingual("an answer of the database is longer than {most} bytes", "数据库的应答超过 {most} 字节")
NOT_UNDERSTOOD = Bilingual("the database's answer is not understood: {words}", "看不懂数据库的应答: {words}")
NO_ANSWER_YET = Bilingual("no answer to what it was sent", "发出的语句没有应答")
WITHOUT_A_WORD = Bilingual("without a word", "没有说明")
LINK_LOST = Bilingual("the connection to the database was lost: {words}", "与数据库的连接中断: {words}")
POOL_CLOSING = Bilingual("the connection pool is closing", "连接池正在关闭")
OTHER_KEYS = Bilingual("the table has another key now", "表的主键已改变")
NO_TABLE = Bilingual(
    "there is no table {table} in {database} that user {user} may see",
    "库 {database} 中没有用户 {user} 可见的表 {table}",
)
NO_COLUMN = Bilingual(
    "table {table} has no column {columns} that user {user} may see", "表 {table} 没有用户 {user} 可见的列 {columns}"
)
UNFIT_TABLE = Bilingual("table {table}: {columns}", "表 {table}: {columns}")
UNFIT_COLUMN = Bilingual("{name} is {declared}, {why}", "{name} 的类型是 {declared}，{why}")
HOLDS_NO_NAMES = Bilingual("which holds no names", "放不下uuid")
GENERATED = Bilingual("generated, so nothing can be written to it", "是生成列，不能写入")
NO_OTHER_ROW = Bilingual("there is no other row to try it on", "没有别的行可以试写")
OVER_MAX_PACKET = Bilingual("{size} bytes are over max_allowed_packet", "{size} 字节，超过max_allowed_packet")
ONE_OVER_MAX_PACKET = Bilingual("one update alone is over max_allowed_packet", "单条更新就超过max_allowed_packet")
DOCUMENT_NOT_UTF8 = Bilingual("the document is not UTF-8: {error}", "内容不是UTF-8: {error}")
STATUS_AS_PLACE = Bilingual(
    "device_status would take the number for the place of a value", "device_status会把数字当作某个值的序号"
)
UNSAFE_NAME = Bilingual("a quote or a backslash in the name of a device, or in a time", "设备名或时间中有引号或反斜杠")

KEPT_HERE = Bilingual("kept on this host, nothing is lost", "已存本机，未丢失")
TO_BE_KEPT_HERE = Bilingual("unacknowledged, about to be kept on this host", "未确认，即将存到本机")
IN_BROKER = Bilingual("unacknowledged, the broker keeps them: 1000 by default", "未确认，由Broker保留，默认只留1000条")
SPOOL_FAILS = Bilingual(
    "this host keeps nothing: unacknowledged, the broker keeps them: 1000 by default",
    "本机存不下，未确认，由Broker保留，默认只留1000条",
)
AT_COLUMN = Bilingual("{column}: {reason}", "{column}: {reason}")
HOLDS_NO_JSON = Bilingual("which holds no JSON", "放不下JSON")
HOLDS_NO_TEXT = Bilingual("which holds no text", "放不下文本")
HOLDS_NO_TIME = Bilingual("which holds no date with a time", "放不下日期和时间")
HOLDS_NO_NUMBER = Bilingual("which holds no number", "放不下数字")

CLIENT_WORDS = {
    2003: "连不上MySQL服务器",
    2006: "MySQL服务器已断开连接",
    2013: "与MySQL服务器的连接中断",
    2014: "应答的次序不对",
}
"""What a client says by itself, by its number; a server's own words are quoted."""
CLIENT_DETAILS = {"timed out": "超时", "The read operation timed out": "超时", "The write operation timed out": "超时"}

# Why it is slow, as parts of a sentence.
POOL_SMALL = Bilingual(
    "innodb_buffer_pool_size ({pool} MB) does not hold the table ({table} MB)",
    "innodb_buffer_pool_size（{pool} MB）放不下该表（{table} MB）",
)
COMMITS_SLOW = Bilingual("a commit takes {milliseconds} ms there", "一次提交要 {milliseconds} 毫秒")
FAR_AWAY = Bilingual("it is {milliseconds} ms away", "网络往返 {milliseconds} 毫秒")
NOT_SEEN = Bilingual(
    "not its buffer pool, its commits, nor the way there: its processor, or others who use it",
    "缓冲池、提交与网络都正常: 可能是CPU或其他负载",
)
NOT_ASKED = Bilingual("the server did not say why", "服务器没有说明原因")
