"""What a told round says, in both languages: what is done, what is waited for, and each fault's description."""

from __future__ import annotations

import re

from aiot_mqtt.telemetry.bilingual import Bilingual

FAULT_MADE = Bilingual("The fault is made, and mended.", "制造故障，然后恢复。")
COUNTED = Bilingual("All is counted: what was acknowledged against what is stored.", "逐项核对：已确认的与已存的。")
SERVICE_SAYS = Bilingual("the service says: {line}", "服务日志：{line}")
INSIDE = Bilingual("inside the service: {order}", "服务内部：{order}")
NODE = Bilingual("node {number}", "节点 {number} ")
SQL = Bilingual("SQL: {statement}", "执行 SQL：{statement}")
LASTS = Bilingual("it stays so for {seconds} s", "保持 {seconds} 秒")
TOOK = Bilingual("{what}: after {seconds} s", "{what}：{seconds} 秒后")

DONE = {
    "broker.stop": Bilingual("the broker is stopped, in order", "正常停止 Broker"),
    "broker.kill": Bilingual("the broker is killed (SIGKILL)", "强制结束 Broker（SIGKILL）"),
    "broker.start": Bilingual("the broker is started", "启动 Broker"),
    "broker.freeze": Bilingual(
        "the broker is frozen: connections stay open, nothing answers", "冻结 Broker：连接不断，但没有应答"
    ),
    "broker.thaw": Bilingual("the broker goes on", "Broker 继续运行"),
    "database.stop": Bilingual("the database is stopped", "停止数据库"),
    "database.kill": Bilingual("the database is killed (SIGKILL)", "强制结束数据库（SIGKILL）"),
    "database.start": Bilingual("the database is started", "启动数据库"),
    "database.freeze": Bilingual(
        "the database is frozen: connections stay open, nothing answers", "冻结数据库：连接不断，但没有应答"
    ),
    "database.thaw": Bilingual("the database goes on", "数据库继续运行"),
    "database.revoke": Bilingual("the service's rights are revoked", "收回服务账号的权限"),
    "database.grant": Bilingual("the service's rights are granted", "授予服务账号权限"),
    "node.stop": Bilingual("{which} is stopped, in order", "正常停止{which}"),
    "node.kill": Bilingual("{which} is killed (SIGKILL)", "强制结束{which}（SIGKILL）"),
    "node.start": Bilingual("{which} is started", "启动{which}"),
    "node.freeze": Bilingual(
        "{which} is frozen: connections stay open, nothing answers", "冻结{which}：连接不断，但没有应答"
    ),
    "node.thaw": Bilingual("{which} goes on", "{which}继续运行"),
    "node.lose_data": Bilingual("{which} is stopped, and set up anew, with nothing", "停止{which}，并清空其数据目录"),
    "cluster.until_donor": Bilingual("{which} begins to send all of its data", "{which}开始发送全部数据"),
    "cluster.isolate": Bilingual("{which} is cut off from the others", "切断{which}与其他节点的连接"),
    "cluster.heal": Bilingual("{which} finds the others again", "恢复{which}与其他节点的连接"),
    "cluster.make_primary": Bilingual("{which} is made the primary", "把{which}选为主节点"),
    "cluster.take_part": Bilingual("{which} is to belong to the cluster again", "让{which}重新加入集群"),
    "relay.cut": Bilingual("the way is cut, without a FIN", "切断网络，不发 FIN"),
    "relay.cut_when": Bilingual("the way will be cut when a COMMIT passes", "等到一条 COMMIT 通过时切断网络"),
    "relay.restore": Bilingual("the way is open again", "恢复网络"),
    "relay.close_all": Bilingual("every connection on the way is closed", "关闭途中的所有连接"),
    "relay.delay": Bilingual("the way takes {value} s more in each direction", "网络每个方向的延迟改为 {value} 秒"),
    "relay.trickle": Bilingual(
        "the way takes {value} bytes a second (0: as many as there are)", "网络限速每秒 {value} 字节（0：不限）"
    ),
    "_write_rows": Bilingual("another program writes on another node", "另一个程序在另一个节点上写入"),
    "kill_connections": Bilingual(
        "every connection of the service to the database is killed", "结束服务到数据库的所有连接"
    ),
    "_take_all_connections": Bilingual(
        "somebody else takes every connection that the database has", "他人占满数据库的所有连接"
    ),
    "_write_backwards": Bilingual(
        "another program updates the same rows backwards", "另一个程序按相反顺序更新同样的行"
    ),
    "kill_service": Bilingual("the service is killed (SIGKILL), and started again", "强制结束服务（SIGKILL），再启动"),
    "restart_service": Bilingual("the service is stopped in order, and started again", "正常停止服务，再启动"),
    "service_dies": Bilingual(
        "the service is to kill itself at passing {passings} of {step}",
        "服务将在第 {passings} 次经过 {step} 时结束自己",
    ),
}

