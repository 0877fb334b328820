"""Why a TLS connection is refused, in sentences: those about the handshake (``faults``: those about certificates)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import printable

SHOWN_ERROR = 120  # characters of OpenSSL's own words


class TlsRefused(Exception):
    """We do not go on with this connection, or the peer does not; the text is a ``Bilingual`` sentence."""


class Peer(NamedTuple):
    """Whom we connect to, as sentences call it."""

    english: str
    chinese: str
    prefix: str
    """What the names of its settings begin with."""
    host_setting: str
    host: str
    """What that setting holds."""
    has_ca_file: bool = False
    has_client_certificate: bool = False


# The handshake itself: what OpenSSL's words mean. Compared in small letters, because they differ between versions.
_NO_TLS = (
    "{peer} does not speak TLS on this port. What to do: see whether {prefix}_PORT is right{usual}, or have TLS set up"
    " there",
    "{peer_zh}的这个端口不支持TLS。请确认 {prefix}_PORT 是否正确{usual_zh}，或在{peer_zh}上启用TLS",
)
_CLOSED = (
    "{peer} closed the connection instead of answering in TLS. What to do: see whether {prefix}_PORT is right{usual},"
    " and what the log of {peer} says",
    "{peer_zh}没有用TLS应答就关闭了连接。请确认 {prefix}_PORT 是否正确{usual_zh}，并查看{peer_zh}的日志",
)
_TOO_OLD = (
    "{peer} speaks no version of TLS from 1.2 on, or no safe cipher ({words}). What to do: allow TLS 1.2 or 1.3 there",
    "{peer_zh}不支持TLS 1.2及以上版本，或没有安全的加密套件（{words}）。请在{peer_zh}上启用TLS 1.2或1.3",
)
_WANTS_CLIENT = (
    "{peer} wants a client certificate ({words}). What to do: set {prefix}_CERT_FILE and {prefix}_KEY_FILE to one that"
    " it accepts",
    "{peer_zh}要求客户端证书（{words}）。请在 {prefix}_CERT_FILE 和 {prefix}_KEY_FILE 中设置其认可的证书",
)
_REFUSES_CLIENT = (
    "{peer} does not accept our client certificate ({words}). What to do: have {prefix}_CERT_FILE issued anew by a CA"
    " that it trusts",
    "{peer_zh}不接受我们的客户端证书（{words}）。请由其信任的CA重新签发 {prefix}_CERT_FILE",
)
_EITHER = (
    "{peer} breaks off the TLS handshake ({words}): it wants a client certificate, or has no version or cipher in"
    " common with us. What to do: set {prefix}_CERT_FILE and {prefix}_KEY_FILE, or allow TLS 1.2 or 1.3 there",
    "{peer_zh}中止了TLS握手（{words}）: 要求客户端证书，或没有共同的TLS版本和加密套件。"
    "请设置 {prefix}_CERT_FILE 和 {prefix}_KEY_FILE，或在{peer_zh}上启用TLS 1.2或1.3",
)
_OTHER = (
    "TLS with {peer} failed ({words}). What to do: see what the log of {peer} says",
    "与{peer_zh}的TLS连接失败（{words}）。请查看{peer_zh}的日志",
)
_ABOUT_CLIENT = (
    "unknown ca",
    "bad certificate",
    "certificate expired",
    "certificate unknown",
    "unsupported certificate",
)
_MEANINGS: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (("wrong version number", "packet length too long", "http request", "bad record type", "not tls"), _NO_TLS),
    (("unexpected message", "record layer failure", "record too small", "invalid alert"), _NO_TLS),
    (("unsupported protocol", "version too low", "wrong ssl version", "protocol version", "no protocols"), _TOO_OLD),
    (("no shared cipher", "no cipher", "insufficient security", "inappropriate fallback"), _TOO_OLD),
    (("certificate required",), _WANTS_CLIENT),
    (("certificate revoked", "access denied", *_ABOUT_CLIENT), _REFUSES_CLIENT),
    (("unexpected eof",), _CLOSED),
)


def failed(peer: Peer, words: Sequence[str] | None) -> TlsRefused:
    """The handshake, or what came behind it, broke off.

    :param words: OpenSSL's reasons, the last one first to count; empty: it gave none; None: the peer closed.
    """
    meaning, text = _CLOSED if words is None else _OTHER, "; ".join(words or ()) or "OpenSSL gives no reason"
    lower = text.lower().replace("_", " ")
    if "handshake failure" in lower and "alert" in lower:
        # What servers before TLS 1.3 say for both.
        meaning = _TOO_OLD if peer.has_client_certificate else _EITHER
    for patterns, found in _MEANINGS:
        if words is not None and any(pattern in lower for pattern in patterns):
            meaning = found
            break
    if meaning is _REFUSES_CLIENT and not peer.has_client_certificate:
        meaning = _WANTS_CLIENT
    fields = {
        "peer": peer.english,
        "peer_zh": peer.chinese,
        "prefix": peer.prefix,
        "usual": " (usually 8883)" if peer.prefix == "MQTT" else "",
        "usual_zh": "（通常是8883）" if peer.prefix == "MQTT" else "",
        "words": printable(text, SHOWN_ERROR),
    }
    english, chinese = meaning
    return TlsRefused(Bilingual(english.format(**fields), chinese.format(**fields)))


def none_offered(peer: Peer) -> TlsRefused:
    """A server that speaks first says that it has no TLS, or somebody in between says so."""
    fields = {"peer": peer.english, "peer_zh": peer.chinese, "prefix": peer.prefix}
    english = (
        "{peer} offers no TLS, and {prefix}_TLS wants it: nothing was sent. What to do: set up TLS there; if it is,"
        " somebody in between takes it away"
    )
    chinese = (
        "{peer_zh}不提供TLS，而 {prefix}_TLS 要求TLS: 没有发送任何内容。请在{peer_zh}上启用TLS；"
        "若已启用，则有人在中间去掉了它"
    )
    return TlsRefused(Bilingual(english.format(**fields), chinese.format(**fields)))
