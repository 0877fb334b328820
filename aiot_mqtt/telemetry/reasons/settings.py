"""What is wrong with the settings. A value is never shown: a password may have slipped in anywhere."""

from __future__ import annotations

from ..bilingual import Bilingual

HEADING = Bilingual(
    "❌ the settings have mistakes, nothing was started:",
    "❌ 配置有误，服务未启动 / the settings have mistakes, nothing was started (LOG_LANGUAGE=en: in English):",
)
LIST_ITEM = Bilingual("  - {text}", "  - {text}")
MISTAKE_AT = Bilingual("{where}: {what}", "{where}: {what}")

# What a text should have been.
HOST_SCHEME = Bilingual(
    "must be a host name or address alone, without a scheme such as mqtt://",
    "只能是主机名或地址，不带 mqtt:// 之类的前缀",
)
HOST_USER = Bilingual(
    "must be a host name or address alone (user name and password have settings of their own)",
    "只能是主机名或地址（用户名和密码另有配置项）",
)
HOST_PORT = Bilingual(
    "must be a host name or address alone (the port has a setting of its own)",
    "只能是主机名或地址（端口另有配置项）",
)
HOST_EMPTY = Bilingual("is empty", "为空")
HOST_NUMBERED = Bilingual("address {number}: {what}", "第 {number} 个地址: {what}")
HOST_TWICE = Bilingual("stands there already", "重复")
HOST_BAD_PORT = Bilingual(
    "the port must be a whole number from 1 to {most}, and an IPv6 address before it stands in brackets",
    "端口必须是 1 到 {most} 的整数，端口前的IPv6地址要加方括号",
)
HOST_LENGTH = Bilingual(
    "cannot be a host name: that has at most 253 characters, and 1 to 63 between two dots",
    "不能是主机名: 最多253个字符，两点之间 1 到 63 个",
)
HOST_NUMBERS = Bilingual(
    "must be an IPv4 address or a host name, which is not all numbers", "必须是IPv4地址或主机名，主机名不能全是数字"
)
ENDPOINT = Bilingual(
    r"must be tcp:PORT:interface=ADDRESS, such as tcp:9464:interface=127.0.0.1 or tcp:9464:interface=\:\:1",
    r"必须是 tcp:端口:interface=地址，例如 tcp:9464:interface=127.0.0.1 或 tcp:9464:interface=\:\:1",
)
IDENTIFIER = Bilingual("must be 1 to 64 letters, digits, $, _ or -", "必须是 1 到 64 个字母、数字、$、_ 或 -")
CLIENT_ID = Bilingual(
    "must be 1 or more printable characters: without a fixed one the broker keeps no session",
    "必须是至少一个可见字符: 没有固定的客户端ID，Broker不保留会话",
)
INSTANCE_NAME = Bilingual(
    "must be 1 to {most} printable characters",
    "必须是 1 到 {most} 个可见字符",
)
TOPIC_UNSEEN = Bilingual(
    "must not hold line breaks or other characters that cannot be seen", "不能有换行或其他看不见的字符"
)
TOPIC_WILDCARD = Bilingual(
    "must be topic levels without the wildcards + and #, not beginning with $", "不能有通配符 + 和 #，不能以 $ 开头"
)
TOPIC_SHARED = Bilingual(
    "must not be a shared subscription: a broker gives one device's messages to several members, so rows would move"
    " back, and what a dead member had is lost. Give each instance a prefix of its own",
    "不能用共享订阅: Broker会把同一设备的消息分给多个成员，行会被旧消息覆盖，成员失效后它的消息会丢失。"
    "请给每个实例各用一个前缀",
)
TOPIC_SLASHES = Bilingual(
    "must be topic levels with one / between two, and none at the beginning or the end",
    "各级之间只能有一个 /，开头和结尾不能有 /",
)
TOPIC_LENGTH = Bilingual(
    "must leave room for the rest of a topic, which has at most {most} bytes of UTF-8",
    "必须给主题的其余部分留出位置，整个主题最多 {most} 字节（UTF-8）",
)
TOPIC_NUMBERED = Bilingual("prefix {number}: {what}", "第 {number} 个前缀: {what}")
TOPIC_EMPTY = Bilingual("is empty", "为空")
TOPIC_TWICE = Bilingual("stands there already", "重复")
TOPICS_LENGTH = Bilingual("must have at most {most} bytes of UTF-8 in all", "总长最多 {most} 字节（UTF-8）")
BOOLEAN = Bilingual("must be true or false", "必须是 true 或 false")
ZONE = Bilingual("must be a time zone name such as Asia/Shanghai or UTC", "必须是时区名，例如 Asia/Shanghai 或 UTC")
ZONE_DAYLIGHT = Bilingual(
    "has daylight saving: naive times in it repeat or skip an hour each year; use one without",
    "有夏令时: 不带时区的时间每年会重复或跳过一小时；请用没有夏令时的时区",
)
LOG_LEVEL = Bilingual("must be DEBUG, INFO, WARNING or ERROR", "必须是 DEBUG、INFO、WARNING 或 ERROR")
NO_SUCH_FILE = Bilingual("no such file", "没有这个文件")
FILE_NOT_READABLE = Bilingual("this user may not read that file", "当前用户无权读取该文件")
FINGERPRINT = Bilingual(
    "must be a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons",
    "必须是SHA-256指纹: 64位十六进制数，冒号可有可无",
)
NO_FOLDER = Bilingual("its folder does not exist", "所在的目录不存在")
FILE_NAME_LENGTH = Bilingual(
    "its name or path is too long: there must be room for a few more characters behind it",
    "文件名或路径太长: 后面还要能再加几个字符",
)
TOO_LONG = Bilingual("must have at most {most} bytes of UTF-8", "最多 {most} 字节（UTF-8）")
NO_PLAIN_FILE = Bilingual("it is there already and no file", "已存在，但不是文件")
NUMBER = Bilingual("must be a whole number from {least} to {most}", "必须是 {least} 到 {most} 的整数")
ONE_OF = Bilingual("must be one of: {choices}", "必须是其中之一: {choices}")
NOT_UTF8 = Bilingual("it is not UTF-8", "不是UTF-8")