# In braces what differs from one time to the next.
WAITS = {
    "the page shows {states}": "页面显示 {states}",
    "a COMMIT passes": "一条 COMMIT 通过",
    "a report with quotes is stored": "带引号的上报已存",
    "a victim speaks meanwhile": "期间有一台设备上报",
    "all that was published is acknowledged": "已发布的全部得到确认",
    "and empties what was left": "并写完剩下的",
    "and writes it": "并写入",
    "another name is used": "改用另一个文件名",
    "as much is acknowledged": "已确认足够多的消息",
    "each has its last report": "每台都是最后一次上报",
    "each refused report is counted, once": "每条被拒绝的上报计数一次",
    "every row holds what was acknowledged last": "每一行都是最后确认的内容",
    "it is emptied, though {call} fails with {error}": "虽然 {call} 返回 {error}，仍写完",
    "rows are written, slowly": "正在慢慢写入",
    "the broker accepts the flood": "Broker 接受洪水般的消息",
    "the broker tells its figures": "Broker 报告它的计数",
    "the clock is set": "时钟已改",
    "the dead devices are offline": "失联设备已离线",
    "the first one empties it": "第一个进程写完暂存文件",
    "the first one is back": "第一个进程回来",
    "the first reports are stored": "第一批上报已存",
    "the killed service is gone": "被结束的服务已退出",
    "the last words are acknowledged": "最后的消息已确认",
    "the lost session is told": "服务报告会话丢失",
    "the service writes again": "服务恢复写入",
    "the rest of each refused row is written": "被拒绝的行，其余部分已写入",
    "the rival has stopped": "对手已停止",
    "the rival has taken the session": "对手抢走会话",
    "the first one waits": "第一个实例待命",
    "the killed one waits": "被结束的实例重新启动后待命",
    "no disk holds any": "两台主机的暂存都为空",
    "the other one writes": "另一个实例写入",
    "the second one waits": "第二个实例待命",
    "the second one writes": "第二个实例写入",
    "the second one has stopped": "第二个进程已停止",
    "the second one says that it waits": "第二个进程说它在等待",
    "the second one takes over": "第二个进程接管",
    "the service dies at {step}": "服务在 {step} 处结束",
    "the service finds what turned up": "服务发现出现的文件",
    "the rival leaves the session to the service": "第二个实例把会话让给服务",
    "one of them leaves the session to the other": "其中一个把会话让给另一个",
    "the service has taken its session back": "服务取回会话",
    "the service has stopped": "服务已停止",
    "the service is back": "服务回来",
    "the service is started anew": "服务重新启动",
    "the service is subscribed": "服务已订阅",
    "the service finds its connection lost": "服务发现连接已断",
    "the service notices that the {name} is gone": "服务发现 {name} 断开",
    "the service runs without its disk": "服务在没有磁盘的情况下运行",
    "the service says so": "服务报告此事",
    "the service says that it can write no file": "服务报告写不了文件",
    "the service says that its disk is full": "服务报告磁盘已满",
    "the service says whose it is": "服务报告文件属于谁",
    "the service sets the file aside": "服务把文件改名放在一边",
    "the spool is emptied": "暂存文件已写完",
    "the spool is emptied on the full disk": "磁盘已满时暂存文件也写完",
    "the spool takes over": "开始写入本机暂存文件",
    "the spool takes over, though {call} fails with {error}": "虽然 {call} 返回 {error}，仍写入暂存文件",
    "the table has caught up, and goes on": "表已赶上，并继续更新",
    "what is ours is emptied": "属于本服务的部分已写完",
    "who was not heard since has what it said before": "此后没有消息的设备，保留之前的上报",
}

