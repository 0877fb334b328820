"""Why a message, or a part of it, was not taken."""

from __future__ import annotations

from ..bilingual import Bilingual

NO_DEVICE = Bilingual(
    "not 1 to {most} characters of A-Z a-z 0-9 . _ : -", "不是 1 到 {most} 个字符的 A-Z a-z 0-9 . _ : -"
)
FOREIGN_TOPIC = Bilingual("not a topic of this service", "不是本服务的主题")
TOPIC_NOT_UTF8 = Bilingual("the topic is not UTF-8", "主题不是UTF-8")
NOT_AN_OBJECT = Bilingual("the payload is JSON, but not an object", "内容是JSON，但不是对象")
NEITHER_OBJECT_NOR_WORD = Bilingual(
    "the payload is neither a JSON object nor a bare word such as offline",
    "内容既不是JSON对象，也不是 offline 这样的单词",
)
NOT_JSON = Bilingual("not valid JSON: {words}: {place}", "不是有效的JSON: {words}（{place}）")
TOO_DEEP = Bilingual("nested deeper than {most} levels", "嵌套超过 {most} 层")
TOO_LARGE = Bilingual(
    "the payload has {size} bytes, MQTT_MAX_PAYLOAD is {most}", "内容有 {size} 字节，MQTT_MAX_PAYLOAD为 {most}"
)
STATUS_NO_TEXT = Bilingual("a status must be a text or a number, not {kind}", "状态必须是文本或数字，不能是{kind}")
STATUS_EMPTY = Bilingual("the status is empty", "状态为空")
STATUS_TOO_LONG = Bilingual(
    "the status has {size} characters, the column holds {most}", "状态有 {size} 个字符，该列只能放 {most} 个"
)
STATUS_IS_PLACE = Bilingual(
    "the column is an ENUM, which would take the number for the place of a value",
    "该列是ENUM，会把数字当作某个值的序号",
)
STATUS_NOT_ALLOWED = Bilingual("the status is not one of DEVICE_STATUS_VALUES", "状态不在DEVICE_STATUS_VALUES中")

PLACE = Bilingual("line {line} column {column} (char {at})", "第 {line} 行第 {column} 列，第 {at} 个字符")
# orjson's own words, which it takes from yyjson; any other is quoted.
JSON_WORDS = {
    "invalid literal, expected 'true'": "无效的字面量，应为true",
    "invalid literal, expected 'false'": "无效的字面量，应为false",
    "invalid literal, expected 'null'": "无效的字面量，应为null",
    "invalid escape in string": "字符串中的转义无效",
    "invalid escaped sequence in string": "字符串中的转义无效",
    "unexpected control character in string": "字符串中有控制字符",
    "unexpected end of data": "内容不完整",
    "no low surrogate in string": "字符串中的代理对不完整",
    "invalid high surrogate in string": "字符串中的代理对无效",
    "invalid low surrogate in string": "字符串中的代理对无效",
    "trailing comma is not allowed": "末尾多了逗号",
    "unexpected character, expected ':' after key": "键的后面应为冒号",
    "unexpected character, expected a string key": "应为字符串的键",
    "unexpected character, expected ',' or '}'": "应为逗号或 }",
    "unexpected character, expected ',' or ']'": "应为逗号或 ]",
    "unexpected character, expected a JSON value": "应为JSON的值",
    "unexpected content after document": "后面有多余的内容",
    "invalid utf-8 encoding in string": "字符串不是有效的UTF-8",
    "invalid UTF-8 encoding in string": "字符串不是有效的UTF-8",
    "str is not valid UTF-8: surrogates not allowed": "不是有效的UTF-8",
    "input data is empty": "内容为空",
    "Input is a zero-length, empty document": "内容为空",
    "Recursion limit reached": "嵌套过深",
}
JSON_KINDS = {
    "bool": Bilingual("bool", "布尔值"),
    "NoneType": Bilingual("NoneType", "空值null"),
    "list": Bilingual("list", "数组"),
    "dict": Bilingual("dict", "对象"),
}
"""By the name of Python's type."""
REFUSED_FOR = {
    "unknown_device": Bilingual("unknown device", "设备不存在"),
    "bad_json": Bilingual("not JSON", "不是JSON"),
    "not_an_object": Bilingual("not an object", "不是对象"),
    "too_deep": Bilingual("nested too deep", "嵌套过深"),
    "too_large": Bilingual("too large", "过大"),
    "bad_topic": Bilingual("bad topic", "主题无效"),
    "foreign_topic": Bilingual("foreign topic", "不属于本服务的主题"),
    "refused_by_database": Bilingual("refused by the database", "数据库拒绝"),
    "spool_lost": Bilingual("lost from the spool", "暂存丢失"),
    "internal_error": Bilingual("internal error", "内部错误"),
    "ignored_status": Bilingual("status ignored", "状态未写入"),
    "ambiguous": Bilingual("ambiguous uuid", "uuid不唯一"),
    "dropped": Bilingual("dropped", "丢弃"),
}
"""What the sorts that refusals are counted by are called."""
COUNT_OF = Bilingual("{count} ({names})", "{count}（{names}）")
COUNTED = Bilingual("{name} {count}", "{name} {count}")

STATISTICS = Bilingual(
    "{lasts}: received {received} ({rate}/s), stored {stored}, refused {refused}, {pending} wait, oldest {oldest} s",
    "{lasts}内收到 {received}（{rate}/秒），写入 {stored}，拒绝 {refused}，等待 {pending}，最老 {oldest} 秒",
)
ONLINE = Bilingual("{count} devices online", "在线 {count}")
COMMITS_WITHIN = Bilingual("99 % of commits within {bound} ms", "提交 p99 ≤ {bound} 毫秒")
COMMITS_OVER = Bilingual("more than 1 % of commits over {bound} s", "提交 p99 > {bound} 秒")
