"""What the operating system and Twisted say of a failure, in both languages."""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet import error as twisted_error

from .bilingual import Bilingual
from .printable import printable
from .reasons import broker as reasons

MAX_WORDS = 200  # characters of somebody else's words
_CHINESE = {
    errno.EACCES: "权限不足",
    errno.EADDRINUSE: "地址已被占用",
    errno.EADDRNOTAVAIL: "本机没有这个地址",
    errno.EAFNOSUPPORT: "不支持该地址类型",
    errno.EBUSY: "设备或资源忙",
    errno.ECONNABORTED: "连接被中止",
    errno.ECONNREFUSED: "拒绝连接",
    errno.ECONNRESET: "连接被对方重置",
    errno.EDQUOT: "超出磁盘配额",
    errno.EEXIST: "文件已存在",
    errno.EFBIG: "文件过大",
    errno.EHOSTDOWN: "主机已关闭",
    errno.EHOSTUNREACH: "无法到达主机",
    errno.EINVAL: "参数无效",
    errno.EIO: "输入/输出错误",
    errno.EISDIR: "是一个目录",
    errno.ELOOP: "符号链接层数过多",
    errno.EMFILE: "打开的文件过多",
    errno.ENAMETOOLONG: "文件名过长",
    errno.ENETDOWN: "网络已关闭",
    errno.ENETUNREACH: "无法到达网络",
    errno.ENFILE: "系统打开的文件过多",
    errno.ENODEV: "没有该设备",
    errno.ENOENT: "没有那个文件或目录",
    errno.ENOMEM: "内存不足",
    errno.ENOSPC: "磁盘空间不足",
    errno.ENOTCONN: "没有连接",
    errno.ENOTDIR: "不是目录",
    errno.ENOTEMPTY: "目录非空",
    errno.ENXIO: "没有该设备或地址",
    errno.EPERM: "不允许的操作",
    errno.EPIPE: "对方已关闭连接",
    errno.EROFS: "只读文件系统",
    errno.ETIMEDOUT: "连接超时",
    errno.ETXTBSY: "文件正被使用",
}
_UNKNOWN_NAME = Bilingual("no such host", "找不到该主机")
_NAMES = {
    socket.EAI_NONAME: _UNKNOWN_NAME,
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): Bilingual("the name has no address", "该主机名没有地址"),
    socket.EAI_AGAIN: Bilingual("the name look-up failed for now", "域名解析暂时失败"),
    socket.EAI_FAIL: Bilingual("the name look-up failed", "域名解析失败"),
}


def errno_reason(number: int, words: str = "") -> Bilingual:
    """What a number of the system's means. :param words: the system's own, where they are known already."""
    english = words or os.strerror(number)
    return Bilingual(english, _CHINESE.get(number, f"系统错误 {number}: {english}"))


def os_reason(error: OSError) -> str:
    """Why a call to the system failed; without the number and the file, which who calls this may name."""
    if isinstance(error, socket.gaierror):
        words = printable(error.strerror or str(error), MAX_WORDS)
        known = _NAMES.get(error.errno or 0)
        return words if known is None else known
    if isinstance(error, TimeoutError) and error.errno is None:
        text = str(error)
        return (
            text
            if isinstance(text, Bilingual)
            else Bilingual(text or "timed out", f"超时（{text}）" if text else "超时")
        )
    if error.errno is None:
        return str(error) or repr(error)
    return errno_reason(error.errno, error.strerror or "")


def failure_reason(error: BaseException | None) -> str:
    """Why a connection failed or ended, as Twisted's errors tell it; what is known to nobody as the error says it."""
    text = str(error)
    if isinstance(text, Bilingual):
        return text
    number = getattr(error, "osError", None)
    if isinstance(error, twisted_error.ConnectError) and isinstance(number, int):
        return errno_reason(number)
    for kind, reason in (
        (twisted_error.ConnectionDone, reasons.CLOSED),
        (twisted_error.ConnectionLost, reasons.BROKEN),
        (twisted_error.ConnectionAborted, reasons.BROKEN),
        (twisted_error.DNSLookupError, _UNKNOWN_NAME),
        (twisted_error.UnknownHostError, _UNKNOWN_NAME),
        (twisted_error.ConnectionRefusedError, errno_reason(errno.ECONNREFUSED)),
        (twisted_error.NoRouteError, errno_reason(errno.EHOSTUNREACH)),
        (twisted_error.TCPTimedOutError, errno_reason(errno.ETIMEDOUT)),
        (twisted_error.TimeoutError, errno_reason(errno.ETIMEDOUT)),
    ):
        if isinstance(error, kind):
            words = printable(" ".join(map(str, error.args)), MAX_WORDS)
            return reasons.BROKEN_BY.fill(words=words) if reason is reasons.BROKEN and words else reason
    if isinstance(error, OSError):
        return os_reason(error)
    return printable(text or repr(error), MAX_WORDS)
