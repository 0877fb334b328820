"""What is wrong with a peer's certificate, in sentences: the cause, the names in it and the one wanted, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ..telemetry.bilingual import Bilingual
from .names import as_address, common_name, has_dns_entry, offered
from .refusal import Peer, TlsRefused


class Fault(NamedTuple):
    """What OpenSSL has against a certificate of the chain."""

    code: int
    """One of ``X509_V_ERR_…`` in OpenSSL's x509_vfy.h."""
    depth: int
    """0: the peer's own; else of an issuer."""
    certificate: x509.Certificate | None
    """None where it cannot be read."""


class Cause(NamedTuple):
    """What is wrong with a certificate, and what to do."""

    english: str
    chinese: str
    advice: str
    advice_chinese: str


# The fields are those of _fields.
_NEW_ONE = ("have a new one made", "请重新签发")
_EXPIRED = Cause(
    "{it} expired on {not_after}",
    "{it_zh}已于 {not_after} 过期",
    "have it renewed, or set the clock of this host",
    "请更新证书，或校准本机时钟",
)
_NOT_YET_VALID = Cause(
    "{it} is not valid before {not_before}",
    "{it_zh}在 {not_before} 之前无效",
    "set the clock of this host, or have a new one made",
    "请校准本机时钟，或重新签发",
)
_PURPOSE = Cause(
    "{it} is not made for a server",
    "{it_zh}不是服务器证书",
    "have a new one made, with extendedKeyUsage=serverAuth and, if it has a keyUsage, digitalSignature",
    "请重新签发，带有 extendedKeyUsage=serverAuth；若有keyUsage，须含digitalSignature",
)
_ISSUER = Cause(
    "nobody who is trusted here issued {it}: neither {trusted} nor what {peer} sends leads to {issuer}",
    "{it_zh}的签发者 {issuer} 不受信任（在{trusted_zh}和{peer_zh}发来的证书中都找不到）",
    "put the CA's certificate in {ca_setting}, or have {peer} send the CA's intermediate certificates along",
    "请把CA证书放入 {ca_setting}，或让{peer_zh}一并发送中间证书",
)
_SELF_SIGNED = Cause(
    "{it} is self-signed and not in {trusted}",
    "{it_zh}是自签名的，且不在{trusted_zh}中",
    "put it in {ca_setting}, or pin it with {pin_setting}",
    "请把它放入 {ca_setting}，或用 {pin_setting} 固定其指纹",
)
_ROOT = Cause(
    "the CA that it comes from, {subject}, is not in {trusted}",
    "其根CA {subject} 不在{trusted_zh}中",
    "put the CA's certificate in {ca_setting}",
    "请把CA证书放入 {ca_setting}",
)
_KEY_TOO_SHORT = Cause(
    "the key of {it} is too short ({bits} bits; RSA needs 2048)",
    "{it_zh}的密钥太短（{bits} 位；RSA至少2048位）",
    *_NEW_ONE,
)
_WEAK_HASH = Cause(
    "{it} is signed with a weak hash ({hash})",
    "{it_zh}使用了弱签名算法（{hash}）",
    "have it signed with SHA-256",
    "请改用SHA-256签名",
)
_NO_CA = Cause(
    "{subject} issued a certificate and is no CA",
    "{subject} 不是CA却签发了证书",
    "have a new one made by a CA (basicConstraints CA:TRUE)",
    "请由CA（basicConstraints CA:TRUE）重新签发",
)
_SIGNATURE = Cause("the signature of {it} is wrong", "{it_zh}的签名不正确", *_NEW_ONE)
_CRITICAL = Cause("{it} has a critical extension that is not known", "{it_zh}含有未知的关键扩展", *_NEW_ONE)
_CONSTRAINED = Cause(
    "a CA that it comes from may not issue for such names (nameConstraints)",
    "其上级CA无权为这样的名称签发证书（nameConstraints）",
    *_NEW_ONE,
)
_CAUSES = {
    **dict.fromkeys((2, 20, 21, 27), _ISSUER),
    7: _SIGNATURE,
    9: _NOT_YET_VALID,
    10: _EXPIRED,
    18: _SELF_SIGNED,
    19: _ROOT,
    24: _NO_CA,
    79: _NO_CA,
    26: _PURPOSE,
    34: _CRITICAL,
    **dict.fromkeys((47, 48), _CONSTRAINED),
    **dict.fromkeys((66, 67), _KEY_TOO_SHORT),
    68: _WEAK_HASH,
}
_OTHER_FAULT = Cause(
    "OpenSSL does not accept {it} (verify error {code})", "OpenSSL不接受{it_zh}（校验错误 {code}）", *_NEW_ONE
)
_UNREADABLE = Cause("it cannot be read", "无法解析", *_NEW_ONE)
_NOT_VERIFIED = Cause("nobody has verified it", "未经校验", "please report this", "请报告此问题")
_NAME = Cause(
    "it is not for this host",
    "不是本主机的证书",
    "have one made with subjectAltName={wanted}, or set {host_setting} to a name that it has",
    "请重新签发，subjectAltName={wanted}，或把 {host_setting} 改为证书中的名称",
)
_CN_ONLY = Cause(
    "it is not for this host: a CN, here {subject}, does not count",
    "不是本主机的证书: CN（{subject}）不算数",
    "have one made with subjectAltName={wanted}",
    "请重新签发，subjectAltName={wanted}",
)
_ADDRESS_AS_NAME = Cause(
    "it is not for this host: an address counts as IP entry only, not as DNS entry",
    "不是本主机的证书: 地址必须写成IP项，不能写成DNS项",
    "have one made with subjectAltName={wanted}",
    "请重新签发，subjectAltName={wanted}",
)
_PIN = Cause(
    "it is not the pinned one: its SHA-256 fingerprint is {fingerprint}",
    "与固定的指纹不符: 其SHA-256指纹为 {fingerprint}",
    "if {peer} has a new certificate, set {pin_setting} anew; if it has not, somebody is in between",
    "若{peer_zh}换了证书，请更新 {pin_setting}；若没有换，则有人在中间冒充",
)