FAULTS = {
    "kill": "在随机时刻强制结束服务",
    "kill-steps": "在接收、合并、提交、确认的前后强制结束服务",
    "kill-spool-steps": "在写入和清空暂存文件的每一步强制结束服务",
    "db-killed": "强制结束数据库，再启动",
    "db-stopped": "数据库停止 60 秒",
    "db-frozen": "数据库冻结 60 秒",
    "db-read-only": "数据库只读 10 秒",
    "db-connections-killed": "同时结束连接池的所有连接",
    "db-max-connections": "连接池需要重连时，数据库没有空余连接",
    "db-rights": "收回账号权限 10 秒",
    "db-renamed": "表被改名 10 秒，又加了一列",
    "db-few-connections": "连接池要十五个连接，只给两个",
    "db-pool-of-one": "写入和巡检只有一个连接，不时被结束",
    "db-mood": "NO_BACKSLASH_ESCAPES、ANSI_QUOTES、sql_safe_updates、binlog_format=STATEMENT，且我们的 SET 丢失",
    "db-slow": "每写一行要 25 毫秒",
    "net-broker-cut": "到 Broker 的网络被切断，没有 FIN",
    "net-db-cut": "到数据库的网络被切断，没有 FIN",
    "net-db-cut-commit": "在 UPDATE 与 COMMIT 之间切断到数据库的网络",
    "net-delay": "到 Broker 和数据库每个方向延迟 500 毫秒",
    "net-distant": "到数据库往返 50 毫秒",
    "net-narrow": "到数据库每秒 100 KB，本机暂存着 4 MB",
    "net-trickle": "到数据库每秒 4 KB，然后到 Broker 每秒 4 KB",
    "broker-restart": "Broker 重启，带持久化",
    "broker-killed": "Broker 被强制结束，回来后没有我们的会话；之后每台设备再发一次",
    "rabbit-killed": "RabbitMQ 被强制结束，再启动",
    "rabbit-frozen": "RabbitMQ 冻结，再继续运行",
    "rabbit-restarted": "RabbitMQ 重启",
    "rabbit-three-killed": "RabbitMQ 三节点，quorum 队列：服务所连的节点被强制结束，再启动",
    "rabbit-three-frozen": "RabbitMQ 三节点，quorum 队列：服务所连的节点冻结，再继续运行",
    "rabbit-three-restarted": "RabbitMQ 三节点，quorum 队列：服务所连的节点重启",
    "rival-once": "另一个客户端抢用一次 MQTT_CLIENT_ID",
    "rival-instance": "另一台主机上误启动第二个实例",
    "rival-frozen": "服务被冻结期间第二个实例占用会话，随后服务恢复运行",
    "long-outage": "数据库中断期间有 1,200,000 条消息，Broker 队列为默认的 1000 条",
    "long-outage-311": "同上，使用 MQTT 3.1.1，Broker 会丢弃；之后每台设备再发一次",
    "bad-rows": "1,000 行一批中，有表拒绝的数据和状态",
    "poison": "触发器、生成列或 SIGNAL 以任意错误号拒绝的值",
    "twins": "一台设备两行、两种写法、空格，且没有唯一键",
    "big-batch": "一批数据是 max_allowed_packet 的几倍",
    "second-writer": "另一个程序按相反顺序更新同样的行",
    "qos0-flood": "数据库中断时，未知设备发来 1,000,000 条 QoS 0 消息",
    "clock": "时钟倒退一小时、拨快一天、再改回，期间有设备失联",
    "hostile-broker": "Broker 发来 200,000 个变异的报文流（计为消息）",
    "hostile-device": "1,000,000 个变异的主题和数据（计为消息）",
    "faults-inside": "解码、计数器和日志观察者抛出异常，日志文件写不了",
    "faults-rooms": "写入、保存、暂存、表、订阅、巡检和监听者抛出没有人预料的异常",
    "disk-calls": "暂存文件的每个系统调用以每种错误失败一次（计为消息）",
    "disk-errors": "运行中的服务，暂存文件的系统调用连续失败三次",
    "disk-late": "服务启动之后才挂载暂存文件的磁盘；之后每台设备再发一次",
    "spool-foreign": "暂存文件的位置上是别的表的文件、链接、人人可写的文件",
    "spool-shared": "第一个进程结束之前启动了第二个进程",
    "spool-other-table": "两次运行之间改了 DB_TABLE，又改回",
    "spool-full": "写入暂存文件时磁盘已满，清空时也是",
    "spool-read-only": "数据库中断时暂存目录只读",
    "spool-damaged": "服务停止时暂存文件被改写；之后每台设备再发一次",
    "no-spool": "数据库停止 10 秒，没有暂存文件",
    "standby-killed": "两个实例：强制结束工作实例，再强制结束另一个",
    "standby-frozen": "两个实例：工作实例冻结一分钟",
    "standby-cut-off": "两个实例：工作实例与 Broker 断网，或与数据库也断网",
    "standby-spool": "两个实例：工作实例被强制结束，另一个写入之后，它带着暂存回来",
    "galera-killed": "Galera：正在写入的节点被强制结束",
    "galera-frozen": "Galera：正在写入的节点卡住",
    "galera-isolated": "Galera：正在写入的节点与其他节点断开",
    "galera-majority": "Galera：另外两个节点卡住",
    "galera-donor": "Galera：正在写入的节点向一个空节点发送全部数据，其间被锁住",
    "galera-schema": "Galera：增加一列，再删除",
    "galera-rolling": "Galera：各节点依次重启",
    "galera-writer-1": "Galera：另一个程序在另一个节点上每次写 1 行",
    "galera-writer-10": "Galera：另一个程序在另一个节点上每次写 10 行",
    "galera-writer-50": "Galera：另一个程序在另一个节点上每次写 50 行",
    "galera-proxy-killed": "HAProxy 后面的 Galera：正在写入的节点被强制结束",
    "galera-proxy-frozen": "HAProxy 后面的 Galera：正在写入的节点卡住",
    "galera-proxy-isolated": "HAProxy 后面的 Galera：正在写入的节点与其他节点断开",
    "galera-proxy-kills": "HAProxy 后面的 Galera：各节点依次被强制结束",
    "galera-proxy-rolling": "HAProxy 后面的 Galera：各节点依次重启",
    "group-killed": "Group Replication：主节点被强制结束",
    "group-frozen": "Group Replication：主节点卡住",
    "group-switchover": "Group Replication：改选另一个主节点",
    "group-majority": "Group Replication：两个从节点都卡住",
    "group-schema": "Group Replication：增加一列，再删除",
    "group-rolling": "Group Replication：各节点依次重启",
    "group-proxy-killed": "HAProxy 后面的 Group Replication：主节点被强制结束",
    "group-proxy-frozen": "HAProxy 后面的 Group Replication：主节点卡住",
    "group-proxy-switchover": "HAProxy 后面的 Group Replication：改选另一个主节点",
    "group-writer-50": "Group Replication 三主：另一个程序在另一个节点上每次写 50 行",
    "galera-standby-killed": "Galera：两个实例，强制结束工作实例",
    "galera-standby-frozen": "Galera：两个实例，工作实例冻结",
    "galera-standby-cut-off": "Galera：两个实例，工作实例断网",
    "group-standby-killed": "Group Replication：两个实例，强制结束工作实例",
    "group-standby-frozen": "Group Replication：两个实例，工作实例冻结",
    "group-standby-cut-off": "Group Replication：两个实例，工作实例断网",
}


def wait_in_words(what: str) -> Bilingual:
    """What was waited for; where nobody has translated it, in English only."""
    for english, chinese in WAITS.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(english))
        if (found := re.fullmatch(pattern, what)) is not None:
            return Bilingual(what, chinese.format(**found.groupdict()))
    return Bilingual(what, what)