# What makes no sense together.
SET_TWICE = Bilingual("{name} is set too; keep one of the two", "{name} 也设置了；请只留一个")
FILE_UNREADABLE = Bilingual("that file cannot be read: {reason}", "读不了该文件: {reason}")
CANNOT_BE_READ = Bilingual("cannot be read: {reason}", "读取失败: {reason}")
CANNOT_BE_WRITTEN = Bilingual("it cannot be written: {reason}", "写不进去: {reason}")
NO_SETTING = Bilingual("{name} is no setting; {advice}", "{name} 不是配置项；{advice}")
MEANT = Bilingual("did you mean {name}?", "是不是 {name}？")
SEE_EXAMPLE = Bilingual("env.example lists all", "全部配置项见 env.example")
SAME_FILE = Bilingual(
    "lead to one file, or to one kept beside the other: what is written there would destroy it; give each its own",
    "指向同一个文件，或与另一个的附属文件同名: 写入会破坏它；请各用一个文件",
)
PAIR = Bilingual("a client certificate needs both", "客户端证书需要两者都设置")
FINGERPRINT_AND_CA = Bilingual(
    "with a fingerprint no CA is looked at; keep one of the two", "设置了指纹就不看CA；请只留一个"
)
NOT_ENCRYPTED = Bilingual(
    "set, but {name} is not true, so nothing would be encrypted", "已设置，但 {name} 不是 true，什么都不会加密"
)
PASSWORD_ALONE = Bilingual(
    "set, but MQTT_USERNAME is empty, and MQTT 3.1.1 allows no password without one",
    "已设置，但MQTT_USERNAME为空，而MQTT 3.1.1不允许没有用户名的密码",
)
TOKEN = Bilingual(
    "may have letters, digits and -._~+/ only, because it is sent in a header",
    "只能有字母、数字和 -._~+/，因为它在HTTP头中发送",
)
RESOLUTION = Bilingual(
    "must be less than HEARTBEAT_TIMEOUT, {timeout}; it is {resolution}",
    "必须小于HEARTBEAT_TIMEOUT（{timeout}）；现在是 {resolution}",
)
NO_PEM = Bilingual("{path} cannot be used as PEM: {words}", "{path} 不能作为PEM使用: {words}")
NO_RSA_KEY = Bilingual("{path} holds no RSA key", "{path} 中没有RSA公钥")
NO_KEY_OF = Bilingual(
    "{key_file} is not the key of the first certificate in {cert_file}",
    "{key_file} 不是 {cert_file} 中第一张证书的私钥",
)

# What a line of a .env must not be like.
ENV_NOT_UTF8 = Bilingual(
    "not UTF-8 (byte 0x{byte}); save the file as UTF-8", "不是UTF-8（字节 0x{byte}）；请把文件存为UTF-8"
)
ENV_BOM = Bilingual(
    "the file begins with a byte order mark, which systemd takes for part of the first name; save it without",
    "文件以BOM开头，systemd会把它当作第一个名字的一部分；请存为不带BOM的UTF-8",
)
ENV_SEMICOLON = Bilingual(
    "systemd takes a line that begins with ; for a comment, python-dotenv does not; begin it with #",
    "以 ; 开头的行，systemd当作注释，python-dotenv不当；请改用 #",
)
ENV_COMMENT_BACKSLASH = Bilingual(
    "systemd continues a comment that ends with a backslash on the next line; take the backslash away",
    "注释以反斜杠结尾时，systemd会把下一行也当作注释；请去掉反斜杠",
)
ENV_EXPORT_LINE = Bilingual(
    "systemd ignores a line with export; take that word away", "systemd忽略带export的行；请去掉export"
)
ENV_NO_ASSIGNMENT = Bilingual(
    "not an assignment like NAME=value, nor a comment", "既不是 NAME=value 这样的赋值，也不是注释"
)
ENV_EXPORT_NAME = Bilingual(
    "python-dotenv takes export for a word of its own, not for a name", "python-dotenv把export当作关键字，不当作名字"
)
ENV_CONTROL = Bilingual("the line holds the control character U+{code}", "该行有控制字符 U+{code}")
ENV_BACKSLASH = Bilingual(
    "systemd and python-dotenv read a backslash differently; keep it out, or use a …_FILE setting",
    "systemd和python-dotenv对反斜杠的理解不同；请去掉，或使用 …_FILE 配置项",
)
ENV_BEHIND_QUOTE = Bilingual(
    "there is text behind the closing quote, or a quote inside the value", "引号后面还有内容，或值里有引号"
)
ENV_OPEN_QUOTE = Bilingual("a quote is opened with {quote} and not closed on this line", "引号 {quote} 在本行没有闭合")
ENV_BLANK = Bilingual(
    "python-dotenv drops the blank around the value, systemd keeps it; put the value in single quotes",
    "值前后的空白，python-dotenv去掉，systemd保留；请用单引号括起来",
)
ENV_HASH = Bilingual(
    "python-dotenv begins a comment at the #, systemd does not; put the value in single quotes",
    "python-dotenv从 # 开始当作注释，systemd不当；请用单引号括起来",
)
