"""Every probe by its id, which is never renamed, in the order in which one depends on another."""

from __future__ import annotations

from typing import NamedTuple

from ..telemetry.bilingual import Bilingual

GROUPS = ("local", "broker", "database", "devices")


class Probe(NamedTuple):
    """One thing that is looked at."""

    id: str
    name: Bilingual
    needs: tuple[str, ...] = ()
    """The probes without which it cannot be looked at."""
    is_optional: bool = False
    """There is not always something to look at."""

    @property
    def group(self) -> str:
        """Which group it is in."""
        prefix = self.id.partition(".")[0]
        return prefix if prefix in GROUPS else "local"


def _probe(name: str, english: str, chinese: str, *needs: str, is_optional: bool = False) -> Probe:
    return Probe(name, Bilingual(english, chinese), needs, is_optional)


ALL = (
    _probe("local.files", "files", "文件权限"),
    _probe("local.settings", "settings", "设置", "local.files"),
    _probe("local.service", "the running service", "服务", "local.settings"),
    _probe("local.spool", "spool", "本机暂存", "local.settings"),
    _probe("local.disk", "disk space", "磁盘空间", "local.settings", "local.spool"),
    _probe("service.twins", "client id", "客户端 id", "local.settings"),
    _probe("broker.reach", "connection", "连接", "local.settings"),
    _probe("broker.tls", "TLS", "TLS", "broker.reach"),
    _probe("broker.certificate", "certificate", "证书", "broker.tls", is_optional=True),
    _probe("broker.login", "login", "登录", "broker.tls"),
    _probe("broker.protocol", "protocol", "协议版本", "broker.login"),
    _probe("broker.grants", "limits", "限额", "broker.login"),
    _probe("broker.subscribe", "subscription", "订阅", "broker.login"),
    _probe("broker.delivery", "delivery", "投递", "broker.subscribe"),
    _probe("broker.standby", "status topic", "状态主题", "broker.login", is_optional=True),
    _probe("broker.loss", "dropped messages", "丢弃的消息", "broker.login"),
    _probe("broker.limits", "the broker's own settings", "Broker 自己的设置", "broker.login"),
    _probe("database.reach", "connection", "连接", "local.settings"),
    _probe("database.tls", "TLS", "TLS", "database.reach"),
    _probe("database.certificate", "certificate", "证书", "database.tls", is_optional=True),
    _probe("database.login", "login", "登录", "database.tls"),
    _probe("database.user", "user", "账号", "database.login"),
    _probe("database.writable", "writing", "可写", "database.login"),
    _probe("database.table", "table", "表", "database.login"),
    _probe("database.rights", "rights", "权限", "database.table", "database.writable"),
    _probe("database.uuid_index", "index of uuid", "uuid 索引", "database.table", "database.rights"),
    _probe("database.last_seen_index", "index of last_seen", "last_seen 索引", "database.table", "database.rights"),
    _probe("database.timezone", "time zone", "时区", "database.table", "database.rights"),
    _probe("database.clock", "clock", "时钟", "database.login"),
    _probe("database.status_values", "status values", "状态值", "database.table", "database.rights"),
    _probe("database.commit", "what a commit is worth", "提交的可靠性", "database.login"),
    _probe("database.buffer_pool", "buffer pool", "缓冲池", "database.table", "database.rights"),
    _probe("database.binlog", "binary log", "binlog", "database.table", "database.rights"),
    _probe("database.throughput", "throughput", "吞吐上限", "database.login", "broker.login"),
    _probe("devices.unknown", "unknown devices", "未知设备", "broker.subscribe", "database.table", "database.rights"),
    _probe("devices.qos", "QoS", "QoS", "broker.subscribe"),
    _probe("devices.timeout", "HEARTBEAT_TIMEOUT", "HEARTBEAT_TIMEOUT", "local.settings"),
)
BY_ID = {probe.id: probe for probe in ALL}