def faulty(peer: Peer, leaf: x509.Certificate | None, fault: Fault) -> TlsRefused:
    """OpenSSL did not accept the chain.

    :param leaf: the peer's own certificate; None: it was not seen.
    """
    cause = _UNREADABLE if fault.certificate is None else _CAUSES.get(fault.code, _OTHER_FAULT)
    return _refused(peer, cause, leaf, fault)


def expired(peer: Peer, leaf: x509.Certificate) -> TlsRefused:
    """See ``faulty``; found by our own look at the certificate, as are the others below."""
    return _refused(peer, _EXPIRED, leaf)


def not_yet_valid(peer: Peer, leaf: x509.Certificate) -> TlsRefused:
    """The certificate is from the future."""
    return _refused(peer, _NOT_YET_VALID, leaf)


def for_another_purpose(peer: Peer, leaf: x509.Certificate) -> TlsRefused:
    """The certificate is no server's."""
    return _refused(peer, _PURPOSE, leaf)


def for_another_host(peer: Peer, leaf: x509.Certificate) -> TlsRefused:
    """The certificate does not name the host."""
    if as_address(peer.host) is not None and has_dns_entry(leaf, peer.host):
        return _refused(peer, _ADDRESS_AS_NAME, leaf)
    is_in_cn = common_name(leaf.subject).lower() == peer.host.lower()
    return _refused(peer, _CN_ONLY if is_in_cn else _NAME, leaf)


def not_pinned(peer: Peer, leaf: x509.Certificate) -> TlsRefused:
    """The certificate is another one than that of the setting."""
    return _refused(peer, _PIN, leaf)


def not_verified(peer: Peer, leaf: x509.Certificate | None) -> TlsRefused:
    """OpenSSL never said that it accepts this certificate."""
    return _refused(peer, _NOT_VERIFIED, leaf)


def unreadable(peer: Peer) -> TlsRefused:
    """The certificate is none, or holds what the library does not take."""
    return _refused(peer, _UNREADABLE, None)


def _refused(peer: Peer, cause: Cause, leaf: x509.Certificate | None, fault: Fault | None = None) -> TlsRefused:
    names = offered(leaf) if leaf is not None else Bilingual("unknown names", "未知")
    fields = _fields(peer, leaf, fault)
    english = (
        f"the certificate of {peer.english} is refused: {cause.english.format(**fields)}. It names {names};"
        f" wanted: {fields['wanted']} ({peer.host_setting}). What to do: {cause.advice.format(**fields)}"
    )
    chinese = (
        f"拒绝{peer.chinese}的证书: {cause.chinese.format(**fields)}。证书中的名称: {names.chinese}；"
        f"需要: {fields['wanted']}（{peer.host_setting}）。{cause.advice_chinese.format(**fields)}"
    )
    return TlsRefused(Bilingual(english, chinese))


def _fields(peer: Peer, leaf: x509.Certificate | None, fault: Fault | None) -> dict[str, object]:
    certificate = fault.certificate if fault is not None else leaf
    fields: dict[str, object] = {
        "peer": peer.english,
        "peer_zh": peer.chinese,
        "wanted": f"{'DNS' if as_address(peer.host) is None else 'IP'}:{peer.host}",
        "host_setting": peer.host_setting,
        "ca_setting": f"{peer.prefix}_CA_FILE",
        "pin_setting": f"{peer.prefix}_TLS_FINGERPRINT",
        "trusted": f"{peer.prefix}_CA_FILE" if peer.has_ca_file else "the system's CAs",
        "trusted_zh": f" {peer.prefix}_CA_FILE " if peer.has_ca_file else "系统的CA",
        "code": fault.code if fault is not None else 0,
        "it": "it",
        "it_zh": "该证书",
    }
    if certificate is not None:
        subject = _or_unknown(lambda: common_name(certificate.subject))
        if fault is not None and fault.depth:
            fields |= {"it": f"the CA certificate {subject}", "it_zh": f"CA证书 {subject} "}
        fields |= {
            "subject": subject,
            "issuer": _or_unknown(lambda: common_name(certificate.issuer)),
            "not_before": _or_unknown(lambda: f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"),
            "not_after": _or_unknown(lambda: f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"),
            "bits": _or_unknown(lambda: str(getattr(certificate.public_key(), "key_size", "?"))),
            "hash": _or_unknown(lambda: str(getattr(certificate.signature_hash_algorithm, "name", "?")).upper()),
            "fingerprint": fingerprint(certificate),
        }
    return fields


def _or_unknown(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except Exception:  # of a certificate that holds what the library does not take; the words must come all the same
        return "?"


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the certificate, in the form that ``openssl x509 -fingerprint -sha256`` has it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
