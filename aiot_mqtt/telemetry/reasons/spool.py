"""Why the spool does not take or give something."""

from __future__ import annotations

from ..bilingual import Bilingual

AT_PATH = Bilingual("{path}: {reason}", "{path}: {reason}")
NO_ANSWER_OF_DISK = Bilingual("{path}: no answer within {seconds} s", "{path}: {seconds} 秒没有应答")
HELD_BY_PROCESS = Bilingual("another process of this service has it", "本服务的另一个进程占用了它")
OPEN_ELSEWHERE = Bilingual("another process has it open", "另一个进程打开了它")
NOT_THE_SAME = Bilingual("it is not the file that it was", "它已不是原来的文件")
IN_MEMORY = Bilingual("it is in memory, and gone when the host restarts", "它在内存文件系统中，主机重启即丢失")
IN_THE_CONTAINER = Bilingual(
    "it is on the container's own layer, and gone when that is replaced", "它在容器自身的可写层上，容器被替换即丢失"
)
FILE_CLOSED = Bilingual("it is closed", "它已关闭")
FILE_NOT_THERE = Bilingual("it is not there any more", "它已不存在")
NO_FREE_NAME = Bilingual("no name is free for another file", "没有可用的文件名")
LAST_GENERATION = Bilingual("no file can come behind the one that is there", "现有文件之后不能再有新文件")
UNSEEN_FILE = Bilingual("a file has turned up there that nobody has looked at", "那里出现了一个尚未检查的文件")
OTHER_HAS_NAME = Bilingual("another file has its name", "同名的是另一个文件")
OTHER_PROGRAMS = Bilingual("it is another program's database", "是另一个程序的数据库")
OTHER_VERSION = Bilingual(
    "another version of this program wrote it (format {found}, this one knows {known})",
    "由本程序的另一个版本写入（格式 {found}，本版本认识 {known}）",
)
OTHER_TABLES = Bilingual("its tables are not those that this service makes", "其中的表不是本服务建的")
NO_WRITTEN_MARK = Bilingual("it does not say what of it was written", "没有记录其中哪些已写入数据库")
NO_STATE = Bilingual("it does not say what it is", "没有记录它是什么")
ODD_NUMBERS = Bilingual(
    "its numbers are not what this service writes: {numbers}", "其中的数字不是本服务写的: {numbers}"
)
OTHER_TOTAL = Bilingual(
    "it says {devices} devices and {deliveries} deliveries, and has {total}",
    "它说有 {devices} 台设备、{deliveries} 条消息，实际有 {total}",
)
NO_DATABASE = Bilingual("it is no database", "不是数据库文件")
FILE_TOO_LARGE = Bilingual("it has {size} bytes", "有 {size} 字节")
BESIDE = Bilingual("{name} is beside it: {reason}", "旁边有 {name}: {reason}")
MAKES_NONE = Bilingual("this service makes none", "不是本服务建的")
SET_ASIDE = Bilingual("the service set it aside", "已被本服务改名放在一边")
ROW_ALTERED = Bilingual("row {row} is not what was written", "第 {row} 行不是原来写入的内容")
ROW_FAULT = Bilingual("row {row}: {reason}", "第 {row} 行: {reason}")
VALUE_FAULT = Bilingual("{name} is not what this service writes: {value}", "{name} 不是本服务写的: {value}")
OF_NOBODY = Bilingual("it does not say whose it is", "没有记录属于谁")
FOR_OTHERS = Bilingual("it is for {settings}", "属于别的配置: {settings}")
OTHER_SETTING = Bilingual("{name} {theirs}, not {ours}", "{name} 为 {theirs}，不是 {ours}")
SYMBOLIC_LINK = Bilingual("it is a symbolic link", "是符号链接")
NOT_A_FILE = Bilingual("it is not a file", "不是文件")
MANY_NAMES = Bilingual("it has {count} names (hard links)", "有 {count} 个名字（硬链接）")
OTHER_USERS = Bilingual(
    "it belongs to user {theirs}, and this process runs as {ours}", "属于用户 {theirs}，而本进程以 {ours} 运行"
)
WRITABLE = Bilingual("others may write it", "其他用户可写")
